"""Earlier versions of an object, kept beside the present one until they are purged.

A put with ``keep_versions`` stores its metadata without a rollup: the earlier metas stay in the
stream, on the subject of the name, and so do their chunks. The header ``Natsev-Versions`` of the
last meta says how many there shall be. Other clients see the last one only; when they replace it,
with a rollup, the versions are gone, and their chunks are orphans that ``sweep`` finds.

A version is one nuid, however often its metadata was changed; its newest meta counts. It is named
by the sequence of that meta.
"""

from __future__ import annotations

from collections.abc import Callable

from ..errors import InvalidMetaError, MissingChunks, NatsError, WrongSequenceError
from ..jetstream.types import StoredMessage
from . import metas, record
from .bucket import Bucket
from .lookup import Entry, entry_of, find
from .operation import Operation, StoreCall
from .parallel import each
from .record import ObjectMeta

Then = Callable[[], None]


def history(
    bucket: Bucket,
    op: Operation,
    subject: str,
    then: Callable[[list[StoredMessage]], None],
) -> None:
    """Read all metas on *subject*, from the leader: ``then(messages)``, the newest first."""
    messages: list[StoredMessage] = []

    def ask() -> None:
        seq = messages[-1]['seq'] + 1 if messages else 1
        bucket.leader(op, {'next_by_subj': subject, 'seq': seq}, read)

    def read(message: StoredMessage | None) -> None:
        if message is None:
            then(messages[::-1])
        else:
            messages.append(message)
            ask()

    ask()


def _entries(bucket: Bucket, messages: list[StoredMessage]) -> list[Entry]:
    """Return what can be read, the newest of each nuid."""
    found: dict[str, Entry] = {}
    for message in messages:
        try:
            meta = record.parse(message, bucket.name)
        except InvalidMetaError:
            continue
        if not meta['deleted']:
            found.setdefault(meta['nuid'], Entry(meta, message))
    return list(found.values())


def trim(bucket: Bucket, op: Operation, subject: str, keep: int, then: Callable[[int], None]) -> None:
    """Purge all but the *keep* newest earlier versions: ``then(purged)``.

    Metas first, then chunks: what breaks in between leaves orphans, never an object without bytes.
    """

    def read(messages: list[StoredMessage]) -> None:
        if not messages:
            then(0)
            return
        last = messages[0]['seq']
        entries = _entries(bucket, messages)
        earlier = [entry for entry in entries if entry.meta['seq'] != last]
        gone = earlier[keep:]
        kept = [entry.meta['seq'] for entry in entries if entry not in gone]
        body = {'filter': subject, 'seq': min(kept, default=last)}
        nuids = [entry.meta['nuid'] for entry in gone]
        bucket.api(op, 'STREAM.PURGE', body, lambda _: each(op, nuids, purge, lambda: then(len(gone))))

    def purge(nuid: str, done: Then) -> None:
        if nuid:
            bucket.purge(op, nuid, lambda _: done())
        else:
            done()

    history(bucket, op, subject, read)


def trim_in_background(bucket: Bucket, subject: str, keep: int) -> None:
    """Do ``trim``, while nobody waits for it; what fails, the next put makes good."""
    call = StoreCall(bucket, None)
    trim(bucket, call, subject, keep, lambda _: call.end())


class Versions:
    """Lists the earlier versions of an object: a list of metadata, the newest first."""

    def __init__(self, bucket: Bucket, call: StoreCall, name: str) -> None:
        self._bucket = bucket
        self._call = call
        self._name = name

    def start(self) -> None:
        find(self._bucket, self._call, self._name, self._found, leader=True)

    def _found(self, entry: Entry | None) -> None:
        if entry is None:
            self._call.end([], None)
        else:
            history(self._bucket, self._call, entry.message['subject'], self._read)

    def _read(self, messages: list[StoredMessage]) -> None:
        last = messages[0]['seq'] if messages else 0
        entries = _entries(self._bucket, messages)
        self._call.end([e.meta for e in entries if e.meta['seq'] != last], None)


def find_version(
    bucket: Bucket,
    op: Operation,
    name: str,
    version: int,
    then: Callable[[Entry | None], None],
) -> None:
    """Read the metadata of *name* as it was stored with the sequence *version*."""
    subjects = (bucket.subjects.meta(name), *bucket.subjects.other_metas(name))

    def read(message: StoredMessage | None) -> None:
        if message is None or message['subject'] not in subjects:
            then(None)
            return
        try:
            entry = entry_of(bucket, name, message)
        except InvalidMetaError as err:
            op.fail(err)
            return
        then(None if entry is None or entry.meta['deleted'] else entry)

    bucket.open(op, lambda: bucket.leader(op, {'seq': version}, read))


class Restore:
    """Makes an earlier version the present one; the present one becomes an earlier one.

    Args:
        bucket: where.
        call: the user's call; its result is the metadata, None where there is no such version.
        name: the object.
        version: the sequence of the version.
    """

    def __init__(self, bucket: Bucket, call: StoreCall, name: str, version: int) -> None:
        self._bucket = bucket
        self._call = call
        self._name = name
        self._version = version

    def start(self) -> None:
        """Read what is there now."""
        self._bucket.writable(self._call, self._look)

    def _look(self) -> None:
        find(self._bucket, self._call, self._name, self._found, leader=True)

    def _found(self, present: Entry | None) -> None:
        find_version(
            self._bucket,
            self._call,
            self._name,
            self._version,
            lambda entry: self._publish(present, entry),
        )

    def _publish(self, present: Entry | None, entry: Entry | None) -> None:
        if present is None or entry is None:
            self._call.end(None, None)
            return
        if present.meta['seq'] == entry.meta['seq']:
            self._call.end(entry.meta, None)
            return
        subject = present.message['subject']
        kept = record.versions_kept(present.message) or record.versions_kept(entry.message)

        def failed(err: NatsError) -> bool:
            if isinstance(err, WrongSequenceError):
                self._look()  # somebody else was first: that is the present one then
                return True
            return False

        metas.publish(
            self._bucket,
            self._call,
            subject,
            {**entry.meta},  # type: ignore[misc, arg-type]
            lambda meta: self._check(subject, meta, kept),
            expected=present.meta['seq'],
            payload=record.rewrite(entry.message['payload'], {}),
            versions=kept,
            catch=failed,
        )

    def _check(self, subject: str, meta: ObjectMeta, kept: int) -> None:
        """Have its chunks been purged meanwhile?"""
        chunks = self._bucket.subjects.chunk(meta['nuid'])

        def counted(info: dict[str, dict[str, dict[str, int]]]) -> None:
            found = (info['state'].get('subjects') or {}).get(chunks, 0)
            if meta['chunks'] and found < meta['chunks']:
                self._take_back(meta)
                return
            trim_in_background(self._bucket, subject, kept)
            self._call.end(meta, None)

        self._bucket.api(self._call, 'STREAM.INFO', {'subjects_filter': chunks}, counted)

    def _take_back(self, meta: ObjectMeta) -> None:
        err = MissingChunks(bucket=self._bucket.name, name=self._name)

        def gone(_err: NatsError) -> bool:
            self._call.fail(err)
            return True

        body = {'seq': meta['seq'], 'no_erase': True}
        self._bucket.api(
            self._call, 'STREAM.MSG.DELETE', body, lambda _: self._call.fail(err), gone
        )
