"""Three candidates, one leader at a time: who creates the key leads, while it keeps it alive."""

from __future__ import annotations

import os

from natsev import KV, JetStream, Nats, ev
from natsev.server import Server

server = Server()  # started only where NATS_URL does not name one
url = os.environ.get('NATS_URL') or server.start().url

TTL = 1000  # ms until the key of a leader that fell silent is gone
reigns = []


class Candidate:
    """One of several programs that want to lead."""

    def __init__(self, name):
        self.name = name
        self.nats = Nats(servers=[url], name=name)
        self.kv = KV(js=JetStream(nats=self.nats), bucket='election')
        self.renewal = ev.Timer(TTL / 3000, TTL / 3000, ev.default_loop(), self.renew)

    def start(self):
        # Deleted, or aged out: the watch tells, and everybody tries again.
        self.kv.watch('leader', lambda key, value, op: self.stand(op))

    def stand(self, op):
        if op != 'PUT':
            self.kv.create('leader', self.name, self.elected, ttl=TTL)

    def elected(self, revision, err):
        if err is not None:  # WrongSequenceError: somebody else was first
            return
        self.revision = revision
        reigns.append(self.name)
        print(f'reign {len(reigns)} begins')
        self.renewal.start()
        self.abdication = ev.Timer(TTL / 2000, 0.0, ev.default_loop(), self.fall)
        self.abdication.start()

    def renew(self, timer, revents):
        self.kv.update('leader', self.name, self.revision, self.renewed, ttl=TTL)

    def renewed(self, revision, err):
        if err is None:
            self.revision = revision

    def fall(self, timer, revents):
        """Crash: say nothing to anybody."""
        self.renewal.stop()
        self.nats.disconnect()


candidates = [Candidate(name) for name in ('Ada', 'Bob', 'Cleo')]


def created(info, err):
    for candidate in candidates:
        candidate.start()


candidates[0].kv.create_bucket({'limit_marker_ttl': 1_000_000_000}, created)
ev.run()
print('everybody has led once' if len(set(reigns)) == len(candidates) == len(reigns) else reigns)
