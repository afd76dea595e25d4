from __future__ import annotations

from typing import Any

import pytest

from natsev import BucketNotFoundError, LinkError, ObjectStore, WrongSequenceError


def put(run: Any, store: ObjectStore, name: str, data: Any = b'x', **options: Any) -> Any:
    info, err = run.call(store.put, name, data, **options)
    assert err is None, err
    return info


@pytest.fixture
def other(run, js, unique):
    """Another bucket."""
    store = ObjectStore(js=js, bucket=unique + 'other')
    _, err = run.call(store.create_bucket, {})
    assert err is None
    yield store
    run.call(store.delete_bucket)


def test_a_link_is_followed(run, store, inside):
    put(run, store, 'a', b'abc')
    meta, err = run.call(store.link, 'l', 'a')
    assert err is None
    assert meta['options'] == {'link': {'bucket': store.bucket, 'name': 'a'}}
    assert (meta['size'], meta['chunks'], meta['digest']) == (0, 0, None)
    data, err, meta = run.call(store.get, 'l')
    assert (data, err, meta['name']) == (b'abc', None, 'a')
    assert run.call(store.info, 'l')[0]['options'] == {
        'link': {'bucket': store.bucket, 'name': 'a'}
    }
    assert sorted(inside.body('l')) == [
        'bucket',
        'chunks',
        'mtime',
        'name',
        'nuid',
        'options',
        'size',
    ]
    assert run.call(store.list)[0] == ['a', 'l']


def test_a_link_follows_what_becomes_of_its_target(run, store):
    put(run, store, 'a', b'abc')
    run.call(store.link, 'l', 'a')
    put(run, store, 'a', b'new')
    assert run.call(store.get, 'l')[0] == b'new'
    run.call(store.delete, 'a')
    assert run.call(store.get, 'l') == (None, None, None)


def test_links_across_buckets(run, store, other):
    put(run, other, 'x', b'far')
    assert run.call(other.link, 'y', 'x')[1] is None
    assert run.call(store.link, 'l', 'y', bucket=other.bucket)[1] is None
    data, err, meta = run.call(store.get, 'l')
    assert (data, err, meta['bucket']) == (b'far', None, other.bucket)


def test_a_link_to_a_bucket(run, store, other):
    meta, err = run.call(store.link_bucket, 'l', other.bucket)
    assert err is None
    assert meta['options'] == {'link': {'bucket': other.bucket}}
    data, err, _ = run.call(store.get, 'l')
    assert data is None
    assert isinstance(err, LinkError)
    assert other.bucket in str(err)


def test_loops_are_found(run, store, other):
    put(run, store, 'a')
    assert run.call(other.link, 'l', 'a', bucket=store.bucket)[1] is None
    run.call(store.delete, 'a')
    assert run.call(store.put, 'b', b'x')[1] is None
    assert run.call(store.link, 'a2', 'l', bucket=other.bucket)[1] is None
    # Now close the loop: l leads to a2, and a2 to l.
    assert run.call(other.link, 'l', 'a2', bucket=store.bucket)[1] is None
    for where, name in ((store, 'a2'), (other, 'l')):
        data, err, _ = run.call(where.get, name)
        assert data is None
        assert isinstance(err, LinkError)
        assert 'back to itself' in str(err)
    # A link is deleted itself, and so the loop.
    assert run.call(other.delete, 'l') == (True, None)
    assert run.call(store.get, 'a2') == (None, None, None)


def test_a_link_that_others_made_to_itself(run, store, inside):
    inside.write_meta(
        'a', size=0, chunks=0, options={'link': {'bucket': store.bucket, 'name': 'a'}}
    )
    _, err, _ = run.call(store.get, 'a')
    assert isinstance(err, LinkError)


def test_links_that_lead_nowhere(run, store, inside, unique):
    link = {'bucket': unique + 'gone', 'name': 'a'}
    inside.write_meta('a', size=0, chunks=0, options={'link': link})
    _, err, _ = run.call(store.get, 'a')
    assert isinstance(err, BucketNotFoundError)
    inside.write_meta('b', size=0, chunks=0, options={'link': {'bucket': 'no bucket', 'name': 'a'}})
    _, err, _ = run.call(store.get, 'b')
    assert isinstance(err, LinkError)


def test_a_link_to_what_is_not_there(run, store, unique):
    meta, err = run.call(store.link, 'l', 'none')
    assert meta is None
    assert isinstance(err, LinkError)
    put(run, store, 'a')
    run.call(store.delete, 'a')
    assert isinstance(run.call(store.link, 'l', 'a')[1], LinkError)
    assert isinstance(
        run.call(store.link, 'l', 'a', bucket=unique + 'none')[1], BucketNotFoundError
    )
    assert isinstance(run.call(store.link_bucket, 'l', unique + 'none')[1], BucketNotFoundError)
    assert run.call(store.info, 'l') == (None, None)


def test_a_link_replaces_a_link_but_no_object(run, store):
    put(run, store, 'a', b'1')
    put(run, store, 'b', b'2')
    run.call(store.link, 'l', 'a')
    assert run.call(store.link, 'l', 'b')[1] is None
    assert run.call(store.get, 'l')[0] == b'2'
    assert isinstance(run.call(store.link, 'a', 'b')[1], WrongSequenceError)
    assert run.call(store.get, 'a')[0] == b'1'
    run.call(store.delete, 'a')
    assert run.call(store.link, 'a', 'b')[1] is None
    assert run.call(store.get, 'a')[0] == b'2'


def test_an_object_replaces_a_link(run, store, inside):
    target = put(run, store, 'a', b'1')
    run.call(store.link, 'l', 'a')
    put(run, store, 'l', b'own')
    assert run.call(store.get, 'l')[0] == b'own'
    assert run.call(store.get, 'a')[0] == b'1'
    assert target['nuid'] in inside.chunks()


def test_a_link_renamed(run, store):
    put(run, store, 'a', b'1')
    run.call(store.link, 'l', 'a')
    assert run.call(store.update_meta, 'l', {'name': 'm'})[1] is None
    assert run.call(store.get, 'm')[0] == b'1'
    assert run.call(store.list)[0] == ['a', 'm']


@pytest.mark.parametrize(
    'name, target, bucket',
    [('', 'a', None), ('l', '', None), ('l', 1, None), ('l', 'a', 'no bucket'), ('l', 'l', None)],
)
def test_what_cannot_be_linked(store, name, target, bucket):
    with pytest.raises((TypeError, ValueError)):
        store.link(name, target, print, bucket=bucket)
    if name != target:
        with pytest.raises((TypeError, ValueError)):
            store.link_bucket('', store.bucket, print)


def test_peers_follow_links(run, store, peer):
    put(run, store, 'a', b'abc')
    run.call(store.link, 'l', 'a')
    assert peer.get(store.bucket, 'l') == b'abc'


@pytest.mark.parametrize('maker', ['nats-js', 'natsrpy'])
def test_links_of_peers_are_followed(run, store, peer_of, maker):
    put(run, store, 'a', b'abc')
    peer_of(maker).link(store.bucket, 'l', 'a')
    assert run.call(store.get, 'l')[0] == b'abc'
    # The JavaScript client gives its links no nuid; after a change every client can read them.
    meta, err = run.call(store.update_meta, 'l', {'description': 'd'})
    assert err is None
    assert meta['nuid']
    assert peer_of('nats-py').get(store.bucket, 'l') == b'abc'
