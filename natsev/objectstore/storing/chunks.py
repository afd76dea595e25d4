"""The chunks of a put on their way: a window in bytes, every chunk acknowledged.

Chunks carry no number: their order in the stream is the object. So the sequences that come back
must rise. Each chunk has a ``Nats-Msg-Id``, by which the stream knows it when it is sent again
after a lost connection, or because its acknowledgement does not come: a server without a leader
drops messages without a word. When the server refuses one in the middle of the window, or drops it,
those after it may have been stored: they are deleted, and all from that one on are sent again in a
smaller window.

The wire counts the acknowledgements. Python is called when a quarter of those that are awaited, or
sixteen, are here, and when there is anything else than an acknowledgement.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from time import monotonic
from typing import Any, Protocol

from ...calls import Handle
from ...errors import (
    BufferFullError,
    Cancelled,
    DisconnectedError,
    JetStreamError,
    NatsError,
    NoResponders,
    ObjectStoreError,
    TooManyRequestsError,
    WrongSequenceError,
)
from ...headers import Headers
from ...jetstream.api import Reply, parse_reply
from ...jetstream.types import StoredMessage
from ...nats import PendingRequest
from ...wire import WINDOW, Window
from ..bucket import Bucket
from ..operation import Operation
from ..parallel import each
from ..question import IN_PROCESS, UNAVAILABLE
from ..source import Buffer

MIB = 1024 * 1024
# Bytes in flight, by the seconds of a round trip: what keeps a near server busy, what fills a long
# way. Never more: the server's queue for a stream is bounded, and all who write share it.
_WINDOWS = ((0.005, 8 * MIB), (0.02, 24 * MIB), (float('inf'), 32 * MIB))
# Bytes read, hashed and queued in one turn of the loop: a millisecond or two.
_PER_TURN = MIB
# Acknowledgements after which there is room again: a quarter of those awaited, or so many.
_ACKS_AT_ONCE = 16
# Seconds to wait before chunks that were refused are sent again.
_PAUSE = 0.25
# So often a chunk may be refused since its id is being stored: then that was lost on its way.
_MOST_IN_PROCESS = 8
# Of the duplicate window, how much may pass before the ids are not relied upon.
SAFE_PART = 0.75


class _OutOfOrder(ObjectStoreError):
    """A chunk was dropped, and those behind it were stored before it was sent again."""


class Owner(Operation, Protocol):
    """The put."""

    @property
    def running(self) -> bool:
        """May something be sent now?"""

    def next_piece(self) -> Buffer | None:
        """Return the next chunk's bytes; None: there are none, now or at all."""

    def stored(self, size: int) -> None:
        """*size* more bytes are known to be stored in their place."""

    def refused(self) -> None:
        """Chunks that were refused are about to be sent again."""

    def not_whole(self, text: str) -> None:
        """What is stored is not what was sent, and cannot be completed."""

    def pumped(self) -> None:
        """As much is on its way as can be."""

    def wait(self, seconds: float, then: Callable[[], Any]) -> None:
        """Call *then* after *seconds*, unless the connection is lost or the put fails before."""


class _Chunk:
    """A chunk that is not known to be stored in its place."""

    __slots__ = (
        'attempt',
        'chunks',
        'fenced',
        'in_process',
        'index',
        'piece',
        'request',
        'sent_at',
        'seq',
    )

    def __init__(self, chunks: Chunks, index: int, piece: Buffer, attempt: int) -> None:
        self.chunks = chunks
        self.index = index
        self.attempt = attempt
        self.piece = piece
        self.request: Handle | None = None
        self.sent_at = 0.0
        self.seq = 0
        # How often it was refused since its id is being stored; sent under another, and only if
        # nothing was stored behind the chunk before it?
        self.in_process = 0
        self.fenced = False

    def replied(
        self, payload: bytes | None, err: NatsError | None, headers: Headers | None
    ) -> None:
        self.chunks._replied(self, payload, err, headers)


class _Sent(PendingRequest):
    """A chunk on its way: the wire counts its acknowledgement, anything else comes to ``end``."""

    __slots__ = ('chunk',)

    chunk: _Chunk

    def end(self, payload: bytes | None, err: NatsError | None, headers: Headers | None, /) -> None:
        self.chunk.replied(payload, err, headers)


class _Probe:
    """The first unanswered chunk, sent a second time after a silence: what becomes of that tells.

    An acknowledgement of either will do. That of the probe comes behind those of all that was sent
    before it: what is then unanswered has been dropped.
    """

    def __init__(self, chunks: Chunks, unanswered: list[_Chunk]) -> None:
        self.chunk, *others = unanswered
        self.request: Handle | None = None
        self._chunks = chunks
        self._first = self.chunk.request
        self._others = [(chunk, chunk.request) for chunk in others]

    @property
    def awaited(self) -> bool:
        """Has the chunk still no answer?"""
        return self.chunk.request is self._first

    @property
    def dropped(self) -> list[_Chunk]:
        """Those behind it that have none."""
        return [chunk for chunk, request in self._others if chunk.request is request]

    def replied(
        self, payload: bytes | None, err: NatsError | None, headers: Headers | None
    ) -> None:
        if self.request is not None and not isinstance(err, DisconnectedError):
            self._chunks._probed(self, err or parse_reply(payload, headers))

    def cancel(self) -> None:
        request, self.request = self.request, None
        if request is not None:
            request.cancel()


class Chunks:
    """Sends the chunks of one object.

    Args:
        owner: the put.
        bucket: where.
        nuid: the object.
        extra: further header lines of every chunk.

    Attributes:
        unanswered: chunks sent whose fate is not known.
        count: chunks taken from the source.
    """

    def __init__(self, owner: Owner, bucket: Bucket, nuid: str, extra: bytes = b'') -> None:
        self.unanswered = 0
        self.count = 0
        self.refusal: NatsError | None = None
        self._owner = owner
        self._bucket = bucket
        self._nats = bucket.nats
        self._nuid = nuid
        self._subject = bucket.subjects.chunk(nuid)
        self._extra = extra
        # On their way, in order; and those to be sent (again) before any new one.
        self._sent: deque[_Chunk] = deque()
        self._again: deque[_Chunk] = deque()
        self._in_flight = 0
        self._allowed = _WINDOWS[-1][1]  # less after a refusal or a silence
        self._attempt = 0
        self._done = 0
        self._last_seq = 0
        self._more_soon = False
        self._counting = False
        self._closed = False
        self._probe: _Probe | None = None
        self._acks = Window(self._acknowledged)

    @property
    def _window(self) -> int:
        return min(self._allowed, self._widest)

    @property
    def _widest(self) -> int:
        rtt = self._bucket.rtt or 0.0
        return next(window for limit, window in _WINDOWS if rtt < limit)

    @property
    def settled(self) -> bool:
        """Are all chunks taken from the source known to be stored?"""
        return not self._sent and not self._again

    def begin_behind(self, stored: int, last_seq: int, attempt: int) -> None:
        """Begin behind chunks that another process has stored.

        Args:
            stored: how many.
            last_seq: the sequence of the last of them.
            attempt: makes ids that have not been used; 0: those of the first attempt will do.
        """
        self.count = self._done = stored
        self._last_seq = last_seq
        self._attempt = attempt

    # Sending.

    def pump(self) -> None:
        """Send as much as the window takes, a part of it in each turn of the loop."""
        if self._more_soon or self._counting:
            return
        if self._again and self._is_old(self._again[0]):
            # The stream has forgotten the ids, and what was sent has long arrived or is lost.
            self._counting = True
            self.count_stored(self._counted)
            return
        budget = _PER_TURN
        while self._owner.running and self.refusal is None and self._in_flight < self._window:
            if budget <= 0:
                self._more_soon = True
                self._nats.call_soon(self._pump_on)
                return
            chunk = self._again.popleft() if self._again else self._new()
            if chunk is None:
                break
            self._send(chunk)
            budget -= len(chunk.piece)
        self._owner.pumped()

    def _pump_on(self) -> None:
        if not self._closed:
            self._more_soon = False
            self.pump()

    def _new(self) -> _Chunk | None:
        piece = self._owner.next_piece()
        if piece is None:
            return None
        self.count += 1
        return _Chunk(self, self.count - 1, piece, self._attempt)

    def first_id(self) -> str:
        """Return the id of the first chunk that is not known to be stored."""
        return self._msg_id((self._sent or self._again)[0])

    def _msg_id(self, chunk: _Chunk) -> str:
        # As long as it is not known to be stored, a chunk keeps its id: what a lost connection has
        # sent may still arrive, and must not be stored beside what is sent again. Only what was
        # deleted gets another one: the stream still knows its id.
        suffix = f'.{chunk.attempt}' if chunk.attempt else ''
        return f'{self._nuid}.{chunk.index}{suffix}'

    def _send(self, chunk: _Chunk) -> None:
        self._sent.append(chunk)
        self._in_flight += len(chunk.piece)
        chunk.seq = 0
        chunk.sent_at = chunk.sent_at or monotonic()
        self._publish(chunk)

    def _publish(self, chunk: _Chunk) -> None:
        try:
            self._try_to_publish(chunk)
        except NatsError as err:  # larger than a server reached meanwhile takes
            chunk.request = None
            self._owner.fail(err)
        else:
            self.unanswered += 1

    def _try_to_publish(self, chunk: _Chunk) -> None:
        if not chunk.index:  # its acknowledgement is timed
            chunk.request = self._request(chunk, chunk.replied)
            return
        chunk.request = request = _Sent(self._acks, 0, False, WINDOW)
        request.nats = self._nats
        request.subject = self._subject
        request.chunk = chunk
        self._nats.ask(request, chunk.piece, None, self._headers(chunk))
        waiting = self._acks.waiting
        self._acks.low = max(waiting * 3 // 4, waiting - _ACKS_AT_ONCE)

    def _request(self, chunk: _Chunk, replied: Callable[..., Any]) -> Handle:
        block = self._headers(chunk)
        return self._nats.request(self._subject, chunk.piece, replied, headers=block)

    def _headers(self, chunk: _Chunk) -> bytes:
        msg_id = self._msg_id(chunk).encode()
        extra = self._extra
        if chunk.fenced:
            extra += b'Nats-Expected-Last-Subject-Sequence: %d\r\n' % self._last_seq
        return b'NATS/1.0\r\nNats-Msg-Id: %b\r\n%b\r\n' % (msg_id, extra)

    # Replies.

    def look(self) -> None:
        """See whether acknowledgements have come that were only counted."""
        if self._collect():
            self._advance()

    def _acknowledged(self) -> None:
        self._collect()
        self._advance()

    def _collect(self) -> bool:
        """Take note of what the wire has counted; was there anything?"""
        before = self.unanswered
        for chunk in self._sent:
            request = chunk.request
            if isinstance(request, _Sent) and request.seq:
                chunk.request = None
                chunk.seq = request.seq
                self.unanswered -= 1
        return self.unanswered < before

    def _replied(
        self, chunk: _Chunk, payload: bytes | None, err: NatsError | None, headers: Headers | None
    ) -> None:
        if chunk.request is None or isinstance(err, (Cancelled, DisconnectedError)):
            return  # given up, or about to be: see lost()
        self._collect()
        chunk.request = None
        self.unanswered -= 1
        self._answered(chunk, err or parse_reply(payload, headers))

    def _answered(self, chunk: _Chunk, reply: Reply | NatsError) -> None:
        if isinstance(reply, NatsError):
            if _in_process(reply):
                chunk.in_process += 1
            elif chunk.fenced and isinstance(reply, WrongSequenceError):
                self._unfence(chunk)
                reply = _OutOfOrder('a chunk arrived late')
            self.refusal = self.refusal or reply
        else:
            if not chunk.index:
                self._bucket.measure(chunk.sent_at)
            chunk.seq = _sequence(reply)
        self._advance()

    def _advance(self) -> None:
        if self.refusal is None:
            self._take_stored()
            if self._sent and self._sent[0].seq:
                self.refusal = _OutOfOrder('the chunks were not stored in order')
        if self.refusal is None:
            self.pump()
        elif not self.unanswered:
            self._refused()

    def _take_stored(self) -> None:
        """Let go of the chunks that are stored in their place."""
        sent = self._sent
        while sent and sent[0].seq > self._last_seq:
            chunk = sent.popleft()
            size = len(chunk.piece)
            self._last_seq = chunk.seq
            self._done += 1
            self._in_flight -= size
            if self._allowed < self._widest:
                self._allowed += size * size // self._allowed + 1  # a chunk more per window
            self._owner.stored(size)

    # After a silence.

    def ask_again(self) -> bool:
        """Send again what is without an answer for too long. Was there anything?"""
        asked = self._ask()
        if asked:
            self._narrow()
        return asked

    def _ask(self) -> bool:
        self._collect()
        unanswered = [chunk for chunk in self._sent if chunk.request is not None]
        if not unanswered or self._is_old(unanswered[0]):
            return False
        self._stop_asking()
        if self.refusal is not None:
            # All behind the refused one are sent again anyway, under the ids that they have.
            self._give_up(unanswered)
            self._refused()
        else:
            self._probe = probe = _Probe(self, unanswered)
            probe.request = self._request(probe.chunk, probe.replied)
        return True

    def _probed(self, probe: _Probe, reply: Reply | NatsError) -> None:
        probe.request = None
        self._collect()
        awaited, refused = probe.awaited, isinstance(reply, NatsError)
        if self.refusal is not None or (refused and not awaited):
            return
        if _in_process(reply) and probe.chunk.in_process < _MOST_IN_PROCESS:
            probe.chunk.in_process += 1
            self._owner.wait(_PAUSE, self._ask)
            return
        dropped = probe.dropped
        self._give_up(dropped)
        if not refused:
            for chunk in dropped:
                self._publish(chunk)
        if awaited:
            self._give_up([probe.chunk])
            self._answered(probe.chunk, reply)

    def _give_up(self, chunks: Iterable[_Chunk]) -> None:
        for chunk in chunks:
            request, chunk.request = chunk.request, None
            if request is not None:
                request.cancel()
                self.unanswered -= 1

    def _stop_asking(self) -> None:
        probe, self._probe = self._probe, None
        if probe is not None:
            probe.cancel()

    def _narrow(self) -> None:
        self._allowed = max(self._window // 2, 1)

    def _is_old(self, chunk: _Chunk) -> bool:
        """Was it sent so long ago that the stream may have forgotten its id?"""
        safe = SAFE_PART * self._bucket.duplicate_window
        return chunk.sent_at > 0 and monotonic() - chunk.sent_at > safe

    # After a refusal.

    def _refused(self) -> None:
        """All replies are here, and one was a refusal."""
        refusal = self.refusal
        assert refusal is not None
        if self._owner.done:
            self._owner.pumped()
        elif isinstance(refusal, NoResponders):
            # No stream, or no leader for the moment: its configuration tells.
            self._bucket.reopen(self._owner, self._back_up)
        elif may_pass(refusal):
            self._back_up()
        else:
            self._owner.fail(refusal)

    def _back_up(self) -> None:
        """Delete what was stored behind the first chunk that was not."""
        self._take_stored()
        behind = [chunk for chunk in self._sent if chunk.seq]

        def delete(chunk: _Chunk, done: Callable[[], None]) -> None:
            def deleted(_reply: Any) -> None:
                chunk.attempt += 1  # the stream still knows the id that it had
                chunk.fenced = False
                done()

            self._bucket.delete(self._owner, chunk.seq, deleted)

        def wait() -> None:
            self._owner.wait(_PAUSE, self._send_again)

        each(self._owner, behind, delete, wait)

    def _send_again(self) -> None:
        self.refusal = None
        self._owner.refused()
        self._narrow()
        self._requeue()
        first = self._again[0]
        if first.in_process >= _MOST_IN_PROCESS and not first.fenced:
            self._fence(first)
        self.pump()

    def _fence(self, chunk: _Chunk) -> None:
        """Its id is being stored for ever: a server that led before keeps what it proposed then."""
        chunk.fenced = True
        chunk.attempt += 1
        chunk.in_process = 0

    def _unfence(self, chunk: _Chunk) -> None:
        """It was stored after all: under the id that it had first it is found."""
        chunk.fenced = False
        chunk.attempt -= 1

    def _requeue(self) -> None:
        self._sent.extend(self._again)
        self._again, self._sent = self._sent, deque()
        self._in_flight = 0

    # After a lost connection.

    def lost(self) -> None:
        """The connection is lost: nothing that was sent will be answered."""
        self._stop_asking()
        self._counting = False
        self._collect()
        self._give_up(self._sent)  # what is still queued here must not go out on its own later

    def recover(self) -> None:
        """The connection stands again: send what is not known to be stored."""
        self.refusal = None
        self._requeue()
        self.pump()

    def close(self) -> None:
        """Let go of the put, and of all that is on its way."""
        self._closed = True
        self.lost()
        self._sent.clear()
        self._again.clear()
        del self._owner, self._acks

    def count_stored(self, then: Callable[[int], None]) -> None:
        """Ask how many chunks there are."""
        self._bucket.count(self._owner, self._nuid, then)

    def _counted(self, stored: int) -> None:
        known = stored - self._done
        if not 0 <= known <= len(self._again):
            self._owner.not_whole('chunks that were acknowledged are gone')
        elif known:
            # Are they the next ones, or were some dropped, and others behind them stored?
            expected = self._msg_id(self._again[known - 1])
            last = {'last_by_subj': self._subject}
            self._bucket.leader(self._owner, last, lambda m: self._identified(m, expected, known))
        else:
            self._go_on_behind(0, self._last_seq)

    def _identified(self, last: StoredMessage | None, expected: str, known: int) -> None:
        headers = last['headers'] if last is not None else None
        if last is None or headers is None or headers.get('Nats-Msg-Id') != expected:
            self._owner.not_whole('some of the chunks that were sent are gone')
        else:
            self._go_on_behind(known, last['seq'])

    def _go_on_behind(self, known: int, last_seq: int) -> None:
        self._counting = False
        for _ in range(known):
            self._done += 1
            self._owner.stored(len(self._again.popleft().piece))
        self._last_seq = last_seq
        for chunk in self._again:
            chunk.sent_at = 0.0
        self.pump()


def _sequence(reply: dict[str, Any]) -> int:
    seq = reply.get('seq')
    return seq if isinstance(seq, int) and not isinstance(seq, bool) else 0


def _in_process(reply: Reply | NatsError) -> bool:
    return isinstance(reply, JetStreamError) and reply.err_code == IN_PROCESS


def may_pass(err: NatsError) -> bool:
    """Does trying again make sense?"""
    if isinstance(err, JetStreamError):
        return isinstance(err, TooManyRequestsError) or err.err_code in (UNAVAILABLE, IN_PROCESS)
    return isinstance(err, (BufferFullError, NoResponders, _OutOfOrder))
