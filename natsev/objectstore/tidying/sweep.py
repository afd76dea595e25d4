"""Looking a bucket through: what no object needs, what objects lack, what others wrote wrong.

What is repaired is only what cannot harm: orphan chunks are purged up to the last one that was
seen, metadata is republished only in place of what was seen (compare-and-set). Nothing younger than
``older_than`` is touched: it may be in the middle of being written.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, TypedDict

from ...errors import InvalidMetaError, NatsError, WrongSequenceError
from ...jetstream.types import StoredMessage
from ...nuid import next_nuid
from .. import metas, record
from ..bucket import Bucket
from ..lookup import Entry, find
from ..operation import StoreCall
from ..parallel import each
from ..record import ObjectMeta
from .scan import scan, server_time


class Orphan(TypedDict):
    """Chunks that no metadata names."""

    nuid: str
    chunks: int
    time: datetime
    purged: bool


class Short(TypedDict):
    """An object that lacks chunks; what is gone cannot be repaired."""

    name: str
    nuid: str
    seq: int
    chunks: int
    found: int


class Broken(TypedDict):
    """Metadata that some clients cannot read, or do not find; or that is a danger to another.

    ``problem``: ``'invalid'`` nobody can read it; ``'spelling'`` it is not where its name belongs;
    ``'tombstone'`` or ``'mtime'``: it is written so that the official Go client cannot read it;
    ``'shared'``: it names the chunks of another name as well, so that to delete one of them takes
    the bytes from both, as when a client died in the midst of a rename. Nobody but the user knows
    which name shall stay: renaming the one to the other leaves that.
    """

    name: str
    subject: str
    seq: int
    problem: str
    repaired: bool


class Duplicate(TypedDict):
    """A name with metadata in several places."""

    name: str
    subjects: list[str]


class SweepReport(TypedDict):
    """What ``sweep`` found and did, the oldest first.

    ``objects`` and ``purged`` are numbers of names and chunks.
    """

    objects: int
    orphans: list[Orphan]
    short: list[Short]
    broken: list[Broken]
    duplicates: list[Duplicate]
    purged: int
    dry_run: bool


@dataclass
class _Last:
    """The last meta of a subject, as far as a sweep needs it."""

    name: str
    seq: int
    nuid: str
    chunks: int
    alive: bool


class Sweep:
    """One sweep.

    Args:
        bucket: the bucket.
        call: the user's call; its result is a ``SweepReport``.
        older_than: what is younger is left alone.
        dry_run: look only.
    """

    def __init__(
        self, bucket: Bucket, call: StoreCall, older_than: timedelta, dry_run: bool
    ) -> None:
        self._bucket = bucket
        self._call = call
        self._older_than = older_than
        self._dry_run = dry_run
        self._before = datetime.max
        self._chunks: dict[str, int] = {}
        self._last: dict[str, _Last] = {}
        self._others: set[str] = set()  # nuids that versions, or invalid metas, seem to name
        self._suspects: list[tuple[str, StoredMessage]] = []
        self.report: SweepReport = {
            'objects': 0,
            'orphans': [],
            'short': [],
            'broken': [],
            'duplicates': [],
            'purged': 0,
            'dry_run': dry_run,
        }

    def start(self) -> None:
        """Read what chunks there are, before the metas: whoever is written meanwhile has both."""
        if self._dry_run:
            self._bucket.reopen(self._call, self._count_chunks)
        else:
            self._bucket.writable(self._call, self._count_chunks)

    def _count_chunks(self) -> None:
        bucket = self._bucket

        def counted(info: Any, err: NatsError | None) -> None:
            if err is not None:
                bucket.failed(self._call, err)
                return
            self._before = server_time(info) - self._older_than
            subjects = info['state'].get('subjects') or {}
            prefix, logs = bucket.subjects.chunks, bucket.subjects.logs
            self._chunks = {
                subject.removeprefix(prefix): count
                for subject, count in subjects.items()
                if not subject.startswith(logs)
            }
            scan(bucket, self._call, self._meta, self._read_logs, history=True)

        self._call.child = bucket.js.stream_info(
            bucket.stream, {'subjects_filter': bucket.subjects.chunks + '>'}, counted
        )

    def _read_logs(self) -> None:
        """Whatever was kept as a version must stay."""

        def copy(message: StoredMessage) -> None:
            nuid = record.nuid_in(message['payload'])
            if nuid is not None:
                self._others.add(nuid)

        subjects = self._bucket.subjects.logs + '>'
        scan(
            self._bucket,
            self._call,
            copy,
            self._look_for_orphans,
            history=True,
            subjects=subjects,
        )

    # Metas.

    def _meta(self, message: StoredMessage) -> None:
        subject = message['subject']
        try:
            meta = record.parse(message, self._bucket.name)
        except InvalidMetaError as err:
            self._invalid(subject, message, err)
            return
        # Where one was replaced without a rollup, only the last one counts.
        self._last[subject] = _Last(
            meta['name'],
            meta['seq'],
            meta['nuid'],
            meta['chunks'],
            not meta['deleted'] and 'link' not in meta['options'],
        )
        problem = self._problem(meta, message)
        if problem is not None:
            self._suspects.append((problem, message))

    def _invalid(self, subject: str, message: StoredMessage, err: InvalidMetaError) -> None:
        self._last.pop(subject, None)
        # Whatever it names, as far as that can be told, is left alone.
        nuid = record.nuid_in(message['payload'])
        if nuid is not None:
            self._others.add(nuid)
        self._found('invalid', err.name or '', subject, message['seq'])

    def _problem(self, meta: ObjectMeta, message: StoredMessage) -> str | None:
        if meta['deleted']:
            return 'tombstone' if _unreadable(message['payload']) else None
        if not self._bucket.subjects.is_own(message['subject'], meta['name']):
            return 'spelling'
        return 'mtime' if _unreadable(message['payload']) else None

    def _found(self, problem: str, name: str, subject: str, seq: int) -> Broken:
        broken: Broken = {
            'name': name,
            'subject': subject,
            'seq': seq,
            'problem': problem,
            'repaired': False,
        }
        self.report['broken'].append(broken)
        return broken

    # Orphans.

    def _look_for_orphans(self) -> None:
        self._look_for_duplicates()
        self._look_for_shared()
        named = {last.nuid for last in self._last.values() if last.alive} | self._others
        orphans = [nuid for nuid in self._chunks if nuid not in named]
        each(self._call, orphans, self._orphan, self._look_for_short)

    def _look_for_duplicates(self) -> None:
        names: dict[str, list[str]] = {}
        for subject, last in self._last.items():
            names.setdefault(last.name, []).append(subject)
            self.report['objects'] += last.alive
        self.report['duplicates'] = [
            {'name': name, 'subjects': subjects}
            for name, subjects in names.items()
            if len(subjects) > 1
        ]

    def _look_for_shared(self) -> None:
        names: dict[str, set[str]] = {}
        holders = {s: last for s, last in self._last.items() if last.alive and last.chunks}
        for last in holders.values():
            names.setdefault(last.nuid, set()).add(last.name)
        for subject, last in holders.items():
            if len(names[last.nuid]) > 1:
                self._found('shared', last.name, subject, last.seq)

    def _orphan(self, nuid: str, done: Callable[[], None]) -> None:
        bucket = self._bucket

        def last_chunk(message: StoredMessage | None) -> None:
            if message is None or message['time'] > self._before:
                done()
                return
            orphan: Orphan = {
                'nuid': nuid,
                'chunks': self._chunks[nuid],
                'time': message['time'],
                'purged': False,
            }
            self.report['orphans'].append(orphan)
            if self._dry_run:
                done()
                return
            body = {'filter': bucket.subjects.chunk(nuid), 'seq': message['seq'] + 1}
            bucket.api(self._call, 'STREAM.PURGE', body, lambda reply: purged(orphan, reply))

        def purged(orphan: Orphan, reply: dict[str, Any]) -> None:
            orphan['purged'] = True
            self.report['purged'] += reply.get('purged', 0)
            done()

        bucket.leader(self._call, {'last_by_subj': bucket.subjects.chunk(nuid)}, last_chunk)

    # Short objects.

    def _look_for_short(self) -> None:
        short = [
            last
            for last in self._last.values()
            if last.alive and self._chunks.get(last.nuid, 0) < last.chunks
        ]
        each(self._call, short, self._short, self._repair)

    def _short(self, last: _Last, done: Callable[[], None]) -> None:
        """Count again: it may have been stored while the bucket was looked through."""
        subject = self._bucket.subjects.chunk(last.nuid)

        def counted(info: dict[str, Any]) -> None:
            found = ((info.get('state') or {}).get('subjects') or {}).get(subject, 0)
            if found >= last.chunks:
                done()
            else:
                find(self._bucket, self._call, last.name, lambda e: still(e, found), leader=True)

        def still(entry: Entry | None, found: int) -> None:
            if entry is not None and entry.meta['seq'] == last.seq:
                self.report['short'].append(
                    {
                        'name': last.name,
                        'nuid': last.nuid,
                        'seq': last.seq,
                        'chunks': last.chunks,
                        'found': found,
                    }
                )
            done()

        self._bucket.api(self._call, 'STREAM.INFO', {'subjects_filter': subject}, counted)

    # Repairs.

    def _repair(self) -> None:
        each(self._call, self._suspects, self._repair_one, self._end)

    def _end(self) -> None:
        # Whatever was answered first.
        self.report['orphans'].sort(key=lambda orphan: orphan['time'])
        self.report['short'].sort(key=lambda short: short['seq'])
        self.report['broken'].sort(key=lambda broken: broken['seq'])
        self._call.end(self.report, None)

    def _repair_one(self, suspect: tuple[str, StoredMessage], done: Callable[[], None]) -> None:
        problem, message = suspect
        meta = record.parse(message, self._bucket.name)
        last = self._last.get(message['subject'])
        if last is None or last.seq != meta['seq']:
            done()  # only the last one counts
            return
        broken = self._found(problem, meta['name'], message['subject'], meta['seq'])
        if self._dry_run or message['time'] > self._before:
            done()
        elif problem == 'spelling':
            self._move(broken, meta, message, done)
        else:
            self._rewrite(broken, meta, message, done)

    def _rewrite(
        self, broken: Broken, meta: ObjectMeta, message: StoredMessage, done: Callable[[], None]
    ) -> None:
        if meta['deleted']:
            grave = record.tombstone({**meta, 'nuid': meta['nuid'] or next_nuid()})
            payload = record.to_json(grave)
        else:
            payload = record.rewrite(message['payload'], {'bucket': self._bucket.name})

        def rewritten(_meta: ObjectMeta) -> None:
            broken['repaired'] = True
            done()

        metas.publish(
            self._bucket,
            self._call,
            message['subject'],
            meta,
            rewritten,
            expected=message['seq'],
            payload=payload,
            catch=_unless_changed(done),
        )

    def _move(
        self, broken: Broken, meta: ObjectMeta, message: StoredMessage, done: Callable[[], None]
    ) -> None:
        """Write it where its name belongs, unless there is something; then remove it here."""
        old = {'filter': message['subject'], 'seq': message['seq'] + 1}

        def moved(_meta: ObjectMeta) -> None:
            self._bucket.api(self._call, 'STREAM.PURGE', old, removed)

        def removed(_reply: Any) -> None:
            broken['repaired'] = True
            done()

        metas.publish(
            self._bucket,
            self._call,
            self._bucket.subjects.meta(meta['name']),
            meta,
            moved,
            expected=0,
            payload=record.rewrite(message['payload'], {'bucket': self._bucket.name}),
            catch=_unless_changed(done),
        )


def _unreadable(payload: bytes) -> bool:
    """Can the official Go client not read it? It takes no empty body, and no empty time."""
    try:
        return not payload or record.raw(payload).get('mtime') == ''
    except (ValueError, RecursionError):
        return True


def _unless_changed(done: Callable[[], None]) -> Callable[[NatsError], bool]:
    """Go on when somebody else wrote there meanwhile."""

    def catch(err: NatsError) -> bool:
        if isinstance(err, WrongSequenceError):
            done()
            return True
        return False

    return catch
