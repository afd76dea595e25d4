"""Each reads, lists, watches, overwrites and deletes what the other wrote: natsev and each peer."""

from __future__ import annotations

import os

import pytest

from natsev import ObjectStore

BIG = os.urandom(700_000)
# The JavaScript client writes a name's Latin-1, all others its UTF-8; it refuses the rest.
NAMES = ['a', 'a name with/odd *.> signs', 'photo~1?.jpg', '%', ' ', '...', 'x' * 300]


@pytest.fixture
def watched(run, store):
    """The events of a watch on the bucket."""
    events = []
    handle = store.watch(lambda meta, err: events.append((meta and meta['name'], err)))
    run.until(lambda: events)
    yield events
    handle.stop()


@pytest.mark.parametrize('size', [0, 1, 131072, 262144, 700_000])
def test_bytes_both_ways(run, store, peer, size):
    data = BIG[:size]
    written = peer.put(store.bucket, 'theirs', data)
    got, err, meta = run.call(store.get, 'theirs')
    assert (got, err) == (data, None)
    assert (meta['size'], meta['nuid']) == (size, written['nuid'])
    info, err = run.call(store.put, 'ours', data)
    assert err is None
    assert peer.get(store.bucket, 'ours') == data
    told = peer.info(store.bucket, 'ours')
    assert (told['size'], told['chunks'], told['nuid']) == (size, info['chunks'], info['nuid'])


def test_names(run, store, peer):
    for name in NAMES:
        peer.put(store.bucket, name, b'theirs')
        assert run.call(store.get, name)[:2] == (b'theirs', None)
        run.call(store.put, name, b'ours')
        assert peer.get(store.bucket, name) == b'ours'
    assert run.call(store.list)[0] == sorted(NAMES)
    assert sorted(info['name'] for info in peer.list(store.bucket)) == sorted(NAMES)


def test_names_beyond_ascii(run, store, peer):
    peer.put(store.bucket, 'näme', b'theirs')
    assert run.call(store.get, 'näme')[0] == b'theirs'
    assert run.call(store.list)[0] == ['näme']
    run.call(store.put, '名前', b'ours')
    if peer.name != 'nats-js':
        assert peer.get(store.bucket, '名前') == b'ours'
        run.call(store.put, 'näme', b'ours')
        assert peer.get(store.bucket, 'näme') == b'ours'


def test_chunks_of_other_sizes(run, store, peer):
    for chunk_size in (1000, 99_999, 1_000_000):
        peer.put(store.bucket, 'a', BIG, chunk_size=chunk_size)
        assert run.call(store.get, 'a')[:2] == (BIG, None)
        run.call(store.put, 'a', BIG, chunk_size=chunk_size)
        assert peer.get(store.bucket, 'a') == BIG


def test_description_and_headers(run, store, peer):
    headers = {'Colour': ['red', 'green'], 'Size': ['large']}
    peer.put(store.bucket, 'theirs', b'x', description='what it is', headers=headers)
    info, _ = run.call(store.info, 'theirs')
    assert (info['description'], info['headers']) == ('what it is', headers)
    run.call(store.put, 'ours', b'x', description='what it is', headers=headers)
    told = peer.info(store.bucket, 'ours')
    assert (told['description'], told['headers']) == ('what it is', headers)


@pytest.mark.parametrize('maker', ['nats-js', 'natsrpy'])
def test_metadata(run, store, peer_of, maker):
    peer = peer_of(maker)
    peer.put(store.bucket, 'theirs', b'x', metadata={'by': maker})
    assert run.call(store.info, 'theirs')[0]['metadata'] == {'by': maker}
    run.call(store.put, 'ours', b'x', metadata={'by': 'natsev'})
    assert peer.info(store.bucket, 'ours')['metadata'] == {'by': 'natsev'}


def test_overwriting(run, store, inside, peer):
    peer.put(store.bucket, 'a', BIG)
    info, _ = run.call(store.put, 'a', b'ours')
    inside.await_only(info)
    assert peer.get(store.bucket, 'a') == b'ours'
    peer.put(store.bucket, 'a', BIG)
    assert run.call(store.get, 'a')[0] == BIG
    assert len(inside.chunks()) == 1
    run.call(store.put, 'a', BIG + b'ours')
    assert peer.get(store.bucket, 'a') == BIG + b'ours'


def test_deleting_what_the_other_wrote(run, store, inside, peer):
    peer.put(store.bucket, 'a', BIG)
    run.call(store.put, 'b', BIG)
    assert run.call(store.delete, 'a') == (True, None)
    peer.delete(store.bucket, 'b')
    assert inside.chunks() == {}
    for name in 'ab':
        assert run.call(store.get, name) == (None, None, None)
        assert run.call(store.info, name) == (None, None)
    assert run.call(store.list)[0] == []
    # A tombstone of nats-py has an empty time; natsev's is read by all.
    assert peer.get(store.bucket, 'a') is None
    assert peer.info(store.bucket, 'a') is None
    assert peer.list(store.bucket) == []


def test_after_a_delete_both_can_put_again(run, store, peer):
    run.call(store.put, 'a', b'1')
    run.call(store.delete, 'a')
    peer.put(store.bucket, 'a', b'2')
    assert run.call(store.get, 'a')[0] == b'2'
    peer.delete(store.bucket, 'a')
    run.call(store.put, 'a', b'3', if_absent=True)
    assert peer.get(store.bucket, 'a') == b'3'


def test_natsev_watches_the_other(run, store, peer, watched):
    peer.put(store.bucket, 'a', b'x')
    peer.put(store.bucket, 'b', BIG)
    peer.delete(store.bucket, 'a')
    run.until(lambda: len(watched) == 4)
    assert watched == [(None, None), ('a', None), ('b', None), ('a', None)]


def test_the_other_watches_natsev(run, store, peer):
    run.call(store.put, 'before', b'1')
    watch = peer.watch(store.bucket)
    assert watch.next()['name'] == 'before'
    run.call(store.put, 'after', BIG, headers={'Colour': ['red']})
    event = watch.next()
    assert (event['name'], event['size']) == ('after', len(BIG))
    assert event['headers'] == {'Colour': ['red']}
    run.call(store.delete, 'after')
    event = watch.next()
    assert (event['name'], event['deleted']) == ('after', True)
    watch.stop()


@pytest.mark.parametrize('maker', ['nats-js', 'natsrpy'])
def test_links(run, store, peer_of, maker):
    peer = peer_of(maker)
    run.call(store.put, 'target', BIG)
    peer.link(store.bucket, 'link', 'target')
    data, err, meta = run.call(store.get, 'link')
    assert (data, err, meta['name']) == (BIG, None, 'target')


def test_buckets_of_the_other(run, js, peer, unique):
    peer.create_bucket(unique, description='theirs')
    store = ObjectStore(js=js, bucket=unique)
    assert run.call(store.status)[0]['description'] == 'theirs'
    assert run.call(store.put, 'a', BIG)[1] is None
    assert peer.get(unique, 'a') == BIG
    peer.delete_bucket(unique)
    assert run.call(store.get, 'a')[1] is not None


def test_a_bucket_without_options_is_the_same_for_all(run, js, peer, unique):
    """Creating it again, by either, opens it."""
    store = ObjectStore(js=js, bucket=unique)
    run.call(store.create_bucket, {})
    peer.create_bucket(unique)
    run.call(store.delete_bucket)
    peer.create_bucket(unique)
    _, err = run.call(store.create_bucket, {})
    assert err is None
    run.call(store.delete_bucket)


def test_seal(run, store, peer, js, unique):
    other = ObjectStore(js=js, bucket=unique + 's')
    run.call(other.create_bucket, {})
    peer.seal(other.bucket)
    assert run.call(other.status)[0]['sealed'] == 1
    run.call(other.delete_bucket)
