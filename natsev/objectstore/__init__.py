"""An object store on JetStream (ADR-20): objects of any size, in chunks, with digests.

Mirrors EV::Nats::ObjectStore, on the wire of all official clients.
https://github.com/nats-io/nats-architecture-and-design/blob/main/adr/ADR-20.md
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from ..calls import Call
from ..errors import MaxPayloadError
from ..nuid import next_nuid
from ..subjects import check_bucket
from . import check, record
from .admin import BucketStatus
from .archive.exporting import ExportReport
from .archive.importing import ImportReport
from .bucket import Bucket
from .buckets import Buckets
from .catalog import Catalog
from .codecs.chain import RESERVED, Chain, Encoding, chain_of
from .codecs.coded import EncodedSource
from .codecs.compression import Zlib, Zstd
from .codecs.encryption import Encryption
from .config import BucketOptions
from .delete import Delete
from .directories.sync import SyncReport
from .editing import Editing
from .exchange import Exchange
from .history import History
from .lookup import resolve
from .names import DIALECTS, Dialect
from .operation import StoreCall
from .reading.get import Get
from .reading.reader import Reader
from .reading.resume_get import PartFile, ResumedGet
from .record import ObjectMeta
from .sink import WHOLE, Handed, Part, Sink, sink_for
from .source import Source, can_rewind, source_of
from .storing.ahead import ReadAhead
from .storing.commit import Commit, Item
from .storing.put import Put
from .storing.resume_put import ResumedPut
from .storing.writer import Writer
from .tidying.pruning import DeleteReport, PurgeReport
from .tidying.sweep import SweepReport
from .transfer import Transfer
from .upkeep import Upkeep

if TYPE_CHECKING:
    from ..jetstream import JetStream

__all__ = [
    'BucketOptions',
    'BucketStatus',
    'DeleteReport',
    'Encryption',
    'ExportReport',
    'ImportReport',
    'ObjectMeta',
    'ObjectStore',
    'PurgeReport',
    'Reader',
    'SweepReport',
    'SyncReport',
    'Transfer',
    'Writer',
    'Zlib',
    'Zstd',
]

AnyCallback = Callable[..., Any]
# The class has a method that is called list.
_Items = list[Item]
_Metas = list[ObjectMeta]
_CHUNK_SIZE = 128 * 1024
# Beside the metadata's own text: headers, and what grows while the object is stored.
_META_ROOM = 1024


class ObjectStore(Buckets, Catalog, Editing, History, Upkeep, Exchange):
    """A bucket of objects. All methods call back from the loop.

    Args:
        js: the JetStream client.
        bucket: the bucket's name; it need not exist yet.
        chunk_size: bytes per chunk, where ``put`` is not told otherwise; what the server's
            ``max_payload`` lets through may be less.
        timeout: ms to wait for a reply, and without progress of a transfer; default: that of *js*.
        dialect: ``'adr20'``, or ``'ev-nats'`` to write as the Perl original does; both are read.
        codec: what ``put`` does to the bytes before they are stored, where it is not told
            otherwise: ``'zlib'``, ``'zstd'``, a codec such as ``Encryption``, or a list of them;
            ``get`` undoes it.

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
        codec: Any = None,
    ) -> None:
        if dialect not in DIALECTS:
            raise ValueError(f'dialect must be one of {DIALECTS}, not {dialect!r}')
        timeout = js.timeout if timeout is None else check.timeout(timeout)
        self._chunk_size = check.number(chunk_size, 'chunk_size', 1)
        self._bucket = Bucket(js, check_bucket(bucket), timeout, dialect, chain_of(codec))

    def __repr__(self) -> str:
        return f'<ObjectStore {self.bucket}>'

    @property
    def bucket(self) -> str:
        """The bucket's name."""
        return self._bucket.name

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
        skip_same: bool = False,
        ttl: int | None = None,
        atomic: bool | None = None,
        resume: bool | Path = False,
        keep_versions: int | None = None,
        codec: Any = None,
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
            skip_same: when the object there has the same bytes, it and its metadata stay, and it
                is the result. The data is read twice, so it must not be an iterable.
            ttl: ms after which the server removes the object, at least 1000, in a bucket with
                ``object_ttl``.
            atomic: store chunks and metadata in one batch, all or nothing, in a bucket with
                ``atomic``; up to 999 chunks, held in memory.
            resume: let another process go on where this one ends, with the same call: *data* must
                be a ``Path`` then. A journal is kept beside it, in ``.<name>.put``, or at the
                ``Path`` given.
            keep_versions: keep so many earlier versions of the object, see ``versions``; default:
                as many as the put before, at first none.
            codec: as for ``ObjectStore``; ``()``: none. The metadata's ``size`` and ``digest`` are
                those of the bytes stored, which other clients get.

        Returns:
            A ``Transfer``.

        Errors:
            WrongSequenceError: *expected_seq* or *if_absent* did not hold.
            BucketNotFoundError, SealedError, StorageFullError: the bucket cannot take it.
            RequestTimeout: no progress for as long as ``timeout``.
            ObjectStoreError: *data* could not be read, or *ttl* or *atomic* is not allowed here.
            DisconnectedError, Cancelled, JetStreamError.

        Raises:
            TypeError, ValueError: an argument cannot be.
            MaxPayloadError: the metadata is larger than the server takes.
        """
        source = source_of(data)
        options: dict[str, Any] = {
            'description': description,
            'headers': headers,
            'metadata': metadata,
            'chunk_size': chunk_size,
            'expected_seq': expected_seq,
            'if_absent': if_absent,
            'keep_versions': keep_versions,
            'ttl': ttl,
            'codec': codec,
        }
        if resume:
            if not isinstance(data, Path):
                raise TypeError(f'resume needs data that is a Path, not {type(data).__name__}')
            if atomic or skip_same:
                raise ValueError('resume goes neither with atomic nor with skip_same')
            options['journal'] = resume if isinstance(resume, Path) else _journal_of(data)
        if skip_same and not can_rewind(source):
            raise TypeError('skip_same needs data that can be read twice')
        if resume and self._chain(codec):
            raise ValueError('resume does not go with a codec')
        if atomic:
            return self._commit([self._item(name, source, **options)], cb, _the_only, progress)
        if isinstance(data, Path) and not resume:
            source = ReadAhead(data, self._bucket.nats.port)
        put = self._put(name, source, cb, progress=progress, skip_same=skip_same, **options)
        if isinstance(source, ReadAhead):
            source.on_ready = put.wake
        return put

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
            **options: as for ``put``, but for ``skip_same`` and ``atomic``.

        Returns:
            A ``Writer``: ``write(data)``, ``end()``, ``abort()``.
        """
        writer = Writer(on_drain)
        writer.transfer = self._put(name, writer.source, cb, **options)
        return writer

    def commit(
        self,
        objects: Iterable[tuple[str, Any] | tuple[str, Any, Mapping[str, Any]]],
        cb: AnyCallback,
    ) -> Transfer:
        """Store several objects at once: all of them, or none.

        The bucket must allow it (``atomic``). All is held in memory, and chunks and metadata
        together are at most 1000 messages.

        Args:
            objects: ``(name, data)``, or ``(name, data, options)`` with options of ``put``:
                ``description``, ``headers``, ``metadata``, ``chunk_size``, ``expected_seq``,
                ``if_absent``, ``ttl``.
            cb: called once as ``cb(infos, err)`` with the ``ObjectMeta`` of each, in their order.

        Returns:
            A ``Transfer``.

        Errors:
            WrongSequenceError: a condition did not hold; nothing is stored.
            See ``put`` for the others.

        Raises:
            TypeError, ValueError: an argument cannot be, or a name is there twice.
        """
        items = [self._item(name, source_of(data), **dict(*rest)) for name, data, *rest in objects]
        names = [item.meta['name'] for item in items]
        if len(set(names)) < len(names):
            raise ValueError('a commit cannot store two objects under one name')
        if not items:
            raise ValueError('there is nothing to commit')
        return self._commit(items, cb, list, None)

    def _commit(
        self,
        items: _Items,
        cb: AnyCallback,
        result: Callable[[_Metas], Any],
        progress: AnyCallback | None,
    ) -> Commit:
        if any(item.keep_versions for item in items):
            raise ValueError('an atomic commit keeps no earlier versions')
        bucket = self._bucket
        commit = Commit(bucket, bucket.nats.call(cb), items, result, progress)
        commit.start()
        return commit

    def _put(
        self,
        name: str,
        source: Source,
        cb: AnyCallback,
        *,
        progress: AnyCallback | None = None,
        skip_same: bool = False,
        journal: Path | None = None,
        **options: Any,
    ) -> Put:
        item = self._item(name, source, **options)
        kind = Put if journal is None else ResumedPut
        put = kind(
            self._bucket,
            self._bucket.nats.call(cb),
            item.meta,
            item.source,
            chunk_size=item.chunk_size,
            condition=item.condition,
            progress=progress,
            skip_same=skip_same,
            ttl=item.ttl,
            keep_versions=item.keep_versions,
        )
        if isinstance(item.source, EncodedSource):
            item.source.on_ready = put.wake
        if isinstance(put, ResumedPut) and journal is not None:
            put.keep_journal(journal)
        put.start()
        return put

    def _item(
        self,
        name: str,
        source: Source,
        *,
        description: str | None = None,
        headers: Mapping[str, str | Iterable[str]] | None = None,
        metadata: Mapping[str, str] | None = None,
        chunk_size: int | None = None,
        expected_seq: int | None = None,
        if_absent: bool = False,
        keep_versions: int | None = None,
        ttl: int | None = None,
        codec: Any = None,
    ) -> Item:
        """Return one object to be stored, its options checked."""
        bucket = self._bucket
        bucket.subjects.meta(name)
        if chunk_size is None:
            chunk_size = self._chunk_size
        if ttl is not None:
            check.number(ttl, 'ttl', 1000)
        meta = record.new(
            name,
            bucket.name,
            next_nuid(),
            description=record.check_description(description),
            headers=record.check_headers(headers),
            metadata=record.check_metadata(metadata),
        )
        for key in RESERVED:
            meta['metadata'].pop(key, None)  # copied from an object that was encoded
        chain = self._chain(codec)
        if chain:
            source = EncodedSource(source, Encoding(chain), meta)
        self._check_size(meta)
        if keep_versions is not None:
            check.number(keep_versions, 'keep_versions', 0)
        return Item(
            meta,
            source,
            check.number(chunk_size, 'chunk_size', 1),
            check.condition(expected_seq, if_absent),
            ttl,
            keep_versions,
        )

    def _chain(self, codec: Any) -> Chain:
        return self._bucket.codec if codec is None else chain_of(codec)

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
        offset: int = 0,
        length: int | None = None,
        progress: AnyCallback | None = None,
        if_none_match: str | None = None,
        version: int | None = None,
        resume: bool = False,
        stripes: Sequence[ObjectStore] = (),
        deleted: bool = False,
    ) -> Transfer:
        """Read an object, or a part of it.

        Size and digest are verified; links are followed, also to other buckets.

        Args:
            name: the object.
            cb: called once as ``cb(data, err, meta)``: bytes, or with *into* how many were written;
                ``(None, None, None)`` when there is no such object, or it is deleted.
            into: a ``pathlib.Path``, which is written under a temporary name, verified and renamed;
                or a binary file, which is written as the bytes come: do not trust it before the
                callback.
            offset: where to begin, in bytes; behind the end there is nothing.
            length: at most so many bytes; None: to the end. The digest of a part is not known: its
                bytes are only verified where it is the whole.
            progress: called as ``progress(done, total)``.
            if_none_match: a digest as in metadata: the object is not read when it still has it.
            version: the ``seq`` of an earlier version, see ``versions``.
            resume: let another process go on where this one ends, with the same call: *into* must
                be a ``Path`` then. What has come is kept beside it, in ``.<name>.part``.
            stripes: more handles for the same chunks, of clients on the same loop: of this bucket
                by connections to other servers of a cluster, or of mirrors of it. A large object
                is read from all of them at once; one that fails or lags behind is left out.
            deleted: of a deleted object the callback is given the metadata: ``(None, None, meta)``.

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
        part = check.part(offset, length)
        sink = sink_for(into)
        if resume:
            if not isinstance(into, Path):
                raise TypeError(f'resume needs into to be a Path, not {type(into).__name__}')
            if part != WHOLE:
                raise ValueError('resume is for whole objects')
            sink = PartFile(into)
        call = self._bucket.nats.call(cb, 3, 1)
        return self._get(
            name,
            call,
            sink,
            lambda *results: results,
            part,
            progress,
            if_none_match,
            version,
            stripes,
            deleted,
        )

    def get_stream(
        self,
        name: str,
        on_chunk: AnyCallback,
        cb: AnyCallback,
        *,
        offset: int = 0,
        length: int | None = None,
        progress: AnyCallback | None = None,
        if_none_match: str | None = None,
        version: int | None = None,
        stripes: Sequence[ObjectStore] = (),
    ) -> Transfer:
        """Read an object piece by piece. Do not trust the pieces before the callback.

        Args:
            name: the object.
            on_chunk: called as ``on_chunk(data)``; ``pause()`` of the transfer holds it back.
            cb: called once as ``cb(meta, err)``; ``(None, None)`` when there is no such object.
            offset, length, progress, if_none_match, version, stripes: as for ``get``.

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

        part = check.part(offset, length)
        return self._get(
            name,
            nats.call(cb),
            sink,
            results,
            part,
            progress,
            if_none_match,
            version,
            stripes,
        )

    def _get(
        self,
        name: str,
        call: Call,
        sink: Sink,
        results: Callable[..., tuple[Any, ...]],
        part: Part,
        progress: AnyCallback | None,
        if_none_match: str | None,
        version: int | None,
        stripes: Sequence[ObjectStore],
        deleted: bool = False,
    ) -> Get:
        self._bucket.subjects.meta(name)
        for store in stripes:
            if not isinstance(store, ObjectStore):
                raise TypeError(f'stripes must be ObjectStores, not {type(store).__name__}')
        kind = ResumedGet if isinstance(sink, PartFile) else Get
        get = kind(
            self._bucket,
            call,
            name,
            sink,
            results=results,
            part=part,
            progress=progress,
            if_none_match=check.digest(if_none_match, 'if_none_match'),
            version=None if version is None else check.number(version, 'version', 1),
            stripes=[store._bucket for store in stripes],
            deleted=bool(deleted),
        )
        get.start()
        return get

    def open(self, name: str, cb: AnyCallback) -> Call:
        """Open an object, to read parts of it wherever you like.

        Args:
            name: the object; links are followed.
            cb: called once as ``cb(reader, err)`` with a ``Reader``: ``read_at(offset, length,
                cb)``, ``close()``, ``meta``; ``(None, None)`` when there is no such object.

        Errors:
            LinkError, InvalidMetaError, BucketNotFoundError, RequestTimeout, DisconnectedError,
            Cancelled.
        """
        bucket = self._bucket
        bucket.subjects.meta(name)
        call = StoreCall(bucket, cb)

        def found(where: Bucket, meta: ObjectMeta | None) -> None:
            if meta is None or meta['deleted']:
                call.end(None, None)
            else:
                call.end(Reader(bucket, name, where, meta), None)

        resolve(bucket, call, name, found)
        return call

    # Deleting.

    def delete(
        self, name: str, cb: AnyCallback | None = None, *, expected_seq: int | None = None
    ) -> Call:
        """Delete an object: a tombstone takes its place, its chunks are purged.

        Where earlier versions of it are kept, see ``put``, it becomes one of them.

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
        self._bucket.nats.call_soon(Delete(self._bucket, call, name, expected_seq).start)
        return call


def _journal_of(data: Path) -> Path:
    return data.with_name(f'.{data.name}.put')


def _the_only(metas: list[ObjectMeta]) -> ObjectMeta:
    return metas[0]
