"""Parts of encoded objects: from the bytes that are wanted to the stored bytes that are needed.

An encoder whose output can be entered in the middle notes how, once all has gone in: its *seek*,
a text without blanks. An object's metadata has those of all its codecs under ``natsev.seek``, in
the order of encoding; where one has none, or an older natsev stored the object, all of it is read.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, cast

from ...errors import CodecError
from ..record import ObjectMeta
from ..sink import Part
from .chain import CODEC, SEEK, Chain, plain_size
from .coding import Coder, Seekable


class _Stage:
    """One codec: its decoder, and which part of what comes out of that is wanted."""

    def __init__(self, decoder: Coder, skip: int, left: int) -> None:
        self._decoder = decoder
        self._skip = skip
        self.left = left

    def update(self, data: bytes) -> Iterator[bytes]:
        if self.left:  # else nothing more is wanted
            for piece in self._decoder.update(data):
                yield self._cut(piece)
                if not self.left:
                    return

    def finish(self) -> bytes:
        return self._cut(self._decoder.finish()) if self.left else b''

    def _cut(self, piece: bytes) -> bytes:
        wanted = piece[self._skip : self._skip + self.left]
        self._skip = max(0, self._skip - len(piece))
        self.left -= len(wanted)
        return wanted


class PartDecoding:
    """The decoding of a part of an object.

    Attributes:
        stored: the part of the stored bytes that is needed.
    """

    def __init__(self, stages: list[_Stage], stored: Part) -> None:
        self._stages = stages  # in the order of decoding
        self.stored = stored

    def update(self, data: bytes) -> Iterator[bytes]:
        """Give what comes of *data*.

        Raises:
            CodecError: it is not what was stored.
        """
        return self._through(0, data)

    def finish(self) -> Iterator[bytes]:
        """Give the rest.

        Raises:
            CodecError: it is not what was stored.
        """
        for number, stage in enumerate(self._stages):
            yield from self._through(number + 1, stage.finish())
            if stage.left:
                raise CodecError('the bytes are not those that were stored')

    def _through(self, number: int, data: bytes) -> Iterator[bytes]:
        if number == len(self._stages):
            yield data
        elif data:
            for piece in self._stages[number].update(data):
                yield from self._through(number + 1, piece)


def part_decoding(chain: Chain, meta: ObjectMeta, part: Part) -> PartDecoding | None:
    """Return how to decode *part* of the object *meta*; None: only as a whole.

    Raises:
        CodecError: it cannot be decoded here, or its metadata were altered.
    """
    metadata = meta['metadata']
    names, seeks = metadata[CODEC].split(','), metadata.get(SEEK, '').split()
    codecs = chain.decoding(names)
    if len(seeks) != len(codecs) or not all(hasattr(codec, 'enter') for codec in codecs):
        return None
    layers: list[tuple[Seekable, int, int]] = []  # in the order of decoding, with encoded sizes
    size = meta['size']
    for place, codec in zip(reversed(range(len(codecs))), cast('list[Any]', codecs), strict=True):
        layers.append((codec, place, size))
        size = codec.decoded_size(seeks[place], size)
    if size != plain_size(meta):
        raise CodecError('the metadata tells another size than the bytes have')
    begin = min(part.offset, size)
    end = size if part.length is None else min(begin + part.length, size)
    stages: list[_Stage] = []
    if begin == end:
        return PartDecoding([], Part(0, 0))
    for codec, place, size in reversed(layers):
        entry = codec.enter(seeks[place], ' '.join(seeks[:place]), size, begin, end)
        stages.insert(0, _Stage(entry.decoder, begin - entry.begins, end - begin))
        begin, end = entry.start, entry.stop
    return PartDecoding(stages, Part(begin, end - begin))
