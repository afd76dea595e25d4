"""Earlier versions of an object, kept beside the present one until they are purged.

A put with ``keep_versions`` first copies the metadata that it is about to replace to a log of its
own, on a subject that no other client looks at: ``$O.<bucket>.C.versions.<name>``. Then it replaces
it as any put does, but leaves the old chunks alone. So other clients see a plain object. The header
``Natsev-Versions`` of the present meta says how many versions shall be kept; where another client
replaces or deletes the object, that one version is lost, and those before it stay.

A version is one nuid, whose newest copy counts. It is named by the sequence that its meta had.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from ..errors import InvalidMetaError, MissingChunks, NatsError, WrongSequenceError
from ..jetstream.types import StoredMessage
from . import metas, record
from .bucket import Bucket
from .lookup import Entry, find
from .operation import Operation, StoreCall
from .parallel import each
from .purge import Purge
from .record import ObjectMeta
from .transfer import Background

Then = Callable[[], None]
# In the log: the sequence of the copied meta.
SEQ = 'Natsev-Seq'


def save(
    bucket: Bucket, op: Operation, name: str, message: StoredMessage, then: Callable[[Any], None]
) -> None:
    """Copy *message*, the present meta of *name*, to its log: ``then(ack)``."""
    block = f'NATS/1.0\r\n{SEQ}: {message["seq"]}\r\n\r\n'.encode()
    bucket.publish(op, bucket.subjects.log(name), message['payload'], block, then)


def read_log(bucket: Bucket, op: Operation, name: str, then: Callable[[list[Entry]], None]) -> None:
    """Read the log of *name* from the leader: ``then(entries)``, the newest first.

    The ``seq`` of an entry's ``meta`` is the one by which the version is known; that of its
    ``message`` is its place in the log.
    """
    subject = bucket.subjects.log(name)
    entries: list[Entry] = []

    def ask(seq: int) -> None:
        bucket.leader(op, {'next_by_subj': subject, 'seq': seq}, read)

    def read(message: StoredMessage | None) -> None:
        if message is None:
            then(_newest_of_each(entries))
            return
        entry = _entry(bucket, name, message)
        if entry is not None:
            entries.append(entry)
        ask(message['seq'] + 1)

    bucket.open(op, lambda: ask(1))


def _entry(bucket: Bucket, name: str, message: StoredMessage) -> Entry | None:
    try:
        meta = record.parse(message, bucket.name)
    except InvalidMetaError:
        return None
    headers = message['headers']
    seq = '' if headers is None else headers.get(SEQ) or ''
    if meta['deleted'] or not (seq.isascii() and seq.isdigit()):
        return None
    meta['name'] = name
    meta['seq'] = int(seq)
    return Entry(meta, message)


def _newest_of_each(entries: list[Entry]) -> list[Entry]:
    found: dict[str, Entry] = {}
    for entry in reversed(entries):
        found.setdefault(entry.meta['nuid'], entry)
    return list(found.values())


def earlier(
    bucket: Bucket,
    op: Operation,
    name: str,
    then: Callable[[Entry | None, list[Entry]], None],
) -> None:
    """Read the present meta and the earlier versions: ``then(present, entries)``."""

    def found(present: Entry | None) -> None:
        read_log(
            bucket, op, name, lambda entries: then(present, _but_the_present(present, entries))
        )

    find(bucket, op, name, found, leader=True)


def _but_the_present(present: Entry | None, entries: list[Entry]) -> list[Entry]:
    nuid = None if present is None or present.meta['deleted'] else present.meta['nuid']
    return [entry for entry in entries if entry.meta['nuid'] != nuid]


def trim(bucket: Bucket, op: Operation, name: str, keep: int, then: Callable[[int], None]) -> None:
    """Purge all but the *keep* newest earlier versions: ``then(purged)``."""

    # The log first: what is present now and replaced before the log is read would be left out of
    # what goes, but not of what is forgotten.
    def read(log: list[Entry]) -> None:
        find(bucket, op, name, lambda present: cut(_but_the_present(present, log)), leader=True)

    def cut(entries: list[Entry]) -> None:
        gone = entries[keep:]
        if not gone:
            then(0)
            return
        # Up to the last one that goes: what is saved meanwhile comes after it.
        bound = max(entry.message['seq'] for entry in gone) + 1
        body = {'filter': bucket.subjects.log(name), 'seq': bound}
        nuids = [entry.meta['nuid'] for entry in gone if entry.meta['nuid']]

        def forget(done: Then) -> None:
            bucket.api(op, 'STREAM.PURGE', body, lambda _: done())

        def purge(nuid: str, done: Then) -> None:
            Purge(bucket, nuid, call=bucket.nats.call(lambda *_: done())).start(now=True)

        # Chunks are purged though the connection be lost before the log is.
        steps: list[Callable[[Then], None]] = [forget, *(partial(purge, nuid) for nuid in nuids)]
        each(op, steps, lambda step, done: step(done), lambda: then(len(gone)), len(steps))

    read_log(bucket, op, name, read)


def trim_in_background(bucket: Bucket, name: str, keep: int) -> None:
    """Do ``trim``, while nobody waits for it."""
    _Trim(bucket, name, keep).start(now=True)


class _Trim(Background):
    """A trim that begins again when the connection is lost before its end."""

    def __init__(self, bucket: Bucket, name: str, keep: int) -> None:
        super().__init__(bucket, bucket.nats.call(None))
        self._name = name
        self._keep = keep

    def _go_on(self) -> None:
        trim(self._bucket, self, self._name, self._keep, lambda _: self._end(None, None))


def find_version(
    bucket: Bucket,
    op: Operation,
    name: str,
    version: int,
    then: Callable[[Entry | None], None],
) -> None:
    """Find the version, or the present object, whose metadata has the sequence *version*."""

    def read(present: Entry | None, entries: list[Entry]) -> None:
        if present is not None and not present.meta['deleted']:
            entries = [present, *entries]
        then(next((entry for entry in entries if entry.meta['seq'] == version), None))

    earlier(bucket, op, name, read)


class Versions:
    """Lists the earlier versions of an object: a list of metadata, the newest first."""

    def __init__(self, bucket: Bucket, call: StoreCall, name: str) -> None:
        self._bucket = bucket
        self._call = call
        self._name = name

    def start(self) -> None:
        earlier(self._bucket, self._call, self._name, self._read)

    def _read(self, present: Entry | None, entries: list[Entry]) -> None:
        self._call.end([entry.meta for entry in entries], None)


class PurgeVersions:
    """Purges all but the newest earlier versions of an object; the result is their number."""

    def __init__(self, bucket: Bucket, call: StoreCall, name: str, keep: int) -> None:
        self._bucket = bucket
        self._call = call
        self._name = name
        self._keep = keep

    def start(self) -> None:
        """See whether the bucket takes changes."""
        self._bucket.writable(self._call, self._trim)

    def _trim(self) -> None:
        trim(
            self._bucket,
            self._call,
            self._name,
            self._keep,
            lambda purged: self._call.end(purged, None),
        )


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
        """See whether the bucket takes changes."""
        self._bucket.writable(self._call, self._look)

    def _look(self) -> None:
        earlier(self._bucket, self._call, self._name, self._found)

    def _found(self, present: Entry | None, entries: list[Entry]) -> None:
        version = next((e for e in entries if e.meta['seq'] == self._version), None)
        alive = present is not None and not present.meta['deleted']
        if present is not None and alive and present.meta['seq'] == self._version:
            self._call.end(present.meta, None)
        elif version is None:
            self._call.end(None, None)
        elif present is not None and alive:
            save(
                self._bucket,
                self._call,
                self._name,
                present.message,
                lambda _: self._publish(present, version),
            )
        else:
            self._publish(present, version)

    def _publish(self, present: Entry | None, version: Entry) -> None:
        if present is None:
            subject, expected, kept = self._bucket.subjects.meta(self._name), 0, 0
        else:
            subject, expected = present.message['subject'], present.meta['seq']
            kept = record.versions_kept(present.message)

        def failed(err: NatsError) -> bool:
            if isinstance(err, WrongSequenceError):
                self._look()  # somebody else was first: his is the present one then
                return True
            return False

        metas.publish(
            self._bucket,
            self._call,
            subject,
            version.meta.copy(),
            lambda meta: self._check(subject, present, meta, kept),
            expected=expected,
            payload=record.rewrite(version.message['payload'], {'name': self._name}),
            versions=kept,
            catch=failed,
        )

    def _check(self, subject: str, present: Entry | None, meta: ObjectMeta, kept: int) -> None:
        """Have its chunks been purged meanwhile?"""
        chunks = self._bucket.subjects.chunk(meta['nuid'])

        def counted(info: dict[str, Any]) -> None:
            found = ((info.get('state') or {}).get('subjects') or {}).get(chunks, 0)
            if meta['chunks'] and found < meta['chunks']:
                self._take_back(subject, present, meta)
                return
            if kept:
                trim_in_background(self._bucket, self._name, kept)
            self._call.end(meta, None)

        self._bucket.api(self._call, 'STREAM.INFO', {'subjects_filter': chunks}, counted)

    def _take_back(self, subject: str, present: Entry | None, meta: ObjectMeta) -> None:
        """Publish once more what was there before."""
        err = MissingChunks(bucket=self._bucket.name, name=self._name)
        if present is None:
            body = {'filter': subject, 'seq': meta['seq'] + 1}
            self._bucket.api(self._call, 'STREAM.PURGE', body, lambda _: self._call.fail(err))
            return
        metas.publish(
            self._bucket,
            self._call,
            subject,
            present.meta.copy(),
            lambda _: self._call.fail(err),
            expected=meta['seq'],
            payload=present.message['payload'],
            versions=record.versions_kept(present.message),
        )
