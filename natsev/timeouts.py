"""The timeouts of all requests with one libev timer."""

from __future__ import annotations

from collections.abc import Callable

from .loop import Port
from .wire import Request, Wire


class Timeouts:
    """Calls *expire(request)* for each request whose time is up.

    Args:
        port: the loop.
        wire: knows when that is.
        before: called first: the loop may have been held up, and answers be here already.
        expire: gets the request, which the wire has given up.
    """

    def __init__(
        self,
        port: Port,
        wire: Wire,
        before: Callable[[], None],
        expire: Callable[[Request], None],
    ) -> None:
        self._wire = wire
        self._before = before
        self._expire = expire
        self._timer = port.timer(self._fire)

    def changed(self) -> None:
        """Follow what the wire says of its next deadline."""
        seconds = self._wire.wait()
        if seconds is None:
            self._timer.stop()
        else:
            self._timer.start(seconds)

    def _fire(self) -> None:
        try:
            self._before()
            for request in self._wire.expired():
                self._expire(request)
        finally:  # also when KeyboardInterrupt leaves the loop
            self.changed()
