"""Reading while everything around changes: no wrong byte, no callback missing, none twice."""

from __future__ import annotations

import hashlib
import os
import threading
from base64 import urlsafe_b64encode
from random import Random

import pytest

from natsev import ObjectChanged, ObjectStore
from natsev.objectstore import Encryption
from natsev.objectstore.codecs.chain import Encoding, chain_of
from natsev.objectstore.reading import fetch

RECONNECT = {'reconnect': True, 'reconnect_delay': 20, 'max_reconnect_attempts': 0}
SECRET = Encryption({'one': b'k' * 32})
CODECS = [None, 'zlib', 'zstd', SECRET, ['zlib', SECRET], ['zstd', SECRET]]


def digest(data):
    return 'SHA-256=' + urlsafe_b64encode(hashlib.sha256(data).digest()).decode()


def write_cut(inside, random, data, codec, most):
    """Store an object cut at random, with other messages and empty chunks between at random."""
    metadata = {}
    if codec is not None:
        encoding = Encoding(chain_of(codec))
        data = b''.join([*encoding.update(data), *encoding.finish()])
        metadata = encoding.metadata()
    crowded = random.random() * random.choice([0, 0.3, 1])
    publish = inside.js.nats.publish
    at = chunks = 0
    while at < len(data):
        size = random.choice([most, random.randrange(most)])
        publish(inside.chunk_subject('na'), data[at : at + size])
        at, chunks = at + size, chunks + 1
        if random.random() < crowded:
            publish(inside.chunk_subject('nb'), b'x')
    options = random.choice([{}, {'max_chunk_size': most}, {'max_chunk_size': 7}])
    inside.write_meta(
        'a',
        size=len(data),
        chunks=chunks,
        digest=digest(data),
        options=options,
        metadata=metadata,
    )


@pytest.mark.parametrize('seed', range(24))
def test_parts_of_objects_of_every_kind(run, store, inside, monkeypatch, seed):
    random = Random(seed)
    monkeypatch.setattr(fetch, '_LONG_WAY', random.choice([0.0, 60.0]))
    for name in ('_BATCH', '_LONG_BATCH', '_ONE', '_FIRST'):  # many batches of little data
        monkeypatch.setattr(fetch, name, random.choice([10_000, 100_000]))
    codec = CODECS[seed % len(CODECS)]
    text = b''.join(b'%d and ' % random.randrange(1000) for _ in range(100_000))
    data = text + random.randbytes(400_000)
    write_cut(inside, random, data, codec, random.choice([2000, 20_000, 131_072]))
    coded = ObjectStore(js=inside.js, bucket=store.bucket, codec=codec)
    coded._bucket.batches = random.random() < 0.7
    assert run.call(coded.get, 'a')[:2] == (data, None)
    reader, err = run.call(coded.open, 'a')
    assert err is None
    for _ in range(25):
        offset = random.choice([random.randrange(len(data)), len(data) - random.randrange(2000)])
        length = random.choice([0, 1, random.randrange(5000), random.randrange(len(data)), None])
        wanted = data[offset:] if length is None else data[offset : offset + length]
        got, err, _ = run.call(coded.get, 'a', offset=offset, length=length)
        assert err is None
        assert got == wanted
        pieces = []
        _, err = run.call(coded.get_stream, 'a', pieces.append, offset=offset, length=length)
        assert err is None
        assert b''.join(pieces) == wanted
        if length is not None:
            assert run.call(reader.read_at, offset, length) == (wanted, None)


@pytest.mark.parametrize('batches', [True, False])
@pytest.mark.parametrize('codec', [None, 'zlib'], ids=['plain', 'zlib'])
def test_readers_during_overwrites_and_deletes(run, store, tmp_path, batches, codec):
    """Whatever is read was an object once, as a whole."""
    store = ObjectStore(js=store._bucket.js, bucket=store.bucket, codec=codec)
    store._bucket.batches = batches
    random = Random(7)
    contents = [random.randbytes(size) for size in (10, 5000, 300_000, 300_001, 2_000_000)]
    changes, ended, read = [*range(120)], [], []

    def change(result=None, err=None):
        assert err is None
        if not changes:
            ended.append('changes')
        elif changes.pop() % 5:
            store.put('a', random.choice(contents), change, chunk_size=50_000)
        else:
            store.delete('a', change)

    def reader(begin):
        def told(*result):
            assert not told.done
            told.done = True
            if changes:
                reader(begin)
            else:
                ended.append(begin)

        told.done = False
        begin(told)

    def get_bytes(told):
        def got(data, err, meta):
            assert err is None
            assert data is None or data in contents
            read.append(data)
            told()

        store.get('a', got)

    def get_path(told):
        path = tmp_path / 'out'

        def got(size, err, meta):
            assert err is None
            assert size is None or path.read_bytes() in contents
            told()

        store.get('a', got, into=path)

    def get_part(told):
        def got(data, err, meta):
            assert err is None
            assert data is None or data in [one[1000:200_000] for one in contents]
            told()

        store.get('a', got, offset=1000, length=199_000)

    def get_stream(told):
        pieces = []

        def got(meta, err):
            assert err is None or isinstance(err, ObjectChanged)
            if err is None and meta is not None:
                assert b''.join(pieces) in contents
            told()

        store.get_stream('a', pieces.append, got)

    def read_at(told):
        def opened(reader, err):
            assert err is None
            if reader is None:
                told()
            else:
                reader.read_at(100, 200_000, got)

        def got(data, err):
            assert err is None or isinstance(err, ObjectChanged)
            assert err is not None or data in [one[100:200_100] for one in contents]
            told()

        store.open('a', opened)

    readers = [get_bytes, get_path, get_part, get_stream, read_at]
    change()
    for begin in readers:
        reader(begin)
    run.until(lambda: len(ended) == 1 + len(readers), 60)
    assert any(data is not None for data in read)
    assert set(os.listdir(tmp_path)) <= {'out'}


@pytest.mark.parametrize('seed', range(4))
def test_the_server_is_killed_at_random_moments_of_gets(
    run, own_server, make_store, tmp_path, seed
):
    """Five kills each: all gets end, once, and right."""
    random = Random(seed)
    store = make_store(own_server, client=RECONNECT)
    data = random.randbytes(1_000_000) * 30
    coded = ObjectStore(js=store._bucket.js, bucket=store.bucket, codec=['zlib', SECRET])
    text = b'%d and ' * 1_000_000 % tuple(range(1_000_000))
    assert run.call(store.put, 'a', data)[1] is None
    assert run.call(coded.put, 'b', text)[1] is None
    coded._bucket.batches = seed % 2 == 0
    calls, killed = [], threading.Event()

    def kill():
        own_server.kill()
        own_server.start()
        killed.set()

    def begin(name, get, *args, **options):
        results = []
        calls.append(results)
        get(name, *args, lambda *result: results.append(result), **options)
        return results

    for turn in range(5):
        pieces, path = [], tmp_path / f'{turn}'
        offset = random.randrange(len(text))
        killed.clear()
        timer = threading.Timer(random.random() * 0.15, kill)
        whole = begin('a', store.get)
        into = begin('a', store.get, into=path)
        stream = begin('a', coded.get_stream, pieces.append)
        part = begin('b', coded.get, offset=offset, length=500_000)
        decoded = begin('b', coded.get)
        timer.start()
        run.until(lambda: killed.is_set() and all(calls), 60)
        assert [results[0][1] for results in (whole, into, stream, part, decoded)] == [None] * 5
        assert whole[0][0] == data
        assert path.read_bytes() == data
        assert b''.join(pieces) == data
        assert part[0][0] == text[offset : offset + 500_000]
        assert decoded[0][0] == text
        run.call(store.status)
        assert {len(results) for results in calls} == {1}
    assert len(os.listdir(tmp_path)) == 5
