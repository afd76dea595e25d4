"""Ways to have an object's chunks from the stream, in order, from a sequence on.

``Batches``: direct gets of many chunks each (nats-server 2.11), the next requested before the
present one ends. ``Ordered``: an ordered consumer, for older servers, buckets without direct gets,
and large objects whose chunks lie between others': where the next batch begins is not known then,
and one batch at a time is slow over a long way.

Neither ever has more than a window of bytes on its way, so the socket is always read and memory is
bounded; when the owner has no room for more, nothing more is requested.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Protocol

from ...errors import DisconnectedError, JetStreamError, NatsError, NoResponders
from ...headers import Headers
from ...jetstream import Consumption, Message
from ...jetstream.api import to_json
from ...loop import Timer
from ..bucket import Bucket
from ..record import ObjectMeta
from .budget import MOST, budget_of

if TYPE_CHECKING:
    from ...nats import Replies

MIB = 1024 * 1024
# Seconds of a round trip from which on a way is long.
_LONG_WAY = 0.002
# Bytes of one batch and how many batches at once: near, and over a long way. Together never more
# than 32 MiB: a server hangs up on who has 64 MiB waiting.
_BATCH, _AT_ONCE = 4 * MIB, 2
_LONG_BATCH, _LONG_AT_ONCE = 7 * MIB // 2, 8
# So many near ways can be busy at once.
_MOST_NEAR = 3
# So much comes in one batch. The first of several is smaller: it tells whether the chunks lie one
# behind the other.
_ONE, _FIRST = 7 * MIB, 2 * MIB
# Seconds for which a get without room keeps its consumer.
_SHORT_PAUSE = 1.0
# The share of a consumer's window at which it is filled up.
_THRESHOLD, _LONG_THRESHOLD = 0.5, 0.9
# Seconds after which what is not wanted any more is not waited for either.
_STRAY = 10.0
# What one message costs beside its payload, counted by max_bytes too: subject and headers.
_OVERHEAD = 512


class Reader(Protocol):
    """The get that a fetch works for."""

    @property
    def done(self) -> bool:
        """Does it want nothing any more?"""

    @property
    def has_room(self) -> bool:
        """May more be requested?"""

    def chunk(self, seq: int, payload: bytes) -> None:
        """The next chunk; sequences rise."""

    def short(self) -> None:
        """There is nothing more, though it should be there."""

    def unsupported(self) -> None:
        """This server, or bucket, cannot be read this way."""

    def scattered(self) -> None:
        """Chunks lie between others', and many are still to come."""

    def fail(self, err: NatsError) -> None:
        """The get cannot go on."""


class Fetch(Protocol):
    """Chunks on their way."""

    name: str  # the strategy
    # Other gets take all there is at the moment.
    waiting: bool

    def more(self) -> None:
        """There may be room for more."""

    def close(self) -> None:
        """Nothing more is wanted."""


def _is_far(bucket: Bucket) -> bool:
    return bucket.rtt is not None and bucket.rtt > _LONG_WAY


def estimate(meta: ObjectMeta) -> int:
    """Return about how many bytes a chunk has. Other clients' metadata is not relied upon."""
    average = -(-meta['size'] // max(meta['chunks'], 1))
    return max(average, min(meta['options'].get('max_chunk_size', 1), meta['size']), 1)


def last_field(raw: bytes, name: bytes) -> bytes | None:
    """Return the last value of the header *name* in a block: the server's own, if it sets it.

    Stored messages may contain headers of the same name; the server's come after them.
    """
    key = b'\r\n%b: ' % name
    at = raw.rfind(key)
    if at < 0:
        return None
    at += len(key)
    return raw[at : raw.find(b'\r\n', at)]


class _Way:
    """Who is asked: the bucket, by one connection or another, or a mirror of it."""

    __slots__ = ('_request', '_subject', 'nats')

    def __init__(self, bucket: Bucket, nuid: str) -> None:
        self.nats = bucket.nats
        self._request = f'{bucket.js.prefix}.DIRECT.GET.{bucket.stream}'
        self._subject = bucket.subjects.chunk(nuid)

    def ask(self, seq: int, batch: int, max_bytes: int, reply: str) -> None:
        body = {
            'seq': seq,
            'next_by_subj': self._subject,
            'batch': batch,
            'max_bytes': max_bytes,
        }
        self.nats.publish(self._request, to_json(body), reply)


class _Batch:
    """One direct get of many chunks. What is not wanted any more still comes, and counts."""

    __slots__ = (
        *('batches', 'came', 'cost', 'dropped', 'ended', 'held', 'replies', 'stray', 'wanted'),
        'way',
    )

    def __init__(self, batches: Batches, way: _Way, wanted: int, cost: int) -> None:
        self.batches = batches
        self.way = way
        self.wanted = wanted
        self.cost = cost
        self.came = 0
        self.ended = self.dropped = False
        # What came while the batches before it were not complete.
        self.held: list[tuple[int, bytes]] = []
        self.stray: Timer | None = None
        self.replies: Replies = way.nats.replies(self.replied)

    def replied(
        self, payload: bytes | None, err: NatsError | None, headers: Headers | None
    ) -> None:
        raw = headers.raw if headers is not None else b''
        seq = last_field(raw, b'Nats-Sequence') if err is None else None
        if seq is None:
            self.end()
            if not self.dropped:
                self.batches.ended(self, err, headers)
        elif last_field(raw, b'Nats-Num-Pending') is None:
            self.end()  # before 2.11: one message, and no word of an end
            if not self.dropped:
                self.batches.unsupported()
        elif not self.dropped:
            self.batches.message(self, int(seq), payload or b'')

    def end(self) -> None:
        """Nothing more comes."""
        if not self.ended:
            self.ended = True
            if self.stray is not None:
                self.stray.close()
                del self.stray
            self.replies.close()
            del self.replies  # they lead back here: a cycle is left to the collector
            self.batches.budget.give_back(self.cost)

    def drop(self) -> None:
        """Nothing more is wanted of it."""
        self.dropped = True
        self.held.clear()
        if not (self.ended or self.stray):
            # It comes, and counts, until then: or who was asked for it is no more.
            self.stray = self.way.nats.port.timer(self.end)
            self.stray.start(_STRAY)


class Batches:
    """Fetches by batched direct gets.

    The chunks of most objects lie one behind the other in the stream. As long as they do, the next
    batches are requested ahead, from the sequence where they must begin. Once they do not, what is
    left is read otherwise, unless it is little.

    What is requested ahead is requested from all the ways there are, in turn. All but the first are
    a help only: one that fails, or does not have all chunks, is not asked again.

    Args:
        reader: whom the chunks are for.
        bucket: where they are.
        meta: of the object.
        seq: the last sequence that is there already.
        chunks: how many are missing, as far as the metadata tells.
        others: more ways to the same chunks, with the same sequences.
    """

    def __init__(
        self,
        reader: Reader,
        bucket: Bucket,
        meta: ObjectMeta,
        seq: int,
        chunks: int,
        others: Sequence[Bucket] = (),
    ) -> None:
        self.budget = budget_of(bucket.nats)
        self._reader = reader
        self._ways = [_Way(one, meta['nuid']) for one in (bucket, *others)]
        self._turn = 0
        self.name = 'striped direct get' if others else 'batched direct get'
        far = _is_far(bucket)
        self._at_once = _LONG_AT_ONCE if far else _AT_ONCE * min(len(self._ways), _MOST_NEAR)
        self._cost = estimate(meta) + _OVERHEAD  # of one chunk
        self._each = max(1, (_LONG_BATCH if far else _BATCH) // self._cost)
        several = chunks * self._cost > _ONE
        self._first = max(2, _FIRST // self._cost) if several else chunks
        self._last_seq = seq
        self._missing = chunks  # not yet requested
        self._next: int | None = seq + 1  # where the next batch begins; None: not known yet
        self._contiguous = True
        self._ahead = False  # batches are requested ahead
        self._begin = 0  # the first chunk's sequence
        self._batches: deque[_Batch] = deque()
        self.waiting = False

    def more(self) -> None:
        while (
            self._next is not None
            and self._missing > 0
            and len(self._batches) < self._at_once
            and self._reader.has_room
        ):
            wanted = min(self._each if self._begin else self._first, self._missing)
            cost = min(wanted * self._cost, MOST)
            self.waiting = not self.budget.take(cost, self.more)
            if self.waiting:
                return
            self._ask(self._next, wanted, cost)

    def close(self) -> None:
        self.waiting = False
        self.budget.forget(self.more)
        for batch in self._batches:
            batch.drop()
        self._batches.clear()
        self._next = None

    def give_up(self) -> None:
        """What was asked for does not come: wait for it no longer."""
        for batch in self._batches:
            batch.drop()
            batch.end()

    def _ask(self, seq: int, wanted: int, cost: int) -> None:
        way = self._ways[self._turn % len(self._ways)]
        try:
            batch = _Batch(self, way, wanted, cost)
        except NatsError as err:  # the client is being closed
            self.budget.give_back(cost)
            self._failed(way, err)
            return
        self._batches.append(batch)
        self._missing -= wanted
        # The next one begins where this one ends, if nothing lies between the chunks.
        self._next = seq + wanted if self._ahead else None
        self._turn += self._ahead
        try:
            way.ask(seq, wanted, cost, batch.replies.subject)
        except NatsError as err:
            self._batches.pop()
            self._missing += wanted
            self._next = seq
            batch.drop()
            batch.end()
            self._failed(way, err)

    def _failed(self, way: _Way, err: NatsError) -> None:
        """*way* could not be asked."""
        if way is self._ways[0]:
            self.close()
            self._reader.fail(err)
        else:
            self._ways.remove(way)

    def unsupported(self) -> None:
        """The server does not know batches."""
        self._reader.unsupported()

    def message(self, batch: _Batch, seq: int, payload: bytes) -> None:
        """A message of *batch* has come."""
        batch.came += 1
        if batch is self._batches[0]:
            self._deliver(batch, seq, payload)
        else:
            batch.held.append((seq, payload))

    def _deliver(self, batch: _Batch, seq: int, payload: bytes) -> None:
        if seq <= self._last_seq:
            return  # a batch that began too early
        if not self._begin:
            self._begin = seq
        elif seq != self._last_seq + 1 and self._contiguous:
            self._contiguous = self._ahead = False
            self._one_at_a_time()
        elif self._contiguous and not self._ahead:
            self._ahead = True
            self._next = self._begin + batch.wanted
        self._last_seq = seq
        self._reader.chunk(seq, payload)
        if self._reader.done or not self._batches:
            return
        if not self._contiguous and self._missing > self._each:
            self._reader.scattered()
        else:
            self.more()

    def _one_at_a_time(self) -> None:
        """The guesses were wrong: let them go."""
        while len(self._batches) > 1:
            guess = self._batches.pop()
            guess.drop()
            self._missing += guess.wanted
        self._next = None

    def ended(self, batch: _Batch, err: NatsError | None, headers: Headers | None) -> None:
        """Nothing more comes of *batch*."""
        status = headers.status if headers is not None else None
        if batch.way is not self._ways[0]:
            self._batches_done()  # whatever it was: who is asked next tells
        elif isinstance(err, NoResponders):
            self._reader.unsupported()
        elif err is not None:
            if not isinstance(err, DisconnectedError):
                self._reader.fail(err)
        elif status not in (204, 404):
            text = headers.description if headers is not None else 'no direct get reply'
            self._reader.fail(JetStreamError(status or 0, 0, text))
        else:
            self._batches_done()

    def _batches_done(self) -> None:
        while self._batches and self._batches[0].ended and not self._reader.done:
            self._batch_done()

    def _batch_done(self) -> None:
        """The first batch is complete, or as complete as it gets."""
        batch = self._batches[0]
        if batch.came < batch.wanted:
            # Cut at its bytes, or the server has no more: go on from the last one.
            self._one_at_a_time()
            self._missing += batch.wanted - batch.came
            if batch.way in self._ways[1:]:
                self._ways.remove(batch.way)
        self._batches.popleft()
        if not batch.came and batch.way is self._ways[0]:
            self._reader.short()
            return
        if not self._batches:
            self._next = self._last_seq + 1
            # The metadata counted wrong if the reader wants still more.
            self._missing = max(self._missing, 1)
        else:
            self._flush(self._batches[0])
        if not self._reader.done:
            self.more()

    def _flush(self, batch: _Batch) -> None:
        held, batch.held = batch.held, []
        for seq, payload in held:
            if self._reader.done or batch.dropped:
                return
            self._deliver(batch, seq, payload)


class Ordered:
    """Fetches by an ordered consumer.

    Args:
        reader: whom the chunks are for.
        bucket: where they are.
        meta: of the object.
        seq: the last sequence that is there already.
        left: bytes that are missing.
    """

    name = 'ordered consumer'

    def __init__(
        self, reader: Reader, bucket: Bucket, meta: ObjectMeta, seq: int, left: int
    ) -> None:
        self._reader = reader
        self._bucket = bucket
        self._budget = budget_of(bucket.nats)
        self._subject = bucket.subjects.chunk(meta['nuid'])
        far = _is_far(bucket)
        window = _LONG_AT_ONCE * _LONG_BATCH if far else _AT_ONCE * _BATCH
        # A request for bytes must have room for the largest message: metadata may lie about it.
        self._least = bucket.nats.server_info().get('max_payload', MIB) + _OVERHEAD
        self._most = min(max(min(window, left + (left >> 3)), self._least), MOST)
        self._threshold = _LONG_THRESHOLD if far else _THRESHOLD
        self._cost = 0
        self._last_seq = seq
        self._consumption: Consumption | None = None
        self._leaving: Timer = bucket.nats.port.timer(self._stop)
        self.waiting = False

    def more(self) -> None:
        if not self._reader.has_room:
            return
        if self._consumption is not None:
            self._leaving.stop()
            self._consumption.resume()
            return
        cost = min(self._most, max(self._least, self._budget.free))
        self.waiting = not self._budget.take(cost, self.more)
        if self.waiting:
            return
        self._cost = cost
        window = {'max_bytes': cost, 'threshold': self._threshold}
        self._consumption = self._bucket.js.ordered(
            self._bucket.stream,
            self._message,
            filter_subjects=self._subject,
            opt_start_seq=self._last_seq + 1,
            on_caught_up=self._reader.short,
            on_end=self._ended,
            **(window if self._least <= MOST else {'batch': 1}),
        )

    def close(self) -> None:
        self.waiting = False
        self._budget.forget(self.more)
        self._stop()
        self._leaving.close()

    def _stop(self) -> None:
        """Begin again after the last message when there is room."""
        self._leaving.stop()
        consumption, self._consumption = self._consumption, None
        if consumption is not None:
            consumption.stop()
            self._budget.give_back(self._cost)

    def _message(self, message: Message) -> None:
        if self._reader.done or self._consumption is None:
            return
        self._last_seq = message.seq
        self._reader.chunk(message.seq, message.payload)
        if self._consumption is not None and not self._reader.has_room:
            # What is on its way still comes. Who waits longer leaves its share to others.
            self._consumption.pause()
            if not self._leaving.active:
                self._leaving.start(_SHORT_PAUSE)

    def _ended(self, err: Any) -> None:
        if err is not None and self._consumption is not None:
            self._stop()
            self._reader.fail(err)
