"""Parts of objects."""

from __future__ import annotations

import io
import itertools
import os
from random import Random

import pytest

from natsev import (
    Cancelled,
    JetStream,
    LinkError,
    MissingChunks,
    ObjectChanged,
    ObjectStore,
)
from natsev.objectstore.reading.get import Get
from natsev.objectstore.reading.index import Even, Place, Table

BIG = os.urandom(1_000_000)
ENDS = [0, 1, 99_999, 100_000, 100_001, 131_072, 500_000, 999_999, 1_000_000, 1_000_001]


def test_each_chunk_that_is_listed_is_progress(run, store, inside, monkeypatch):
    """A list of a million chunks takes longer than the timeout."""
    inside.write_chunks('na', *[b'x' * (1 + size % 3) for size in range(100)])
    inside.write_meta('a', size=199, chunks=100)
    touched = []
    touch = Get._touch
    monkeypatch.setattr(Get, '_touch', lambda get: touched.append(get) or touch(get))
    assert run.call(store.get, 'a', offset=197)[:2] == (b'xx', None)
    assert len(touched) > 100


@pytest.fixture(params=['even', 'uneven', 'between others', 'one chunk', 'no direct gets'])
def parts(request, run, store, inside):
    """The object 'a', 1 MB, its chunks cut and placed in each way."""
    if request.param == 'uneven':
        at = [0, 10, 10, 100_000, 350_000, 350_001, 999_999, 1_000_000]
        chunks = [BIG[start:end] for start, end in itertools.pairwise(at)]
        inside.write_chunks('na', *chunks)
        inside.write_meta('a', size=len(BIG), chunks=len(chunks), options={'max_chunk_size': 10})
    elif request.param == 'between others':
        for start in range(0, len(BIG), 100_000):
            inside.write_chunks('na', BIG[start : start + 100_000])
            inside.write_chunks('nb', b'x')
        inside.write_meta('a', size=len(BIG), chunks=10, options={'max_chunk_size': 100_000})
    else:
        size = {'one chunk': 1_000_000}.get(request.param, 100_000)
        assert run.call(store.put, 'a', BIG, chunk_size=size)[1] is None
    if request.param == 'no direct gets':
        config = run.call(store.status)[0]['stream']['config']
        run.call(inside.js.stream_update, {**config, 'allow_direct': False})
        run.call(store.status)
    return store


def test_every_part(run, parts):
    for start in ENDS:
        for end in ENDS:
            if end >= start:
                got, err, meta = run.call(parts.get, 'a', offset=start, length=end - start)
                assert err is None
                assert got == BIG[start:end], (start, end)
                assert meta['size'] == len(BIG)
        assert run.call(parts.get, 'a', offset=start)[0] == BIG[start:]


def test_reader(run, parts):
    reader, err = run.call(parts.open, 'a')
    assert err is None
    assert reader.meta['size'] == len(BIG)
    random = Random(1)
    for _ in range(20):
        start, length = random.randrange(len(BIG)), random.randrange(200_000)
        assert run.call(reader.read_at, start, length) == (BIG[start : start + length], None)
    assert run.call(reader.read_at, len(BIG), 10) == (b'', None)
    assert run.call(reader.read_at, 0, 0) == (b'', None)


def test_many_reads_at_once(run, parts):
    reader, _ = run.call(parts.open, 'a')
    results = []
    for start in range(0, len(BIG), 10_000):
        reader.read_at(start, 10_000, lambda *result: results.append(result))
    run.until(lambda: len(results) == 100)
    assert {err for _, err in results} == {None}
    assert sorted(data for data, _ in results) == sorted(
        BIG[start : start + 10_000] for start in range(0, len(BIG), 10_000)
    )


def test_into_a_path_and_a_stream(run, store, tmp_path):
    run.call(store.put, 'a', BIG)
    path = tmp_path / 'out'
    assert run.call(store.get, 'a', into=path, offset=300_000, length=5)[:2] == (5, None)
    assert path.read_bytes() == BIG[300_000:300_005]
    file = io.BytesIO()
    run.call(store.get, 'a', into=file, offset=999_990)
    assert file.getvalue() == BIG[999_990:]
    got, steps = [], []
    _meta, err = run.call(
        store.get_stream,
        'a',
        got.append,
        offset=10,
        length=400_000,
        progress=lambda *step: steps.append(step),
    )
    assert err is None
    assert b''.join(got) == BIG[10:400_010]
    assert steps[-1] == (400_000, 400_000)


def test_a_little_of_a_large_object_costs_little(run, store):
    data = BIG * 60
    run.call(store.put, 'a', data)
    stats = store._bucket.nats.stats
    before = stats()
    got, _, _ = run.call(store.get, 'a', offset=33_333_333, length=1_000_000)
    assert got == data[33_333_333:34_333_333]
    after = stats()
    assert after['msgs_out'] - before['msgs_out'] <= 5
    assert after['bytes_in'] - before['bytes_in'] < 2_000_000


def test_nothing_there(run, store):
    assert run.call(store.open, 'no') == (None, None)
    assert run.call(store.get, 'no', offset=5) == (None, None, None)
    run.call(store.put, 'empty', b'')
    assert run.call(store.get, 'empty', offset=5, length=3)[0] == b''
    reader, _ = run.call(store.open, 'empty')
    assert run.call(reader.read_at, 0, 10) == (b'', None)


def test_links(run, js, store, inside, unique):
    other = ObjectStore(js=js, bucket=unique + 'x')
    run.call(other.create_bucket, {})
    run.call(other.put, 'a', BIG)
    link = {'link': {'bucket': other.bucket, 'name': 'a'}}
    inside.write_meta('l', size=0, chunks=0, options=link)
    reader, err = run.call(store.open, 'l')
    assert err is None
    assert run.call(reader.read_at, 500_000, 10) == (BIG[500_000:500_010], None)
    run.call(other.delete_bucket)
    inside.write_meta('l', size=0, chunks=0, options={'link': {'bucket': store.bucket}})
    assert isinstance(run.call(store.open, 'l')[1], LinkError)


def test_missing_chunks(run, store, inside):
    info, _ = run.call(store.put, 'a', BIG)
    seqs = inside.chunk_seqs(info['nuid'])
    inside.delete_message(seqs[4])
    for part in ({'offset': 550_000, 'length': 10}, {'length': 700_000}, {'offset': 500_000}):
        data, err, _ = run.call(store.get, 'a', **part)
        assert data is None
        assert isinstance(err, MissingChunks)
    inside.delete_message(seqs[-1])
    assert isinstance(run.call(store.get, 'a', offset=550_000, length=10)[1], MissingChunks)


@pytest.mark.parametrize('chunk_size', [100_000, 1_000_000])
def test_an_object_that_was_replaced(run, store, inside, chunk_size):
    run.call(store.put, 'a', BIG, chunk_size=chunk_size)
    reader, _ = run.call(store.open, 'a')
    assert run.call(reader.read_at, 300_000, 10)[1] is None
    info, _ = run.call(store.put, 'a', BIG[::-1], chunk_size=chunk_size)
    inside.await_only(info)
    data, err = run.call(reader.read_at, 300_000, 10)
    assert data is None
    assert isinstance(err, ObjectChanged)
    run.call(store.delete, 'a')
    assert isinstance(run.call(reader.read_at, 0, 10)[1], ObjectChanged)


@pytest.mark.parametrize('way', ['direct gets', 'no direct gets'])
def test_parts_of_an_object_that_is_replaced_again_and_again(run, store, inside, way):
    """Each is a part of one of its contents, whole; nobody is told that chunks are missing."""
    contents = [os.urandom(300_000) for _ in range(5)]
    if way == 'no direct gets':
        config = run.call(store.status)[0]['stream']['config']
        run.call(inside.js.stream_update, {**config, 'allow_direct': False})
        run.call(store.status)
    puts, parts, ended = [*range(100)], [], []

    def put(info=None, err=None):
        assert err is None
        if puts:
            store.put('a', contents[puts.pop() % 5], put, chunk_size=10_000)
        else:
            ended.append('put')

    def get(start, length):
        def got(data, err, meta):
            assert err is None
            assert data in [one[start : start + length] for one in contents]
            parts.append(data)
            if puts:
                get(start + 1000, length)
            else:
                ended.append('get')

        store.get('a', got, offset=start, length=length)

    run.call(store.put, 'a', contents[0], chunk_size=10_000)
    put()
    for length in (10, 10_000, 120_000):
        get(5000, length)
    run.until(lambda: len(ended) == 4)
    assert len(parts) > 10


def test_close(run, store):
    run.call(store.put, 'a', BIG)
    reader, _ = run.call(store.open, 'a')
    results = []
    reader.read_at(10, 10, lambda *result: results.append(result))
    reader.close()
    reader.close()
    run.until(lambda: results)
    data, err = results[0]
    assert data is None
    assert isinstance(err, Cancelled)
    with pytest.raises(ValueError, match='closed'):
        reader.read_at(0, 1, print)


def test_over_lost_connections(run, server, proxy, connect, store):
    data = BIG * 20
    run.call(store.put, 'a', data)
    between = proxy(server)
    nats = connect(port=between.port, reconnect=True, reconnect_delay=10)
    far = ObjectStore(js=JetStream(nats=nats), bucket=store.bucket)
    reader, _ = run.call(far.open, 'a')
    for size in (1, 200_000, 3_000_000):
        between.cut_after(size)
        assert run.call(reader.read_at, 1_234_567, 7_000_000) == (
            data[1_234_567:8_234_567],
            None,
        )


@pytest.mark.parametrize('part', [{'offset': -1}, {'length': -1}])
def test_wrong_values(store, part):
    with pytest.raises(ValueError, match='must be at least'):
        store.get('a', print, **part)


@pytest.mark.parametrize('part', [{'offset': '1'}, {'length': 1.5}, {'offset': None}])
def test_wrong_types(store, part):
    with pytest.raises(TypeError):
        store.get('a', print, **part)


def test_an_even_index():
    index = Even(7, 100, 250)
    assert index.agrees(1, 8, 100)
    assert index.agrees(2, 9, 50)
    assert not index.agrees(2, 9, 100)
    assert not index.agrees(1, 9, 100)
    assert index.find(0) == Place(0, 7, 0)
    assert index.find(99) == Place(0, 7, 0)
    assert index.find(249) == Place(2, 9, 200)


def test_a_table():
    table = Table()
    for seq, size in ((3, 10), (5, 0), (9, 1), (10, 5)):
        table.add(seq, size)
    assert (len(table), table.size) == (4, 16)
    assert table.find(9) == Place(0, 3, 0)
    assert table.find(10) == Place(2, 9, 10)
    assert table.find(15) == Place(3, 10, 11)
