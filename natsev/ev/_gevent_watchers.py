"""pyev's watchers over the libev inside gevent's wheels.

gevent's own watchers are made for greenlets: they take their callback at start and keep themselves
alive. The classes here wrap them with pyev's manners: the callback is an attribute and gets
``(watcher, revents)``, settings can be changed with ``set``, and a watcher that nobody refers to
any more is stopped.
"""

from __future__ import annotations

import os
import weakref
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple, NoReturn

from gevent.libev import corecext

from .constants import (
    EV_ASYNC,
    EV_CHECK,
    EV_CHILD,
    EV_FORK,
    EV_IDLE,
    EV_PREPARE,
    EV_READ,
    EV_SIGNAL,
    EV_STAT,
    EV_TIMER,
    EV_WRITE,
)

if TYPE_CHECKING:
    from ._gevent_loop import Loop

Callback = Callable[[Any, int], object]

core: Any = corecext  # the stubs know its loop, not the rest


class Error(Exception):
    """What libev refuses."""


def missing(what: str) -> NoReturn:
    """Refuse what gevent gives no access to."""
    raise NotImplementedError(f'{what}: not in the libev that gevent ships; the real pyev has it')


class Watcher:
    """What all watchers have in common.

    Attributes:
        loop: the loop.
        data: anything, for the caller's own use.
    """

    __slots__ = ('__weakref__', '_callback', '_native', '_ref', 'data', 'loop')

    _native: Any
    _revents = 0

    def __init__(
        self, native_watcher: Any, loop: Loop, callback: Callback, data: Any, priority: int
    ) -> None:
        self._native = native_watcher
        self.loop = loop
        self.callback = callback
        self.data = data
        self._ref = weakref.ref(self)
        if priority:
            native_watcher.priority = priority

    def __del__(self) -> None:
        native_watcher = getattr(self, '_native', None)
        if native_watcher is None or not native_watcher.loop.ptr:  # not made, or the loop is gone
            return
        if native_watcher.active or native_watcher.pending:
            if self.loop.runs_elsewhere():  # the garbage collector works in any thread
                native_watcher.loop.run_callback_threadsafe(native_watcher.stop)
            else:
                native_watcher.stop()

    def start(self) -> None:
        """Start watching; nothing happens when the watcher is active."""
        if not self._native.active:
            self._native.start(_fire, core.EVENTS, self._ref)

    def stop(self) -> None:
        """Stop watching, and forget what is pending."""
        self._native.stop()

    def clear(self) -> int:
        """Forget what is pending. Return its events (an ``Io``: all that it watches), or 0."""
        if not self._native.pending:
            return 0
        active = self._native.active
        self._native.stop()
        if active:
            self.start()
        return self._revents

    def invoke(self, revents: int) -> None:
        """Call the callback now."""
        _call(self, revents)

    def feed(self, revents: int) -> None:
        """Have the loop call the callback as if *revents* had happened."""
        self._native.feed(revents, _fire, core.EVENTS, self._ref)

    @property
    def active(self) -> bool:
        """Is it started?"""
        active: bool = self._native.active
        return active

    @property
    def pending(self) -> bool:
        """Did something happen that the callback was not told yet?"""
        pending: bool = self._native.pending
        return pending

    @property
    def callback(self) -> Callback:
        """Called with ``(watcher, revents)``."""
        return self._callback

    @callback.setter
    def callback(self, callback: Callback) -> None:
        if not callable(callback):
            raise TypeError('a callable is required')
        self._callback = callback

    @property
    def priority(self) -> int:
        """From ``EV_MINPRI`` to ``EV_MAXPRI``; higher is called earlier."""
        priority: int = self._native.priority
        return priority

    @priority.setter
    def priority(self, priority: int) -> None:
        self._refuse_active('set the priority of')
        self._native.priority = priority

    def _refuse_active(self, what: str = 'set') -> None:
        if self._native.active:
            raise Error(f'you cannot {what} a watcher while it is active')

    def _replace(self, native_watcher: Any) -> None:
        self._refuse_active()
        native_watcher.priority = self._native.priority
        self._native.stop()
        self._native = native_watcher


def _fire(revents: int, ref: weakref.ref[Watcher]) -> None:
    watcher = ref()
    if watcher is not None:
        _call(watcher, revents)


def _call(watcher: Watcher, revents: int) -> None:
    try:
        watcher._callback(watcher, revents)
    except BaseException as error:
        watcher.loop._failed(watcher, error)


class Io(Watcher):
    """Watches a descriptor.

    Args:
        fd: a number, or an object with ``fileno()``.
        events: ``EV_READ``, ``EV_WRITE`` or both.
    """

    __slots__ = ()

    def __init__(
        self,
        fd: Any,
        events: int,
        loop: Loop,
        callback: Callback,
        data: Any = None,
        priority: int = 0,
    ) -> None:
        super().__init__(self._make(loop, fd, events), loop, callback, data, priority)

    @staticmethod
    def _make(loop: Loop, fd: Any, events: int) -> Any:
        number = fd if isinstance(fd, int) else fd.fileno()
        if events & ~(EV_READ | EV_WRITE):
            raise Error('illegal event mask')
        return loop.native.io(number, events)

    def set(self, fd: Any, events: int) -> None:
        """Watch something else. Not while active."""
        self._replace(self._make(self.loop, fd, events))

    @property
    def fd(self) -> int:
        """The descriptor."""
        fd: int = self._native.fd
        return fd

    @property
    def events(self) -> int:
        """What is watched for."""
        events: int = self._native.events & (EV_READ | EV_WRITE)
        return events

    @property
    def _revents(self) -> int:  # type: ignore[override]
        return self.events


class Timer(Watcher):
    """Calls after *after* seconds, and then every *repeat* seconds unless that is 0."""

    __slots__ = ('_native_repeat', '_repeat')

    _revents = EV_TIMER

    def __init__(
        self,
        after: float,
        repeat: float,
        loop: Loop,
        callback: Callback,
        data: Any = None,
        priority: int = 0,
    ) -> None:
        super().__init__(self._make(loop, after, repeat), loop, callback, data, priority)

    def _make(self, loop: Loop, after: float, repeat: float) -> Any:
        native_watcher = loop.native.timer(after, _positive(repeat))
        self._repeat = self._native_repeat = repeat
        return native_watcher

    def start(self) -> None:
        """Start the timer; nothing happens when it is active."""
        if not self._native.active:
            self._native.start(_fire_timer, core.EVENTS, self._ref, update=False)

    def set(self, after: float, repeat: float) -> None:
        """Change both times, in seconds. Not while active."""
        self._refuse_active()
        self._replace(self._make(self.loop, after, repeat))

    def reset(self) -> None:
        """Start over with *repeat* seconds, or stop where that is 0: libev's 'again'."""
        if self._repeat == 0.0:
            self._native.stop()
            return
        if self._repeat != self._native_repeat:
            self._native.stop()
            self._replace(self._make(self.loop, self._repeat, self._repeat))
        self._native.again(_fire_timer, core.EVENTS, self._ref, update=False)

    def remaining(self) -> float:
        """Return the seconds until the callback is due."""
        if not self._native.active:
            at: float = self._native.at
            return at
        probe: Any = self.loop.native.timer(0.0)  # its start tells libev's own idea of now
        probe.start(_nothing, update=False)
        left: float = self._native.at - probe.at
        probe.stop()
        return left

    @property
    def repeat(self) -> float:
        """Seconds between two calls; a change counts from the next ``reset()`` or call on."""
        return self._repeat

    @repeat.setter
    def repeat(self, repeat: float) -> None:
        self._repeat = _positive(repeat)


def _nothing() -> None:
    pass


def _positive(seconds: float) -> float:
    if seconds < 0.0:
        raise ValueError('a positive float or 0.0 is required')
    return seconds


def _fire_timer(revents: int, ref: weakref.ref[Timer]) -> None:
    timer = ref()
    if timer is not None:
        if timer._repeat != timer._native_repeat:
            timer.reset()
        _call(timer, revents)


class Signal(Watcher):
    """Watches for the signal *signum*. Only one loop of a process can watch a signal.

    While it is active, Python's own handler for the signal is not called; when it stops, the signal
    does what the operating system does by default.
    """

    __slots__ = ('signum',)

    _revents = EV_SIGNAL

    def __init__(
        self, signum: int, loop: Loop, callback: Callback, data: Any = None, priority: int = 0
    ) -> None:
        super().__init__(self._make(loop, signum), loop, callback, data, priority)

    def _make(self, loop: Loop, signum: int) -> Any:
        try:
            native_watcher = loop.native.signal(signum)
        except ValueError as error:
            raise Error('illegal signal number') from error
        self.signum = signum
        return native_watcher

    def set(self, signum: int) -> None:
        """Watch for another signal. Not while active."""
        self._refuse_active()
        self._replace(self._make(self.loop, signum))


class Child(Watcher):
    """Watches for the end of the child *pid* (0: any), on the default loop only.

    From then on libev reaps every child process.

    Args:
        pid: the process.
        trace: also tell when the child is stopped or goes on.
    """

    __slots__ = ()

    _revents = EV_CHILD

    def __init__(
        self,
        pid: int,
        trace: bool,
        loop: Loop,
        callback: Callback,
        data: Any = None,
        priority: int = 0,
    ) -> None:
        super().__init__(self._make(loop, pid, trace), loop, callback, data, priority)

    @staticmethod
    def _make(loop: Loop, pid: int, trace: bool) -> Any:
        if not loop.default:
            raise Error("loop must be the 'default loop'")
        return loop.native.child(pid, trace)

    def set(self, pid: int, trace: bool) -> None:
        """Watch for another child. Not while active."""
        self._replace(self._make(self.loop, pid, trace))

    @property
    def pid(self) -> int:
        """The child that is watched for."""
        pid: int = self._native.pid
        return pid

    @property
    def rpid(self) -> int:
        """The child that something happened to."""
        rpid: int = self._native.rpid
        return rpid

    @property
    def rstatus(self) -> int:
        """What happened, as in ``os.waitpid``."""
        rstatus: int = self._native.rstatus
        return rstatus


class Statdata(NamedTuple):
    """What is known of a path; *nlink* is 0 where there is nothing."""

    dev: int = 0
    rdev: int = 0
    ino: int = 0
    size: int = 0
    nlink: int = 0
    mode: int = 0
    uid: int = 0
    gid: int = 0
    atime: int = 0
    mtime: int = 0
    ctime: int = 0

    @classmethod
    def of(cls, found: os.stat_result | None) -> Statdata:
        """Convert what gevent tells: None where there is nothing."""
        if found is None:
            return cls()
        values = (getattr(found, 'st_' + field) for field in cls._fields)
        return cls(*(int(value or 0) for value in values))  # gevent leaves some out


class Stat(Watcher):
    """Watches what ``stat`` tells of *path*, every *interval* seconds (0: libev chooses)."""

    __slots__ = ()

    _revents = EV_STAT

    def __init__(
        self,
        path: str | bytes | os.PathLike[str],
        interval: float,
        loop: Loop,
        callback: Callback,
        data: Any = None,
        priority: int = 0,
    ) -> None:
        super().__init__(self._make(loop, path, interval), loop, callback, data, priority)

    @staticmethod
    def _make(loop: Loop, path: str | bytes | os.PathLike[str], interval: float) -> Any:
        return loop.native.stat(os.fsdecode(path), interval)

    def set(self, path: str | bytes | os.PathLike[str], interval: float) -> None:
        """Watch another path. Not while active."""
        self._replace(self._make(self.loop, path, interval))

    def stat(self) -> NoReturn:
        """Not there on gevent."""
        missing('Stat.stat()')

    @property
    def path(self) -> str:
        """The path."""
        path: str = self._native.path
        return path

    @property
    def interval(self) -> float:
        """Seconds between two looks."""
        interval: float = self._native.interval
        return interval

    @property
    def current(self) -> Statdata:
        """What was found last."""
        return Statdata.of(self._native.attr)

    @property
    def previous(self) -> Statdata:
        """What was found before the last change."""
        return Statdata.of(self._native.prev)


class _Simple(Watcher):
    """A watcher with no settings of its own."""

    __slots__ = ()

    _kind = ''

    def __init__(self, loop: Loop, callback: Callback, data: Any = None, priority: int = 0) -> None:
        super().__init__(getattr(loop.native, self._kind)(), loop, callback, data, priority)


class Idle(_Simple):
    """Calls whenever nothing else of its priority or above is to be done."""

    __slots__ = ()
    _kind, _revents = 'idle', EV_IDLE


class Prepare(_Simple):
    """Calls before the loop waits."""

    __slots__ = ()
    _kind, _revents = 'prepare', EV_PREPARE


class Check(_Simple):
    """Calls after the loop waited."""

    __slots__ = ()
    _kind, _revents = 'check', EV_CHECK


class Fork(_Simple):
    """Calls in a forked child."""

    __slots__ = ()
    _kind, _revents = 'fork', EV_FORK


class Async(_Simple):
    """Calls after ``send()``, the one method that any thread may call."""

    __slots__ = ()
    _kind, _revents = 'async_', EV_ASYNC

    def send(self) -> None:
        """Have the loop call the callback; several sends may become one call."""
        self._native.send()

    @property
    def sent(self) -> bool:
        """Was it sent and not called yet?"""
        return self.pending


class Periodic:
    """Not there on gevent."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        missing(type(self).__name__)


class Scheduler(Periodic):
    """Not there on gevent."""


class Embed(Periodic):
    """Not there on gevent."""
