"""Objects stored all at once or not at all."""

from __future__ import annotations

import io
import os

import pytest

from natsev import (
    Cancelled,
    JetStream,
    ObjectStore,
    ObjectStoreError,
    StorageFullError,
    WrongSequenceError,
)

BIG = os.urandom(1_000_000)


@pytest.fixture(params=['2.12.8', 'newest'])
def atomic(request, server_of, make_store):
    """A bucket that takes atomic commits."""
    return make_store(server_of(request.param), {'atomic': True})


def test_commit(run, atomic, inside_of):
    inside = inside_of(atomic)
    infos, err = run.call(
        atomic.commit,
        [('a', b'x'), ('b', BIG, {'description': 'd', 'chunk_size': 100_000}), ('c', b'')],
    )
    assert err is None
    assert [(info['name'], info['size'], info['chunks']) for info in infos] == [
        ('a', 1, 1),
        ('b', len(BIG), 10),
        ('c', 0, 0),
    ]
    for info, data in zip(infos, (b'x', BIG, b''), strict=True):
        assert run.call(atomic.get, info['name'])[:2] == (data, None)
        assert run.call(atomic.info, info['name'])[0]['seq'] == info['seq']
    assert inside.chunks() == {infos[0]['nuid']: 1, infos[1]['nuid']: 10}
    assert inside.body('b')['description'] == 'd'


def test_commit_replaces(run, atomic, inside_of):
    inside = inside_of(atomic)
    run.call(atomic.put, 'a', BIG)
    run.call(atomic.put, 'b', BIG)
    run.call(atomic.delete, 'b')
    infos, err = run.call(atomic.commit, [('a', b'1'), ('b', b'2')])
    assert err is None
    inside.await_chunks({info['nuid']: 1 for info in infos})
    assert run.call(atomic.list)[0] == ['a', 'b']


def test_put_atomic(run, atomic, inside_of, tmp_path):
    path = tmp_path / 'data'
    path.write_bytes(BIG)
    for source in (BIG, path, io.BytesIO(BIG), iter([BIG])):
        info, err = run.call(atomic.put, 'a', source, atomic=True)
        assert err is None
        assert info['size'] == len(BIG)
        assert run.call(atomic.get, 'a')[0] == BIG
        inside_of(atomic).await_only(info)


def test_a_commit_that_loses_stores_nothing(run, atomic, inside_of):
    inside = inside_of(atomic)
    first, _ = run.call(atomic.put, 'b', b'there')
    for condition in ({'if_absent': True}, {'expected_seq': first['seq'] + 5}):
        infos, err = run.call(atomic.commit, [('a', BIG), ('b', b'x', condition)])
        assert infos is None
        assert isinstance(err, WrongSequenceError)
    assert run.call(atomic.list)[0] == ['b']
    inside.await_only(first)
    assert run.call(atomic.commit, [('b', b'x', {'expected_seq': first['seq']})])[1] is None


def test_commits_that_race(run, atomic, inside_of):
    results = []
    for number in range(10):
        atomic.commit([('a', f'{number}'), ('b', f'{number}' * 100)], lambda *r: results.append(r))
    run.until(lambda: len(results) == 10)
    assert [err for _, err in results if err] == []
    a, b = run.call(atomic.get, 'a'), run.call(atomic.get, 'b')
    assert a[0] * 100 == b[0]
    inside_of(atomic).await_chunks({a[2]['nuid']: 1, b[2]['nuid']: 1})


def test_conditions_that_race(run, atomic, inside_of):
    results = []
    for number in range(10):
        objects = [('a', f'{number}', {'if_absent': True}), (f'own-{number}', BIG)]
        atomic.commit(objects, lambda *r: results.append(r))
    run.until(lambda: len(results) == 10)
    winners = [infos for infos, err in results if err is None]
    assert len(winners) == 1
    assert sorted(run.call(atomic.list)[0]) == sorted(info['name'] for info in winners[0])
    inside_of(atomic).await_chunks({info['nuid']: info['chunks'] for info in winners[0]})


def test_a_full_bucket(run, server, make_store, inside_of):
    store = make_store(server, {'atomic': True, 'max_bytes': 500_000})
    infos, err = run.call(store.commit, [('a', b'x'), ('b', BIG)])
    assert infos is None
    assert isinstance(err, StorageFullError)
    assert run.call(store.list)[0] == []
    assert inside_of(store).chunks() == {}


def test_a_bucket_that_takes_none(run, store):
    for call in ((store.commit, [('a', b'x')]), (store.put, 'a', b'x')):
        options = {'atomic': True} if call[0] == store.put else {}
        result, err = run.call(*call, **options)
        assert result is None
        assert isinstance(err, ObjectStoreError)
        assert 'atomic=True' in str(err)


def test_too_many_messages(run, atomic):
    _, err = run.call(atomic.commit, [('a', BIG, {'chunk_size': 1000})])
    assert isinstance(err, ObjectStoreError)
    assert '1000 messages' in str(err)
    assert run.call(atomic.commit, [('a', BIG[:999], {'chunk_size': 1})])[1] is None
    assert run.call(atomic.get, 'a')[0] == BIG[:999]


def test_a_source_that_fails(run, atomic, inside_of, tmp_path):
    infos, err = run.call(atomic.commit, [('a', b'x'), ('b', tmp_path / 'no')])
    assert infos is None
    assert isinstance(err.__cause__, FileNotFoundError)
    assert run.call(atomic.list)[0] == []


def test_over_lost_connections(run, atomic, inside_of, proxy, connect):
    server_port = atomic._bucket.nats.server_info()['port']

    class Target:
        host, port = '127.0.0.1', server_port

    between = proxy(Target)
    nats = connect(port=between.port, reconnect=True, reconnect_delay=10)
    far = ObjectStore(js=JetStream(nats=nats), bucket=atomic.bucket)
    for number in range(10):
        results = []
        far.commit(
            [('a', f'{number}'), ('b', BIG)],
            lambda *r: results.append(r),  # noqa: B023
        )
        run.turns(2 + number % 4)
        between.cut()
        run.until(lambda: results)  # noqa: B023
        infos, err = results[0]
        assert err is None
        assert run.call(atomic.get, 'a')[0] == f'{number}'.encode()
    inside_of(atomic).await_chunks({info['nuid']: info['chunks'] for info in infos})


def test_cancel(run, atomic):
    transfer = atomic.commit([('a', b'x')], lambda *result: run.done(result))
    transfer.cancel()
    infos, err = run()
    assert infos is None
    assert isinstance(err, Cancelled)
    assert run.call(atomic.list)[0] == []


@pytest.mark.parametrize(
    'objects',
    [
        [],
        [('', b'')],
        [('a', b''), ('a', b'')],
        [('a', b'', {'ttl': 5})],
        [('a', b'', {'keep_versions': 2})],
    ],
)
def test_wrong_values(store, objects):
    with pytest.raises(ValueError):  # noqa: PT011 (each has a text of its own)
        store.commit(objects, print)


@pytest.mark.parametrize('objects', [None, [('a', None)], [('a', b'', {'colour': 1})], [(1, b'')]])
def test_wrong_types(store, objects):
    with pytest.raises(TypeError):
        store.commit(objects, print)
