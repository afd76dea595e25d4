"""Reading an object: its metadata, then its chunks, counted, hashed and handed to a sink.

The way depends on the bucket and the server, see ``fetch``; an object of one chunk takes one
request. Whatever comes is checked for size and digest. Chunks that are missing have a reason, which
the leader is asked for: the object was replaced (the get starts over, if all can be taken back), it
was deleted, the server that answered lags behind, or the chunks are gone.
"""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Callable
from typing import Any

from ..calls import Call
from ..errors import (
    DigestMismatch,
    MissingChunks,
    NatsError,
    NotModified,
    ObjectChanged,
)
from ..jetstream.types import StoredMessage
from . import record
from .blocking import in_thread
from .bucket import Bucket
from .fetch import Batches, Fetch, Ordered
from .lookup import resolve
from .record import ObjectMeta
from .sink import Sink, write_error
from .transfer import Transfer

# Bytes that wait for a paused reader: more are not requested.
_MOST_HELD = 1024 * 1024

Results = Callable[[Any, NatsError | None, ObjectMeta | None], tuple[Any, ...]]


class Get(Transfer):
    """One object being read.

    Args:
        bucket: where.
        call: the user's call.
        name: the object.
        sink: where its bytes go.
        results: makes the callback's arguments from data, error and metadata.
        if_none_match: a digest; the object is not read when it still has that one.
        progress: the user's, called as ``progress(done, total)``.

    Attributes:
        strategy: how the chunks are read, for who wants to know.
    """

    def __init__(
        self,
        bucket: Bucket,
        call: Call,
        name: str,
        sink: Sink,
        *,
        results: Results,
        if_none_match: bytes | None = None,
        progress: Callable[..., Any] | None = None,
    ) -> None:
        super().__init__(bucket, call, progress)
        self.strategy = ''
        self._name = name
        self._sink = sink
        self._results = results
        self._if_none_match = if_none_match
        self._where = bucket  # where the chunks are: links lead elsewhere
        self._meta: ObjectMeta | None = None
        self._fetch: Fetch | None = None
        self._hash = hashlib.sha256()
        self._came = 0
        self._count = 0
        self._last_seq = 0
        self._held: deque[bytes] = deque()
        self._held_bytes = 0
        self._settling = False

    # Metadata.

    def _go_on(self) -> None:
        if not self._settling:
            # Once begun, only the leader can tell whether it is still the same object.
            leader = self._meta is not None
            resolve(self._bucket, self, self._name, self._found, leader=leader)

    def _found(self, where: Bucket, meta: ObjectMeta | None) -> None:
        if self._meta is not None and _same(self._meta, meta):
            self._read()
        else:
            self._begin_with(where, meta)

    def _begin_with(self, where: Bucket, meta: ObjectMeta | None) -> None:
        """Begin, or start over, with what is there."""
        if not self._sink.restartable:
            self.fail(ObjectChanged(bucket=where.name, name=self._name))
            return
        if meta is None or meta['deleted']:
            self._finish(None, None)
            return
        self._where, self._meta = where, meta
        if self._if_none_match and record.digest_bytes(meta['digest']) == self._if_none_match:
            self.fail(NotModified(bucket=where.name, name=self._name))
            return
        self._hash = hashlib.sha256()
        self._came = self._count = self._last_seq = 0
        self._held.clear()
        self._held_bytes = 0
        self.bytes_done, self.bytes_total = 0, meta['size']
        if self._guarded(self._sink.begin):
            if meta['size']:
                self._read()
            else:
                self._verify()

    def _guarded(self, work: Callable[..., Any], *args: Any) -> bool:
        """Do something with the user's file; what it raises ends the get."""
        try:
            work(*args)
        except Exception as exc:
            self.fail(write_error(exc))
            return False
        return True

    # Ways to read.

    def _read(self) -> None:
        """Read the chunks after the last one that came."""
        meta, where = self._meta, self._where
        assert meta is not None
        self._close_fetch()
        if meta['chunks'] == 1 and not self._last_seq:
            self.strategy = 'one message'
            where.last(self, where.subjects.chunk(meta['nuid']), self._single)
        elif where.allow_direct and where.batches:
            left = max(1, meta['chunks'] - self._count)
            self._use(Batches(self, where, meta, self._last_seq, left))
        else:
            self._use(Ordered(self, where, meta, self._last_seq))

    def _use(self, fetch: Fetch) -> None:
        self.strategy = fetch.name
        self._fetch = fetch
        fetch.more()

    def _single(self, message: StoredMessage | None) -> None:
        meta = self._meta
        assert meta is not None
        if message is None:
            self.short()
        elif len(message['payload']) == meta['size']:
            self.chunk(message['seq'], message['payload'])
        else:
            # Not the only one after all, whatever the metadata says.
            self._use(Ordered(self, self._where, meta, 0))

    def unsupported(self) -> None:
        """Batches do not work here (any more): the configuration tells what does."""
        self._close_fetch()
        self._where.batches = False
        self._where.reopen(self, self._read)

    def _close_fetch(self) -> None:
        fetch, self._fetch = self._fetch, None
        if fetch is not None:
            fetch.close()

    # Chunks that are missing.

    def short(self) -> None:
        """There is nothing more to read, though there should be."""
        if not self.done:
            self._close_fetch()
            resolve(self._bucket, self, self._name, self._looked_again, leader=True)

    def _looked_again(self, where: Bucket, meta: ObjectMeta | None) -> None:
        if _same(self._meta, meta):
            assert meta is not None
            body = {
                'next_by_subj': where.subjects.chunk(meta['nuid']),
                'seq': self._last_seq + 1,
            }
            where.leader(self, body, self._leader_says)
        else:
            self._begin_with(where, meta)

    def _leader_says(self, message: StoredMessage | None) -> None:
        if message is None:
            self.fail(MissingChunks(bucket=self._where.name, name=self._name))
            return
        self.chunk(message['seq'], message['payload'])
        if not self.done and not self._complete:
            self._read()

    # Chunks that came.

    @property
    def has_room(self) -> bool:
        return not self._paused and self._held_bytes < _MOST_HELD

    @property
    def _complete(self) -> bool:
        return self._meta is not None and self._came >= self._meta['size']

    def chunk(self, seq: int, payload: bytes) -> None:
        """Take the next chunk."""
        self._last_seq = seq
        self._count += 1
        self._came += len(payload)
        self._touch()
        self._held.append(payload)
        self._held_bytes += len(payload)
        self._hand_over()

    def _hand_over(self) -> None:
        """Give the sink what is here, unless the user has paused."""
        while self._held and not (self._paused or self.done):
            payload = self._held.popleft()
            self._held_bytes -= len(payload)
            self._hash.update(payload)
            if not self._guarded(self._sink.write, payload):
                return
            self._advance(len(payload))
        if self._complete and not (self._held or self.done):
            self._close_fetch()
            self._verify()

    def _resumed(self) -> None:
        if self._meta is None or self._settling or self.done:
            return
        self._hand_over()
        if self._fetch is not None and not self.done:
            self._fetch.more()

    # The end.

    def _verify(self) -> None:
        meta = self._meta
        assert meta is not None
        digest = record.digest_bytes(meta['digest'])
        if self._came != meta['size'] or (digest is not None and digest != self._hash.digest()):
            self.fail(DigestMismatch(bucket=self._where.name, name=self._name))
            return
        work = self._sink.settle()
        if work is None:
            self._finish(self._sink.result(), meta)
        else:
            self._settling = True
            in_thread(self._nats.port, work, self._settled)

    def _settled(self, exc: Exception | None) -> None:
        self._settling = False
        if exc is not None:
            self.fail(write_error(exc))
        else:
            self._finish(self._sink.result(), self._meta)

    def _finish(self, data: Any, meta: ObjectMeta | None) -> None:
        self._end(*self._results(data, None, meta))

    def _end_failed(self) -> None:
        if self._leave():
            self._call.end(*self._results(None, self._err, self._meta))

    def _lost(self) -> None:
        self._close_fetch()

    def _expecting(self) -> bool:
        return not self._settling and self.has_room

    def cancel(self) -> None:
        """Give up. The callback still comes once, with ``Cancelled``.

        Once all bytes are verified and a file is about to be renamed, it is too late.
        """
        if not self._settling:
            super().cancel()

    def closed(self, err: NatsError) -> None:
        if not self._settling:
            super().closed(err)

    def _release(self) -> None:
        self._close_fetch()
        try:
            self._sink.discard()
        except OSError as exc:
            self._nats.report(write_error(exc))


def _same(old: ObjectMeta | None, new: ObjectMeta | None) -> bool:
    return (
        old is not None
        and new is not None
        and not new['deleted']
        and (old['nuid'], old['size']) == (new['nuid'], new['size'])
    )
