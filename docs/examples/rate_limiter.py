"""A rate limit that many programs share: a bucket of tokens under a key, changed by revision."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

from natsev import KV, JetStream, Nats, NatsError, WrongSequenceError, ev
from natsev.server import Server

server = Server()  # started only where NATS_URL does not name one
url = os.environ.get('NATS_URL') or server.start().url

LIMIT = 10  # requests that all programs together may make
allowed: list[str] = []
refused: list[str] = []
retried: list[str] = []


class Limiter:
    """Takes tokens from the shared bucket."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.nats = Nats(servers=[url], name=name)
        self.kv = KV(js=JetStream(nats=self.nats), bucket='limits', codec='msgpack')

    def take(self, then: Callable[..., Any]) -> None:
        """Call ``then(True)`` when there was a token, ``then(False)`` when there was none."""

        def found(entry: Any, err: NatsError | None) -> None:
            if entry['value'] == 0:
                then(False)
            else:
                self.kv.update('tokens', entry['value'] - 1, entry['revision'], updated)

        def updated(revision: Any, err: NatsError | None) -> None:
            if isinstance(err, WrongSequenceError):  # somebody else took one in between
                retried.append(self.name)
                self.take(then)
            else:
                then(err is None)

        self.kv.entry('tokens', found)


programs = [Limiter(name) for name in ('Ada', 'Bob', 'Cleo')]


def filled(revision: Any, err: NatsError | None) -> None:
    for program in programs:
        use(program, 5)


def use(program: Any, times: Any) -> None:
    def taken(ok: Any) -> None:
        (allowed if ok else refused).append(program.name)
        if times > 1:
            use(program, times - 1)
        else:
            program.nats.disconnect()

    program.take(taken)


first = programs[0].kv
first.create_bucket({}, lambda info, err: first.put('tokens', LIMIT, filled))
ev.run()
print(f'{len(allowed)} requests were allowed, {len(refused)} refused')
