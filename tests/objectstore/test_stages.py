"""The store at each moment at which something can go wrong: killed, cut, cancelled, refused.

After each: every callback came once, nothing is half stored, and no chunk is left that no metadata
names. That no watcher is left on the loop, ``connect`` looks at after each test.
"""

from __future__ import annotations

import hashlib

import pytest

from natsev import (
    Cancelled,
    DisconnectedError,
    JetStream,
    JetStreamError,
    NatsError,
    NoResponders,
    ObjectChanged,
    ObjectStore,
    ObjectStoreError,
    PermissionsError,
    RequestTimeout,
    StorageFullError,
    ev,
)
from tests.by_hand import ByHand

CHUNK = 32 * 1024
# Several windows of the put, and several batches of the get.
LARGE = hashlib.shake_128(b'large').digest(192 * CHUNK)
OLD = hashlib.shake_128(b'old').digest(3 * CHUNK)
SMALL = b'small'
RECONNECTING = {'reconnect': True, 'reconnect_delay': 20}


class Told:
    """Callbacks, which must each be called exactly once."""

    def __init__(self):
        self.results = []

    def __call__(self, what=''):
        calls = []

        def callback(*results):
            calls.append(results)

        self.results.append((what, calls))
        return callback, calls

    def check(self):
        wrong = [(what, calls) for what, calls in self.results if len(calls) != 1]
        assert not wrong


@pytest.fixture(autouse=True)
def told():
    """Made before ``connect``, and so looked at when all clients are disconnected."""
    told = Told()
    yield told
    told.check()


@pytest.fixture
def make(run, connect, unique):
    """``make(server, **options of Nats)``: a store whose bucket is there; its ``ByHand``."""

    def make(server, bucket_options=None, port=None, **options):
        js = JetStream(nats=connect(port=port or server.port, **options))
        store = ObjectStore(js=js, bucket=unique, chunk_size=CHUNK)
        _, err = run.call(store.create_bucket, bucket_options or {})
        assert err is None
        return store, ByHand(run, js, unique)

    return make


@pytest.fixture
def look(run, connect, unique):
    """``look(server)``: the same bucket through another client."""

    def look(server):
        js = JetStream(nats=connect(port=server.port))
        return ObjectStore(js=js, bucket=unique), ByHand(run, js, unique)

    return look


def impatient(store, timeout):
    """Return the same bucket, through the same client, with less patience."""
    js = JetStream(nats=store._bucket.nats, timeout=timeout)
    return ObjectStore(js=js, bucket=store.bucket, chunk_size=CHUNK)


def at(number, function):
    """Return a ``progress`` that calls *function* the *number*-th time."""
    count = 0

    def progress(done, total):
        nonlocal count
        count += 1
        if count == number:
            function()

    return progress


# A server that is killed.


@pytest.mark.parametrize('after', [1, 60, 191, 192])
@pytest.mark.parametrize('overwrite', [False, True], ids=['new', 'overwrite'])
def test_killed_in_a_put(run, make, own_server, told, after, overwrite):
    store, by_hand = make(own_server, **RECONNECTING)
    if overwrite:
        assert run.call(store.put, 'a', OLD)[1] is None
    callback, calls = told('put')
    store.put('a', LARGE, callback, progress=at(after, own_server.kill))
    run.until(lambda: not own_server.running)
    own_server.start()
    run.until(lambda: calls)
    assert calls[0][1] is None
    assert run.call(store.get, 'a')[0] == LARGE
    by_hand.check_no_orphans()


def test_killed_again_and_again_in_a_put(run, make, own_server, told):
    store, by_hand = make(own_server, **RECONNECTING)
    callback, calls = told('put')
    kills = [at(number, lambda: (own_server.kill(), own_server.start())) for number in (9, 80, 150)]
    store.put('a', LARGE, callback, progress=lambda *args: [kill(*args) for kill in kills])
    run.until(lambda: calls)
    assert calls[0][1] is None
    assert run.call(store.get, 'a')[0] == LARGE
    by_hand.check_no_orphans()


@pytest.mark.parametrize('after', [1, 60, 192])
def test_killed_in_a_put_without_reconnect(run, make, look, own_server, told, after):
    store, _ = make(own_server)
    store._bucket.nats.on_error(lambda err: None)
    assert run.call(store.put, 'a', OLD)[1] is None
    callback, calls = told('put')
    store.put('a', LARGE, callback, progress=at(after, own_server.kill))
    run.until(lambda: calls)
    assert isinstance(calls[0][1], DisconnectedError)
    own_server.start()
    other, _ = look(own_server)
    assert run.call(other.get, 'a')[0] in (OLD, LARGE)
    _, err = run.call(store.put, 'a', SMALL)
    assert isinstance(err, DisconnectedError)


@pytest.mark.parametrize('turns', range(4))
def test_killed_in_a_small_put(run, make, own_server, told, turns):
    store, by_hand = make(own_server, **RECONNECTING)
    assert run.call(store.put, 'a', OLD)[1] is None
    callback, calls = told('put')
    store.put('a', SMALL, callback)
    run.turns(turns)
    own_server.kill()
    own_server.start()
    run.until(lambda: calls)
    assert calls[0][1] is None
    assert run.call(store.get, 'a')[0] == SMALL
    by_hand.check_no_orphans()


@pytest.mark.parametrize('after', [1, 60, 192])
@pytest.mark.parametrize('how', ['bytes', 'path', 'stream'])
def test_killed_in_a_get(run, make, own_server, told, tmp_path, after, how):
    store, _ = make(own_server, **RECONNECTING)
    assert run.call(store.put, 'a', LARGE)[1] is None
    callback, calls = told('get')
    progress = at(after, own_server.kill)
    parts = []
    if how == 'stream':
        store.get_stream('a', parts.append, callback, progress=progress)
    else:
        into = tmp_path / 'file' if how == 'path' else None
        store.get('a', callback, into=into, progress=progress)
    run.until(lambda: not own_server.running)
    own_server.start()
    run.until(lambda: calls)
    assert calls[0][1] is None
    if how == 'stream':
        assert b''.join(parts) == LARGE
    elif how == 'path':
        assert (tmp_path / 'file').read_bytes() == LARGE
        assert len(list(tmp_path.iterdir())) == 1
    else:
        assert calls[0][0] == LARGE


@pytest.mark.parametrize('after', [1, 60])
@pytest.mark.parametrize('how', ['bytes', 'path', 'stream'])
def test_killed_in_a_get_without_reconnect(run, make, own_server, told, tmp_path, after, how):
    store, _ = make(own_server)
    store._bucket.nats.on_error(lambda err: None)
    assert run.call(store.put, 'a', LARGE)[1] is None
    callback, calls = told('get')
    progress = at(after, own_server.kill)
    if how == 'stream':
        store.get_stream('a', lambda data: None, callback, progress=progress)
    else:
        into = tmp_path / 'file' if how == 'path' else None
        store.get('a', callback, into=into, progress=progress)
    run.until(lambda: calls)
    # All may have come before the end of the connection was seen.
    assert isinstance(calls[0][1], DisconnectedError) or calls[0][1] is None
    assert calls[0][1] is not None or how == 'path' or after > 1
    if calls[0][1] is not None:
        assert list(tmp_path.iterdir()) == []


def test_killed_in_everything_at_once(run, make, own_server, told):
    store, by_hand = make(own_server, **RECONNECTING)
    for number in range(8):
        assert run.call(store.put, f'{number}', OLD)[1] is None
    events = []
    watch = store.watch(lambda meta, err: events.append((meta and meta['name'], err)))
    run.until(lambda: (None, None) in events)
    calls = []
    for number in range(8):
        operations = {
            'put': (store.put, f'new {number}', OLD),
            'overwrite': (store.put, f'{number}', SMALL),
            'get': (store.get, f'{number}'),
            'list': (store.list,),
            'delete': (store.delete, f'gone {number}'),
            'info': (store.info, f'{number}'),
        }
        for what, (function, *args) in operations.items():
            callback, results = told(what)
            calls.append((what, results))
            function(*args, callback)
    run.turns(3)
    own_server.kill()
    own_server.start()
    run.until(lambda: all(results for _, results in calls))
    for what, results in calls:
        err = results[0][1]
        # A single request is not sent again: nobody knows whether it was done.
        assert err is None or (what in ('delete', 'info') and str(err) == 'disconnected')
    names = run.call(store.list)[0]
    assert names == sorted([f'{n}' for n in range(8)] + [f'new {n}' for n in range(8)])
    run.until(lambda: [name for name, _ in events].count('new 7') == 1)
    watch.stop()
    assert [err for _, err in events if err is not None] == []
    changes = [name for name, _ in events[9:]]
    assert sorted(changes) == names
    by_hand.check_no_orphans()


# A connection that is cut, a server that stops.


@pytest.mark.parametrize('size', [0, 5_000, CHUNK + 700, 6_200_000])
@pytest.mark.parametrize('how', ['bytes', 'path', 'stream'])
def test_cut_in_a_get(run, make, server, proxy, told, tmp_path, size, how):
    line = proxy(server)
    store, _ = make(server, port=line.port, **RECONNECTING)
    assert run.call(store.put, 'a', LARGE)[1] is None
    callback, calls = told('get')
    parts = []
    line.cut_after(size)
    if how == 'stream':
        store.get_stream('a', parts.append, callback)
    else:
        store.get('a', callback, into=tmp_path / 'file' if how == 'path' else None)
    run.until(lambda: calls)
    assert calls[0][1] is None
    if how == 'stream':
        assert b''.join(parts) == LARGE
    elif how == 'path':
        assert (tmp_path / 'file').read_bytes() == LARGE
    else:
        assert calls[0][0] == LARGE


@pytest.mark.parametrize('size', [0, 300, 3_000, 9_000])
@pytest.mark.parametrize('data', [SMALL, LARGE], ids=['small', 'large'])
def test_cut_in_a_put(run, make, look, server, proxy, told, size, data):
    """The server lives on: what it had received goes on being stored."""
    line = proxy(server)
    store, _ = make(server, port=line.port, **RECONNECTING)
    other, by_hand = look(server)
    assert run.call(store.put, 'a', OLD)[1] is None
    callback, calls = told('put')
    store.put('a', data, callback)
    line.cut_after(size)
    run.until(lambda: calls)
    assert calls[0][1] is None
    assert run.call(other.get, 'a')[0] == data
    by_hand.check_no_orphans()


@pytest.mark.parametrize('after', [1, 60, 150])
def test_cut_and_cancelled_while_away(run, make, server, proxy, told, after):
    line = proxy(server)
    store, by_hand = make(server, port=line.port, **RECONNECTING)
    assert run.call(store.put, 'a', OLD)[1] is None
    callback, calls = told('put')

    def cut():
        line.refusing = True
        line.cut()

    data = LARGE * 4  # so much that it is not all on its way when it is cut
    transfer = store.put('a', data, callback, progress=at(after, cut))
    run.until(lambda: not store._bucket.nats.is_connected())
    transfer.cancel()
    run.turns(3)
    line.refusing = False
    run.until(lambda: calls)
    assert isinstance(calls[0][1], Cancelled)
    assert run.call(store.get, 'a')[0] == OLD
    by_hand.check_no_orphans()


@pytest.mark.parametrize('after', [1, 60, 100, 150, 192])
def test_a_put_that_the_server_does_not_answer(run, make, look, server, proxy, told, after):
    """When it wakes up again, it stores what it was sent: that must not stay either."""
    line = proxy(server)
    store, _ = make(server, port=line.port)
    other, by_hand = look(server)
    assert run.call(store.put, 'a', OLD)[1] is None
    callback, calls = told('put')
    impatient(store, 300).put('a', LARGE, callback, progress=at(after, line.stall))
    run.until(lambda: calls)
    # All may have been answered before.
    assert isinstance(calls[0][1], RequestTimeout) or calls[0][0]['size'] == len(LARGE)
    assert run.call(other.get, 'a')[0] in (OLD, LARGE)
    line.flow()
    assert run.call(store._bucket.nats.flush, timeout=20_000) is None
    by_hand.check_no_orphans()
    data, err, _ = run.call(other.get, 'a')
    assert err is None
    assert data in (OLD, LARGE)


def test_what_the_server_does_not_answer(run, make, server, proxy):
    line = proxy(server)
    store, _ = make(server, port=line.port)
    assert run.call(store.put, 'a', LARGE)[1] is None
    line.stall()
    for function, *args in every_operation(impatient(store, 100)):
        err = run.call(function, *args)[1]
        assert isinstance(err, RequestTimeout), function
    line.flow()


def test_a_get_that_stops_in_the_midst(run, make, server, proxy, told, tmp_path):
    line = proxy(server)
    store, _ = make(server, port=line.port)
    assert run.call(store.put, 'a', LARGE)[1] is None
    callback, calls = told('get')
    impatient(store, 300).get('a', callback, into=tmp_path / 'file', progress=at(1, line.stall))
    run.until(lambda: calls)
    line.flow()
    assert isinstance(calls[0][1], RequestTimeout)
    assert list(tmp_path.iterdir()) == []
    assert run.call(store.get, 'a')[0] == LARGE


# Cancelled, and disconnected, at every stage.

OPERATIONS = {
    'put large': lambda store, callback: store.put('a', LARGE[: 8 * CHUNK], callback),
    'put small': lambda store, callback: store.put('a', SMALL, callback),
    'put empty': lambda store, callback: store.put('a', b'', callback),
    'put if': lambda store, callback: store.put('a', SMALL, callback, expected_seq=4),
    'get': lambda store, callback: store.get('a', callback),
    'stream': lambda store, callback: store.get_stream('a', lambda data: None, callback),
    'delete': lambda store, callback: store.delete('a', callback),
    'list': lambda store, callback: store.list(callback),
    'info': lambda store, callback: store.info('a', callback),
    'status': lambda store, callback: store.status(callback),
}


@pytest.mark.parametrize('what', OPERATIONS)
def test_cancelled_at_every_stage(run, make, server, told, what):
    """Each time one event of the loop later, until it is over before it is cancelled."""
    store, by_hand = make(server)
    assert run.call(store.put, 'a', OLD)[1] is None
    assert run.call(store.list)[1] is None
    for turns in range(200):
        callback, calls = told(f'{what}, {turns}')
        handle = OPERATIONS[what](store, callback)
        for _ in range(turns):
            if not calls:
                run.loop.start(ev.EVRUN_ONCE)
        over = bool(calls)
        before = run.call(store.info, 'a')[0] if over else None
        handle.cancel()
        run.until(lambda calls=calls: calls)
        err = calls[0][1]
        assert err is None or isinstance(err, Cancelled)
        by_hand.check_no_orphans()
        if over:
            assert err is None
            assert run.call(store.info, 'a')[0] == before
            break
        if what == 'put if' or run.call(store.info, 'a')[0] is None:
            run.call(store.delete_bucket)
            run.call(store.create_bucket, {})
            run.call(store.put, 'a', OLD)
    else:
        pytest.fail('it never came to its end')


@pytest.mark.parametrize('what', OPERATIONS)
def test_disconnected_at_every_stage(run, connect, make, server, told, what):
    store, _ = make(server)
    assert run.call(store.put, 'a', OLD)[1] is None
    for turns in range(200):
        js = JetStream(nats=connect(port=server.port))
        other = ObjectStore(js=js, bucket=store.bucket, chunk_size=CHUNK)
        callback, calls = told(f'{what}, {turns}')
        OPERATIONS[what](other, callback)
        for _ in range(turns):
            if not calls:
                run.loop.start(ev.EVRUN_ONCE)
        over = bool(calls)
        js.nats.disconnect()
        run.until(lambda calls=calls: calls)
        err = calls[0][1]
        assert err is None or isinstance(err, DisconnectedError) or what == 'put if'
        if over:
            break
    else:
        pytest.fail('it never came to its end')
    data, err, _ = run.call(store.get, 'a')
    assert err is None
    assert data in (None, OLD, SMALL, b'', LARGE[: 8 * CHUNK])


# Readers and writers at the same time.


def test_readers_while_it_is_overwritten_and_deleted(run, make, connect, server, told):
    """What is read is always one version, whole."""
    store, by_hand = make(server)
    js = JetStream(nats=connect(port=server.port))
    reader = ObjectStore(js=js, bucket=store.bucket)
    versions = [bytes([65 + number]) * (number * CHUNK // 3) for number in range(12)]
    seen, errors, parts = [], [], []
    writing = True

    def write(number):
        nonlocal writing
        if number == len(versions):
            writing = False
        elif number % 4 == 3:
            store.delete('a', lambda ok, err: (errors.append(err), write(number + 1)))
        else:
            data = versions[number]
            store.put('a', data, lambda info, err: (errors.append(err), write(number + 1)))

    def read(data, err):
        seen.append(data)
        errors.append(err)
        if writing:
            reader.get('a', read)

    def read_parts(meta, err):
        whole = b''.join(parts)
        parts.clear()
        if err is None:
            seen.append(whole if meta else None)
        else:
            errors.append(None if isinstance(err, ObjectChanged) else err)
        if writing:
            reader.get_stream('a', parts.append, read_parts)

    reader.get('a', read)
    reader.get_stream('a', parts.append, read_parts)
    write(0)
    run.until(lambda: not writing)
    run.call(reader.list)
    assert [err for err in errors if err is not None] == []
    assert set(seen) <= {None, *versions}
    by_hand.check_no_orphans()


def test_two_clients_that_race(run, make, connect, server, told):
    store, by_hand = make(server)
    js = JetStream(nats=connect(port=server.port))
    other = ObjectStore(js=js, bucket=store.bucket, chunk_size=CHUNK)
    calls = []
    for number in range(10):
        for writer in (store, other):
            for data in (SMALL, OLD, bytes([number]) * 2 * CHUNK):
                callback, results = told('put')
                calls.append(results)
                writer.put('a', data, callback)
        callback, results = told('delete')
        calls.append(results)
        other.delete('a', callback)
    run.until(lambda: all(calls))
    assert [results[0][1] for results in calls if results[0][1] is not None] == []
    by_hand.check_no_orphans()


# Full buckets.


def test_full_bucket(run, make, each_server, told):
    store, by_hand = make(each_server, bucket_options={'max_bytes': 5 * CHUNK})
    assert run.call(store.put, 'a', OLD)[1] is None
    for name, data in (('a', OLD), ('b', OLD), ('b', LARGE), ('a', LARGE[: 2 * CHUNK])):
        _, err = run.call(store.put, name, data)
        assert isinstance(err, StorageFullError)
        by_hand.check_no_orphans()
        assert run.call(store.get, 'a')[0] == OLD
    assert run.call(store.get, 'b') == (None, None, None)
    # To the last byte: not even the metadata of an empty object fits, nor a tombstone.
    size = CHUNK
    while size:
        _, err = run.call(store._bucket.js.js_publish, f'$O.{store.bucket}.C.filler', b'x' * size)
        size = size if err is None else size // 2
    for data in (SMALL, b''):
        _, err = run.call(store.put, 'b', data)
        assert isinstance(err, StorageFullError)
    assert run.call(store.delete, 'a') == (True, None)
    assert run.call(store.get, 'a') == (None, None, None)
    by_hand.purge('filler')
    by_hand.check_no_orphans()
    assert run.call(store.put, 'a', OLD)[1] is None


# Refusals.


def every_operation(store):
    return [
        (store.put, 'b', SMALL), (store.put, 'b', OLD), (store.put, 'b', b''),
        (store.get, 'a'), (store.get_stream, 'a', lambda data: None), (store.delete, 'a'),
        (store.list,), (store.info, 'a'), (store.status,), (store.create_bucket, {}),
        (store.update_bucket, {}), (store.delete_bucket,), (store.seal,),
        (ObjectStore.buckets, store._bucket.js),
    ]  # fmt: skip


def test_jetstream_off(run, start_server, connect, unique):
    server = start_server(jetstream=False)
    js = JetStream(nats=connect(port=server.port))
    store = ObjectStore(js=js, bucket=unique)
    for function, *args in every_operation(store):
        err = run.call(function, *args)[1]
        assert isinstance(err, (NoResponders, JetStreamError)), function
    watched = []
    store.watch(lambda meta, err: watched.append(err))
    run.until(lambda: watched)
    assert isinstance(watched[0], (NoResponders, JetStreamError))


def test_an_account_without_jetstream(run, start_server, connect, unique):
    server = start_server(
        config={
            'accounts': {
                'A': {'jetstream': True, 'users': [{'user': 'a', 'password': 'a'}]},
                'B': {'users': [{'user': 'b', 'password': 'b'}]},
            }
        }
    )
    js = JetStream(nats=connect(port=server.port, user='b', password='b'))
    store = ObjectStore(js=js, bucket=unique)
    for function, *args in every_operation(store):
        err = run.call(function, *args)[1]
        assert isinstance(err, JetStreamError), function
        assert err.err_code == 10039
    watched = []
    store.watch(lambda meta, err: watched.append(err))
    run.until(lambda: watched)
    assert isinstance(watched[0], JetStreamError)


DENIED = {
    'chunks': ('$O.*.C.>', {'put large', 'put small'}),
    'metas': ('$O.*.M.>', {'put large', 'put small', 'put empty', 'delete'}),
    'purge': ('$JS.API.STREAM.PURGE.>', {'delete'}),
    'direct get': ('$JS.API.DIRECT.GET.>', {'get', 'stream', 'info', 'put large'}),
    'leader get': ('$JS.API.STREAM.MSG.GET.>', {'delete'}),
    'consumers': ('$JS.API.CONSUMER.>', {'list'}),
    'info': ('$JS.API.STREAM.INFO.>', OPERATIONS.keys() - {'put if'}),
}


@pytest.mark.parametrize('denied', DENIED)
def test_permissions(run, start_server, connect, unique, told, denied):
    subject, refused = DENIED[denied]
    permissions = {'publish': {'deny': [subject]}}
    server = start_server(
        config={
            'authorization': {
                'users': [
                    {'user': 'all', 'password': 'x'},
                    {'user': 'some', 'password': 'x', 'permissions': permissions},
                ]
            }
        }
    )
    owner = JetStream(nats=connect(port=server.port, user='all', password='x'))
    store = ObjectStore(js=owner, bucket=unique, chunk_size=CHUNK)
    by_hand = ByHand(run, owner, unique)
    assert run.call(store.create_bucket, {})[1] is None
    assert run.call(store.put, 'a', OLD)[1] is None
    client = connect(port=server.port, user='some', password='x')
    errors = []
    client.on_error(errors.append)
    limited = ObjectStore(js=JetStream(nats=client), bucket=unique, chunk_size=CHUNK)
    run.call(limited.status)
    failed = {}
    for what, operation in OPERATIONS.items():
        callback, calls = told(what)
        operation(limited, callback)
        run.until(lambda calls=calls: calls)
        if what != 'put if' and calls[0][1] is not None:
            failed[what] = calls[0][1]
        data, err, _ = run.call(store.get, 'a')
        assert err is None
        if data is None:
            run.call(store.put, 'a', OLD)
    assert {type(err) for err in failed.values()} == {PermissionsError}
    assert failed.keys() == refused
    assert all(isinstance(err, PermissionsError) for err in errors)
    if denied != 'purge':
        by_hand.check_no_orphans()


# Callbacks that raise, in each place.


class Oops(Exception):
    """Of the user's own code."""


def oops(*args):
    raise Oops


RAISING = {
    'put': lambda store: store.put('b', LARGE, oops),
    'small put': lambda store: store.put('b', SMALL, oops),
    'put progress': lambda store: store.put('b', OLD, print_nothing, progress=oops),
    'get': lambda store: store.get('a', oops),
    'get progress': lambda store: store.get('a', print_nothing, progress=oops),
    'on_chunk': lambda store: store.get_stream('a', oops, print_nothing),
    'stream': lambda store: store.get_stream('a', print_nothing, oops),
    'delete': lambda store: store.delete('a', oops),
    'list': lambda store: store.list(oops),
    'info': lambda store: store.info('a', oops),
    'status': lambda store: store.status(oops),
    'missing': lambda store: store.get('none', oops),
    'cancelled': lambda store: store.put('b', LARGE, oops).cancel(),
    'watch': lambda store: store.watch(oops),
    'buckets': lambda store: ObjectStore.buckets(store._bucket.js, oops),
}


def print_nothing(*args):
    pass


@pytest.mark.parametrize('what', RAISING)
def test_a_callback_that_raises(run, make, server, told, expected_errors, what):
    store, by_hand = make(server)
    assert run.call(store.put, 'a', OLD)[1] is None
    raised = []
    store._bucket.nats.on_exception(raised.append)
    handle = RAISING[what](store)
    run.until(lambda: raised)
    assert {type(exc) for exc in raised} == {Oops}
    # All goes on.
    assert run.call(store.put, 'c', OLD)[1] is None
    assert run.call(store.get, 'c')[0] == OLD
    if what == 'watch':
        run.until(lambda: len(raised) == 3)
        handle.stop()
    by_hand.check_no_orphans()


class Raising:
    """A binary file whose *number*-th call raises."""

    def __init__(self, number):
        self._left = number

    def _count(self):
        self._left -= 1
        if not self._left:
            raise Oops('no more')

    def read(self, size):
        self._count()
        return b'x' * size

    def write(self, data):
        self._count()
        return len(data)


@pytest.mark.parametrize('number', [1, 2, 5])
@pytest.mark.parametrize('kind', ['file', 'iterable'])
def test_a_source_that_raises(run, make, server, told, number, kind):
    store, by_hand = make(server)
    assert run.call(store.put, 'a', OLD)[1] is None
    file = Raising(number)
    source = file if kind == 'file' else iter(lambda: file.read(CHUNK), None)
    _, err = run.call(store.put, 'a', source)
    assert isinstance(err, ObjectStoreError)
    assert isinstance(err.__cause__, Oops)
    assert run.call(store.get, 'a')[0] == OLD
    by_hand.check_no_orphans()


@pytest.mark.parametrize('number', [1, 2, 3])
def test_a_file_that_raises(run, make, server, told, number):
    store, _ = make(server)
    assert run.call(store.put, 'a', OLD)[1] is None
    data, err, _ = run.call(store.get, 'a', into=Raising(number))
    assert data is None
    assert isinstance(err, NatsError)
    assert isinstance(err.__cause__, Oops)
    assert run.call(store.get, 'a')[0] == OLD


def test_an_exit_in_a_callback_leaves_the_loop(run, make, server, told):
    """And when the loop is run again, all goes on where it was."""
    store, by_hand = make(server)
    callback, calls = told('put')

    def leave():
        raise KeyboardInterrupt

    store.put('a', LARGE, callback, progress=at(5, leave))
    with pytest.raises(KeyboardInterrupt):
        run.until(lambda: calls)
    run.until(lambda: calls)
    assert calls[0][1] is None
    assert run.call(store.get, 'a')[0] == LARGE
    by_hand.check_no_orphans()
