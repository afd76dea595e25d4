"""Storing objects."""

from __future__ import annotations

import hashlib
import io
import json
import os
from base64 import urlsafe_b64encode
from datetime import datetime, timedelta, timezone

import pytest

from natsev import (
    BucketNotFoundError,
    Cancelled,
    DisconnectedError,
    JetStream,
    MaxPayloadError,
    ObjectStore,
    ObjectStoreError,
    SealedError,
    StorageFullError,
    WrongSequenceError,
)
from natsev.objectstore.bucket import Known
from natsev.objectstore.storing import chunks

BIG = os.urandom(1_000_000)


def digest(data):
    return 'SHA-256=' + urlsafe_b64encode(hashlib.sha256(data).digest()).decode()


@pytest.mark.parametrize('size', [0, 1, 5, 131071, 131072, 131073, 262144, 1_000_000])
def test_sizes(run, store, inside, size):
    data = BIG[:size]
    info, err = run.call(store.put, 'a', data)
    assert err is None
    count = -(-size // 131072)
    assert (info['size'], info['chunks'], info['digest']) == (size, count, digest(data))
    assert info['seq'] == inside.message('a')['seq']
    assert inside.chunks() == ({info['nuid']: count} if count else {})
    assert run.call(store.get, 'a')[:2] == (data, None)


def test_what_is_written(run, store, inside):
    info, err = run.call(
        store.put,
        'f.txt',
        b'hello',
        description='what',
        headers={'A': 'b', 'C': ['d', 'e']},
        metadata={'k': 'v'},
        chunk_size=1000,
    )
    assert err is None
    message = inside.message('f.txt')
    body = json.loads(message['payload'])
    assert list(body) == [
        *('name', 'description', 'headers', 'metadata', 'options'),
        *('bucket', 'nuid', 'size', 'mtime', 'chunks', 'digest'),
    ]
    assert body['headers'] == {'A': ['b'], 'C': ['d', 'e']}
    assert body['mtime'] == '0001-01-01T00:00:00Z'
    assert body['options'] == {'max_chunk_size': 1000}
    assert message['headers']['Nats-Rollup'] == 'sub'
    assert info['metadata'] == {'k': 'v'}
    assert info['deleted'] is False
    assert abs(info['mtime'] - datetime.now(timezone.utc)) < timedelta(minutes=1)


@pytest.mark.parametrize('size', [0, 10, 1000])
@pytest.mark.parametrize(
    'make',
    [
        lambda data, path: bytearray(data),
        lambda data, path: memoryview(data),
        lambda data, path: path,
        lambda data, path: path.open('rb'),
        lambda data, path: io.BytesIO(data),
        lambda data, path: (data[i : i + 7] for i in range(0, len(data), 7)),
    ],
)
def test_sources(run, store, inside, tmp_path, make, size):
    data = BIG[:size]
    path = tmp_path / 'data'
    path.write_bytes(data)
    source = make(data, path)
    info, err = run.call(store.put, 'a', source, chunk_size=100)
    assert err is None
    assert (info['size'], info['chunks']) == (size, size // 100 + (size % 100 > 0))
    assert run.call(store.get, 'a')[0] == data
    if hasattr(source, 'close'):
        source.close()


def test_text_is_utf8(run, store):
    assert run.call(store.put, 'ä', 'äöü')[0]['size'] == 6
    assert run.call(store.get, 'ä')[0] == 'äöü'.encode()


NAMES = ['a', ' ', 'a/b', 'a.b', '*', '>', 'a b\nc', '\0', '名前', 'x' * 2900, '%', '.', 'YQ==']


def test_names(run, store):
    for name in NAMES:
        assert run.call(store.put, name, name)[1] is None
    assert run.call(store.list) == (sorted(NAMES), None)
    for name in NAMES:
        assert run.call(store.get, name)[0] == name.encode()


def test_overwriting_leaves_one_meta_and_the_new_chunks(run, store, inside):
    for size in (500_000, 10, 0, 300_000, 1, 700_000):
        info, err = run.call(store.put, 'a', BIG[:size])
        assert err is None
        inside.await_only(info)
        assert run.call(store.get, 'a')[0] == BIG[:size]
    assert list(inside.metas().values()) == [1]


def test_overwriting_what_this_client_never_saw(run, store, inside, connect):
    run.call(store.put, 'a', b'old')
    other = ObjectStore(js=type(inside.js)(nats=connect()), bucket=store.bucket)
    info, err = run.call(other.put, 'a', b'new')
    assert err is None
    inside.await_only(info)
    # What the first one knows of it is wrong by now.
    info, err = run.call(store.put, 'a', b'newer')
    assert err is None
    inside.await_only(info)


def test_chunk_size(run, store, inside):
    info, _ = run.call(store.put, 'a', BIG, chunk_size=300_000)
    assert inside.chunks() == {info['nuid']: 4}
    small = ObjectStore(js=inside.js, bucket=store.bucket, chunk_size=400_000)
    info, _ = run.call(small.put, 'b', BIG)
    assert inside.chunks()[info['nuid']] == 3


def test_chunk_size_is_clamped_to_what_the_server_takes(run, store, inside):
    info, err = run.call(store.put, 'a', os.urandom(3_000_000), chunk_size=50_000_000)
    assert err is None
    assert info['options']['max_chunk_size'] == 1024 * 1024 - 1024
    assert info['chunks'] == 3


def test_chunk_size_is_clamped_to_what_the_stream_takes(run, store, inside):
    _, err = run.call(
        inside.js.stream_update,
        {**run.call(store.status)[0]['stream']['config'], 'max_msg_size': 10_000},
    )
    assert err is None
    run.call(store.status)
    info, err = run.call(store.put, 'a', BIG[:100_000])
    assert err is None
    assert info['options']['max_chunk_size'] < 10_000
    assert run.call(store.get, 'a')[0] == BIG[:100_000]


def test_acknowledgements_are_counted_without_a_call_for_each(run, store, monkeypatch):
    called = []

    def counting(kind, name):
        method = getattr(kind, name)

        def counted(self, *args):
            called.append(name)
            return method(self, *args)

        monkeypatch.setattr(kind, name, counted)

    counting(chunks._Sent, 'end')
    counting(chunks.Chunks, '_acknowledged')
    data = os.urandom(4_000_000)
    info, err = run.call(store.put, 'a', data, chunk_size=20_000)
    assert err is None
    assert info['chunks'] == 200
    assert 'end' not in called
    assert 2 <= len(called) <= 50
    assert run.call(store.get, 'a')[:2] == (data, None)


def test_progress(run, store):
    steps = []

    def stored(info, err):
        assert err is None
        run.done(info)

    transfer = store.put('a', BIG, stored, progress=lambda *step: steps.append(step))
    run()
    assert [total for _, total in steps] == [len(BIG)] * 8
    assert [done for done, _ in steps] == [*range(131072, len(BIG), 131072), len(BIG)]
    assert (transfer.bytes_done, transfer.bytes_total) == (len(BIG), len(BIG))


def test_progress_of_an_unknown_size(run, store):
    steps = []
    run.call(store.put, 'a', [b'x' * 10, b'y'], progress=lambda *step: steps.append(step))
    assert steps == [(11, None)]


def test_a_progress_that_raises_changes_nothing(run, store, expected_errors):
    def progress(done, total):
        raise RuntimeError('mine')

    info, err = run.call(store.put, 'a', BIG, progress=progress)
    assert err is None
    assert len(expected_errors) == info['chunks']


def test_a_callback_that_raises(run, store, expected_errors):
    def stored(info, err):
        raise RuntimeError('mine')

    store.put('a', b'x', stored)
    run.until(lambda: expected_errors)
    assert run.call(store.get, 'a')[0] == b'x'


def test_pause_and_resume(run, store):
    transfer = store.put('a', BIG, run.done, chunk_size=1000)
    transfer.pause()
    run.call(store.info, 'b')
    assert transfer.bytes_done == 0
    transfer.resume()
    transfer.resume()
    run()
    assert transfer.bytes_done == len(BIG)


def test_pause_in_the_midst(run, store):
    def progress(done, total):
        if done == 300_000:
            transfer.pause()
            store._bucket.nats.call_soon(transfer.resume)

    transfer = store.put(
        'a', BIG, lambda info, err: run.done(err), chunk_size=1000, progress=progress
    )
    assert run() is None
    assert run.call(store.get, 'a')[0] == BIG


# Conditions.


def test_if_absent(run, store, inside):
    first, err = run.call(store.put, 'a', b'one', if_absent=True)
    assert err is None
    for data in (b'two', BIG):
        info, err = run.call(store.put, 'a', data, if_absent=True)
        assert info is None
        assert isinstance(err, WrongSequenceError)
    assert inside.chunks() == {first['nuid']: 1}
    assert run.call(store.get, 'a')[0] == b'one'


@pytest.mark.parametrize('data', [b'again', BIG])
def test_if_absent_after_a_delete(run, store, data):
    run.call(store.put, 'a', b'one')
    run.call(store.delete, 'a')
    _info, err = run.call(store.put, 'a', data, if_absent=True)
    assert err is None
    assert run.call(store.get, 'a')[0] == data


def test_if_absent_after_a_delete_by_another(run, store, inside, connect):
    other = ObjectStore(js=type(inside.js)(nats=connect()), bucket=store.bucket)
    run.call(other.put, 'a', b'one')
    run.call(other.delete, 'a')
    assert run.call(store.put, 'a', b'two', if_absent=True)[1] is None


@pytest.mark.parametrize('data', [b'', b'two', BIG])
def test_expected_seq(run, store, inside, data):
    first, _ = run.call(store.put, 'a', b'one')
    second, err = run.call(store.put, 'a', data, expected_seq=first['seq'])
    assert err is None
    inside.await_only(second)
    info, err = run.call(store.put, 'a', data, expected_seq=first['seq'])
    assert info is None
    assert isinstance(err, WrongSequenceError)
    inside.await_only(second)
    assert run.call(store.get, 'a')[0] == data


def test_expected_seq_of_a_name_never_seen(run, store, inside, connect):
    first, _ = run.call(store.put, 'a', b'one')
    other = ObjectStore(js=type(inside.js)(nats=connect()), bucket=store.bucket)
    info, err = run.call(other.put, 'a', b'two', expected_seq=first['seq'])
    assert err is None
    inside.await_only(info)
    assert isinstance(run.call(other.put, 'b', b'x', expected_seq=5)[1], WrongSequenceError)
    assert run.call(other.put, 'b', b'x', expected_seq=0)[1] is None


def test_writers_that_race_leak_nothing(run, js, store, inside, connect):
    stores = [
        ObjectStore(js=type(js)(nats=connect()), bucket=store.bucket, chunk_size=size)
        for size in (1000, 100, 5000)
    ]
    results = []
    for round_ in range(20):
        for number, one in enumerate(stores):
            one.put('a', f'{round_}-{number}' * 100, lambda *result: results.append(result))
    run.until(lambda: len(results) == 60)
    assert [err for _, err in results if err is not None] == []
    _data, err, meta = run.call(store.get, 'a')
    assert err is None
    inside.await_only(meta)
    assert meta['seq'] == max(info['seq'] for info, _ in results)


def test_one_winner_among_many(run, store, inside):
    results = []
    for number in range(30):
        data = b'x' * (number % 3) * 70_000
        store.put('a', data, lambda *result: results.append(result), if_absent=True)
    run.until(lambda: len(results) == 30)
    winners = [info for info, err in results if err is None]
    assert len(winners) == 1
    assert all(isinstance(err, WrongSequenceError) for _, err in results if err is not None)
    inside.await_only(winners[0])


# Failures.


def test_full_bucket(run, start_server, make_store, inside_of, server):
    store = make_store(server, {'max_bytes': 1_500_000})
    inside = inside_of(store)
    kept, err = run.call(store.put, 'kept', BIG[:500_000])
    assert err is None
    for data in (BIG + BIG, iter([BIG, BIG])):
        info, err = run.call(store.put, 'a', data)
        assert info is None
        assert isinstance(err, StorageFullError)
        assert inside.chunks() == {kept['nuid']: kept['chunks']}
    # An overwrite needs room for both; the old one stays.
    info, err = run.call(store.put, 'kept', BIG + BIG)
    assert isinstance(err, StorageFullError)
    assert run.call(store.get, 'kept')[0] == BIG[:500_000]
    assert run.call(store.list) == (['kept'], None)


def test_a_small_object_in_a_full_bucket_destroys_nothing(run, make_store, inside_of, server):
    store = make_store(server, {'max_bytes': 20_000})
    inside = inside_of(store)
    kept, _ = run.call(store.put, 'a', b'x' * 15_000)
    _info, err = run.call(store.put, 'a', b'y' * 15_000)
    assert isinstance(err, StorageFullError)
    assert run.call(store.get, 'a')[0] == b'x' * 15_000
    assert inside.chunks() == {kept['nuid']: 1}


@pytest.mark.parametrize('when', [0, 1, 3])
def test_a_source_that_fails(run, store, inside, when):
    def generate():
        for number in range(5):
            if number == when:
                raise OSError('disk on fire')
            yield b'x' * 200_000

    info, err = run.call(store.put, 'a', generate())
    assert info is None
    assert isinstance(err, ObjectStoreError)
    assert str(err) == 'cannot read the source: disk on fire'
    assert isinstance(err.__cause__, OSError)
    assert (err.bucket, err.name) == (store.bucket, 'a')
    assert inside.chunks() == {}
    assert inside.metas() == {}


@pytest.mark.parametrize('source', [[b'x', 'text'], io.BufferedReader(io.BytesIO(b'x' * 9))])
def test_other_bad_sources(run, store, inside, source):
    if not isinstance(source, list):
        source.close()
    info, err = run.call(store.put, 'a', source)
    assert info is None
    assert isinstance(err, ObjectStoreError)
    assert inside.chunks() == {}


def test_a_path_that_is_not_there(run, store, tmp_path):
    info, err = run.call(store.put, 'a', tmp_path / 'no')
    assert info is None
    assert isinstance(err.__cause__, FileNotFoundError)
    info, err = run.call(store.put, 'a', tmp_path)
    assert isinstance(err.__cause__, IsADirectoryError)


def test_no_such_bucket(run, js, unique):
    store = ObjectStore(js=js, bucket=unique)
    for data in (b'x', BIG):
        info, err = run.call(store.put, 'a', data)
        assert info is None
        assert isinstance(err, BucketNotFoundError)
        assert str(err) == f"bucket '{unique}' not found (404/10059)"


def test_a_bucket_deleted_meanwhile(run, js, unique):
    store = ObjectStore(js=js, bucket=unique)
    run.call(store.create_bucket, {})
    assert run.call(store.put, 'a', b'x')[1] is None
    run.call(js.stream_delete, f'OBJ_{unique}')
    for data in (b'x', BIG):
        assert isinstance(run.call(store.put, 'a', data)[1], BucketNotFoundError)
    run.call(store.create_bucket, {})
    assert run.call(store.put, 'a', b'x')[1] is None


def test_sealed(run, js, unique):
    store = ObjectStore(js=js, bucket=unique)
    run.call(store.create_bucket, {})
    run.call(store.put, 'a', b'x')
    status, err = run.call(store.seal)
    assert err is None
    assert status['sealed'] == 1
    assert isinstance(run.call(store.put, 'b', b'x')[1], SealedError)
    again = ObjectStore(js=js, bucket=unique)
    assert isinstance(run.call(again.put, 'b', BIG)[1], SealedError)
    assert isinstance(run.call(again.delete, 'a')[1], SealedError)
    assert run.call(again.get, 'a')[0] == b'x'


@pytest.mark.parametrize('data', [b'x', BIG * 20], ids=['small', 'large'])
def test_cancel_at_once(run, store, inside, data):
    transfer = store.put('a', data, lambda *result: run.done(result))
    transfer.cancel()
    transfer.cancel()
    info, err = run()
    assert info is None
    assert isinstance(err, Cancelled)
    assert str(err) == 'cancelled'
    transfer.cancel()
    assert inside.chunks() == {}
    assert inside.metas() == {}


@pytest.mark.parametrize('after', [1, 5, 100, 152])
def test_cancel_in_the_midst(run, store, inside, after):
    run.call(store.put, 'a', b'old')
    data = BIG * 20
    steps = []

    def progress(done, total):
        steps.append(done)
        if len(steps) == after:
            transfer.cancel()

    transfer = store.put('a', data, lambda *result: run.done(result), progress=progress)
    info, err = run()
    assert info is None
    assert isinstance(err, Cancelled)
    assert list(inside.chunks().values()) == [1]
    assert run.call(store.get, 'a')[0] == b'old'


def test_cancel_when_it_is_too_late_tells_the_truth(run, store):
    transfer = store.put('a', b'x', lambda *result: run.done(result))
    store._bucket.nats.call_soon(store._bucket.nats.call_soon, transfer.cancel)
    _info, err = run()
    stored = run.call(store.get, 'a')[0] == b'x'
    assert (err is None) == stored


def test_disconnect(run, connect, js, store):
    nats = connect()
    other = ObjectStore(js=type(js)(nats=nats), bucket=store.bucket)
    results = []
    other.put('a', BIG * 20, lambda *result: results.append(result))
    run.call(store.info, 'x')
    nats.disconnect()
    run.until(lambda: results)
    info, err = results[0]
    assert info is None
    assert isinstance(err, DisconnectedError)
    results.clear()
    other.put('a', b'x', lambda *result: results.append(result))
    run.until(lambda: results)
    assert isinstance(results[0][1], DisconnectedError)


@pytest.mark.parametrize(
    'arguments, options',
    [
        (('', b'x'), {}),
        (('x' * 3000, b'x'), {}),
        (('a', b'x'), {'chunk_size': -1}),
        (('a', b'x'), {'expected_seq': -1}),
        (('a', b'x'), {'expected_seq': 1, 'if_absent': True}),
        (('a', b'x'), {'metadata': {'a': '\ud800'}}),
    ],
)
def test_wrong_values(store, arguments, options):
    with pytest.raises(ValueError):  # noqa: PT011 (each has a text of its own)
        store.put(*arguments, print, **options)


@pytest.mark.parametrize(
    'arguments, options',
    [
        ((1, b'x'), {}),
        (('a', None), {}),
        (('a', 1), {}),
        (('a', io.StringIO('x')), {}),
        (('a', b'x'), {'description': 1}),
        (('a', b'x'), {'headers': {'a': 1}}),
        (('a', b'x'), {'metadata': {'a': 1}}),
        (('a', b'x'), {'chunk_size': 1.5}),
        (('a', b'x'), {'chunk_size': '1'}),
        (('a', b'x'), {'expected_seq': '1'}),
        (('a', b'x'), {'progress': lambda a, b, c: None}),
        (('a', b'x'), {'progress': 1}),
        (('a', b'x'), {'colour': 'red'}),
    ],
)
def test_wrong_types(store, arguments, options):
    with pytest.raises(TypeError):
        store.put(*arguments, print, **options)


def test_callbacks_that_cannot_be_called(store):
    for callback in (7, lambda a, b, c: None):
        with pytest.raises(TypeError):
            store.put('a', b'x', callback)


def test_metadata_larger_than_the_server_takes(run, store, inside):
    with pytest.raises(MaxPayloadError):
        store.put('a', b'x', print, description='x' * 2_000_000)
    assert inside.metas() == {}


def test_callbacks_with_fewer_arguments(run, store):
    store.put('a', b'x', lambda: run.done(1))
    assert run() == 1
    store.put('a', b'x', lambda info: run.done(info['size']))
    assert run() == 1


def test_an_answer_that_comes_late_hides_nothing_newer(run, store):
    """What was acknowledged is known, whatever a server that lags says of it afterwards."""
    old, new = (run.call(store.put, 'a', data)[0] for data in (b'old', b'new'))
    bucket, subject = store._bucket, store._bucket.subjects.meta('a')
    newest = bucket.known(subject)
    bucket.learn(subject, Known(old['seq'], old['nuid'], True))
    assert bucket.known(subject) == newest == Known(new['seq'], new['nuid'], True)
    bucket.unlearn(subject, old['seq'])
    assert bucket.known(subject) == newest
    bucket.unlearn(subject, new['seq'])
    assert bucket.known(subject) is None


def test_a_bucket_that_somebody_else_made_anew(run, store, js, connect, server):
    """Its sequences begin again: what is known of the old one is wrong."""
    for _ in range(3):
        run.call(store.put, 'a', b'old')
    other = ObjectStore(js=JetStream(nats=connect(port=server.port)), bucket=store.bucket)
    run.call(other.delete_bucket)
    run.call(other.create_bucket, {})
    for data in (b'new', b'newer'):
        assert run.call(store.put, 'a', data)[1] is None
        assert run.call(store.get, 'a')[0] == data
    assert run.call(store.delete, 'a') == (True, None)
