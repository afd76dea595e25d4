"""Something that happens once, later, unless it is cancelled."""

from __future__ import annotations

from collections.abc import Callable

from ..loop import Port


class Later:
    """Calls *function* once, *seconds* from now. It is a ``Handle``."""

    __slots__ = ('_function', '_timer')

    def __init__(self, port: Port, seconds: float, function: Callable[[], None]) -> None:
        self._function = function
        self._timer = port.timer(self._fire)
        self._timer.start(seconds)

    def cancel(self) -> None:
        """Do not call it any more."""
        self._timer.close()

    def _fire(self) -> None:
        self._timer.close()
        self._function()
