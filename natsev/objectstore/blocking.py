"""Work that may block (a disk), done in a real thread; its end is told on the loop."""

from __future__ import annotations

from collections.abc import Callable

from ..jobs import Job
from ..loop import Port


def in_thread(
    port: Port, work: Callable[[], None], then: Callable[[Exception | None], None]
) -> None:
    """Run *work* in a thread, then call ``then(exc)`` from the loop: what it raised, or None."""
    Job(port, work, lambda _result, exc: then(exc))
