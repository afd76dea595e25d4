"""How late a timer is while objects are put and got: ``python -m bench.lateness [MIB]``.

Whoever shares the loop waits so long for his turn. On a machine that is busy with something else
the worst one tells of that; the 99th percentile tells of natsev.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import Any

from natsev import JetStream, Nats, ObjectStore, ev
from natsev.server import Server

MIB = 1024 * 1024
_EVERY = 0.001  # seconds


class Ticks:
    """A timer of one millisecond, and how late it was each time, in ms."""

    def __init__(self) -> None:
        self._late: list[float] = []
        self._due = 0.0
        self._timer = ev.Timer(_EVERY, _EVERY, ev.default_loop(), self._tick)

    def _tick(self, _watcher: Any, _revents: int) -> None:
        now = perf_counter()
        self._late.append((now - self._due) * 1000)
        self._due = now + _EVERY

    def during(self, call: Callable[..., Any], *args: Any, **options: Any) -> str:
        """Make a call, and tell how late the timer was until its end."""

        def done(_result: Any, err: Exception | None) -> None:
            failures.append(err)
            ev.break_()

        failures: list[Exception | None] = []
        self._late.clear()
        self._timer.start()
        self._due = perf_counter() + _EVERY
        call(*args, done, **options)
        ev.run()
        self._timer.stop()
        if failures[0] is not None:
            raise failures[0]
        late = sorted(self._late)
        return f'99 % within {late[len(late) * 99 // 100]:.1f} ms, worst {late[-1]:.1f} ms'


def main(mib: int = 256) -> None:
    """Print how late it was in puts and gets of *mib* MiB."""
    with Server() as server, TemporaryDirectory() as directory:
        nats = Nats(servers=[server.url])
        store = ObjectStore(js=JetStream(nats=nats), bucket='bench')
        source = Path(directory, 'source')
        source.write_bytes(os.urandom(MIB) * mib)
        ticks = Ticks()
        ticks.during(store.create_bucket, {})
        data = source.read_bytes()
        print('put bytes:', ticks.during(store.put, 'a', data))
        print('put a file:', ticks.during(store.put, 'a', source))
        print('get bytes:', ticks.during(store.get, 'a'))
        print('get a file:', ticks.during(store.get, 'a', into=Path(directory, 'copy')))
        nats.disconnect()


if __name__ == '__main__':
    main(*map(int, sys.argv[1:]))
