"""Codecs: what is done to an object's bytes before they are stored.

The object stays plain ADR-20: its size and digest are those of the bytes stored, so every client
can fetch and verify these. How to get back to what was put stands in its metadata:

- ``natsev.codec``: the codecs in the order of encoding, such as ``zstd,aes-256-gcm``;
- ``natsev.size`` and ``natsev.digest``: of what was put;
- ``natsev.key``: which key it was encrypted with;
- ``natsev.seek``: how to read a part of it, see ``seeking``.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import Any

from ...errors import CodecError
from .. import record
from ..record import ObjectMeta
from .coding import Codec
from .compression import Zlib, Zstd

CODEC, SIZE, DIGEST, KEY = 'natsev.codec', 'natsev.size', 'natsev.digest', 'natsev.key'
SEEK = 'natsev.seek'
# More, each with its memory, no encoder of ours makes.
_MOST_CODECS = 16
RESERVED = (CODEC, SIZE, DIGEST, KEY, SEEK)


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
        if len(names) > _MOST_CODECS:
            raise CodecError(f'the object is encoded {len(names)} times')
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
    if len(codecs) > _MOST_CODECS:
        raise ValueError(f'there can be at most {_MOST_CODECS} codecs')
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
        seeks: list[str] = []
        for coder in self._coders:
            seek = getattr(coder, 'seek', None)
            seeks.append('' if seek is None else seek(' '.join(seeks)))
        if all(seeks):
            found[SEEK] = ' '.join(seeks)
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
