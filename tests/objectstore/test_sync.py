"""Directories to buckets and back."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from natsev import BucketNotFoundError, ObjectStore, ObjectStoreError
from natsev.nuid import next_nuid
from natsev.objectstore import record
from natsev.objectstore.directories import sync as sync_module
from natsev.objectstore.directories.directory import UnsafeName, check_link, place
from natsev.objectstore.sink import PathFile

HOSTILE = [
    '../out',
    'a/../../out',
    '/abs',
    '..',
    '.',
    'a//b',
    'a/./b',
    'dir/',
    '/',
    'nul\0byte',
    'a/..',
]


def put(run: Any, store: ObjectStore, name: str, data: Any = b'x', **options: Any) -> Any:
    info, err = run.call(store.put, name, data, **options)
    assert err is None, err
    return info


def sync(run: Any, method: Any, directory: Path, **options: Any) -> Any:
    report, err = run.call(method, directory, **options)
    assert err is None, err
    return report


def tree(directory: Path) -> dict[str, Any]:
    """What is in a directory: bytes of files, targets of links."""
    found: dict[str, Any] = {}
    for path in directory.rglob('*'):
        name = str(path.relative_to(directory))
        if path.is_symlink():
            found[name] = os.readlink(path)
        elif path.is_file():
            found[name] = path.read_bytes()
    return found


@pytest.fixture
def source(tmp_path):
    """A directory with files of all sorts."""
    source = tmp_path / 'source'
    (source / 'dir' / 'deep').mkdir(parents=True)
    (source / 'a').write_bytes(b'abc')
    (source / 'empty').write_bytes(b'')
    (source / 'dir' / 'ü b').write_bytes(b'x' * 300_000)
    (source / 'dir' / 'deep' / 'c').write_bytes(b'c')
    (source / 'dir' / 'link').symlink_to('deep/c')
    (source / 'up').symlink_to('a')
    (source / 'dir' / 'climbs').symlink_to('../a')
    os.utime(source / 'a', ns=(10**18, 10**18))
    (source / 'a').chmod(0o751)
    return source


NAMES = ['a', 'dir/climbs', 'dir/deep/c', 'dir/link', 'dir/ü b', 'empty', 'up']


def test_there_and_back(run, store, source, tmp_path):
    report = sync(run, store.sync_to_bucket, source)
    assert report['transferred'] == NAMES
    assert report['failed'] == report['skipped'] == report['deleted'] == []
    assert report['bytes'] == 300_004
    assert run.call(store.list)[0] == sorted(NAMES)
    target = tmp_path / 'target'
    report = sync(run, store.sync_from_bucket, target)
    assert report['transferred'] == NAMES
    assert report['failed'] == report['skipped'] == []
    assert tree(target) == tree(source)
    assert (target / 'a').stat().st_mtime_ns == 10**18
    assert (target / 'a').stat().st_mode & 0o777 == 0o751


def test_what_is_alike_is_not_touched(run, store, source, tmp_path):
    sync(run, store.sync_to_bucket, source)
    before = {meta['name']: meta['seq'] for meta in run.call(store.list, details=True)[0]}
    report = sync(run, store.sync_to_bucket, source)
    assert (report['transferred'], report['unchanged']) == ([], 7)
    assert before == {meta['name']: meta['seq'] for meta in run.call(store.list, details=True)[0]}
    report = sync(run, store.sync_from_bucket, source)
    assert (report['transferred'], report['unchanged']) == ([], 7)


def test_only_what_changed_is_stored(run, store, source):
    sync(run, store.sync_to_bucket, source)
    run.call(store.update_meta, 'a', {'description': 'mine', 'headers': {'H': '1'}})
    (source / 'a').write_bytes(b'abd')  # as long as before
    (source / 'up').unlink()
    (source / 'up').write_bytes(b'')
    report = sync(run, store.sync_to_bucket, source)
    assert report['transferred'] == ['a', 'up']
    assert run.call(store.get, 'a')[0] == b'abd'
    meta = run.call(store.info, 'a')[0]
    assert (meta['description'], meta['headers']) == ('mine', {'H': ['1']})
    assert 'natsev.symlink' not in run.call(store.info, 'up')[0]['metadata']


def test_only_what_changed_is_written(run, store, source, tmp_path):
    sync(run, store.sync_to_bucket, source)
    target = tmp_path / 'target'
    sync(run, store.sync_from_bucket, target)
    (target / 'a').write_bytes(b'xyz')
    (target / 'dir' / 'link').unlink()
    (target / 'dir' / 'link').symlink_to('elsewhere')
    (target / 'empty').unlink()
    (target / 'empty').symlink_to('a')
    report = sync(run, store.sync_from_bucket, target)
    assert report['transferred'] == ['a', 'dir/link', 'empty']
    assert tree(target) == tree(source)


def test_prefix(run, store, source, tmp_path):
    put(run, store, 'other')
    sync(run, store.sync_to_bucket, source, prefix='p/', delete=True)
    assert run.call(store.list)[0] == ['other', *sorted('p/' + name for name in NAMES)]
    sync(run, store.sync_from_bucket, tmp_path / 't', prefix='p/dir/')
    assert sorted(tree(tmp_path / 't')) == ['deep/c', 'link', 'ü b']


def test_deleting(run, store, source, tmp_path):
    put(run, store, 'gone')
    assert sync(run, store.sync_to_bucket, source)['deleted'] == []
    assert sync(run, store.sync_to_bucket, source, delete=True)['deleted'] == ['gone']
    assert run.call(store.list)[0] == sorted(NAMES)
    target = tmp_path / 'target'
    (target / 'x' / 'y').mkdir(parents=True)
    (target / 'x' / 'y' / 'z').write_bytes(b'z')
    (target / 'dir').mkdir()
    (target / 'dir' / 'z').write_bytes(b'z')
    outside = tmp_path / 'outside'
    outside.mkdir()
    (outside / 'precious').write_bytes(b'p')
    (target / 'way').symlink_to(outside)
    assert sync(run, store.sync_from_bucket, target)['deleted'] == []
    report = sync(run, store.sync_from_bucket, target, delete=True)
    assert report['deleted'] == ['dir/z', 'way', 'x/y/z']
    assert tree(target) == tree(source)
    assert not (target / 'x').exists()
    assert (outside / 'precious').exists()


def test_dry_runs_do_nothing(run, store, source, tmp_path):
    put(run, store, 'gone')
    report = sync(run, store.sync_to_bucket, source, delete=True, dry_run=True)
    assert (report['transferred'], report['deleted']) == (NAMES, ['gone'])
    assert run.call(store.list)[0] == ['gone']
    report = sync(run, store.sync_from_bucket, tmp_path / 'new', dry_run=True)
    assert report['transferred'] == ['gone']
    assert not (tmp_path / 'new').exists()
    before = tree(source)
    report = sync(run, store.sync_from_bucket, source, delete=True, dry_run=True)
    assert (report['transferred'], report['deleted']) == (['gone'], NAMES)
    assert tree(source) == before


# Names and links that would lead out.


def test_hostile_names_never_leave_the_directory(run, store, tmp_path):
    for name in HOSTILE:
        put(run, store, name, b'evil')
    put(run, store, 'good', b'good')
    target = tmp_path / 'in' / 'target'
    report = sync(run, store.sync_from_bucket, target)
    assert report['transferred'] == ['good']
    assert sorted(one['name'] for one in report['skipped']) == sorted(HOSTILE)
    assert tree(tmp_path) == {'in/target/good': b'good'}
    # Nor does an empty rest of a name.
    report = sync(run, store.sync_from_bucket, target, prefix='good')
    assert [one['name'] for one in report['skipped']] == ['']


@pytest.mark.parametrize('target', ['/etc', '..', '../x', 'a/../../x', '', 'a/b/../../..', 'n\0'])
def test_hostile_links_are_not_made(run, store, tmp_path, target):
    put(run, store, 'a', b'', metadata={'natsev.symlink': target})
    directory = tmp_path / 'target'
    report = sync(run, store.sync_from_bucket, directory)
    assert report['transferred'] == []
    assert [one['name'] for one in report['skipped']] == ['a']
    assert tree(tmp_path) == {}


def test_nothing_is_written_through_links(run, store, tmp_path):
    outside, target = tmp_path / 'outside', tmp_path / 'target'
    outside.mkdir()
    target.mkdir()
    (outside / 'f').write_bytes(b'precious')
    (target / 'way').symlink_to(outside)
    (target / 'file').symlink_to(outside / 'f')
    put(run, store, 'way/f', b'evil')
    put(run, store, 'way/new', b'evil')
    put(run, store, 'file', b'new')
    report = sync(run, store.sync_from_bucket, target)
    assert report['transferred'] == ['file']
    assert [one['name'] for one in report['skipped']] == ['way/f', 'way/new']
    assert tree(outside) == {'f': b'precious'}
    assert not (target / 'file').is_symlink()
    assert (target / 'file').read_bytes() == b'new'


def test_a_link_and_what_is_behind_it(run, store, tmp_path):
    """An object whose name goes through a link that another object made."""
    put(run, store, 'dir/a', b'a')
    put(run, store, 'way', b'', metadata={'natsev.symlink': 'dir'})
    put(run, store, 'way/b', b'evil')
    for _ in range(2):
        report = sync(run, store.sync_from_bucket, tmp_path / 't')
        # Whichever comes first, nothing is written through the link.
        left = {one['name'] for one in report['skipped'] + report['failed']}
        assert left & {'way', 'way/b'}
        assert not (tmp_path / 't' / 'dir' / 'b').exists()


def test_links_that_lead_out_are_not_stored(run, store, source, tmp_path):
    (source / 'abs').symlink_to(tmp_path)
    (source / 'out').symlink_to('../x')
    report = sync(run, store.sync_to_bucket, source)
    assert sorted(one['name'] for one in report['skipped']) == ['abs', 'out']
    assert report['transferred'] == NAMES


# Trouble.


def test_names_that_cannot_be_both_file_and_directory(run, store, tmp_path):
    put(run, store, 'a', b'1')
    put(run, store, 'a/b', b'2')
    report = sync(run, store.sync_from_bucket, tmp_path / 't')
    assert len(report['failed']) == 1
    assert len(report['transferred']) == 1
    report = sync(run, store.sync_from_bucket, tmp_path / 't', delete=True)
    assert report['deleted'] == []


def test_files_that_are_no_files(run, store, source):
    os.mkfifo(source / 'fifo')
    report = sync(run, store.sync_to_bucket, source)
    assert report['skipped'] == [{'name': 'fifo', 'reason': 'it is not a file'}]


def test_files_that_cannot_be_read(run, store, source, monkeypatch):
    read = sync_module.digest_of

    def digest_of(path, stopped):
        if path.name == 'a':  # for root nothing is forbidden
            raise PermissionError(13, 'Permission denied')
        return read(path, stopped)

    monkeypatch.setattr(sync_module, 'digest_of', digest_of)
    put(run, store, 'gone')
    report = sync(run, store.sync_to_bucket, source, delete=True)
    assert [one['name'] for one in report['failed']] == ['a']
    assert report['deleted'] == []
    assert len(report['transferred']) == 6


def test_names_that_are_not_utf8(run, store, source):
    try:
        os.close(os.open(os.fsencode(source) + b'/\xff', os.O_CREAT | os.O_WRONLY))
    except OSError:
        pytest.skip('this file system takes only UTF-8')
    report = sync(run, store.sync_to_bucket, source)
    assert [one['reason'] for one in report['skipped']] == ['its name is not UTF-8']


def test_what_a_killed_sync_left_is_not_stored(run, store, tmp_path):
    put(run, store, 'a', b'a' * 1000)
    sink = PathFile(tmp_path / 'a')
    sink.begin()
    sink.write(b'a')
    (tmp_path / '.mine.part').write_bytes(b'mine')
    report = sync(run, store.sync_to_bucket, tmp_path)
    assert report['transferred'] == ['.mine.part']
    assert [one['reason'] for one in report['skipped']] == [
        'it is a part of a file that did not come whole'
    ]
    sync(run, store.sync_from_bucket, tmp_path, delete=True)
    assert sorted(tree(tmp_path)) == ['.mine.part', 'a']
    sink.discard()


def test_objects_that_cannot_be_read(run, store, inside, tmp_path):
    info = put(run, store, 'broken', b'x')
    inside.delete_message(inside.chunk_seqs(info['nuid'])[0])
    put(run, store, 'good', b'y')
    (tmp_path / 't').mkdir()
    (tmp_path / 't' / 'own').write_bytes(b'own')
    report = sync(run, store.sync_from_bucket, tmp_path / 't', delete=True)
    assert report['failed'] == [{'name': 'broken', 'error': 'missing chunks'}]
    assert report['transferred'] == ['good']
    assert sorted(tree(tmp_path / 't')) == ['good', 'own']


def test_a_link_stays_until_the_file_has_come(run, store, inside, tmp_path):
    info = put(run, store, 'broken', b'x')
    inside.delete_message(inside.chunk_seqs(info['nuid'])[0])
    put(run, store, 'good', b'y')
    target = tmp_path / 't'
    target.mkdir()
    (target / 'own').write_bytes(b'own')
    for name in ('broken', 'good'):
        (target / name).symlink_to('own')
    report = sync(run, store.sync_from_bucket, target)
    assert [one['name'] for one in report['failed']] == ['broken']
    assert tree(target) == {'own': b'own', 'broken': 'own', 'good': b'y'}


def test_a_file_whose_object_is_broken_is_not_removed(run, store, inside, tmp_path):
    put(run, store, 'good', b'y')
    inside.publish(inside.meta_subject('broken'), b'{')
    target = tmp_path / 't'
    target.mkdir()
    (target / 'broken').write_bytes(b'all there is')
    (target / 'other').write_bytes(b'other')
    report = sync(run, store.sync_from_bucket, target, delete=True)
    assert [one['name'] for one in report['failed']] == ['broken']
    assert report['deleted'] == []
    assert sorted(tree(target)) == ['broken', 'good', 'other']


def test_an_object_that_is_stored_meanwhile_is_not_removed(run, store, tmp_path, monkeypatch):
    put(run, store, 'a', b'a')
    target = tmp_path / 't'
    target.mkdir()
    (target / 'new').write_bytes(b'new')
    (target / 'old').write_bytes(b'old')
    find_removed = sync_module.SyncFromBucket._find_removed

    def put_meanwhile(self):
        store.put('new', b'newer', lambda info, err: find_removed(self))

    monkeypatch.setattr(sync_module.SyncFromBucket, '_find_removed', put_meanwhile)
    report = sync(run, store.sync_from_bucket, target, delete=True)
    assert report['deleted'] == ['old']
    assert tree(target) == {'a': b'a', 'new': b'new'}


def test_what_cannot_begin_does_not_hold_up_the_rest(run, store, js, tmp_path):
    """An object's own metadata leave no room for more; names that another dialect cannot spell."""
    empty = record.new('full', store.bucket, next_nuid(), metadata={'m': ''})
    room = store._bucket.nats.max_payload() - 1024 - len(record.to_json(empty))
    put(run, store, 'full', b'x', metadata={'m': 'x' * room})
    name = '/'.join(['ü' * 70] * 14)
    put(run, store, name, b'y')
    source = tmp_path / 'source'
    source.mkdir()
    (source / 'full').write_bytes(b'changed')
    (source / 'other').write_bytes(b'other')
    report = sync(run, store.sync_to_bucket, source)
    assert [one['name'] for one in report['failed']] == ['full']
    assert report['transferred'] == ['other']
    perl = ObjectStore(js=js, bucket=store.bucket, dialect='ev-nats')
    report = sync(run, perl.sync_from_bucket, tmp_path / 'target')
    assert [one['name'] for one in report['failed']] == [name]
    assert report['transferred'] == ['full', 'other']


def test_times_that_make_no_sense(run, store, tmp_path):
    put(run, store, 'a', b'a', metadata={'natsev.mtime': 'x'})
    put(run, store, 'b', b'b', metadata={'natsev.mtime': '9' * 50, 'natsev.mode': '7777'})
    report = sync(run, store.sync_from_bucket, tmp_path / 't')
    assert sorted(one['name'] for one in report['failed']) == ['a', 'b']
    assert tree(tmp_path / 't') == {'a': b'a', 'b': b'b'}
    assert (tmp_path / 't' / 'b').stat().st_mode & 0o7000 == 0


def test_directories_that_cannot_be(run, store, tmp_path, js, unique):
    (tmp_path / 'file').write_bytes(b'')
    for method in (store.sync_to_bucket, store.sync_from_bucket):
        _, err = run.call(method, tmp_path / 'file')
        assert isinstance(err, ObjectStoreError)
    _, err = run.call(store.sync_to_bucket, tmp_path / 'none')
    assert isinstance(err, ObjectStoreError)
    other = ObjectStore(js=js, bucket=unique + 'x')
    assert isinstance(run.call(other.sync_to_bucket, tmp_path)[1], BucketNotFoundError)
    with pytest.raises(TypeError):
        store.sync_to_bucket(str(tmp_path), print)


def test_codecs_links_and_progress(run, store, js, source, tmp_path):
    coded = ObjectStore(js=js, bucket=store.bucket, codec='zlib')
    told: list[Any] = []
    sync(run, coded.sync_to_bucket, source, progress=lambda *args: told.append(args))
    assert [files for files, _ in told] == [1, 2, 3, 4, 5, 6, 7]
    assert sync(run, coded.sync_to_bucket, source)['transferred'] == []
    run.call(store.link, 'l', 'a')
    sync(run, coded.sync_from_bucket, tmp_path / 't')
    assert tree(tmp_path / 't') == {**tree(source), 'l': b'abc'}


def test_links_are_fetched_once(run, store, js, unique, tmp_path):
    other = ObjectStore(js=js, bucket=unique + 'x', codec='zlib')
    run.call(other.create_bucket, {})
    run.call(other.put, 'far', b'far' * 1000)
    put(run, store, 'a', b'abc')
    put(run, store, 'b', b'abd')
    run.call(store.link, 'l', 'a')
    run.call(store.link, 'm', 'far', bucket=other.bucket)
    run.call(store.link_bucket, 'n', other.bucket)
    report = sync(run, store.sync_from_bucket, tmp_path)
    assert (report['transferred'], report['unchanged']) == (['a', 'b', 'l', 'm'], 0)
    report = sync(run, store.sync_from_bucket, tmp_path)
    assert (report['transferred'], report['unchanged']) == ([], 4)
    assert [one['name'] for one in report['failed']] == ['n']
    run.call(store.delete, 'l')
    run.call(store.link, 'l', 'b')
    run.call(other.put, 'far', b'near' * 1000)
    report = sync(run, store.sync_from_bucket, tmp_path)
    assert (report['transferred'], report['unchanged']) == (['l', 'm'], 2)
    assert (tmp_path / 'l').read_bytes() == b'abd'
    assert (tmp_path / 'm').read_bytes() == b'near' * 1000
    run.call(other.delete_bucket)


def test_cancel(run, store, source):
    call = store.sync_to_bucket(source, lambda *results: run.done(results))
    call.cancel()
    assert str(run()[1]) == 'cancelled'


@pytest.mark.parametrize('name', HOSTILE)
def test_places(tmp_path, name):
    with pytest.raises(UnsafeName):
        place(tmp_path, name)
    assert place(tmp_path, 'a/b..c/.d') == tmp_path / 'a' / 'b..c' / '.d'


@pytest.mark.parametrize('target', ['x', '../x', './x', 'x/y', '../dir/x'])
def test_links_that_stay_inside(tmp_path, target):
    check_link(tmp_path, tmp_path / 'dir' / 'link', target)
