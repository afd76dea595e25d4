"""Random operations while the network and the server misbehave; what must hold afterwards.

- every callback is called exactly once;
- nothing acknowledged is lost;
- nothing is delivered twice to a subscription.

Of the whole client, where the scenarios beside it are of the object store. The seed stands in the
test's name.
"""

from __future__ import annotations

import contextlib
import random
from collections import Counter

from natsev import JetStream, NatsError, ObjectStore, ev

OPERATIONS = 2000
# How often each is done, relative to the others.
WEIGHTS = {
    'publish': 40,
    'request': 20,
    'cancel': 4,
    'js_publish': 20,
    'put': 3,
    'get': 4,
    'subscribe': 3,
    'unsubscribe': 2,
    'drain': 2,
    'pause': 2,
    'flush': 4,
    'request_many': 3,
    'cut': 1,
    'cut_after': 2,
    'stall': 1,
    'slow_down': 1,
    'refuse': 0.5,
    'reconnect': 1,
    'disconnect': 0.4,
    'kill_server': 0.2,
    'restart_server': 0.2,
}


class Chaos:
    """One run of operations, drawn from *seed*."""

    def __init__(self, run, connect, server, proxy, name, seed):
        self.random = random.Random(seed)
        self.run = run
        self.server = server
        self.proxy = proxy
        self.name = name
        self.goes_on = True
        self.numbers = 0
        self.callbacks = Counter()  # by the number of the call
        self.pending = {}  # what the call was, by its number
        self.operation = ''
        self.handles = []
        self.sids = []
        self.delivered = Counter()  # by subscription and number of the message
        self.acked = []
        self.stored = {}
        self.sizes = {}
        self.timers = []
        self.nats = connect(
            port=proxy.port,
            reconnect=True,
            reconnect_delay=5,
            max_reconnect_delay=50,
            max_reconnect_attempts=0,
            connect_timeout=1000,
            ping_interval=300,
            on_error=lambda err: None,
            on_close=self.closed,
        )
        self.js = JetStream(nats=self.nats, timeout=3000)
        self.store = ObjectStore(js=self.js, bucket=name, timeout=10_000)
        self.nats.subscribe(f'{name}.echo', self.echo)

    def echo(self, subject, payload, reply):
        if reply:
            self.publish_quietly(reply, payload)

    def publish_quietly(self, subject, payload):
        with contextlib.suppress(NatsError):  # closed, or too much waits
            self.nats.publish(subject, payload)

    def number(self):
        self.numbers += 1
        return self.numbers

    def expecting(self, then=lambda *results: None):
        """Return a callback that must be called exactly once."""
        number = self.number()
        self.pending[number] = self.operation

        def called(*results):
            self.callbacks[number] += 1
            self.pending.pop(number, None)
            then(*results)

        return called

    # The operations.

    def publish(self):
        size = self.random.choice([0, 10, 1000, 20_000, 200_000])
        self.publish_quietly(f'{self.name}.s', b'%d ' % self.number() + b'x' * size)

    def request(self):
        subject = self.random.choice(['echo', 'echo', 'nobody', 'silent'])
        timeout = self.random.choice([50, 500, 5000])
        payload = b'%d' % self.number()

        def answered(response, err, headers):
            assert (response is None) is (err is not None)
            assert response in (None, payload)

        callback = self.expecting(answered)
        subject = f'{self.name}.{subject}'
        self.handles.append(self.nats.request(subject, payload, callback, timeout))

    def request_many(self):
        self.handles.append(
            self.nats.request_many(
                f'{self.name}.echo', b'', self.expecting(), max_msgs=1, timeout=1000
            )
        )

    def cancel(self):
        if self.handles:
            self.random.choice(self.handles[-20:]).cancel()

    def js_publish(self):
        number = self.number()

        def published(ack, err):
            if err is None:
                self.acked.append(number)

        self.js.js_publish(
            f'{self.name}.js', str(number), self.expecting(published), msg_id=str(number)
        )

    def put(self):
        number = self.number()
        data = self.random.randbytes(self.random.choice([0, 100, 300_000, 1_000_000]))

        def stored(info, err):
            if err is None:
                self.stored[f'o{number}'] = data

        self.handles.append(self.store.put(f'o{number}', data, self.expecting(stored)))

    def get(self):
        if not self.stored:
            return
        name = self.random.choice(list(self.stored))

        def got(data, err, meta):
            assert err is not None or data == self.stored[name]

        self.handles.append(self.store.get(name, self.expecting(got)))

    def subscribe(self):
        key = self.number()

        def on_message(subject, payload):
            self.delivered[key, payload.partition(b' ')[0]] += 1

        with contextlib.suppress(NatsError):  # closed
            self.sids.append(self.nats.subscribe(f'{self.name}.s', on_message))

    def unsubscribe(self):
        if self.sids:
            self.nats.unsubscribe(self.sids.pop(self.random.randrange(len(self.sids))))

    def drain(self):
        if self.sids:
            sid = self.sids.pop(self.random.randrange(len(self.sids)))
            self.nats.unsubscribe(sid, drain=True)

    def pause(self):
        if self.sids:
            sid = self.random.choice(self.sids)
            self.nats.pause(sid)
            self.later(0.02, lambda: self.nats.resume(sid))

    def flush(self):
        self.nats.flush(self.expecting(), timeout=self.random.choice([20, 5000]))

    def cut(self):
        self.proxy.cut()

    def cut_after(self):
        self.proxy.cut_after(self.random.randrange(1, 100_000))

    def stall(self):
        self.proxy.stall()
        self.later(self.random.uniform(0, 0.5), self.proxy.flow)

    def slow_down(self):
        self.proxy.delay = self.random.choice([0, 0.001, 0.01])

    def refuse(self):
        self.proxy.refusing = True
        self.later(0.1, lambda: setattr(self.proxy, 'refusing', False))

    def reconnect(self):
        self.nats.reconnect_now()

    def disconnect(self):
        self.nats.disconnect()

    def closed(self):
        if self.goes_on:
            self.nats.connect('127.0.0.1', self.proxy.port)

    def kill_server(self):
        self.server.kill()
        self.later(0.1, self.server.start)

    def restart_server(self):
        if self.server.running:
            self.server.restart()

    # The run.

    def later(self, seconds, function):
        timer = ev.Timer(seconds, 0.0, ev.default_loop(), lambda *_: function())
        timer.start()
        self.timers.append(timer)

    def go(self):
        assert self.run.call(self.store.create_bucket, {})[1] is None
        config = {'name': f'{self.name}-js', 'subjects': [f'{self.name}.js']}
        assert self.run.call(self.js.stream_create, config)[1] is None
        done = [0]

        def step():
            for _ in range(self.random.randrange(1, 8)):
                self.operation = self.random.choices(list(WEIGHTS), list(WEIGHTS.values()))[0]
                getattr(self, self.operation)()
                done[0] += 1
            if done[0] < OPERATIONS:
                self.later(self.random.choice([0, 0, 0.001, 0.02]), step)

        step()
        self.run.until(lambda: done[0] >= OPERATIONS, 120)
        self.heal()
        self.settle()
        assert set(self.callbacks.values()) <= {1}, 'exactly once'
        assert all(times == 1 for times in self.delivered.values()), 'none twice'
        self.check_acknowledged()
        # It was chaos, and not all of it in vain.
        assert self.nats.stats()['reconnects'] > 0
        assert self.acked
        assert self.delivered

    def settle(self):
        try:
            self.run.until(lambda: not self.pending, 30)
        finally:
            assert not self.pending, 'every call ends'

    def heal(self):
        for timer in self.timers:
            timer.stop()
        self.server.start()
        self.proxy.refusing = False
        self.proxy.delay = 0
        self.proxy.cut_after(None)
        self.proxy.flow()
        self.run.until(lambda: self.nats.is_connected() and not self.nats.is_closed(), 30)

    def check_acknowledged(self):
        found = []
        self.js.ordered(f'{self.name}-js', lambda message: found.append(int(message['payload'])))
        self.run.until(lambda: set(self.acked) <= set(found), 30)
        assert len(found) == len(set(found)), 'stored once'
        for name, data in self.stored.items():
            assert self.run.call(self.store.get, name)[:2] == (data, None)


def test_exactly_once_and_nothing_lost(run, connect, own_server, proxy, unique, chaos_seed):
    chaos = Chaos(run, connect, own_server, proxy(own_server), unique, chaos_seed)
    try:
        chaos.go()
    finally:
        chaos.goes_on = False
