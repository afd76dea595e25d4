"""Buckets to files and back."""

from __future__ import annotations

import errno
import io
import json
import os
import resource
from datetime import datetime, timezone
from pathlib import Path
from threading import Event
from typing import Any

import msgpack
import pytest

from natsev import (
    BucketNotFoundError,
    Cancelled,
    DisconnectedError,
    JetStream,
    ObjectStore,
    ObjectStoreError,
)
from natsev.objectstore import sink
from natsev.objectstore.archive import layout
from natsev.objectstore.archive.exporting import Export, part_of


def put(run: Any, store: ObjectStore, name: str, data: Any = b'x', **options: Any) -> Any:
    info, err = run.call(store.put, name, data, **options)
    assert err is None, err
    return info


@pytest.fixture
def target(run, js, unique):
    """An empty bucket."""
    store = ObjectStore(js=js, bucket=unique + 'target')
    assert run.call(store.create_bucket, {})[1] is None
    yield store
    run.call(store.delete_bucket)


OBJECTS = {
    'small': b'abc',
    'empty': b'',
    'chunks': bytes(range(256)) * 2000,
    'dir/ü': 'ü'.encode() * 10,
}


@pytest.fixture
def filled(run, store, inside):
    """A bucket with objects, a link, a deleted object, and metadata of all sorts."""
    for name, data in OBJECTS.items():
        put(run, store, name, data, description=name, headers={'H': ['1', '2']})
    run.call(store.update_meta, 'small', {'metadata': {'k': 'v'}})
    run.call(store.link, 'link', 'small')
    put(run, store, 'gone')
    run.call(store.delete, 'gone')
    return store


def contents(run: Any, store: ObjectStore) -> dict[str, bytes]:
    return {name: run.call(store.get, name)[0] for name in run.call(store.list)[0]}


def export(run: Any, store: ObjectStore, **options: Any) -> bytes:
    file = io.BytesIO()
    _, err = run.call(store.export_bucket, file, **options)
    assert err is None, err
    return file.getvalue()


def records(data: bytes) -> list[Any]:
    return list(msgpack.Unpacker(io.BytesIO(data)))


def test_there_and_back(run, filled, target, tmp_path):
    path = tmp_path / 'a.archive'
    report, err = run.call(filled.export_bucket, path)
    assert err is None
    size = sum(map(len, OBJECTS.values()))
    assert report == {'objects': 5, 'bytes': size, 'failed': []}
    assert [p.name for p in tmp_path.iterdir()] == ['a.archive']
    report, err = run.call(target.import_bucket, path)
    assert err is None
    assert report == {
        'objects': 5,
        'bytes': size,
        'unchanged': 0,
        'conflicts': [],
        'dry_run': False,
    }
    assert contents(run, target) == {**OBJECTS, 'link': b'abc'}
    old, new = run.call(filled.info, 'small')[0], run.call(target.info, 'small')[0]
    for key in (
        'name',
        'description',
        'headers',
        'metadata',
        'options',
        'size',
        'chunks',
        'digest',
    ):
        assert old[key] == new[key]
    assert old['nuid'] != new['nuid']
    link = run.call(target.info, 'link')[0]['options']['link']
    assert link == {'bucket': target.bucket, 'name': 'small'}


def test_the_format(run, filled):
    found = records(export(run, filled))
    assert found[0][:2] == ['natsev-archive', 1]
    assert found[0][2]['bucket'] == filled.bucket
    assert found[0][2]['config']['storage'] == 'file'
    kinds = [one[0] for one in found[1:]]
    assert kinds[-1] == 'trailer'
    assert found[-1][1:3] == [5, sum(map(len, OBJECTS.values()))]
    bodies = [json.loads(one[1]) for one in found if one[0] == 'object']
    assert sorted(body['name'] for body in bodies) == ['chunks', 'dir/ü', 'empty', 'link', 'small']
    seqs = [one[2] for one in found if one[0] == 'object']
    assert seqs == sorted(seqs)


def test_an_empty_bucket(run, store, target):
    data = export(run, store)
    assert [one[0] for one in records(data)] == ['natsev-archive', 'trailer']
    assert run.call(target.import_bucket, io.BytesIO(data))[0]['objects'] == 0


def test_of_a_prefix(run, filled):
    found = records(export(run, filled, prefix='dir/'))
    assert [one[0] for one in found] == ['natsev-archive', 'object', 'chunk', 'end', 'trailer']


def test_every_byte_that_is_altered_is_noticed_before_anything_is_stored(
    run, store, target, inside_of
):
    put(run, store, 'a', b'abc', description='d')
    data = export(run, store)
    inside = inside_of(target)
    for at in range(len(data)):
        altered = bytearray(data)
        altered[at] ^= 1
        report, err = run.call(target.import_bucket, io.BytesIO(altered))
        assert report is None, at
        assert isinstance(err, ObjectStoreError)
        assert 'the archive cannot be used' in str(err)
    assert inside.metas() == inside.chunks() == {}


def test_wherever_it_is_cut_off_that_is_noticed(run, store, target, inside_of):
    put(run, store, 'a', b'abc')
    put(run, store, 'b', b'')
    data = export(run, store)
    for size in range(len(data)):
        _, err = run.call(target.import_bucket, io.BytesIO(data[:size]))
        assert isinstance(err, ObjectStoreError), size
    _, err = run.call(target.import_bucket, io.BytesIO(data + b'\x90'))
    assert 'behind its end' in str(err) or 'no known kind' in str(err)
    assert inside_of(target).metas() == {}


@pytest.mark.parametrize(
    'data',
    [
        b'',
        b'rubbish',
        b'#!/bin/sh\n',
        msgpack.packb(['natsev-archive', 2, {'bucket': 'b'}]),
        msgpack.packb(['natsev-archive', 1, {}]),
        msgpack.packb({'natsev-archive': 1}),
        b'\xdd\xff\xff\xff\xff',  # an array of four thousand million
        b'\xc6\xff\xff\xff\xff' + b'x' * 1000,
        b'\x91' * 5000,
    ],
)
def test_what_is_no_archive(run, target, data):
    report, err = run.call(target.import_bucket, io.BytesIO(data))
    assert report is None
    assert 'the archive cannot be used: it' in str(err)


def test_an_import_is_gone_on_with_by_another(run, filled, target):
    data = export(run, filled)
    put(run, target, 'chunks', OBJECTS['chunks'])
    report, err = run.call(target.import_bucket, io.BytesIO(data))
    assert err is None
    assert (report['objects'], report['unchanged']) == (4, 1)
    report, err = run.call(target.import_bucket, io.BytesIO(data))
    assert (report['objects'], report['unchanged']) == (0, 5)


def test_other_objects_stay_unless_they_are_to_be_overwritten(run, filled, target):
    data = export(run, filled)
    put(run, target, 'small', b'other')
    put(run, target, 'own', b'own')
    report, err = run.call(target.import_bucket, io.BytesIO(data))
    assert (report['conflicts'], err) == (['small'], None)
    assert run.call(target.get, 'small')[0] == b'other'
    report, err = run.call(target.import_bucket, io.BytesIO(data), overwrite=True)
    assert (report['objects'], report['conflicts'], err) == (1, [], None)
    assert contents(run, target) == {**OBJECTS, 'link': b'abc', 'own': b'own'}


def test_a_link_in_place_of_an_object(run, filled, target, inside_of):
    data = export(run, filled)
    put(run, target, 'link', b'x' * 300_000)
    run.call(target.import_bucket, io.BytesIO(data), overwrite=True)
    assert run.call(target.get, 'link')[0] == OBJECTS['small']
    metas = run.call(target.list, details=True)[0]
    inside_of(target).await_chunks(
        {meta['nuid']: meta['chunks'] for meta in metas if meta['chunks']}
    )


def test_a_dry_run_verifies_and_stores_nothing(run, filled, target, inside_of):
    data = export(run, filled)
    report, err = run.call(target.import_bucket, io.BytesIO(data), dry_run=True)
    assert err is None
    assert (report['objects'], report['dry_run']) == (5, True)
    assert inside_of(target).metas() == {}
    assert run.call(target.import_bucket, io.BytesIO(data[:-1]), dry_run=True)[1] is not None


def test_revisions_are_kept_where_asked(run, filled, target):
    data = export(run, filled)
    old = run.call(filled.info, 'small')[0]
    run.call(target.import_bucket, io.BytesIO(data), revisions='keep')
    new = run.call(target.info, 'small')[0]
    assert new['metadata'] == {
        'k': 'v',
        'natsev.origin.nuid': old['nuid'],
        'natsev.origin.seq': str(old['seq']),
        'natsev.origin.time': old['mtime'].isoformat(),
    }


def test_links_to_other_buckets(run, store, target, js, unique):
    far = ObjectStore(js=js, bucket=unique + 'far')
    run.call(far.create_bucket, {})
    put(run, far, 'x')
    run.call(store.link, 'l', 'x', bucket=far.bucket)
    run.call(store.link_bucket, 'm', far.bucket)
    data = export(run, store)
    run.call(target.import_bucket, io.BytesIO(data), buckets={far.bucket: 'new'})
    assert run.call(target.info, 'l')[0]['options']['link'] == {'bucket': 'new', 'name': 'x'}
    assert run.call(target.info, 'm')[0]['options']['link'] == {'bucket': 'new'}
    run.call(far.delete_bucket)


def test_fields_that_nobody_knows_are_carried(run, store, inside, target, inside_of):
    inside.write_meta('a', size=0, chunks=0, future={'x': 1})
    run.call(target.import_bucket, io.BytesIO(export(run, store)))
    assert inside_of(target).body('a')['future'] == {'x': 1}


def test_objects_that_cannot_be_read_are_told(run, store, inside, target):
    broken = put(run, store, 'broken', b'x' * 300, chunk_size=100)
    inside.delete_message(inside.chunk_seqs(broken['nuid'])[1])
    inside.publish(inside.meta_subject('bad'), b'{')
    put(run, store, 'good', b'abc')
    file = io.BytesIO()
    report, err = run.call(store.export_bucket, file)
    assert err is None
    assert report['objects'] == 1
    assert sorted(one['name'] for one in report['failed']) == ['bad', 'broken']
    file.seek(0)
    assert run.call(target.import_bucket, file)[0]['objects'] == 1
    assert contents(run, target) == {'good': b'abc'}


def test_objects_that_change_meanwhile_are_written_as_they_are_then(
    run, store, target, monkeypatch
):
    for name in ('a', 'b', 'c'):
        put(run, store, name, b'old' * 100_000)
    chosen = Export._export
    changed: list[str] = []

    def later(export, entry):
        name = entry.meta['name']
        if name in changed or name == 'c':
            chosen(export, entry)
            return
        changed.append(name)

        def go_on(*_results: Any) -> None:
            export._bucket.nats.flush(lambda err: chosen(export, entry))

        if name == 'a':
            store.put(name, b'new' * 100_000, go_on)
        else:
            store.delete(name, go_on)

    monkeypatch.setattr(Export, '_export', later)
    data = export(run, store)
    assert 'abandoned' in [one[0] for one in records(data)]
    report, err = run.call(target.import_bucket, io.BytesIO(data))
    assert err is None
    assert report['objects'] == 2
    assert contents(run, target) == {'a': b'new' * 100_000, 'c': b'old' * 100_000}


@pytest.mark.parametrize('share', [0.0, 0.3, 0.6, 0.9, 0.999])
def test_an_export_that_broke_off_is_gone_on_with(run, filled, target, tmp_path, share):
    whole = export(run, filled)
    path = tmp_path / 'a.archive'
    header = len(msgpack.packb(records(whole)[0]))
    part_of(path).write_bytes(whole[: max(header, int(len(whole) * share))])
    report, err = run.call(filled.export_bucket, path, resume=True)
    assert err is None
    assert report['objects'] == 5
    assert [p.name for p in tmp_path.iterdir()] == ['a.archive']
    assert run.call(target.import_bucket, path)[0]['objects'] == 5
    assert contents(run, target) == {**OBJECTS, 'link': b'abc'}


def test_a_resume_of_nothing_of_all_and_of_another_bucket(run, filled, target, tmp_path):
    path = tmp_path / 'a.archive'
    assert run.call(filled.export_bucket, path, resume=True)[0]['objects'] == 5
    path.rename(part_of(path))
    assert run.call(filled.export_bucket, path, resume=True)[0]['objects'] == 5
    path.rename(part_of(path))
    _, err = run.call(target.export_bucket, path, resume=True)
    assert 'it is of the bucket' in str(err)
    part_of(path).write_bytes(b'rubbish')
    _, err = run.call(filled.export_bucket, path, resume=True)
    assert isinstance(err, ObjectStoreError)


def written(*objects: tuple[dict[str, Any], bytes, bool]) -> layout.Writer:
    """An archive, but for its trailer, of metadata, bytes, and whether they are all there."""
    writer = layout.Writer(io.BytesIO())
    writer.header('b', datetime.now(timezone.utc), {})
    for seq, (fields, data, whole) in enumerate(objects, 1):
        writer.object(json.dumps({'size': len(data), **fields}).encode(), seq, None)
        writer.chunk(data)
        (writer.end if whole else writer.abandon)()
    return writer


def test_what_could_not_be_read_then_is_tried_again(run, store, inside, target, tmp_path):
    put(run, store, 'a', b'abc')
    broken = put(run, store, 'broken', b'x' * 300, chunk_size=100)
    inside.delete_message(inside.chunk_seqs(broken['nuid'])[1])
    inside.publish(inside.meta_subject('bad'), b'{')
    put(run, store, 'later', b'def')
    seqs = {meta['name']: meta['seq'] for meta in run.call(store.list, details=True)[0]}
    path = tmp_path / 'a.archive'
    with part_of(path).open('wb') as file:
        writer = layout.Writer(file)
        writer.header(store.bucket, datetime.now(timezone.utc), {})
        for name in ('a', 'broken'):
            writer.object(json.dumps({'name': name, 'size': 3}).encode(), seqs[name], None)
            writer.abandon()
    report, err = run.call(store.export_bucket, path, resume=True)
    assert err is None
    assert sorted(one['name'] for one in report['failed']) == ['bad', 'broken']
    assert run.call(target.import_bucket, path)[0]['objects'] == 2
    assert contents(run, target) == {'a': b'abc', 'later': b'def'}


def test_an_export_that_is_cancelled_while_it_reads_back_leaves_all_there_is(
    run, filled, tmp_path, monkeypatch
):
    path = tmp_path / 'a.archive'
    data = export(run, filled)[:-5]
    part_of(path).write_bytes(data)
    salvage = Export._salvage
    began, ended = Event(), Event()

    def salvage_later(self):
        began.set()
        while not self.done:
            pass
        try:
            salvage(self)
        finally:
            ended.set()

    monkeypatch.setattr(Export, '_salvage', salvage_later)
    call = filled.export_bucket(path, lambda *results: run.done(results), resume=True)
    run.until(began.is_set)
    call.cancel()
    assert isinstance(run()[1], Cancelled)
    assert ended.wait(10)
    assert part_of(path).read_bytes() == data


def test_two_exports_to_one_file(run, filled, target, tmp_path):
    path = tmp_path / 'a.archive'
    ends = []

    def told(objects, size):
        if objects == 2:
            first.pause()
            filled.export_bucket(path, second)

    def second(report, err):
        assert 'another transfer is under way' in str(err)
        first.resume()

    first = filled.export_bucket(path, lambda *results: ends.append(results), progress=told)
    run.until(lambda: ends)
    assert ends[0][1] is None
    assert run.call(target.import_bucket, path)[0]['objects'] == 5


@pytest.mark.parametrize(
    'fields',
    [
        {'name': ''},
        {'name': 'x' * 5000},
        {'name': 'b', 'size': -1},
        {'name': 'b', 'deleted': True, 'size': 0},
    ],
)
def test_objects_that_cannot_be_are_noticed_before_anything_is_stored(
    run, target, inside_of, fields
):
    data = b'' if fields.get('deleted') else b'abc'
    writer = written(({'name': 'a'}, b'abc', True), (fields, data, True))
    writer.trailer()
    report, err = run.call(target.import_bucket, io.BytesIO(writer._file.getvalue()))
    assert report is None
    assert 'the archive cannot be used' in str(err)
    assert inside_of(target).metas() == {}


def test_files_that_cannot_be_used(run, filled, tmp_path):
    missing = tmp_path / 'none' / 'a'
    for method in (filled.export_bucket, filled.import_bucket):
        _, err = run.call(method, missing)
        assert isinstance(err, ObjectStoreError)
        assert isinstance(err.__cause__, FileNotFoundError)

    class Full(io.RawIOBase):
        def write(self, data):
            raise OSError(28, 'No space left on device')

    _, err = run.call(filled.export_bucket, Full())
    assert 'No space left' in str(err)


@pytest.mark.parametrize('most', [0, 100, 5000, 200_000])
def test_a_full_disk(run, filled, target, tmp_path, most):
    path = tmp_path / 'a.archive'
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (most, before[1]))
    try:
        _, err = run.call(filled.export_bucket, path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert err.__cause__.errno == errno.EFBIG
    assert not path.exists()
    if most >= 5000:
        assert run.call(filled.export_bucket, path, resume=True)[1] is None
        assert run.call(target.import_bucket, path)[0]['objects'] == 5


def test_a_slow_disk(run, store, target, tmp_path, monkeypatch):
    """The loop goes on while it is busy, and no more is read than it can take."""
    disk, busy = Event(), Event()

    def datasync(file):
        busy.set()
        assert disk.wait(30)

    monkeypatch.setattr(sink, '_datasync', datasync)
    monkeypatch.setattr(sink, '_FLUSH', 1 << 20)
    monkeypatch.setattr(sink, '_MOST_UNFLUSHED', 2 << 20)
    data = os.urandom(20_000_000)
    put(run, store, 'a', data)
    path = tmp_path / 'a.archive'
    store.export_bucket(path, lambda *results: run.done(results))
    run.until(busy.is_set)
    for _ in range(20):
        assert run.call(store.info, 'a')[1] is None
    assert part_of(path).stat().st_size < 3_000_000
    disk.set()
    assert run()[1] is None
    assert run.call(target.import_bucket, path)[0]['objects'] == 1
    assert contents(run, target) == {'a': data}


def test_a_pipe_is_not_replaced(run, filled, tmp_path):
    pipe = tmp_path / 'pipe'
    os.mkfifo(pipe)
    _, err = run.call(filled.export_bucket, pipe)
    assert isinstance(err.__cause__, FileExistsError)
    os.mkfifo(part_of(tmp_path / 'a'))
    _, err = run.call(filled.export_bucket, tmp_path / 'a')
    assert isinstance(err.__cause__, FileExistsError)
    assert sorted(p.name for p in tmp_path.iterdir() if p.is_fifo()) == ['a.part', 'pipe']


def test_progress_and_cancel(run, filled, tmp_path):
    told: list[Any] = []
    file = io.BytesIO()
    run.call(filled.export_bucket, file, progress=lambda *args: told.append(args))
    assert [objects for objects, _ in told] == [1, 2, 3, 4, 5]
    call = filled.export_bucket(tmp_path / 'a', lambda *results: run.done(results))
    call.cancel()
    assert str(run()[1]) == 'cancelled'
    file.seek(0)
    call = filled.import_bucket(file, lambda *results: run.done(results))
    call.cancel()
    assert str(run()[1]) == 'cancelled'


@pytest.fixture
def far(server, proxy, connect, store):
    """The bucket of ``store``, through a proxy."""
    between = proxy(server)
    nats = connect(port=between.port, reconnect=True, reconnect_delay=10)
    far = ObjectStore(js=JetStream(nats=nats), bucket=store.bucket)
    far.proxy = between
    return far


@pytest.mark.parametrize('size', [1, 300, 1000, 3000, 10_000, 400_000])
def test_over_lost_connections(run, filled, far, target, size):
    far.proxy.cut_after(size)
    accepted = [far.proxy.accepted]

    def progress():
        if far.proxy.accepted > accepted[-1]:
            accepted.append(far.proxy.accepted)
            far.proxy.cut_after(size)

    file = io.BytesIO()
    report, err = run.call(far.export_bucket, file, progress=progress)
    assert err is None
    assert far.proxy.accepted > 1
    assert (report['objects'], report['failed']) == (5, [])
    file.seek(0)
    assert run.call(target.import_bucket, file)[0]['objects'] == 5
    assert contents(run, target) == {**OBJECTS, 'link': b'abc'}


def test_objects_that_change_while_the_connection_is_lost(run, store, far, target, monkeypatch):
    for name in ('a', 'b', 'c', 'd'):
        put(run, store, name, b'old' * 100_000)
    chosen, look_again, find_late = Export._export, Export._look_again, Export._find_late
    changed: list[str] = []

    def later(export, entry):
        name = entry.meta['name']
        if name in changed or name in 'cd':
            chosen(export, entry)
            return
        changed.append(name)

        def go_on(*_results: Any) -> None:
            store._bucket.nats.flush(lambda err: chosen(export, entry))

        if name == 'a':
            store.put(name, b'new' * 100_000, go_on)
        else:
            store.delete(name, go_on)

    cuts: list[str] = []

    def cutting(step):
        def cut_and_step(export, *args):
            step(export, *args)
            if cuts.count(step.__name__) < 2:
                cuts.append(step.__name__)
                far.proxy.cut()

        return cut_and_step

    monkeypatch.setattr(Export, '_export', later)
    monkeypatch.setattr(Export, '_look_again', cutting(look_again))
    monkeypatch.setattr(Export, '_find_late', cutting(find_late))
    file = io.BytesIO()
    report, err = run.call(far.export_bucket, file)
    assert err is None
    assert sorted(cuts) == ['_find_late'] * 2 + ['_look_again'] * 2
    assert (report['objects'], report['failed']) == (3, [])
    file.seek(0)
    assert run.call(target.import_bucket, file)[0]['objects'] == 3
    assert contents(run, target) == {
        'a': b'new' * 100_000,
        'c': b'old' * 100_000,
        'd': b'old' * 100_000,
    }


def test_an_export_is_paused(run, filled, target):
    file, results = io.BytesIO(), []
    transfer = filled.export_bucket(file, lambda *result: results.append(result))
    transfer.pause()
    run.call(filled.status)
    run.call(filled.status)
    assert not results
    transfer.resume()
    run.until(lambda: results)
    assert results[0][1] is None
    file.seek(0)
    assert run.call(target.import_bucket, file)[0]['objects'] == 5


def test_an_export_of_a_closed_client(run, filled, far):
    results = []
    transfer = far.export_bucket(io.BytesIO(), lambda *result: results.append(result))
    run.until(lambda: transfer._consumption is not None)
    far._bucket.nats.disconnect()
    run.until(lambda: results)
    assert isinstance(results[0][1], DisconnectedError)


def test_no_such_bucket(run, js, unique, tmp_path):
    store = ObjectStore(js=js, bucket=unique)
    assert isinstance(run.call(store.export_bucket, io.BytesIO())[1], BucketNotFoundError)
    assert isinstance(run.call(store.import_bucket, io.BytesIO())[1], BucketNotFoundError)


def test_wrong_arguments(store):
    for file in (None, 'path', io.StringIO(), b'x'):
        with pytest.raises(TypeError):
            store.export_bucket(file, print)
        with pytest.raises(TypeError):
            store.import_bucket(file, print)
    with pytest.raises(ValueError, match='resume'):
        store.export_bucket(io.BytesIO(), print, resume=True)
    with pytest.raises(ValueError, match='revisions'):
        store.import_bucket(Path('a'), print, revisions='x')
    with pytest.raises(ValueError, match='bucket name'):
        store.import_bucket(Path('a'), print, buckets={'a b': 'c'})
