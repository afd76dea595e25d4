"""The part of ``ObjectStore`` that deals with earlier versions of objects."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..calls import Call
from . import check
from .bucket import Bucket
from .operation import StoreCall
from .versions import PurgeVersions, Restore, Versions

AnyCallback = Callable[..., Any]


class History:
    """The part of ``ObjectStore`` that deals with earlier versions of objects."""

    _bucket: Bucket

    def versions(self, name: str, cb: AnyCallback) -> Call:
        """List the earlier versions of an object, see ``put`` with ``keep_versions``.

        They are there too when the object is deleted, until ``purge_versions`` or
        ``purge_deletes``. What another client replaces or deletes is lost, but not what was before.

        Args:
            name: the object.
            cb: called once as ``cb(metas, err)`` with a list of ``ObjectMeta``, the newest first;
                their ``seq`` is what ``get`` and ``restore`` take as *version*.

        Errors:
            BucketNotFoundError, RequestTimeout, DisconnectedError, Cancelled.
        """
        call = self._step(name, cb)
        self._bucket.nats.call_soon(Versions(self._bucket, call, name).start)
        return call

    def restore(self, name: str, version: int, cb: AnyCallback) -> Call:
        """Make an earlier version of an object the present one; that becomes an earlier one.

        Args:
            name: the object; it may be deleted.
            version: the ``seq`` of the version.
            cb: called once as ``cb(meta, err)``; ``(None, None)`` when there is no such version.

        Errors:
            MissingChunks: the version was purged at the same time.
            BucketNotFoundError, SealedError, StorageFullError, RequestTimeout, DisconnectedError,
            Cancelled, JetStreamError.
        """
        check.number(version, 'version', 1)
        call = self._step(name, cb)
        self._bucket.nats.call_soon(Restore(self._bucket, call, name, version).start)
        return call

    def purge_versions(self, name: str, cb: AnyCallback, *, keep: int = 0) -> Call:
        """Purge earlier versions of an object.

        Args:
            name: the object.
            cb: called once as ``cb(purged, err)`` with their number.
            keep: all but so many, the newest.

        Errors:
            BucketNotFoundError, SealedError, RequestTimeout, DisconnectedError, Cancelled.
        """
        check.number(keep, 'keep', 0)
        call = self._step(name, cb)
        self._bucket.nats.call_soon(PurgeVersions(self._bucket, call, name, keep).start)
        return call

    def _step(self, name: str, cb: AnyCallback) -> StoreCall:
        self._bucket.subjects.meta(name)
        return StoreCall(self._bucket, cb)
