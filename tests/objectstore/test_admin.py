"""Buckets as a whole."""

from __future__ import annotations

import pytest

from natsev import (
    BucketExistsError,
    BucketNotFoundError,
    JetStreamError,
    ObjectStore,
    ObjectStoreError,
    UnsupportedOptionError,
)


@pytest.fixture
def make(run, js, unique):
    """``make(suffix, options)``: a store with a new bucket."""
    made = []

    def make(suffix='', options=None):
        store = ObjectStore(js=js, bucket=unique + suffix)
        _, err = run.call(store.create_bucket, options)
        assert err is None, err
        made.append(store)
        return store

    yield make
    for store in made:
        _, err = run.call(store.delete_bucket)
        assert err is None or isinstance(err, BucketNotFoundError)


def config_of(run, store):
    return run.call(store.status)[0]['stream']['config']


def test_create(run, js, unique):
    store = ObjectStore(js=js, bucket=unique)
    info, err = run.call(store.create_bucket, {})
    assert err is None
    assert info['config']['name'] == f'OBJ_{unique}'
    assert info['config']['allow_direct'] is True
    assert info['config']['discard'] == 'new'
    assert run.call(store.create_bucket, {})[1] is None
    assert run.call(store.delete_bucket) == (True, None)


def test_another_configuration(run, make):
    store = make('', {'max_bytes': 10_000})
    info, err = run.call(store.create_bucket, {})
    assert info is None
    assert isinstance(err, BucketExistsError)
    assert f'bucket {store.bucket!r} exists with another configuration' in str(err)
    assert run.call(store.create_bucket, {'max_bytes': 10_000})[1] is None


def test_all_options(run, make):
    store = make(
        '',
        {
            'description': 'what',
            'max_bytes': 1_000_000,
            'max_age': 10**12,
            'replicas': 1,
            'storage': 'memory',
            'compression': False,
            'metadata': {'a': 'b'},
            'atomic': True,
            'batched': True,
            'object_ttl': True,
        },
    )
    run.call(store.put, 'a', b'x' * 1000)
    status, err = run.call(store.status)
    assert err is None
    assert status.pop('bytes') > 1000
    stream = status.pop('stream')
    assert stream['config']['allow_atomic'] is True
    assert stream['config']['allow_batched'] is True
    assert stream['config']['allow_msg_ttl'] is True
    assert status == {
        'bucket': store.bucket,
        'sealed': 0,
        'description': 'what',
        'ttl': 10**12,
        'replicas': 1,
        'storage': 'memory',
        'compressed': False,
        'metadata': {'a': 'b'},
        'mirror': None,
        'sources': [],
        'read_only': False,
        'backing_store': 'JetStream',
    }


def test_compression(run, make):
    store = make('', {'compression': True})
    assert run.call(store.status)[0]['compressed'] is True
    run.call(store.put, 'a', b'x' * 1_000_000)
    assert run.call(store.get, 'a')[0] == b'x' * 1_000_000


@pytest.mark.parametrize(
    'option, server_version',
    [('atomic', '2.11.11'), ('batched', '2.12.8'), ('object_ttl', '2.10.26')],
)
def test_options_that_the_server_is_too_old_for(
    run, server_of, connect, js, unique, option, server_version
):
    server = server_of(server_version)
    store = ObjectStore(js=type(js)(nats=connect(port=server.port)), bucket=unique)
    _, err = run.call(store.create_bucket, {option: True})
    # Old servers drop what they do not know, newer ones refuse it.
    assert isinstance(err, UnsupportedOptionError | JetStreamError)


def test_more_replicas_than_servers(run, js, unique):
    _, err = run.call(ObjectStore(js=js, bucket=unique).create_bucket, {'replicas': 3})
    assert isinstance(err, JetStreamError)
    assert err.err_code == 10074


def test_update(run, make):
    store = make('', {'description': 'old', 'metadata': {'a': 'b'}})
    run.call(store.put, 'a', b'x')
    info, err = run.call(store.update_bucket, {'description': 'new', 'max_bytes': 50_000})
    assert err is None
    assert info['config']['description'] == 'new'
    status, _ = run.call(store.status)
    assert (status['description'], status['metadata']) == ('new', {'a': 'b'})
    assert status['stream']['config']['max_bytes'] == 50_000
    assert run.call(store.get, 'a')[0] == b'x'


def test_update_of_what_cannot_change(run, make):
    store = make()
    _, err = run.call(store.update_bucket, {'storage': 'memory'})
    assert isinstance(err, JetStreamError)


def test_update_of_no_bucket(run, js, unique):
    _, err = run.call(ObjectStore(js=js, bucket=unique).update_bucket, {'description': 'x'})
    assert isinstance(err, BucketNotFoundError)


def test_delete(run, make, js):
    store = make()
    run.call(store.put, 'a', b'x')
    assert run.call(store.delete_bucket) == (True, None)
    ok, err = run.call(store.delete_bucket)
    assert ok is None
    assert isinstance(err, BucketNotFoundError)
    assert isinstance(run.call(store.status)[1], BucketNotFoundError)


def test_seal(run, make):
    store = make()
    run.call(store.put, 'a', b'x')
    status, err = run.call(store.seal)
    assert err is None
    assert status['sealed'] == 1
    assert run.call(store.status)[0]['sealed'] == 1
    assert run.call(store.get, 'a')[0] == b'x'
    assert run.call(store.list) == (['a'], None)


def test_buckets(run, make, js):
    one, two = make('a', {'description': 'first'}), make('b')
    names = {one.bucket, two.bucket}
    run.call(js.stream_create, {'name': f'OBJ_{one.bucket}x', 'subjects': [f'{one.bucket}.x']})
    statuses, err = run.call(ObjectStore.buckets, js)
    assert err is None
    found = [status for status in statuses if status['bucket'][:-1] == one.bucket[:-1]]
    assert [status['bucket'] for status in found] == sorted(names)
    assert found[0]['description'] == 'first'
    run.call(js.stream_delete, f'OBJ_{one.bucket}x')


def test_a_mirror(run, make, server):
    origin = make('o')
    run.call(origin.put, 'a', b'x' * 300_000)
    mirror = make('m', {'mirror': origin.bucket})
    status, _ = run.call(mirror.status)
    assert status['mirror'] == origin.bucket
    while run.call(mirror.get, 'a')[0] != b'x' * 300_000:
        pass
    _, err = run.call(mirror.put, 'b', b'x')
    assert isinstance(err, ObjectStoreError)
    assert 'is a mirror' in str(err)
    assert mirror.bucket in [
        one['bucket'] for one in run.call(ObjectStore.buckets, mirror._bucket.js)[0]
    ]


def test_sources(run, make):
    origin = make('o')
    run.call(origin.put, 'a', b'x' * 300_000)
    gathered = make('g', {'sources': [origin.bucket]})
    run.call(gathered.put, 'b', b'y')
    assert run.call(gathered.status)[0]['sources'] == [origin.bucket]
    while run.call(gathered.list)[0] != ['a', 'b']:
        pass
    assert run.call(gathered.get, 'a')[0] == b'x' * 300_000


@pytest.mark.parametrize(
    'options',
    [
        {'bucket': ''},
        {'bucket': 'a.b'},
        {'bucket': 'a', 'chunk_size': 0},
        {'bucket': 'a', 'timeout': 0},
        {'bucket': 'a', 'dialect': 'latin'},
    ],
)
def test_wrong_values(js, options):
    with pytest.raises(ValueError):  # noqa: PT011 (each has a text of its own)
        ObjectStore(js=js, **options)


@pytest.mark.parametrize(
    'options',
    [
        {},
        {'bucket': 1},
        {'bucket': 'a', 'chunk_size': '1'},
        {'bucket': 'a', 'timeout': '1'},
        {'bucket': 'a', 'colour': 'red'},
    ],
)
def test_wrong_types(js, options):
    with pytest.raises(TypeError):
        ObjectStore(js=js, **options)
