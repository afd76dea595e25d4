"""What ``natsev.ev`` offers where it stands on gevent's libev."""

from __future__ import annotations

from gevent.libev import corecext

from .. import native
from ._gevent_loop import Loop, default_loop
from ._gevent_watchers import (
    Async,
    Check,
    Child,
    Embed,
    Error,
    Fork,
    Idle,
    Io,
    Periodic,
    Prepare,
    Scheduler,
    Signal,
    Stat,
    Timer,
    core,
    missing,
)
from .constants import EVBREAK_ALL

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
    'recommended_backends',
    'run',
    'sleep',
    'supported_backends',
    'time',
    'version',
]


def run(flags: int = 0) -> None:
    """Run the default loop until nothing is active any more, or ``break_()``.

    Args:
        flags: ``EVRUN_NOWAIT`` handles what has happened and returns; ``EVRUN_ONCE`` waits for
            something to happen once.

    Raises:
        RuntimeError: somebody else runs the loop: a gevent hub, or another thread.
        BaseException: what left a callback and is not an Exception, such as KeyboardInterrupt.
    """
    default_loop().start(flags)


def break_(how: int = EVBREAK_ALL) -> None:
    """Let ``run()`` return after the present turn: all that are nested, or only the innermost."""
    default_loop().stop(how)


def version() -> str:
    """Return which libev this is."""
    return corecext.get_version()


def abi_version() -> tuple[int, int]:
    """Return libev's major and minor version."""
    major, minor = corecext.get_version().removeprefix('libev-').split('.')
    return int(major), int(minor)


def _backends(names: list[str | int]) -> int:
    bits: int = core._flags_to_int([name for name in names if isinstance(name, str)])
    return bits


def supported_backends() -> int:
    """Return the ``EVBACKEND_*`` that libev was built with."""
    return _backends(corecext.supported_backends())


def recommended_backends() -> int:
    """Return the ``EVBACKEND_*`` that work well here."""
    return _backends(corecext.recommended_backends())


def embeddable_backends() -> int:
    """Return the ``EVBACKEND_*`` that can be embedded in another loop."""
    return _backends(corecext.embeddable_backends())


def time() -> float:
    """Return the time, in seconds since 1970."""
    return corecext.time()


def sleep(seconds: float) -> None:
    """Block this thread for *seconds*."""
    native.original('time', 'sleep')(seconds)


def feed_signal(signum: int) -> None:
    """Not there on gevent."""
    missing('feed_signal()')
