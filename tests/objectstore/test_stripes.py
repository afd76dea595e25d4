"""Large objects that are read from several servers, or mirrors, at once."""

from __future__ import annotations

import os

import pytest

from natsev import JetStream, ObjectStore

DATA = os.urandom(1_000_000) * 40


@pytest.fixture
def another(connect, server, store):
    """``another(**client options)``: one more handle of the bucket, by a connection of its own."""

    def another(**client):
        nats = connect(**{'port': server.port, **client})
        return ObjectStore(js=JetStream(nats=nats), bucket=store.bucket)

    return another


def came(store):
    return store._bucket.nats.stats()['bytes_in']


def get(run, store, stripes, **options):
    transfer = store.get('a', lambda *result: run.done(result), stripes=stripes, **options)
    return transfer, run()


def test_all_connections_are_used(run, store, another, tmp_path):
    run.call(store.put, 'a', DATA)
    others = [another(), another()]
    run.until(lambda: all(one._bucket.nats.is_connected() for one in others))
    transfer, (data, err, _) = get(run, store, others)
    assert err is None
    assert data == DATA
    assert transfer.strategy == 'striped direct get'
    assert all(came(one) > 8_000_000 for one in others)
    _, (size, err, _) = get(run, store, others, into=tmp_path / 'a', offset=5, length=30_000_000)
    assert (size, err) == (30_000_000, None)
    assert (tmp_path / 'a').read_bytes() == DATA[5:30_000_005]
    chunks = []
    assert run.call(store.get_stream, 'a', chunks.append, stripes=others)[1] is None
    assert b''.join(chunks) == DATA


def test_a_mirror(run, js, store, unique):
    mirror = ObjectStore(js=js, bucket=unique + 'm')
    run.call(store.put, 'a', DATA)
    run.call(mirror.create_bucket, {'mirror': store.bucket})
    while run.call(mirror.list)[0] != ['a']:
        pass
    for one, other in ((store, mirror), (mirror, store)):
        for _ in range(5):
            assert get(run, one, [other])[1][:2] == (DATA, None)
    run.call(mirror.delete_bucket)


def test_what_does_not_have_the_chunks_is_left_out(run, js, store, unique, another):
    run.call(store.put, 'a', DATA)
    empty = ObjectStore(js=js, bucket=unique + 'e')
    run.call(empty.create_bucket, {})
    missing = ObjectStore(js=js, bucket=unique + 'missing')
    closed = another()
    closed._bucket.nats.disconnect()
    for others in ([empty], [missing], [closed], [empty, missing, closed, another()]):
        assert get(run, store, others)[1][:2] == (DATA, None)
    run.call(empty.delete_bucket)


@pytest.mark.parametrize('size', [1_000_000, 9_000_000])
def test_a_connection_that_is_lost_is_left_out(run, store, server, proxy, another, size):
    run.call(store.put, 'a', DATA)
    between = proxy(server)
    other = another(port=between.port, reconnect=True, reconnect_delay=10)
    run.until(other._bucket.nats.is_connected)
    between.cut_after(size)
    assert get(run, store, [other])[1][:2] == (DATA, None)
    assert between.accepted > 1


def test_the_first_connection_is_lost(run, store, server, proxy, another):
    run.call(store.put, 'a', DATA)
    between = proxy(server)
    first = another(port=between.port, reconnect=True, reconnect_delay=10)
    other = another()
    run.until(lambda: all(one._bucket.nats.is_connected() for one in (first, other)))
    for size in (1000, 5_000_000, 15_000_000):
        between.cut_after(size)
        assert get(run, first, [other])[1][:2] == (DATA, None)


def test_a_connection_that_is_silent_is_left_out(run, store, server, proxy, another):
    run.call(store.put, 'a', DATA)
    between = proxy(server)
    other = another(port=between.port, reconnect=True)
    run.until(other._bucket.nats.is_connected)
    hasty = ObjectStore(js=store._bucket.js, bucket=store.bucket, timeout=500)
    between.stall()
    transfer, result = get(run, hasty, [other])
    between.flow()
    assert result[:2] == (DATA, None)
    assert transfer.strategy == 'batched direct get'


def test_no_more_than_32_mib_are_on_their_way(run, store, another):
    run.call(store.put, 'a', DATA)
    others = [another() for _ in range(5)]
    run.until(lambda: all(one._bucket.nats.is_connected() for one in others))
    got, results = [], []

    def on_chunk(chunk):
        got.append(chunk)
        if len(got) == 30:
            transfer.pause()

    transfer = store.get_stream(
        'a', on_chunk, lambda *result: results.append(result), stripes=others
    )
    run.until(lambda: len(got) == 30)
    seen = [-1, 0]
    while seen[-1] != seen[-2]:
        for one in (store, *others):
            run.call(one._bucket.nats.flush)
        seen.append(sum(map(came, (store, *others))))
    assert seen[-1] - sum(map(len, got)) < 32 << 20
    transfer.resume()
    run.until(lambda: results)
    assert results[0][1] is None
    assert b''.join(got) == DATA


def test_small_and_linked_objects(run, store, another, js, unique):
    elsewhere = ObjectStore(js=js, bucket=unique + 'l')
    run.call(elsewhere.create_bucket, {})
    run.call(elsewhere.put, 'far', DATA)
    run.call(store.put, 'small', b'x')
    run.call(store.link, 'link', 'far', bucket=elsewhere.bucket)
    others = [another()]
    assert run.call(store.get, 'small', stripes=others)[0] == b'x'
    assert run.call(store.get, 'link', stripes=others)[:2] == (DATA, None)
    run.call(elsewhere.delete_bucket)


def test_wrong_types(store):
    with pytest.raises(TypeError, match='stripes must be ObjectStores'):
        store.get('a', print, stripes=['files'])
