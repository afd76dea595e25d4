"""Key codecs (ADR-54): how a program's own keys become the keys of a bucket."""

from __future__ import annotations

import base64
from typing import Protocol

from ..errors import CodecError


class KeyCodec(Protocol):
    """Turns keys into keys that a bucket can hold (ADR-8), and back.

    A codec with a method ``encode_filter(pattern)`` allows patterns with wildcards too.
    """

    def encode(self, key: str) -> str:
        """Return the key to store under."""

    def decode(self, stored: str) -> str:
        """Return the key that was stored under *stored*."""


class Base64Keys:
    """Any text as a key: base64url of its UTF-8, as the official clients' codec writes it."""

    def encode(self, key: str) -> str:
        """Return the key to store under."""
        return base64.urlsafe_b64encode(key.encode()).decode()

    def decode(self, stored: str) -> str:
        """Return the key that was stored under *stored*.

        Raises:
            CodecError: that is not base64url.
        """
        try:
            return base64.b64decode(stored.encode(), altchars=b'-_', validate=True).decode()
        except ValueError as err:
            raise CodecError(f'key {stored!r} is not base64url') from err

    def encode_filter(self, pattern: str) -> str:
        """Return the pattern to watch: ``>`` stays, other wildcards cannot be told from text."""
        return pattern if pattern == '>' else self.encode(pattern)


class PathKeys:
    """Paths as keys: ``a/b`` is stored as ``a.b``, a leading separator as ``_root_``.

    Args:
        separator: of the parts of a path.
    """

    ROOT = '_root_'

    def __init__(self, separator: str = '/') -> None:
        if not separator or '.' in separator:
            raise ValueError('separator must be text without dots')
        self._separator = separator

    def encode(self, key: str) -> str:
        """Return the key to store under. A trailing separator is dropped (ADR-54)."""
        stripped = key.rstrip(self._separator) if len(key) > 1 else key
        if stripped.startswith(self._separator):
            stripped = self.ROOT + stripped
        return stripped.replace(self._separator, '.').rstrip('.')

    def decode(self, stored: str) -> str:
        """Return the key that was stored under *stored*."""
        path = stored.replace('.', self._separator)
        if path == self.ROOT or path.startswith(self.ROOT + self._separator):
            path = path[len(self.ROOT) :] or self._separator
        return path

    encode_filter = encode


class KeyChain:
    """Several key codecs one after the other; decoded in the reverse order.

    Args:
        codecs: the first is nearest to the program.
    """

    def __init__(self, *codecs: KeyCodec) -> None:
        self._codecs = codecs

    def encode(self, key: str) -> str:
        """Return the key to store under."""
        for codec in self._codecs:
            key = codec.encode(key)
        return key

    def decode(self, stored: str) -> str:
        """Return the key that was stored under *stored*."""
        for codec in reversed(self._codecs):
            stored = codec.decode(stored)
        return stored

    def encode_filter(self, pattern: str) -> str:
        """Return the pattern to watch."""
        for codec in self._codecs:
            pattern = encode_filter(codec, pattern)
        return pattern


def encode_filter(codec: KeyCodec, pattern: str) -> str:
    """Return *pattern* as *codec* stores it.

    Raises:
        ValueError: it has wildcards and the codec cannot encode those.
    """
    encoder = getattr(codec, 'encode_filter', None)
    if encoder is not None:
        encoded: str = encoder(pattern)
        return encoded
    if pattern == '>':
        return pattern
    if '*' in pattern or '>' in pattern:
        raise ValueError(f'{type(codec).__name__} cannot encode the pattern {pattern!r}')
    return codec.encode(pattern)
