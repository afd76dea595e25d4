"""A server that drops messages without a word: what was dropped is sent again, and stored once.

So does a cluster that has no leader for a moment.
"""

from __future__ import annotations

import json
import os
import signal

import pytest

from natsev import (
    DisconnectedError,
    JetStream,
    JetStreamError,
    ObjectStore,
    ObjectStoreError,
    RequestTimeout,
)
from tests.losses import Losses

BUCKET = 'lossy'
CHUNKS, METAS = f'$O.{BUCKET}.C.*', f'$O.{BUCKET}.M.*'
DATA = os.urandom(6_000_000)
# Short, for what is dropped is sent again after a part of it.
TIMEOUT = 2000


class Results(list):
    def __call__(self, *result):
        self.append(result)

    def await_all(self, run, number=1):
        run.until(lambda: len(self) == number, 60)
        assert [result[1] for result in self if result[1] is not None] == []


@pytest.fixture
def unique():
    return BUCKET


@pytest.fixture
def server(start_server):
    return start_server(config='mappings = {}')


@pytest.fixture
def store(server, make_store):
    return make_store(server, timeout=TIMEOUT)


@pytest.fixture
def losses(run, server, connect):
    return Losses(run, server, connect(port=server.port))


def test_all_chunks_are_lost_for_a_while(run, store, inside, losses):
    results = Results()
    losses.begin(CHUNKS)
    store.put('a', DATA, results)
    losses.await_some(10)
    losses.end()
    results.await_all(run)
    assert run.call(store.get, 'a')[:2] == (DATA, None)
    inside.await_only(results[0][0])


@pytest.mark.parametrize('percent', [30, 50, 90])
def test_some_chunks_are_lost_among_others(run, store, inside, losses, percent):
    """Those behind a lost one are stored before it is sent again: they must not stay there."""
    results = Results()
    losses.begin(CHUNKS, percent=percent)
    store.put('a', DATA, results)
    losses.await_some()
    losses.end()
    results.await_all(run)
    assert run.call(store.get, 'a')[:2] == (DATA, None)
    inside.await_only(results[0][0])


@pytest.mark.parametrize('size', [0, 1000, 400_000])
def test_the_metadata_is_lost(run, store, inside, losses, size):
    run.call(store.put, 'a', b'old')
    results = Results()
    losses.begin(METAS)
    store.put('a', DATA[:size], results)
    losses.await_some()
    losses.end()
    results.await_all(run)
    assert run.call(store.get, 'a')[:2] == (DATA[:size], None)
    inside.await_only(results[0][0])


def test_anything_of_small_objects_is_lost(run, store, inside, losses):
    results = Results()
    losses.begin(CHUNKS, METAS, percent=50)
    for number in range(30):
        store.put(f'{number % 10}', b'%d' % number, results)
    losses.await_some(5)
    losses.end()
    results.await_all(run, 30)
    last = {}
    for info, _ in sorted(results, key=lambda result: result[0]['seq']):
        last[info['name']] = info
    inside.await_chunks({info['nuid']: 1 for info in last.values()})


def test_a_tombstone_is_lost(run, store, inside, losses):
    run.call(store.put, 'a', b'x' * 200_000)
    results = Results()
    losses.begin(METAS)
    store.delete('a', results)
    losses.await_some()
    losses.end()
    results.await_all(run)
    assert results == [(True, None)]
    assert run.call(store.get, 'a') == (None, None, None)
    inside.await_chunks({})


def test_a_change_is_lost(run, store, losses):
    run.call(store.put, 'a', b'x')
    results = Results()
    losses.begin(METAS)
    store.update_meta('a', {'description': 'new'}, results)
    losses.await_some()
    losses.end()
    results.await_all(run)
    meta, _ = run.call(store.info, 'a')
    assert (meta['description'], meta['seq']) == ('new', results[0][0]['seq'])


@pytest.mark.parametrize('size', [1000, len(DATA)])
@pytest.mark.parametrize('offset', [0, 500])
def test_requests_for_chunks_are_lost(run, store, inside, losses, size, offset):
    """As when one of several servers is killed that had taken them."""
    run.call(store.put, 'a', DATA[:size])
    inside.write_chunks('another', b'x')
    got = Results()
    losses.begin('$JS.API.DIRECT.GET.*', '$JS.API.DIRECT.GET.*.$O.*.C.*')
    store.get('a', got, offset=offset)
    losses.await_some()
    losses.end()
    got.await_all(run)
    assert got[0][0] == DATA[offset:size]


IN_PROCESS = {'code': 409, 'err_code': 10158, 'description': 'message id is in process'}


@pytest.mark.parametrize('stored', [False, True])
def test_an_id_that_is_said_to_be_stored_for_ever(
    run, store, inside, losses, connect, server, stored
):
    """It was lost with the leader that had it; or, though nobody says so, it was stored."""
    store = ObjectStore(js=store._bucket.js, bucket=store.bucket, timeout=10 * TIMEOUT)
    client = connect(port=server.port)
    refused, results = [], Results()

    def refuse(_subject, payload, reply, headers):
        if reply is not None:
            client.publish(reply, json.dumps({'error': IN_PROCESS}))
            refused.append((payload, headers))

    client.subscribe('lost.*', refuse)
    losses.begin(CHUNKS)
    store.put('a', DATA[:300_000], results)
    run.until(lambda: any('Nats-Expected-Last-Subject-Sequence' in h for _, h in refused))
    losses.end()
    if stored:
        payload, headers = refused[0]
        nuid = headers['Nats-Msg-Id'].split('.')[0]
        js = JetStream(nats=client)
        subject = CHUNKS.replace('*', nuid)
        run.call(js.js_publish, subject, payload, msg_id=headers['Nats-Msg-Id'])
    results.await_all(run)
    assert run.call(store.get, 'a')[:2] == (DATA[:300_000], None)
    inside.await_only(results[0][0])


@pytest.mark.parametrize('size', [1000, len(DATA)])
def test_a_server_that_stands_still_gets_everything_twice(run, server, make_store, inside_of, size):
    """What is sent again was not lost this time: it counts once."""
    store = make_store(server, timeout=5 * TIMEOUT)
    run.call(store.put, 'b', DATA[:200_000])
    run.call(store.put, 'c', DATA[:200_000])
    put, deleted, changed = Results(), Results(), Results()
    for _ in range(2):
        server.send_signal(signal.SIGSTOP)
        timer = store._bucket.nats.port.timer(lambda: server.send_signal(signal.SIGCONT))
        timer.start(2.2)
        store.put('a', DATA[:size], put)
        store.delete('b', deleted)
        store.update_meta('c', {'description': 'new'}, changed)
        run.until(lambda: put and deleted and changed)
        timer.close()
        assert [deleted.pop(), put[-1][1], changed.pop()[1]] == [(True, None), None, None]
        put.clear()
        assert run.call(store.get, 'a')[:2] == (DATA[:size], None)
        run.call(store.put, 'b', DATA[:200_000])
    run.call(store.delete, 'b')
    run.call(store.delete, 'c')
    inside_of(store).await_only(run.call(store.info, 'a')[0])


def test_nothing_arrives_any_more(run, store, inside, losses):
    losses.begin(CHUNKS)
    info, err = run.call(store.put, 'a', DATA)
    assert info is None
    assert isinstance(err, RequestTimeout)
    losses.end()
    inside.await_chunks({})


def test_a_hole_and_an_outage_longer_than_ids_are_known(
    run, server, store, losses, proxy, connect, inside
):
    """As many chunks are stored as were sent, but not the first ones: that is no prefix."""
    js = store._bucket.js
    config = run.call(js.stream_info, f'OBJ_{BUCKET}')[0]['config']
    run.call(js.stream_update, {**config, 'duplicate_window': 1_000_000_000})
    between = proxy(server)
    nats = connect(port=between.port, reconnect=True, reconnect_delay=20)
    far = ObjectStore(js=JetStream(nats=nats), bucket=BUCKET, timeout=20_000)
    results = Results()
    writer = far.put_stream('a', results, chunk_size=1000)
    run.until(lambda: far._bucket.config)
    losses.begin(CHUNKS)
    writer.write(b'a' * 1000 + b'b' * 1000)
    losses.await_some(2)
    losses.end()
    writer.write(b'c' * 1000 + b'd' * 1000)
    run.until(lambda: any(chunk.seq for chunk in writer.transfer._chunks._sent))
    between.refusing = True
    between.cut()
    timer = nats.port.timer(lambda: setattr(between, 'refusing', False))
    timer.start(1.5)
    writer.end()
    run.until(lambda: results)
    timer.close()
    if results[0][1] is None:
        assert run.call(store.get, 'a')[0] == b''.join(c * 1000 for c in (b'a', b'b', b'c', b'd'))
    else:
        assert isinstance(results[0][1], ObjectStoreError)
        inside.await_chunks({})


def test_a_purge_that_is_refused_for_long(run, server, store, losses, connect, inside):
    client = connect(port=server.port)
    run.call(store.put, 'a', DATA[:300_000])

    def refuse(_subject, _payload, reply, _headers):
        if reply is not None:
            client.publish(reply, json.dumps({'error': {'code': 503, 'err_code': 10008}}))

    client.subscribe('lost.*', refuse)
    losses.begin('$JS.API.STREAM.PURGE.*')
    ok, err = run.call(store.delete, 'a')
    assert ok is None
    assert isinstance(err, JetStreamError)
    losses.end()
    inside.await_chunks({})


def test_chunks_that_are_not_those_that_were_sent_make_a_put_start_over(run, store, inside, losses):
    """As on servers that forget message ids: it is stored anew, and what was sent is purged."""
    results = Results()
    losses.begin(CHUNKS)
    transfer = store.put('a', DATA, results)
    losses.await_some()
    losses.end()
    nuid = transfer._meta['nuid']
    run.call(store._bucket.js.js_publish, CHUNKS.replace('*', nuid), b'x')
    results.await_all(run)
    info, _ = results[0]
    assert info['nuid'] != nuid
    assert run.call(store.get, 'a')[:2] == (DATA, None)
    inside.await_only(info)


@pytest.fixture
def far(server, proxy, connect, store):
    """The bucket of ``store``, through a proxy: ``far.proxy``."""
    between = proxy(server)
    nats = connect(port=between.port, reconnect=True, reconnect_delay=20)
    far = ObjectStore(js=JetStream(nats=nats), bucket=BUCKET, timeout=20_000)
    far.proxy = between
    return far


def test_a_purge_is_lost_with_the_connection_and_the_tombstone_is_replaced(
    run, store, far, losses, inside
):
    run.call(far.put, 'a', DATA[:300_000])
    deleted = Results()
    losses.begin('$JS.API.STREAM.PURGE.*')
    far.delete('a', deleted)
    losses.await_some()
    info, _ = run.call(far.put, 'a', b'new')
    far.proxy.cut()
    run.until(lambda: deleted)
    assert isinstance(deleted[0][1], DisconnectedError)
    losses.end()
    inside.await_only(info)


def test_a_tombstone_is_replaced_before_its_answer_comes(run, store, far, inside, monkeypatch):
    """By somebody who purges nothing."""
    run.call(far.put, 'a', DATA[:300_000])
    deleted = Results()
    publish = far._bucket.publish

    def publish_and_cut(*args, **options):
        far.proxy.refusing = True
        far.proxy.cut_after(1)  # with the first byte of the answer: it is stored by then
        publish(*args, **options)

    monkeypatch.setattr(far._bucket, 'publish', publish_and_cut)
    far.delete('a', deleted)
    run.until(lambda: deleted)
    assert isinstance(deleted[0][1], DisconnectedError)
    assert inside.body('a')['deleted']
    inside.write_meta('a', chunks=0)
    monkeypatch.undo()
    far.proxy.refusing = False
    inside.await_chunks({})


def test_a_rename_is_lost_with_the_connection_where_the_object_was_before(
    run, store, far, losses, inside
):
    """The tombstone that is there was written when the object went on from there, not by now."""
    info, _ = run.call(far.put, 'c', b'data')
    for old, new in (('c', 'b'), ('b', 'a')):
        assert run.call(far.update_meta, old, {'name': new})[1] is None
    renamed = Results()
    losses.begin(METAS)
    far.update_meta('a', {'name': 'c'}, renamed)
    losses.await_some()
    far.proxy.cut()
    losses.end()
    run.until(lambda: renamed)
    assert isinstance(renamed[0][1], DisconnectedError)
    assert run.call(far.update_meta, 'a', {'description': 'settled'})[1] is None
    assert run.call(store.list)[0] == ['a']
    assert run.call(store.get, 'a')[0] == b'data'
    inside.await_only(info)
