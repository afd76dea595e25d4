"""Transfers that another process goes on with."""

from __future__ import annotations

import errno
import os
import resource
import signal
import subprocess
import sys

import pytest

from natsev import (
    BucketNotFoundError,
    Cancelled,
    DigestMismatch,
    DisconnectedError,
    JetStream,
    MissingChunks,
    ObjectStore,
    ObjectStoreError,
    RequestTimeout,
)
from natsev.objectstore.journal import Journal
from natsev.objectstore.reading.resume_get import PartFile, ResumedGet
from natsev.objectstore.storing.put import Put
from natsev.objectstore.storing.resume_put import ResumedPut

DATA = os.urandom(30_000_000)
CHUNK = 131_072

# Another process: it begins a transfer, and says so when a part is done.
PROGRAM = """
import sys
from pathlib import Path
from natsev import ev, JetStream, Nats, ObjectStore

port, bucket, what, path, part = sys.argv[1:]
nats = Nats(host='127.0.0.1', port=int(port))
store = ObjectStore(js=JetStream(nats=nats), bucket=bucket)

def progress(done, total):
    if done >= int(part):
        print('part', flush=True)
        transfer.pause()

def ended(*result):
    print('ended', result[1], flush=True)
    nats.disconnect()

if what == 'put':
    transfer = store.put('a', Path(path), ended, progress=progress, resume=True)
else:
    transfer = store.get('a', ended, into=Path(path), progress=progress, resume=True)
ev.run()
"""


def half(server, store, what, path, part, how=signal.SIGKILL):
    """Have another process do a part of it, and die."""
    process = subprocess.Popen(
        [sys.executable, '-c', PROGRAM, str(server.port), store.bucket, what, path, str(part)],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == 'part\n'
    process.send_signal(how)
    process.wait()
    process.stdout.close()


@pytest.fixture
def path(tmp_path):
    path = tmp_path / 'data'
    path.write_bytes(DATA)
    return path


@pytest.mark.parametrize('part', [1, 10_000_000, 29_900_000])
def test_put(run, server, store, inside, path, part):
    half(server, store, 'put', path, part)
    before = inside.chunks()
    assert next(iter(before.values())) > 0
    assert inside.metas() == {}
    steps = []
    info, err = run.call(
        store.put, 'a', path, resume=True, progress=lambda *step: steps.append(step)
    )
    assert err is None
    assert {info['nuid']} == before.keys()
    assert inside.chunks() == {info['nuid']: 229}
    assert steps[0][0] >= part // CHUNK * CHUNK
    assert run.call(store.get, 'a')[0] == DATA
    assert os.listdir(path.parent) == ['data']


def test_put_in_place_of_another(run, store, inside, path):
    run.call(store.put, 'a', b'old' * 100_000)
    info, err = run.call(store.put, 'a', path, resume=True)
    assert err is None
    inside.await_chunks({info['nuid']: 229})


def test_put_again_and_again(run, server, store, inside, path):
    for part in (3_000_000, 9_000_000, 20_000_000):
        half(server, store, 'put', path, part)
    info, err = run.call(store.put, 'a', path, resume=True)
    assert err is None
    assert inside.chunks() == {info['nuid']: 229}
    assert run.call(store.get, 'a')[0] == DATA


@pytest.mark.parametrize('change', ['bytes', 'size', 'chunk_size', 'name'])
def test_put_of_what_has_changed(run, server, store, inside, path, change):
    half(server, store, 'put', path, 5_000_000)
    data, options, name = DATA, {}, 'a'
    if change == 'bytes':
        data = DATA[::-1]
        path.write_bytes(data)
        os.utime(path, (1, 1))
    elif change == 'size':
        data = DATA[:-1]
        path.write_bytes(data)
    elif change == 'name':
        name = 'b'
    else:
        options = {'chunk_size': 100_000}
    info, err = run.call(store.put, name, path, resume=True, **options)
    assert err is None
    assert run.call(store.get, name)[0] == data
    if change == 'name':
        assert len(inside.chunks()) == 2  # another put may still go on with what was begun
    else:
        inside.await_chunks({info['nuid']: info['chunks']})


def test_put_behind_a_hole(run, server, store, inside, path):
    half(server, store, 'put', path, 10_000_000)
    (nuid,) = inside.chunks()
    seqs = inside.chunk_seqs(nuid)
    inside.delete_message(seqs[20])
    inside.publish(inside.chunk_subject(nuid), b'from nowhere')
    for attempt in ('\u00b2', '9' * 5000):
        msg_id = {'Nats-Msg-Id': f'{nuid}.900.{attempt}'}
        inside.publish(inside.chunk_subject(nuid), b'from nowhere either', msg_id)
    info, err = run.call(store.put, 'a', path, resume=True)
    assert err is None
    assert info['nuid'] == nuid
    assert inside.chunks() == {nuid: 229}
    assert run.call(store.get, 'a')[0] == DATA


def test_put_whose_chunks_are_gone(run, server, store, inside, path):
    half(server, store, 'put', path, 10_000_000)
    (nuid,) = inside.chunks()
    inside.call(inside.js.stream_purge, inside.stream, {'filter': inside.chunk_subject(nuid)})
    info, err = run.call(store.put, 'a', path, resume=True)
    assert err is None
    assert info['nuid'] != nuid
    assert run.call(store.get, 'a')[0] == DATA


def test_put_that_was_all_there(run, store, inside, path):
    """The process died between the metadata and its journal's end."""
    journal = path.with_name('.data.put')
    kept = []

    def progress(done, total):
        kept.append(journal.read_bytes())

    first, _ = run.call(store.put, 'a', path, resume=True, progress=progress)
    assert not journal.exists()
    journal.write_bytes(kept[0])
    info, err = run.call(store.put, 'a', path, resume=True)
    assert err is None
    assert info['nuid'] == first['nuid']
    assert run.call(store.get, 'a')[0] == DATA
    assert inside.chunks() == {first['nuid']: 229}


@pytest.mark.parametrize('changed', [False, True])
@pytest.mark.parametrize('again', [False, True])
def test_put_that_was_all_there_and_was_renamed(
    run, store, inside, path, monkeypatch, changed, again
):
    """The process died before its journal's end; its chunks are those of another name now."""
    journal = path.with_name('.data.put')
    with monkeypatch.context() as patch:
        patch.setattr(Journal, 'remove', Journal.close)
        first, err = run.call(store.put, 'a', path, resume=True)
        assert err is None
    assert journal.exists()
    assert run.call(store.update_meta, 'a', {'name': 'b'})[1] is None
    if again:
        assert run.call(store.put, 'a', b'x')[1] is None
    if changed:
        path.write_bytes(DATA[::-1])
    info, err = run.call(store.put, 'a', path, resume=True)
    assert err is None
    assert info['nuid'] != first['nuid']
    assert run.call(store.delete, 'a') == (True, None)
    inside.await_chunks({first['nuid']: 229})
    assert run.call(store.get, 'b')[:2] == (DATA, None)
    assert not journal.exists()


@pytest.mark.parametrize('changed', [False, True])
def test_put_whose_metadata_was_not_stored(run, store, inside, path, monkeypatch, changed):
    """Though it was about to be: the chunks that are there are kept, or purged."""
    run.call(store.put, 'a', b'old')

    def fall_silent(put):
        put.fail(RequestTimeout())

    with monkeypatch.context() as patch:
        patch.setattr(Put, '_commit', fall_silent)
        assert isinstance(run.call(store.put, 'a', path, resume=True)[1], RequestTimeout)
    before = {nuid for nuid, count in inside.chunks().items() if count > 1}
    if changed:
        path.write_bytes(DATA[::-1])
    info, err = run.call(store.put, 'a', path, resume=True)
    assert err is None
    assert ({info['nuid']} == before) is not changed
    inside.await_chunks({info['nuid']: 229})


def test_a_disconnected_put_can_be_gone_on_with(run, connect, store, inside, path):
    nats = connect()
    other = ObjectStore(js=JetStream(nats=nats), bucket=store.bucket)
    results = []

    def progress(done, total):
        if done > 5_000_000:
            nats.disconnect()

    other.put('a', path, lambda *r: results.append(r), resume=True, progress=progress)
    run.until(lambda: results)
    assert isinstance(results[0][1], DisconnectedError)
    (before,) = inside.chunks()
    info, err = run.call(store.put, 'a', path, resume=True)
    assert err is None
    assert info['nuid'] == before


def test_a_cancelled_put_leaves_nothing(run, store, inside, path):
    transfer = store.put(
        'a',
        path,
        lambda *result: run.done(result),
        resume=True,
        progress=lambda done, total: transfer.cancel(),
    )
    assert isinstance(run()[1], Cancelled)
    assert inside.chunks() == {}
    assert os.listdir(path.parent) == ['data']


def test_a_journal_elsewhere(run, store, path, tmp_path):
    places = []
    journal = tmp_path / 'journal'
    run.call(
        store.put,
        'a',
        path,
        resume=journal,
        progress=lambda done, total: places.append(journal.exists()),
    )
    assert all(places)
    assert not journal.exists()


def test_a_file_that_got_its_old_time_back(run, server, store, inside, path):
    half(server, store, 'put', path, 5_000_000)
    before = path.stat()
    path.write_bytes(DATA[::-1])
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    info, err = run.call(store.put, 'a', path, resume=True)
    assert err is None
    assert run.call(store.get, 'a')[:2] == (DATA[::-1], None)
    inside.await_chunks({info['nuid']: 229})


def test_a_put_that_cannot_begin_leaves_what_another_has_stored(
    run, server, store, js, unique, inside, path
):
    half(server, store, 'put', path, 10_000_000)
    (nuid,) = inside.chunks()
    elsewhere = ObjectStore(js=js, bucket=unique + '-no')
    assert isinstance(run.call(elsewhere.put, 'a', path, resume=True)[1], BucketNotFoundError)
    moved = path.rename(path.with_name('moved'))
    assert isinstance(run.call(store.put, 'a', path, resume=True)[1], ObjectStoreError)
    moved.rename(path)
    assert path.with_name('.data.put').exists()
    assert inside.chunks().keys() == {nuid}


@pytest.mark.parametrize('what', ['put', 'get'])
def test_one_at_a_time(run, server, store, path, what):
    """Two would cut off, or purge, what the other one relies upon."""
    if what == 'get':
        run.call(store.put, 'a', DATA)
        path.unlink()

    def begin(cb, progress=None):
        if what == 'put':
            return store.put('a', path, cb, resume=True, progress=progress)
        return store.get('a', cb, into=path, resume=True, progress=progress)

    def began(done, total):
        if done < 3_000_000:
            first.pause()
            begin(second)

    def second(result, err, meta=None):
        assert isinstance(err, ObjectStoreError)
        assert 'another transfer is under way' in str(err)
        first.resume()

    ends = []
    first = begin(lambda *results: ends.append(results), began)
    run.until(lambda: ends)
    assert ends[0][1] is None
    assert path.read_bytes() == DATA
    assert run.call(store.get, 'a')[:2] == (DATA, None)
    assert os.listdir(path.parent) == ['data']


@pytest.mark.parametrize(
    'rubbish', [b'', b'\xff' * 10, b'\x81\xa7version\x09', b'\x93\x01\x02\x03']
)
def test_a_journal_that_is_none(run, store, path, rubbish):
    path.with_name('.data.put').write_bytes(rubbish)
    assert run.call(store.put, 'a', path, resume=True)[1] is None
    assert run.call(store.get, 'a')[0] == DATA


# Downloads.


@pytest.mark.parametrize('part', [1, 10_000_000, 29_900_000])
def test_get(run, server, store, tmp_path, part):
    run.call(store.put, 'a', DATA)
    path = tmp_path / 'out'
    half(server, store, 'get', path, part)
    assert sorted(os.listdir(tmp_path)) == ['.out.part', '.out.part.journal']
    steps = []
    stats = store._bucket.nats.stats
    before = stats()['bytes_in']
    count, err, _ = run.call(
        store.get, 'a', into=path, resume=True, progress=lambda *step: steps.append(step)
    )
    assert (count, err) == (len(DATA), None)
    assert path.read_bytes() == DATA
    assert os.listdir(tmp_path) == ['out']
    assert stats()['bytes_in'] - before < len(DATA) - part // CHUNK * CHUNK + 1_000_000


def test_get_again_and_again(run, server, store, tmp_path):
    run.call(store.put, 'a', DATA)
    path = tmp_path / 'out'
    for part in (3_000_000, 9_000_000, 20_000_000):
        half(server, store, 'get', path, part)
    assert run.call(store.get, 'a', into=path, resume=True)[1] is None
    assert path.read_bytes() == DATA


@pytest.mark.parametrize('size', [0, 10, CHUNK])
def test_get_of_little(run, store, tmp_path, size):
    run.call(store.put, 'a', DATA[:size])
    path = tmp_path / 'out'
    (tmp_path / '.out.part').write_bytes(b'what is this')
    assert run.call(store.get, 'a', into=path, resume=True)[:2] == (size, None)
    assert path.read_bytes() == DATA[:size]
    assert os.listdir(tmp_path) == ['out']


def test_get_of_another_object(run, server, store, tmp_path):
    run.call(store.put, 'a', DATA)
    path = tmp_path / 'out'
    half(server, store, 'get', path, 10_000_000)
    run.call(store.put, 'a', DATA[::-1])
    assert run.call(store.get, 'a', into=path, resume=True)[1] is None
    assert path.read_bytes() == DATA[::-1]


def test_a_part_that_was_altered_is_read_anew(run, server, store, tmp_path):
    run.call(store.put, 'a', DATA)
    path = tmp_path / 'out'
    half(server, store, 'get', path, 10_000_000)
    with (tmp_path / '.out.part').open('r+b') as file:
        file.write(b'altered')
    assert run.call(store.get, 'a', into=path, resume=True)[1] is None
    assert path.read_bytes() == DATA
    assert os.listdir(tmp_path) == ['out']


def test_a_part_that_is_too_long(run, server, store, tmp_path):
    run.call(store.put, 'a', DATA)
    path = tmp_path / 'out'
    half(server, store, 'get', path, 10_000_000)
    with (tmp_path / '.out.part').open('ab') as file:
        file.write(b'x' * 50_000_000)
    assert run.call(store.get, 'a', into=path, resume=True)[1] is None
    assert path.read_bytes() == DATA


def test_hopeless_gets_leave_nothing(run, store, inside, tmp_path):
    path = tmp_path / 'out'
    assert run.call(store.get, 'no', into=path, resume=True) == (None, None, None)
    inside.write_chunks('na', b'x' * 10, b'y' * 10)
    inside.write_meta('a', size=20, chunks=2, digest='SHA-256=' + 'A' * 43 + '=')
    assert isinstance(run.call(store.get, 'a', into=path, resume=True)[1], DigestMismatch)
    inside.write_meta('a', size=25, chunks=3)
    assert isinstance(run.call(store.get, 'a', into=path, resume=True)[1], MissingChunks)
    assert os.listdir(tmp_path) == []


def test_a_part_that_is_cut_off_while_it_is_hashed(run, server, store, tmp_path, monkeypatch):
    run.call(store.put, 'a', DATA)
    path = tmp_path / 'out'
    half(server, store, 'get', path, 20_000_000)
    indexed = ResumedGet._indexed

    def cut_off(self, index):
        with monkeypatch.context() as patch:
            patch.setattr(PartFile, 'there', 20_000_000)
            os.truncate(tmp_path / '.out.part', 1_000_000)
            indexed(self, index)

    monkeypatch.setattr(ResumedGet, '_indexed', cut_off)
    err = run.call(store.get, 'a', into=path, resume=True)[1]
    assert isinstance(err, ObjectStoreError)
    assert 'cut off' in str(err)


def test_an_object_that_is_deleted_meanwhile_leaves_no_part(run, store, tmp_path):
    run.call(store.put, 'a', DATA)
    began = []

    def begin(done, total):
        if not began:
            began.append(done)
            transfer.pause()
            store.delete('a', lambda ok, err: transfer.resume())

    path = tmp_path / 'out'
    transfer = store.get(
        'a', lambda *results: run.done(results), into=path, resume=True, progress=begin
    )
    assert run() == (None, None, None)
    assert os.listdir(tmp_path) == []


@pytest.fixture
def full_disk():
    """``full_disk(size)``: no file can have more bytes; ``full_disk(None)``: as before."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)

    def set_limit(size):
        soft = before[0] if size is None else size
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, before[1]))

    yield set_limit
    set_limit(None)


@pytest.mark.parametrize('most', [0, 10, 1000, 10_000_000])
def test_a_get_to_a_full_disk(run, store, tmp_path, full_disk, most):
    run.call(store.put, 'a', DATA)
    path = tmp_path / 'out'
    full_disk(most)
    for resume in (False, True):
        err = run.call(store.get, 'a', into=path, resume=resume)[1]
        assert err.__cause__.errno in (errno.EFBIG, errno.ENOSPC)
    full_disk(None)
    assert not path.exists()
    assert run.call(store.get, 'a', into=path, resume=True)[1] is None
    assert path.read_bytes() == DATA
    assert os.listdir(tmp_path) == ['out']


@pytest.mark.parametrize('most', [0, 10])
def test_a_put_with_its_journal_on_a_full_disk(run, store, inside, path, full_disk, most):
    full_disk(most)
    err = run.call(store.put, 'a', path, resume=True)[1]
    assert err.__cause__.errno in (errno.EFBIG, errno.ENOSPC)
    assert 'cannot keep the journal' in str(err)
    full_disk(None)
    assert inside.chunks() == {}
    assert run.call(store.put, 'a', path, resume=True)[1] is None
    assert os.listdir(path.parent) == ['data']


def test_over_lost_connections(run, server, proxy, connect, store, tmp_path):
    run.call(store.put, 'a', DATA)
    path = tmp_path / 'out'
    half(server, store, 'get', path, 10_000_000)
    between = proxy(server)
    nats = connect(port=between.port, reconnect=True, reconnect_delay=10)
    far = ObjectStore(js=JetStream(nats=nats), bucket=store.bucket)
    between.cut_after(5_000_000)
    assert run.call(far.get, 'a', into=path, resume=True)[1] is None
    assert path.read_bytes() == DATA


@pytest.mark.parametrize(
    'call, error',
    [
        (lambda store, path: store.put('a', b'x', print, resume=True), TypeError),
        (lambda store, path: store.put('a', path, print, resume=True, atomic=True), ValueError),
        (lambda store, path: store.get('a', print, resume=True), TypeError),
        (lambda store, path: store.get('a', print, into=path, resume=True, offset=1), ValueError),
    ],
)
def test_wrong_arguments(store, path, call, error):
    with pytest.raises(error):
        call(store, path)


def test_an_encoded_object_is_read_anew(run, server, js, store, tmp_path):
    coded = ObjectStore(js=js, bucket=store.bucket, codec='zlib')
    assert run.call(coded.put, 'a', DATA)[1] is None
    path = tmp_path / 'out'
    half(server, store, 'get', path, 10_000_000)
    assert run.call(coded.get, 'a', into=path, resume=True)[1] is None
    assert path.read_bytes() == DATA
    with pytest.raises(ValueError, match='codec'):
        coded.put('a', path, print, resume=True)


def test_put_whose_connection_is_lost_while_it_hashes(run, server, store, path, monkeypatch):
    half(server, store, 'put', path, 29_000_000)
    hash_stored, turns = ResumedPut._hash_stored, []

    def hash_and_lose(self, left, epoch):
        turns.append(left)
        if len(turns) == 3:
            store._bucket.nats.reconnect_now()
        hash_stored(self, left, epoch)

    monkeypatch.setattr(ResumedPut, '_hash_stored', hash_and_lose)
    store._bucket.nats.reconnect(True, 10)
    info, err = run.call(store.put, 'a', path, resume=True)
    assert err is None
    assert info['chunks'] == -(-len(DATA) // CHUNK)
    assert turns.count(turns[0]) == 2
    assert run.call(store.get, 'a')[:2] == (DATA, None)
