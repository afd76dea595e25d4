"""Reading objects."""

from __future__ import annotations

import errno
import hashlib
import io
import os
import threading
from base64 import urlsafe_b64encode

import pytest

from natsev import (
    BucketNotFoundError,
    Cancelled,
    DigestMismatch,
    InvalidMetaError,
    LinkError,
    MissingChunks,
    NotModified,
    ObjectChanged,
    ObjectStore,
    ObjectStoreError,
)
from natsev.objectstore import sink
from natsev.objectstore.reading import fetch

BIG = os.urandom(1_000_000)
STRATEGIES = ['batched direct get', 'ordered consumer']


def digest(data):
    return 'SHA-256=' + urlsafe_b64encode(hashlib.sha256(data).digest()).decode()


@pytest.fixture(params=STRATEGIES)
def strategy(request, store):
    """Each way to read many chunks."""
    store._bucket.batches = request.param == 'batched direct get'
    return request.param


def write_object(inside, name, *chunks, **fields):
    """Store an object by hand."""
    data = b''.join(chunks)
    inside.write_chunks('n' + name, *chunks)
    return inside.write_meta(
        name, **{'size': len(data), 'chunks': len(chunks), 'digest': digest(data), **fields}
    )


@pytest.mark.parametrize('each', [100, 131072, 999_999])
def test_bytes(run, store, strategy, each):
    run.call(store.put, 'a', BIG, chunk_size=each)
    transfer = store.get('a', lambda *result: run.done(result))
    data, err, meta = run()
    assert err is None
    assert data == BIG
    assert type(data) is bytes
    assert meta['name'] == 'a'
    assert transfer.strategy == strategy
    assert (transfer.bytes_done, transfer.bytes_total) == (len(BIG), len(BIG))


def test_larger_than_several_batches(run, store, strategy):
    data = BIG * 30
    run.call(store.put, 'a', data)
    got, err, _ = run.call(store.get, 'a')
    assert err is None
    assert got == data


@pytest.mark.parametrize('chunk_size', [131072, 1_000_000])
def test_many_at_once(run, store, strategy, chunk_size, tmp_path):
    """A server hangs up when 64 MiB wait for a client: all its gets together ask for less."""
    count = 20 if chunk_size == 131072 else 100
    data = BIG * 6 if chunk_size == 131072 else BIG
    assert run.call(store.put, 'a', data, chunk_size=chunk_size)[1] is None
    results = []
    for number in range(count):
        store.get('a', lambda *result: results.append(result), into=tmp_path / f'{number}')
    run.until(lambda: len(results) == count, 60)
    assert {err for _, err, _ in results} == {None}
    assert all((tmp_path / f'{number}').read_bytes() == data for number in range(count))


def test_chunks_between_those_of_others(run, store, strategy):
    """Objects written at the same time lie between each other in the stream."""
    data = [os.urandom(12_000_000) for _ in range(3)]
    results = []
    for number, each in enumerate(data):
        store.put(str(number), each, lambda *result: results.append(result))
    run.until(lambda: len(results) == 3)
    for number, each in enumerate(data):
        assert run.call(store.get, str(number))[:2] == (each, None)


def test_nothing_there(run, store):
    assert run.call(store.get, 'no') == (None, None, None)
    assert run.call(store.get_stream, 'no', print) == (None, None)
    run.call(store.put, 'a', b'x')
    run.call(store.delete, 'a')
    assert run.call(store.get, 'a') == (None, None, None)


def test_no_such_bucket(run, js, unique):
    store = ObjectStore(js=js, bucket=unique)
    _data, err, _meta = run.call(store.get, 'a')
    assert isinstance(err, BucketNotFoundError)
    assert isinstance(run.call(store.info, 'a')[1], BucketNotFoundError)


def test_info(run, store):
    stored, _ = run.call(store.put, 'a', b'hello', description='d', headers={'x': 'y'})
    info, err = run.call(store.info, 'a')
    assert err is None
    assert abs((info.pop('mtime') - stored.pop('mtime')).total_seconds()) < 60
    assert info == stored
    assert run.call(store.info, 'b') == (None, None)


def test_info_of_a_deleted_object(run, store):
    run.call(store.put, 'a', b'hello')
    run.call(store.delete, 'a')
    assert run.call(store.info, 'a') == (None, None)
    info, err = run.call(store.info, 'a', deleted=True)
    assert err is None
    assert info['deleted'] is True
    assert run.call(store.info, 'b', deleted=True) == (None, None)


# Where the bytes go.


def test_a_deleted_object_on_request(run, store, tmp_path):
    run.call(store.put, 'a', b'abc', description='mine')
    run.call(store.delete, 'a')
    assert run.call(store.get, 'a') == (None, None, None)
    for into in (None, tmp_path / 'out'):
        data, err, meta = run.call(store.get, 'a', deleted=True, into=into)
        assert (data, err) == (None, None)
        assert meta == run.call(store.info, 'a', deleted=True)[0]
        assert (meta['name'], meta['deleted']) == ('a', True)
    assert run.call(store.get, 'none', deleted=True) == (None, None, None)
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize('size', [0, 10, 1_000_000])
def test_into_a_path(run, store, tmp_path, size):
    run.call(store.put, 'a', BIG[:size])
    path = tmp_path / 'out'
    count, err, meta = run.call(store.get, 'a', into=path)
    assert (count, err, meta['size']) == (size, None, size)
    assert path.read_bytes() == BIG[:size]
    assert os.listdir(tmp_path) == ['out']


def test_into_a_file(run, store):
    run.call(store.put, 'a', BIG)
    file = io.BytesIO(b'before ')
    file.seek(7)
    assert run.call(store.get, 'a', into=file)[:2] == (len(BIG), None)
    assert file.getvalue() == b'before ' + BIG


def test_into_a_path_of_a_missing_object(run, store, tmp_path):
    assert run.call(store.get, 'no', into=tmp_path / 'out') == (None, None, None)
    assert os.listdir(tmp_path) == []


def test_into_what_cannot_be_written(run, store, tmp_path):
    run.call(store.put, 'a', b'x')
    for into, cause in (
        (tmp_path / 'no' / 'out', FileNotFoundError),
        (tmp_path, IsADirectoryError),
        (io.BufferedReader(io.BytesIO()), io.UnsupportedOperation),
    ):
        data, err, _ = run.call(store.get, 'a', into=into)
        assert data is None
        assert isinstance(err, ObjectStoreError)
        assert isinstance(err.__cause__, cause)
    assert os.listdir(tmp_path) == []


def test_a_failed_get_leaves_the_old_file(run, store, inside, tmp_path):
    path = tmp_path / 'out'
    path.write_bytes(b'old')
    write_object(inside, 'a', BIG[:1000], BIG[1000:2000], digest=digest(b'other'))
    assert isinstance(run.call(store.get, 'a', into=path)[1], DigestMismatch)
    assert path.read_bytes() == b'old'
    assert os.listdir(tmp_path) == ['out']


def test_stream(run, store, strategy):
    run.call(store.put, 'a', BIG, chunk_size=10_000)
    got = []
    meta, err = run.call(store.get_stream, 'a', got.append)
    assert err is None
    assert meta['size'] == len(BIG)
    assert b''.join(got) == BIG
    assert len(got) == 100


def test_stream_paused_at_every_chunk(run, store, strategy):
    data = BIG * 12
    run.call(store.put, 'a', data)
    got = []

    def on_chunk(chunk):
        got.append(chunk)
        transfer.pause()
        store._bucket.nats.call_soon(transfer.resume)

    transfer = store.get_stream('a', on_chunk, lambda *result: run.done(result))
    _meta, err = run()
    assert err is None
    assert b''.join(got) == data


def test_a_paused_get_requests_no_more_and_is_not_late(run, store, strategy, monkeypatch):
    monkeypatch.setattr(fetch, '_LONG_WAY', 60.0)
    store = ObjectStore(js=store._bucket.js, bucket=store.bucket, timeout=200)
    store._bucket.batches = strategy == 'batched direct get'
    data = BIG * 20
    run.call(store.put, 'a', data)
    got = []

    def on_chunk(chunk):
        got.append(chunk)
        if len(got) == 1:
            transfer.pause()

    results = []
    transfer = store.get_stream('a', on_chunk, lambda *result: results.append(result))
    run.until(lambda: got)
    before = store._bucket.nats.stats()['bytes_in']
    # Longer than the timeout: the user's own pause is nobody's fault.
    timer = store._bucket.nats.port.timer(run.done)
    timer.start(0.5)
    run()
    assert len(got) == 1
    assert not results
    assert store._bucket.nats.stats()['bytes_in'] - before < 12_000_000
    transfer.resume()
    run.until(lambda: results)
    assert results[0][1] is None
    assert b''.join(got) == data


def test_an_on_chunk_that_raises_loses_nothing(run, store, expected_errors):
    run.call(store.put, 'a', BIG)
    got = []

    def on_chunk(chunk):
        got.append(chunk)
        raise RuntimeError('mine')

    _, err = run.call(store.get_stream, 'a', on_chunk)
    assert err is None
    assert b''.join(got) == BIG


def test_progress(run, store, strategy):
    run.call(store.put, 'a', BIG)
    steps = []
    run.call(store.get, 'a', progress=lambda *step: steps.append(step))
    assert [total for _, total in steps] == [len(BIG)] * 8
    assert steps[-1] == (len(BIG), len(BIG))


@pytest.mark.parametrize('spell', [lambda text: text, lambda text: text.rstrip('=')])
def test_if_none_match(run, store, spell):
    run.call(store.put, 'a', BIG)
    data, err, meta = run.call(store.get, 'a', if_none_match=spell(digest(BIG)))
    assert data is None
    assert isinstance(err, NotModified)
    assert meta['size'] == len(BIG)
    data, err, meta = run.call(store.get, 'a', if_none_match=digest(b'other'))
    assert (data, err) == (BIG, None)


def test_cancel(run, store, strategy, tmp_path):
    run.call(store.put, 'a', BIG * 20)
    for after in (0, 1, 50, 152):
        steps = []

        def progress(done, total):
            steps.append(done)  # noqa: B023
            if len(steps) == after:  # noqa: B023
                transfer.cancel()  # noqa: B023

        transfer = store.get(
            'a', lambda *result: run.done(result), into=tmp_path / 'out', progress=progress
        )
        if not after:
            transfer.cancel()
        data, err, _ = run()
        assert data is None
        assert isinstance(err, Cancelled)
        assert os.listdir(tmp_path) == []


def test_cancelled_with_the_last_byte(run, store, tmp_path, monkeypatch):
    run.call(store.put, 'a', BIG)
    work = sink.PathFile.settle
    settled = []
    monkeypatch.setattr(sink.PathFile, 'settle', lambda self: settled.append(self) or work(self))

    def progress(done, total):
        if done == total:
            transfer.cancel()

    path = tmp_path / 'out'
    transfer = store.get('a', lambda *result: run.done(result), into=path, progress=progress)
    assert isinstance(run()[1], Cancelled)
    assert settled == []
    assert os.listdir(tmp_path) == []


# What other clients store.


def test_chunks_of_any_size(run, store, inside, strategy):
    chunks = [b'a' * 10, b'b', b'', b'c' * 1000, b'd' * 5]
    write_object(inside, 'a', *chunks, options={'max_chunk_size': 1000})
    assert run.call(store.get, 'a')[:2] == (b''.join(chunks), None)


@pytest.mark.parametrize('chunks', [[b'x' * 10], [b'x' * 10, b'y' * 10]])
def test_an_extra_empty_chunk(run, store, inside, strategy, chunks):
    """As nats.net stores what is a multiple of the chunk size."""
    data = b''.join(chunks)
    write_object(inside, 'a', *chunks, b'', chunks=len(chunks))
    assert run.call(store.get, 'a')[:2] == (data, None)


@pytest.mark.parametrize('count', [0, 1, 2, 3, 7, 1000])
def test_a_wrong_count_of_chunks(run, store, inside, strategy, count):
    write_object(inside, 'a', b'x' * 10, b'y' * 10, b'z' * 10, chunks=count)
    assert run.call(store.get, 'a')[:2] == (b'x' * 10 + b'y' * 10 + b'z' * 10, None)


@pytest.mark.parametrize('size', [1, 15, 29])
def test_a_size_that_is_too_small(run, store, inside, strategy, size):
    write_object(inside, 'a', b'x' * 10, b'y' * 10, b'z' * 10, size=size)
    data, err, meta = run.call(store.get, 'a')
    assert data is None
    assert isinstance(err, DigestMismatch)
    assert str(err) == 'digest mismatch'
    assert meta['name'] == 'a'


@pytest.mark.parametrize('size', [31, 10_000_000, (1 << 63) - 1])
def test_a_size_that_is_too_large(run, store, inside, strategy, size):
    write_object(inside, 'a', b'x' * 10, b'y' * 10, b'z' * 10, size=size)
    data, err, _ = run.call(store.get, 'a')
    assert data is None
    assert isinstance(err, MissingChunks)


def test_without_a_digest(run, store, inside, strategy):
    write_object(inside, 'a', b'x' * 10, b'y', digest=...)
    assert run.call(store.get, 'a')[:2] == (b'x' * 10 + b'y', None)


@pytest.mark.parametrize('text', ['SHA-256=', 'MD5=abc', 'rubbish'])
def test_a_digest_that_is_none(run, store, inside, text):
    write_object(inside, 'a', b'x' * 10, digest=text)
    assert isinstance(run.call(store.get, 'a')[1], DigestMismatch)


@pytest.mark.parametrize(
    'spell',
    [
        lambda data: digest(data).rstrip('='),
        lambda data: digest(data).replace('SHA', 'sha'),
        lambda data: digest(data).replace('-', '+').replace('SHA+', 'SHA-').replace('_', '/'),
        lambda data: 'SHA-256=' + hashlib.sha256(data).hexdigest(),
    ],
)
def test_digests_in_every_spelling(run, store, inside, spell):
    write_object(inside, 'a', b'hello', digest=spell(b'hello'))
    assert run.call(store.get, 'a')[:2] == (b'hello', None)


def test_an_empty_object_of_the_original(run, store, inside):
    write_object(inside, 'a', b'', chunks=1, size=0, digest=digest(b''))
    assert run.call(store.get, 'a')[:2] == (b'', None)


def test_an_empty_object_with_a_wrong_digest(run, store, inside):
    inside.write_meta('a', size=0, chunks=0, digest=digest(b'x'))
    assert isinstance(run.call(store.get, 'a')[1], DigestMismatch)


@pytest.mark.parametrize('lost', [0, 3, 7])
def test_a_missing_chunk_is_an_error_soon(run, store, inside, strategy, lost):
    info, _ = run.call(store.put, 'a', BIG)
    inside.delete_message(inside.chunk_seqs(info['nuid'])[lost])
    data, err, meta = run.call(store.get, 'a')
    assert data is None
    assert isinstance(err, MissingChunks)
    assert str(err) == 'missing chunks'
    assert (err.bucket, err.name) == (store.bucket, 'a')
    assert meta['size'] == len(BIG)


@pytest.mark.parametrize('data', [b'x', BIG])
def test_all_chunks_missing(run, store, inside, strategy, data):
    _info, _ = run.call(store.put, 'a', data)
    run.call(inside.js.stream_purge, inside.stream, {'filter': f'$O.{store.bucket}.C.>'})
    assert isinstance(run.call(store.get, 'a')[1], MissingChunks)


def test_corrupt_chunks(run, store, inside, strategy):
    write_object(inside, 'a', b'x' * 10, b'y' * 10, digest=digest(b'x' * 10 + b'z' * 10))
    data, err, _ = run.call(store.get, 'a')
    assert data is None
    assert isinstance(err, DigestMismatch)


def test_chunks_in_the_wrong_order(run, store, inside, strategy):
    write_object(inside, 'a', b'y' * 10, b'x' * 10, digest=digest(b'x' * 10 + b'y' * 10))
    assert isinstance(run.call(store.get, 'a')[1], DigestMismatch)


def test_chunks_with_headers_that_lie(run, store, inside, strategy):
    """A publisher can store the headers by which the server tells what a message is."""
    nuid = 'na'
    lies = {
        'Nats-Sequence': '999999',
        'Nats-Stream': 'OTHER',
        'Nats-Num-Pending': '0',
        'Nats-Subject': 'x',
        'Status': '404',
    }
    for chunk in (b'x' * 10, b'', b'y' * 10):
        inside.publish(inside.chunk_subject(nuid), chunk, lies)
    data = b'x' * 10 + b'y' * 10
    inside.write_meta('a', size=20, chunks=3, digest=digest(data))
    assert run.call(store.get, 'a')[:2] == (data, None)


@pytest.mark.parametrize('field', [{'size': -5}, {'size': 'x'}, {'nuid': '>'}, {'chunks': -1}])
def test_hostile_metadata(run, store, inside, field):
    inside.write_meta('a', **{'size': 5, 'chunks': 1, **field})
    data, err, _ = run.call(store.get, 'a')
    assert data is None
    assert isinstance(err, InvalidMetaError)
    assert isinstance(run.call(store.info, 'a')[1], InvalidMetaError)


def test_a_meta_that_is_no_json(run, store, inside):
    inside.publish(inside.meta_subject('a'), b'rubbish')
    assert isinstance(run.call(store.get, 'a')[1], InvalidMetaError)
    assert run.call(store.put, 'a', b'x')[1] is None
    assert run.call(store.get, 'a')[0] == b'x'


def test_another_name_on_the_subject(run, store, inside):
    """The original's object 'YQ==' is on the subject of the official 'a'... almost."""
    inside.publish(inside.meta_subject('a'), b'{"name":"YQ==","nuid":"n","size":0,"chunks":0}')
    assert run.call(store.get, 'a') == (None, None, None)


@pytest.mark.parametrize(
    'token', ['bsOkbWU_', 'bsOkbWU', 'n%C3%A4me', 'buRtZQ==', 'bsOkbWU/'], ids=repr
)
def test_other_spellings_of_a_name(run, store, inside, token):
    name = {'bsOkbWU_': 'näme?', 'bsOkbWU/': 'näme?'}.get(token, 'näme')
    body = f'{{"name":"{name}","nuid":"n1","size":5,"chunks":1}}'.encode()
    inside.write_chunks('n1', b'hello')
    inside.publish(f'$O.{store.bucket}.M.{token}', body)
    assert run.call(store.get, name)[:2] == (b'hello', None)
    assert run.call(store.list) == ([name], None)
    assert run.call(store.delete, name) == (True, None)
    assert run.call(store.get, name) == (None, None, None)
    assert inside.chunks() == {}


# Objects that change under the reader.


def replace_at(store, run, number, data):
    """A progress that has 'a' replaced by *data* (None: deleted) once *number* chunks are here."""
    steps = []

    def progress(done, total):
        steps.append(done)
        if len(steps) == number:
            transfer.pause()

            def go_on(*_):
                nats.flush(lambda err: transfer.resume())

            nats = store._bucket.nats
            if data is None:
                store.delete('a', go_on)
            else:
                store.put('a', data, go_on)

    transfer = None

    def begin(made):
        nonlocal transfer
        transfer = made

    return progress, begin


LARGE = os.urandom(40_000_000)


def get_while_it_changes(run, store, data, **options):
    run.call(store.put, 'a', LARGE)
    progress, begin = replace_at(store, run, 3, data)
    begin(store.get('a', lambda *result: run.done(result), progress=progress, **options))
    return run()


def test_replaced_under_a_get_of_bytes(run, store, strategy):
    data, err, meta = get_while_it_changes(run, store, BIG)
    assert err is None
    assert data in (BIG, LARGE)
    assert meta['size'] == len(data)


def test_replaced_under_a_get_into_a_path(run, store, strategy, tmp_path):
    path = tmp_path / 'out'
    count, err, meta = get_while_it_changes(run, store, BIG, into=path)
    assert err is None
    assert count == meta['size']
    assert path.read_bytes() in (BIG, LARGE)
    assert os.listdir(tmp_path) == ['out']


def test_replaced_under_a_get_into_a_file(run, store, strategy):
    file = io.BytesIO()
    _count, err, _meta = get_while_it_changes(run, store, BIG, into=file)
    assert isinstance(err, ObjectChanged) or file.getvalue() == LARGE


def test_deleted_under_a_get(run, store, strategy):
    data, err, _meta = get_while_it_changes(run, store, None)
    assert err is None
    assert data in (None, LARGE)


def test_deleted_under_a_stream(run, store, strategy):
    run.call(store.put, 'a', LARGE)
    got = []

    def on_chunk(chunk):
        got.append(chunk)
        if len(got) == 3:
            transfer.pause()
            store.delete('a', lambda ok, err: transfer.resume())

    transfer = store.get_stream('a', on_chunk, lambda *result: run.done(result))
    _meta, err = run()
    assert isinstance(err, ObjectChanged) or b''.join(got) == LARGE


# Links.


def link(inside, name, bucket, target=None):
    where = {'bucket': bucket, **({'name': target} if target else {})}
    inside.write_meta(name, size=0, chunks=0, options={'link': where})


def test_links_are_followed(run, store, inside):
    run.call(store.put, 'a', BIG)
    link(inside, 'b', store.bucket, 'a')
    link(inside, 'c', store.bucket, 'b')
    data, err, meta = run.call(store.get, 'c')
    assert (data, err) == (BIG, None)
    assert meta['name'] == 'a'
    info, _ = run.call(store.info, 'c')
    assert info['options']['link'] == {'bucket': store.bucket, 'name': 'b'}


def test_links_to_other_buckets(run, js, store, inside, unique):
    other = ObjectStore(js=js, bucket=unique + 'x')
    run.call(other.create_bucket, {})
    run.call(other.put, 'there', BIG)
    link(inside, 'here', other.bucket, 'there')
    data, err, meta = run.call(store.get, 'here')
    assert (data, err) == (BIG, None)
    assert meta['bucket'] == other.bucket
    run.call(other.delete_bucket)


def test_links_that_lead_nowhere(run, store, inside):
    link(inside, 'self', store.bucket, 'self')
    link(inside, 'x', store.bucket, 'y')
    link(inside, 'y', store.bucket, 'x')
    link(inside, 'bucket', store.bucket)
    link(inside, 'illegal', 'a.b', 'c')
    for name in ('self', 'x', 'bucket', 'illegal'):
        data, err, _ = run.call(store.get, name)
        assert data is None
        assert isinstance(err, LinkError)
    link(inside, 'missing', store.bucket, 'nothing')
    assert run.call(store.get, 'missing') == (None, None, None)
    link(inside, 'far', 'nosuchbucket', 'a')
    assert isinstance(run.call(store.get, 'far')[1], BucketNotFoundError)


@pytest.mark.parametrize(
    'options',
    [
        {'into': 'path'},
        {'if_none_match': 7},
        {'progress': lambda a, b, c: None},
        {'colour': 1},
    ],
)
def test_wrong_types(store, options):
    with pytest.raises(TypeError):
        store.get('a', print, **options)


def test_wrong_values(store):
    with pytest.raises(ValueError, match='object name is empty'):
        store.get('', print)
    with pytest.raises(ValueError, match='not a digest'):
        store.get('a', print, if_none_match='abc')
    with pytest.raises(TypeError):
        store.get_stream('a', lambda a, b: None, print)


# How the chunks travel.


def write_scattered(inside, name, data, each):
    """Store an object whose chunks have others between them."""
    for start in range(0, len(data), each):
        inside.js.nats.publish(inside.chunk_subject('n' + name), data[start : start + each])
        inside.js.nats.publish(inside.chunk_subject('other'), b'x')
    chunks = -(-len(data) // each)
    options = {'max_chunk_size': each}
    inside.write_meta(name, size=len(data), chunks=chunks, digest=digest(data), options=options)


@pytest.fixture(params=['near', 'far'])
def way(request, monkeypatch):
    """How long a round trip is taken for."""
    monkeypatch.setattr(fetch, '_LONG_WAY', {'near': 60.0, 'far': 0.0}[request.param])
    return request.param


@pytest.mark.usefixtures('way')
def test_scattered_chunks_come_by_a_consumer(run, each_server, make_store, inside_of):
    store = make_store(each_server)
    data = BIG * 24
    write_scattered(inside_of(store), 'a', data, 100_000)
    transfer = store.get('a', lambda *result: run.done(result))
    got, err, _ = run()
    assert err is None
    assert got == data
    assert transfer.strategy == 'ordered consumer'
    part, err, _ = run.call(store.get, 'a', offset=5_000_000, length=11_111_111)
    assert err is None
    assert part == data[5_000_000:16_111_111]


def test_one_chunk_comes_in_one_message(run, store):
    run.call(store.put, 'a', b'x')
    before = store._bucket.nats.stats()['msgs_out']
    transfer = store.get('a', lambda *result: run.done(result))
    assert transfer.strategy == ''  # not known yet
    assert run()[0] == b'x'
    assert transfer.strategy == 'one message'
    assert store._bucket.nats.stats()['msgs_out'] - before == 2  # metadata, and the chunk


def test_a_few_scattered_chunks_come_in_batches(run, store, inside):
    write_scattered(inside, 'a', BIG * 3, 100_000)
    transfer = store.get('a', lambda *result: run.done(result))
    assert run()[0] == BIG * 3
    assert transfer.strategy == 'batched direct get'


@pytest.mark.parametrize('placed', ['together', 'scattered'])
def test_no_more_than_32_mib_are_on_their_way(run, store, inside, way, placed):
    data = BIG * 50
    if placed == 'together':
        run.call(store.put, 'a', data)
    else:
        write_scattered(inside, 'a', data, 100_000)
    got, results = [], []

    def on_chunk(chunk):
        got.append(chunk)
        if len(got) == 30:
            transfer.pause()

    transfer = store.get_stream('a', on_chunk, lambda *result: results.append(result))
    run.until(lambda: len(got) == 30)
    nats = store._bucket.nats
    came = [-1, nats.stats()['bytes_in']]
    while came[-1] != came[-2]:  # until all that was requested is here
        run.call(nats.flush)
        came.append(nats.stats()['bytes_in'])
    assert came[-1] - sum(map(len, got)) < {'near': 10 << 20, 'far': 32 << 20}[way]
    transfer.resume()
    run.until(lambda: results)
    assert results[0][1] is None
    assert b''.join(got) == data


@pytest.mark.usefixtures('way')
def test_metadata_of_many_tiny_chunks_does_not_bring_more(run, store, inside, strategy):
    write_scattered(inside, 'a', BIG * 50, 1_000_000)
    inside.write_meta('a', size=1000, chunks=10**9, options={'max_chunk_size': 1})
    nats = store._bucket.nats
    before = nats.stats()['bytes_in']
    run.call(store.get, 'a')
    run.call(nats.flush)
    assert nats.stats()['bytes_in'] - before < 32 << 20


# A disk that is slow.


@pytest.fixture
def slow_disk(monkeypatch):
    """A disk that waits for ``.set()``, and is made to begin after each MiB."""
    disk, sync = threading.Event(), sink._datasync

    def datasync(file):
        disk.wait()
        sync(file)

    monkeypatch.setattr(fetch, '_LONG_WAY', 60.0)  # however slow the machine is
    monkeypatch.setattr(sink, '_datasync', datasync)
    monkeypatch.setattr(sink, '_FLUSH', 1 << 20)
    monkeypatch.setattr(sink, '_MOST_UNFLUSHED', 2 << 20)
    yield disk
    disk.set()


def test_a_slow_disk_slows_the_requests(run, store, strategy, slow_disk, tmp_path):
    data = BIG * 40
    run.call(store.put, 'a', data)
    results = []
    store.get('a', lambda *result: results.append(result), into=tmp_path / 'out')
    nats = store._bucket.nats
    came = [-1, 0]
    while came[-1] != came[-2] or came[-1] < 2 << 20:
        run.call(nats.flush)  # the loop goes on
        came.append(nats.stats()['bytes_in'])
    assert came[-1] < 20 << 20
    slow_disk.set()
    run.until(lambda: results)
    assert results[0][:2] == (len(data), None)
    assert (tmp_path / 'out').read_bytes() == data


def test_a_disk_that_fails_on_the_way(run, store, monkeypatch, tmp_path):
    def datasync(file):
        raise OSError(errno.EIO, 'Input/output error')

    monkeypatch.setattr(sink, '_datasync', datasync)
    monkeypatch.setattr(sink, '_FLUSH', len(BIG))
    run.call(store.put, 'a', BIG)
    data, err, _ = run.call(store.get, 'a', into=tmp_path / 'out')
    assert data is None
    assert 'Input/output error' in str(err)
    assert os.listdir(tmp_path) == []


def test_cancelled_while_the_disk_is_busy(run, store, slow_disk, tmp_path):
    run.call(store.put, 'a', BIG * 5)
    results = []
    transfer = store.get('a', lambda *result: results.append(result), into=tmp_path / 'out')
    run.until(lambda: transfer.bytes_done >= 2 << 20)
    transfer.cancel()
    run.until(lambda: results)
    assert isinstance(results[0][1], Cancelled)
    assert os.listdir(tmp_path) == []


@pytest.mark.usefixtures('way')
def test_large_gets_share_what_may_be_on_its_way(run, store, inside, strategy, monkeypatch):
    monkeypatch.setattr(fetch, '_SHORT_PAUSE', 0.05)
    data = BIG * 40
    run.call(store.put, 'a', data)
    paused, results = [], []

    def pause(chunk):
        if not paused:
            paused.append(chunk)
            transfer.pause()

    transfer = store.get_stream('a', pause, lambda *result: results.append(result))
    run.until(lambda: paused)
    for _ in range(3):  # at the same time, while the first holds its share
        store.get('a', lambda data, err, meta: results.append(data))
    run.until(lambda: len(results) == 3)
    assert results == [data] * 3
    transfer.resume()
    run.until(lambda: len(results) == 4)
    assert results[3][1] is None
