from __future__ import annotations

import pytest

from natsev import BucketExistsError, BucketNotFoundError, JetStreamError, ObjectStore


@pytest.fixture
def bucket(run, js, unique):
    """``bucket(suffix)``: a handle for a bucket that does not exist yet; deleted afterwards."""
    made: list[ObjectStore] = []

    def bucket(suffix: str = '') -> ObjectStore:
        made.append(ObjectStore(js=js, bucket=unique + suffix))
        return made[-1]

    yield bucket
    for store in reversed(made):
        run.call(store.delete_bucket)


def test_status_tells_everything(run, bucket):
    store = bucket()
    options = {
        'description': 'for tests',
        'max_age': 3_600_000_000_000,
        'storage': 'memory',
        'compression': True,
        'metadata': {'k': 'v'},
    }
    _, err = run.call(store.create_bucket, options)
    assert err is None
    run.call(store.put, 'a', b'x' * 1000)
    status, err = run.call(store.status)
    assert err is None
    stream = status.pop('stream')
    assert stream['config']['name'] == f'OBJ_{store.bucket}'
    assert status.pop('bytes') == stream['state']['bytes'] > 1000
    assert status == {
        'bucket': store.bucket,
        'sealed': 0,
        'description': 'for tests',
        'ttl': 3_600_000_000_000,
        'replicas': 1,
        'storage': 'memory',
        'compressed': True,
        'metadata': {'k': 'v'},
        'mirror': None,
        'sources': [],
        'read_only': False,
        'backing_store': 'JetStream',
    }


def test_create_or_update(run, bucket):
    store = bucket()
    info, err = run.call(store.create_or_update_bucket, {'description': 'a', 'max_bytes': 10**6})
    assert err is None
    assert info['config']['description'] == 'a'
    info, err = run.call(store.create_or_update_bucket, {'description': 'b'})
    assert err is None
    assert (info['config']['description'], info['config']['max_bytes']) == ('b', 10**6)
    assert isinstance(run.call(store.create_bucket, {})[1], BucketExistsError)
    # Nothing given: it is as it is.
    info, err = run.call(store.create_or_update_bucket, None)
    assert (err, info['config']['description']) == (None, 'b')


def test_update_of_what_cannot_be_updated(run, bucket):
    store = bucket()
    assert isinstance(run.call(store.update_bucket, {'description': 'x'})[1], BucketNotFoundError)
    run.call(store.create_bucket, {})
    _, err = run.call(store.update_bucket, {'storage': 'memory'})
    assert isinstance(err, JetStreamError)
    info, err = run.call(store.update_bucket, {'metadata': {'k': 'v'}})
    assert err is None
    assert info['config']['metadata']['k'] == 'v'
    assert run.call(store.status)[0]['metadata'] == {'k': 'v'}


def test_buckets_are_listed_with_their_status(run, bucket, js):
    one, two = bucket('1'), bucket('2')
    run.call(one.create_bucket, {'description': 'one'})
    run.call(two.create_bucket, {'mirror': one.bucket})
    run.call(js.stream_create, {'name': one.bucket + 'x', 'subjects': [one.bucket]})
    statuses, err = run.call(ObjectStore.buckets, js)
    assert err is None
    ours = [s for s in statuses if s['bucket'].startswith(one.bucket[:-1])]
    assert [s['bucket'] for s in ours] == [one.bucket, two.bucket]
    assert [s['description'] for s in ours] == ['one', '']
    assert [s['mirror'] for s in ours] == [None, one.bucket]
    run.call(js.stream_delete, one.bucket + 'x')


def test_seal(run, bucket):
    store = bucket()
    run.call(store.create_bucket, {})
    run.call(store.put, 'a', b'abc')
    status, err = run.call(store.seal)
    assert err is None
    assert (status['sealed'], status['read_only']) == (1, True)
    assert run.call(store.status)[0]['sealed'] == 1
    assert run.call(store.get, 'a')[0] == b'abc'
    # A handle that does not know yet is told by the server.
    other = ObjectStore(js=store._bucket.js, bucket=store.bucket)
    for each in (store, other):
        for call in ((each.put, 'b', b'x'), (each.delete, 'a'), (each.link, 'l', 'a')):
            result, err = run.call(*call)
            assert result is None
            assert 'sealed' in str(err)


def test_a_mirror_has_what_its_origin_has(run, bucket):
    origin, mirror = bucket('o'), bucket('m')
    run.call(origin.create_bucket, {})
    for name in ('a', 'b'):
        run.call(origin.put, name, name.encode() * 300_000)
    _, err = run.call(mirror.create_bucket, {'mirror': origin.bucket})
    assert err is None
    listed: list[str] = []
    watch = mirror.watch(lambda meta, err: listed.append(meta and meta['name']))
    run.until(lambda: {'a', 'b'} <= set(listed))
    watch.stop()
    assert run.call(mirror.list)[0] == ['a', 'b']
    data, err, meta = run.call(mirror.get, 'b')
    assert (data, err) == (b'b' * 300_000, None)
    assert meta['bucket'] == mirror.bucket
    status, _ = run.call(mirror.status)
    assert (status['mirror'], status['read_only']) == (origin.bucket, True)


def test_a_bucket_of_two_sources(run, bucket):
    one, two, both = bucket('1'), bucket('2'), bucket('3')
    for store in (one, two):
        run.call(store.create_bucket, {})
        run.call(store.put, store.bucket, b'abc')
    _, err = run.call(both.create_bucket, {'sources': [one.bucket, {'bucket': two.bucket}]})
    assert err is None
    listed: list[str] = []
    watch = both.watch(lambda meta, err: listed.append(meta and meta['name']))
    run.until(lambda: {one.bucket, two.bucket} <= set(listed))
    watch.stop()
    run.call(both.put, 'own', b'own')
    assert run.call(both.list)[0] == ['own', one.bucket, two.bucket]
    assert run.call(both.get, two.bucket)[0] == b'abc'
    status, _ = run.call(both.status)
    assert (status['sources'], status['read_only']) == ([one.bucket, two.bucket], False)


def test_an_origin_is_read_though_its_mirror_answers(run, bucket):
    """A server lets a mirror answer direct gets of its origin, whose subjects it does not have."""
    origin, mirror = bucket('o'), bucket('m')
    assert run.call(origin.create_bucket, {})[1] is None
    data = bytes(range(256)) * 100
    for number in range(20):
        run.call(origin.put, f'{number}', data, chunk_size=1000)
    assert run.call(mirror.create_bucket, {'mirror': origin.bucket})[1] is None
    while len(run.call(mirror.list)[0]) < 20:
        pass
    names = [f'{number}' for number in range(20)]
    for name in names:
        assert run.call(origin.get, name)[:2] == (data, None)
        assert run.call(origin.get, name, offset=5000, length=3000)[0] == data[5000:8000]
        assert run.call(origin.info, name)[0]['size'] == len(data)
        metas, err = run.call(origin.infos, [*names, 'none'])
        assert err is None
        assert [meta and meta['name'] for meta in metas] == [*names, None]
    assert sorted(run.call(origin.list)[0]) == sorted(names)
    assert run.call(origin.get, 'none') == (None, None, None)
