"""pyev's API over the libev inside gevent's wheels.

What leaves a callback: an ``Exception`` is logged with its traceback and the loop goes on (unless
the loop has ``debug``); anything else breaks the loop and leaves ``start()``.
"""

from __future__ import annotations

import logging
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Any, NoReturn

from gevent.libev import corecext

from .. import native
from . import _signals, hub
from ._gevent_watchers import (
    Async,
    Callback,
    Check,
    Child,
    Error,
    Fork,
    Idle,
    Io,
    Prepare,
    Signal,
    Stat,
    Timer,
    core,
    missing,
)
from .constants import EV_MAXPRI, EV_READ, EVBREAK_ONE, EVFLAG_AUTO, EVRUN_NOWAIT, EVRUN_ONCE

_log = logging.getLogger('natsev')


class Loop:
    """A libev loop.

    Args:
        flags: ``EVFLAG_*`` and ``EVBACKEND_*``.
        callback: pyev's hook around pending callbacks; not there on gevent.
        data: anything, for the caller's own use.
        debug: let an Exception that a callback raises leave ``start()``, too.
        io_interval: not there on gevent.
        timeout_interval: not there on gevent.

    Raises:
        Error: no loop can be made with these flags.
        NotImplementedError: an argument that gevent's libev gives no access to.
    """

    def __init__(
        self,
        flags: int = EVFLAG_AUTO,
        callback: None = None,
        data: Any = None,
        debug: bool = False,
        io_interval: float = 0.0,
        timeout_interval: float = 0.0,
    ) -> None:
        if callback is not None:
            missing('Loop(callback=...)')
        if io_interval or timeout_interval:
            missing('Loop(io_interval=..., timeout_interval=...)')
        self._adopt(_new_native(flags, default=False), data, debug)
        self._owned = True
        self._handle_errors()

    @classmethod
    def _default(cls, flags: int, data: Any, debug: bool) -> Loop:
        self = cls.__new__(cls)
        self._adopt(_new_native(flags, default=True), data, debug)
        self._handle_errors()
        return self

    @classmethod
    def _of_hub(cls, native_loop: corecext.loop) -> Loop:
        self = cls.__new__(cls)
        self._adopt(native_loop, None, False)
        self._runner = native.thread_id()
        return self

    def _adopt(self, native_loop: corecext.loop, data: Any, debug: bool) -> None:
        self._native = native_loop
        self._owned = False
        self._escaped: BaseException | None = None
        self._runner = 0
        self.data = data
        self.debug = debug

    def _handle_errors(self) -> None:
        handler: Any = _ErrorHandler(self)
        self._native.error_handler = handler

    def __del__(self) -> None:
        # gevent's own deallocation writes to the loop after freeing it; destroy() does not.
        if getattr(self, '_owned', False):
            self._native.destroy()

    @property
    def native(self) -> corecext.loop:
        """The gevent loop below."""
        return self._native

    # running

    def start(self, flags: int = 0) -> None:
        """Run until nothing is active any more, or ``stop()``.

        Args:
            flags: ``EVRUN_NOWAIT`` handles what has happened and returns; ``EVRUN_ONCE`` waits for
                something to happen once.

        Raises:
            RuntimeError: somebody else runs this loop: a gevent hub, or another thread.
            BaseException: what left a callback and is not an Exception, such as KeyboardInterrupt.
        """
        hub.refuse(self._native)
        if self.runs_elsewhere():
            raise RuntimeError('this loop is run by another thread')
        self._runner = native.thread_id()
        nowait, once = bool(flags & EVRUN_NOWAIT), bool(flags & EVRUN_ONCE)
        if nowait or not _signals.in_main_thread():
            self._native.run(nowait, once)
        else:
            with self._interruptible():
                self._native.run(nowait, once)
        escaped, self._escaped = self._escaped, None
        if escaped is not None:
            try:
                raise escaped
            finally:
                del escaped

    def stop(self, how: int = EVBREAK_ONE) -> None:
        """Let ``start()`` return after this turn: ``EVBREAK_ONE``, or all that are nested."""
        hub.refuse(self._native)
        self._native.break_(how)

    def runs_elsewhere(self) -> bool:
        """Tell whether another thread is running the loop."""
        return self._native.depth > 0 and self._runner != native.thread_id()

    @contextmanager
    def _interruptible(self) -> Iterator[None]:
        waker = self._native.io(_signals.fd(), EV_READ, ref=False, priority=EV_MAXPRI)
        with _signals.awaited():
            waker.start(_signals.drain)
            try:
                yield
            finally:
                waker.stop()

    def _failed(self, watcher: object, error: BaseException) -> None:
        """Deal with what left the callback of *watcher*."""
        if hub.runs(self._native):
            hub.find().handle_error(watcher, type(error), error, error.__traceback__)
        elif isinstance(error, Exception) and not self.debug:
            _log.error('callback of %r raised', watcher, exc_info=error)
        else:
            if self._escaped is None:
                self._escaped = error
            self._native.break_(EVBREAK_ONE)

    # what pyev's loop has besides

    @property
    def default(self) -> bool:
        """Is this libev's default loop?"""
        return self._native.default

    @property
    def backend(self) -> int:
        """Which ``EVBACKEND_*`` is used."""
        return self._native.backend_int

    @property
    def pending(self) -> int:
        """How many callbacks are due."""
        return self._native.pendingcnt

    @property
    def iteration(self) -> int:
        """How often the loop polled."""
        return self._native.iteration

    @property
    def depth(self) -> int:
        """How many ``start()`` are nested."""
        return self._native.depth

    @property
    def callback(self) -> None:
        """pyev's hook around pending callbacks: none."""
        return

    @property
    def io_interval(self) -> float:
        """pyev's collecting of events: none."""
        return 0.0

    @property
    def timeout_interval(self) -> float:
        """pyev's collecting of timeouts: none."""
        return 0.0

    def now(self) -> float:
        """Return the time at which this turn began, in seconds since 1970."""
        return self._native.now()

    def update(self) -> None:
        """Set ``now()`` to the present time."""
        self._native.update_now()

    def ref(self) -> None:
        """Undo ``unref()``."""
        self._native.ref()

    def unref(self) -> None:
        """Let ``start()`` return although one watcher more is active."""
        self._native.unref()

    def reset(self) -> None:
        """Make the loop usable in a forked child."""
        self._native.reinit()

    def verify(self) -> None:
        """Have libev check itself; it aborts the program when something is wrong."""
        self._native.verify()

    def suspend(self) -> None:
        """Not there on gevent."""
        missing('Loop.suspend()')

    def resume(self) -> None:
        """Not there on gevent."""
        missing('Loop.resume()')

    def invoke(self) -> None:
        """Not there on gevent."""
        missing('Loop.invoke()')

    # watchers

    def io(
        self, fd: Any, events: int, callback: Callback, data: Any = None, priority: int = 0
    ) -> Io:
        """Return an ``Io`` on this loop."""
        return Io(fd, events, self, callback, data, priority)

    def timer(
        self, after: float, repeat: float, callback: Callback, data: Any = None, priority: int = 0
    ) -> Timer:
        """Return a ``Timer`` on this loop."""
        return Timer(after, repeat, self, callback, data, priority)

    def signal(
        self, signum: int, callback: Callback, data: Any = None, priority: int = 0
    ) -> Signal:
        """Return a ``Signal`` on this loop."""
        return Signal(signum, self, callback, data, priority)

    def child(
        self, pid: int, trace: bool, callback: Callback, data: Any = None, priority: int = 0
    ) -> Child:
        """Return a ``Child`` on this loop, which must be the default one."""
        return Child(pid, trace, self, callback, data, priority)

    def stat(
        self, path: Any, interval: float, callback: Callback, data: Any = None, priority: int = 0
    ) -> Stat:
        """Return a ``Stat`` on this loop."""
        return Stat(path, interval, self, callback, data, priority)

    def idle(self, callback: Callback, data: Any = None, priority: int = 0) -> Idle:
        """Return an ``Idle`` on this loop."""
        return Idle(self, callback, data, priority)

    def prepare(self, callback: Callback, data: Any = None, priority: int = 0) -> Prepare:
        """Return a ``Prepare`` on this loop."""
        return Prepare(self, callback, data, priority)

    def check(self, callback: Callback, data: Any = None, priority: int = 0) -> Check:
        """Return a ``Check`` on this loop."""
        return Check(self, callback, data, priority)

    def fork(self, callback: Callback, data: Any = None, priority: int = 0) -> Fork:
        """Return a ``Fork`` on this loop."""
        return Fork(self, callback, data, priority)

    def periodic(self, *args: Any) -> NoReturn:
        """Not there on gevent."""
        missing('Periodic')

    def scheduler(self, *args: Any) -> NoReturn:
        """Not there on gevent."""
        missing('Scheduler')

    def embed(self, *args: Any) -> NoReturn:
        """Not there on gevent."""
        missing('Embed')


def _async(self: Loop, callback: Callback, data: Any = None, priority: int = 0) -> Async:
    """Return an ``Async`` on this loop."""
    return Async(self, callback, data, priority)


setattr(Loop, 'async', _async)  # pyev's name, a keyword since


def _new_native(flags: int, *, default: bool) -> corecext.loop:
    try:
        return corecext.loop(flags, default=default)
    except (ValueError, SystemError) as error:
        raise Error("could not create Loop, bad 'flags'?") from error


class _ErrorHandler:
    """Gets what left gevent's hands outside our own guard: mostly a signal handler's exception."""

    def __init__(self, loop: Loop) -> None:
        self._loop = weakref.ref(loop)

    def handle_error(
        self,
        context: object,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        loop = self._loop()
        if loop is None or error is None:
            return
        if isinstance(context, core.io) and context.ref and context.callback is not None:
            # gevent stops an io watcher whose callback raised, once we return; and while the
            # callback runs, a number stands in the place of EVENTS.
            args = (core.EVENTS if isinstance(arg, int) else arg for arg in context.args or ())
            loop.native.run_callback(context.start, context.callback, *args)
        loop._failed(context, error)


_default: Loop | None = None
_of_hubs: weakref.WeakValueDictionary[int, Loop] = weakref.WeakValueDictionary()


def default_loop(
    flags: int = EVFLAG_AUTO,
    callback: None = None,
    data: Any = None,
    debug: bool = False,
    io_interval: float = 0.0,
    timeout_interval: float = 0.0,
) -> Loop:
    """Return the default loop, or where this thread has a gevent hub, the hub's.

    The arguments are those of ``Loop`` and count at the first call only.

    Raises:
        RuntimeError: the hub does not run on libev.
    """
    global _default
    hub_loop = hub.loop()
    if hub_loop is not None:
        return of_hub(hub_loop)
    if callback is not None:
        missing('default_loop(callback=...)')
    if io_interval or timeout_interval:
        missing('default_loop(io_interval=..., timeout_interval=...)')
    if _default is None:
        _default = Loop._default(flags, data, debug)
    return _default


def of_hub(hub_loop: corecext.loop) -> Loop:
    """Return the loop of a gevent hub as a ``Loop``."""
    known = _of_hubs.get(hub_loop.ptr)
    if known is None or known.native is not hub_loop:
        known = _of_hubs[hub_loop.ptr] = Loop._of_hub(hub_loop)
    return known
