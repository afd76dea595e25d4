"""Reading a bucket from an archive. The whole archive is verified before anything is stored."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from itertools import count
from pathlib import Path
from typing import IO, TypedDict

from ...errors import InvalidMetaError, NatsError, ObjectStoreError
from ...jetstream.types import StoredMessage
from ...nuid import next_nuid
from .. import metas, record
from ..blocking import in_thread
from ..bucket import Bucket
from ..lookup import Entry, find, meta_of
from ..operation import StoreCall
from ..purge import Purge
from ..record import ObjectMeta
from ..source import Pieces
from ..storing.put import Condition, Put
from . import layout

_DEFAULT_CHUNK = 128 * 1024


class ImportReport(TypedDict):
    """What ``import_bucket`` did.

    ``objects`` and ``bytes``: stored; ``unchanged``: there already, with the same bytes;
    ``conflicts``: names of other objects that are there, and were left.
    """

    objects: int
    bytes: int
    unchanged: int
    conflicts: list[str]
    dry_run: bool


class Import:
    """One import.

    Args:
        bucket: the bucket.
        call: the user's call; its result is an ``ImportReport``.
        file: a path, or a binary file that can seek.
        buckets: new names of buckets that links lead to.
        overwrite: objects that are there with other bytes are replaced.
        keep: what the archive says of an object's revision is kept in its metadata.
        dry_run: verify and compare, but store nothing.
        progress: the user's, called as ``progress(objects, bytes)``.
    """

    def __init__(
        self,
        bucket: Bucket,
        call: StoreCall,
        file: Path | IO[bytes],
        *,
        buckets: Mapping[str, str],
        overwrite: bool,
        keep: bool,
        dry_run: bool,
        progress: Callable[[int, int], None] | None,
    ) -> None:
        self._bucket = bucket
        self._call = call
        self._path = file if isinstance(file, Path) else None
        self._file: IO[bytes] | None = None if isinstance(file, Path) else file
        self._buckets = dict(buckets)
        self._overwrite = overwrite
        self._keep = keep
        self._progress = progress
        self._start = 0
        self._number = 0  # of the object that is next
        self._dropped: set[int] = set()  # numbers of objects that were abandoned
        self._archive: layout.Archive
        self._bodies: Iterator[layout.Body]
        self._report: ImportReport = {
            'objects': 0,
            'bytes': 0,
            'unchanged': 0,
            'conflicts': [],
            'dry_run': dry_run,
        }
        call.cleanup = self._cleanup

    def start(self) -> None:
        """See whether the bucket takes changes."""
        if self._report['dry_run']:
            self._bucket.open(self._call, self._verify)
        else:
            self._bucket.writable(self._call, self._verify)

    def _verify(self) -> None:
        try:
            if self._path is not None:
                self._file = self._path.open('rb')
            assert self._file is not None
            self._start = self._file.tell()
        except Exception as exc:  # of the user's file
            self._fail(exc)
            return
        in_thread(self._bucket.nats.port, self._read_through, self._verified)

    def _read_through(self) -> None:
        assert self._file is not None

        numbers = count()

        def note(body: layout.Body, counts: bool) -> None:
            number = next(numbers)
            if counts:
                self._meta(body)
            else:
                self._dropped.add(number)

        layout.read_through(self._file, lambda: self._call.done, note)

    def _verified(self, exc: Exception | None) -> None:
        if self._call.done:
            self._cleanup()
            return
        if exc is not None:
            self._fail(exc)
            return
        assert self._file is not None
        try:
            self._file.seek(self._start)
            self._archive = layout.Archive(self._file)
            about = self._archive.open()
        except Exception as error:
            self._fail(error)
            return
        self._buckets.setdefault(about['bucket'], self._bucket.name)
        self._bodies = self._archive.objects()
        self._next()

    def _fail(self, exc: Exception) -> None:
        if not isinstance(exc, NatsError):
            err = ObjectStoreError(f'cannot read the archive: {exc}', bucket=self._bucket.name)
            err.__cause__ = exc
            exc = err
        self._call.fail(exc)

    def _cleanup(self) -> None:
        # While a thread reads it, that is left to _verified.
        if self._path is not None and self._file is not None:
            self._file.close()

    # One object after the other.

    def _next(self) -> None:
        if self._call.done:
            return
        try:
            body = next(self._bodies, None)
        except Exception as exc:
            self._fail(exc)
            return
        number, self._number = self._number, self._number + 1
        if body is None:
            self._call.end(self._report, None)
        elif number in self._dropped:
            self._skip(body)
        else:
            self._look(body)

    def _skip(self, body: layout.Body) -> None:
        try:
            for _ in self._archive.chunks(body):
                pass
        except Exception as exc:
            self._fail(exc)
            return
        self._bucket.nats.call_soon(self._next)

    def _look(self, body: layout.Body) -> None:
        meta = self._meta(body)
        link = meta['options'].get('link')
        if link is not None:
            link['bucket'] = self._buckets.get(link['bucket'], link['bucket'])
        if self._keep:
            time = '' if body.time is None else body.time.isoformat()
            meta['metadata'] |= {
                'natsev.origin.nuid': str(body.fields.get('nuid', '')),
                'natsev.origin.seq': str(body.seq),
                'natsev.origin.time': time,
            }
        find(
            self._bucket,
            self._call,
            meta['name'],
            lambda entry: self._found(body, meta, entry),
            leader=True,
        )

    def _meta(self, body: layout.Body) -> ObjectMeta:
        """Return the metadata of the object to be stored.

        Raises:
            ObjectStoreError: there can be no such object.
        """
        fields = {**body.fields, 'nuid': next_nuid()}
        try:
            message: StoredMessage = {
                'stream': self._bucket.stream,
                'subject': self._bucket.subjects.meta(fields['name']),
                'seq': 0,
                'time': body.time,  # type: ignore[typeddict-item]
                'headers': None,
                'payload': json.dumps(fields).encode(),
            }
            meta = record.parse(message, self._bucket.name)
        except (ValueError, InvalidMetaError) as exc:
            raise layout.damaged(str(exc)) from None
        if meta['deleted']:
            raise layout.damaged(f'{meta["name"]!r} is a deleted object')
        return meta

    def _found(self, body: layout.Body, meta: ObjectMeta, entry: Entry | None) -> None:
        there = None if entry is None or entry.meta['deleted'] else entry.meta
        if there is not None and _same(there, meta):
            self._report['unchanged'] += 1
            self._skip(body)
        elif there is not None and not self._overwrite:
            self._report['conflicts'].append(meta['name'])
            self._skip(body)
        elif self._report['dry_run']:
            self._count(meta)
            self._skip(body)
        elif 'link' in meta['options']:
            self._link(body, meta, entry)
        else:
            self._put(body, meta, entry)

    def _count(self, meta: ObjectMeta) -> None:
        self._report['objects'] += 1
        self._report['bytes'] += meta['size']
        if self._progress is not None and not self._report['dry_run']:
            self._progress(self._report['objects'], self._report['bytes'])

    def _link(self, body: layout.Body, meta: ObjectMeta, entry: Entry | None) -> None:
        def stored(meta: ObjectMeta) -> None:
            if entry is not None:
                self._purge(entry.message)
            self._count(meta)
            self._skip(body)

        subject = self._bucket.subjects.meta(meta['name'])
        here = entry is not None and entry.message['subject'] == subject
        metas.publish(
            self._bucket,
            self._call,
            subject,
            meta,
            stored,
            expected=entry.meta['seq'] if entry is not None and here else 0,
        )

    def _purge(self, replaced: StoredMessage) -> None:
        """Purge the chunks of an object that is replaced by a link."""
        meta = meta_of(replaced, self._bucket.name)
        if meta is not None and not record.versions_kept(replaced):
            Purge(self._bucket, meta['nuid']).start(now=True)

    def _put(self, body: layout.Body, meta: ObjectMeta, entry: Entry | None) -> None:
        chunks = self._archive.chunks(body)

        def stored(info: ObjectMeta | None, err: NatsError | None) -> None:
            if self._call.done:
                return
            if err is not None or info is None:
                self._call.fail(err or NatsError())
                return
            self._count(info)
            self._bucket.nats.call_soon(self._next)

        put = Put(
            self._bucket,
            self._bucket.nats.call(stored),
            meta,
            Pieces(chunks),
            chunk_size=meta['options'].get('max_chunk_size', _DEFAULT_CHUNK),
            condition=Condition(None if entry is None else entry.meta['seq'], entry is None),
            unknown=body.fields,
        )
        self._call.child = put
        put.start()


def _same(there: ObjectMeta, meta: ObjectMeta) -> bool:
    """Is it what is there already: the same bytes, or the same link?"""
    if 'link' in meta['options'] or 'link' in there['options']:
        return meta['options'].get('link') == there['options'].get('link')
    one, other = record.digest_bytes(there['digest']), record.digest_bytes(meta['digest'])
    return there['size'] == meta['size'] and bool(one) and one == other
