"""The part of ``ObjectStore`` that keeps a bucket tidy."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

from ..calls import Call
from . import check
from .bucket import Bucket
from .operation import StoreCall
from .tidying.pruning import DeleteMany, PurgeDeletes
from .tidying.sweep import Sweep

AnyCallback = Callable[..., Any]
_HOUR = timedelta(hours=1)
_HALF_AN_HOUR = timedelta(minutes=30)


class Upkeep:
    """The part of ``ObjectStore`` that keeps a bucket tidy."""

    _bucket: Bucket

    def sweep(
        self,
        cb: AnyCallback,
        *,
        older_than: float | timedelta = _HOUR,
        dry_run: bool = False,
    ) -> Call:
        """Look through the bucket for what interrupted or faulty clients left, and tidy up.

        Chunks that no object names are purged. Metadata that some clients cannot read or find is
        written anew. Objects that lack chunks, and names with metadata in several places, are told;
        what is to become of them is for you to say.

        Args:
            cb: called once as ``cb(report, err)`` with a ``SweepReport``.
            older_than: ms, or a ``timedelta``: what is younger is left alone, for it may be in the
                middle of being written; chunks count from the last one of an object.
            dry_run: look only.

        Errors:
            BucketNotFoundError, SealedError, RequestTimeout, DisconnectedError, Cancelled,
            JetStreamError.

        Raises:
            TypeError, ValueError: an argument cannot be.
        """
        age = check.age(older_than, 'older_than')
        call = StoreCall(self._bucket, cb)
        self._bucket.nats.call_soon(Sweep(self._bucket, call, age, bool(dry_run)).start)
        return call

    def purge_deletes(
        self, cb: AnyCallback, *, older_than: float | timedelta = _HALF_AN_HOUR
    ) -> Call:
        """Forget deleted objects: remove their tombstones, and versions that were kept of them.

        Args:
            cb: called once as ``cb(report, err)`` with a ``PurgeReport``.
            older_than: ms, or a ``timedelta``: younger ones stay, so that watchers that were away
                still see them.

        Errors:
            BucketNotFoundError, SealedError, RequestTimeout, DisconnectedError, Cancelled,
            JetStreamError.

        Raises:
            TypeError, ValueError: an argument cannot be.
        """
        age = check.age(older_than, 'older_than')
        call = StoreCall(self._bucket, cb)
        self._bucket.nats.call_soon(PurgeDeletes(self._bucket, call, age).start)
        return call

    def delete_many(
        self,
        cb: AnyCallback,
        *,
        prefix: str | None = None,
        older_than: float | timedelta | None = None,
        dry_run: bool = False,
    ) -> Call:
        """Delete all objects that match. One that somebody replaces meanwhile is left alone.

        Args:
            cb: called once as ``cb(report, err)`` with a ``DeleteReport``.
            prefix: names that begin so; ``''`` for all.
            older_than: ms, or a ``timedelta``: what was stored longer ago.
            dry_run: tell what would be deleted.

        Errors:
            BucketNotFoundError, SealedError, RequestTimeout, DisconnectedError, Cancelled,
            JetStreamError.

        Raises:
            TypeError, ValueError: an argument cannot be; or neither *prefix* nor *older_than* is
                given.
        """
        check.text(prefix, 'prefix')
        if prefix is None and older_than is None:
            raise ValueError("delete_many needs prefix or older_than; prefix='' means all objects")
        age = None if older_than is None else check.age(older_than, 'older_than')
        call = StoreCall(self._bucket, cb)
        deletion = DeleteMany(self._bucket, call, prefix or '', age, bool(dry_run))
        self._bucket.nats.call_soon(deletion.start)
        return call
