"""An object store on JetStream (ADR-20): objects of any size, in chunks, with digests.

Mirrors EV::Nats::ObjectStore, on the wire of all official clients.
https://github.com/nats-io/nats-architecture-and-design/blob/main/adr/ADR-20.md
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from ..calls import Call
from ..errors import MaxPayloadError
from ..nuid import next_nuid
from ..subjects import check_bucket
from . import admin, check, record
from .admin import BucketStatus
from .bucket import Bucket
from .config import BucketOptions
from .delete import Delete
from .get import Get
from .listing import Listing
from .lookup import Entry, find
from .names import DIALECTS, Dialect
from .operation import StoreCall
from .put import Put
from .record import ObjectMeta
from .sink import Handed, Sink, sink_for
from .source import Source, source_of
from .transfer import Transfer
from .watch import Watch
from .writer import Writer

if TYPE_CHECKING:
    from ..jetstream import JetStream

AnyCallback = Callable[..., Any]
_CHUNK_SIZE = 128 * 1024
# Beside the metadata's own text: headers, and what grows while the object is stored.
_META_ROOM = 1024


class ObjectStore:
    """A bucket of objects. All methods call back from the loop.

    Args:
        js: the JetStream client.
        bucket: the bucket's name; it need not exist yet.
        chunk_size: bytes per chunk, where ``put`` is not told otherwise; what the server's
            ``max_payload`` lets through may be less.
        timeout: ms to wait for a reply, and without progress of a transfer; default: that of *js*.
        dialect: ``'adr20'``, or ``'ev-nats'`` to write as the Perl original does; both are read.

    Raises:
        TypeError, ValueError: an argument cannot be.
    """

    def __init__(
        self,
        *,
        js: JetStream,
        bucket: str,
        chunk_size: int = _CHUNK_SIZE,
        timeout: float | None = None,
        dialect: Dialect = 'adr20',
    ) -> None:
        if dialect not in DIALECTS:
            raise ValueError(f'dialect must be one of {DIALECTS}, not {dialect!r}')
        timeout = js.timeout if timeout is None else check.timeout(timeout)
        self._chunk_size = check.number(chunk_size, 'chunk_size', 1)
        self._bucket = Bucket(js, check_bucket(bucket), timeout, dialect)

    def __repr__(self) -> str:
        return f'<ObjectStore {self.bucket}>'

    @property
    def bucket(self) -> str:
        """The bucket's name."""
        return self._bucket.name

    # Buckets.

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

    # Storing.

    def put(
        self,
        name: str,
        data: Any,
        cb: AnyCallback,
        *,
        description: str | None = None,
        headers: Mapping[str, str | Iterable[str]] | None = None,
        metadata: Mapping[str, str] | None = None,
        chunk_size: int | None = None,
        progress: AnyCallback | None = None,
        expected_seq: int | None = None,
        if_absent: bool = False,
    ) -> Transfer:
        """Store an object, in place of one with the same name.

        The metadata is written last, so a half-stored object is never seen; an old object is there
        until the new one is. What a failed or cancelled put stored is purged. With
        ``reconnect=True`` it goes on by itself after a lost connection.

        Args:
            name: any text that is not empty.
            data: bytes-like, ``str`` (as UTF-8), a ``pathlib.Path``, a binary file, or an iterable
                of bytes. It must not change until the callback.
            cb: called once as ``cb(info, err)`` with the ``ObjectMeta``.
            description: a text for people.
            headers: texts, or lists of texts, by name.
            metadata: texts by name.
            chunk_size: bytes per chunk.
            progress: called as ``progress(done, total)`` as chunks are stored; total is None where
                the size is not known.
            expected_seq: store only if the present object, or its tombstone, has this ``seq`` (0:
                there is none).
            if_absent: store only if there is no such object.

        Returns:
            A ``Transfer``.

        Errors:
            WrongSequenceError: *expected_seq* or *if_absent* did not hold.
            BucketNotFoundError, SealedError, StorageFullError: the bucket cannot take it.
            RequestTimeout: no progress for as long as ``timeout``.
            ObjectStoreError: *data* could not be read; ``__cause__`` tells why.
            DisconnectedError, Cancelled, JetStreamError.

        Raises:
            TypeError, ValueError: an argument cannot be.
            MaxPayloadError: the metadata is larger than the server takes.
        """
        return self._put(
            name,
            source_of(data),
            cb,
            description=description,
            headers=headers,
            metadata=metadata,
            chunk_size=chunk_size,
            progress=progress,
            expected_seq=expected_seq,
            if_absent=if_absent,
        )

    def put_stream(
        self,
        name: str,
        cb: AnyCallback,
        *,
        on_drain: Callable[[], Any] | None = None,
        **options: Any,
    ) -> Writer:
        """Store an object that is written piece by piece.

        Args:
            name: see ``put``.
            cb: called once as ``cb(info, err)``, after ``end()``.
            on_drain: see ``Writer``.
            **options: as for ``put``.

        Returns:
            A ``Writer``: ``write(data)``, ``end()``, ``abort()``.
        """
        writer = Writer(on_drain)
        writer.transfer = self._put(name, writer.source, cb, **options)
        return writer

    def _put(
        self,
        name: str,
        source: Source,
        cb: AnyCallback,
        *,
        description: str | None = None,
        headers: Mapping[str, str | Iterable[str]] | None = None,
        metadata: Mapping[str, str] | None = None,
        chunk_size: int | None = None,
        progress: AnyCallback | None = None,
        expected_seq: int | None = None,
        if_absent: bool = False,
    ) -> Put:
        bucket = self._bucket
        bucket.subjects.meta(name)
        if chunk_size is None:
            chunk_size = self._chunk_size
        check.number(chunk_size, 'chunk_size', 1)
        meta = record.new(
            name,
            bucket.name,
            next_nuid(),
            description=record.check_description(description),
            headers=record.check_headers(headers),
            metadata=record.check_metadata(metadata),
        )
        self._check_size(meta)
        put = Put(
            bucket,
            bucket.nats.call(cb),
            meta,
            source,
            chunk_size=chunk_size,
            condition=check.condition(expected_seq, if_absent),
            progress=progress,
        )
        put.start()
        return put

    def _check_size(self, meta: ObjectMeta) -> None:
        if meta['description'] or meta['headers'] or meta['metadata']:
            size, most = len(record.to_json(meta)) + _META_ROOM, self._bucket.nats.max_payload()
            if size > most:
                raise MaxPayloadError(size, most)

    # Reading.

    def get(
        self,
        name: str,
        cb: AnyCallback,
        *,
        into: Path | IO[bytes] | None = None,
        progress: AnyCallback | None = None,
        if_none_match: str | None = None,
    ) -> Transfer:
        """Read an object. Size and digest are verified; links are followed, also to other buckets.

        Args:
            name: the object.
            cb: called once as ``cb(data, err, meta)``: bytes, or with *into* how many were written;
                ``(None, None, None)`` when there is no such object, or it is deleted.
            into: a ``pathlib.Path``, which is written under a temporary name, verified and renamed;
                or a binary file, which is written as the bytes come: do not trust it before the
                callback.
            progress: called as ``progress(done, total)``.
            if_none_match: a digest as in metadata: the object is not read when it still has it.

        Returns:
            A ``Transfer``.

        Errors:
            DigestMismatch: the bytes are not those that were stored.
            MissingChunks: chunks of the object are gone.
            ObjectChanged: it was replaced or deleted meanwhile, and bytes were written to a file.
            NotModified: *if_none_match* matched; ``meta`` is given.
            LinkError: a link leads nowhere, to a bucket, or back to itself.
            InvalidMetaError: another client left something that cannot be understood.
            ObjectStoreError: *into* could not be written; ``__cause__`` tells why.
            RequestTimeout: no progress for as long as ``timeout``.
            BucketNotFoundError, DisconnectedError, Cancelled, JetStreamError.

        Raises:
            TypeError, ValueError: an argument cannot be.
        """
        call = self._bucket.nats.call(cb, 3, 1)
        return self._get(
            name, call, sink_for(into), lambda *results: results, progress, if_none_match
        )

    def get_stream(
        self,
        name: str,
        on_chunk: AnyCallback,
        cb: AnyCallback,
        *,
        progress: AnyCallback | None = None,
        if_none_match: str | None = None,
    ) -> Transfer:
        """Read an object piece by piece. Do not trust the pieces before the callback.

        Args:
            name: the object.
            on_chunk: called as ``on_chunk(data)``; ``pause()`` of the transfer holds it back.
            cb: called once as ``cb(meta, err)``; ``(None, None)`` when there is no such object.
            progress, if_none_match: as for ``get``.

        Returns:
            A ``Transfer``.

        Errors, Raises:
            See ``get``.
        """
        nats = self._bucket.nats
        nats.call(on_chunk, 1, 0)  # TypeError when it cannot be called with one argument
        sink = Handed(lambda chunk: nats.run_callback(on_chunk, chunk))

        def results(data: Any, err: Any, meta: ObjectMeta | None) -> tuple[Any, ...]:
            return (meta if err is None else None, err)

        return self._get(name, nats.call(cb), sink, results, progress, if_none_match)

    def _get(
        self,
        name: str,
        call: Call,
        sink: Sink,
        results: Callable[..., tuple[Any, ...]],
        progress: AnyCallback | None,
        if_none_match: str | None,
    ) -> Get:
        self._bucket.subjects.meta(name)
        get = Get(
            self._bucket,
            call,
            name,
            sink,
            results=results,
            progress=progress,
            if_none_match=check.digest(if_none_match, 'if_none_match'),
        )
        get.start()
        return get

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

    # Deleting.

    def delete(
        self, name: str, cb: AnyCallback | None = None, *, expected_seq: int | None = None
    ) -> Call:
        """Delete an object: a tombstone takes its place, its chunks are purged.

        Args:
            name: the object; a link is deleted itself, not what it leads to.
            cb: called once as ``cb(True, err)``; ``(False, None)`` when there was none.
            expected_seq: delete it only if it has this ``seq``.

        Errors:
            WrongSequenceError: *expected_seq* did not hold.
            BucketNotFoundError, SealedError, RequestTimeout, DisconnectedError, Cancelled,
            JetStreamError.
        """
        self._bucket.subjects.meta(name)
        check.condition(expected_seq)
        call = StoreCall(self._bucket, cb)
        Delete(self._bucket, call, name, expected_seq).start()
        return call

    # Many objects.

    def list(
        self,
        cb: AnyCallback,
        *,
        deleted: bool = False,
        details: bool = False,
        prefix: str | None = None,
        limit: int | None = None,
        after: str | None = None,
    ) -> Transfer:
        """List the objects, in the order of their names.

        Args:
            cb: called once as ``cb(names, err)``, or with *details* as ``cb(metas, err)``.
            deleted: deleted objects too.
            details: metadata instead of names.
            prefix: only names that begin so.
            limit: at most so many.
            after: only names behind this one: the last of the page before.

        Errors:
            BucketNotFoundError, RequestTimeout, DisconnectedError, Cancelled.
        """
        check.text(after, 'after')
        if limit is not None:
            check.number(limit, 'limit', 1)

        def choose(found: dict[str, ObjectMeta]) -> Any:
            chosen = sorted(name for name in found if after is None or name > after)[:limit]
            return [found[name] for name in chosen] if details else chosen

        listing = Listing(
            self._bucket,
            self._bucket.nats.call(cb),
            deleted=deleted,
            prefix=check.text(prefix, 'prefix') or '',
            choose=choose,
        )
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


__all__ = ['BucketOptions', 'BucketStatus', 'ObjectMeta', 'ObjectStore', 'Transfer', 'Writer']
