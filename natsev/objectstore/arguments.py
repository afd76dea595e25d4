"""Arguments of the store's calls, checked before anything is sent."""

from __future__ import annotations

from typing import Any


def checked_seq(value: Any, what: str = 'expected_seq') -> int | None:
    """Return *value*, a sequence or None."""
    return None if value is None else checked_int(value, what, 0)


def checked_int(value: Any, what: str, least: int) -> int:
    """Return *value*, an int of at least *least*."""
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f'{what} must be int, not {type(value).__name__}')
    if value < least:
        raise ValueError(f'{what} must be at least {least}, not {value}')
    return value
