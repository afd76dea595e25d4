"""What is measured. A scenario is the same work for every client; its docstring is its ``what``.

A client's program works for a while without being measured, then for ``seconds``; it stops its
clock when the other side has confirmed all that it did. Scenarios with a ``count`` of bytes do that
much work instead, once.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

KIB, MIB, GIB = 1 << 10, 1 << 20, 1 << 30


@dataclass(frozen=True)
class Scenario:
    """One thing that is measured.

    Attributes:
        name: what the command line calls it.
        unit: of its figure; more is better, except for ``MiB``.
        what: what each client does.
        fixture: what has to stand before, see ``fixtures.py``.
        params: what the clients' programs are told.
        delay: ms of a round trip to the server; 0: it is on this machine.
        asked: it is measured only when it is asked for by its name: most clients need minutes.
        like: the scenario that a client's program does, where it is not the one of this name.
        quick: whether ``--quick`` measures it, and with which other params.
    """

    name: str
    unit: str
    what: str
    fixture: str = 'nothing'
    params: dict[str, Any] = field(default_factory=dict)
    quick: dict[str, Any] | None = None
    delay: float = 0
    asked: bool = False
    like: str = ''

    @property
    def less_is_better(self) -> bool:
        return self.unit == 'MiB'


def _far(direction: str, mib: int, delay: float) -> Scenario:
    """A put or a get over a long way, which ``far.py`` makes."""
    return Scenario(
        f'object-{direction}-{mib}-{delay:g}ms',
        'MiB/s',
        f'{direction} {mib} MiB where a round trip takes {delay:g} ms',
        'bucket' if direction == 'put' else 'big_object',
        params={'bytes': mib * MIB},
        delay=delay,
        asked=True,
        like=f'object-{direction}',
    )


SCENARIOS = [
    Scenario(
        'pub',
        'msg/s',
        'publish 100 B messages; the server has confirmed the last one with a PONG',
        params={'size': 100},
        quick={},
    ),
    Scenario(
        'pubsub',
        'msg/s',
        'publish 100 B messages and receive them on the same connection',
        params={'size': 100, 'subscriptions': 1},
        quick={},
    ),
    Scenario(
        'fanout',
        'msg/s',
        'the same with ten subscriptions that each get every message; deliveries are counted',
        params={'size': 100, 'subscriptions': 10},
    ),
    Scenario(
        'reqrep-1',
        'req/s',
        'requests of 100 B, one at a time; a raw-socket program answers every client alike',
        'responder',
        params={'size': 100, 'outstanding': 1},
        quick={},
    ),
    Scenario(
        'reqrep-64',
        'req/s',
        'the same with 64 requests outstanding',
        'responder',
        params={'size': 100, 'outstanding': 64},
        quick={},
    ),
    Scenario(
        'jspub',
        'msg/s',
        'publish 100 B messages into a stream on disk, 256 not yet acknowledged',
        'stream',
        params={'size': 100, 'outstanding': 256},
        quick={},
    ),
    Scenario(
        'fetch',
        'msg/s',
        'fetch 100 B messages, 500 a time, and acknowledge each; the last ack is confirmed',
        'filled_stream',
        params={'size': 100, 'batch': 500},
        quick={},
    ),
    Scenario(
        'consume',
        'msg/s',
        'consume 100 B messages continuously and acknowledge each; the last ack is confirmed',
        'filled_stream',
        params={'size': 100, 'batch': 500},
    ),
    Scenario(
        'kv-put',
        'op/s',
        'put values of 100 B under 1,000 keys, 64 at once',
        'kv',
        params={'size': 100, 'outstanding': 64, 'keys': 1000},
    ),
    Scenario(
        'kv-get',
        'op/s',
        'get values of 100 B of 1,000 keys, 64 at once',
        'filled_kv',
        params={'size': 100, 'outstanding': 64, 'keys': 1000},
        quick={},
    ),
    Scenario(
        'object-put',
        'MiB/s',
        'put 256 MiB from memory in chunks of 128 KiB',
        'bucket',
        params={'bytes': 256 * MIB},
        quick={'bytes': 16 * MIB},
    ),
    Scenario(
        'object-get',
        'MiB/s',
        'get 256 MiB into memory; the digest is checked',
        'big_object',
        params={'bytes': 256 * MIB},
        quick={'bytes': 16 * MIB},
    ),
    *(_far(way, mib, ms) for ms in (10, 50) for mib in (64, 256) for way in ('put', 'get')),
    Scenario(
        'small-put-1',
        'op/s',
        'put objects of 4 KiB, one at a time',
        'bucket',
        params={'size': 4 * KIB, 'outstanding': 1},
        quick={},
    ),
    Scenario(
        'small-put-64',
        'op/s',
        'put objects of 4 KiB, 64 at once',
        'bucket',
        params={'size': 4 * KIB, 'outstanding': 64},
    ),
    Scenario(
        'small-get-1',
        'op/s',
        'get objects of 4 KiB, one at a time',
        'small_objects',
        params={'size': 4 * KIB, 'outstanding': 1, 'objects': 2000},
        quick={},
    ),
    Scenario(
        'small-get-64',
        'op/s',
        'get objects of 4 KiB, 64 at once',
        'small_objects',
        params={'size': 4 * KIB, 'outstanding': 64, 'objects': 2000},
    ),
    Scenario(
        'object-info',
        'op/s',
        "ask for objects' metadata, one at a time",
        'small_objects',
        params={'size': 4 * KIB, 'outstanding': 1, 'objects': 2000},
    ),
    Scenario(
        'object-list',
        'names/s',
        'list a bucket of 2,000 objects, one list at a time; the names are counted',
        'small_objects',
        params={'size': 4 * KIB, 'objects': 2000},
    ),
    Scenario(
        'memory',
        'MiB',
        'put a file of 1 GiB and get it into another; most memory ever used',
        'big_file',
        params={'bytes': GIB},
    ),
    Scenario(
        'memory-4g',
        'MiB',
        'the same with 4 GiB',
        'big_file',
        params={'bytes': 4 * GIB},
        asked=True,
        like='memory',
    ),
]

BY_NAME = {scenario.name: scenario for scenario in SCENARIOS}
