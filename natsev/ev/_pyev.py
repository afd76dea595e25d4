"""What ``natsev.ev`` offers where it is the real pyev.

pyev reports whatever leaves a callback to ``sys.unraisablehook`` and goes on. That is right for an
``Exception``: its traceback is printed. But a KeyboardInterrupt or a SystemExit must end the
program, so while ``run()`` or ``Loop.start()`` runs, the hook takes those, breaks the loop, and
they are raised where it returns. ``start()`` of pyev's own default loop object stays as pyev made
it: use ``run()``.
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import import_module
from typing import Any

from .. import native
from . import _signals, hub
from .constants import EV_MAXPRI, EV_READ, EVBREAK_ALL, EVBREAK_ONE, EVFLAG_AUTO, EVRUN_NOWAIT

pyev: Any = import_module('pyev')

Async, Check, Child, Embed = pyev.Async, pyev.Check, pyev.Child, pyev.Embed
Fork, Idle, Io, Periodic = pyev.Fork, pyev.Idle, pyev.Io, pyev.Periodic
Prepare, Scheduler, Signal, Stat = pyev.Prepare, pyev.Scheduler, pyev.Signal, pyev.Stat
Timer, Error = pyev.Timer, pyev.Error
abi_version, version = pyev.abi_version, pyev.version
embeddable_backends, recommended_backends = pyev.embeddable_backends, pyev.recommended_backends
supported_backends = pyev.supported_backends
feed_signal, sleep, time = pyev.feed_signal, pyev.sleep, pyev.time

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


class Loop(pyev.Loop):  # type: ignore[misc]  # pyev has no type hints
    """pyev's Loop, whose ``start()`` lets KeyboardInterrupt and its like out."""

    def start(self, flags: int = 0) -> None:
        """Run until nothing is active any more, or ``stop()``.

        Args:
            flags: ``EVRUN_NOWAIT`` handles what has happened and returns; ``EVRUN_ONCE`` waits for
                something to happen once.

        Raises:
            BaseException: what left a callback and is not an Exception, such as KeyboardInterrupt.
        """
        _run(self, super().start, flags)


_default: Any = None


def default_loop(
    flags: int = EVFLAG_AUTO,
    callback: Callable[[Any], object] | None = None,
    data: Any = None,
    debug: bool = False,
    io_interval: float = 0.0,
    timeout_interval: float = 0.0,
) -> Any:
    """Return pyev's default loop, or where this thread has a gevent hub, the hub's.

    The arguments are those of ``Loop`` and count at the first call only.

    Raises:
        RuntimeError: the hub does not run on libev.
    """
    global _default
    hub_loop = hub.loop()
    if hub_loop is not None:
        from ._gevent_loop import of_hub  # only where gevent is there already

        return of_hub(hub_loop)
    if _default is None:
        with warnings.catch_warnings():  # pyev warns when it was asked for the loop before
            warnings.simplefilter('ignore')
            _default = pyev.default_loop(
                flags, callback, data, debug, io_interval, timeout_interval
            )
    return _default


def run(flags: int = 0) -> None:
    """Run the default loop until nothing is active any more, or ``break_()``.

    Args:
        flags: ``EVRUN_NOWAIT`` handles what has happened and returns; ``EVRUN_ONCE`` waits for
            something to happen once.

    Raises:
        RuntimeError: a gevent hub runs the loop.
        BaseException: what left a callback and is not an Exception, such as KeyboardInterrupt.
    """
    loop = default_loop()
    if loop is _default:
        _run(loop, loop.start, flags)
    else:
        loop.start(flags)


def break_(how: int = EVBREAK_ALL) -> None:
    """Let ``run()`` return after this turn: all that are nested, or only the innermost."""
    default_loop().stop(how)


class _Run:
    """A loop that runs, and what left one of its callbacks."""

    def __init__(self, loop: Any) -> None:
        self.loop = loop
        self.escaped: BaseException | None = None


# The runs of each thread, the innermost last.
_runs: dict[int, list[_Run]] = {}
_lock = native.original('_thread', 'allocate_lock')()
_hook_before: Callable[[Any], object] = sys.unraisablehook


def _run(loop: Any, start: Callable[[int], None], flags: int) -> None:
    this = _Run(loop)
    _enter(this)
    try:
        if flags & EVRUN_NOWAIT or not _signals.in_main_thread():
            start(flags)
        else:
            with _interruptible(loop):
                start(flags)
    finally:
        _leave(this)
    escaped, this.escaped = this.escaped, None
    if escaped is not None:
        try:
            raise escaped
        finally:
            del escaped


def _enter(this: _Run) -> None:
    global _hook_before
    with _lock:
        if not _runs:
            _hook_before = sys.unraisablehook
            sys.unraisablehook = _hook
        _runs.setdefault(native.thread_id(), []).append(this)


def _leave(this: _Run) -> None:
    thread = native.thread_id()
    with _lock:
        _runs[thread].remove(this)
        if not _runs[thread]:
            del _runs[thread]
        if not _runs and sys.unraisablehook is _hook:
            sys.unraisablehook = _hook_before


def _hook(unraisable: Any) -> None:
    runs = _runs.get(native.thread_id())
    error = unraisable.exc_value
    if runs and error is not None and not isinstance(error, Exception):
        if runs[-1].escaped is None:
            runs[-1].escaped = error
        runs[-1].loop.stop(EVBREAK_ONE)
    else:
        _hook_before(unraisable)


@contextmanager
def _interruptible(loop: Any) -> Iterator[None]:
    waker = pyev.Io(_signals.fd(), EV_READ, loop, _drain, None, EV_MAXPRI)
    with _signals.awaited():
        waker.start()
        loop.unref()
        try:
            yield
        finally:
            loop.ref()
            waker.stop()


def _drain(_watcher: Any, _revents: int) -> None:
    _signals.drain()
