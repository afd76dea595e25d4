"""The part of ``ObjectStore`` that changes metadata, and makes links."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ..calls import Call
from ..subjects import check_bucket
from . import check
from .bucket import Bucket
from .links import Linking
from .operation import StoreCall
from .record import Link
from .update import Update, check_changes

AnyCallback = Callable[..., Any]


class Editing:
    """The part of ``ObjectStore`` that changes metadata, and makes links."""

    _bucket: Bucket

    def update_meta(
        self,
        name: str,
        changes: Mapping[str, Any],
        cb: AnyCallback,
        *,
        expected_seq: int | None = None,
    ) -> Call:
        """Change an object's metadata; its bytes are not touched.

        What *changes* do not name stays as it is, fields of other clients included. A new name is
        written before the old one is deleted: the object is never lost, and if the connection is
        lost in between it has both.

        Args:
            name: the object; a link is changed itself.
            changes: ``description``, ``headers``, ``metadata`` (all of it), ``name``; None or
                nothing in it removes a field.
            cb: called once as ``cb(meta, err)``; ``(None, None)`` when there is no such object.
            expected_seq: change it only if it has this ``seq``.

        Errors:
            WrongSequenceError: *expected_seq* did not hold; or there is an object of the new name;
                or the object was replaced while it was renamed.
            MaxPayloadError: the metadata is larger than the server takes.
            BucketNotFoundError, SealedError, StorageFullError, RequestTimeout, DisconnectedError,
            Cancelled, JetStreamError.

        Raises:
            TypeError, ValueError: a change is unknown, or its value cannot be.
        """
        bucket = self._bucket
        bucket.subjects.meta(name)
        checked = check_changes(bucket, changes)
        check.condition(expected_seq)
        call = StoreCall(bucket, cb)
        update = Update(bucket, call, name, checked, expected_seq)
        bucket.nats.call_soon(update.start)
        return call

    def link(self, name: str, target_name: str, cb: AnyCallback, bucket: str | None = None) -> Call:
        """Make *name* lead to another object: whoever gets it gets that one, as it is then.

        Args:
            name: of the link; a link of this name is replaced.
            target_name: the object, which must be there; it may be a link itself.
            cb: called once as ``cb(meta, err)`` with the link's own metadata.
            bucket: of the target; default: this one.

        Errors:
            LinkError: there is no such target.
            WrongSequenceError: there is an object, not a link, of this name.
            BucketNotFoundError, SealedError, StorageFullError, RequestTimeout, DisconnectedError,
            Cancelled, JetStreamError.

        Raises:
            TypeError, ValueError: a name cannot be; or the link would lead to itself.
        """
        where = self._bucket.name if bucket is None else check_bucket(bucket)
        self._bucket.subjects.meta(target_name)
        if (where, target_name) == (self._bucket.name, name):
            raise ValueError(f'{name!r} cannot be a link to itself')
        return self._link(name, {'bucket': where, 'name': target_name}, cb)

    def link_bucket(self, name: str, bucket: str, cb: AnyCallback) -> Call:
        """Make *name* lead to a bucket. ``get`` does not follow it; ``info`` tells where it leads.

        Args:
            name: of the link; a link of this name is replaced.
            bucket: the bucket, which must be there.
            cb: called once as ``cb(meta, err)`` with the link's own metadata.

        Errors:
            BucketNotFoundError: there is no such bucket.
            WrongSequenceError: there is an object, not a link, of this name.
            SealedError, StorageFullError, RequestTimeout, DisconnectedError, Cancelled,
            JetStreamError.
        """
        return self._link(name, {'bucket': check_bucket(bucket)}, cb)

    def _link(self, name: str, link: Link, cb: AnyCallback) -> Call:
        bucket = self._bucket
        bucket.subjects.meta(name)
        call = StoreCall(bucket, cb)
        bucket.nats.call_soon(Linking(bucket, call, name, link).start)
        return call
