"""A cache that many programs share: what is slow to compute is kept, and forgotten in time."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

from natsev import KV, JetStream, Nats, NatsError, ev
from natsev.server import Server

server = Server()  # started only where NATS_URL does not name one
nats = Nats(servers=[os.environ.get('NATS_URL') or server.start().url])
cache = KV(js=JetStream(nats=nats), bucket='cache', codec='msgpack')

MINUTE = 60_000
computed: list[int] = []


def primes(limit: Any, then: Callable[..., Any]) -> None:
    """Call ``then(primes)`` with the primes below *limit*, of the cache where it has them."""
    key = f'primes.{limit}'

    def found(value: Any, err: NatsError | None) -> None:
        if value is not None:
            then(value)
            return
        computed.append(limit)
        value = [n for n in range(2, limit) if all(n % d for d in range(2, int(n**0.5) + 1))]
        # create() takes a time to live; whoever is second finds the same value there already.
        cache.create(key, value, lambda revision, err: then(value), ttl=10 * MINUTE)

    cache.get(key, found)


def show(limit: Any, then: Callable[..., Any]) -> None:
    def done(value: Any) -> None:
        print(f'{len(value)} primes below {limit}, the last is {value[-1]}')
        then()

    primes(limit, done)


def created(info: Any, err: NatsError | None) -> None:
    show(1000, again)


def again() -> None:
    show(1000, larger)


def larger() -> None:
    show(2000, nats.disconnect)


# Per-key times to live need a bucket with limit_marker_ttl (ns), server 2.11.
cache.create_bucket({'storage': 'memory', 'limit_marker_ttl': 1_000_000_000}, created)
ev.run()
print('computed:', computed)
