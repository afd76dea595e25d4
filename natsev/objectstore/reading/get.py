"""Reading an object: its metadata, then its chunks, counted, hashed and handed to a sink.

The way depends on the bucket and the server, see ``fetch``; an object of one chunk takes one
request. Whatever comes is checked for size and digest. Chunks that are missing have a reason, which
the leader is asked for: the object was replaced (the get starts over, if all can be taken back), it
was deleted, the server that answered lags behind, or the chunks are gone.
"""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from ...calls import Call
from ...errors import (
    CodecError,
    DigestMismatch,
    MissingChunks,
    NatsError,
    NotModified,
    ObjectChanged,
)
from ...jetstream.types import StoredMessage
from .. import record
from ..blocking import in_thread
from ..bucket import Bucket
from ..codecs.chain import is_encoded
from ..codecs.coded import DecodedSink, decoded
from ..lookup import Resolved, resolve
from ..record import ObjectMeta
from ..sink import WHOLE, Part, Sink, write_error
from ..transfer import Transfer
from ..versions import find_version
from .budget import budget_of
from .fetch import Batches, Fetch, Ordered, estimate
from .index import Index, index_of

# Bytes that wait for a paused reader: more are not requested.
_MOST_HELD = 1024 * 1024

# So often, after so many seconds, it is looked again for chunks that only the leader has.
_MOST_LOOKS, _PAUSE = 40, 0.25

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
        part: offset and length of what is wanted; a length of None: to the end.
        indexes: of chunks, by nuid; to be shared by gets of one object.
        progress: the user's, called as ``progress(done, total)``.
        version: the sequence of an earlier version to be read; None: the present one.
        decode: what codecs did is undone; else the bytes are those that are stored.
        stripes: more ways to the bucket's chunks.
        deleted: the result of a deleted object has its metadata.
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
        version: int | None = None,
        part: Part = WHOLE,
        indexes: dict[str, Index] | None = None,
        decode: bool = True,
        stripes: Sequence[Bucket] = (),
        deleted: bool = False,
    ) -> None:
        super().__init__(bucket, call, progress)
        self._deleted = deleted
        self._stripes = stripes
        self._version = version
        self._name = name
        self._sink = self._user_sink = sink
        self._decode = decode
        self._results = results
        self._if_none_match = if_none_match
        self._part = part
        self._indexes = {} if indexes is None else indexes
        self._whole = True
        self._wanted = 0  # bytes for the sink
        self._index: Index | None = None  # of a part's chunks
        self._skip = 0  # bytes of the chunks to come that are before what is wanted
        self._where = bucket  # where the chunks are: links lead elsewhere
        self._meta: ObjectMeta | None = None
        self._fetch: Fetch | None = None
        self._budget = budget_of(bucket.nats)
        self._taken = 0
        self._waiting = False  # for its turn
        self._hash: Any = None
        self._came = 0
        self._count = 0
        self._last_seq = 0
        self._looks = 0  # for chunks that were missing
        self._held: deque[bytes] = deque()
        self._held_bytes = 0
        self._by_consumer = False
        self._flushing = False
        self._decoding = False  # goes on in the next turn of the loop
        self._verified = False  # nothing more can go wrong but decoding, and what a file raises
        self._settling = False

    # Metadata.

    def _go_on(self) -> None:
        if not (self._settling or self._complete):
            # Once begun, only the leader can tell whether it is still the same object.
            leader = self._meta is not None
            self._resolve(self._found, leader)

    def _resolve(self, then: Resolved, leader: bool) -> None:
        bucket = self._bucket
        if self._version is None:
            resolve(bucket, self, self._name, then, leader=leader)
        else:
            find_version(
                bucket,
                self,
                self._name,
                self._version,
                lambda entry: then(bucket, None if entry is None else entry.meta),
            )

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
            self._finish(None, meta if self._deleted else None)
            return
        self._where, self._meta = where, meta
        if self._if_none_match and record.digest_bytes(meta['digest']) == self._if_none_match:
            self.fail(NotModified(bucket=where.name, name=self._name))
            return
        self._hash = hashlib.sha256()
        self._came = self._count = self._last_seq = 0
        self._held.clear()
        self._held_bytes = 0
        self._by_consumer = self._verified = False
        size = meta['size']
        part = self._part
        self._sink = self._user_sink
        if self._decode and is_encoded(meta['metadata']):
            try:
                self._sink, part = decoded(self._bucket.codec, meta, self._user_sink, part)
            except CodecError as err:
                self.fail(err)
                return
        self._skip = min(part.offset, size)
        self._wanted = size - self._skip
        if part.length is not None:
            self._wanted = min(self._wanted, part.length)
        self._whole = self._wanted == size
        self._index = None
        self.bytes_done, self.bytes_total = 0, self._wanted
        if self._guarded(self._sink.begin):
            if self._wanted:
                self._read()
            else:
                self._verify()

    def _guarded(self, work: Callable[..., Any], *args: Any) -> bool:
        """Do something with the user's file; what it raises ends the get."""
        try:
            work(*args)
        except NatsError as err:
            self.fail(err)
            return False
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
        if not self._whole and self._index is None and meta['chunks'] != 1:
            self._locate(meta)
        elif meta['chunks'] == 1 and not self._last_seq:
            self.strategy = 'one message'
            if self._take(meta['size']):
                where.last(self, where.subjects.chunk(meta['nuid']), self._single)
        elif where.allow_direct and where.batches and not self._by_consumer:
            # Where a link leads elsewhere, they do not.
            others = self._stripes if where is self._bucket else ()
            there = [one for one in others if one.nats.is_connected()]
            left = self._chunks_left(meta)
            self._use(Batches(self, where, meta, self._last_seq, left, there))
        else:
            self._use(Ordered(self, where, meta, self._last_seq, self._bytes_left))

    def _locate(self, meta: ObjectMeta) -> None:
        """Find the chunk to begin with."""
        index = self._indexes.get(meta['nuid'])
        if index is not None:
            self._located(index)
        elif self._take(2 * estimate(meta)):
            index_of(self._where, self, meta, self._located, self._misplaced, self._touch)

    def _located(self, index: Index) -> None:
        self._give_back()
        meta = self._meta
        assert meta is not None
        self._indexes[meta['nuid']] = index
        self._index = index
        place = index.find(self._skip)
        self._last_seq, self._count = place.seq - 1, place.number
        self._skip -= place.start
        self._read()

    @property
    def _bytes_left(self) -> int:
        """Bytes that are still to come, with those before what is wanted."""
        return self._skip + self._wanted - self._came

    def _chunks_left(self, meta: ObjectMeta) -> int:
        """Return about how many chunks are still to come; the fetch asks for more where need be."""
        left = meta['chunks'] - self._count
        if not self._whole:
            left = min(left, self._bytes_left // estimate(meta) + 1)
        return max(left, 1)

    def _use(self, fetch: Fetch) -> None:
        self.strategy = fetch.name
        self._fetch = fetch
        fetch.more()

    # Single messages take from the budget themselves.

    def _take(self, size: int) -> bool:
        self._give_back()
        if not self._budget.take(size, self._turn_has_come):
            self._waiting = True
            return False
        self._taken = size
        return True

    def _turn_has_come(self) -> None:
        self._waiting = False
        self._touch()
        if not (self.done or self._away):
            self._read()

    def _give_back(self) -> None:
        taken, self._taken = self._taken, 0
        if self._waiting:
            self._waiting = False
            self._budget.forget(self._turn_has_come)
        if taken:
            self._budget.give_back(taken)

    def _single(self, message: StoredMessage | None) -> None:
        self._give_back()
        meta = self._meta
        assert meta is not None
        if message is None:
            self.short()
        elif len(message['payload']) == meta['size']:
            self.chunk(message['seq'], message['payload'])
        else:
            # Not the only one after all, whatever the metadata says.
            self._use(Ordered(self, self._where, meta, 0, self._bytes_left))

    def unsupported(self) -> None:
        """Batches do not work here (any more): the configuration tells what does."""
        self._close_fetch()
        self._where.batches = False
        self._where.reopen(self, self._read)

    def scattered(self) -> None:
        """Batches would have to come one at a time."""
        self._by_consumer = True
        self._read()

    def _close_fetch(self) -> None:
        fetch, self._fetch = self._fetch, None
        if fetch is not None:
            fetch.close()

    # Chunks that are missing.

    def short(self) -> None:
        """There is nothing more to read, though there should be."""
        if not (self.done or self._complete):
            self._close_fetch()
            self._resolve(self._looked_again, True)

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
            self._missing()
        elif not self._is_next(message['seq'], message['payload']):
            self._misplaced()
        else:
            # Who answered lags behind, or is a mirror in which the subjects are others.
            self._by_consumer = True
            self.chunk(message['seq'], message['payload'])
            if not self.done and not self._complete:
                self._read()

    def _misplaced(self) -> None:
        """Chunks are not where they should be: is it the same object still?"""
        self._close_fetch()
        self._give_back()
        self._resolve(self._looked_whether_same, True)

    def _looked_whether_same(self, where: Bucket, meta: ObjectMeta | None) -> None:
        if _same(self._meta, meta):
            self._missing()
        else:
            self._begin_with(where, meta)

    def _missing(self) -> None:
        """They are gone; or who was asked has not caught up yet with the others."""
        meta, where = self._meta, self._where
        assert meta is not None

        def counted(stored: int) -> None:
            self._looks += 1
            if stored < meta['chunks'] or self._looks > _MOST_LOOKS or not self._sink.restartable:
                self.fail(MissingChunks(bucket=where.name, name=self._name))
            else:
                self._wait(_PAUSE, partial(self._begin_with, where, meta))

        if where.replicated:
            where.count(self, meta['nuid'], counted)
        else:
            counted(0)

    # Chunks that came.

    @property
    def has_room(self) -> bool:
        return not self._paused and self._held_bytes < _MOST_HELD and not self._sink.full

    @property
    def _complete(self) -> bool:
        return self._meta is not None and self._came >= self._wanted

    def _is_next(self, seq: int, payload: bytes) -> bool:
        """Is this the next chunk of a part? There is no digest that would tell."""
        return self._index is None or self._index.agrees(self._count, seq, len(payload))

    def chunk(self, seq: int, payload: bytes) -> None:
        """Take the next chunk."""
        if not self._is_next(seq, payload):
            self._misplaced()
            return
        self._last_seq = seq
        self._count += 1
        self._touch()
        if not self._whole:
            start = min(self._skip, len(payload))
            payload = payload[start : start + self._wanted - self._came]
            self._skip -= start
        self._came += len(payload)
        self._held.append(payload)
        self._held_bytes += len(payload)
        self._hand_over()

    def _hand_over(self) -> None:
        """Give the sink what is here, unless the user has paused, or it can take no more."""
        while self._held and not (self._paused or self.done or self._sink.full):
            payload = self._held.popleft()
            self._held_bytes -= len(payload)
            if self._whole:
                self._hash.update(payload)
            if not self._guarded(self._sink.write, payload):
                return
            self._advance(len(payload))
            self._flush()
        if self._behind:
            self._decode_soon()
        elif self._complete and not (self._held or self.done):
            self._close_fetch()
            self._verify()

    @property
    def _behind(self) -> bool:
        """Is something decoded that needs more than one turn of the loop?"""
        return isinstance(self._sink, DecodedSink) and self._sink.behind

    def _decode_soon(self) -> None:
        if not self._decoding:
            self._decoding = True
            self._nats.call_soon(self._decode_on)

    def _decode_on(self) -> None:
        self._decoding = False
        sink = self._sink
        if self.done or self._paused or not isinstance(sink, DecodedSink) or sink.blocked:
            return
        if self._guarded(sink.go_on):
            self._flush()
            if self._verified and not self._behind:
                self._begin_to_settle()
            else:
                self._resumed()

    def _flush(self) -> None:
        """Have the disk begin with what has been written."""
        work = None if self._flushing or self.done else self._sink.flush()
        if work is not None:
            self._flushing = True
            in_thread(self._nats.port, work, self._flushed)

    def _flushed(self, exc: Exception | None) -> None:
        self._flushing = False
        if exc is not None:
            self._settling = False
            self.fail(write_error(exc))
        elif self._settling:
            self._settle()
        else:
            self._flush()
            self._resumed()

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
        # The digest is of the whole object: a part is only known to be as long as it must.
        right = not self._whole or record.has_digest(meta, self._hash.digest())
        if not right or self._came != self._wanted:
            self.fail(DigestMismatch(bucket=self._where.name, name=self._name))
            return
        self._verified = True
        if isinstance(self._sink, DecodedSink) and not self._guarded(self._sink.complete):
            return
        if self._behind:
            self._decode_soon()
        else:
            self._begin_to_settle()

    def _begin_to_settle(self) -> None:
        if self._cancelled:
            return  # that comes next
        self._settling = True
        if not self._flushing:
            self._settle()

    def _settle(self) -> None:
        work = self._sink.settle()
        if work is None:
            self._settling = False
            self._finish(self._sink.result(), self._meta)
        else:
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

    def _ask_again(self) -> None:
        """Who was asked is no more, or has dropped it without a word: as if the connection were."""
        if self.done or self._settling or self._complete:
            return
        self._stripes = ()  # it may be one of these
        if isinstance(self._fetch, Batches):
            self._fetch.give_up()
        self.epoch += 1
        self._stop_waiting()
        self._lost()
        self._go_on()

    def _lost(self) -> None:
        self._close_fetch()
        self._give_back()

    def _expecting(self) -> bool:
        waiting = self._waiting if self._fetch is None else self._fetch.waiting
        return not (self._settling or waiting) and self.has_room

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
        self._give_back()
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
