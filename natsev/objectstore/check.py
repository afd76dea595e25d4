"""Arguments of the store's methods, checked before anything is sent."""

from __future__ import annotations

from typing import Any

from . import record
from .put import Condition


def text(value: Any, what: str) -> str | None:
    """Return *value*: a text, or None."""
    if value is not None and not isinstance(value, str):
        raise TypeError(f'{what} must be str, not {type(value).__name__}')
    return value


def number(value: Any, what: str, least: int) -> int:
    """Return *value*: an int of at least *least*."""
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f'{what} must be int, not {type(value).__name__}')
    if value < least:
        raise ValueError(f'{what} must be at least {least}, not {value}')
    return value


def timeout(value: Any) -> float:
    """Return *value*: milliseconds."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise TypeError(f'timeout must be a number of ms, not {type(value).__name__}')
    if value <= 0:
        raise ValueError(f'timeout must be more than 0 ms, not {value}')
    return value


def condition(expected_seq: Any, if_absent: Any = False) -> Condition:
    """Return what must hold for an object to be stored or deleted."""
    if expected_seq is not None:
        number(expected_seq, 'expected_seq', 0)
        if if_absent:
            raise ValueError('expected_seq and if_absent exclude each other')
    return Condition(expected_seq, bool(if_absent))


def digest(value: Any, what: str) -> bytes | None:
    """Return the digest in *value*, a text as in metadata."""
    if text(value, what) is None:
        return None
    found = record.digest_bytes(value)
    if not found:
        raise ValueError(f'{what} is not a digest: {value!r}')
    return found
