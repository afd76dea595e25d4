"""Authenticated encryption of objects, as a codec.

The encrypted bytes begin with a header (magic, cipher, a random salt, the key's id), then come
segments of 64 KiB, each with its tag. Every object has a key of its own, derived from the user's
key and the salt (HKDF-SHA256), under which the segments are numbered: the nonce of a segment is its
number, and whether it is the last. So segments cannot be left out, put in another order, taken from
another object, or cut off at the end. The header is authenticated with each segment. This is the
STREAM construction of Hoang, Reyhanitabar, Rogaway and Vizár.

What it does not hide: the size of objects, their names and metadata. And it does not tell which
object belongs under which name.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from typing import Any

from ..errors import CodecError, MissingExtraError
from .codecs import KEY, Coder

_MAGIC = b'NSE1'
_SALT = 32
_SEGMENT = 64 * 1024
_TAG = 16
_NAMES = {1: 'aes-256-gcm', 2: 'chacha20-poly1305'}
_MOST_KEY_ID = 255


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


class _Encoder:
    def __init__(self, header: bytes, cipher: _Cipher) -> None:
        self._header = header
        self._cipher = cipher
        self._buffer = bytearray()

    def update(self, data: bytes | memoryview) -> Iterator[bytes]:
        header, self._header = self._header, b''
        if header:
            yield header
        self._buffer += data
        # The last segment must be known as such: one is always held back.
        while len(self._buffer) > _SEGMENT:
            yield self._cipher.encrypt(bytes(self._buffer[:_SEGMENT]), last=False)
            del self._buffer[:_SEGMENT]

    def finish(self) -> bytes:
        return self._header + self._cipher.encrypt(bytes(self._buffer), last=True)


class _Decoder:
    def __init__(self, keys: Mapping[str, bytes], crypto: _Crypto) -> None:
        self._keys = keys
        self._crypto = crypto
        self._cipher: _Cipher | None = None
        self._buffer = bytearray()

    def update(self, data: bytes | memoryview) -> Iterator[bytes]:
        self._buffer += data
        if self._cipher is None and not self._begin():
            return
        assert self._cipher is not None
        while len(self._buffer) > _SEGMENT + _TAG:
            yield self._cipher.decrypt(bytes(self._buffer[: _SEGMENT + _TAG]), last=False)
            del self._buffer[: _SEGMENT + _TAG]

    def _begin(self) -> bool:
        """Read the header, if it is there."""
        fixed = len(_MAGIC) + 1 + _SALT + 1
        buffer = self._buffer
        if len(buffer) < fixed or len(buffer) < fixed + buffer[fixed - 1]:
            return False
        size = fixed + buffer[fixed - 1]
        header = bytes(buffer[:size])
        number = header[len(_MAGIC)]
        if not header.startswith(_MAGIC) or number not in _NAMES:
            raise CodecError('the bytes are not encrypted as the metadata says')
        key_id = header[fixed:].decode(errors='replace')
        key = self._keys.get(key_id)
        if key is None:
            raise CodecError(f'the object is encrypted with the key {key_id!r}, which is not given')
        salt = header[len(_MAGIC) + 1 : fixed - 1]
        self._cipher = self._crypto.cipher(number, key, header, salt)
        del buffer[:size]
        return True

    def finish(self) -> bytes:
        if self._cipher is None or len(self._buffer) < _TAG:
            raise CodecError('the encrypted bytes are not complete')
        return self._cipher.decrypt(bytes(self._buffer), last=True)
