"""What the Python programs share: their arguments, their clock, the line they print.

A program is run as ``SCENARIO URL PARAMS``. It prints one JSON line: ``{"count", "seconds", "cpu",
"memory"}``, or ``{"unsupported": why}`` for what its client cannot do.
"""

from __future__ import annotations

import itertools
import json
import random
import resource
import sys
from collections.abc import Iterator
from time import perf_counter, process_time, time_ns
from types import SimpleNamespace
from typing import Any

WARM_UP = 0.2  # seconds; ``params.seconds`` is how long to measure
CHUNK = 128 * 1024  # bytes of an object in one message


class Meter:
    """The clock of one measurement: from its making, or ``start``, to ``stop``.

    Args:
        seconds: how long to go on.

    Attributes:
        over: nothing more is to be begun. ``expire`` sets it, for what a timer calls, and ``look``,
            for programs without one.
    """

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self.over = False
        self.start()

    def start(self) -> None:
        """Start now, where something had to be made ready first."""
        self._cpu = process_time()
        self._started = perf_counter()

    def expire(self, *_: object) -> None:
        self.over = True

    def look(self) -> bool:
        self.over = perf_counter() - self._started > self.seconds
        return self.over

    def stop(self, count: int) -> dict[str, Any]:
        """Return the result: *count* was done and is confirmed."""
        return {
            'count': count,
            'seconds': perf_counter() - self._started,
            'cpu': process_time() - self._cpu,
        }


def arguments() -> tuple[str, str, Any]:
    """Return scenario, URL and params."""
    scenario, url, params = sys.argv[-3:]
    return scenario, url, SimpleNamespace(**json.loads(params))


def warm(params: Any) -> Any:
    """Return *params* for the time before the measurement: what is used up must not be the same."""
    consumer = getattr(params, 'warm_consumer', None)
    return SimpleNamespace(**{**vars(params), 'consumer': consumer})


def turns(prefix: str, count: int | None = None) -> Iterator[str]:
    """Yield ``<prefix>-<n>`` for ever: *count* names in turn, or names that nobody had before."""
    if count is None:
        return map(f'{prefix}-{time_ns()}-{{}}'.format, itertools.count())
    return itertools.cycle([f'{prefix}-{n}' for n in range(count)])


def report(result: dict[str, Any]) -> None:
    """Print the result."""
    print(json.dumps({**result, 'memory': peak_memory()}), flush=True)


def unsupported(why: str) -> None:
    """Print that the client cannot do it."""
    print(json.dumps({'unsupported': why}), flush=True)


def peak_memory() -> int:
    """Return the most bytes that were ever resident."""
    try:
        with open('/proc/self/status') as status:
            line = next(line for line in status if line.startswith('VmHWM'))
        return int(line.split()[1]) * 1024
    except FileNotFoundError:  # macOS, which counts in bytes
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def payload(size: int) -> bytes:
    """Return *size* bytes that do not compress."""
    return random.Random(size).randbytes(min(size, 1 << 20)) * max(1, size >> 20)
