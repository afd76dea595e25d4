"""The peers read what the others wrote: they are right before natsev meets them.

Where two of them do not understand each other, a test says so: natsev has to understand both.
"""

from __future__ import annotations

import hashlib
from base64 import urlsafe_b64encode

import pytest

from tests.peers import COMMANDS, PeerError

NAME = 'a name with/odd *.> signs'
DATA = bytes(range(256)) * 2000
# A tombstone of nats-py has an empty time, at which the Rust client fails.
UNREADABLE = ('natsrpy', 'nats-py')
DIGEST = 'SHA-256=' + urlsafe_b64encode(hashlib.sha256(DATA).digest()).decode()


@pytest.fixture(params=COMMANDS)
def other(request, peer_of):
    return peer_of(request.param)


@pytest.fixture
def bucket(peer, unique):
    peer.create_bucket(unique)
    yield unique
    peer.delete_bucket(unique)


def test_each_reads_what_the_other_wrote(peer, other, bucket):
    written = peer.put(bucket, NAME, DATA, chunk_size=100_000)
    assert (written['size'], written['chunks']) == (len(DATA), 6)
    assert other.get(bucket, NAME) == DATA
    info = other.info(bucket, NAME)
    assert (info['size'], info['chunks'], info['bucket']) == (len(DATA), 6, bucket)
    # natsrpy leaves out the padding and the prefix's case differs between makers.
    assert info['digest'].lower().rstrip('=') == DIGEST.lower().rstrip('=')
    assert info['nuid'] == written['nuid']


def test_names_beyond_ascii(peer, other, bucket):
    peer.put(bucket, 'näme', b'x')
    assert [info['name'] for info in other.list(bucket)] == ['näme']
    # The JavaScript client encodes the name's Latin-1 in the subject, all others its UTF-8.
    alike = (peer.name == 'nats-js') == (other.name == 'nats-js')
    assert other.get(bucket, 'näme') == (b'x' if alike else None)


def test_names_that_javascript_refuses(peer_of, unique):
    js = peer_of('nats-js')
    js.create_bucket(unique)
    with pytest.raises(PeerError, match='InvalidCharacterError'):
        js.put(unique, '名', b'x')


def test_description_and_headers(peer, other, bucket):
    headers = {'Colour': ['red', 'green'], 'Size': ['large']}
    peer.put(bucket, 'a', b'x', description='what it is', headers=headers)
    info = other.info(bucket, 'a')
    assert info['description'] == 'what it is'
    assert info['headers'] == headers


def test_metadata(peer_of, unique):
    js, rust = peer_of('nats-js'), peer_of('natsrpy')
    js.create_bucket(unique)
    js.put(unique, 'a', b'x', metadata={'by': 'js'})
    rust.put(unique, 'b', b'x', metadata={'by': 'rust'})
    assert rust.info(unique, 'a')['metadata'] == {'by': 'js'}
    assert js.info(unique, 'b')['metadata'] == {'by': 'rust'}


def test_empty(peer, other, bucket):
    peer.put(bucket, 'empty', b'')
    assert other.get(bucket, 'empty') == b''
    assert other.info(bucket, 'empty')['chunks'] == 0


def test_overwrite_delete_list(peer, other, bucket):
    assert other.list(bucket) == []
    peer.put(bucket, 'a', b'1')
    peer.put(bucket, 'b', b'2')
    other.put(bucket, 'a', b'3')
    assert peer.get(bucket, 'a') == b'3'
    assert sorted(info['name'] for info in other.list(bucket)) == ['a', 'b']
    other.delete(bucket, 'a')
    if (peer.name, other.name) == UNREADABLE:
        with pytest.raises(PeerError, match='could not be parsed'):
            peer.list(bucket)
        return
    assert [info['name'] for info in peer.list(bucket)] == ['b']
    assert peer.get(bucket, 'a') is None
    assert peer.info(bucket, 'a') is None


def test_missing(peer, bucket):
    assert peer.get(bucket, 'none') is None
    assert peer.info(bucket, 'none') is None


def test_watch(peer, other, bucket):
    other.put(bucket, 'before', b'1')
    watch = peer.watch(bucket)
    assert watch.next()['name'] == 'before'
    other.put(bucket, 'after', b'22', headers={'Colour': ['red', 'green']})
    event = watch.next()
    assert (event['name'], event['size']) == ('after', 2)
    assert event['headers'] == {'Colour': ['red', 'green']}
    assert not event.get('deleted')
    if (peer.name, other.name) == UNREADABLE:
        return
    other.delete(bucket, 'after')
    event = watch.next()
    assert (event['name'], event['deleted']) == ('after', True)
    watch.stop()


@pytest.mark.parametrize('maker', ['nats-js', 'natsrpy'])
def test_link(peer_of, unique, maker):
    js, rust = peer_of('nats-js'), peer_of('natsrpy')
    js.create_bucket(unique)
    js.put(unique, 'target', b'x')
    peer_of(maker).link(unique, 'link', 'target')
    for peer in (js, rust):
        link = peer.info(unique, 'link')['options']['link']
        assert (link['bucket'], link['name']) == (unique, 'target')


def test_key_value(peer, other, unique):
    peer.kv_create_bucket(unique, history=5)
    watch = other.kv_watch(unique)
    revision = peer.kv_put(unique, 'a.b', b'1')
    assert watch.next() == {'key': 'a.b', 'value': b'1', 'revision': revision, 'op': 'PUT'}
    watch.stop()  # before the history is asked for, which natsrpy may not survive
    assert other.kv_get(unique, 'a.b') == b'1'
    other.kv_put(unique, 'a.b', b'2')
    assert peer.kv_keys(unique) == ['a.b']
    peer.kv_delete(unique, 'a.b')
    history = [(entry['value'], entry['op']) for entry in other.kv_history(unique, 'a.b')]
    assert history == [(b'1', 'PUT'), (b'2', 'PUT'), (b'', 'DEL')]
    assert other.kv_get(unique, 'a.b') is None
    assert other.kv_keys(unique) == []
    peer.kv_purge(unique, 'a.b')
    assert [entry['op'] for entry in other.kv_history(unique, 'a.b')] == ['PURGE']


def test_a_failure_is_told(peer, unique):
    with pytest.raises(PeerError):
        peer.list(unique)
    with pytest.raises(PeerError):
        peer.ask('no such operation')
