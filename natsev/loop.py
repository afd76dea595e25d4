"""What the core asks of a loop, over gevent's libev loops and over pyev's.

A ``Port`` is the one door between the core and a loop. Everything on one libev loop shares one
port. Callbacks take no arguments. An ``Exception`` that one raises is logged and the loop goes on;
anything else (KeyboardInterrupt, SystemExit, ...) is left to whoever runs the loop.
"""

from __future__ import annotations

import logging
import sys
import weakref
from collections import deque
from collections.abc import Callable
from functools import partial
from typing import Any, Protocol

from . import ev
from .ev import hub

READ = ev.EV_READ
WRITE = ev.EV_WRITE

Callback = Callable[[], object]

_log = logging.getLogger('natsev')


class Watcher(Protocol):
    """Watches a descriptor; not started when it is made. After ``close()`` it must not be used."""

    def start(self) -> None:
        """Start watching; nothing happens when it is active."""

    def stop(self) -> None:
        """Stop watching, and forget what is pending."""

    def close(self) -> None:
        """Stop for good and let the callback go."""

    @property
    def active(self) -> bool:
        """Is it started?"""


class Timer(Protocol):
    """Calls back once, or again and again."""

    def start(self, after: float, repeat: float = 0.0) -> None:
        """Call *after* seconds from now, then every *repeat* seconds unless 0. Starts over."""

    def stop(self) -> None:
        """Stop, and forget what is pending."""

    def close(self) -> None:
        """Stop for good and let the callback go."""

    @property
    def active(self) -> bool:
        """Is it running?"""


class Wakeup(Protocol):
    """The way from other threads to the loop."""

    def send(self) -> None:
        """Have the loop call back. Several sends may become one call; after close: none."""

    def close(self) -> None:
        """Stop for good and let the callback go."""


class Port(Protocol):
    """A loop, as the core sees it."""

    def now(self) -> float:
        """Return the time at which this turn of the loop began, in seconds since 1970."""

    def update(self) -> None:
        """Set ``now()`` to the present time."""

    def io(self, fd: int, events: int, callback: Callback, priority: int = 0) -> Watcher:
        """Return a watcher of *fd* for ``READ``, ``WRITE`` or both."""

    def timer(self, callback: Callback, priority: int = 0) -> Timer:
        """Return a timer."""

    def call_soon(self, function: Callable[..., object], *args: Any) -> None:
        """Call *function* in the loop's next turn, in the order of the calls, never at once."""

    def wakeup(self, callback: Callback, *, keep: bool = True) -> Wakeup:
        """Return a way to have *callback* called from other threads.

        Args:
            keep: keeps the loop running until it is closed.
        """


class _Queue:
    """Functions that wait for the loop's next turn.

    A timer of no seconds brings the turn. It is safe in every phase of the loop: one started as
    late as in a prepare callback still makes the poll return at once. While anything is queued, the
    timer is active.
    """

    def __init__(self) -> None:
        self._queue: deque[tuple[Callable[..., object], tuple[Any, ...]]] = deque()
        self._turn: Any = None  # the native timer
        self._arm: Callable[[], object] = _nothing  # starts it

    def call_soon(self, function: Callable[..., object], *args: Any) -> None:
        self._queue.append((function, args))
        if not self._turn.active:
            self._arm()

    def _run_queue(self) -> None:
        queue = self._queue
        if (
            len(queue) > 1
        ):  # the rest must not be stranded by a nested run or by what leaves a function
            self._arm()
        try:
            for _ in range(len(queue)):
                if not queue:  # a nested run was here
                    break
                function, args = queue.popleft()
                try:
                    function(*args)
                except Exception:
                    _log.exception('%r raised', function)
        finally:
            if not queue:
                self._turn.stop()


def _nothing() -> None:
    pass


class _GeventPort(_Queue):
    """Over a ``gevent.libev.corecext.loop``, whoever runs it.

    Args:
        native: the loop.
        owner: what must live as long.
    """

    def __init__(self, native: Any, owner: object) -> None:
        super().__init__()
        self.native = native
        self._owner = owner
        self.now = native.now
        self.update = native.update_now
        self._turn = native.timer(0.0)
        self._arm = partial(self._turn.start, self.run, self._run_queue, update=False)

    @property
    def valid(self) -> bool:
        return bool(self.native.ptr)

    def io(self, fd: int, events: int, callback: Callback, priority: int = 0) -> Watcher:
        return _GeventWatcher(self, self.native.io(fd, events, True, priority), callback)

    def timer(self, callback: Callback, priority: int = 0) -> Timer:
        return _GeventTimer(self, callback, priority)

    def wakeup(self, callback: Callback, *, keep: bool = True) -> Wakeup:
        return _GeventWakeup(self, self.native.async_(keep), callback)

    def run(self, callback: Callback) -> None:
        try:
            callback()
        except Exception:
            _log.exception('%r raised', callback)
        except BaseException as error:
            self.native.handle_error(callback, type(error), error, error.__traceback__)


class _GeventWatcher:
    __slots__ = ('_callback', '_native', '_run')

    def __init__(self, port: _GeventPort, native: Any, callback: Callback) -> None:
        self._run = port.run
        self._native = native
        self._callback = callback

    def start(self) -> None:
        if not self._native.active:
            self._native.start(self._run, self._callback)

    def stop(self) -> None:
        self._native.stop()

    def close(self) -> None:
        self._native.close()
        self._callback = _nothing

    @property
    def active(self) -> bool:
        active: bool = self._native.active
        return active


class _GeventTimer:
    __slots__ = ('_callback', '_make', '_native', '_priority', '_run')

    def __init__(self, port: _GeventPort, callback: Callback, priority: int) -> None:
        self._run = port.run
        self._make = port.native.timer
        self._callback = callback
        self._priority = priority
        self._native: Any = None

    def start(self, after: float, repeat: float = 0.0) -> None:
        if self._native is not None:
            self._native.stop()
        self._native = self._make(after, repeat, True, self._priority)
        # update: the loop's idea of now may be old, after a long callback or before the loop runs.
        self._native.start(self._run, self._callback, update=True)

    def stop(self) -> None:
        if self._native is not None:
            self._native.stop()

    def close(self) -> None:
        self.stop()
        self._callback = _nothing

    @property
    def active(self) -> bool:
        return self._native is not None and self._native.active


class _GeventWakeup:
    __slots__ = ('_closed', '_native')

    def __init__(self, port: _GeventPort, native: Any, callback: Callback) -> None:
        self._native = native
        self._closed = False
        native.start(port.run, callback)

    def send(self) -> None:
        if not self._closed:
            self._native.send()

    def close(self) -> None:
        self._closed = True
        self._native.close()


class _PyevPort(_Queue):
    """Over a ``pyev.Loop``. What is no Exception is left to pyev, or to ``ev.run()``."""

    valid = True

    def __init__(self, native: Any) -> None:
        super().__init__()
        self.native = native
        self.pyev = sys.modules['pyev']
        self.now = native.now
        self.update = native.update
        self._turn = self.pyev.Timer(0.0, 0.0, native, _guarded(self._run_queue))
        self._arm = self._start_turn

    def _start_turn(self) -> None:
        _started.add(self)
        self._turn.start()

    def _run_queue(self) -> None:
        try:
            super()._run_queue()
        finally:
            if not self._queue:
                _started.discard(self)

    def io(self, fd: int, events: int, callback: Callback, priority: int = 0) -> Watcher:
        native = self.pyev.Io(fd, events, self.native, _guarded(callback), None, priority)
        return _PyevWatcher(self, native)

    def timer(self, callback: Callback, priority: int = 0) -> Timer:
        return _PyevTimer(self, callback, priority)

    def wakeup(self, callback: Callback, *, keep: bool = True) -> Wakeup:
        native = self.pyev.Async(self.native, _guarded(callback))
        return _PyevWakeup(self, native, keep)


# pyev stops a watcher that nobody refers to. Ours live while they are started.
_started: set[object] = set()


def _guarded(callback: Callback) -> Callable[[Any, int], None]:
    def fire(_watcher: Any, _revents: int) -> None:
        try:
            callback()
        except Exception:
            _log.exception('%r raised', callback)

    return fire


class _PyevWatcher:
    __slots__ = ('_native', '_port')

    def __init__(self, port: _PyevPort, native: Any) -> None:
        self._port = port
        self._native = native

    def start(self) -> None:
        _started.add(self)
        self._native.start()

    def stop(self) -> None:
        self._native.stop()
        _started.discard(self)

    def close(self) -> None:
        self.stop()
        self._native.callback = _ignore

    @property
    def active(self) -> bool:
        active: bool = self._native.active
        return active


def _ignore(_watcher: Any, _revents: int) -> None:
    pass


class _PyevTimer(_PyevWatcher):
    __slots__ = ('_callback',)

    def __init__(self, port: _PyevPort, callback: Callback, priority: int) -> None:
        native = port.pyev.Timer(0.0, 0.0, port.native, _guarded(self._fire), None, priority)
        super().__init__(port, native)
        self._callback = callback

    def _fire(self) -> None:
        if not self._native.active:
            _started.discard(self)
        self._callback()

    def start(self, after: float, repeat: float = 0.0) -> None:  # type: ignore[override]
        self._native.stop()
        self._native.set(after, repeat)
        # The loop's idea of now may be old, after a long callback or before the loop runs.
        self._port.update()
        super().start()

    def close(self) -> None:
        super().close()
        self._callback = _nothing


class _PyevWakeup(_PyevWatcher):
    __slots__ = ('_keep',)

    def __init__(self, port: _PyevPort, native: Any, keep: bool) -> None:
        super().__init__(port, native)
        self._keep = keep
        self.start()
        if not keep:
            port.native.unref()

    def send(self) -> None:
        if self._native.active:
            self._native.send()

    def close(self) -> None:
        if self._native.active and not self._keep:
            self._port.native.ref()
        super().close()


_ports: weakref.WeakValueDictionary[tuple[str, int], Any] = weakref.WeakValueDictionary()


def port_for(loop: object | None = None) -> Port:
    """Return the port of *loop*.

    Args:
        loop: a ``natsev.ev`` loop, a pyev loop, gevent's own (``gevent.get_hub().loop``), or None
            for ``ev.default_loop()``.

    Raises:
        RuntimeError: a loop of gevent that is not libev's.
        TypeError: something else.
    """
    given: Any = ev.default_loop() if loop is None else loop
    if _is(given, 'pyev', 'Loop'):
        return _port(('pyev', id(given)), lambda: _PyevPort(given))
    native = given.native if _is(given, 'natsev.ev._gevent_loop', 'Loop') else given
    if type(native).__module__.startswith('gevent.'):
        hub.require_libev(native)
    if not _is(native, 'gevent.libev.corecext', 'loop'):
        raise TypeError(
            'loop must be a natsev.ev loop, a pyev loop or the loop of a gevent hub '
            f'(gevent.get_hub().loop), not {type(given).__name__}'
        )
    return _port(('gevent', native.ptr), lambda: _GeventPort(native, given))


def _is(thing: Any, module: str, name: str) -> bool:
    """Tell whether *thing* is of a class of a module that may not have been imported."""
    kind = getattr(sys.modules.get(module), name, None)
    return kind is not None and isinstance(thing, kind)


def _port(key: tuple[str, int], make: Callable[[], Any]) -> Port:
    port: Any = _ports.get(key)
    if port is None or not port.valid:
        port = _ports[key] = make()
    return port  # type: ignore[no-any-return]
