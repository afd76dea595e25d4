"""natsev and the clients of other makers in one key-value bucket, and on one consumer."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

import msgpack
import pytest

from natsev import KV, WrongSequenceError
from tests.peers import PeerError

KEYS = ['a', 'a.b.c', 'A-z_0/9=', '-', 'x' * 200]
VALUES = [b'', b'\x00\xff', b'x' * 100_000]


@pytest.fixture
def kv(do, js, unique):
    kv = KV(js=js, bucket=unique)
    do(kv.create_bucket, {'max_history': 5, 'limit_marker_ttl': 1_000_000_000})
    yield kv
    do(kv.delete_bucket)


@pytest.fixture
def their_kv(do, js, peer, unique):
    """A bucket that the peer has made."""
    peer.kv_create_bucket(unique, history=5, marker_ttl=1)
    kv = KV(js=js, bucket=unique)
    yield kv
    do(kv.delete_bucket)


@pytest.fixture
def seen(kv):
    """What a watch of natsev's sees: ``(key, value, op)``; None: all that was there."""
    seen = []

    def changed(key, value, op):
        seen.append((key, value, op) if key is not None else None)

    watch = kv.watch(None, changed)
    yield seen
    watch.stop()


def told(entries):
    return [(entry['value'] or b'', entry['operation']) for entry in entries]


def they_told(entries):
    return [(entry['value'], entry['op']) for entry in entries]


@pytest.mark.parametrize('key', KEYS, ids=lambda key: key[:20])
def test_keys(do, kv, peer, key):
    do(kv.put, key, b'ours')
    assert peer.kv_get(kv.bucket, key) == b'ours'
    assert peer.kv_keys(kv.bucket) == [key]
    revision = peer.kv_put(kv.bucket, key, b'theirs')
    assert do(kv.get, key) == b'theirs'
    assert do(kv.entry, key)['revision'] == revision
    assert do(kv.keys) == [key]


@pytest.mark.parametrize('value', VALUES, ids=lambda value: f'{len(value)} bytes')
def test_values(do, kv, peer, value):
    do(kv.put, 'ours', value)
    assert peer.kv_get(kv.bucket, 'ours') == value
    peer.kv_put(kv.bucket, 'theirs', value)
    assert do(kv.get, 'theirs') == value


def test_a_bucket_of_theirs(do, their_kv, peer):
    status = do(their_kv.status)
    assert status['history'] == 5
    assert status['limit_marker_ttl'] == 1_000_000_000
    do(their_kv.put, 'a', b'1')
    assert peer.kv_get(their_kv.bucket, 'a') == b'1'
    do(their_kv.delete, 'a')
    assert peer.kv_get(their_kv.bucket, 'a') is None
    do(their_kv.create, 'a', b'2', ttl=60_000)
    assert peer.kv_get(their_kv.bucket, 'a') == b'2'


def test_marks_of_ours(do, kv, peer):
    """A tombstone is none of the keys, and the end of a history."""
    bucket = kv.bucket
    do(kv.put, 'a', b'1')
    do(kv.delete, 'a')
    assert peer.kv_get(bucket, 'a') is None
    assert peer.kv_keys(bucket) == []
    assert they_told(peer.kv_history(bucket, 'a')) == [(b'1', 'PUT'), (b'', 'DEL')]
    peer.kv_create(bucket, 'a', b'2')
    assert do(kv.get, 'a') == b'2'
    do(kv.purge, 'a')
    assert peer.kv_get(bucket, 'a') is None
    assert they_told(peer.kv_history(bucket, 'a')) == [(b'', 'PURGE')]
    peer.kv_create(bucket, 'a', b'3')
    assert do(kv.get, 'a') == b'3'


def test_marks_of_theirs(do, kv, peer):
    bucket = kv.bucket
    peer.kv_put(bucket, 'a', b'1')
    peer.kv_delete(bucket, 'a')
    assert do(kv.get, 'a') is None
    assert do(kv.keys) == []
    assert told(do(kv.history, 'a')) == [(b'1', 'PUT'), (b'', 'DEL')]
    do(kv.create, 'a', b'2')
    assert peer.kv_get(bucket, 'a') == b'2'
    peer.kv_purge(bucket, 'a')
    assert do(kv.get, 'a') is None
    assert told(do(kv.history, 'a')) == [(b'', 'PURGE')]
    do(kv.create, 'a', b'3')
    assert peer.kv_get(bucket, 'a') == b'3'


def test_create_and_update_where_the_other_was_first(do, run, kv, peer):
    bucket = kv.bucket
    revision = peer.kv_create(bucket, 'a', b'1')
    assert isinstance(run.call(kv.create, 'a', b'x')[1], WrongSequenceError)
    revision = do(kv.update, 'a', b'2', revision)
    with pytest.raises(PeerError):
        peer.kv_create(bucket, 'a', b'x')
    peer.kv_update(bucket, 'a', b'3', revision)
    assert isinstance(run.call(kv.update, 'a', b'x', revision)[1], WrongSequenceError)
    with pytest.raises(PeerError):
        peer.kv_update(bucket, 'a', b'x', revision)
    assert do(kv.get, 'a') == peer.kv_get(bucket, 'a') == b'3'


def test_conditional_deletes(do, run, kv, peer):
    bucket = kv.bucket
    old = do(kv.put, 'a', b'1')
    new = peer.kv_put(bucket, 'a', b'2')
    with pytest.raises(PeerError):
        peer.kv_delete(bucket, 'a', revision=old)
    assert isinstance(run.call(kv.delete, 'a', revision=old)[1], WrongSequenceError)
    peer.kv_delete(bucket, 'a', revision=new)
    assert do(kv.get, 'a') is None


def test_past_revisions(do, kv, peer):
    bucket = kv.bucket
    ours = do(kv.put, 'a', b'1')
    theirs = peer.kv_put(bucket, 'a', b'2')
    assert peer.kv_get(bucket, 'a', revision=ours) == b'1'
    assert do(kv.get, 'a', revision=theirs) == b'2'
    history = [(entry['value'], entry['revision']) for entry in do(kv.history, 'a')]
    assert history == [(b'1', ours), (b'2', theirs)]
    entries = peer.kv_history(bucket, 'a')
    assert [(entry['value'], entry['revision']) for entry in entries] == history


def test_a_watch_of_theirs(do, kv, peer):
    do(kv.put, 'a.x', b'1')
    watch = peer.kv_watch(kv.bucket, 'a.*')
    assert they_told([watch.next()]) == [(b'1', 'PUT')]
    do(kv.put, 'b.x', b'not asked for')
    revision = do(kv.put, 'a.y', b'2')
    assert watch.next() == {'key': 'a.y', 'value': b'2', 'revision': revision, 'op': 'PUT'}
    do(kv.delete, 'a.x')
    do(kv.purge, 'a.y')
    events = [watch.next(), watch.next()]
    assert [(event['key'], event['op']) for event in events] == [('a.x', 'DEL'), ('a.y', 'PURGE')]
    watch.stop()


def test_a_watch_of_ours(run, kv, peer, seen):
    run.until(lambda: None in seen)
    peer.kv_put(kv.bucket, 'a', b'1')
    peer.kv_create(kv.bucket, 'b', b'2')
    peer.kv_delete(kv.bucket, 'a')
    peer.kv_purge(kv.bucket, 'b')
    run.until(lambda: len(seen) == 5)
    assert seen == [None, ('a', b'1', 'PUT'), ('b', b'2', 'PUT'), ('a', None, 'DEL'),
                    ('b', None, 'PURGE')]  # fmt: skip


def test_keys_that_age_out(do, run, kv, peer, seen):
    """ADR-48: the server leaves a mark, which every watch sees as a purge."""
    bucket = kv.bucket
    run.until(lambda: None in seen)
    watch = peer.kv_watch(bucket)
    do(kv.create, 'ours', b'1', ttl=1000)
    peer.kv_create(bucket, 'theirs', b'2', ttl=1)
    events = [watch.next() for _ in range(4)]
    assert [(event['key'], event['op']) for event in events[:2]] == [
        ('ours', 'PUT'),
        ('theirs', 'PUT'),
    ]
    assert {(event['key'], event['op']) for event in events[2:]} == {
        ('ours', 'PURGE'),
        ('theirs', 'PURGE'),
    }
    run.until(lambda: len(seen) == 5)
    assert set(seen[3:]) == {('ours', None, 'PURGE'), ('theirs', None, 'PURGE')}
    for key in ('ours', 'theirs'):
        assert do(kv.get, key) is None
    assert do(kv.keys) == []
    if peer.name != 'nats-js':  # it looks for KV-Operation only, which the server's marks lack
        assert peer.kv_keys(bucket) == []
    watch.stop()


def test_marks_that_age_out(do, run, kv, peer):
    bucket = kv.bucket
    do(kv.put, 'ours', b'1')
    peer.kv_put(bucket, 'theirs', b'2')
    do(kv.purge, 'ours', ttl=1000)
    peer.kv_purge(bucket, 'theirs', ttl=1)
    for key in ('ours', 'theirs'):
        assert they_told(peer.kv_history(bucket, key))[-1:] == [(b'', 'PURGE')]

    def looked(status, err):
        assert err is None
        if status['values'] == 0:
            run.done()
        else:
            kv.status(looked)

    kv.status(looked)
    run()


@pytest.mark.parametrize('maker', ['nats-py', 'nats-js'])
def test_purge_deletes(do, kv, peer_of, maker):
    peer = peer_of(maker)
    for mine, theirs in (('a', 'b'), ('c', 'd')):
        do(kv.put, mine, b'1')
        do(kv.delete, mine)
        peer.kv_put(kv.bucket, theirs, b'2')
        peer.kv_delete(kv.bucket, theirs)
        do(kv.put, 'live', b'3')
        if mine == 'a':
            assert do(kv.purge_deletes, older_than=0)['keys'] == 2
        else:
            peer.kv_purge_deletes(kv.bucket)
        assert {entry['key'] for entry in do(kv.history, '>')} == {'live'}


def test_structures_are_bytes_to_others(do, js, kv, peer):
    values = KV(js=js, bucket=kv.bucket, codec='msgpack')
    do(values.put, 'ours', {'port': 4222, 'hosts': ['a', 'b']})
    packed = peer.kv_get(kv.bucket, 'ours')
    assert msgpack.unpackb(packed) == {'port': 4222, 'hosts': ['a', 'b']}
    at = datetime(2026, 1, 2, tzinfo=timezone.utc)
    peer.kv_put(kv.bucket, 'theirs', msgpack.packb([at, None], datetime=True))
    assert do(values.get, 'theirs') == [at, None]


# Consumers.


@pytest.fixture
def stream(do, js, unique):
    config = {
        'name': unique,
        'subjects': [f'{unique}.>'],
        'storage': 'memory',
        'allow_direct': True,
        'allow_msg_schedules': True,
    }
    do(js.stream_create, config)
    yield unique
    do(js.stream_delete, unique)


def test_a_consumer_shared(do, run, js, stream, peer):
    """Each message goes to one of the clients, whoever it is, and is acknowledged by that one."""
    do(js.consumer_create, stream, {'durable_name': 'c', 'ack_policy': 'explicit'})
    for number in range(30):
        do(js.js_publish, f'{stream}.{number}', str(number))
    got = []
    for _ in range(5):
        messages = do(js.fetch, stream, 'c', {'batch': 3})
        for message in messages:
            do(message.ack)
            got.append((message.seq, message.subject, message.payload))
        theirs = peer.fetch(stream, 'c', 3)
        got += [(message['seq'], message['subject'], message['value']) for message in theirs]
    assert got == [(n + 1, f'{stream}.{n}', str(n).encode()) for n in range(30)]
    info = do(js.consumer_info, stream, 'c')
    assert info['ack_floor']['stream_seq'] == 30
    assert (info['num_pending'], info['num_ack_pending']) == (0, 0)


def test_what_one_gives_back_the_other_gets(do, run, js, stream, peer):
    do(js.consumer_create, stream, {'durable_name': 'c', 'ack_policy': 'explicit'})
    do(js.js_publish, f'{stream}.a', b'x')
    [message] = do(js.fetch, stream, 'c', {'batch': 1})
    message.nak()
    assert run.call(js.nats.flush) is None
    assert [found['seq'] for found in peer.fetch(stream, 'c', 1)] == [1]
    assert do(js.consumer_info, stream, 'c')['num_ack_pending'] == 0


def test_a_counter(do, js, peer_of, unique):
    peer = peer_of('natsrpy')
    config = {'name': unique, 'subjects': [f'{unique}.>'], 'storage': 'memory'}
    do(js.stream_create, {**config, 'allow_msg_counter': True, 'allow_direct': True})
    subject = f'{unique}.hits'
    assert do(js.js_publish, subject, b'', incr='+5')['val'] == '5'
    assert peer.count(unique, subject, 37) == 42
    assert do(js.js_publish, subject, b'', incr='-2')['val'] == '40'
    do(js.stream_delete, unique)


def test_a_schedule(do, js, stream, peer_of):
    peer = peer_of('nats-js')
    target = {'durable_name': 'c', 'ack_policy': 'explicit', 'filter_subject': f'{stream}.out.>'}
    do(js.consumer_create, stream, target)
    peer.schedule(f'{stream}.plan.theirs', b'later', f'{stream}.out.theirs')
    [message] = do(js.fetch, stream, 'c', {'batch': 1, 'expires': 10_000_000_000})
    assert (message.subject, message.payload) == (f'{stream}.out.theirs', b'later')
    do(message.ack)
    at = (datetime.now(timezone.utc) + timedelta(milliseconds=200)).isoformat()
    plan = {'schedule': f'@at {at}', 'schedule_target': f'{stream}.out.ours'}
    do(js.js_publish, f'{stream}.plan.ours', b'too', **plan)
    [found] = peer.fetch(stream, 'c', 1)
    assert (found['subject'], found['value']) == (f'{stream}.out.ours', b'too')
