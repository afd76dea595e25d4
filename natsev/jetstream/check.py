"""Arguments of JetStream calls, checked before anything is sent."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime, timezone
from typing import Any


def options(given: Mapping[str, Any] | None, known: Iterable[str], what: str) -> dict[str, Any]:
    """Return the options *given*, each one of *known*; those that are None are left out."""
    if given is None:
        return {}
    if not isinstance(given, Mapping):
        raise TypeError(f'{what} options must be a mapping, not {type(given).__name__}')
    known = frozenset(known)
    for key in given:
        if key not in known:
            raise ValueError(f'unknown {what} option {key!r}')
    return {key: value for key, value in given.items() if value is not None}


def number(value: Any, what: str, least: int = 0) -> int:
    """Return *value*, an int of at least *least*."""
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f'{what} must be int, not {type(value).__name__}')
    if value < least:
        raise ValueError(f'{what} must be at least {least}, not {value}')
    return value


def timestamp(value: Any, what: str) -> str:
    """Return a time as RFC 3339: *value* is an aware datetime, or such a string already."""
    if isinstance(value, str):
        return value
    if not isinstance(value, datetime):
        raise TypeError(f'{what} must be a datetime or str, not {type(value).__name__}')
    if value.tzinfo is None:
        raise ValueError(f'{what} must be an aware datetime')
    return value.astimezone(timezone.utc).isoformat().replace('+00:00', 'Z')
