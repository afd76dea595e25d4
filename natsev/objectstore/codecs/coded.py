"""Sources and sinks with a codec between them and the store."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from time import monotonic
from typing import Any

from ..record import ObjectMeta
from ..sink import WHOLE, Part, Sink
from ..source import Buffer, Gathered, Source
from .chain import Chain, Decoding, Encoding
from .seeking import PartDecoding, part_decoding

# Bytes encoded at once, and seconds after which it is the loop's turn: little may come of much, and
# much of little.
_PIECE, _LONG = 128 * 1024, 0.005


class EncodedSource:
    """The encoded bytes of another source.

    Args:
        source: what is put.
        encoding: the codecs.
        meta: of the object; told what was put when all of it has been read.

    Attributes:
        on_ready: called when ``read`` has given nothing only because it is the loop's turn; None:
            it always reads on.
    """

    def __init__(self, source: Source, encoding: Encoding, meta: ObjectMeta) -> None:
        self._source = source
        self._encoding = encoding
        self._meta = meta
        self._gathered = Gathered()
        self._more = True
        self._busy = 0.0  # seconds since the loop had its turn
        self.on_ready: Callable[[], Any] | None = None
        self.size: int | None = None

    @property
    def plain(self) -> Source:
        """What is put, not encoded."""
        return self._source

    @property
    def codec(self) -> str:
        """What is done to it."""
        return self._encoding.name

    def open(self) -> None:
        self._source.open()

    def rewind(self) -> bool:
        """Only before anything was read from here: what is plain may have been read."""
        return self._source.rewind()

    def read(self, size: int) -> Buffer | None:
        while self._more and len(self._gathered) < size:
            if self.on_ready is not None and self._busy > _LONG:
                self._busy = 0.0
                self.on_ready()
                return None
            began = monotonic()
            if not self._encode(min(size, _PIECE)):
                return None
            self._busy += monotonic() - began
        return self._gathered.take(size)

    def _encode(self, size: int) -> bool:
        """Encode the next *size* bytes; False: they are not there yet."""
        piece = self._source.read(size)
        if piece is None:
            return False
        if len(piece):
            self._add(self._encoding.update(piece))
        if len(piece) < size:
            self._more = False
            self._add(self._encoding.finish())
            self._meta['metadata'] |= self._encoding.metadata()
        return True

    def _add(self, pieces: Any) -> None:
        for piece in pieces:
            self._gathered.add(piece)

    def close(self) -> None:
        self.on_ready = None
        self._source.close()


def plain(source: Source) -> Source:
    """Return *source* without its encoding."""
    return source.plain if isinstance(source, EncodedSource) else source


def codec_of(source: Source) -> str | None:
    """Return what is done to what *source* reads; None: nothing."""
    return source.codec if isinstance(source, EncodedSource) else None


def decoded(chain: Chain, meta: ObjectMeta, sink: Sink, part: Part) -> tuple[DecodedSink, Part]:
    """Return a sink for stored bytes in front of *sink*, and which part of them it needs.

    Args:
        chain: the codecs of the store.
        meta: of the object, which is encoded.
        sink: where what was put goes.
        part: the part of it that is wanted.

    Raises:
        CodecError: it cannot be decoded here.
    """
    found = part_decoding(chain, meta, part) if part != WHOLE else None
    if found is not None:
        return DecodedSink(sink, WHOLE, found), found.stored
    # Where in the stored bytes a part begins is not known: all of them are read.
    return DecodedSink(sink, part, Decoding(chain, meta['metadata'])), WHOLE


class DecodedSink:
    """Decodes what it is given, for another sink.

    Args:
        sink: where what was put goes.
        part: the part of it that is wanted.
        decoding: gives what was put, or that part of it.

    Attributes:
        behind: what was given is not all decoded: ``go_on``, in another turn of the loop.
    """

    def __init__(self, sink: Sink, part: Part, decoding: Decoding | PartDecoding) -> None:
        self._sink = sink
        self._skip, self._left = part
        self._decoding = decoding
        self._pieces: Iterator[bytes] = iter(())
        self.behind = False

    @property
    def restartable(self) -> bool:
        return self._sink.restartable

    @property
    def full(self) -> bool:
        return self.behind or self._sink.full

    @property
    def blocked(self) -> bool:
        """Can it not go on before a disk has?"""
        return self._sink.full

    def begin(self) -> None:
        self._sink.begin()

    def write(self, chunk: bytes) -> None:
        self._pieces = self._decoding.update(chunk)
        self.go_on()

    def complete(self) -> None:
        """All has been given, and decoded: what is left comes out, and is verified."""
        self._pieces = self._decoding.finish()
        self.go_on()

    def go_on(self) -> None:
        """Decode what was given, but not for long."""
        self.behind = True
        until = monotonic() + _LONG
        for piece in self._pieces:
            self._pass_on(piece)
            if monotonic() >= until:
                return
        self.behind = False

    def _pass_on(self, piece: bytes) -> None:
        wanted = piece[self._skip :]
        self._skip = max(0, self._skip - len(piece))
        if self._left is not None:
            wanted = wanted[: self._left]
            self._left -= len(wanted)
        if wanted:
            self._sink.write(wanted)

    def flush(self) -> Callable[[], None] | None:
        return self._sink.flush()

    def settle(self) -> Callable[[], None] | None:
        return self._sink.settle()

    def result(self) -> Any:
        return self._sink.result()

    def discard(self) -> None:
        self._sink.discard()
