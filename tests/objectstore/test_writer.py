"""Objects that are written piece by piece."""

from __future__ import annotations

import os

import pytest

from natsev import Cancelled, ObjectStore

BIG = os.urandom(10_000_000)


def test_pieces(run, store, inside):
    writer = store.put_stream('a', lambda *result: run.done(result), description='d')
    for start in range(0, 500_000, 7777):
        assert writer.write(BIG[start : min(start + 7777, 500_000)])
    writer.end()
    writer.end()
    info, err = run()
    assert err is None
    assert (info['size'], info['chunks'], info['description']) == (500_000, 4, 'd')
    assert inside.chunks() == {info['nuid']: 4}
    assert run.call(store.get, 'a')[0] == BIG[:500_000]


@pytest.mark.parametrize('pieces', [[], [b''], ['ä', bytearray(b'b'), memoryview(b'c')]])
def test_little(run, store, pieces):
    writer = store.put_stream('a', lambda *result: run.done(result))
    for piece in pieces:
        writer.write(piece)
    writer.end()
    _info, err = run()
    assert err is None
    data = b''.join(p.encode() if isinstance(p, str) else bytes(p) for p in pieces)
    assert run.call(store.get, 'a')[0] == data


def test_what_is_written_later(run, store):
    writer = store.put_stream('a', lambda *result: run.done(result))
    run.call(store.info, 'b')
    writer.write(b'x' * 100)
    run.call(store.info, 'b')
    writer.write(BIG[:300_000])
    run.call(store.info, 'b')
    assert writer.transfer.bytes_done >= 131072
    writer.end()
    assert run()[1] is None
    assert run.call(store.get, 'a')[0] == b'x' * 100 + BIG[:300_000]


def test_exactly_one_chunk(run, store):
    writer = store.put_stream('a', lambda *result: run.done(result), chunk_size=100)
    writer.write(b'x' * 100)
    run.call(store.info, 'b')
    writer.end()
    info, _ = run()
    assert (info['size'], info['chunks']) == (100, 1)


def test_too_fast(run, store):
    """The writer says when to wait, and when it can go on; memory stays bounded."""
    drained = []
    writer = store.put_stream('a', lambda *result: run.done(result), on_drain=lambda: feed())
    sent = 0

    def feed():
        nonlocal sent
        drained.append(writer.source.waiting)
        while sent < len(BIG) * 3:
            piece = BIG[sent % len(BIG) :][:100_000]
            sent += len(piece)
            if not writer.write(piece):
                return
        writer.end()

    feed()
    assert sent < 5_000_000
    info, err = run()
    assert err is None
    assert info['size'] == 30_000_000
    assert len(drained) > 5
    assert max(drained) < 2_000_000
    assert run.call(store.get, 'a')[0] == BIG * 3


def test_on_drain_set_later(run, store):
    writer = store.put_stream('a', lambda *result: run.done(result))
    writer.on_drain = writer.end
    assert not writer.write(BIG)
    assert run()[1] is None
    assert run.call(store.get, 'a')[0] == BIG


def test_abort(run, store, inside):
    run.call(store.put, 'a', b'old')
    for part in (0, 100, 3_000_000):
        writer = store.put_stream('a', lambda *result: run.done(result))
        writer.write(BIG[:part])
        if part:
            run.call(store.info, 'b')
        writer.abort()
        info, err = run()
        assert info is None
        assert isinstance(err, Cancelled)
        with pytest.raises(ValueError, match='has ended'):
            writer.write(b'x')
    assert list(inside.chunks().values()) == [1]
    assert run.call(store.get, 'a')[0] == b'old'


def test_a_slow_writer_is_not_late(run, store):
    store = ObjectStore(js=store._bucket.js, bucket=store.bucket, timeout=100)
    writer = store.put_stream('a', lambda *result: run.done(result))
    writer.write(BIG[:200_000])
    timer = store._bucket.nats.port.timer(writer.end)
    timer.start(0.4)
    info, err = run()
    assert err is None
    assert info['size'] == 200_000


def test_writing_after_a_failure(run, store):
    writer = store.put_stream('a', lambda *result: run.done(result), expected_seq=99)
    writer.write(b'x' * 10)
    writer.end()
    info, err = run()
    assert info is None
    assert err.err_code == 10071


def test_writing_to_what_has_failed(run, js, unique):
    results = []
    writer = ObjectStore(js=js, bucket=unique).put_stream(
        'a', lambda *result: results.append(result)
    )
    writer.write(b'x')
    run.until(lambda: results)
    assert not writer.write(b'y')
    writer.end()


@pytest.mark.parametrize('data', [None, 7, ['x']])
def test_wrong_types(run, store, data):
    writer = store.put_stream('a', print)
    with pytest.raises(TypeError, match='data must be'):
        writer.write(data)
    writer.abort()
    run.turns(3)


def test_wrong_options(store):
    with pytest.raises(TypeError):
        store.put_stream('a', print, colour='red')
    with pytest.raises(ValueError, match='object name'):
        store.put_stream('', print)
