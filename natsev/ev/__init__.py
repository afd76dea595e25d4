"""The loop: pyev's API, and ``run`` and ``break_`` as in Perl's EV.

Where ``pyev`` can be imported, on CPython 3.11 and older, this is pyev. Elsewhere the same API
stands on the libev inside gevent's wheels. ``NATSEV_LOOP=pyev`` or ``NATSEV_LOOP=gevent`` in the
environment chooses, and ``implementation`` says which it is.
"""

from __future__ import annotations

import os
import sys
from importlib import import_module
from typing import TYPE_CHECKING

from . import constants
from .constants import *  # noqa: F403


def _choose() -> str:
    chosen = os.environ.get('NATSEV_LOOP', '')
    if chosen not in ('', 'pyev', 'gevent'):
        raise ValueError(f"NATSEV_LOOP must be 'pyev' or 'gevent', not {chosen!r}")
    if chosen == 'gevent' or (not chosen and sys.version_info >= (3, 12)):  # pyev crashes there
        return 'gevent'
    try:
        import_module('pyev')
    except ImportError as error:
        if chosen:
            raise ImportError(
                f'NATSEV_LOOP is pyev, and pyev cannot be imported: {error}'
            ) from error
        return 'gevent'
    return 'pyev'


implementation = _choose()

if TYPE_CHECKING or implementation == 'gevent':
    from ._gevent import (
        Async,
        Check,
        Child,
        Embed,
        Error,
        Fork,
        Idle,
        Io,
        Loop,
        Periodic,
        Prepare,
        Scheduler,
        Signal,
        Stat,
        Timer,
        abi_version,
        break_,
        default_loop,
        embeddable_backends,
        feed_signal,
        recommended_backends,
        run,
        sleep,
        supported_backends,
        time,
        version,
    )
else:
    from ._pyev import *  # noqa: F403

__all__ = [
    'Async',
    'Check',
    'Child',
    'Embed',
    'Error',
    'Fork',
    'Idle',
    'Io',
    'Loop',
    'Periodic',
    'Prepare',
    'Scheduler',
    'Signal',
    'Stat',
    'Timer',
    'abi_version',
    'break_',
    'default_loop',
    'embeddable_backends',
    'feed_signal',
    'implementation',
    'recommended_backends',
    'run',
    'sleep',
    'supported_backends',
    'time',
    'version',
    *(name for name in dir(constants) if name.startswith('EV')),
]
