"""What a bucket holds for a key: one revision of it, as a message of the stream (ADR-8)."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal, TypedDict

from ..headers import Headers

Operation = Literal['PUT', 'DEL', 'PURGE']

# What the server says in the markers it writes itself (ADR-43, ADR-48), and what it means.
_MARKERS: dict[str, Operation] = {'MaxAge': 'PURGE', 'Purge': 'PURGE', 'Remove': 'DEL'}


class Entry(TypedDict):
    """One revision of a key.

    ``revision``: its sequence in the stream; ``created``: when it was stored (aware, UTC);
    ``delta``: how many newer messages the reader had still to come; ``op``: what it is.
    """

    bucket: str
    key: str
    value: Any
    revision: int
    created: datetime
    delta: int
    op: Operation


def operation(headers: Headers | None) -> Operation:
    """Return what a message with *headers* does to its key."""
    if headers is None:
        return 'PUT'
    named = headers.get('KV-Operation')
    if named in ('DEL', 'PURGE'):
        return named  # type: ignore[return-value]
    return _MARKERS.get(headers.get('Nats-Marker-Reason', ''), 'PUT')
