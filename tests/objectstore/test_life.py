"""The store's life on every version of nats-server: what differs between them must not show."""

from __future__ import annotations

import hashlib

import pytest

from natsev import (
    BucketExistsError,
    BucketNotFoundError,
    JetStream,
    MissingChunks,
    ObjectStore,
    WrongSequenceError,
)
from tests.by_hand import ByHand

DATA = hashlib.shake_128(b'some bytes').digest(200_000)


@pytest.fixture(params=['direct', 'leader'])
def direct(request):
    """With direct gets, and without: buckets that the Perl original made allow none."""
    return request.param == 'direct'


@pytest.fixture
def store(run, each_server, connect, unique, direct):
    js = JetStream(nats=connect(port=each_server.port))
    store = ObjectStore(js=js, bucket=unique, chunk_size=10_000)
    info, err = run.call(store.create_bucket, {'description': 'of a test'})
    assert err is None
    if not direct:
        config = {**info['config'], 'allow_direct': False}
        _, err = run.call(js.stream_update, config)
        assert err is None
        store = ObjectStore(js=js, bucket=unique, chunk_size=10_000)
    yield store
    _, err = run.call(store.delete_bucket)
    assert err is None


@pytest.fixture
def by_hand(run, store):
    return ByHand(run, store._bucket.js, store.bucket)


@pytest.fixture
def do(run):
    def do(function, *args, **options):
        results = run.call(function, *args, **options)
        assert results[1] is None, results[1]
        return results[0]

    return do


def test_life(run, do, store, by_hand, tmp_path):
    events = []
    watch = store.watch(lambda meta, err: events.append((meta, err)))
    run.until(lambda: events == [(None, None)])

    # put
    assert do(store.put, 'empty', b'')['chunks'] == 0
    assert do(store.put, 'small', b'small')['chunks'] == 1
    assert do(store.put, 'large', DATA, description='many chunks')['chunks'] == 20
    # get
    assert do(store.get, 'empty') == b''
    assert do(store.get, 'small') == b'small'
    assert do(store.get, 'large') == DATA
    assert do(store.get, 'large', into=tmp_path / 'large') == len(DATA)
    assert (tmp_path / 'large').read_bytes() == DATA
    with (tmp_path / 'opened').open('wb') as file:
        assert do(store.get, 'large', into=file) == len(DATA)
    assert (tmp_path / 'opened').read_bytes() == DATA
    parts = []
    assert do(store.get_stream, 'large', parts.append)['size'] == len(DATA)
    assert b''.join(parts) == DATA
    # overwrite, in both directions
    do(store.put, 'small', DATA[:50_000])
    do(store.put, 'large', b'not any more')
    assert do(store.get, 'small') == DATA[:50_000]
    assert do(store.get, 'large') == b'not any more'
    by_hand.check_no_orphans()
    # list, info, status
    assert do(store.list) == ['empty', 'large', 'small']
    info = do(store.info, 'small')
    assert (info['size'], info['chunks']) == (50_000, 5)
    status = do(store.status)
    assert (status['bucket'], status['description']) == (store.bucket, 'of a test')
    assert (status['sealed'], status['storage'], status['replicas']) == (0, 'file', 1)
    assert status['bytes'] > 50_000
    # delete
    assert do(store.delete, 'small') is True
    assert do(store.delete, 'small') is False
    assert do(store.delete, 'never there') is False
    assert run.call(store.get, 'small') == (None, None, None)
    assert do(store.list) == ['empty', 'large']
    assert do(store.list, deleted=True) == ['empty', 'large', 'small']
    by_hand.check_no_orphans()

    run.until(lambda: len(events) >= 7)
    watch.stop()
    assert [(m['name'], m['size'], m['deleted'], err) for m, err in events[1:]] == [
        ('empty', 0, False, None),
        ('small', 5, False, None),
        ('large', 200_000, False, None),
        ('small', 50_000, False, None),
        ('large', 12, False, None),
        ('small', 0, True, None),
    ]


def test_conditions(run, do, store, by_hand):
    info = do(store.put, 'a', b'1', if_absent=True)
    for options in ({'if_absent': True}, {'expected_seq': info['seq'] + 1}, {'expected_seq': 0}):
        for data in (b'2', DATA):
            _, err = run.call(store.put, 'a', data, **options)
            assert isinstance(err, WrongSequenceError)
    _, err = run.call(store.delete, 'a', expected_seq=info['seq'] + 1)
    assert isinstance(err, WrongSequenceError)
    assert do(store.put, 'a', DATA, expected_seq=info['seq'])['seq'] > info['seq']
    assert do(store.get, 'a') == DATA
    by_hand.check_no_orphans()


def test_missing_chunks_are_told_at_once(run, do, store, by_hand):
    for name, data in {'one': b'x', 'many': DATA}.items():
        by_hand.purge(do(store.put, name, data)['nuid'])
        data, err, _ = run.call(store.get, name)
        assert data is None
        assert isinstance(err, MissingChunks)


def test_a_chunk_in_the_middle_is_missing(run, do, store, by_hand):
    info = do(store.put, 'a', DATA)
    by_hand.delete(info['seq'] - 10)
    _, err, _ = run.call(store.get, 'a')
    assert isinstance(err, MissingChunks)


def test_buckets(run, do, each_server, connect, unique):
    js = JetStream(nats=connect(port=each_server.port))
    store = ObjectStore(js=js, bucket=unique)
    for function, *args in (
        (store.get, 'a'), (store.put, 'a', b'x'), (store.put, 'a', DATA), (store.delete, 'a'),
        (store.info, 'a'), (store.list,), (store.status,), (store.delete_bucket,),
    ):  # fmt: skip
        err = run.call(function, *args)[1]
        assert isinstance(err, BucketNotFoundError), function
    do(store.create_bucket, {'max_bytes': 1_000_000})
    do(store.create_bucket, {'max_bytes': 1_000_000})
    _, err = run.call(store.create_bucket, {})
    assert isinstance(err, BucketExistsError)
    do(store.put, 'a', b'x')
    do(store.update_bucket, {'max_bytes': -1, 'description': 'larger'})
    assert do(store.status)['description'] == 'larger'
    assert unique in [status['bucket'] for status in do(ObjectStore.buckets, js)]
    assert do(store.seal)['sealed'] == 1
    assert do(store.get, 'a') == b'x'
    assert do(store.delete_bucket) is True
