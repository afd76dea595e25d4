"""What one message of a bucket says: a value put, or a mark that one is gone (ADR-8, ADR-48)."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal, TypedDict

from ..errors import CodecError
from ..headers import Headers

Operation = Literal['PUT', 'DEL', 'PURGE']

OPERATION = 'KV-Operation'
_MARKER = 'Nats-Marker-Reason'
# ADR-48: marks that the server leaves by itself.
_MARKERS: dict[str, Operation] = {'MaxAge': 'PURGE', 'Purge': 'PURGE', 'Remove': 'DEL'}


class Entry(TypedDict):
    """A revision of a key.

    ``value`` is None for ``DEL`` and ``PURGE``, when only metadata was asked for, and when it could
    not be decoded: then ``error`` says why and ``raw`` has the bytes.
    """

    bucket: str
    key: str
    value: Any
    revision: int
    time: datetime
    created: datetime  # the same, by the name of ADR-8
    delta: int
    operation: Operation
    raw: bytes
    error: CodecError | None


def operation_of(headers: Headers | None) -> Operation:
    """Return what a message with these headers does to its key."""
    if headers is None:
        return 'PUT'
    raw = headers.raw
    if b'KV-Operation' not in raw and b'Nats-Marker-Reason' not in raw:  # nearly always
        return 'PUT'
    operation = headers.get(OPERATION)
    if operation is None:
        return _MARKERS.get(headers.get(_MARKER, ''), 'PUT')
    # ADR-8: whatever else stands there, the key is gone.
    return 'PURGE' if operation == 'PURGE' else 'DEL' if operation != 'PUT' else 'PUT'
