"""Codecs: what is done to an object's bytes before they are stored.

The object stays plain ADR-20: its size and digest are those of the bytes stored, so every client
can fetch and verify these. How to get back to what was put stands in its metadata:

- ``natsev.codec``: the codecs in the order of encoding, such as ``zstd,aes-256-gcm``;
- ``natsev.size`` and ``natsev.digest``: of what was put;
- ``natsev.key``: which key it was encrypted with.
"""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Iterator
from typing import Any, Protocol

from ..errors import CodecError, MissingExtraError
from . import record
from .record import ObjectMeta

CODEC, SIZE, DIGEST, KEY = 'natsev.codec', 'natsev.size', 'natsev.digest', 'natsev.key'
RESERVED = (CODEC, SIZE, DIGEST, KEY)
# A decoder gives its output in pieces of about this size, so that what unpacks without end is
# stopped early.
_MOST_OUTPUT = 1024 * 1024
# Of zstandard, which cannot bound its output: 256 bytes in are at most some megabytes out.
_FEED = 256


class Coder(Protocol):
    """Turns a stream of bytes into another; the pieces may be cut anywhere."""

    def update(self, data: bytes | memoryview) -> Iterator[bytes]:
        """Give what comes of *data*."""

    def finish(self) -> bytes:
        """Return the rest.

        Raises:
            CodecError: the stream is not complete.
        """


class Codec(Protocol):
    """A way to encode objects.

    Attributes:
        name: what it is called in metadata.
    """

    name: str

    def encoder(self) -> Coder:
        """Return an encoder for one object."""

    def decoder(self) -> Coder:
        """Return a decoder for one object."""

    def metadata(self) -> dict[str, str]:
        """Return what else the metadata of an object tells."""


class Zlib:
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

    def metadata(self) -> dict[str, str]:
        """Return nothing."""
        return {}


class _Deflate:
    def __init__(self, level: int) -> None:
        self._object = zlib.compressobj(level)

    def update(self, data: bytes | memoryview) -> Iterator[bytes]:
        yield self._object.compress(data)

    def finish(self) -> bytes:
        return self._object.flush()


class _Inflate:
    def __init__(self) -> None:
        self._object = zlib.decompressobj()

    def update(self, data: bytes | memoryview) -> Iterator[bytes]:
        rest: bytes | memoryview = data
        while rest:
            if self._object.eof:
                raise CodecError('there is something behind the end of the compressed bytes')
            try:
                piece = self._object.decompress(rest, _MOST_OUTPUT)
            except zlib.error as exc:
                raise CodecError(f'the bytes cannot be decompressed: {exc}') from exc
            rest = self._object.unconsumed_tail or self._object.unused_data
            yield piece

    def finish(self) -> bytes:
        if not self._object.eof:
            raise CodecError('the compressed bytes are not complete')
        return b''


class Zstd:
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
        return _ZstdEncoder(self._zstd.ZstdCompressor(level=self._level).compressobj())

    def decoder(self) -> Coder:
        """Return a decoder for one object."""
        return _ZstdDecoder(self._zstd.ZstdDecompressor().decompressobj(), self._zstd.ZstdError)

    def metadata(self) -> dict[str, str]:
        """Return nothing."""
        return {}


class _ZstdEncoder:
    def __init__(self, encoder: Any) -> None:
        self._encoder = encoder

    def update(self, data: bytes | memoryview) -> Iterator[bytes]:
        yield self._encoder.compress(data)

    def finish(self) -> bytes:
        rest: bytes = self._encoder.flush()
        return rest


class _ZstdDecoder:
    def __init__(self, decoder: Any, error: type[Exception]) -> None:
        self._decoder = decoder
        self._error = error

    def update(self, data: bytes | memoryview) -> Iterator[bytes]:
        view = memoryview(data)
        for at in range(0, len(view), _FEED):
            if self._decoder.eof:
                raise CodecError('there is something behind the end of the compressed bytes')
            try:
                piece: bytes = self._decoder.decompress(view[at : at + _FEED])
            except self._error as exc:
                raise CodecError(f'the bytes cannot be decompressed: {exc}') from exc
            if self._decoder.unused_data:
                raise CodecError('there is something behind the end of the compressed bytes')
            if piece:
                yield piece

    def finish(self) -> bytes:
        if not self._decoder.eof:
            raise CodecError('the compressed bytes are not complete')
        return b''


class Chain:
    """Several codecs, one behind the other, or none."""

    def __init__(self, codecs: tuple[Codec, ...] = ()) -> None:
        self.codecs = codecs

    def __bool__(self) -> bool:
        return bool(self.codecs)

    @property
    def name(self) -> str:
        """What the metadata says."""
        return ','.join(codec.name for codec in self.codecs)

    def decoding(self, names: list[str]) -> list[Codec]:
        """Return the codecs to decode what was encoded by *names*, in the order of decoding.

        Raises:
            CodecError: one is not known, or its keys are not.
        """
        own = {codec.name: codec for codec in self.codecs}
        found = []
        for name in reversed(names):
            codec = own.get(name) or (_KNOWN[name]() if name in _KNOWN else None)
            if codec is None:
                raise CodecError(f'the object is encoded with {name!r}: give the store its codec')
            found.append(codec)
        return found


_KNOWN: dict[str, type[Zlib] | type[Zstd]] = {'zlib': Zlib, 'zstd': Zstd}


def chain_of(value: Any) -> Chain:
    """Return the codecs that a user gives: None, ``'zlib'``, ``'zstd'``, a codec, or several.

    Raises:
        TypeError, ValueError: that is no codec.
        MissingExtraError: a package is not installed.
    """
    if value is None:
        return Chain()
    given = value if isinstance(value, (list, tuple)) else [value]
    codecs = []
    for one in given:
        if isinstance(one, str):
            if one not in _KNOWN:
                raise ValueError(f'codec must be one of {sorted(_KNOWN)}, not {one!r}')
            codecs.append(_KNOWN[one]())
        elif all(hasattr(one, wanted) for wanted in ('name', 'encoder', 'decoder', 'metadata')):
            codecs.append(one)
        else:
            raise TypeError(f'codec must be a name or a codec, not {type(one).__name__}')
    return Chain(tuple(codecs))


def is_encoded(metadata: dict[str, str]) -> bool:
    """Does the metadata of an object say that its bytes are encoded?"""
    return CODEC in metadata


def plain_size(meta: ObjectMeta) -> int:
    """Return the size of what was put, before any codec."""
    text = meta['metadata'].get(SIZE, '')
    return int(text) if text.isascii() and text.isdigit() and len(text) < 20 else meta['size']


def plain_digest(meta: ObjectMeta) -> bytes | None:
    """Return the SHA-256 of what was put, before any codec."""
    return record.digest_bytes(meta['metadata'].get(DIGEST) or meta['digest'])


class Encoding:
    """The encoding of one object: counts and hashes what goes in."""

    def __init__(self, chain: Chain) -> None:
        self._chain = chain
        self._coders = [codec.encoder() for codec in chain.codecs]
        self._hash = hashlib.sha256()
        self._size = 0

    @property
    def name(self) -> str:
        """What the metadata says."""
        return self._chain.name

    def update(self, data: bytes | memoryview) -> Iterator[bytes]:
        """Give what comes of *data*."""
        self._hash.update(data)
        self._size += len(data)
        yield from _through(self._coders, data)

    def finish(self) -> Iterator[bytes]:
        """Give the rest."""
        yield from _ends(self._coders)

    def metadata(self) -> dict[str, str]:
        """Return what the object's metadata must tell, once all has gone in."""
        found = {
            CODEC: self._chain.name,
            SIZE: str(self._size),
            DIGEST: record.digest_text(self._hash.digest()),
        }
        for codec in self._chain.codecs:
            found |= codec.metadata()
        return found


class Decoding:
    """The decoding of one object: what comes out is as long, and has the digest, as it says.

    Raises:
        CodecError: it cannot be decoded here.
    """

    def __init__(self, chain: Chain, metadata: dict[str, str]) -> None:
        names = metadata[CODEC].split(',')
        self._coders = [codec.decoder() for codec in chain.decoding(names)]
        size = metadata.get(SIZE, '')
        if not (size.isascii() and size.isdigit() and len(size) < 20):
            raise CodecError('the metadata does not tell the size of the object')
        self.size = int(size)
        self._digest = record.digest_bytes(metadata.get(DIGEST))
        self._hash = hashlib.sha256()
        self._came = 0

    def update(self, data: bytes) -> Iterator[bytes]:
        """Give what comes of *data*.

        Raises:
            CodecError: it is not what was stored.
        """
        for piece in _through(self._coders, data):
            yield self._checked(piece)

    def finish(self) -> Iterator[bytes]:
        """Give the rest, and verify all.

        Raises:
            CodecError: it is not what was stored.
        """
        for piece in _ends(self._coders):
            yield self._checked(piece)
        if self._came != self.size or self._digest not in (None, self._hash.digest()):
            raise CodecError('the bytes are not those that were stored')

    def _checked(self, piece: bytes) -> bytes:
        self._came += len(piece)
        if self._came > self.size:
            raise CodecError('the object is larger than its metadata says')
        self._hash.update(piece)
        return piece


def _through(coders: list[Any], data: bytes | memoryview) -> Iterator[bytes]:
    if not coders:
        yield bytes(data)
        return
    first, *rest = coders
    for piece in first.update(data):
        if piece:
            yield from _through(rest, piece)


def _ends(coders: list[Any]) -> Iterator[bytes]:
    for number, coder in enumerate(coders):
        piece = coder.finish()
        if piece:
            yield from _through(coders[number + 1 :], piece)
