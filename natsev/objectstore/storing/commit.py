"""Objects stored all at once or not at all (ADR-50, nats-server 2.12).

The chunks and the metadata of all objects are one atomic batch, each metadata with compare-and-set.
A batch that loses stores nothing. Everything of it is held in memory, and it has at most 1000
messages: this is for small things that belong together, not for large ones. Where earlier versions
of an object are kept, the copy of the metadata that is replaced is part of the batch.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from datetime import datetime, timezone
from typing import Any, NamedTuple

from ...calls import Call
from ...errors import (
    DisconnectedError,
    NatsError,
    ObjectStoreError,
    WrongSequenceError,
)
from ...jetstream.types import StoredMessage
from .. import record
from ..bucket import Bucket, Known
from ..lookup import known_of
from ..purge import Purge
from ..record import ObjectMeta
from ..source import Buffer, Source
from ..transfer import Transfer
from ..versions import SEQ, trim_in_background
from .put import Condition, chunk_size_for

_MOST_MESSAGES = 1000


class Item(NamedTuple):
    """One object of a commit."""

    meta: ObjectMeta
    source: Source
    chunk_size: int
    condition: Condition
    ttl: int | None = None
    keep_versions: int | None = None


class Commit(Transfer):
    """A commit in progress.

    Args:
        bucket: where.
        call: the user's call.
        items: the objects; no name twice.
        result: makes the call's result of the metadata of all.
        progress: the user's, called as ``progress(done, total)`` when it is done.
    """

    def __init__(
        self,
        bucket: Bucket,
        call: Call,
        items: list[Item],
        result: Callable[[list[ObjectMeta]], Any],
        progress: Callable[..., Any] | None = None,
    ) -> None:
        super().__init__(bucket, call, progress)
        self._items = items
        self._result = result
        self._subjects = [bucket.subjects.meta(item.meta['name']) for item in items]
        self._chunks: list[list[Buffer]] | None = None
        # What is on the subjects of the metadata now; and all that was to be replaced so far.
        self._present: dict[str, Known] = {}
        self._messages: dict[str, StoredMessage | None] = {}
        self._tried: list[dict[str, Known]] = []
        self._sending = False

    def _go_on(self) -> None:
        self._sending = False
        if self._chunks is None:
            self._bucket.open(self, self._opened)
        else:
            self._look()

    def cancel(self) -> None:
        """Give up. Once the batch is on its way it is too late: the callback tells its outcome."""
        if not self._sending:
            super().cancel()

    # The bytes.

    def _opened(self) -> None:
        if not self._bucket.config.get('allow_atomic'):
            self._fail('the bucket takes no atomic commits: create it with atomic=True')
            return
        if any(item.ttl for item in self._items) and not self._bucket.config.get('allow_msg_ttl'):
            self._fail('the bucket takes no ttl: create it with object_ttl=True')
            return
        try:
            chunks = [self._read(item) for item in self._items]
        except Exception as exc:  # whatever the user's files and iterables raise
            self._fail(f'cannot read the source: {exc}', exc)
            return
        messages = len(chunks) + sum(map(len, chunks))
        if messages > _MOST_MESSAGES:
            self._fail(f'a commit takes at most {_MOST_MESSAGES} messages, chunks and metadata')
            return
        self._chunks = chunks
        self.bytes_total = sum(item.meta['size'] for item in self._items)
        self._look()

    def _fail(self, text: str, cause: Exception | None = None) -> None:
        err = ObjectStoreError(text, bucket=self._bucket.name)
        err.__cause__ = cause
        self.fail(err)

    def _read(self, item: Item) -> list[Buffer]:
        meta, source = item.meta, item.source
        size = chunk_size_for(self._bucket, item.chunk_size)
        digest = hashlib.sha256()
        chunks: list[Buffer] = []
        source.open()
        while (piece := source.read(size)) and len(chunks) < _MOST_MESSAGES:
            digest.update(piece)
            chunks.append(bytes(piece))
            if len(piece) < size:
                break
        meta['options']['max_chunk_size'] = size
        meta['size'], meta['chunks'] = sum(map(len, chunks)), len(chunks)
        meta['digest'] = record.digest_text(digest.digest(), self._bucket.dialect)
        return chunks

    # What is there now.

    def _look(self) -> None:
        """Read the present metadata of all names, from the leader."""
        self._present = {}

        def got(subject: str) -> Callable[[StoredMessage | None], None]:
            def got_one(message: StoredMessage | None) -> None:
                self._messages[subject] = message
                self._present[subject] = known_of(message, self._bucket.name)
                if len(self._present) == len(self._subjects):
                    self._check()

            return got_one

        for subject in self._subjects:
            self._bucket.leader(self, {'last_by_subj': subject}, got(subject))

    def _check(self) -> None:
        for item, subject in zip(self._items, self._subjects, strict=True):
            present, condition = self._present[subject], item.condition
            if present.live and present.nuid == item.meta['nuid']:
                self._finish()  # stored by a batch whose reply was lost
                return
            unwanted = condition.if_absent and present.live
            if unwanted or condition.expected_seq not in (None, present.seq):
                text = f'wrong last sequence: {present.seq}'
                self.fail(WrongSequenceError(400, 10071, text))
                return
        self._send()

    # The batch.

    def _send(self) -> None:
        assert self._chunks is not None
        self._tried.append(self._present)
        batch = self._bucket.js.atomic_batch(self._bucket.stream)
        epoch = self.epoch

        def committed(ack: dict[str, Any] | None, err: NatsError | None) -> None:
            if epoch == self.epoch and not isinstance(err, DisconnectedError):
                self._committed(ack, err)

        try:
            for item, subject, chunks in zip(
                self._items, self._subjects, self._chunks, strict=True
            ):
                # Metadata must not outlive its chunks, and the server counts in whole seconds.
                longer = None if item.ttl is None else item.ttl + 2000
                for chunk in chunks:
                    nuid = item.meta['nuid']
                    batch.add(self._bucket.subjects.chunk(nuid), bytes(chunk), ttl=longer)
                present, message = self._present[subject], self._messages[subject]
                if self._keeps(subject) and message is not None:
                    log = self._bucket.subjects.log(item.meta['name'])
                    batch.add(log, message['payload'], {SEQ: str(present.seq)})
                batch.add(
                    subject,
                    record.to_json(item.meta),
                    {record.VERSIONS: str(present.versions)} if present.versions else None,
                    rollup='sub',
                    expected_last_subject_seq=present.seq,
                    ttl=item.ttl,
                )
            batch.commit(committed, self._bucket.timeout)
        except NatsError as err:  # metadata larger than the server takes
            self.fail(err)
            return
        except ValueError as exc:  # with the copies of metadata there are too many messages
            self._fail(str(exc), exc)
            return
        self._sending = True

    def _keeps(self, subject: str) -> bool:
        """Is what is replaced there kept as a version?"""
        present = self._present[subject]
        return present.live and present.versions > 0

    def _committed(self, ack: dict[str, Any] | None, err: NatsError | None) -> None:
        self._sending = False
        if isinstance(err, WrongSequenceError):
            self._touch()
            self._look()  # another writer was first
        elif err is not None or ack is None:
            self.fail(err or ObjectStoreError('no acknowledgement'))
        else:
            self._present = self._numbered(int(ack['seq']))
            self._finish()

    def _numbered(self, last_seq: int) -> dict[str, Known]:
        """Return what is there now: the messages of a batch are stored one behind the other."""
        assert self._chunks is not None
        copies = sum(map(self._keeps, self._subjects))
        seq = last_seq - len(self._items) - sum(map(len, self._chunks)) - copies
        stored = {}
        for item, subject, chunks in zip(self._items, self._subjects, self._chunks, strict=True):
            seq += len(chunks) + 1 + self._keeps(subject)
            versions = self._present[subject].versions
            stored[subject] = Known(seq, item.meta['nuid'], True, versions)
        return stored

    def _finish(self) -> None:
        now = datetime.now(timezone.utc)
        for item, subject in zip(self._items, self._subjects, strict=True):
            item.meta['seq'], item.meta['mtime'] = self._present[subject].seq, now
            self._bucket.learn(subject, self._present[subject])
        ours = {item.meta['nuid'] for item in self._items}
        for item, subject in zip(self._items, self._subjects, strict=True):
            known = self._tried[-1][subject]
            if known.versions:
                trim_in_background(self._bucket, item.meta['name'], known.versions)
            elif known.nuid is not None and known.nuid not in ours:
                Purge(self._bucket, known.nuid).start(now=True)
        self._advance(self.bytes_total or 0)
        self._end(self._result([item.meta for item in self._items]), None)

    def _release(self) -> None:
        for item in self._items:
            item.source.close()
