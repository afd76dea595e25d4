"""A progress bar for an upload and a download, with the speed of each."""

from __future__ import annotations

import os
import sys
import time
from typing import Any

from natsev import JetStream, Nats, NatsError, ObjectStore, ev
from natsev.server import Server

server = Server()  # started only where NATS_URL does not name one
nats = Nats(servers=[os.environ.get('NATS_URL') or server.start().url])
store = ObjectStore(js=JetStream(nats=nats), bucket='files')

MIB = 1024 * 1024
data = os.urandom(32 * MIB)


class Bar:
    """Draws itself on a terminal; elsewhere only its last line is printed."""

    def __init__(self, label: Any) -> None:
        self.label = label
        self.started = time.monotonic()

    def __call__(self, done: int, total: int) -> None:
        if sys.stdout.isatty():
            filled = 40 * done // total if total else 40
            bar = '#' * filled + '.' * (40 - filled)
            print(f'\r{self.label} [{bar}] {done / MIB:5.1f} MiB', end='', flush=True)

    def end(self) -> None:
        speed = len(data) / MIB / (time.monotonic() - self.started)
        if sys.stdout.isatty():
            print(f'  {speed:.0f} MiB/s')
        else:
            print(f'{self.label}: {len(data) // MIB} MiB')


def created(info: Any, err: NatsError | None) -> None:
    bar = Bar('upload  ')
    store.put('random.bin', data, lambda info, err: uploaded(bar, err), progress=bar)


def uploaded(bar: Any, err: NatsError | None) -> None:
    bar.end()
    bar = Bar('download')
    store.get('random.bin', lambda back, err: downloaded(bar, back), progress=bar)


def downloaded(bar: Any, back: Any) -> None:
    bar.end()
    print('unharmed' if back == data else 'broken')
    nats.disconnect()


store.create_bucket({'storage': 'memory'}, created)
ev.run()
