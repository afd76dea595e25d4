"""A program that brings its server along: its data is in a directory, and outlives both."""

from __future__ import annotations

import tempfile
from typing import Any

from natsev import KV, JetStream, Nats, NatsError, ev
from natsev.server import Server


def run(directory: Any) -> None:
    """One run of the program: count how often it has been started."""
    with Server(store_dir=directory) as server:
        nats = Nats(servers=[server.url])
        kv = KV(js=JetStream(nats=nats), bucket='state', codec='msgpack')

        def created(info: Any, err: NatsError | None) -> None:
            kv.get('starts', loaded)

        def loaded(starts: Any, err: NatsError | None) -> None:
            starts = (starts or 0) + 1
            print(f'start number {starts}')
            kv.put('starts', starts, lambda revision, err: nats.disconnect())

        kv.create_bucket({}, created)  # there already: the same again is no error
        ev.run()


with tempfile.TemporaryDirectory() as directory:
    for _ in range(3):
        run(directory)
