"""Work that may block (a disk), done in a real thread; its end is told on the loop."""

from __future__ import annotations

from collections.abc import Callable

from ..loop import Port, Wakeup
from ..native import spawn_thread


def in_thread(
    port: Port, work: Callable[[], None], then: Callable[[Exception | None], None]
) -> None:
    """Run *work* in a thread, then call ``then(exc)`` from the loop: what it raised, or None."""
    raised: list[Exception | None] = []
    wakeup: list[Wakeup] = []

    def run() -> None:
        exc: Exception | None = None
        try:
            work()
        except Exception as caught:
            exc = caught
        raised.append(exc)
        wakeup[0].send()

    def done() -> None:
        wakeup[0].close()
        then(raised[0])

    wakeup.append(port.wakeup(done))
    spawn_thread(run)
