"""A client in a cluster of three: it finds the others, and goes on when the node it is on dies."""

from __future__ import annotations

import signal

import pytest

from natsev import JetStream
from tests.cluster import Cluster

pytestmark = pytest.mark.slow
AGAIN = {'reconnect': True, 'reconnect_delay': 50, 'max_reconnect_delay': 200}


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
