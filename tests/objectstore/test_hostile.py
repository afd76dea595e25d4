"""What others may have left in a bucket, and what may happen to files: errors, nothing left."""

from __future__ import annotations

import io
import json
import resource
import tracemalloc
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from natsev import (
    DigestMismatch,
    InvalidMetaError,
    LinkError,
    MissingChunks,
    NatsError,
    ObjectStoreError,
)


def put(run: Any, store: Any, name: str, data: Any = b'x', **options: Any) -> Any:
    info, err = run.call(store.put, name, data, **options)
    assert err is None, err
    return info


DEEP = b'[' * 50_000 + b']' * 50_000
BODIES = {
    'huge size': {'size': 1 << 62, 'chunks': 1},
    'huge size of many chunks': {'size': 1 << 62, 'chunks': 1 << 40},
    'huge chunks': {'size': 3, 'chunks': 1 << 62},
    'too large size': {'size': 1 << 70},
    'negative size': {'size': -1},
    'negative chunks': {'size': 3, 'chunks': -1},
    'no chunks': {'size': 3, 'chunks': 0},
    'float size': {'size': 3.5},
    'text size': {'size': '3'},
    'list nuid': {'nuid': ['x'], 'size': 3, 'chunks': 1},
    'wild nuid': {'nuid': '>', 'size': 3, 'chunks': 1},
    'nuid with a dot': {'nuid': 'versions.YQ==', 'size': 3, 'chunks': 1},
    'no nuid': {'nuid': None, 'size': 3, 'chunks': 1},
    'digest of nothing': {'size': 3, 'chunks': 1, 'digest': 'SHA-256='},
    'digest that is a number': {'size': 3, 'chunks': 1, 'digest': 5},
    'other digest': {'size': 3, 'chunks': 1, 'digest': 'MD5=abc'},
    'options': {'size': 3, 'chunks': 1, 'options': {'max_chunk_size': -1, 'link': 'x'}},
    'huge chunk size': {'size': 3, 'chunks': 1, 'options': {'max_chunk_size': 1 << 62}},
    'link to no bucket': {'size': 0, 'options': {'link': {'bucket': '../x', 'name': 'a'}}},
    'link to a number': {'size': 0, 'options': {'link': {'bucket': 'b', 'name': 1}}},
    'link to NUL': {'size': 0, 'options': {'link': {'bucket': 'b', 'name': '\0'}}},
    'metadata': {'size': 3, 'chunks': 1, 'metadata': {'natsev.codec': 'zlib', 'natsev.size': 'x'}},
    'headers': {'size': 3, 'chunks': 1, 'headers': {'a': [1, None], 'b': 'c'}},
    'deleted': {'size': 3, 'chunks': 1, 'deleted': 'yes'},
    'surrogate': {'size': 3, 'chunks': 1, 'description': '\ud800'},
}
PAYLOADS = {name: json.dumps({'nuid': 'n1', **body}).encode() for name, body in BODIES.items()}
PAYLOADS |= {
    'deep': DEEP,
    'deep inside': b'{"nuid":"n1","size":3,"chunks":1,"x":' + DEEP + b'}',
    'not JSON': b'\xff\xfe\0',
    'no object': b'[]',
    'NaN': b'{"nuid":"n1","size":NaN}',
    'long number': b'{"nuid":"n1","size":' + b'9' * 10_000 + b'}',
}


@pytest.mark.parametrize('payload', PAYLOADS.values(), ids=PAYLOADS)
def test_hostile_metadata(run, store, inside, payload, tmp_path):
    inside.write_chunks('n1', b'abc')
    inside.publish(inside.meta_subject('a'), payload)
    good = put(run, store, 'good', b'good')
    path = tmp_path / 'a'
    tracemalloc.start()
    try:
        data, err, _ = run.call(store.get, 'a', into=path)
        assert err is None or isinstance(err, NatsError)
        assert path.exists() == (data is not None)
        assert list(tmp_path.iterdir()) == ([path] if data is not None else [])
        _, err = run.call(store.info, 'a')
        assert err is None or isinstance(err, InvalidMetaError)
        # What is broken hides nothing else.
        assert 'good' in run.call(store.list)[0]
        assert run.call(store.infos, ['good'])[0][0]['seq'] == good['seq']
        _, err = run.call(store.update_meta, 'a', {'description': 'd'})
        assert err is None or isinstance(err, NatsError)
        _, err = run.call(store.sweep, older_than=0)
        assert err is None
        _, err = run.call(store.export_bucket, io.BytesIO())
        assert err is None
        _, err = run.call(store.sync_from_bucket, tmp_path / 'd')
        assert err is None
        assert (tmp_path / 'd' / 'good').read_bytes() == b'good'
        assert tracemalloc.get_traced_memory()[1] < 30_000_000
    finally:
        tracemalloc.stop()
    # It can be replaced, and deleted.
    put(run, store, 'a', b'new')
    assert run.call(store.get, 'a')[0] == b'new'
    assert run.call(store.delete, 'a')[1] is None
    assert run.call(store.get, 'good')[0] == b'good'


@pytest.mark.parametrize('name', ['nul\0', '\r\n', '../..', ' ', '*', '>', '.', 'a' * 2000, '💾'])
def test_any_text_is_a_name(run, store, name):
    put(run, store, name, b'abc')
    assert run.call(store.get, name)[0] == b'abc'
    assert run.call(store.list)[0] == [name]
    assert run.call(store.infos, [name])[0][0]['name'] == name
    assert run.call(store.update_meta, name, {'name': 'x'})[1] is None
    assert run.call(store.delete, 'x') == (True, None)


@pytest.mark.parametrize('name', ['', '\ud800', 'a' * 5000, None, b'a', 1])
def test_what_is_no_name(store, name):
    for call in (
        lambda: store.put(name, b'', print),
        lambda: store.get(name, print),
        lambda: store.info(name, print),
        lambda: store.infos([name], print),
        lambda: store.delete(name, print),
        lambda: store.update_meta(name, {}, print),
        lambda: store.link(name, 'a', print),
        lambda: store.versions(name, print),
    ):
        with pytest.raises((TypeError, ValueError)):
            call()


def test_links_of_links_without_end(run, store, inside):
    for number in range(100):
        link = {'bucket': store.bucket, 'name': f'{number + 1}'}
        inside.write_meta(f'{number}', size=0, chunks=0, options={'link': link})
    _, err, _ = run.call(store.get, '0')
    assert isinstance(err, LinkError)
    assert 'more than' in str(err)


def test_an_object_that_says_it_is_larger_than_it_is(run, store, inside, tmp_path):
    inside.write_chunks('na', b'x' * 100_000)
    inside.write_meta('a', size=1 << 40, chunks=1)
    for options in ({}, {'into': tmp_path / 'a'}, {'offset': 10, 'length': 1 << 39}):
        data, err, _ = run.call(store.get, 'a', **options)
        assert data is None
        assert isinstance(err, MissingChunks | DigestMismatch)
    assert list(tmp_path.iterdir()) == []


def test_an_object_that_says_it_is_smaller_than_it_is(run, store, inside):
    inside.write_chunks('na', *[b'x' * 100_000] * 10)
    inside.write_meta('a', size=5, chunks=1)
    data, err, _ = run.call(store.get, 'a')
    assert data is None
    assert isinstance(err, DigestMismatch)


# Files.


@pytest.fixture
def small_disk() -> Iterator[None]:
    """No file can be larger than 100 kB."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, hard))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_full_disk(run, store, small_disk, tmp_path):
    put(run, store, 'a', b'x' * 500_000)
    put(run, store, 'b', b'small')
    path = tmp_path / 'a'
    path.write_bytes(b'old')
    data, err, _ = run.call(store.get, 'a', into=path)
    assert data is None
    assert isinstance(err, ObjectStoreError)
    assert isinstance(err.__cause__, OSError)
    assert 'cannot write' in str(err)
    assert path.read_bytes() == b'old'
    assert list(tmp_path.iterdir()) == [path]
    report, err = run.call(store.sync_from_bucket, tmp_path / 'd')
    assert err is None
    assert [one['name'] for one in report['failed']] == ['a']
    assert [p.name for p in (tmp_path / 'd').iterdir()] == ['b']
    _, err = run.call(store.export_bucket, tmp_path / 'archive')
    assert isinstance(err, ObjectStoreError)
    assert not (tmp_path / 'archive').exists()


def test_sources_that_cannot_be_read(run, store, inside, tmp_path):
    class Broken(io.RawIOBase):
        left = 5

        def readinto(self, buffer):
            self.left -= 1
            if not self.left:
                raise OSError(5, 'Input/output error')
            buffer[:] = b'x' * len(buffer)
            return len(buffer)

        def readable(self):
            return True

    def broken_pieces():
        yield b'x' * 500_000
        raise RuntimeError('mine')

    for source in (tmp_path / 'none', tmp_path, Broken(), broken_pieces()):
        info, err = run.call(store.put, 'a', source)
        assert info is None
        assert isinstance(err, ObjectStoreError)
        assert isinstance(err.__cause__, OSError | RuntimeError)
    assert inside.metas() == {}
    assert inside.chunks() == {}


@pytest.mark.parametrize('change', ['grow', 'shrink', 'touch'])
def test_sources_that_change(run, store, inside, tmp_path, change):
    path: Path = tmp_path / 'a'
    path.write_bytes(b'x' * 1_000_000)

    def progress(done: int, total: int) -> None:
        if done > 300_000 and path.stat().st_size == 1_000_000:
            if change == 'grow':
                with path.open('ab') as file:
                    file.write(b'y' * 10)
            else:
                path.write_bytes(b'z' * (1_000_000 if change == 'touch' else 10))

    _, err = run.call(store.put, 'a', path, progress=progress, chunk_size=1000)
    if err is None:  # all of it had been read before
        assert run.call(store.get, 'a')[0] == b'x' * 1_000_000
    else:
        assert isinstance(err, ObjectStoreError)
        assert 'changed while it was read' in str(err)
        assert inside.metas() == {}
        assert inside.chunks() == {}
