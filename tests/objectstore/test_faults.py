"""Servers that die, connections that break, networks that stall, accounts that may not."""

from __future__ import annotations

import os

import pytest

from natsev import (
    Cancelled,
    DisconnectedError,
    JetStream,
    JetStreamError,
    MaxPayloadError,
    NatsError,
    NoResponders,
    ObjectStore,
    PermissionsError,
    RequestTimeout,
)

DATA = os.urandom(40_000_000)
RECONNECT = {'reconnect': True, 'reconnect_delay': 20, 'max_reconnect_attempts': 0}


@pytest.fixture
def own_store(own_server, make_store):
    """A bucket on a server of the test's own, reached by a client that reconnects."""
    return make_store(own_server, client=RECONNECT)


@pytest.fixture
def crash(own_server):
    """Kills the server, as a crash does, and starts it again on the same store."""

    def crash():
        own_server.kill()
        own_server.start()

    return crash


@pytest.fixture
def far_store(server, proxy, connect, store):
    """The bucket of ``store``, reached through a proxy: ``far_store.proxy``."""
    between = proxy(server)
    nats = connect(port=between.port, **RECONNECT)
    far = ObjectStore(js=JetStream(nats=nats), bucket=store.bucket)
    far.proxy = between
    return far


def at(done, action):
    """A progress that does *action* once when *done* bytes are there."""
    pending = [action]

    def progress(so_far, total):
        if so_far >= done and pending:
            pending.pop()()

    return progress


# Servers that are killed, and start again on the same store.


@pytest.mark.parametrize('part', [0.0, 0.3, 0.9])
def test_server_killed_in_a_put(run, crash, own_store, inside_of, part):
    run.call(own_store.put, 'a', b'old')
    progress = at(part * len(DATA), crash)
    info, err = run.call(own_store.put, 'a', DATA, progress=progress)
    assert err is None
    inside_of(own_store).await_only(info)
    assert run.call(own_store.get, 'a')[:2] == (DATA, None)


@pytest.mark.parametrize('part', [0.0, 0.3, 0.9])
@pytest.mark.parametrize('batches', [True, False])
def test_server_killed_in_a_get(run, crash, own_store, tmp_path, part, batches):
    own_store._bucket.batches = batches
    run.call(own_store.put, 'a', DATA)
    path = tmp_path / 'out'
    progress = at(part * len(DATA), crash)
    count, err, _ = run.call(own_store.get, 'a', into=path, progress=progress)
    assert (count, err) == (len(DATA), None)
    assert path.read_bytes() == DATA
    assert os.listdir(tmp_path) == ['out']


def test_server_killed_under_small_objects(run, crash, own_store, inside_of):
    results = []
    for number in range(300):
        own_store.put(f'{number % 50}', f'{number}' * 100, lambda *result: results.append(result))
    run.until(lambda: len(results) > 20)
    crash()
    run.until(lambda: len(results) == 300)
    assert [err for _, err in results if err] == []
    metas, _ = run.call(own_store.list, details=True)
    assert len(metas) == 50
    inside_of(own_store).await_chunks({meta['nuid']: 1 for meta in metas})
    newest = {}
    for info, _ in results:
        newest[info['name']] = max(info['seq'], newest.get(info['name'], 0))
    assert {meta['name']: meta['seq'] for meta in metas} == newest


def test_a_memory_bucket_is_gone_after_a_restart(run, own_server, crash, make_store):
    store = make_store(own_server, {'storage': 'memory'}, client=RECONNECT)
    info, err = run.call(store.put, 'a', DATA, progress=at(1, crash))
    assert info is None
    assert isinstance(err, JetStreamError | NoResponders)


def test_without_reconnect_everything_ends(run, own_server, make_store, expected_errors):
    store = make_store(own_server)
    run.call(store.put, 'a', DATA)
    results = []

    def ended(*result):
        results.append(result[1])

    store.put('b', DATA, ended)
    store.get('a', ended)
    store.get_stream('a', len, ended)
    store.list(ended)
    store.info('a', ended)
    store.delete('a', ended)
    writer = store.put_stream('c', ended)
    writer.write(b'x')
    run.turns(3)
    own_server.kill()
    run.until(lambda: len(results) == 7)
    # The quickest may have been done before.
    lost = [err for err in results if err is not None]
    assert len(lost) >= 4
    assert all(isinstance(err, DisconnectedError) for err in lost)


# Connections that break.


@pytest.mark.parametrize('step', [3_000_000, 11_000_000])
def test_connection_cut_again_and_again_in_a_put(run, far_store, store, inside, step):
    cuts = []

    def progress(done, total):
        if done // step > len(cuts):
            cuts.append(done)
            far_store.proxy.cut()

    info, err = run.call(far_store.put, 'a', DATA, progress=progress)
    assert err is None
    assert cuts
    assert inside.chunks() == {info['nuid']: info['chunks']}
    assert run.call(store.get, 'a')[:2] == (DATA, None)


@pytest.mark.parametrize('batches', [True, False])
@pytest.mark.parametrize('step', [1_000_000, 7_654_321])
def test_connection_cut_again_and_again_in_a_get(run, far_store, store, step, batches):
    run.call(store.put, 'a', DATA)
    far_store._bucket.batches = batches
    far_store.proxy.cut_after(step)
    accepted = [far_store.proxy.accepted]

    def progress(done, total):
        if far_store.proxy.accepted > accepted[-1]:
            accepted.append(far_store.proxy.accepted)
            far_store.proxy.cut_after(step)

    got = []
    _meta, err = run.call(far_store.get_stream, 'a', got.append, progress=progress)
    assert err is None
    assert len(accepted) > 1
    assert b''.join(got) == DATA


def test_connection_cut_at_the_metadata(run, far_store, store, inside):
    """Nobody knows whether it was stored: it is found out."""
    for number in range(20):
        results = []
        far_store.put('a', f'{number}', lambda *result: results.append(result))  # noqa: B023
        run.turns(2 + number % 3)
        far_store.proxy.cut()
        run.until(lambda: results)  # noqa: B023
        info, err = results[0]
        assert err is None
        data, _, meta = run.call(store.get, 'a')
        assert (data, meta['seq']) == (f'{number}'.encode(), info['seq'])
    inside.await_only(meta)


def test_the_purge_of_what_was_replaced_survives_a_cut(run, far_store, store, inside):
    for number in range(10):
        results = []

        def stored(*result):
            far_store.proxy.cut()
            results.append(result)  # noqa: B023

        far_store.put('a', f'{number}' * 200_000, stored)
        run.until(lambda: results)  # noqa: B023
        assert results[0][1] is None
    inside.await_only(results[0][0])


@pytest.mark.parametrize('when', [0, 5_000_000])
def test_cancelled_while_away(run, far_store, inside, when):
    def leave():
        far_store.proxy.refusing = True
        far_store.proxy.cut()

    results = []
    transfer = far_store.put(
        'a', DATA, lambda *result: results.append(result), progress=at(when, leave)
    )
    run.until(lambda: transfer.bytes_done and not far_store._bucket.nats.is_connected())
    transfer.cancel()
    run.turns(5)
    assert not results
    far_store.proxy.refusing = False
    run.until(lambda: results)
    info, err = results[0]
    assert info is None
    assert isinstance(err, Cancelled)
    assert inside.chunks() == {}


def test_time_away_does_not_count(run, proxy, server, connect, store):
    between = proxy(server)
    nats = connect(port=between.port, **RECONNECT)
    far = ObjectStore(js=JetStream(nats=nats), bucket=store.bucket, timeout=300)

    def leave():
        between.refusing = True
        between.cut()

    results = []
    far.put('a', DATA, lambda *result: results.append(result), progress=at(5_000_000, leave))
    run.until(lambda: not nats.is_connected())
    timer = nats.port.timer(run.done)
    timer.start(1.0)
    run()
    assert not results
    between.refusing = False
    run.until(lambda: results)
    assert results[0][1] is None
    assert run.call(store.get, 'a')[0] == DATA


def test_a_put_that_begins_before_the_connection_stands(run, proxy, server, connect, store):
    between = proxy(server)
    between.refusing = True
    nats = connect(port=between.port, **RECONNECT)
    far = ObjectStore(js=JetStream(nats=nats), bucket=store.bucket)
    results = []
    far.put('a', b'x', lambda *result: results.append(result))
    far.get('a', lambda *result: results.append(result))
    far.list(lambda *result: results.append(result))
    run.turns(5)
    assert not results
    between.refusing = False
    run.until(lambda: len(results) == 3)
    assert all(result[1] is None for result in results)


# Networks that stall.


def test_a_stalled_put_ends_in_time_and_leaves_nothing(run, proxy, server, connect, store, inside):
    between = proxy(server)
    nats = connect(port=between.port, **RECONNECT)
    far = ObjectStore(js=JetStream(nats=nats), bucket=store.bucket, timeout=300)
    results = []
    far.put(
        'a', DATA, lambda *result: results.append(result), progress=at(5_000_000, between.stall)
    )
    run.until(lambda: results)
    info, err = results[0]
    assert info is None
    assert isinstance(err, RequestTimeout)
    between.flow()
    # What was on its way still arrives, and so does the purge behind it.
    inside.await_chunks({})


@pytest.mark.parametrize('batches', [True, False])
def test_a_stalled_get_ends_in_time(run, proxy, server, connect, store, tmp_path, batches):
    run.call(store.put, 'a', DATA)
    between = proxy(server)
    nats = connect(port=between.port, **RECONNECT)
    far = ObjectStore(js=JetStream(nats=nats), bucket=store.bucket, timeout=300)
    far._bucket.batches = batches
    progress = at(5_000_000, between.stall)
    data, err, _ = run.call(far.get, 'a', into=tmp_path / 'out', progress=progress)
    assert data is None
    assert isinstance(err, RequestTimeout)
    assert os.listdir(tmp_path) == []
    between.flow()


def test_a_short_stall_changes_nothing(run, far_store, store):
    between = far_store.proxy

    def stall():
        between.stall()
        timer = far_store._bucket.nats.port.timer(between.flow)
        timer.start(0.3)
        timers.append(timer)

    timers = []
    assert run.call(far_store.put, 'a', DATA, progress=at(5_000_000, stall))[1] is None
    assert run.call(far_store.get, 'a', progress=at(5_000_000, stall))[0] == DATA


# Accounts.


def test_jetstream_off(run, start_server, connect):
    server = start_server(jetstream=False)
    store = ObjectStore(js=JetStream(nats=connect(port=server.port)), bucket='b')
    for function, *args in (
        (store.create_bucket, {}),
        (store.put, 'a', b'x'),
        (store.get, 'a'),
        (store.info, 'a'),
        (store.delete, 'a'),
        (store.list,),
        (store.status,),
    ):
        result, err, *_ = run.call(function, *args)
        assert result is None
        assert isinstance(err, NoResponders | JetStreamError)


ACCOUNTS = """
accounts {
  plain: { users: [{user: plain, password: p}] }
  full: {
    jetstream: enabled
    users: [
      {user: full, password: p}
      {user: reader, password: p, permissions: {publish: {deny: ["$O.>", "*.*.STREAM.PURGE.>"]}}}
    ]
  }
}
"""


@pytest.fixture
def accounts(start_server):
    return start_server(config=ACCOUNTS)


def test_an_account_without_jetstream(run, accounts, connect):
    nats = connect(port=accounts.port, user='plain', password='p')
    store = ObjectStore(js=JetStream(nats=nats), bucket='b')
    for function, *args in ((store.create_bucket, {}), (store.put, 'a', b'x'), (store.list,)):
        result, err = run.call(function, *args)
        assert result is None
        assert isinstance(err, JetStreamError)


@pytest.mark.parametrize('data', [b'x', DATA])
def test_without_permission_to_write(run, accounts, connect, data):
    full = JetStream(nats=connect(port=accounts.port, user='full', password='p'))
    store = ObjectStore(js=full, bucket='b')
    run.call(store.create_bucket, {})
    run.call(store.put, 'kept', b'x')
    nats = connect(port=accounts.port, user='reader', password='p')
    reader = ObjectStore(js=JetStream(nats=nats), bucket='b', timeout=300)
    assert run.call(reader.get, 'kept')[0] == b'x'
    info, err = run.call(reader.put, 'a', data)
    assert info is None
    assert isinstance(err, PermissionsError)
    ok, err = run.call(reader.delete, 'kept')
    assert ok is None
    assert isinstance(err, PermissionsError)
    assert run.call(store.get, 'kept')[0] == b'x'


# Callbacks that raise, everywhere.


def test_callbacks_that_raise(run, store, expected_errors):
    calls = []

    def raising(*_):
        calls.append(1)
        raise RuntimeError('mine')

    def count():
        return len(calls)

    store.put('a', DATA[:300_000], raising, progress=raising)
    run.until(lambda: count() == 4)
    store.get('a', raising, progress=raising)
    run.until(lambda: count() == 8)
    store.get_stream('a', raising, raising)
    run.until(lambda: count() == 12)
    for function, *args in ((store.info, 'a'), (store.list,), (store.status,), (store.delete, 'a')):
        before = count()
        function(*args, raising)
        run.until(lambda: count() == before + 1)  # noqa: B023
    writer = store.put_stream('b', raising)
    writer.write(b'x')
    writer.end()
    run.until(lambda: count() == 17)
    assert run.call(store.get, 'b')[0] == b'x'


# The end of what the connection left open.


def test_cancelled_while_away_though_the_metadata_may_be_stored(run, far_store, store, inside):
    """It is too late: the object is whole, whatever the callback says, or not there."""
    old, _ = run.call(store.put, 'a', b'old')
    far_store.proxy.cut_after(1)  # with the first byte of an answer: all was stored by then
    results = []
    transfer = far_store.put('a', b'new', lambda *result: results.append(result))
    run.until(lambda: not far_store._bucket.nats.is_connected())
    transfer.cancel()
    run.until(lambda: results)
    info, err = results[0]
    kept = info if err is None else old
    assert run.call(store.get, 'a')[:2] == (b'new' if err is None else b'old', None)
    inside.await_chunks({kept['nuid']: 1})


def test_a_question_that_waits_ends_with_its_client(run, start_server, connect):
    server = start_server(jetstream=False)
    nats = connect(port=server.port)
    store = ObjectStore(js=JetStream(nats=nats), bucket='b')
    results = []
    store.status(lambda *result: results.append(result))
    timer = nats.port.timer(nats.disconnect)
    timer.start(0.1)  # in the pause before it is asked again
    run.until(lambda: results)
    timer.close()
    assert isinstance(results[0][1], NatsError)


def test_a_server_that_takes_less_than_the_one_before(run, start_server, make_store):
    """The put that is too large for it ends; the other goes on."""
    server = start_server(config={'max_payload': 1_048_576})
    store = make_store(server, timeout=5000, client=RECONNECT)
    results = {}
    large = store.put_stream('large', lambda *r: results.update(large=r), chunk_size=500_000)
    small = store.put_stream('small', lambda *r: results.update(small=r), chunk_size=1000)
    large.write(b'a' * 1_200_000)
    small.write(b'b' * 3500)
    server.kill()
    server.config = {'max_payload': 100_000}
    server.start()
    small.end()
    large.end()
    run.until(lambda: len(results) == 2)
    assert isinstance(results['large'][1], MaxPayloadError)
    assert results['small'][1] is None
    assert run.call(store.get, 'small')[:2] == (b'b' * 3500, None)
