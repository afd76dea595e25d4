"""The part of ``ObjectStore`` that carries buckets to files and directories, and back."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import IO, Any

from ..callbacks import arity
from ..calls import Call
from ..subjects import check_bucket
from . import check
from .archive.exporting import Export
from .archive.importing import Import
from .bucket import Bucket
from .directories.sync import SyncFromBucket, SyncToBucket
from .operation import StoreCall
from .transfer import Transfer

AnyCallback = Callable[..., Any]


class Exchange:
    """The part of ``ObjectStore`` that carries buckets to files and directories, and back."""

    _bucket: Bucket

    def export_bucket(
        self,
        file: Path | IO[bytes],
        cb: AnyCallback,
        *,
        prefix: str | None = None,
        resume: bool = False,
        progress: AnyCallback | None = None,
    ) -> Transfer:
        """Write all objects to an archive: ``docs/archive-format.md``.

        What changes meanwhile is written as it is then. Deleted objects and earlier versions are
        left out. No more is held in memory than a chunk or two. Over a lost connection it goes on
        by itself.

        Args:
            file: a ``pathlib.Path``, where the archive appears when it is complete (until then it
                is ``<name>.part`` beside it); or a binary file, which is written as it comes.
            cb: called once as ``cb(report, err)`` with an ``ExportReport``. Look at its ``failed``:
                objects whose bytes are not there (any more) do not end the export.
            prefix: only names that begin so.
            resume: go on with the ``.part`` that an export which broke off has left.
            progress: called as ``progress(objects, bytes)`` after each object.

        Returns:
            A ``Transfer``.

        Errors:
            ObjectStoreError: the file cannot be written; ``__cause__`` tells why.
            BucketNotFoundError, RequestTimeout, DisconnectedError, Cancelled, JetStreamError.

        Raises:
            TypeError, ValueError: an argument cannot be.
        """
        if not isinstance(file, Path):
            if not callable(getattr(file, 'write', None)) or hasattr(file, 'encoding'):
                raise TypeError(f'file must be a Path or a binary file, not {type(file).__name__}')
            if resume:
                raise ValueError('only an export to a path can be resumed')
        checked = check.text(prefix, 'prefix') or ''
        call = self._bucket.nats.call(cb)
        told = _told(self._bucket, progress)
        export = Export(self._bucket, call, file, checked, bool(resume), told)
        export.start()
        return export

    def import_bucket(
        self,
        file: Path | IO[bytes],
        cb: AnyCallback,
        *,
        overwrite: bool = False,
        buckets: Mapping[str, str] | None = None,
        revisions: str = 'renew',
        dry_run: bool = False,
        progress: AnyCallback | None = None,
    ) -> Call:
        """Store the objects of an archive in this bucket, which must exist.

        The archive is read twice: first all of it is verified, so that one that was cut off or
        altered stores nothing. An import that broke off is gone on with by another one: what is
        there with the same bytes is passed over.

        Args:
            file: a ``pathlib.Path``, or a binary file that can seek, where the archive begins.
            cb: called once as ``cb(report, err)`` with an ``ImportReport``. Look at its
                ``conflicts``: names of objects that are there with other bytes, and stay.
            overwrite: replace these.
            buckets: new names of buckets, for links: ``{'old': 'new'}``. Links to the bucket that
                was exported lead to this one, if nothing else is said.
            revisions: ``'keep'`` notes in each object's ``metadata`` the nuid, sequence and time
                that it had (``natsev.origin.nuid``, ``.seq``, ``.time``); ``'renew'`` forgets them.
                In the bucket each has a new one.
            dry_run: verify the archive and tell what would be done.
            progress: called as ``progress(objects, bytes)`` after each object stored.

        Errors:
            ObjectStoreError: the archive is damaged, and nothing was stored; or the file cannot be
                read, and ``__cause__`` tells why.
            WrongSequenceError: an object was stored by somebody else at the same time.
            BucketNotFoundError, SealedError, StorageFullError, RequestTimeout, DisconnectedError,
            Cancelled, JetStreamError.

        Raises:
            TypeError, ValueError: an argument cannot be.
        """
        if not isinstance(file, Path) and not (
            callable(getattr(file, 'read', None))
            and callable(getattr(file, 'seek', None))
            and not hasattr(file, 'encoding')
        ):
            raise TypeError(
                f'file must be a Path or a binary file that can seek, not {type(file).__name__}'
            )
        if revisions not in ('keep', 'renew'):
            raise ValueError(f"revisions must be 'keep' or 'renew', not {revisions!r}")
        for old, new in (buckets or {}).items():
            check_bucket(old)
            check_bucket(new)
        call = StoreCall(self._bucket, cb)
        importing = Import(
            self._bucket,
            call,
            file,
            buckets=buckets or {},
            overwrite=bool(overwrite),
            keep=revisions == 'keep',
            dry_run=bool(dry_run),
            progress=_told(self._bucket, progress),
        )
        self._bucket.nats.call_soon(importing.start)
        return call

    def sync_to_bucket(
        self,
        directory: Path,
        cb: AnyCallback,
        *,
        prefix: str | None = None,
        delete: bool = False,
        dry_run: bool = False,
        progress: AnyCallback | None = None,
    ) -> Call:
        """Make the bucket like a directory: store the files that are not there with the same bytes.

        Every file is read to compare its digest. Its time and permissions are kept in metadata,
        and symbolic links as such, where they do not lead out of the directory.

        Args:
            directory: a ``pathlib.Path``.
            cb: called once as ``cb(report, err)`` with a ``SyncReport``. Look at its ``failed`` and
                ``skipped``: a file that cannot be read does not end the sync.
            prefix: what the objects' names begin with, such as ``'photos/'``.
            delete: delete objects (of this prefix) that are no files; not if anything failed.
            dry_run: tell what would be done.
            progress: called as ``progress(files, bytes)`` after each file stored.

        Errors:
            ObjectStoreError: the directory cannot be read; ``__cause__`` tells why.
            BucketNotFoundError, SealedError, RequestTimeout, DisconnectedError, Cancelled.

        Raises:
            TypeError, ValueError: an argument cannot be.
        """
        return self._sync(SyncToBucket, directory, cb, prefix, delete, dry_run, progress)

    def sync_from_bucket(
        self,
        directory: Path,
        cb: AnyCallback,
        *,
        prefix: str | None = None,
        delete: bool = False,
        dry_run: bool = False,
        progress: AnyCallback | None = None,
    ) -> Call:
        """Make a directory like the bucket: write the files that are not there with the same bytes.

        Each file is written under a temporary name, verified and renamed. No object is written
        outside the directory, whatever its name is, and none through a symbolic link.

        Args:
            directory: a ``pathlib.Path``; it is made where it is not there.
            cb: called once as ``cb(report, err)`` with a ``SyncReport``. Look at its ``failed`` and
                ``skipped``.
            prefix: only objects whose names begin so; the files are named without it.
            delete: delete files that are no objects; not if anything failed.
            dry_run: tell what would be done.
            progress: called as ``progress(files, bytes)`` after each file written.

        Errors:
            ObjectStoreError: the directory cannot be read; ``__cause__`` tells why.
            BucketNotFoundError, RequestTimeout, DisconnectedError, Cancelled.

        Raises:
            TypeError, ValueError: an argument cannot be.
        """
        return self._sync(SyncFromBucket, directory, cb, prefix, delete, dry_run, progress)

    def _sync(
        self,
        way: type[SyncToBucket | SyncFromBucket],
        directory: Path,
        cb: AnyCallback,
        prefix: str | None,
        delete: bool,
        dry_run: bool,
        progress: AnyCallback | None,
    ) -> Call:
        if not isinstance(directory, Path):
            raise TypeError(f'directory must be a Path, not {type(directory).__name__}')
        call = StoreCall(self._bucket, cb)
        sync = way(
            self,
            self._bucket,
            call,
            directory,
            prefix=check.text(prefix, 'prefix') or '',
            delete=bool(delete),
            dry_run=bool(dry_run),
            progress=_told(self._bucket, progress),
        )
        self._bucket.nats.call_soon(sync.start)
        return call


def _told(bucket: Bucket, progress: AnyCallback | None) -> Callable[[int, int], None] | None:
    """Return what tells the user's *progress*, whatever it raises."""
    if progress is None:
        return None
    nargs = arity(progress, 2)
    return lambda *args: bucket.nats.run_callback(progress, *args[:nargs])
