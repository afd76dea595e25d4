"""The protocol: ``Wire`` and ``Request``, from the compiled twin where there is one.

``NATSEV_PUREPYTHON=1`` in the environment forces the pure one.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from .events import YIELD, Err, Event, Info, Ok, Ping, Pong, Yield

if TYPE_CHECKING or os.environ.get('NATSEV_PUREPYTHON'):
    from .pure import Request, Wire, parse_puback
else:
    try:
        from ._speedups import Request, Wire, parse_puback
    except ImportError:
        from .pure import Request, Wire, parse_puback

implementation = 'python' if Wire.__module__.endswith('.pure') else 'compiled'

__all__ = [
    'YIELD',
    'Err',
    'Event',
    'Info',
    'Ok',
    'Ping',
    'Pong',
    'Request',
    'Wire',
    'Yield',
    'implementation',
    'parse_puback',
]
