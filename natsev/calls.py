"""One call that a user made: its callback, told exactly once, and its cancel.

Every operation above the wire ends in one place, ``Call.end``: it forgets what is outstanding and
then tells the callback. Whatever comes afterwards (a late reply, a second cancel) is ignored.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from .errors import Cancelled, NatsError, RequestTimeout
from .loop import Port, Timer
from .wire import arity


class Handle(Protocol):
    """Something outstanding that can be cancelled."""

    def cancel(self) -> None:
        """Give up what is outstanding. Cancelling twice, or after the end, does nothing."""


class Core(Protocol):
    """What a call needs of the client: the next turn of the loop, and isolation of callbacks."""

    def call_soon(self, function: Callable[..., Any], *args: Any) -> None:
        """Call *function* from the loop, in its next turn."""

    def run_callback(self, callback: Callable[..., Any], *args: Any) -> None:
        """Call a user's *callback*; what it raises is logged and handed to ``on_exception``."""


class Call:
    """A call in progress.

    Args:
        core: the client.
        callback: the user's callback, or None when nobody wants to know.
        passed: how many arguments the callback is offered.
        err_at: which of them is the error.

    Raises:
        TypeError: *callback* is not callable or requires more than *passed* arguments.
    """

    __slots__ = (
        '_callback', '_core', '_err_at', '_nargs', '_passed', '_timer',
        'child', 'cleanup', 'done', 'on_cancel',
    )  # fmt: skip

    def __init__(
        self,
        core: Core,
        callback: Callable[..., Any] | None,
        passed: int = 2,
        err_at: int = 1,
    ) -> None:
        self._nargs = arity(callback, passed) if callback is not None else 0
        self._core = core
        self._callback = callback
        self._passed = passed
        self._err_at = err_at
        self._timer: Timer | None = None
        # What is outstanding for this call; cancelled with it.
        self.child: Handle | None = None
        # Called at the end, before the callback: lets go of what the call holds.
        self.cleanup: Callable[[], None] | None = None
        # Does the cancelling instead; must end the call itself, with Cancelled.
        self.on_cancel: Callable[[Call], None] | None = None
        self.done = False

    def end(self, *results: Any) -> None:
        """Tell the callback *results* (as many as it takes), unless the call has ended before."""
        if self.done:
            return
        self.done = True
        callback, self._callback = self._callback, None
        cleanup, self.cleanup = self.cleanup, None
        self.child = self.on_cancel = None
        if self._timer is not None:
            self._timer.close()
        if cleanup is not None:
            cleanup()
        if callback is not None:
            self._core.run_callback(callback, *results[: self._nargs])

    def fail(self, err: NatsError) -> None:
        """End with *err*, every other result None."""
        results: list[Any] = [None] * self._passed
        results[self._err_at] = err
        self.end(*results)

    def later(self, *results: Any) -> None:
        """End in the next turn of the loop, for what is known before the call returns."""
        self._core.call_soon(self.end, *results)

    def fail_later(self, err: NatsError) -> None:
        """Fail in the next turn of the loop."""
        self._core.call_soon(self.fail, err)

    def expire(self, port: Port, ms: float) -> None:
        """Give up with ``RequestTimeout`` after *ms* milliseconds from now."""
        self._timer = port.timer(self._expired)
        self._timer.start(ms / 1000)

    def _expired(self) -> None:
        child = self.child
        self.fail(RequestTimeout())
        if child is not None:
            child.cancel()

    def cancel(self) -> None:
        """Give up. The callback still comes once, with ``Cancelled``, when all is cleaned up."""
        if self.done:
            return
        if self.on_cancel is not None:
            on_cancel, self.on_cancel = self.on_cancel, None
            on_cancel(self)
            return
        child, self.child = self.child, None
        if child is not None:
            child.cancel()
        self.fail_later(Cancelled())
