"""A program whose configuration lives in a key-value bucket, and changes while it runs."""

from __future__ import annotations

import os
from typing import Any

from natsev import KV, JetStream, Nats, NatsError, ev
from natsev.server import Server

server = Server()  # started only where NATS_URL does not name one
nats = Nats(servers=[os.environ.get('NATS_URL') or server.start().url], reconnect=True)
config = KV(js=JetStream(nats=nats), bucket='config', codec='msgpack')
settings: dict[str, Any] = {}


def created(info: Any, err: NatsError | None) -> None:
    if err is not None:
        print(err)
        nats.disconnect()
        return
    config.put('server.port', 8080)
    config.put('server.hosts', ['a', 'b'])
    config.put('debug', False, lambda revision, err: config.watch(None, changed))


def changed(key: str | None, value: Any, op: str | None) -> None:
    if key is None:
        print('running with', dict(sorted(settings.items())))
        somebody_edits()
    elif op == 'PUT':
        settings[key] = value
        print(f'{key} is {value!r}')
    else:
        settings.pop(key, None)
        print(f'{key} is the default again')
        nats.disconnect()  # as the last edit below tells us to


def somebody_edits() -> None:
    config.put('debug', True)
    config.put('server.port', 9090)
    config.delete('server.hosts')


config.create_bucket({'max_history': 5}, created)
ev.run()
