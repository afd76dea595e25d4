"""What is asked of a bucket while its stream elects a leader is asked again, not failed."""

from __future__ import annotations

import pytest

from natsev import JetStream, ObjectStore
from tests.cluster import Cluster

pytestmark = pytest.mark.slow
ROUNDS = 10


@pytest.fixture(scope='module')
def cluster():
    with Cluster() as cluster:
        yield cluster


@pytest.fixture
def store(run, connect, cluster, unique):
    js = JetStream(nats=connect(servers=cluster.urls, reconnect=True))
    store = ObjectStore(js=js, bucket=unique, timeout=20_000)
    assert run.call(store.create_bucket, {'replicas': 3})[1] is None
    yield store
    assert run.call(store.delete_bucket)[1] is None


def step_down(run, store):
    """Make the leader step down, and return at once: nobody leads now."""
    subject = f'$JS.API.STREAM.LEADER.STEPDOWN.OBJ_{store.bucket}'
    reply = None
    while not reply or b'"success":true' not in reply:  # nobody leads yet
        reply, _, _ = run.call(store._bucket.nats.request, subject, b'', timeout=500)


def test_all_goes_well_without_a_leader(run, store):
    data = b'a' * 300_000
    assert run.call(store.put, 'a', data)[1] is None
    assert run.call(store.put, 'old', data)[1] is None
    for number in range(ROUNDS):
        step_down(run, store)
        ends = {}

        def told(name, ends=ends):
            return lambda result, err: ends.update({name: err})

        store.status(told('status'))
        store.list(told('list'))
        store.info('a', told('info'))
        store.get('a', told('get'))
        store.put(f'new{number}', b'x', told('put'))
        store.delete('old' if not number else f'new{number - 1}', told('delete'))
        run.until(lambda ends=ends: len(ends) == 6, 60)
        assert set(ends.values()) == {None}, ends
        # Whoever answers must know by now what the leader had acknowledged.
        kept = ['a', f'new{number}']
        assert run.call(store.list) == (kept, None)
        found, _ = run.call(store.infos, [f'new{number}', f'new{number - 1}', 'old'])
        assert [meta is not None for meta in found] == [True, False, False]


def test_who_was_told_of_an_object_reads_no_older_one(run, store, connect, cluster):
    """Whichever of the servers is asked."""
    nats = connect(servers=cluster.urls[1:])
    other = ObjectStore(js=JetStream(nats=nats), bucket=store.bucket, timeout=20_000)
    told, behind = [], []

    def changed(meta, err):
        assert err is None
        if meta is not None:
            told.append(meta['seq'])
            store.get('a', lambda data, err, read: behind.append(read['seq'] - meta['seq']))

    watch = store.watch(changed)
    for number in range(100):
        info, err = run.call(other.put, 'a', str(number))
        assert err is None
    # What is replaced at once may not be told of, but the last one is.
    run.until(lambda: info['seq'] in told and len(behind) == len(told))
    watch.stop()
    assert min(behind) >= 0
