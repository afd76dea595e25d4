"""Files that a thread reads ahead of what is sent."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

from natsev import Cancelled, ObjectStoreError
from natsev.objectstore.source import PathFile

DATA = os.urandom(9_000_001)


@pytest.fixture
def path(tmp_path):
    path = tmp_path / 'file'
    path.write_bytes(DATA)
    return path


@pytest.fixture
def slow_disk(monkeypatch):
    """Reads that wait until ``go`` is set; ``reading`` tells that one does."""

    class SlowDisk:
        go = threading.Event()
        reading = threading.Event()

    read_at = PathFile.read_at

    def wait_and_read(self, at, size):
        SlowDisk.reading.set()
        assert SlowDisk.go.wait(30)
        return read_at(self, at, size)

    monkeypatch.setattr(PathFile, 'read_at', wait_and_read)
    monkeypatch.setattr(PathFile, 'in_memory', lambda *_: False)
    yield SlowDisk
    SlowDisk.go.set()


def open_files():
    return len(os.listdir('/dev/fd'))


def forget(path):
    """Let the system forget what it has of *path*, where it can be asked to."""
    if hasattr(os, 'posix_fadvise'):
        with path.open('rb') as file:
            os.fsync(file.fileno())
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


@pytest.mark.parametrize('size', [0, 1, 2**20, 2**20 + 1, 3 * 2**20, len(DATA)])
@pytest.mark.parametrize('chunk_size', [65_537, 131_072, 700_000])
@pytest.mark.parametrize('cold', [False, True])
def test_files_of_all_sizes(run, store, path, size, chunk_size, cold):
    path.write_bytes(DATA[:size])
    if cold:
        forget(path)
    info, err = run.call(store.put, 'a', path, chunk_size=chunk_size)
    assert (err, info['size']) == (None, size)
    assert run.call(store.get, 'a')[:2] == (DATA[:size], None)


def test_the_loop_goes_on_while_the_disk_makes_it_wait(run, store, path, slow_disk):
    results = []
    store.put('a', path, lambda *result: results.append(result))
    run.until(slow_disk.reading.is_set)
    assert run.call(store.put, 'b', b'small')[1] is None
    assert results == []
    slow_disk.go.set()
    run.until(lambda: results)
    assert results[0][1] is None
    assert run.call(store.get, 'a')[:2] == (DATA, None)


def test_a_slow_disk_is_not_a_late_server(run, make_store, server, path, slow_disk):
    store = make_store(server, timeout=200)
    results = []
    store.put('a', path, lambda *result: results.append(result))
    timer = store._bucket.nats.port.timer(slow_disk.go.set)
    timer.start(1.0)
    run.until(lambda: results)
    timer.close()
    assert results[0][1] is None


def test_cancelled_while_it_is_read(run, store, inside, path, slow_disk):
    before = open_files()
    results = []
    transfer = store.put('a', path, lambda *result: results.append(result))
    run.until(slow_disk.reading.is_set)
    transfer.cancel()
    run.until(lambda: results)
    assert isinstance(results[0][1], Cancelled)
    slow_disk.go.set()
    run.until(lambda: open_files() == before)  # the thread closes what it reads
    assert inside.chunks() == {}


def test_the_same_is_not_stored_again(run, store, path):
    info, _ = run.call(store.put, 'a', path)
    again, err = run.call(store.put, 'a', path, skip_same=True)
    assert (err, again['seq']) == (None, info['seq'])
    changed = bytearray(DATA)
    changed[-1] ^= 1
    path.write_bytes(changed)
    other, err = run.call(store.put, 'a', path, skip_same=True)
    assert err is None
    assert other['seq'] > info['seq']
    assert run.call(store.get, 'a')[0] == changed


def test_paused_while_it_is_compared(run, store, path, slow_disk):
    slow_disk.go.set()
    info, _ = run.call(store.put, 'a', path)
    slow_disk.go.clear()
    slow_disk.reading.clear()
    results = []
    transfer = store.put('a', path, lambda *result: results.append(result), skip_same=True)
    run.until(slow_disk.reading.is_set)
    transfer.pause()
    slow_disk.go.set()
    run.turns(3)
    assert results == []
    transfer.resume()
    run.until(lambda: results)
    assert results[0][0]['seq'] == info['seq']


@pytest.mark.parametrize('change', [lambda data: data[:-1], lambda data: data + b'x'])
def test_changed_while_it_is_read(run, store, inside, path, slow_disk, change):
    results = []
    store.put('a', path, lambda *result: results.append(result))
    run.until(slow_disk.reading.is_set)
    path.write_bytes(change(DATA))
    slow_disk.go.set()
    run.until(lambda: results)
    info, err = results[0]
    assert info is None
    assert isinstance(err, ObjectStoreError)
    assert 'changed while it was read' in str(err)
    inside.await_chunks({})


def test_encoded(run, server, make_store, path):
    store = make_store(server, codec='zlib')
    assert run.call(store.put, 'a', path)[1] is None
    assert run.call(store.get, 'a')[:2] == (DATA, None)


def test_no_such_file(run, store, tmp_path):
    _, err = run.call(store.put, 'a', Path(tmp_path / 'none'))
    assert isinstance(err, ObjectStoreError)
    assert isinstance(err.__cause__, FileNotFoundError)
