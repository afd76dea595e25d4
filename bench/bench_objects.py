"""Objects: natsev and nats-py on one server, in turns; medians and ratios.

    python bench/bench_objects.py                  # all of it
    python bench/bench_objects.py put get --mib 64 # some of it, smaller

Every measurement is a process of its own, so that neither client warms up the other. The machine
may be noisy: only the ratios say something.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

MIB = 1024 * 1024
SCENARIOS = ('put', 'get', 'list', 'small-put', 'small-get', 'memory', 'lateness')
CLIENTS = ('natsev', 'nats-py')


# The work, as natsev does it.


class Natsev:
    """Calls of natsev, one after the other."""

    def __init__(self, port: int) -> None:
        from natsev import JetStream, Nats, ObjectStore, ev

        self.ev = ev
        self.nats = Nats(host='127.0.0.1', port=port)
        self.store = ObjectStore(js=JetStream(nats=self.nats), bucket='bench', timeout=30000)
        self.call(self.store.create_bucket, {})

    def call(self, function: Callable[..., Any], *args: Any, **options: Any) -> Any:
        box: list[Any] = []

        def done(result: Any, err: Exception | None) -> None:
            if err is not None:
                box.append(err)
            else:
                box.append(result)
            self.ev.break_()

        function(*args, done, **options)
        self.ev.run()
        if isinstance(box[0], Exception):
            raise box[0]
        return box[0]

    def put(self, mib: int) -> float:
        data = os.urandom(MIB) * mib
        started = time.perf_counter()
        self.call(self.store.put, 'large', data)
        return time.perf_counter() - started

    def get(self, mib: int) -> float:
        started = time.perf_counter()
        data = self.call(self.store.get, 'large')
        took = time.perf_counter() - started
        assert len(data) == mib * MIB
        return took

    def list(self, count: int) -> float:
        started = time.perf_counter()
        names = self.call(self.store.list)
        took = time.perf_counter() - started
        assert len(names) >= count
        return took

    def small_put(self, count: int) -> float:
        data = os.urandom(4096)
        self.call(self.store.put, 'warm', data)
        started = time.perf_counter()
        for number in range(count):
            self.call(self.store.put, f'small-{os.getpid()}-{number}', data)
        return (time.perf_counter() - started) / count

    def small_get(self, count: int) -> float:
        self.call(self.store.put, 'small', os.urandom(4096))
        started = time.perf_counter()
        for _ in range(count):
            assert len(self.call(self.store.get, 'small')) == 4096
        return (time.perf_counter() - started) / count

    def fill(self, count: int) -> float:
        left = count

        def stored(info: Any, err: Exception | None) -> None:
            nonlocal left
            assert err is None, err
            left -= 1
            if not left:
                self.ev.break_()

        for number in range(count):
            self.store.put(f'object-{number:05}', b'x' * 100, stored)
        self.ev.run()
        return 0.0

    def memory(self, mib: int) -> float:
        with tempfile.TemporaryDirectory() as directory:
            source, copy = Path(directory, 'source'), Path(directory, 'copy')
            block = os.urandom(MIB)
            with source.open('wb') as file:
                for _ in range(mib):
                    file.write(block)
            self.call(self.store.put, 'file', source)
            self.call(self.store.get, 'file', into=copy)
            assert copy.stat().st_size == mib * MIB
        self.call(self.store.delete, 'file')
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024

    def lateness(self, mib: int) -> float:
        """The longest that a timer of 1 ms was late during a put and a get, in ms."""
        data = os.urandom(MIB) * mib
        worst, due = 0.0, time.perf_counter() + 0.001

        def tick(watcher: Any, revents: int) -> None:
            nonlocal worst, due
            now = time.perf_counter()
            worst = max(worst, now - due)
            due = now + 0.001

        timer = self.ev.Timer(0.001, 0.001, self.ev.default_loop(), tick)
        timer.start()
        due = time.perf_counter() + 0.001
        self.call(self.store.put, 'large', data)
        put, worst, due = worst, 0.0, time.perf_counter() + 0.001
        with open(os.devnull, 'wb') as sink:
            self.call(self.store.get, 'large', into=sink)
        timer.stop()
        print(f'lateness: put {put * 1000:.1f} ms, get {worst * 1000:.1f} ms', file=sys.stderr)
        return max(put, worst) * 1000


# The same, as nats-py does it.


class NatsPy:
    """Calls of nats-py, one after the other."""

    def __init__(self, port: int) -> None:
        self._port = port

    def run(self, work: Callable[[Any], Any]) -> Any:
        import asyncio

        import nats

        async def main() -> Any:
            client = await nats.connect(f'nats://127.0.0.1:{self._port}')
            js = client.jetstream(timeout=30)
            result = await work(await js.object_store('bench'))
            await client.close()
            return result

        return asyncio.run(main())

    def put(self, mib: int) -> float:
        data = os.urandom(MIB) * mib

        async def work(store: Any) -> float:
            started = time.perf_counter()
            await store.put('large', data)
            return time.perf_counter() - started

        return float(self.run(work))

    def get(self, mib: int) -> float:
        # Into a file: its way to bytes grows with the square of the size.
        async def work(store: Any) -> float:
            with open(os.devnull, 'wb') as sink:
                started = time.perf_counter()
                await store.get('large', writeinto=sink)
                return time.perf_counter() - started

        return float(self.run(work))

    def list(self, count: int) -> float:
        async def work(store: Any) -> float:
            started = time.perf_counter()
            assert len(await store.list()) >= count
            return time.perf_counter() - started

        return float(self.run(work))

    def small_put(self, count: int) -> float:
        data = os.urandom(4096)

        async def work(store: Any) -> float:
            await store.put('warm', data)
            started = time.perf_counter()
            for number in range(count):
                await store.put(f'small-{os.getpid()}-{number}', data)
            return (time.perf_counter() - started) / count

        return float(self.run(work))

    def small_get(self, count: int) -> float:
        async def work(store: Any) -> float:
            await store.put('small', os.urandom(4096))
            started = time.perf_counter()
            for _ in range(count):
                await store.get('small')
            return (time.perf_counter() - started) / count

        return float(self.run(work))


# Taking turns.


def measure(client: str, method: str, port: int, size: int) -> float:
    """Run one measurement in a process of its own."""
    command = [sys.executable, __file__, '--measure', client, method, str(port), str(size)]
    done = subprocess.run(command, stdout=subprocess.PIPE, check=True, text=True)
    return float(json.loads(done.stdout))


def compare(
    title: str, method: str, port: int, size: int, rounds: int, rate: float | None
) -> dict[str, Any]:
    """Let both clients do it in turns, and print the medians."""
    took: dict[str, list[float]] = {client: [] for client in CLIENTS}
    for _ in range(rounds):
        for client in CLIENTS:
            took[client].append(measure(client, method, port, size))
    medians = {client: statistics.median(times) for client, times in took.items()}
    ratio = medians['nats-py'] / medians['natsev']
    shown = {
        client: f'{rate / median:.0f} MiB/s' if rate else f'{median * 1000:.2f} ms'
        for client, median in medians.items()
    }
    columns = '   '.join(f'{client} {shown[client]:>12}' for client in CLIENTS)
    print(f'{title:28} {columns}   {ratio:.1f}x')
    return {'scenario': title, 'seconds': took, 'ratio': ratio}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    parser.add_argument('scenarios', nargs='*', metavar='scenario', help=', '.join(SCENARIOS))
    parser.add_argument('--mib', type=int, default=256)
    parser.add_argument('--rounds', type=int, default=3)
    parser.add_argument('--json', type=Path, help='also write the figures here')
    options = parser.parse_args()

    from natsev.server import Server

    mib, rounds = options.mib, options.rounds
    found: list[dict[str, Any]] = []
    with Server() as server:
        port = server.port
        measure('natsev', 'put', port, 1)  # makes the bucket
        for scenario in options.scenarios or SCENARIOS:
            if scenario == 'put':
                found.append(compare(f'put {mib} MiB', 'put', port, mib, rounds, mib))
            elif scenario == 'get':
                measure('natsev', 'put', port, mib)
                found.append(compare(f'get {mib} MiB', 'get', port, mib, rounds, mib))
            elif scenario == 'list':
                measure('natsev', 'fill', port, 2000)
                found.append(compare('list 2,000', 'list', port, 2000, rounds, None))
            elif scenario == 'small-put':
                found.append(compare('put 4 KiB', 'small_put', port, 500, rounds, None))
            elif scenario == 'small-get':
                found.append(compare('get 4 KiB', 'small_get', port, 100, rounds, None))
            elif scenario == 'memory':
                peak = measure('natsev', 'memory', port, 4 * mib)
                print(f'peak memory, {4 * mib} MiB file put and got: {peak:.0f} MB')
                found.append({'scenario': 'memory', 'peak_mb': peak})
            elif scenario == 'lateness':
                late = measure('natsev', 'lateness', port, mib)
                print(f'a timer of 1 ms, put and get of {mib} MiB: {late:.1f} ms late at most')
                found.append({'scenario': 'lateness', 'ms': late})
    if options.json is not None:
        options.json.write_text(json.dumps(found, indent=2))


if __name__ == '__main__':
    if sys.argv[1:2] == ['--measure']:
        _, _, name, method_name, port_text, size_text = sys.argv
        worker: Any = Natsev(int(port_text)) if name == 'natsev' else NatsPy(int(port_text))
        print(json.dumps(getattr(worker, method_name)(int(size_text))))
    else:
        main()
