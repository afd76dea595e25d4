"""natsev and the clients of other makers in one bucket: each handles what the other wrote."""

from __future__ import annotations

import hashlib

import pytest

from natsev import ObjectStore, SealedError
from tests.by_hand import digest
from tests.peers import PeerError

DATA = hashlib.shake_128(b'some bytes').digest(2500)
NAMES = [
    'plain',
    'with two spaces',
    ' .around. ',
    'directory/of/a.file',
    'photo~1?.jpg',
    '???>>>~~~',  # - and _ in base64url, + and / in the standard one
    '*.>',
    '$O.b.C.x',
    'line\nbreak\tand NUL \0',
    '%41+%zz',
    'aGVsbG8=',  # looks like a name that is spelled already
    'x' * 2900,
]
UNICODE = ['näme', '名前 😀', 'e\u0301', '\u200b']
SIZES = [0, 1, 999, 1000, 1001, 2000, 2500]


def pairs(metas):
    return sorted((meta['name'], meta['size']) for meta in metas)


@pytest.mark.parametrize('name', NAMES, ids=lambda name: ascii(name[:20]))
def test_names(do, store, by_hand, peer, name):
    bucket = store.bucket
    do(store.put, name, b'ours')
    assert peer.get(bucket, name) == b'ours'
    assert [info['name'] for info in peer.list(bucket)] == [name]
    peer.put(bucket, name, b'theirs')
    assert do(store.get, name) == b'theirs'
    assert do(store.list) == [name]
    assert do(store.delete, name) is True
    assert peer.get(bucket, name) is None
    peer.put(bucket, name, b'theirs again')
    assert do(store.get, name) == b'theirs again'
    peer.delete(bucket, name)
    assert do(store.get, name) is None
    assert do(store.list) == []
    assert by_hand.stored_chunks() == {}


@pytest.mark.parametrize('name', UNICODE, ids=ascii)
@pytest.mark.parametrize('maker', ['nats-py', 'natsrpy'])
def test_names_beyond_ascii(do, store, peer_of, maker, name):
    peer = peer_of(maker)
    do(store.put, name, b'ours')
    assert peer.get(store.bucket, name) == b'ours'
    peer.put(store.bucket, name, b'theirs')
    assert do(store.get, name) == b'theirs'
    peer.delete(store.bucket, name)
    assert do(store.list) == []


def test_names_beyond_ascii_of_the_javascript_client(do, store, by_hand, peer_of):
    """It has the name's Latin-1 in the subject, and finds no other."""
    peer = peer_of('nats-js')
    peer.put(store.bucket, 'näme', b'theirs')
    assert do(store.list) == ['näme']
    assert do(store.get, 'näme') == b'theirs'
    assert do(store.info, 'näme')['size'] == 6
    assert do(store.delete, 'näme') is True
    assert peer.get(store.bucket, 'näme') is None
    assert by_hand.stored_chunks() == {}
    do(store.put, 'näme', b'ours')
    assert [info['name'] for info in peer.list(store.bucket)] == ['näme']
    assert do(store.get, 'näme') == b'ours'


@pytest.mark.parametrize('size', SIZES)
def test_sizes(do, store, peer, size):
    data = DATA[:size]
    chunks = -(-size // 1000)
    info = do(store.put, 'ours', data, chunk_size=1000)
    assert (info['size'], info['chunks'], info['digest']) == (size, chunks, digest(data))
    assert peer.get(store.bucket, 'ours') == data
    theirs = peer.info(store.bucket, 'ours')
    assert (theirs['size'], theirs['chunks'], theirs['nuid']) == (size, chunks, info['nuid'])
    assert theirs['digest'] == digest(data)

    written = peer.put(store.bucket, 'theirs', data, chunk_size=1000)
    assert do(store.get, 'theirs') == data
    info = do(store.info, 'theirs')
    assert (info['size'], info['chunks'], info['nuid']) == (size, chunks, written['nuid'])
    assert info['options']['max_chunk_size'] == 1000
    assert info['bucket'] == store.bucket


def test_default_chunks(do, store, peer, tmp_path):
    data = hashlib.shake_128(b'more bytes').digest(700_000)
    assert do(store.put, 'ours', data)['chunks'] == 6
    assert peer.get(store.bucket, 'ours') == data
    peer.put(store.bucket, 'theirs', data)
    assert do(store.get, 'theirs') == data
    assert do(store.get, 'theirs', into=tmp_path / 'file') == len(data)
    assert (tmp_path / 'file').read_bytes() == data


def test_description_and_headers(do, store, peer):
    headers = {'Colour': ['red', 'green'], 'Size': ['large']}
    do(store.put, 'ours', b'x', description='what it is: ü', headers=headers)
    info = peer.info(store.bucket, 'ours')
    assert info['description'] == 'what it is: ü'
    assert info['headers'] == headers
    peer.put(store.bucket, 'theirs', b'x', description='what it is: ü', headers=headers)
    info = do(store.info, 'theirs')
    assert info['description'] == 'what it is: ü'
    assert info['headers'] == headers


@pytest.mark.parametrize('maker', ['nats-js', 'natsrpy'])  # nats-py knows of no metadata
def test_metadata(do, store, peer_of, maker):
    peer = peer_of(maker)
    do(store.put, 'ours', b'x', metadata={'by': 'us', 'ü': ''})
    assert peer.info(store.bucket, 'ours')['metadata'] == {'by': 'us', 'ü': ''}
    peer.put(store.bucket, 'theirs', b'x', metadata={'by': 'them'})
    assert do(store.info, 'theirs')['metadata'] == {'by': 'them'}


def test_nothing_there(do, store, peer):
    assert peer.get(store.bucket, 'none') is None
    assert peer.list(store.bucket) == []
    do(store.put, 'a', b'x')
    do(store.delete, 'a')
    assert peer.list(store.bucket) == []
    assert peer.info(store.bucket, 'a') is None
    peer.put(store.bucket, 'b', b'x')
    peer.delete(store.bucket, 'b')
    assert do(store.list) == []
    assert do(store.info, 'b') is None
    assert do(store.info, 'b', deleted=True)['deleted']
    assert do(store.list, deleted=True) == ['a', 'b']
    assert do(store.delete, 'b') is False


def test_list(do, store, peer):
    for number in range(3):
        do(store.put, f'ours {number}', b'x' * number)
        peer.put(store.bucket, f'theirs {number}', b'y' * number)
    do(store.delete, 'theirs 2')
    peer.delete(store.bucket, 'ours 2')
    expected = [('ours 0', 0), ('ours 1', 1), ('theirs 0', 0), ('theirs 1', 1)]
    assert pairs(peer.list(store.bucket)) == expected
    assert pairs(do(store.list, details=True)) == expected


def test_overwriting_leaves_no_chunks(do, store, by_hand, peer):
    do(store.put, 'a', DATA, chunk_size=1000)
    peer.put(store.bucket, 'a', DATA[:1500], chunk_size=1000)
    by_hand.check_no_orphans()
    info = do(store.put, 'a', DATA, chunk_size=500)
    by_hand.check_no_orphans()  # the old ones are purged while nobody waits
    assert by_hand.stored_chunks() == {info['nuid']: 5}
    assert peer.get(store.bucket, 'a') == DATA


def test_natsev_watches(run, do, store, peer):
    events = []
    do(store.put, 'before', b'0')
    watch = store.watch(lambda meta, err: events.append((meta, err)))
    run.until(lambda: (None, None) in events)
    peer.put(store.bucket, 'a', b'1', headers={'Colour': ['red', 'green']})
    peer.put(store.bucket, 'a', b'22')
    peer.delete(store.bucket, 'a')
    run.until(lambda: len(events) >= 5)
    watch.stop()
    assert [err for _, err in events] == [None] * 5
    assert events[2][0]['headers'] == {'Colour': ['red', 'green']}
    metas = [(m['name'], m['size'], m['deleted']) if m else None for m, _ in events]
    assert metas == [
        ('before', 1, False),
        None,
        ('a', 1, False),
        ('a', 2, False),
        ('a', 0, True),
    ]


def test_a_peer_watches(do, store, peer):
    do(store.put, 'before', b'0')
    watch = peer.watch(store.bucket)
    assert watch.next()['name'] == 'before'
    do(store.put, 'a', DATA, headers={'Colour': ['red', 'green']}, chunk_size=1000)
    event = watch.next()
    assert (event['name'], event['size'], event['chunks']) == ('a', 2500, 3)
    assert event['headers'] == {'Colour': ['red', 'green']}
    assert not event.get('deleted')
    do(store.delete, 'a')
    event = watch.next()
    assert (event['name'], event['deleted']) == ('a', True)
    do(store.put, 'a', b'back')
    event = watch.next()
    assert (event['name'], event['size']) == ('a', 4)
    assert not event.get('deleted')
    watch.stop()


@pytest.mark.parametrize('maker', ['nats-js', 'natsrpy'])
def test_links_of_others(do, store, peer_of, maker):
    peer = peer_of(maker)
    do(store.put, 'target', DATA)
    peer.link(store.bucket, 'link', 'target')
    assert do(store.get, 'link') == DATA
    info = do(store.info, 'link')
    assert info['options']['link'] == {'bucket': store.bucket, 'name': 'target'}
    assert (info['size'], info['chunks']) == (0, 0)
    assert do(store.delete, 'link') is True
    assert do(store.get, 'target') == DATA


def test_changed_metadata(do, store, by_hand, peer):
    do(store.put, 'a', DATA, chunk_size=1000, description='before')
    peer.update_meta(store.bucket, 'a', description='after', headers={'A': ['b', 'c']})
    info = do(store.info, 'a')
    assert info['description'] == 'after'
    if peer.name != 'natsrpy':  # it keeps the headers as they were
        assert info['headers'] == {'A': ['b', 'c']}
    assert do(store.get, 'a') == DATA
    by_hand.check_no_orphans()


@pytest.mark.parametrize('maker', ['nats-js', 'natsrpy'])
def test_renamed(do, store, by_hand, peer_of, maker):
    peer = peer_of(maker)
    do(store.put, 'old', DATA, chunk_size=1000)
    changes = {'name': 'old', 'new_name': 'new'}
    peer.update_meta(store.bucket, **changes)
    assert do(store.get, 'new') == DATA
    assert do(store.get, 'old') is None
    assert do(store.list) == ['new']
    by_hand.check_no_orphans()


def test_sealed_by_a_peer(run, do, store, peer):
    do(store.put, 'a', b'x')
    peer.seal(store.bucket)
    assert do(store.status)['sealed'] == 1
    _, err = run.call(store.put, 'b', b'y')
    assert isinstance(err, SealedError)
    _, err = run.call(store.delete, 'a')
    assert isinstance(err, SealedError)
    assert do(store.get, 'a') == b'x'


def test_sealed_by_natsev(do, store, peer):
    do(store.put, 'a', b'x')
    assert do(store.seal)['sealed'] == 1
    assert peer.get(store.bucket, 'a') == b'x'
    with pytest.raises(PeerError):
        peer.put(store.bucket, 'b', b'y')


def test_buckets_of_a_peer(do, js, peer, unique):
    peer.create_bucket(unique, description='theirs', max_bytes=1 << 20, storage='memory')
    peer.put(unique, 'a', b'x')
    store = ObjectStore(js=js, bucket=unique)
    status = do(store.status)
    assert (status['bucket'], status['description']) == (unique, 'theirs')
    assert (status['storage'], status['replicas'], status['sealed']) == ('memory', 1, 0)
    assert status['bytes'] > 0
    assert unique in [one['bucket'] for one in do(ObjectStore.buckets, js)]
    assert do(store.delete_bucket) is True
    with pytest.raises(PeerError):
        peer.get(unique, 'a')


def test_creating_what_a_peer_created(do, js, peer, unique):
    peer.create_bucket(unique)
    store = ObjectStore(js=js, bucket=unique)
    do(store.create_bucket, {})
    do(store.put, 'a', b'x')
    assert peer.get(unique, 'a') == b'x'
    do(store.delete_bucket)


def test_a_peer_creates_what_natsev_created(do, store, peer):
    peer.create_bucket(store.bucket)
    peer.put(store.bucket, 'a', b'x')
    assert do(store.get, 'a') == b'x'
    peer.delete_bucket(store.bucket)


def test_peers_beside_the_dialect_of_the_original(do, js, store, peer):
    """They list what the original's dialect wrote, under a subject where they do not look."""
    original = ObjectStore(js=js, bucket=store.bucket, dialect='ev-nats')
    do(original.put, 'a name', b'x')
    assert [info['name'] for info in peer.list(store.bucket)] == ['a name']
    assert peer.get(store.bucket, 'a name') is None
    assert do(store.get, 'a name') == b'x'
    peer.put(store.bucket, 'other name', b'y')
    assert do(original.get, 'other name') == b'y'
    assert do(original.list) == ['a name', 'other name']
    assert do(original.delete, 'a name') is True
    assert [info['name'] for info in peer.list(store.bucket)] == ['other name']
