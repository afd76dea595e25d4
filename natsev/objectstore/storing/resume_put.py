"""An upload that another process can go on with.

A journal beside the file tells under which nuid its chunks are stored. Going on, the stream is
asked which chunks it has: those that stand in order from the first one on are kept and hashed again
from the file, what lies behind them is deleted, and the rest is sent. A file that has changed
starts over. Before the metadata is sent the journal tells which one it replaces: if it is not there
later, but that one is not either, the object may have been stored and renamed since.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from datetime import datetime, timezone
from pathlib import Path
from time import monotonic
from typing import Any

from ...errors import (
    DisconnectedError,
    NatsError,
    ObjectStoreError,
    RequestTimeout,
    StreamNotFoundError,
)
from ...jetstream import Consumption, Message
from ...jetstream.types import StoredMessage
from ..aftermath import Aftermath
from ..bucket import Known
from ..journal import Journal
from ..lookup import known_of
from ..names import is_nuid
from ..parallel import each
from ..purge import Purge
from ..source import PathFile
from .chunks import Chunks
from .put import Put, ttl_of_chunks

# Chunks hashed in one turn of the loop.
_PER_TURN = 8


class ResumedPut(Put):
    """A put of a file, with a journal. Arguments as for ``Put``."""

    _source: PathFile

    def keep_journal(self, path: Path) -> None:
        """Keep the journal at *path*; called before ``start``."""
        self._journal = Journal(path)
        self._facts: dict[str, Any] = {}
        self._replaces: int | None = None  # as the journal says
        self._ready = False
        self._stored = _Stored(self._meta['nuid'])
        self._consumption: Consumption | None = None

    def _prepare(self) -> None:
        if self._ready:
            super()._prepare()
            return
        self._stop_scan()
        self._facts = {
            'bucket': self._bucket.name,
            'name': self._meta['name'],
            'size': self._source.size,
            'times': self._source.times,
            'chunk_size': self._chunk_size,
        }
        try:
            self._journal.open()
            known = self._journal.read()
        except OSError as exc:
            self._journal_failed(exc)
            return
        nuid, replaces = known.pop('nuid', None), known.pop('replaces', None)
        if is_nuid(nuid) and known == self._facts:
            self._go_on_with(nuid, replaces)
            return
        place = self._facts['bucket'], self._facts['name']
        if is_nuid(nuid) and (known.get('bucket'), known.get('name')) == place:
            self._drop_earlier(nuid, replaces)
        self._begin_anew()

    def _begin_anew(self) -> None:
        if self._note(self._meta['nuid']):
            self._prepared()

    def _note(self, nuid: str, **more: Any) -> bool:
        """Write to the journal under which nuid the chunks are stored; False: that failed."""
        try:
            self._journal.write({**self._facts, 'nuid': nuid, **more})
        except OSError as exc:
            self._journal_failed(exc)
            return False
        return True

    def _journal_failed(self, exc: OSError) -> None:
        err = ObjectStoreError(
            f'cannot keep the journal: {exc}', bucket=self._bucket.name, name=self._meta['name']
        )
        err.__cause__ = exc
        self.fail(err)

    def _go_on_with(self, nuid: str, replaces: Any) -> None:
        """Go on with the chunks of *nuid*, unless the object may have been stored, and renamed.

        Then they are those of another name by now; if not, ``sweep`` finds them.
        """

        def look(message: StoredMessage | None) -> None:
            current = known_of(message, self._bucket.name)
            if current.seq == replaces or (current.live and current.nuid == nuid):
                self._scan(nuid)
            else:
                self._begin_anew()

        if replaces is None:
            self._scan(nuid)
        else:
            self._bucket.leader(self, {'last_by_subj': self._subject}, look)

    def _drop_earlier(self, nuid: str, replaces: Any) -> None:
        """Another file was to be stored once: purge its chunks, unless it may have been stored."""

        def look(known: Known | None) -> None:
            if known is not None and known.seq == replaces:
                Purge(self._bucket, nuid).start(now=True)

        if replaces is None:
            Purge(self._bucket, nuid).start(now=True)
        else:
            Aftermath(self._bucket, self._subject, look).start(now=True)

    def _prepared(self) -> None:
        self._ready = True
        super()._prepare()

    # What is stored.

    def _scan(self, nuid: str) -> None:
        self._stored = _Stored(nuid)
        self._consumption = self._bucket.js.ordered(
            self._bucket.stream,
            self._listed,
            filter_subjects=self._bucket.subjects.chunk(nuid),
            headers_only=True,
            on_caught_up=self._scanned,
            on_end=self._scan_ended,
        )

    def _listed(self, message: Message) -> None:
        self._touch()
        headers = message.headers
        self._stored.add(message.seq, headers.get('Nats-Msg-Id') if headers is not None else None)
        if self._stored.first_at is None:
            self._stored.first_at = message.timestamp

    def _scan_ended(self, err: NatsError | None) -> None:
        if err is not None and self._consumption is not None:
            self._consumption = None
            if isinstance(err, StreamNotFoundError):
                err = self._bucket.not_found(err)
            self.fail(err)

    def _stop_scan(self) -> None:
        consumption, self._consumption = self._consumption, None
        if consumption is not None:
            consumption.stop()

    def _scanned(self) -> None:
        self._stop_scan()
        stored = self._stored
        if self.done:
            return
        if not stored.count:
            # The ids of what was purged are still known to the stream: another nuid.
            Purge(self._bucket, stored.nuid).start(now=True)
            self._journal.write({})
            self._prepare()
            return
        try:
            self._source.rewind()
        except OSError as exc:
            self._source_failed(exc)
            return
        self._hash, self._size, self._at_end = hashlib.sha256(), 0, False
        if stored.first_at is not None:
            age = datetime.now(timezone.utc) - stored.first_at
            self._began_at = monotonic() - max(0.0, age.total_seconds())

        def delete(seq: int, done: Callable[[], None]) -> None:
            self._bucket.delete(self, seq, lambda _: done())

        epoch = self.epoch
        each(self, stored.behind, delete, lambda: self._hash_stored(stored.count, epoch))

    def _hash_stored(self, left: int, epoch: int) -> None:
        """Hash what is stored, from the file, a part in each turn of the loop."""
        if self.done or epoch != self.epoch:
            return
        for _ in range(min(left, _PER_TURN)):
            if self._read() is None:
                return  # failed
            left -= 1
        self._touch()
        if left:
            self._nats.call_soon(self._hash_stored, left, epoch)
            return
        stored = self._stored
        self._meta['nuid'] = stored.nuid
        self._chunks = Chunks(self, self._bucket, stored.nuid, ttl_of_chunks(self._ttl))
        self._chunks.begin_behind(stored.count, stored.last_seq, stored.attempt)
        self._advance(self._size)
        self._prepared()

    def _start_over(self) -> bool:
        return False  # the journal names what another process may go on with

    # The end.

    def _commit(self) -> None:
        # From now on the metadata may be stored, and what it names be renamed by anybody.
        if self._replaces != self._expected:
            self._replaces = self._expected
            if not self._note(self._meta['nuid'], replaces=self._expected):
                return
        super()._commit()

    def _clean(self) -> None:
        if isinstance(self._err, (DisconnectedError, RequestTimeout)):
            self._end_failed()  # somebody may go on with what is stored
        else:
            super()._clean()

    def _release(self) -> None:
        self._stop_scan()
        try:
            super()._release()
            # What an earlier process has stored, and this one has not come to, stays as it is.
            if self._ready and not isinstance(self._err, (DisconnectedError, RequestTimeout)):
                self._journal.remove()
        finally:
            self._journal.close()


class _Stored:
    """The chunks of one object that are stored already.

    Attributes:
        nuid: the object.
        count: those that stand in order from the first one on.
        last_seq: the sequence of the last of them.
        behind: the sequences of those that do not.
        attempt: the first whose ids have not been used, where some are to be sent again.
        first_at: when the first was stored.
    """

    def __init__(self, nuid: str) -> None:
        self.nuid = nuid
        self.count = 0
        self.last_seq = 0
        self.behind: list[int] = []
        self.first_at: datetime | None = None
        self._attempt = 0

    @property
    def attempt(self) -> int:
        return self._attempt + 1 if self.behind else self._attempt

    def add(self, seq: int, msg_id: str | None) -> None:
        """The next chunk in the stream has this id: ``<nuid>.<number>`` or, sent again, more."""
        number, _, attempt = (msg_id or '').removeprefix(f'{self.nuid}.').partition('.')
        if attempt.isascii() and attempt.isdigit() and len(attempt) < 10:
            self._attempt = max(self._attempt, int(attempt))
        if number == f'{self.count}' and not self.behind:
            self.count += 1
            self.last_seq = seq
        else:
            self.behind.append(seq)
