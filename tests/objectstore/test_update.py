from __future__ import annotations

import json
from typing import Any

import pytest

from natsev import (
    DisconnectedError,
    JetStream,
    ObjectStore,
    ObjectStoreError,
    SealedError,
    WrongSequenceError,
    ev,
)
from natsev.objectstore import metas
from natsev.objectstore.rename import Rename


def put(run: Any, store: ObjectStore, name: str, data: Any = b'x', **options: Any) -> Any:
    info, err = run.call(store.put, name, data, **options)
    assert err is None, err
    return info


def test_what_is_named_changes_and_all_else_stays(run, store):
    before = put(
        run, store, 'a', b'abc', description='old', headers={'H': ['1', '2']}, metadata={'k': 'v'}
    )
    meta, err = run.call(store.update_meta, 'a', {'description': 'new'})
    assert err is None
    assert meta['description'] == 'new'
    for key in ('name', 'headers', 'metadata', 'options', 'nuid', 'size', 'chunks', 'digest'):
        assert meta[key] == before[key]
    assert meta['seq'] > before['seq']
    read, err = run.call(store.info, 'a')
    assert err is None
    assert {**read, 'mtime': None} == {**meta, 'mtime': None}
    assert run.call(store.get, 'a')[0] == b'abc'


def test_headers_and_metadata_are_replaced(run, store):
    put(run, store, 'a', headers={'H': '1'}, metadata={'k': 'v'}, description='d')
    changes = {'headers': {'X': ['2', '3']}, 'metadata': None, 'description': ''}
    meta, err = run.call(store.update_meta, 'a', changes)
    assert err is None
    assert meta['headers'] == {'X': ['2', '3']}
    assert meta['metadata'] == {}
    assert meta['description'] is None


def test_fields_that_nobody_knows_stay(run, store, inside):
    inside.write_meta(
        'a',
        size=3,
        chunks=1,
        digest='sha-256=abc',
        options={'max_chunk_size': 9, 'future': True},
        future={'x': [1, 2]},
        metadata={'k': 1},
    )
    before = inside.body('a')
    _, err = run.call(store.update_meta, 'a', {'description': 'd'})
    assert err is None
    after = inside.body('a')
    assert after == {**before, 'description': 'd', 'mtime': '0001-01-01T00:00:00Z'}


def test_one_meta_is_left_on_the_subject(run, store, inside):
    put(run, store, 'a')
    run.call(store.update_meta, 'a', {'description': 'd'})
    assert inside.metas() == {'YQ==': 1}
    assert dict(inside.message('a')['headers'])['Nats-Rollup'] == 'sub'


def test_of_none_and_of_a_deleted_object(run, store):
    assert run.call(store.update_meta, 'none', {'description': 'd'}) == (None, None)
    put(run, store, 'a')
    run.call(store.delete, 'a')
    assert run.call(store.update_meta, 'a', {'description': 'd'}) == (None, None)
    assert run.call(store.update_meta, 'a', {'name': 'b'}) == (None, None)
    assert run.call(store.list)[0] == []


def test_expected_seq(run, store):
    info = put(run, store, 'a')
    meta, err = run.call(store.update_meta, 'a', {'description': 'd'}, expected_seq=info['seq'])
    assert err is None
    _, err = run.call(store.update_meta, 'a', {'description': 'e'}, expected_seq=info['seq'])
    assert isinstance(err, WrongSequenceError)
    assert run.call(store.info, 'a')[0]['seq'] == meta['seq']
    _, err = run.call(store.update_meta, 'none', {'description': 'e'}, expected_seq=1)
    assert isinstance(err, WrongSequenceError)


def test_changes_at_the_same_time_are_all_kept(run, store):
    put(run, store, 'a')
    results: list[Any] = []
    for changes in ({'description': 'd'}, {'headers': {'H': '1'}}, {'metadata': {'k': 'v'}}):
        store.update_meta('a', changes, lambda *result: results.append(result))
    run.until(lambda: len(results) == 3)
    assert all(err is None for _, err in results)
    meta, _ = run.call(store.info, 'a')
    assert (meta['description'], meta['headers'], meta['metadata']) == (
        'd',
        {'H': ['1']},
        {'k': 'v'},
    )


def test_a_new_name(run, store, inside):
    before = put(run, store, 'a', b'abc', metadata={'k': 'v'})
    meta, err = run.call(store.update_meta, 'a', {'name': 'b', 'description': 'd'})
    assert err is None
    assert (meta['name'], meta['nuid'], meta['description']) == ('b', before['nuid'], 'd')
    assert run.call(store.list)[0] == ['b']
    assert run.call(store.get, 'b')[0] == b'abc'
    assert run.call(store.get, 'a') == (None, None, None)
    # Who puts the old name again must not purge the chunks, which are another object's now.
    put(run, store, 'a', b'new')
    assert run.call(store.delete, 'a') == (True, None)
    assert run.call(store.get, 'b')[0] == b'abc'
    assert inside.chunks() == {before['nuid']: 1}


def test_a_new_name_that_was_deleted(run, store):
    put(run, store, 'a', b'abc')
    put(run, store, 'b')
    run.call(store.delete, 'b')
    meta, err = run.call(store.update_meta, 'a', {'name': 'b'})
    assert err is None
    assert meta['name'] == 'b'
    assert run.call(store.get, 'b')[0] == b'abc'


def test_a_new_name_that_is_taken(run, store):
    put(run, store, 'a', b'abc')
    put(run, store, 'b', b'def')
    meta, err = run.call(store.update_meta, 'a', {'name': 'b'})
    assert meta is None
    assert isinstance(err, WrongSequenceError)
    assert run.call(store.get, 'a')[0] == b'abc'
    assert run.call(store.get, 'b')[0] == b'def'


def test_watchers_see_both_names(run, store):
    put(run, store, 'a')
    seen: list[Any] = []
    watch = store.watch(lambda meta, err: seen.append(meta and (meta['name'], meta['deleted'])))
    run.until(lambda: None in seen)
    store.update_meta('a', {'name': 'b'}, lambda meta, err: None)
    run.until(lambda: len(seen) == 4)
    assert seen == [('a', False), None, ('b', False), ('a', True)]
    watch.stop()


def test_a_rename_that_is_overtaken_takes_itself_back(run, store, inside, monkeypatch):
    """Another writer replaces the object between the two steps."""
    put(run, store, 'a', b'abc')
    remove = Rename._remove

    def later(rename):
        store.put('a', b'new', lambda info, err: remove(rename))

    monkeypatch.setattr(Rename, '_remove', later)
    meta, err = run.call(store.update_meta, 'a', {'name': 'b'})
    assert meta is None
    assert isinstance(err, WrongSequenceError)
    assert run.call(store.list)[0] == ['a']
    assert run.call(store.get, 'a')[0] == b'new'
    assert run.call(store.get, 'b') == (None, None, None)
    run.until(lambda: True)
    assert inside.chunks() == {run.call(store.info, 'a')[0]['nuid']: 1}


def test_a_rename_at_the_time_of_a_put(run, store):
    put(run, store, 'a', b'abc')
    results: list[Any] = []
    store.update_meta('a', {'name': 'b'}, lambda *result: results.append(result))
    store.put('a', b'new', lambda *result: results.append(result))
    run.until(lambda: len(results) == 2)
    found = [run.call(store.get, name)[:2] for name in run.call(store.list)[0]]
    assert (b'new', None) in found
    assert all(err is None for _, err in found)


def test_of_an_object_under_another_spelling(run, store, inside):
    subject = f'$O.{store.bucket}.M.a%20b'
    inside.publish(subject, b'{"name":"a b","nuid":"n1","size":0,"chunks":1,"digest":"x"}')
    _, err = run.call(store.update_meta, 'a b', {'description': 'd'})
    assert err is None
    message = inside.call(inside.js.stream_msg_get, inside.stream, {'last_by_subj': subject})
    body = json.loads(message['payload'])
    assert (body['description'], body['digest'], body['chunks']) == ('d', 'x', 1)


def test_of_a_sealed_bucket(run, store):
    put(run, store, 'a')
    run.call(store.seal)
    _, err = run.call(store.update_meta, 'a', {'description': 'd'})
    assert isinstance(err, SealedError)


def test_metadata_that_is_too_large(run, store):
    put(run, store, 'a')
    _, err = run.call(store.update_meta, 'a', {'description': 'd' * 2_000_000})
    assert 'payload' in str(err)
    assert run.call(store.info, 'a')[0]['description'] is None


@pytest.mark.parametrize(
    'changes',
    [None, {'size': 1}, {'name': ''}, {'name': None}, {'headers': 1}, {'metadata': {'k': 1}}],
)
def test_changes_that_cannot_be(store, changes):
    with pytest.raises((TypeError, ValueError)):
        store.update_meta('a', changes, print)


def test_peers_read_what_was_changed(run, store, peer):
    put(run, store, 'a', b'abc', headers={'H': '1'})
    run.call(store.update_meta, 'a', {'name': 'b c', 'description': 'd'})
    assert peer.get(store.bucket, 'b c') == b'abc'
    assert peer.info(store.bucket, 'b c')['description'] == 'd'
    assert [info['name'] for info in peer.list(store.bucket)] == ['b c']


def test_a_mirror_says_that_it_is_one(run, store, js, unique):
    put(run, store, 'a', b'abc')
    mirror = ObjectStore(js=js, bucket=unique + 'm')
    _, err = run.call(mirror.create_bucket, {'mirror': store.bucket})
    assert err is None
    for call in (
        (mirror.update_meta, 'a', {'description': 'd'}),
        (mirror.delete, 'a'),
        (mirror.link, 'l', 'a'),
        (mirror.put, 'b', b''),
    ):
        _, err = run.call(*call)
        assert isinstance(err, ObjectStoreError)
        assert str(err) == f'bucket {mirror.bucket!r} is a mirror: it can only be read'
    assert run.call(mirror.delete_bucket) == (True, None)


def test_a_rename_that_is_cancelled_leaves_one_name(run, store):
    """Each time one event of the loop later, until it is over before it is cancelled."""
    for turns in range(100):
        assert run.call(store.put, 'old', b'x')[1] is None
        results: list[Any] = []
        call = store.update_meta('old', {'name': 'new'}, lambda *r, to=results: to.append(r))
        for _ in range(turns):
            if not results:
                run.loop.start(ev.EVRUN_ONCE)
        over = bool(results)
        call.cancel()
        run.until(lambda results=results: results)
        names, _ = run.call(store.list)
        assert names == (['new'] if results[0][1] is None else ['old']), turns
        assert run.call(store.get, names[0])[0] == b'x'
        run.call(store.delete, names[0])
        if over:
            break
    else:
        pytest.fail('it never came to its end')


def test_a_put_waits_for_a_rename_that_broke_off(run, server, store, proxy, connect, monkeypatch):
    """Else it would purge the chunks that the object has under its new name too."""
    run.call(store.put, 'old', b'kept' * 50_000)
    between = proxy(server)
    nats = connect(port=between.port, reconnect=True, reconnect_delay=20)
    far = ObjectStore(js=JetStream(nats=nats), bucket=store.bucket)
    publish = metas.publish

    def cut_before_the_tombstone(bucket, op, subject, meta, *args, **options):
        if meta['deleted']:
            monkeypatch.undo()
            between.cut()
        publish(bucket, op, subject, meta, *args, **options)

    monkeypatch.setattr(metas, 'publish', cut_before_the_tombstone)
    renamed, stored = [], []
    far.update_meta('old', {'name': 'new'}, lambda *result: renamed.append(result))
    run.until(lambda: renamed)
    assert isinstance(renamed[0][1], DisconnectedError)
    far.put('old', b'another', lambda *result: stored.append(result))
    run.until(lambda: stored)
    assert stored[0][1] is None
    assert run.call(far.update_meta, 'new', {'description': 'still there'})[0] is not None
    assert run.call(store.get, 'new')[:2] == (b'kept' * 50_000, None)
    assert run.call(store.get, 'old')[:2] == (b'another', None)
