"""The part of ``ObjectStore`` that tells what is there: metadata, lists, changes."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from ..calls import Call
from . import check
from .bucket import Bucket
from .infos import Entries, find_many
from .listing import Gatherer, Handed, Listing, Page
from .lookup import Entry, find
from .operation import StoreCall
from .transfer import Transfer
from .watch import Watch

AnyCallback = Callable[..., Any]


class Catalog:
    """The part of ``ObjectStore`` that tells what is there."""

    _bucket: Bucket

    def info(self, name: str, cb: AnyCallback, deleted: bool = False) -> Call:
        """Read an object's metadata. A link's is its own, not that of where it leads.

        Args:
            name: the object.
            cb: called once as ``cb(meta, err)``; ``(None, None)`` when there is no such object.
            deleted: give the metadata of a deleted object too.

        Errors:
            InvalidMetaError, BucketNotFoundError, RequestTimeout, DisconnectedError, Cancelled.
        """
        bucket = self._bucket
        bucket.subjects.meta(name)
        call = StoreCall(bucket, cb)

        def found(entry: Entry | None) -> None:
            shown = entry is not None and (deleted or not entry.meta['deleted'])
            call.end(entry.meta if entry is not None and shown else None, None)

        find(bucket, call, name, found)
        return call

    def infos(self, names: Iterable[str], cb: AnyCallback) -> Call:
        """Read the metadata of many objects, hundreds in one round trip.

        Args:
            names: the objects.
            cb: called once as ``cb(metas, err)`` with a list as long as *names* and in their order;
                None in it where there is no such object, or it is deleted.

        Errors:
            InvalidMetaError, BucketNotFoundError, RequestTimeout, DisconnectedError, Cancelled.

        Raises:
            TypeError, ValueError: a name cannot be.
        """
        bucket = self._bucket
        if isinstance(names, (str, bytes)):
            raise TypeError('names must be several names, not one text')
        wanted = list(names)
        for name in wanted:
            bucket.subjects.meta(name)
        call = StoreCall(bucket, cb)

        def found(entries: Entries) -> None:
            live = {name: e.meta for name, e in entries.items() if not e.meta['deleted']}
            call.end([live.get(name) for name in wanted], None)

        bucket.nats.call_soon(find_many, bucket, call, wanted, found)
        return call

    def list(
        self,
        cb: AnyCallback,
        *,
        deleted: bool = False,
        details: bool = False,
        prefix: str | None = None,
        limit: int | None = None,
        after: str | None = None,
        on_item: AnyCallback | None = None,
    ) -> Transfer:
        """List the objects, in the order of their names.

        A page (*limit*) of a large bucket is read without holding more than that page, though all
        names pass by. To go through a whole large bucket use *on_item*: it is read once, and
        nothing is held.

        Args:
            cb: called once as ``cb(names, err)``, with *details* as ``cb(metas, err)``, with
                *on_item* as ``cb(count, err)``.
            deleted: deleted objects too.
            details: metadata instead of names.
            prefix: only names that begin so.
            limit: at most so many.
            after: only names behind this one: the last of the page before.
            on_item: called as ``on_item(name)``, with *details* as ``on_item(meta)``, for each
                object as it comes, in no order; not together with *limit* and *after*.

        Returns:
            A ``Transfer``; ``pause()`` and ``resume()`` hold back ``on_item``.

        Errors:
            BucketNotFoundError, RequestTimeout, DisconnectedError, Cancelled.

        Raises:
            TypeError, ValueError: an argument cannot be.
        """
        check.text(after, 'after')
        prefix = check.text(prefix, 'prefix') or ''
        if limit is not None:
            check.number(limit, 'limit', 1)
        bucket, nats = self._bucket, self._bucket.nats
        gatherer: Gatherer
        if on_item is None:
            gatherer = Page(prefix, after, limit)
        elif limit is not None or after is not None:
            raise ValueError('on_item comes in no order: it excludes limit and after')
        else:
            nats.call(on_item, 1, 0)  # TypeError when it cannot be called with one argument
            gatherer = Handed(prefix, lambda item: nats.run_callback(on_item, item))
        listing = Listing(bucket, nats.call(cb), gatherer, details=details, deleted=deleted)
        listing.start()
        return listing

    def watch(
        self,
        cb: AnyCallback,
        *,
        name: str | None = None,
        prefix: str | None = None,
        history: bool = False,
        updates_only: bool = False,
        ignore_deletes: bool = False,
        since: int | None = None,
    ) -> Watch:
        """Watch for changes, beginning with the present state.

        Args:
            cb: called as ``cb(meta, err)`` for each object that is there, and for each change;
                ``(None, None)`` once when the present state has been delivered. With an err of
                ``InvalidMetaError`` it goes on; any other is the end.
            name: only this object.
            prefix: only names that begin so.
            history: earlier metadata too, where the bucket has any.
            updates_only: without the present state.
            ignore_deletes: without tombstones.
            since: only what came after this ``seq``.

        Returns:
            A handle; ``stop()`` ends the watch.

        Errors:
            BucketNotFoundError, DisconnectedError: also when it comes to that later.
        """
        if (since is not None) + history + updates_only > 1:
            raise ValueError('since, history and updates_only exclude each other')
        if since is not None:
            check.number(since, 'since', 0)
            deliver: dict[str, Any] = {'opt_start_seq': since + 1}
        elif updates_only:
            deliver = {'deliver_policy': 'new'}
        else:
            deliver = {'deliver_policy': 'all' if history else 'last_per_subject'}
        return Watch(
            self._bucket,
            cb,
            name=name,
            prefix=check.text(prefix, 'prefix') or '',
            ignore_deletes=ignore_deletes,
            deliver=deliver,
        )
