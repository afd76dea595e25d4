"""Deleting an object: a tombstone that every client reads, then its chunks (ADR-20).

The tombstone is the one encoding that all families of clients recognise: metadata with ``deleted``
for the official ones, the header ``KV-Operation: PURGE`` for the Perl original.
"""

from __future__ import annotations

from typing import Any

from ..calls import Call
from ..errors import (
    Cancelled,
    NatsError,
    PermissionsError,
    RequestTimeout,
    StorageFullError,
    WrongSequenceError,
)
from ..nuid import next_nuid
from . import record
from .aftermath import purge_if_deleted
from .bucket import Bucket, Known
from .lookup import Entry, find
from .metas import versions_header
from .operation import StoreCall
from .purge import Purge
from .record import ObjectMeta
from .versions import save

_HEADERS = (
    'NATS/1.0\r\nKV-Operation: PURGE\r\nNats-Rollup: sub\r\n'
    'Nats-Expected-Last-Subject-Sequence: {}\r\n{}\r\n'
)


class Delete:
    """One object being deleted.

    Args:
        bucket: where.
        call: the user's call.
        name: the object.
        expected_seq: the revision it must have; None: any.
    """

    def __init__(
        self, bucket: Bucket, call: StoreCall, name: str, expected_seq: int | None
    ) -> None:
        self._bucket = bucket
        self._call = call
        self._name = name
        self._expected_seq = expected_seq
        self._full = False  # there is no room for a tombstone
        self._left = 0
        self._cancelled = False

    def start(self) -> None:
        """Read what is to be deleted, from the leader."""
        bucket = self._bucket
        bucket.when_settled((self._name,), lambda: bucket.writable(self._call, self._look))

    def _look(self) -> None:
        find(self._bucket, self._call, self._name, self._found, leader=True)

    def _found(self, entry: Entry | None) -> None:
        seq = entry.meta['seq'] if entry is not None else 0
        if self._cancelled:
            self._call.fail(Cancelled())
        elif self._expected_seq not in (None, seq):
            self._call.fail(WrongSequenceError(400, 10071, f'wrong last sequence: {seq}'))
        elif entry is None or entry.meta['deleted']:
            self._call.end(False, None)
        elif self._full:
            self._purge(entry)
        elif record.versions_kept(entry.message):
            save(self._bucket, self._call, self._name, entry.message, lambda _: self._bury(entry))
        else:
            self._bury(entry)

    def _bury(self, entry: Entry) -> None:
        meta, subject = entry.meta, entry.message['subject']
        versions = record.versions_kept(entry.message)
        msg_id = next_nuid()
        self._call.on_cancel = self._cancel

        def failed(err: NatsError) -> bool:
            if isinstance(err, WrongSequenceError) and self._expected_seq is None:
                self._look()  # another writer was here; it is his object now
            elif versions:
                return False  # what it takes to make room is to be kept
            elif isinstance(err, StorageFullError) and not self._full:
                self._full = True
                self._purge(entry)
            elif isinstance(err, StorageFullError):
                self._purge_meta(entry)
            else:
                self._purge_later(entry, err, msg_id)
                return False
            return True

        def buried(ack: dict[str, Any]) -> None:
            known = Known(int(ack.get('seq') or 0), None, False, versions)
            self._bucket.learn(subject, known)
            if self._full or versions:
                self._call.end(True, None)
            else:
                self._purge(entry)

        self._bucket.publish(
            self._call,
            subject,
            record.to_json(record.tombstone(meta)),
            _HEADERS.format(meta['seq'], versions_header(versions)).encode(),
            buried,
            failed,
            msg_id=msg_id,
        )

    def _cancel(self, call: Call) -> None:
        """Once the tombstone is on its way it is too late, unless another writer was first."""
        self._cancelled = True
        call.on_cancel = self._cancel

    def _purge(self, entry: Entry) -> None:
        """Purge the chunks. In a full bucket that makes the room for the tombstone."""
        meta: ObjectMeta = entry.meta
        if 'link' in meta['options'] or not meta['nuid']:
            self._purged(entry)
            return
        self._left = 2

        def failed(err: NatsError) -> bool:
            self._purge_later(entry, err)
            late = isinstance(err, RequestTimeout) and not self._full
            if late:
                self._call.end(True, None)  # it is deleted, and of large ones the purge takes long
            return late

        self._bucket.purge(self._call, meta['nuid'], lambda _: self._one_of_two(entry), failed)
        # The original's fence: what was written before has reached the server.
        self._bucket.nats.flush(lambda err: self._flushed(entry, err))

    def _purge_later(self, entry: Entry, err: NatsError, msg_id: str | None = None) -> None:
        """The call ends now, the purge follows.

        Args:
            entry: what was to be deleted.
            err: what the call ends with.
            msg_id: the tombstone's, where it is not known whether that was stored.
        """
        nuid, subject = entry.meta['nuid'], entry.message['subject']
        refused = isinstance(err, PermissionsError)
        if not nuid or refused or self._full or self._bucket.nats.is_closed():
            return
        if msg_id is None:
            Purge(self._bucket, nuid).start(now=True)
        else:
            purge_if_deleted(self._bucket, subject, nuid, msg_id)

    def _flushed(self, entry: Entry, err: NatsError | None) -> None:
        if err is not None and not self._call.done:
            self._purge_later(entry, err)
            self._call.fail(err)
        else:
            self._one_of_two(entry)

    def _one_of_two(self, entry: Entry) -> None:
        self._left -= 1
        if not self._left and not self._call.done:
            self._purged(entry)

    def _purged(self, entry: Entry) -> None:
        if self._full:
            self._bury(entry)
        else:
            self._call.end(True, None)

    def _purge_meta(self, entry: Entry) -> None:
        """Not even a tombstone fits: leave no trace at all."""
        seq, subject = entry.meta['seq'], entry.message['subject']

        def purged(_reply: Any) -> None:
            self._bucket.unlearn(subject, seq)
            self._call.end(True, None)

        body = {'filter': subject, 'seq': seq + 1}
        self._bucket.api(self._call, 'STREAM.PURGE', body, purged)
