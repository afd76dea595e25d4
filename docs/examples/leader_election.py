"""Three candidates, one leader at a time: who creates the key leads, while it keeps it alive."""

from __future__ import annotations

import os
from typing import Any

from natsev import KV, JetStream, Nats, NatsError, ev
from natsev.server import Server

server = Server()  # started only where NATS_URL does not name one
url = os.environ.get('NATS_URL') or server.start().url

TTL = 1000  # ms until the key of a leader that fell silent is gone
reigns: list[str] = []


class Candidate:
    """One of several programs that want to lead."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.nats = Nats(servers=[url], name=name)
        self.kv = KV(js=JetStream(nats=self.nats), bucket='election')
        self.renewal = ev.Timer(TTL / 3000, TTL / 3000, ev.default_loop(), self.renew)

    def start(self) -> None:
        # Deleted, or aged out: the watch tells, and everybody tries again.
        self.kv.watch('leader', lambda key, value, op: self.stand(op))

    def stand(self, op: str | None) -> None:
        if op != 'PUT':
            self.kv.create('leader', self.name, self.elected, ttl=TTL)

    def elected(self, revision: Any, err: NatsError | None) -> None:
        if err is not None:  # WrongSequenceError: somebody else was first
            return
        self.revision = revision
        reigns.append(self.name)
        print(f'reign {len(reigns)} begins')
        self.renewal.start()
        self.abdication = ev.Timer(TTL / 2000, 0.0, ev.default_loop(), self.fall)
        self.abdication.start()

    def renew(self, timer: Any, revents: int) -> None:
        self.kv.update('leader', self.name, self.revision, self.renewed, ttl=TTL)

    def renewed(self, revision: Any, err: NatsError | None) -> None:
        if err is None:
            self.revision = revision

    def fall(self, timer: Any, revents: int) -> None:
        """Crash: say nothing to anybody."""
        self.renewal.stop()
        self.nats.disconnect()


candidates = [Candidate(name) for name in ('Ada', 'Bob', 'Cleo')]


def created(info: Any, err: NatsError | None) -> None:
    for candidate in candidates:
        candidate.start()


candidates[0].kv.create_bucket({'limit_marker_ttl': 1_000_000_000}, created)
ev.run()
print('everybody has led once' if len(set(reigns)) == len(candidates) == len(reigns) else reigns)
