"""Listing objects."""

from __future__ import annotations

import pytest

from natsev import BucketNotFoundError, Cancelled, ObjectStore


def put_all(run, store, *names):
    results = []
    for name in names:
        store.put(name, name, lambda *result: results.append(result))
    run.until(lambda: len(results) == len(names))
    assert [err for _, err in results if err] == []


def test_empty(run, store):
    assert run.call(store.list) == ([], None)
    assert run.call(store.list, details=True, deleted=True) == ([], None)


def test_names_in_order(run, store):
    put_all(run, store, 'b', 'c', 'a')
    run.call(store.put, 'b', b'again')
    run.call(store.delete, 'c')
    assert run.call(store.list) == (['a', 'b'], None)
    assert run.call(store.list, deleted=True) == (['a', 'b', 'c'], None)


def test_all_deleted(run, store):
    put_all(run, store, 'a', 'b')
    run.call(store.delete, 'a')
    run.call(store.delete, 'b')
    assert run.call(store.list) == ([], None)


def test_details(run, store):
    put_all(run, store, 'a', 'b')
    run.call(store.delete, 'b')
    metas, err = run.call(store.list, details=True)
    assert err is None
    info, _ = run.call(store.info, 'a')
    assert metas == [info]
    metas, _ = run.call(store.list, details=True, deleted=True)
    assert [(meta['name'], meta['deleted']) for meta in metas] == [('a', False), ('b', True)]


def test_prefix_limit_and_cursor(run, store):
    put_all(run, store, 'a/1', 'a/2', 'a/3', 'b/1', 'a')
    assert run.call(store.list, prefix='a/')[0] == ['a/1', 'a/2', 'a/3']
    assert run.call(store.list, limit=2)[0] == ['a', 'a/1']
    assert run.call(store.list, limit=2, after='a/1')[0] == ['a/2', 'a/3']
    assert run.call(store.list, prefix='a/', after='a/2')[0] == ['a/3']
    assert run.call(store.list, prefix='c')[0] == []


def test_many(run, store):
    names = [f'object-{number:04}' for number in range(1500)]
    put_all(run, store, *names)
    assert run.call(store.list) == (names, None)


def test_what_other_clients_left_broken(run, store, inside):
    put_all(run, store, 'a')
    # Tombstones of nats-py and of the original, and what nobody can read, the newest of all last.
    inside.write_meta('py', size=0, chunks=0, mtime='', digest='', deleted=True)
    inside.publish(inside.meta_subject('ev'), b'', {'KV-Operation': 'PURGE'})
    inside.publish(inside.meta_subject('json'), b'rubbish')
    inside.write_meta('size', size=-1)
    inside.publish(f'$O.{store.bucket}.M.no.base64.at%all', b'{}')
    inside.publish(inside.meta_subject('last'), b'\xff')
    assert run.call(store.list)[0] == ['a', 'no.base64.at%all']
    assert run.call(store.list, deleted=True)[0] == ['a', 'ev', 'no.base64.at%all', 'py']


def test_no_such_bucket(run, js, unique):
    names, err = run.call(ObjectStore(js=js, bucket=unique).list)
    assert names is None
    assert isinstance(err, BucketNotFoundError)


def test_cancel(run, store):
    put_all(run, store, 'a')
    listing = store.list(lambda *result: run.done(result))
    listing.cancel()
    names, err = run()
    assert names is None
    assert isinstance(err, Cancelled)


def test_no_consumer_is_left(run, js, store):
    put_all(run, store, 'a')
    for _ in range(3):
        run.call(store.list)
    while run.call(js.consumer_names, f'OBJ_{store.bucket}')[0]:
        pass


@pytest.mark.parametrize('limit', [0, -1])
def test_wrong_values(store, limit):
    with pytest.raises(ValueError, match='limit must be'):
        store.list(print, limit=limit)


@pytest.mark.parametrize('options', [{'limit': '1'}, {'prefix': 1}, {'after': 3}, {'x': 1}])
def test_wrong_types(store, options):
    with pytest.raises(TypeError):
        store.list(print, **options)
