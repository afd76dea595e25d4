"""Authenticated encryption of objects, as a codec.

The encrypted bytes begin with a header (magic, cipher, a random salt, the key's id), then come
segments of 64 KiB, each with its tag. Every object has a key of its own, derived from the user's
key and the salt (HKDF-SHA256), under which the segments are numbered: the nonce of a segment is its
number, and whether it is the last. So segments cannot be left out, put in another order, taken from
another object, or cut off at the end. The header is authenticated with each segment. This is the
STREAM construction of Hoang, Reyhanitabar, Rogaway and Vizár.

A part can be read by itself: where a segment lies follows from its number. The seek (see
``seeking``) is the header and a tag, of the header and of the seeks of the codecs before, under the
nonce of no segment: they cannot be exchanged either.

What it does not hide: the size of objects, their names and metadata. And it does not tell which
object belongs under which name.
"""

from __future__ import annotations

import base64
import os
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from ...errors import CodecError, MissingExtraError
from .chain import KEY
from .coding import Coder, Entry

_MAGIC = b'NSE1'
_SALT = 32
_SEGMENT = 64 * 1024
_TAG = 16
_FIXED = len(_MAGIC) + 1 + _SALT + 1  # bytes of a header before the key's id
_NAMES = {1: 'aes-256-gcm', 2: 'chacha20-poly1305'}
_MOST_KEY_ID = 255
# A nonce that ends in 0 or 1 is that of a segment.
_NOTE = b'\xff' * 11 + b'\x02'


class Encryption:
    """A codec that encrypts; needs the extra ``crypto``.

    Args:
        keys: secret keys of 32 bytes, by ids of your own. Old keys stay here as long as objects
            encrypted with them are to be read.
        key_id: the key to encrypt with; default: the only one.
        cipher: ``'aes-256-gcm'`` or ``'chacha20-poly1305'``.

    Raises:
        TypeError, ValueError: a key cannot be, or *key_id* is not among them.
        MissingExtraError: the package cryptography is not installed.
    """

    def __init__(
        self,
        keys: Mapping[str, bytes],
        key_id: str | None = None,
        cipher: str = 'aes-256-gcm',
    ) -> None:
        if cipher not in _NAMES.values():
            raise ValueError(f'cipher must be one of {list(_NAMES.values())}, not {cipher!r}')
        self._keys = {_checked_id(name): _checked_key(key) for name, key in keys.items()}
        if key_id is None and len(self._keys) == 1:
            key_id = next(iter(self._keys))
        if key_id not in self._keys:
            raise ValueError('key_id must be the id of one of the keys')
        self._key_id: str = key_id
        self.name = cipher
        self._number = next(number for number, name in _NAMES.items() if name == cipher)
        self._crypto = _Crypto()

    def __repr__(self) -> str:
        return f'<Encryption {self.name} key {self._key_id!r} of {sorted(self._keys)}>'

    def encoder(self) -> Coder:
        """Return an encoder for one object."""
        key_id = self._key_id.encode()
        salt = os.urandom(_SALT)
        header = _MAGIC + bytes([self._number]) + salt + bytes([len(key_id)]) + key_id
        cipher = self._crypto.cipher(self._number, self._keys[self._key_id], header, salt)
        return _Encoder(header, cipher)

    def decoder(self) -> Coder:
        """Return a decoder for one object, of whatever cipher and key."""
        return _Decoder(self._keys, self._crypto)

    def metadata(self) -> dict[str, str]:
        """Return the key's id."""
        return {KEY: self._key_id}

    def decoded_size(self, seek: str, size: int) -> int:
        """See ``seeking.Seekable``."""
        sealed = size - len(_noted(seek).header)
        decoded = sealed - _TAG * -(-sealed // (_SEGMENT + _TAG))
        if decoded <= 0:
            raise CodecError('the encrypted bytes are not complete')
        return decoded

    def enter(self, seek: str, before: str, size: int, begin: int, end: int) -> Entry:
        """See ``seeking.Seekable``."""
        header, tag = _noted(seek)
        cipher = _cipher_of(header, self._keys, self._crypto)
        cipher.check_note(before.encode(), tag)
        first, behind = begin // _SEGMENT, -(-end // _SEGMENT)
        start = len(header) + first * (_SEGMENT + _TAG)
        stop = min(len(header) + behind * (_SEGMENT + _TAG), size)
        cipher.go_to(first)
        return Entry(_Segments(cipher, stop == size), start, stop, first * _SEGMENT)


def _checked_id(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(f'key ids must be str, not {type(value).__name__}')
    if not 0 < len(value.encode()) <= _MOST_KEY_ID:
        raise ValueError(f'a key id must have from 1 to {_MOST_KEY_ID} bytes')
    return value


def _checked_key(value: Any) -> bytes:
    if not isinstance(value, (bytes, bytearray)):
        raise TypeError(f'keys must be bytes, not {type(value).__name__}')
    if len(value) != 32:
        raise ValueError(f'a key must have 32 bytes, not {len(value)}')
    return bytes(value)


class _Crypto:
    """What is needed of the package cryptography."""

    def __init__(self) -> None:
        try:
            from cryptography.exceptions import InvalidTag
            from cryptography.hazmat.primitives.ciphers.aead import AESGCM, ChaCha20Poly1305
            from cryptography.hazmat.primitives.hashes import SHA256
            from cryptography.hazmat.primitives.kdf.hkdf import HKDF
        except ImportError:
            raise MissingExtraError('crypto', 'encryption of objects') from None
        self.invalid: type[Exception] = InvalidTag
        self._ciphers: dict[int, Any] = {1: AESGCM, 2: ChaCha20Poly1305}
        self._derive: Any = HKDF
        self._sha256: Any = SHA256

    def cipher(self, number: int, key: bytes, header: bytes, salt: bytes) -> _Cipher:
        """Return the cipher of one object."""
        hkdf = self._derive(self._sha256(), 32, salt, b'natsev object ' + header)
        return _Cipher(self._ciphers[number](hkdf.derive(key)), header, self.invalid)


class _Cipher:
    """Encrypts or decrypts the segments of one object, in their order."""

    def __init__(self, aead: Any, header: bytes, invalid: type[Exception]) -> None:
        self._aead = aead
        self._header = header
        self._invalid = invalid
        self._count = 0

    @property
    def count(self) -> int:
        """How many segments there were."""
        return self._count

    def go_to(self, number: int) -> None:
        """Go on with the segment *number*, counted from 0."""
        self._count = number

    def note(self, text: bytes) -> bytes:
        """Return a tag that authenticates *text* as one of this object."""
        tag: bytes = self._aead.encrypt(_NOTE, b'', self._header + text)
        return tag

    def check_note(self, text: bytes, tag: bytes) -> None:
        """Raise ``CodecError`` where *tag* is not that of *text*."""
        try:
            self._aead.decrypt(_NOTE, tag, self._header + text)
        except self._invalid:
            raise CodecError('the metadata were altered, or the key is another') from None

    def _nonce(self, last: bool) -> bytes:
        nonce = self._count.to_bytes(11, 'big') + bytes([last])
        self._count += 1
        return nonce

    def encrypt(self, segment: bytes, last: bool) -> bytes:
        """Return the next segment, encrypted."""
        sealed: bytes = self._aead.encrypt(self._nonce(last), segment, self._header)
        return sealed

    def decrypt(self, segment: bytes, last: bool) -> bytes:
        """Return the next segment, decrypted."""
        try:
            opened: bytes = self._aead.decrypt(self._nonce(last), segment, self._header)
        except self._invalid:
            raise CodecError('the encrypted bytes were altered, or the key is another') from None
        return opened


class _Noted(NamedTuple):
    """A seek, see above."""

    header: bytes
    tag: bytes


def _noted(seek: str) -> _Noted:
    try:
        header, tag = (base64.b64decode(part, validate=True) for part in seek.split('.'))
    except ValueError:
        raise CodecError('the metadata does not tell how the bytes are encrypted') from None
    return _Noted(header, tag)


class _Encoder:
    def __init__(self, header: bytes, cipher: _Cipher) -> None:
        self._header = self._unsent = header
        self._cipher = cipher
        self._buffer = bytearray()

    def update(self, data: bytes | memoryview) -> Iterator[bytes]:
        header, self._unsent = self._unsent, b''
        if header:
            yield header
        self._buffer += data
        # The last segment must be known as such: one is always held back.
        while len(self._buffer) > _SEGMENT:
            yield self._cipher.encrypt(bytes(self._buffer[:_SEGMENT]), last=False)
            del self._buffer[:_SEGMENT]

    def finish(self) -> bytes:
        return self._unsent + self._cipher.encrypt(bytes(self._buffer), last=True)

    def seek(self, before: str) -> str:
        """Return how its bytes can be entered; '' where there is only one segment."""
        if self._cipher.count < 2:
            return ''
        parts = self._header, self._cipher.note(before.encode())
        return '.'.join(base64.b64encode(part).decode() for part in parts)


class _Segments:
    """Decrypts segments.

    Args:
        cipher: of the object.
        to_the_end: the last segment here is the last of the object.
    """

    def __init__(self, cipher: _Cipher, to_the_end: bool = True) -> None:
        self._cipher = cipher
        self._to_the_end = to_the_end
        self._buffer = bytearray()

    def update(self, data: bytes | memoryview) -> Iterator[bytes]:
        self._buffer += data
        while len(self._buffer) > _SEGMENT + _TAG:
            yield self._cipher.decrypt(bytes(self._buffer[: _SEGMENT + _TAG]), last=False)
            del self._buffer[: _SEGMENT + _TAG]

    def finish(self) -> bytes:
        if len(self._buffer) < _TAG:
            raise CodecError('the encrypted bytes are not complete')
        return self._cipher.decrypt(bytes(self._buffer), last=self._to_the_end)


class _Decoder:
    """Decrypts an object from its header on."""

    def __init__(self, keys: Mapping[str, bytes], crypto: _Crypto) -> None:
        self._keys = keys
        self._crypto = crypto
        self._buffer = bytearray()
        self._segments: _Segments | None = None

    def update(self, data: bytes | memoryview) -> Iterator[bytes]:
        if self._segments is None:
            self._buffer += data
            size = _FIXED + (self._buffer[_FIXED - 1] if len(self._buffer) >= _FIXED else 0)
            if len(self._buffer) < size:
                return
            cipher = _cipher_of(bytes(self._buffer[:size]), self._keys, self._crypto)
            self._segments = _Segments(cipher)
            data = bytes(self._buffer[size:])
        yield from self._segments.update(data)

    def finish(self) -> bytes:
        if self._segments is None:
            raise CodecError('the encrypted bytes are not complete')
        return self._segments.finish()


def _cipher_of(header: bytes, keys: Mapping[str, bytes], crypto: _Crypto) -> _Cipher:
    """Return the cipher of the object that begins with *header*."""
    number = header[len(_MAGIC)] if len(header) >= _FIXED else 0
    if not header.startswith(_MAGIC) or number not in _NAMES:
        raise CodecError('the bytes are not encrypted as the metadata says')
    key_id = header[_FIXED:].decode(errors='replace')
    key = keys.get(key_id)
    if key is None:
        raise CodecError(f'the object is encrypted with the key {key_id!r}, which is not given')
    return crypto.cipher(number, key, header, header[len(_MAGIC) + 1 : _FIXED - 1])
