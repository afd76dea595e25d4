"""Watching a bucket."""

from __future__ import annotations

import pytest

from natsev import BucketNotFoundError, InvalidMetaError, ObjectStore

END = 'present state delivered'


@pytest.fixture
def watch(run, store):
    """``watch(**options)``: the list that the watch's events go to, once it stands."""
    watches = []

    class Events(list):
        handle = None

    def watch(**options):
        events = Events()

        def changed(meta, err):
            if err is not None:
                events.append(err)
            else:
                events.append(END if meta is None else (meta['name'], meta['deleted']))

        events.handle = store.watch(changed, **options)
        watches.append(events.handle)
        run.until(lambda: END in events)
        return events

    yield watch
    for handle in watches:
        handle.stop()


def change(run, store):
    run.call(store.put, 'a', b'1')
    run.call(store.put, 'b', b'2')
    run.call(store.delete, 'a')
    run.call(store.put, 'b', b'3')


CHANGES = [('a', False), ('b', False), ('a', True), ('b', False)]


def test_an_empty_bucket_and_changes(run, store, watch):
    events = watch()
    assert events == [END]
    change(run, store)
    run.until(lambda: len(events) == 5)
    assert events == [END, *CHANGES]


def test_the_present_state_first(run, store, watch):
    change(run, store)
    events = watch()
    assert events == [('a', True), ('b', False), END]
    run.call(store.put, 'c', b'')
    run.until(lambda: len(events) == 4)
    assert events[-1] == ('c', False)


def test_updates_only(run, store, watch):
    change(run, store)
    events = watch(updates_only=True)
    assert events == [END]
    run.call(store.put, 'c', b'')
    run.until(lambda: len(events) == 2)
    assert events == [END, ('c', False)]


def test_ignore_deletes(run, store, watch):
    change(run, store)
    events = watch(ignore_deletes=True)
    assert events == [('b', False), END]
    run.call(store.delete, 'b')
    run.call(store.put, 'c', b'')
    run.until(lambda: len(events) == 3)
    assert events[-1] == ('c', False)


def test_one_name(run, store, watch):
    change(run, store)
    events = watch(name='b')
    assert events == [('b', False), END]
    change(run, store)
    run.until(lambda: len(events) == 4)
    assert events == [('b', False), END, ('b', False), ('b', False)]


def test_prefix(run, store, watch):
    for name in ('x/1', 'y/1', 'x/2'):
        run.call(store.put, name, b'')
    assert watch(prefix='x/') == [('x/1', False), ('x/2', False), END]


def test_since(run, store, watch):
    info, _ = run.call(store.put, 'a', b'')
    run.call(store.put, 'b', b'')
    assert watch(since=info['seq']) == [('b', False), END]
    assert watch(since=0) == [('a', False), ('b', False), END]


def test_history(run, store, watch):
    change(run, store)
    assert watch(history=True) == [('a', True), ('b', False), END]


def test_metadata_of_an_event(run, store):
    info, _ = run.call(store.put, 'a', b'x', description='d')
    got = []
    handle = store.watch(got.append)
    run.until(lambda: len(got) == 2)
    handle.stop()
    assert got[1] is None
    assert got[0].pop('mtime')
    del info['mtime']
    assert got[0] == info


def test_stop(run, store, watch):
    events = watch()
    events.handle.stop()
    events.handle.stop()
    change(run, store)
    assert events == [END]


def test_what_cannot_be_read_is_told_and_passed(run, store, inside, watch):
    events = watch()
    inside.publish(inside.meta_subject('a'), b'rubbish')
    inside.publish(inside.meta_subject('b'), b'', {'KV-Operation': 'PURGE'})
    run.until(lambda: len(events) == 3)
    assert isinstance(events[1], InvalidMetaError)
    assert events[2] == ('b', True)


def test_no_such_bucket(run, js, unique):
    results = []
    ObjectStore(js=js, bucket=unique).watch(lambda *result: results.append(result))
    run.until(lambda: results)
    meta, err = results[0]
    assert meta is None
    assert isinstance(err, BucketNotFoundError)


def test_over_a_lost_connection(run, server, proxy, unique, js, connect, make_store):
    between = proxy(server)
    store = ObjectStore(js=js, bucket=unique)
    run.call(store.create_bucket, {})
    nats = connect(port=between.port, reconnect=True, reconnect_delay=10)
    far = ObjectStore(js=type(js)(nats=nats), bucket=unique)
    names = []
    far.watch(lambda meta, err: names.append(meta and meta['name']))
    run.until(lambda: names == [None])
    for number in range(10):
        if number % 3 == 1:
            between.cut()
        run.call(store.put, f'{number}', b'')
    run.until(lambda: len(names) == 11)
    assert names == [None, *map(str, range(10))]


def test_a_callback_that_raises(run, store, expected_errors):
    names = []

    def changed(meta, err):
        names.append(meta and meta['name'])
        raise RuntimeError('mine')

    handle = store.watch(changed)
    run.until(lambda: names)
    run.call(store.put, 'a', b'')
    run.call(store.put, 'b', b'')
    run.until(lambda: len(names) == 3)
    handle.stop()
    assert names == [None, 'a', 'b']


@pytest.mark.parametrize('options', [{'name': ''}, {'since': -1}, {'history': True, 'since': 1}])
def test_wrong_values(store, options):
    with pytest.raises(ValueError):  # noqa: PT011 (each has a text of its own)
        store.watch(print, **options)


@pytest.mark.parametrize('options', [{'name': 1}, {'prefix': b'a'}, {'since': '1'}, {'x': 1}])
def test_wrong_types(store, options):
    with pytest.raises(TypeError):
        store.watch(print, **options)
