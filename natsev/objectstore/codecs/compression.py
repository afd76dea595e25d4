"""Compression of objects, as codecs.

Compressed bytes can be entered where a frame of 256 KiB begins: a frame of zstandard's own, or what
follows a full flush of zlib, so they are also what any other program unpacks. Where frames begin is
in the seek: ``<bytes put>:<bytes put between two places>:<place>,<place>...``, the places being
offsets in the compressed bytes, each as its distance from the one before, in hexadecimal. With more
than 512 of them only every second is kept, and so on.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from itertools import accumulate, pairwise
from typing import Any, NamedTuple

from ...errors import CodecError, MissingExtraError
from .coding import Coder, Entry

# A decoder gives its output in pieces of about this size, so that what unpacks without end is
# stopped early.
_MOST_OUTPUT = 1024 * 1024
# Of zstandard, which cannot bound its output: 256 bytes in are at most some megabytes out.
_FEED = 256
# Compressed bytes can be entered after so many bytes put, at no more than so many places.
_FRAME, _MOST_PLACES = 256 * 1024, 512


class _Framed:
    """Compresses frame by frame, and notes where they begin. Subclasses compress."""

    def __init__(self) -> None:
        self._put = self._came = 0  # bytes
        self._every = _FRAME
        self._places: list[int] = []

    def update(self, data: bytes | memoryview) -> Iterator[bytes]:
        rest = memoryview(data)
        while rest:
            if self._put and not self._put % _FRAME:
                yield self._counted(self._next_frame())
                self._note()
            room = _FRAME - self._put % _FRAME
            piece, rest = rest[:room], rest[room:]
            self._put += len(piece)
            yield self._counted(self._compress(piece))

    def finish(self) -> bytes:
        return self._counted(self._end())

    def seek(self, before: str) -> str:
        """Return how its bytes can be entered; '' where there is only the beginning."""
        if not self._places:
            return ''
        apart = [here - there for there, here in pairwise([0, *self._places])]
        return f'{self._put}:{self._every}:{",".join(f"{each:x}" for each in apart)}'

    def _counted(self, piece: bytes) -> bytes:
        self._came += len(piece)
        return piece

    def _note(self) -> None:
        if self._put % self._every:
            return
        self._places.append(self._came)
        if len(self._places) > _MOST_PLACES:
            self._places = self._places[1::2]
            self._every *= 2

    def _compress(self, data: memoryview) -> bytes:
        raise NotImplementedError

    def _next_frame(self) -> bytes:
        """End one frame and begin another."""
        raise NotImplementedError

    def _end(self) -> bytes:
        raise NotImplementedError


class _Places(NamedTuple):
    """A seek of compressed bytes, see above.

    Attributes:
        size: bytes put.
        every: bytes put between two places.
        at: the places; 0 is the first.
    """

    size: int
    every: int
    at: list[int]


def _places(seek: str, encoded: int) -> _Places:
    try:
        size, every, apart = seek.split(':')
        at = [0, *accumulate(int(each, 16) for each in apart.split(','))]
        found = _Places(int(size), int(every), at)
    except ValueError:
        found = _Places(0, 0, [0])
    rising = all(here > there for there, here in pairwise(found.at))
    if found.every <= 0 or not rising or found.at[-1] > encoded:
        raise CodecError('the metadata does not tell where the compressed bytes can be entered')
    return found


class _Compression:
    """What compressions have in common for reading a part."""

    def decoded_size(self, seek: str, size: int) -> int:
        """See ``seeking.Seekable``."""
        return _places(seek, size).size

    def enter(self, seek: str, before: str, size: int, begin: int, end: int) -> Entry:
        """See ``seeking.Seekable``."""
        places = _places(seek, size)
        first = min(begin // places.every, len(places.at) - 1)
        behind = -(-end // places.every)
        stop = places.at[behind] if behind < len(places.at) else size
        decoder = self.part_decoder(bool(first))
        return Entry(decoder, places.at[first], stop, first * places.every)

    def part_decoder(self, inside: bool) -> Coder:
        """Return a decoder that begins with a frame: the first, or one *inside*."""
        raise NotImplementedError


class Zlib(_Compression):
    """Compression with the standard library.

    Args:
        level: from 0, none, to 9, best; -1: what zlib thinks.
    """

    name = 'zlib'

    def __init__(self, level: int = -1) -> None:
        self._level = level

    def encoder(self) -> Coder:
        """Return an encoder for one object."""
        return _Deflate(self._level)

    def decoder(self) -> Coder:
        """Return a decoder for one object."""
        return _Inflate()

    def part_decoder(self, inside: bool) -> Coder:
        """Return a decoder that begins with a frame: the first, or one *inside*."""
        return _Inflate(True, inside)

    def metadata(self) -> dict[str, str]:
        """Return nothing."""
        return {}


class _Deflate(_Framed):
    def __init__(self, level: int) -> None:
        super().__init__()
        self._object = zlib.compressobj(level)

    def _compress(self, data: memoryview) -> bytes:
        return self._object.compress(data)

    def _next_frame(self) -> bytes:
        return self._object.flush(zlib.Z_FULL_FLUSH)

    def _end(self) -> bytes:
        return self._object.flush()


class _Inflate:
    def __init__(self, part: bool = False, inside: bool = False) -> None:
        # What is inside has no header, and its checksum is of the whole.
        self._object = zlib.decompressobj(-zlib.MAX_WBITS if inside else zlib.MAX_WBITS)
        self._part = part

    def update(self, data: bytes | memoryview) -> Iterator[bytes]:
        rest: bytes | memoryview = data
        while rest:
            if self._object.eof:
                if self._part:
                    return
                raise CodecError('there is something behind the end of the compressed bytes')
            try:
                piece = self._object.decompress(rest, _MOST_OUTPUT)
            except zlib.error as exc:
                raise CodecError(f'the bytes cannot be decompressed: {exc}') from exc
            rest = self._object.unconsumed_tail or self._object.unused_data
            yield piece

    def finish(self) -> bytes:
        if not (self._object.eof or self._part):
            raise CodecError('the compressed bytes are not complete')
        return b''


class Zstd(_Compression):
    """Compression with zstandard: better and faster; needs the extra ``zstd``.

    Args:
        level: from 1, fastest, to 22.

    Raises:
        MissingExtraError: the package zstandard is not installed.
    """

    name = 'zstd'

    def __init__(self, level: int = 3) -> None:
        try:
            import zstandard
        except ImportError:
            raise MissingExtraError('zstd', 'compression with zstandard') from None
        self._zstd: Any = zstandard
        self._level = level

    def encoder(self) -> Coder:
        """Return an encoder for one object."""
        return _ZstdEncoder(self._zstd.ZstdCompressor(level=self._level, write_checksum=True))

    def decoder(self) -> Coder:
        """Return a decoder for one object."""
        return _ZstdDecoder(self._zstd)

    def part_decoder(self, inside: bool) -> Coder:
        """Return a decoder that begins with a frame."""
        return _ZstdDecoder(self._zstd)

    def metadata(self) -> dict[str, str]:
        """Return nothing."""
        return {}


class _ZstdEncoder(_Framed):
    def __init__(self, compressor: Any) -> None:
        super().__init__()
        self._compressor = compressor
        self._frame = compressor.compressobj()

    def _compress(self, data: memoryview) -> bytes:
        piece: bytes = self._frame.compress(data)
        return piece

    def _next_frame(self) -> bytes:
        rest = self._end()
        self._frame = self._compressor.compressobj()
        return rest

    def _end(self) -> bytes:
        rest: bytes = self._frame.flush()
        return rest


class _ZstdDecoder:
    def __init__(self, zstd: Any) -> None:
        self._decompressor = zstd.ZstdDecompressor()
        self._error: type[Exception] = zstd.ZstdError
        self._frame = self._decompressor.decompressobj()

    def update(self, data: bytes | memoryview) -> Iterator[bytes]:
        view = memoryview(data)
        for at in range(0, len(view), _FEED):
            rest: bytes | memoryview = view[at : at + _FEED]
            while rest:
                if self._frame.eof:
                    self._frame = self._decompressor.decompressobj()
                try:
                    piece: bytes = self._frame.decompress(rest)
                except self._error as exc:
                    raise CodecError(f'the bytes cannot be decompressed: {exc}') from exc
                rest = self._frame.unused_data
                if piece:
                    yield piece

    def finish(self) -> bytes:
        if not self._frame.eof:
            raise CodecError('the compressed bytes are not complete')
        return b''
