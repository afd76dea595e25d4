"""Reading goes on when the leader of a stream or of a consumer steps down."""

from __future__ import annotations

import pytest

from natsev import KV, JetStream
from tests.cluster import Cluster

pytestmark = pytest.mark.slow
ROUNDS = 3
PER_ROUND = 100


@pytest.fixture(scope='module')
def cluster():
    with Cluster() as cluster:
        yield cluster


@pytest.fixture
def js(connect, cluster):
    return JetStream(nats=connect(servers=cluster.urls, reconnect=True), timeout=20_000)


@pytest.fixture
def stream(run, js, unique):
    config = {'name': unique, 'subjects': [f'{unique}.>'], 'num_replicas': 3}
    assert run.call(js.stream_create, config)[1] is None
    yield unique
    assert run.call(js.stream_delete, unique)[1] is None


@pytest.fixture
def publish(run, js):
    """``publish(subject, first)``: stores numbers, each once, however long an election takes."""

    def publish(subject, first):
        left = set(range(first, first + PER_ROUND))

        def send(number):
            def stored(ack, err):
                if err is not None:
                    send(number)
                    return
                left.discard(number)
                if not left:
                    run.done()

            js.js_publish(subject, str(number), stored, msg_id=str(number), timeout=2000)

        for number in sorted(left):
            send(number)
        run(60)

    return publish


def step_down(run, js, what, name):
    subject = f'{js.prefix}.{what}.LEADER.STEPDOWN.{name}'

    def ask():
        js.nats.request(subject, b'', answered, 2000)

    def answered(reply, err):
        if err is None and b'"success":true' in reply:
            run.done()
        else:  # nobody leads for a moment
            ask()

    ask()
    run(30)


def test_ordered(run, js, stream, publish):
    seqs, ends = [], []
    reading = js.ordered(stream, lambda message: seqs.append(message.seq), on_end=ends.append)
    for number in range(ROUNDS):
        publish(f'{stream}.a', number * PER_ROUND)
        step_down(run, js, 'STREAM', stream)
    publish(f'{stream}.a', ROUNDS * PER_ROUND)
    last = (ROUNDS + 1) * PER_ROUND
    run.until(lambda: ends or (seqs and seqs[-1] == last), 60)
    assert ends == []
    assert seqs == list(range(1, last + 1))
    reading.stop()


@pytest.mark.parametrize('kind', ['pull', 'push'])
def test_a_durable_consumer(run, js, stream, publish, kind):
    """It may deliver twice, where an acknowledgement was lost; nothing is missing."""
    config = {'durable_name': 'C', 'ack_policy': 'explicit', 'ack_wait': 2_000_000_000}
    if kind == 'push':
        config |= {'deliver_subject': f'out.{stream}', 'flow_control': True}
        config |= {'idle_heartbeat': 500_000_000}
    assert run.call(js.consumer_create, stream, config)[1] is None
    seqs, ends = set(), []

    def on_message(message):
        seqs.add(message.seq)
        message.ack()

    consume = js.push_consume if kind == 'push' else js.consume
    consumption = consume(stream, 'C', on_message, on_end=ends.append)
    for number in range(ROUNDS):
        publish(f'{stream}.a', number * PER_ROUND)
        step_down(run, js, 'CONSUMER', f'{stream}.C')
    publish(f'{stream}.a', ROUNDS * PER_ROUND)
    run.until(lambda: ends or len(seqs) == (ROUNDS + 1) * PER_ROUND, 60)
    assert ends == []
    consumption.stop()


def test_a_watch(run, js, unique):
    kv = KV(js=js, bucket=unique)
    assert run.call(kv.create_bucket, {'replicas': 3, 'max_history': 64})[1] is None
    revisions, ends = [], []

    def changed(key, value, op, entry):
        if key is not None:
            revisions.append(entry['revision'])

    watch = kv.watch(None, changed, on_end=ends.append)
    last = 0
    for number in range(4):
        step_down(run, js, 'STREAM', f'KV_{unique}')
        for _ in range(10):
            revision = None
            while revision is None:  # nobody leads for a moment
                kv.put(f'k{number}', b'x', lambda revision, err: run.done(revision))
                revision = run(30)
            last = revision
    run.until(lambda: ends or (revisions and revisions[-1] == last), 60)
    assert ends == []
    assert revisions == list(range(1, last + 1))
    watch.stop()
    assert run.call(kv.delete_bucket)[1] is None
