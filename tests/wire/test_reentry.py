"""Callbacks that do to their wire whatever one can, at random: both twins do the same."""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from types import ModuleType
from typing import Any

import pytest

from natsev.errors import ProtocolError
from natsev.wire import ACK, NOTHING, PAYLOAD, SEQUENCE, WINDOW, pure
from natsev.wire.shared import LARGE
from tests.wire.driver import Driver

STEPS = 300
DEEPEST = 3
BLOCK = b'NATS/1.0\r\nA: b\r\n\r\n'
REFUSAL = b'NATS/1.0 503\r\n\r\n'
PAYLOADS = [b'', b'hi', b'x' * 3000, b'y' * LARGE, bytearray(LARGE + 1), 'text', 'é' * 20_000]
REPLIES = [b'{"stream":"S","seq":1}', b'{"stream":"S","seq":2,"duplicate":true}', b'{"error":{}}']
LINES = [b'PING\r\n', b'PONG\r\n', b'+OK\r\n', b"-ERR 'what'\r\n", b'INFO {}\r\n']


class Play:
    """One wire, and what its callbacks do to it; *log* is all that was seen."""

    def __init__(self, twin: ModuleType, seed: int) -> None:
        self.log: list[Any] = []
        self._random = Random(seed)
        self._driver = Driver(twin)
        self._depth = 0
        self._window = twin.Window(self._callback('window'))
        ended = self._callback('ended')
        self._kind = type('Asked', (twin.Request,), {'end': lambda _, *args: ended(*args)})
        self._requests: list[Any] = []
        self._sids = 0

    def go(self) -> None:
        for _ in range(STEPS):
            self.step()
        self._depth = DEEPEST
        self.clear()
        self._see('end', self._driver.wire.pending, self._driver.wire.sids(), self._driver.raised)

    def step(self) -> None:
        do = self._random.choice(DOINGS)
        try:
            self._see(do.__name__, do(self))
        except (ProtocolError, ValueError, RuntimeError) as exc:
            self._see(do.__name__, type(exc).__name__)

    def _see(self, *what: Any) -> None:
        self.log.append(repr(what))

    def _callback(self, name: str) -> Callable[..., None]:
        def callback(*args: Any) -> None:
            self._see(name, [str(arg) for arg in args])
            if self._depth < DEEPEST:
                self._depth += 1
                for _ in range(self._random.randrange(4)):
                    self.step()
                self._depth -= 1
            if not self._random.randrange(10):
                raise ValueError(name)

        return callback

    # What can be done.

    def subscribe(self) -> int:
        self._sids += 1
        nargs, most = self._random.randrange(5), self._random.randrange(3)
        name = f's{self._sids}'
        return self._driver.wire.subscribe(name, self._callback(name), nargs, None, most)

    def unsubscribe(self) -> None:
        self._driver.wire.unsubscribe(self._random.randrange(20), self._random.randrange(4))

    def replace(self) -> None:
        sid = self._random.randrange(20)
        self._driver.wire.replace(sid, self._callback(f'r{sid}'), self._random.randrange(5))

    def publish(self) -> None:
        self._driver.wire.publish('some.subject', self._random.choice(PAYLOADS))

    def hpublish(self) -> None:
        self._driver.wire.hpublish('some', {'A': 'b'}, self._random.choice(PAYLOADS), 'reply')

    def request(self) -> str:
        reads = self._random.choice([PAYLOAD, ACK, SEQUENCE, WINDOW, NOTHING])
        multi = self._random.random() < 0.2
        callback = self._callback(f'q{len(self._requests)}')
        request = self._kind(
            self._window if reads == WINDOW else callback, self._random.randrange(4), multi, reads
        )
        self._requests.append(request)
        self._driver.wire.request(request, 'service', b'what', timeout=60_000)
        return request.token

    def forget(self) -> bool | None:
        if self._requests:
            return self._driver.wire.forget(self._random.choice(self._requests))
        return None

    def requests(self) -> list[str]:
        return sorted(self._driver.wire.requests)

    def message(self) -> None:
        payload = self._random.choice(PAYLOADS[:4])
        sid = b'%d' % self._random.randrange(20)
        if self._random.random() < 0.5:
            self._receive(b'MSG any %b %d\r\n%b\r\n' % (sid, len(payload), payload))
        else:
            sizes = len(BLOCK), len(BLOCK) + len(payload)
            self._receive(b'HMSG any %b re %d %d\r\n%b%b\r\n' % (sid, *sizes, BLOCK, payload))

    def reply(self) -> None:
        if not self._requests:
            return
        request = self._random.choice(self._requests)
        subject = b'_INBOX.me.' + request.token.encode()
        sid = next((sid for sid in range(1, 200) if self._is_inbox(sid)), 0)
        if self._random.random() < 0.3:
            size = len(REFUSAL)
            self._receive(b'HMSG %b %d %d %d\r\n%b\r\n' % (subject, sid, size, size, REFUSAL))
        else:
            payload = self._random.choice(REPLIES)
            self._receive(b'MSG %b %d %d\r\n%b\r\n' % (subject, sid, len(payload), payload))

    def _is_inbox(self, sid: int) -> bool:
        return b'SUB _INBOX.me.* %d\r\n' % sid in self._driver.wire.restore()

    def line(self) -> None:
        self._receive(self._random.choice(LINES))

    def nonsense(self) -> None:
        if not self._random.randrange(8):
            self._receive(b'what is this\r\n')

    def _receive(self, data: bytes) -> None:
        at = self._random.randrange(len(data) + 1)
        self._driver.wire.feed(data[:at])
        self._driver.wire.next_event(self._random.randrange(3))
        self._driver.wire.feed(data[at:])

    def next_event(self) -> Any:
        return self._driver.wire.next_event(self._random.randrange(5))

    def send(self) -> int:
        size = self._random.choice([0, 1, 100, 100_000])
        return len(self._driver.take(size or None))

    def live(self) -> None:
        self._driver.wire.live = self._random.random() < 0.7

    def refused(self) -> None:
        self._driver.wire.refused = self._random.choice([None, None, ValueError('closing')])

    def ping(self) -> int:
        return self._driver.wire.ping()

    def prepend(self) -> None:
        self._driver.wire.prepend(b'CONNECT {}\r\n')

    def lost(self) -> list[str]:
        return [request.token for request in self._driver.wire.lost()]

    def clear(self) -> list[str]:
        return [request.token for request in self._driver.wire.clear()]

    def skip(self) -> list[str]:
        return [request.token for request in self._driver.wire.skip()]

    def drop_larger(self) -> list[Any]:
        limit = self._random.choice([1, 100, 5000])
        return [(size, one and one.token) for size, one in self._driver.wire.drop_larger(limit)]

    def numbers(self) -> list[int]:
        wire = self._driver.wire
        return [wire.waiting, wire.frames_appended, wire.msgs_in, wire.msgs_out, wire.bytes_in]


DOINGS = [
    *[Play.message, Play.reply, Play.next_event, Play.request] * 4,
    *[Play.subscribe, Play.publish, Play.hpublish, Play.send] * 2,
    *[getattr(Play, name) for name in vars(Play) if name[0] != '_' and name not in ('go', 'step')],
]


@pytest.mark.parametrize('seed', range(40))
def test_both_do_the_same(compiled, seed):
    plays = [Play(twin, seed) for twin in (pure, compiled)]
    for play in plays:
        play.go()
    for at, (one, other) in enumerate(zip(plays[0].log, plays[1].log, strict=False)):
        assert one == other, at
    assert len(plays[0].log) == len(plays[1].log)
