"""A client in a cluster of three: it finds the others, and goes on when the node it is on dies."""

from __future__ import annotations

import os
import random
import signal

import pytest

from natsev import JetStream, ObjectStore
from tests.cluster import Cluster

pytestmark = pytest.mark.slow
AGAIN = {'reconnect': True, 'reconnect_delay': 50, 'max_reconnect_delay': 200}
SIZE = 1_000_000


@pytest.fixture(scope='module')
def cluster():
    with Cluster() as cluster:
        yield cluster


def node_of(cluster, nats):
    return next(node for node in cluster.nodes if node.port == nats.server_info()['port'])


def test_the_others_are_discovered(run, connect, cluster):
    told = []
    nats = connect(servers=[cluster.nodes[0].url], on_discovered_servers=told.append)
    assert run.call(nats.flush) is None
    assert sorted(told[0]) == sorted(cluster.urls[1:])
    ignoring = connect(
        servers=[cluster.nodes[0].url], ignore_discovered=True, on_discovered_servers=told.append
    )
    assert run.call(ignoring.flush) is None
    assert len(told) == 1


def test_clients_spread_over_the_servers(run, connect, cluster):
    clients = [connect(servers=cluster.urls) for _ in range(24)]
    for nats in clients:
        assert run.call(nats.flush) is None
    assert len({nats.server_info()['port'] for nats in clients}) == 3


def test_the_pool_can_be_changed(run, connect, cluster):
    nats = connect(servers=cluster.urls[:1], ignore_discovered=True, **AGAIN)
    assert run.call(nats.flush) is None
    nats.set_servers(cluster.urls[1:2])
    assert nats.server_info()['port'] == cluster.nodes[0].port
    nats.reconnect_now()
    run.until(lambda: nats.stats()['reconnects'])
    assert nats.server_info()['port'] == cluster.nodes[1].port


def test_reconnect_now_goes_to_another_server_also_without_reconnect(run, connect, cluster):
    nats = connect(servers=cluster.urls)
    assert run.call(nats.flush) is None
    before = nats.server_info()['port']
    nats.reconnect_now()
    run.until(lambda: nats.stats()['reconnects'])
    assert nats.server_info()['port'] != before


def test_a_lame_duck_is_left_without_losing_a_call(run, connect, start_cluster, unique):
    cluster = start_cluster(size=2, config={'lame_duck_grace_period': '5s'})
    events, answers, goes_on = [], [], [True]
    answering = connect(servers=[cluster.nodes[1].url])

    def answer_late(subject, payload, reply):
        answering.call_soon(answering.call_soon, answering.publish, reply, payload)

    answering.subscribe(unique, answer_late)
    assert run.call(answering.flush) is None
    nats = connect(
        servers=[cluster.nodes[0].url],
        on_lame_duck=lambda: events.append('lame duck'),
        on_disconnect=lambda err: events.append(str(err)),
        **AGAIN,
    )

    def ask(number):
        def answered(response, err):
            answers.append((number, err))
            if goes_on[0]:
                ask(number + 1)

        nats.request(unique, str(number), answered, timeout=10_000)

    assert run.call(nats.flush) is None
    ask(0)
    run.until(lambda: len(answers) > 100)
    cluster.nodes[0].send_signal(signal.SIGUSR2)
    run.until(lambda: nats.stats()['reconnects'])
    more = len(answers) + 100
    run.until(lambda: len(answers) > more)
    goes_on[0] = False
    run.until(lambda: answers[-1][0] == len(answers) - 1 and not nats._wire.requests)
    assert events[0] == 'lame duck'
    assert nats.server_info()['port'] == cluster.nodes[1].port
    assert {err for _, err in answers} == {None}
    assert cluster.nodes[0].running, 'moved away before the server went'


def test_ten_times_the_node_that_the_client_is_on_is_killed(run, connect, cluster, unique):
    nats = connect(servers=cluster.urls, on_error=lambda err: None, **AGAIN)
    js = JetStream(nats=nats)
    config = {'name': unique, 'subjects': [f'{unique}.>'], 'num_replicas': 3}
    assert run.call(js.stream_create, config)[1] is None
    acked, ended, seen, number = [], [], [], [0]
    goes_on = [True]

    def publish():
        number[0] += 1
        mine = number[0]

        def published(ack, err):
            ended.append(mine)
            if err is None:
                acked.append(mine)
            if goes_on[0]:
                nats.call_soon(publish)

        js.js_publish(f'{unique}.x', str(mine), published, msg_id=str(mine), timeout=2000)

    js.ordered(unique, lambda message: seen.append(int(message['payload'])))
    for _ in range(10):
        publish()
    for kill in range(1, 11):
        run.until(lambda: nats.is_connected())
        enough = len(acked) + 50
        run.until(lambda n=enough: len(acked) > n, 60)
        node = node_of(cluster, nats)
        node.kill()
        run.until(lambda n=kill: nats.stats()['reconnects'] >= n, 60)
        node.start()
        cluster.await_health(node)
    goes_on[0] = False
    run.until(lambda: len(ended) == number[0], 60)
    assert sorted(ended) == list(range(1, number[0] + 1)), 'every callback exactly once'
    run.until(lambda: set(acked) <= set(seen), 60)
    assert len(seen) == len(set(seen)), 'delivered once'
    assert run.call(js.stream_delete, unique)[1] is None


class Traffic:
    """Puts, gets and a watch of a bucket that go on until ``stop``, each checked.

    Attributes:
        stored: the bytes of every object whose put succeeded, by name.
        ended: how many puts and gets have ended.
        errors: which of them failed, of what object, and with what.
    """

    def __init__(self, store):
        self.store = store
        self.stored = {}
        self.ended = self.begun = self.running = 0
        self.errors = []
        self.seen = []
        self.goes_on = True
        self.watch = store.watch(self.changed)

    def changed(self, meta, err):
        assert err is None
        if meta is not None:
            self.seen.append(meta['name'])

    def begin(self, step):
        if self.goes_on:
            self.running += 1
            self.begun += 1
            step(f'o{self.begun}')

    def end(self, name, err, step):
        self.ended += 1
        self.running -= 1
        if err is not None:
            self.errors.append((self.ended, step.__name__, name, err))
        self.store._bucket.nats.call_soon(self.begin, step)

    def put(self, name):
        data = os.urandom(SIZE)

        def stored(meta, err):
            if err is None:
                assert name not in self.stored
                self.stored[name] = data
            self.end(name, err, self.put)

        self.store.put(name, data, stored)

    def get(self, _):
        name = random.choice([*self.stored])

        def got(data, err):
            assert err is not None or data == self.stored[name]
            self.end(name, err, self.get)

        self.store.get(name, got)


def test_ten_times_the_node_is_killed_under_puts_gets_and_a_watch(run, connect, cluster, unique):
    nats = connect(servers=cluster.urls, on_error=lambda err: None, **AGAIN)
    store = ObjectStore(js=JetStream(nats=nats), bucket=unique, timeout=60_000)
    assert run.call(store.create_bucket, {'replicas': 3})[1] is None
    traffic = Traffic(store)
    for _ in range(2):
        traffic.begin(traffic.put)
    run.until(lambda: traffic.stored)
    for _ in range(2):
        traffic.begin(traffic.get)
    for kill in range(1, 11):
        enough = traffic.ended + 2
        run.until(lambda n=enough: traffic.ended >= n and nats.is_connected(), 60)
        before = nats.stats()['bytes_out']
        run.until(lambda n=before: nats.stats()['bytes_out'] > n + SIZE // 4, 60)
        node = node_of(cluster, nats)
        node.kill()
        run.until(lambda n=kill: nats.stats()['reconnects'] >= n, 60)
        node.start()
        cluster.await_health(node)
    traffic.goes_on = False
    run.until(lambda: not traffic.running, 60)
    assert traffic.errors == [], f'of {traffic.ended} puts and gets'
    assert traffic.ended == traffic.begun, 'every callback exactly once'
    run.until(lambda: len(traffic.seen) >= len(traffic.stored), 60)
    assert sorted(traffic.seen) == sorted(traffic.stored), 'each is told of once'
    traffic.watch.stop()
    assert sorted(run.call(store.list)[0]) == sorted(traffic.stored)
    for name, data in traffic.stored.items():
        assert run.call(store.get, name)[:2] == (data, None)
    assert run.call(store.delete_bucket)[1] is None
