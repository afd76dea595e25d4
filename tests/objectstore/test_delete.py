"""Deleting objects."""

from __future__ import annotations

import json
import os

import pytest

from natsev import BucketNotFoundError, Cancelled, ObjectStore, StorageFullError, WrongSequenceError

BIG = os.urandom(1_000_000)


@pytest.mark.parametrize('data', [b'', b'x', BIG])
def test_delete(run, store, inside, data):
    run.call(store.put, 'a', data, description='kept')
    assert run.call(store.delete, 'a') == (True, None)
    assert inside.chunks() == {}
    assert run.call(store.get, 'a') == (None, None, None)
    assert run.call(store.list) == ([], None)
    assert run.call(store.put, 'a', b'again')[1] is None
    assert run.call(store.get, 'a')[0] == b'again'


def test_the_tombstone_is_one_for_every_client(run, store, inside):
    info, _ = run.call(store.put, 'a', b'x', description='d')
    run.call(store.delete, 'a')
    message = inside.message('a')
    assert message['headers']['KV-Operation'] == 'PURGE'
    assert message['headers']['Nats-Rollup'] == 'sub'
    body = json.loads(message['payload'])
    assert body['deleted'] is True
    assert (body['size'], body['chunks'], body['nuid']) == (0, 0, info['nuid'])
    assert body['mtime'] == '0001-01-01T00:00:00Z'
    assert 'digest' not in body


def test_nothing_there(run, store):
    assert run.call(store.delete, 'a') == (False, None)
    run.call(store.put, 'a', b'x')
    run.call(store.delete, 'a')
    assert run.call(store.delete, 'a') == (False, None)


def test_without_a_callback(run, store, inside):
    run.call(store.put, 'a', b'x')
    store.delete('a')
    inside.await_chunks({})
    assert run.call(store.get, 'a') == (None, None, None)


def test_expected_seq(run, store):
    info, _ = run.call(store.put, 'a', b'x')
    newer, _ = run.call(store.put, 'a', b'y')
    for name, seq in (('a', info['seq']), ('b', 7)):
        ok, err = run.call(store.delete, name, expected_seq=seq)
        assert ok is None
        assert isinstance(err, WrongSequenceError)
    assert run.call(store.get, 'a')[0] == b'y'
    assert run.call(store.delete, 'a', expected_seq=newer['seq']) == (True, None)


def test_no_such_bucket(run, js, unique):
    ok, err = run.call(ObjectStore(js=js, bucket=unique).delete, 'a')
    assert ok is None
    assert isinstance(err, BucketNotFoundError)


def test_deleters_and_writers_that_race(run, store, inside):
    results = []
    for round_ in range(20):
        store.put('a', b'x' * 200_000, lambda *result: results.append(result))
        store.delete('a', lambda *result: results.append(result))
        store.put('a', f'{round_}', lambda *result: results.append(result))
    run.until(lambda: len(results) == 60)
    assert [err for _, err in results if err is not None] == []
    _data, _err, meta = run.call(store.get, 'a')
    inside.await_chunks({meta['nuid']: meta['chunks']} if meta else {})


def test_in_a_full_bucket(run, make_store, inside_of, server):
    store = make_store(server, {'max_bytes': 100_000})
    inside = inside_of(store)
    run.call(store.put, 'a', b'x' * 50_000)
    for size in (40_000, 8_000, 500, 50, 1):  # to the last byte that a message can take
        run.call(store.put, f'{size}', b'y' * size)
    before = run.call(store.status)[0]['bytes']
    _, err = run.call(inside.js.js_publish, inside.meta_subject('b'), b'z' * 500)
    assert isinstance(err, StorageFullError)
    assert run.call(store.delete, 'a') == (True, None)
    assert run.call(store.get, 'a') == (None, None, None)
    assert run.call(store.status)[0]['bytes'] < before - 49_000


def test_where_not_even_a_tombstone_fits(run, make_store, inside_of, server):
    store = make_store(server, {})
    inside = inside_of(store)
    run.call(store.put, 'a', b'')
    state = run.call(store.status)[0]['stream']['state']
    run.call(store.update_bucket, {'max_bytes': state['bytes']})
    assert run.call(store.delete, 'a') == (True, None)
    assert inside.metas() == {}
    assert run.call(store.get, 'a') == (None, None, None)


def test_a_link_is_deleted_itself(run, store, inside):
    run.call(store.put, 'a', b'x')
    inside.write_meta(
        'l', size=0, chunks=0, options={'link': {'bucket': store.bucket, 'name': 'a'}}
    )
    assert run.call(store.delete, 'l') == (True, None)
    assert run.call(store.get, 'a')[0] == b'x'
    assert run.call(store.list) == (['a'], None)


def test_cancel(run, store):
    run.call(store.put, 'a', b'x')
    call = store.delete('a', lambda *result: run.done(result))
    call.cancel()
    ok, err = run()
    assert ok is None
    assert isinstance(err, Cancelled)


def test_wrong_arguments(store):
    with pytest.raises(ValueError, match='object name is empty'):
        store.delete('')
    with pytest.raises(TypeError):
        store.delete(b'a')
    with pytest.raises(TypeError):
        store.delete('a', expected_seq='1')
