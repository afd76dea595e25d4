"""What arguments may look like: durations, sizes, headers; and how such things are shown."""

from __future__ import annotations

import re
from datetime import timedelta

import click

_NS = {
    'ns': 1, 'us': 1_000, 'ms': 1_000_000, 's': 1_000_000_000, 'm': 60_000_000_000,
    'h': 3_600_000_000_000, 'd': 86_400_000_000_000, 'w': 604_800_000_000_000,
    'y': 31_536_000_000_000_000,
}  # fmt: skip
_PART = re.compile(r'(\d+(?:\.\d+)?)(ns|us|ms|s|m|h|d|w|y)')
_SIZE = re.compile(r'(\d+(?:\.\d+)?)\s*([kmgt]?)(i?)(b?)', re.I)
_POWERS = {'': 0, 'k': 1, 'm': 2, 'g': 3, 't': 4}


def duration(text: str | int) -> int:
    """Parse a duration such as ``500ms``, ``5s`` or ``1h30m``; the value is in nanoseconds."""
    if isinstance(text, int):
        return text
    parts = _PART.findall(text.replace('µ', 'u'))
    if text != '0' and (not parts or ''.join(map(''.join, parts)) != text.replace('µ', 'u')):
        raise click.BadParameter(f'{text!r} is no duration; say 500ms, 5s, 1h30m or 7d')
    return round(sum(float(number) * _NS[unit] for number, unit in parts))


def timedelta_of(ns: int) -> timedelta:
    """Return a duration in nanoseconds as the library takes it."""
    return timedelta(microseconds=ns / 1000)


def size(text: str | int) -> int:
    """Parse a size such as ``64KiB``, ``10MB`` (10,000,000 bytes) or ``1G``."""
    if isinstance(text, int):
        return text
    found = _SIZE.fullmatch(text.strip())
    if not found:
        raise click.BadParameter(f'{text!r} is no size; say 4096, 64KiB, 10MB or 1G')
    number, prefix, binary, byte = found.groups()
    base = 1000 if byte and not binary else 1024
    unit: int = base ** _POWERS[prefix.lower()]
    return round(float(number) * unit)


def header(text: str) -> tuple[str, str]:
    """Parse ``name:value``."""
    return _pair(text, ':')


def metadata(text: str) -> tuple[str, str]:
    """Parse ``name=value``."""
    return _pair(text, '=')


def _pair(text: str, separator: str) -> tuple[str, str]:
    name, found, value = text.partition(separator)
    if not found or not name.strip():
        raise click.BadParameter(f'{text!r} is not name{separator}value')
    return name.strip(), value.strip()


def show_size(size: float) -> str:
    """Return *size* in bytes as people read it, such as ``1.5 MiB``."""
    if size < 0:
        return 'unlimited'
    for unit in ('B', 'KiB', 'MiB', 'GiB'):
        if size < 1024:
            return f'{size:.0f} B' if unit == 'B' else f'{size:.1f} {unit}'
        size /= 1024
    return f'{size:.1f} TiB'


def show_duration(ns: int) -> str:
    """Return a duration in nanoseconds as people read it, such as ``1h30m``; 0 is ``none``."""
    if ns <= 0:
        return 'none'
    parts = []
    for unit in ('d', 'h', 'm', 's', 'ms', 'us', 'ns'):
        number, ns = divmod(ns, _NS[unit])
        if number:
            parts.append(f'{number}{unit}')
    return ''.join(parts)


def show_limit(number: int) -> str:
    """Return a limit; the server writes no limit as -1."""
    return 'unlimited' if number < 0 else f'{number:,}'


def count_of(number: int, noun: str) -> str:
    """Return such as ``1 object`` or ``3 objects``."""
    return f'{number:,} {noun}{"" if number == 1 else "s"}'
