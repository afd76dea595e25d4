"""The protocol: ``Wire``, ``Request`` and what is theirs, compiled where that was built.

``NATSEV_PUREPYTHON=1`` in the environment forces the pure one.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from .events import YIELD, Err, Event, Info, Ok, Ping, Pong, Yield
from .shared import ACK, NOTHING, PAYLOAD, SEQUENCE, WINDOW, Delivery, check_timeout

if TYPE_CHECKING or os.environ.get('NATSEV_PUREPYTHON'):
    from .pure import Request, Window, Wire, arity, parse_delivery, parse_puback
else:
    try:
        from ._speedups import Request, Window, Wire, arity, parse_delivery, parse_puback
    except ImportError:
        from .pure import Request, Window, Wire, arity, parse_delivery, parse_puback

implementation = 'python' if Wire.__module__.endswith('.pure') else 'compiled'

__all__ = [
    'ACK',
    'NOTHING',
    'PAYLOAD',
    'SEQUENCE',
    'WINDOW',
    'YIELD',
    'Delivery',
    'Err',
    'Event',
    'Info',
    'Ok',
    'Ping',
    'Pong',
    'Request',
    'Window',
    'Wire',
    'Yield',
    'arity',
    'check_timeout',
    'implementation',
    'parse_delivery',
    'parse_puback',
]
