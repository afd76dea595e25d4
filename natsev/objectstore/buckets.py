"""The part of ``ObjectStore`` that manages buckets."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from ..calls import Call
from . import admin
from .bucket import Bucket
from .config import BucketOptions

if TYPE_CHECKING:
    from ..jetstream import JetStream

AnyCallback = Callable[..., Any]


class Buckets:
    """The part of ``ObjectStore`` that manages buckets."""

    _bucket: Bucket

    def create_bucket(
        self, opts: BucketOptions | Mapping[str, Any] | None, cb: AnyCallback
    ) -> Call:
        """Create the bucket. One with the same configuration already is opened.

        Args:
            opts: see ``BucketOptions``; ``{}`` will do.
            cb: called once as ``cb(info, err)`` with the ``StreamInfo`` of the bucket's stream.

        Errors:
            BucketExistsError: it exists with another configuration.
            UnsupportedOptionError: the server is too old for an option.
            JetStreamError.

        Raises:
            TypeError, ValueError: an option is unknown, or its value cannot work.
        """
        return admin.create(self._bucket, opts, cb)

    def create_or_update_bucket(
        self, opts: BucketOptions | Mapping[str, Any] | None, cb: AnyCallback
    ) -> Call:
        """Create the bucket, or change the options given of the one that is there.

        Args:
            opts: see ``BucketOptions``.
            cb: called once as ``cb(info, err)`` with the ``StreamInfo``.

        Errors:
            JetStreamError: the server cannot change it so.

        Raises:
            TypeError, ValueError: an option is unknown, or its value cannot work.
        """
        return admin.create_or_update(self._bucket, opts, cb)

    def update_bucket(self, opts: BucketOptions | Mapping[str, Any], cb: AnyCallback) -> Call:
        """Change options of the bucket; those not given stay as they are.

        Args:
            opts: see ``BucketOptions``.
            cb: called once as ``cb(info, err)`` with the ``StreamInfo``.

        Errors:
            BucketNotFoundError, JetStreamError: the server cannot change it so.
        """
        return admin.update(self._bucket, opts, cb)

    def delete_bucket(self, cb: AnyCallback) -> Call:
        """Delete the bucket and all it holds.

        Args:
            cb: called once as ``cb(True, err)``.

        Errors:
            BucketNotFoundError.
        """
        return admin.delete(self._bucket, cb)

    @staticmethod
    def buckets(js: JetStream, cb: AnyCallback) -> Call:
        """Look at all object buckets that *js* reaches.

        Args:
            js: the JetStream client.
            cb: called once as ``cb(statuses, err)`` with a list of ``BucketStatus``, by name.
        """
        return admin.buckets(js, cb)

    def status(self, cb: AnyCallback) -> Call:
        """Look at the bucket.

        Args:
            cb: called once as ``cb(status, err)`` with a ``BucketStatus``.

        Errors:
            BucketNotFoundError.
        """
        return admin.status(self._bucket, cb)

    def seal(self, cb: AnyCallback) -> Call:
        """Make the bucket take no changes any more. It cannot be undone.

        Args:
            cb: called once as ``cb(status, err)``.

        Errors:
            BucketNotFoundError.
        """
        return admin.seal(self._bucket, cb)
