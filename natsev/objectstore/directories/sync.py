"""Making a bucket like a directory, or a directory like a bucket, by comparing digests.

Beside its bytes an object of a file has in its metadata when the file was changed
(``natsev.mtime``, nanoseconds), its permissions (``natsev.mode``), and for a symbolic link where it
leads (``natsev.symlink``; such an object is empty).
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypedDict

from ...errors import (
    DisconnectedError,
    InvalidMetaError,
    NatsError,
    ObjectStoreError,
    WrongSequenceError,
)
from ..blocking import in_thread
from ..bucket import Bucket
from ..codecs.chain import plain_digest, plain_size
from ..infos import Entries, find_many
from ..operation import StoreCall
from ..parallel import each
from ..reading.reader import Reader
from ..record import ObjectMeta
from ..sink import is_part
from .directory import (
    LocalFile,
    UnsafeName,
    check_link,
    digest_of,
    files_of,
    look_at,
    make_link,
    make_way,
    place,
    remove,
)

MTIME, MODE, SYMLINK = 'natsev.mtime', 'natsev.mode', 'natsev.symlink'
# Files on their way at the same time.
_WINDOW = 4


class Skipped(TypedDict):
    """Something that has no place on the other side."""

    name: str
    reason: str


class Failed(TypedDict):
    """Something that could not be read or written."""

    name: str
    error: str


class SyncReport(TypedDict):
    """What a sync did, or in a dry run would do.

    ``transferred``: names of objects or files written; ``bytes``: of them; ``unchanged``: how many
    were alike already; ``deleted``: names removed; ``skipped``, ``failed``: what was left out.
    """

    transferred: list[str]
    bytes: int
    unchanged: int
    deleted: list[str]
    skipped: list[Skipped]
    failed: list[Failed]
    dry_run: bool


class Sync:
    """What both ways have in common.

    Args:
        store: the ``ObjectStore``.
        bucket: its bucket.
        call: the user's call; its result is a ``SyncReport``.
        directory: the directory.
        prefix: what the names of its files begin with in the bucket.
        delete: what is only on the other side is removed.
        dry_run: look only.
        progress: the user's, called as ``progress(files, bytes)``.
    """

    def __init__(
        self,
        store: Any,
        bucket: Bucket,
        call: StoreCall,
        directory: Path,
        *,
        prefix: str,
        delete: bool,
        dry_run: bool,
        progress: Callable[[int, int], None] | None,
    ) -> None:
        self._store = store
        self._bucket = bucket
        self._call = call
        self._directory = directory
        self._prefix = prefix
        self._delete = delete
        self._dry_run = dry_run
        self._progress = progress
        self._metas: dict[str, ObjectMeta] = {}
        self._report: SyncReport = {
            'transferred': [],
            'bytes': 0,
            'unchanged': 0,
            'deleted': [],
            'skipped': [],
            'failed': [],
            'dry_run': dry_run,
        }

    def _list(self) -> None:
        self._call.child = self._store.list(self._listed, details=True, prefix=self._prefix)

    def _listed(self, found: list[ObjectMeta] | None, err: NatsError | None) -> None:
        if err is not None:
            self._call.fail(err)
            return
        self._metas = {meta['name']: meta for meta in found or ()}
        self._look()

    def _look(self) -> None:
        """Go on with what has been listed."""
        in_thread(self._bucket.nats.port, self._compare, self._compared)

    def _compare(self) -> None:
        """Find out what to do; in a thread."""
        raise NotImplementedError

    def _compared(self, exc: Exception | None) -> None:
        if self._call.done:
            return
        if exc is not None:
            err = ObjectStoreError(f'cannot read the directory: {exc}', bucket=self._bucket.name)
            err.__cause__ = exc
            self._call.fail(err)
        else:
            self._work()

    def _work(self) -> None:
        raise NotImplementedError

    def _stopped(self) -> bool:
        return self._call.done

    def _skip(self, name: str, reason: str) -> None:
        self._report['skipped'].append({'name': name, 'reason': reason})

    def _failed(self, name: str, exc: Exception) -> None:
        self._report['failed'].append({'name': name, 'error': str(exc)})

    def _moved(self, name: str, size: int) -> None:
        self._report['transferred'].append(name)
        self._report['bytes'] += size
        if self._progress is not None and not self._dry_run:
            self._progress(len(self._report['transferred']), self._report['bytes'])

    def _ended(self, name: str, err: NatsError | None) -> bool:
        """Deal with an error of one file; False: it is the end of all."""
        if isinstance(err, DisconnectedError):
            self._call.fail(err)
            return False
        if err is not None:
            self._failed(name, err)
        return True

    def _try(self, name: str, done: Callable[[], None], begin: Callable[[], Any]) -> None:
        """Begin with one file; what cannot even begin (its metadata are too large) has failed."""
        try:
            begin()
        except ValueError as exc:
            self._failed(name, exc)
            done()

    def _end(self) -> None:
        for names in (self._report['transferred'], self._report['deleted']):
            names.sort()
        self._call.end(self._report, None)


class SyncToBucket(Sync):
    """Makes the bucket like the directory."""

    def start(self) -> None:
        """See whether the bucket takes changes."""
        if self._dry_run:
            self._bucket.open(self._call, self._list)
        else:
            self._bucket.writable(self._call, self._list)

    def _compare(self) -> None:
        if not self._directory.is_dir():
            raise NotADirectoryError(f'{self._directory} is not a directory')
        self._files: list[LocalFile] = []
        self._seen: set[str] = set()
        # What could not be looked at must not be taken for deleted.
        for one in files_of(self._directory, self._failed, self._skip):
            if self._stopped():
                return
            name = self._prefix + one.name
            self._seen.add(name)
            if is_part(one.path.name):
                self._skip(one.name, 'it is a part of a file that did not come whole')
                continue
            try:
                self._bucket.subjects.meta(name)
                if one.symlink is not None:
                    check_link(self._directory, one.path, one.symlink)
                else:
                    one.digest = digest_of(one.path, self._stopped)
            except (OSError, ValueError) as exc:
                if isinstance(exc, OSError):
                    self._failed(one.name, exc)
                else:
                    self._skip(one.name, str(exc))
                continue
            if is_like(one, self._metas.get(name)):
                self._report['unchanged'] += 1
            else:
                self._files.append(one)

    def _work(self) -> None:
        each(self._call, self._files, self._put, self._remove, _WINDOW)

    def _put(self, one: LocalFile, done: Callable[[], None]) -> None:
        if self._dry_run:
            self._moved(one.name, one.size)
            done()
            return
        name = self._prefix + one.name
        present = self._metas.get(name)
        metadata = {} if present is None else dict(present['metadata'])
        metadata.pop(SYMLINK, None)
        metadata |= {MTIME: str(one.mtime), MODE: f'{one.mode & 0o777:o}'}
        if one.symlink is not None:
            metadata[SYMLINK] = one.symlink

        def stored(info: ObjectMeta | None, err: NatsError | None) -> None:
            if info is not None:
                self._moved(one.name, one.size)
            elif not self._ended(one.name, err):
                return
            done()

        def begin() -> None:
            self._store.put(
                name,
                one.path if one.symlink is None else b'',
                stored,
                description=None if present is None else present['description'],
                headers=None if present is None else present['headers'],
                metadata=metadata,
            )

        self._try(one.name, done, begin)

    def _remove(self) -> None:
        gone = [name for name in self._metas if name not in self._seen]
        if not self._delete or self._report['failed']:
            # With files that could not be read, nobody knows what is gone.
            self._end()
        else:
            each(self._call, gone, self._remove_one, self._end)

    def _remove_one(self, name: str, done: Callable[[], None]) -> None:
        shown = name.removeprefix(self._prefix)

        def deleted(_ok: bool | None, err: NatsError | None) -> None:
            if err is None:
                self._report['deleted'].append(shown)
            elif not isinstance(err, WrongSequenceError) and not self._ended(shown, err):
                return
            done()

        def begin() -> None:
            self._store.delete(name, deleted, expected_seq=self._metas[name]['seq'])

        if self._dry_run:
            deleted(True, None)
        else:
            self._try(shown, done, begin)


class SyncFromBucket(Sync):
    """Makes the directory like the bucket."""

    def start(self) -> None:
        """Read what there is."""
        self._targets: dict[str, ObjectMeta] = {}
        self._bucket.open(self._call, self._list)

    def _look(self) -> None:
        """Find out where links lead: the files are to be like that."""
        links = [name for name, meta in self._metas.items() if 'link' in meta['options']]
        each(self._call, links, self._follow, super()._look)

    def _follow(self, name: str, done: Callable[[], None]) -> None:
        def opened(reader: Reader | None, err: NatsError | None) -> None:
            if isinstance(err, DisconnectedError):
                self._call.fail(err)
                return
            if reader is not None:
                self._targets[name] = reader.meta
            done()  # what cannot be read is told when it is tried

        try:
            self._store.open(name, opened)
        except ValueError:
            done()

    def _compare(self) -> None:
        if not self._dry_run:
            self._directory.mkdir(parents=True, exist_ok=True)
        self._wanted: list[tuple[ObjectMeta, Path]] = []
        self._places: set[Path] = set()
        for meta in self._metas.values():
            if self._stopped():
                return
            name = meta['name'].removeprefix(self._prefix)
            try:
                path = place(self._directory, name)
                self._places.add(path)
                if self._is_there(meta, path):
                    self._report['unchanged'] += 1
                else:
                    self._wanted.append((meta, path))
            except UnsafeName as exc:
                self._skip(name, str(exc))
            except OSError as exc:
                self._failed(name, exc)

    def _is_there(self, meta: ObjectMeta, path: Path) -> bool:
        info = look_at(self._directory, path)
        target = meta['metadata'].get(SYMLINK)
        if target is not None:
            check_link(self._directory, path, target)
            return info is not None and stat.S_ISLNK(info.st_mode) and os.readlink(path) == target
        if info is None or not stat.S_ISREG(info.st_mode):
            return False
        if 'link' in meta['options']:
            if meta['name'] not in self._targets:
                return False
            meta = self._targets[meta['name']]
        if info.st_size != plain_size(meta):
            return False
        return digest_of(path, self._stopped) == plain_digest(meta)

    def _work(self) -> None:
        each(self._call, self._wanted, self._get, self._find_removed, _WINDOW)

    def _get(self, wanted: tuple[ObjectMeta, Path], done: Callable[[], None]) -> None:
        meta, path = wanted
        name = meta['name'].removeprefix(self._prefix)
        target = meta['metadata'].get(SYMLINK)
        if self._dry_run:
            self._moved(name, plain_size(meta))
            done()
            return
        try:
            if target is not None:
                make_link(self._directory, path, target)
                self._moved(name, 0)
                done()
                return
            into = make_way(self._directory, path)
        except UnsafeName as exc:
            self._skip(name, str(exc))
            done()
            return
        except OSError as exc:
            self._failed(name, exc)
            done()
            return

        def got(size: int | None, err: NatsError | None, _meta: ObjectMeta | None) -> None:
            if err is None and size is not None:
                self._settle(name, into, path, meta)
                self._moved(name, size)
            elif not self._ended(name, err):
                return
            done()

        self._try(name, done, lambda: self._store.get(meta['name'], got, into=into))

    def _settle(self, name: str, came: Path, path: Path, meta: ObjectMeta) -> None:
        """Give the file that came its place, and the time and the permissions it had."""
        try:
            if came != path:
                came.replace(path)
            mode, mtime = meta['metadata'].get(MODE), meta['metadata'].get(MTIME)
            if mode is not None:
                path.chmod(int(mode, 8) & 0o777)
            if mtime is not None:
                os.utime(path, ns=(int(mtime), int(mtime)))
        except (OSError, ValueError, OverflowError) as exc:
            self._failed(name, exc)

    # What is no object is removed.

    def _find_removed(self) -> None:
        if not self._delete or self._report['failed']:
            self._end()
        else:
            self._others: list[LocalFile] = []
            in_thread(self._bucket.nats.port, self._find_others, self._found_others)

    def _find_others(self) -> None:
        if self._directory.is_dir():
            found = files_of(self._directory, self._failed, lambda name, reason: None)
            self._others = [one for one in found if one.path not in self._places]

    def _found_others(self, exc: Exception | None) -> None:
        """A list passes over metadata that are broken, but of these a file may be all there is."""
        if self._call.done:
            return
        if exc is not None:
            self._compared(exc)
            return
        names = [self._prefix + one.name for one in self._others if self._may_be(one)]
        look = StoreCall(self._bucket, self._looked)
        self._call.child = look
        find_many(self._bucket, look, names, lambda entries: look.end(entries, None))

    def _may_be(self, one: LocalFile) -> bool:
        try:
            self._bucket.subjects.meta(self._prefix + one.name)
        except ValueError:
            return False
        return True

    def _looked(self, entries: Entries | None, err: NatsError | None) -> None:
        if isinstance(err, InvalidMetaError):
            self._failed((err.name or '').removeprefix(self._prefix), err)
            self._end()
        elif entries is None:
            self._call.fail(err or NatsError())
        else:
            live = {name for name, entry in entries.items() if not entry.meta['deleted']}
            self._others = [one for one in self._others if self._prefix + one.name not in live]
            in_thread(self._bucket.nats.port, self._remove, self._removed)

    def _remove(self) -> None:
        for one in self._others:
            if self._stopped():
                return
            try:
                if not self._dry_run:
                    remove(self._directory, one.path)
                self._report['deleted'].append(one.name)
            except OSError as exc:
                self._failed(one.name, exc)

    def _removed(self, exc: Exception | None) -> None:
        if exc is not None:
            self._compared(exc)
        else:
            self._end()


def is_like(one: LocalFile, meta: ObjectMeta | None) -> bool:
    """Is the object what the file is?"""
    if meta is None or meta['metadata'].get(SYMLINK) != one.symlink or 'link' in meta['options']:
        return False
    if one.symlink is not None:
        return True
    return plain_size(meta) == one.size and plain_digest(meta) == one.digest
