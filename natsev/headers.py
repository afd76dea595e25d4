"""A ``NATS/1.0`` header block (ADR-4): looked at when it comes in, encoded when it goes out."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, TypeAlias

_VERSION = b'NATS/1.0'
_NAME = re.compile(r'[!-9;-~]+')  # printable ASCII but the colon
_STATUS = re.compile(rb'NATS/1\.0[ \t]+(\d{3})(?!\d)[ \t]*([^\r\n]*)')

Value: TypeAlias = 'str | bytes | int'
HeadersLike: TypeAlias = (
    'Mapping[str, Value | Iterable[Value]] | Iterable[tuple[str, Value | Iterable[Value]]]'
    ' | bytes | bytearray | memoryview'
)


class Headers(Mapping[str, str]):
    """The headers of a message that came in, parsed when first looked at.

    A mapping of each name to its **first** value; ``get_all`` and ``pairs`` give the others. Names
    keep the case and the order they were sent in. A look-up takes the exact name first and, where
    there is none, the first name that differs only in case. Lines that are not ``name: value`` are
    left out, and bytes that are not UTF-8 are kept as ``surrogateescape`` does.

    Args:
        raw: the block, from ``NATS/1.0`` to the empty line.

    Attributes:
        raw: the block as it came.
    """

    __slots__ = ('_first', '_folded', '_pairs', 'raw')

    def __init__(self, raw: bytes) -> None:
        self.raw = raw
        self._pairs: list[tuple[str, str]] | None = None
        self._first: dict[str, str] | None = None
        self._folded: dict[str, str] | None = None

    @property
    def status(self) -> int | None:
        """The code of the status line, such as 503, or None."""
        found = _STATUS.match(self.raw)
        return int(found[1]) if found else None

    @property
    def description(self) -> str:
        """The words after the status code, or ``''``."""
        found = _STATUS.match(self.raw)
        return _text(found[2]) if found else ''

    def pairs(self) -> list[tuple[str, str]]:
        """Return every ``(name, value)``, repeated names included, in the order they were sent."""
        return list(self._parsed())

    def get_all(self, name: str) -> list[str]:
        """Return all values of *name*, in the order they were sent; ``[]`` when there are none."""
        exact = [value for key, value in self._parsed() if key == name]
        if exact:
            return exact
        wanted = self._spelling(name)
        return [value for key, value in self._parsed() if key == wanted]

    def last(self, name: str, default: str | None = None) -> str | None:
        """Return the last value of *name*.

        A server adds its own headers after those that a publisher stored: where the server is the
        one to be believed (``Nats-Sequence`` and its kin), the last value is the server's.
        """
        values = self.get_all(name)
        return values[-1] if values else default

    def __getitem__(self, name: str) -> str:
        first = self._firsts()
        try:
            return first[name]
        except KeyError:
            spelling = self._spelling(name)
            if spelling is None:
                raise
            return first[spelling]

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and (
            name in self._firsts() or self._spelling(name) is not None
        )

    def __iter__(self) -> Iterator[str]:
        return iter(self._firsts())

    def __len__(self) -> int:
        return len(self._firsts())

    def __repr__(self) -> str:
        status = f' status={self.status}' if self.status is not None else ''
        return f'<Headers{status} {self.pairs()!r}>'

    def __reduce__(self) -> tuple[type[Headers], tuple[bytes]]:
        return Headers, (self.raw,)

    def _parsed(self) -> list[tuple[str, str]]:
        if self._pairs is None:
            self._pairs = list(_pairs(self.raw))
        return self._pairs

    def _firsts(self) -> dict[str, str]:
        if self._first is None:
            # The last assignment wins, so going backwards leaves the first value of each name.
            first = dict(reversed(self._parsed()))
            self._first = {name: first[name] for name, _ in self._parsed()}
        return self._first

    def _spelling(self, name: str) -> str | None:
        if self._folded is None:
            self._folded = {}
            for known in self._firsts():
                self._folded.setdefault(known.lower(), known)
        return self._folded.get(name.lower())


def _pairs(raw: bytes) -> Iterator[tuple[str, str]]:
    for line in raw.split(b'\r\n')[1:]:
        name, colon, value = line.partition(b':')
        if colon and name:
            yield _text(name), _text(value.strip(b' \t'))


def _text(data: bytes) -> str:
    return data.decode('utf-8', 'surrogateescape')


def encode_headers(headers: HeadersLike) -> bytes:
    """Return the header block for *headers*, checked.

    Args:
        headers: a mapping or an iterable of pairs; a value is a ``str`` (sent as UTF-8),
            ``bytes``, an ``int``, or a list of them (the name is then repeated). Or a whole block
            as bytes-like, from ``NATS/1.0`` to the empty line.

    Raises:
        TypeError: a name or value of another type.
        ValueError: a name that is empty or not printable ASCII without a colon; a value with a line
            break; a block that does not begin or end as one.
    """
    if isinstance(headers, (bytes, bytearray, memoryview)):
        return _checked_block(bytes(headers))
    lines = [_VERSION]
    for name, value in _items(headers):
        checked = _checked_name(name)
        values = value if isinstance(value, (list, tuple)) else (value,)
        lines += [b'%b: %b' % (checked, _checked_value(name, each)) for each in values]
    lines += (b'', b'')
    return b'\r\n'.join(lines)


def _items(headers: Any) -> Iterable[tuple[str, Any]]:
    if isinstance(headers, Headers):
        return headers.pairs()
    if isinstance(headers, Mapping):
        return headers.items()
    if isinstance(headers, str) or not isinstance(headers, Iterable):
        raise TypeError(
            f'headers must be a mapping, pairs or a block as bytes, not {type(headers).__name__}'
        )
    return headers


def _checked_block(block: bytes) -> bytes:
    if not block.startswith((_VERSION + b'\r\n', _VERSION + b' ')):
        raise ValueError(f'a header block begins with NATS/1.0, not {block[:16]!r}')
    if not block.endswith(b'\r\n\r\n'):
        raise ValueError(f'a header block ends with an empty line, not {block[-16:]!r}')
    return block


def _checked_name(name: object) -> bytes:
    if not isinstance(name, str):
        raise TypeError(f'header name must be str, not {type(name).__name__}')
    if not _NAME.fullmatch(name):
        raise ValueError(f'header name {name[:64]!r} is not printable ASCII without a colon')
    return name.encode()


def _checked_value(name: str, value: object) -> bytes:
    if isinstance(value, str):
        data = value.encode('utf-8', 'surrogateescape')
    elif isinstance(value, bytes):
        data = value
    elif isinstance(value, int) and not isinstance(value, bool):
        data = b'%d' % value
    else:
        raise TypeError(
            f'value of header {name!r} must be str, bytes or int, not {type(value).__name__}'
        )
    if b'\r' in data or b'\n' in data:
        raise ValueError(f'value of header {name!r} contains a line break')
    return data
