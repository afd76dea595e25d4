"""Arguments of the store's methods, checked before anything is sent."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from . import record
from .sink import Part
from .storing.put import Condition


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


def age(value: Any, what: str) -> timedelta:
    """Return *value*, milliseconds or a ``timedelta``."""
    if isinstance(value, timedelta):
        checked = value
    elif isinstance(value, bool) or not isinstance(value, (int, float)):
        raise TypeError(f'{what} must be a number of ms or a timedelta, not {type(value).__name__}')
    else:
        checked = timedelta(milliseconds=value)
    if checked < timedelta(0):
        raise ValueError(f'{what} must be at least 0, not {value}')
    return checked


def condition(expected_seq: Any, if_absent: Any = False) -> Condition:
    """Return what must hold for an object to be stored or deleted."""
    if expected_seq is not None:
        number(expected_seq, 'expected_seq', 0)
        if if_absent:
            raise ValueError('expected_seq and if_absent exclude each other')
    return Condition(expected_seq, bool(if_absent))


def part(offset: Any, length: Any) -> Part:
    """Return the part of an object that is wanted."""
    number(offset, 'offset', 0)
    if length is not None:
        number(length, 'length', 0)
    return Part(offset, length)


def digest(value: Any, what: str) -> bytes | None:
    """Return the digest in *value*, a text as in metadata."""
    if text(value, what) is None:
        return None
    found = record.digest_bytes(value)
    if not found:
        raise ValueError(f'{what} is not a digest: {value!r}')
    return found
