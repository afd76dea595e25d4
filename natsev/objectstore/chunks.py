"""The chunks of a put on their way: a window in bytes, every chunk acknowledged.

Chunks carry no number: their order in the stream is the object. So the sequences that come back
must rise. Each chunk has a ``Nats-Msg-Id``, by which the stream knows it when it is sent again
after a lost connection. When the server refuses one in the middle of the window, those after it may
have been stored: they are deleted, and all from the refused one on are sent again in a smaller
window.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from time import monotonic
from typing import Any, Protocol

from ..calls import Handle
from ..errors import (
    BufferFullError,
    DisconnectedError,
    JetStreamError,
    MissingChunks,
    NatsError,
    NoResponders,
    ObjectStoreError,
    TooManyRequestsError,
)
from ..headers import Headers
from ..jetstream.api import parse_reply
from .bucket import Bucket
from .operation import Operation
from .source import Buffer

MIB = 1024 * 1024
# Bytes in flight, by the seconds of a round trip: what keeps a near server busy, what fills a long
# way. Never more: the server's queue for a stream is bounded, and all who write share it.
_WINDOWS = ((0.005, 4 * MIB), (0.02, 16 * MIB), (float('inf'), 32 * MIB))
# Bytes read, hashed and queued in one turn of the loop: a millisecond or two.
_PER_TURN = MIB
# Seconds to wait before chunks that were refused are sent again.
_PAUSE = 0.25
# Of the duplicate window, how much may pass before the ids are not relied upon.
SAFE_PART = 0.75

_UNAVAILABLE = 10008
_DUPLICATE_IN_PROCESS = 10158


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

    def pumped(self) -> None:
        """As much is on its way as can be."""

    def wait(self, seconds: float, then: Callable[[], None]) -> None:
        """Call *then* after *seconds*, unless the connection is lost or the put fails before."""


class _Chunk:
    """A chunk that is not known to be stored in its place."""

    __slots__ = ('attempt', 'chunks', 'index', 'piece', 'request', 'sent_at', 'seq')

    def __init__(self, chunks: Chunks, index: int, piece: Buffer, attempt: int) -> None:
        self.chunks = chunks
        self.index = index
        self.attempt = attempt
        self.piece = piece
        self.request: Handle | None = None
        self.sent_at = 0.0
        self.seq = 0

    def replied(
        self, payload: bytes | None, err: NatsError | None, headers: Headers | None
    ) -> None:
        self.chunks._replied(self, payload, err, headers)


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
        self._window = next(window for rtt, window in _WINDOWS if (bucket.rtt or 0.0) < rtt)
        self._attempt = 0
        self._done = 0
        self._last_seq = 0
        self._more_soon = False

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
        if self._more_soon:
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
        self.unanswered += 1
        chunk.seq = 0
        chunk.sent_at = chunk.sent_at or monotonic()
        msg_id = self._msg_id(chunk).encode()
        block = b'NATS/1.0\r\nNats-Msg-Id: %b\r\n%b\r\n' % (msg_id, self._extra)
        chunk.request = self._nats.request(self._subject, chunk.piece, chunk.replied, headers=block)

    # Replies.

    def _replied(
        self, chunk: _Chunk, payload: bytes | None, err: NatsError | None, headers: Headers | None
    ) -> None:
        if chunk.request is None or isinstance(err, DisconnectedError):
            return  # given up, or about to be: see lost()
        chunk.request = None
        self.unanswered -= 1
        reply = err or parse_reply(payload, headers)
        if isinstance(reply, NatsError):
            self.refusal = self.refusal or reply
        else:
            chunk.seq = _sequence(reply)
        if self.refusal is None:
            self._advance()
        elif not self.unanswered:
            self._refused()

    def _advance(self) -> None:
        sent = self._sent
        while sent and sent[0].seq:
            chunk = sent.popleft()
            if chunk.seq <= self._last_seq:
                self._owner.fail(ObjectStoreError('the chunks were not stored in order'))
                return
            self._last_seq = chunk.seq
            self._done += 1
            self._in_flight -= len(chunk.piece)
            self._owner.stored(len(chunk.piece))
        self.pump()

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
        while self._sent and self._sent[0].seq:
            self._in_flight -= len(self._sent[0].piece)
            self._last_seq = self._sent[0].seq
            self._done += 1
            self._owner.stored(len(self._sent.popleft().piece))
        behind = [chunk for chunk in self._sent if chunk.seq]
        missing = len(behind)

        def deleted(_reply: Any) -> None:
            nonlocal missing
            missing -= 1
            if missing <= 0:
                self._owner.wait(_PAUSE, self._send_again)

        def gone(err: NatsError) -> bool:
            if isinstance(err, JetStreamError) and err.code in (400, 404):
                deleted(None)
                return True
            return False

        if not behind:
            deleted(None)
        for chunk in behind:
            chunk.attempt += 1
            body = {'seq': chunk.seq, 'no_erase': True}
            self._bucket.api(self._owner, 'STREAM.MSG.DELETE', body, deleted, gone)

    def _send_again(self) -> None:
        self.refusal = None
        self._owner.refused()
        self._window = max(self._window // 2, 1)
        self._requeue()
        self.pump()

    def _requeue(self) -> None:
        self._sent.extend(self._again)
        self._again, self._sent = self._sent, deque()
        self._in_flight = 0

    # After a lost connection.

    def lost(self) -> None:
        """The connection is lost: nothing that was sent will be answered."""
        for chunk in self._sent:
            request, chunk.request = chunk.request, None
            if request is not None:
                request.cancel()  # what is still queued here must not go out on its own later
        self.unanswered = 0

    def recover(self) -> None:
        """The connection stands again: send what is not known to be stored."""
        oldest = self._sent[0].sent_at if self._sent else monotonic()
        if monotonic() - oldest < SAFE_PART * self._bucket.duplicate_window:
            self.refusal = None
            self._requeue()
            self.pump()
        else:
            # The stream has forgotten the ids, and the old connection is long gone: count.
            self.count_stored(self._recover_from)

    def count_stored(self, then: Callable[[int], None]) -> None:
        """Ask how many chunks there are."""

        def counted(info: dict[str, Any]) -> None:
            subjects = (info.get('state') or {}).get('subjects') or {}
            then(subjects.get(self._subject, 0))

        body = {'subjects_filter': self._subject}
        self._bucket.api(self._owner, 'STREAM.INFO', body, counted)

    def _recover_from(self, stored: int) -> None:
        known = stored - self._done
        if not 0 <= known <= len(self._sent):
            self._owner.fail(MissingChunks('chunks that were acknowledged are gone'))
            return
        for _ in range(known):
            self._done += 1
            self._owner.stored(len(self._sent.popleft().piece))
        for chunk in self._sent:
            chunk.sent_at = 0.0
        self.refusal = None
        self._requeue()
        self.pump()


def _sequence(reply: dict[str, Any]) -> int:
    seq = reply.get('seq')
    return seq if isinstance(seq, int) and not isinstance(seq, bool) else 0


def may_pass(err: NatsError) -> bool:
    """Does trying again make sense?"""
    if isinstance(err, JetStreamError):
        return isinstance(err, TooManyRequestsError) or err.err_code in (
            _UNAVAILABLE,
            _DUPLICATE_IN_PROCESS,
        )
    return isinstance(err, (BufferFullError, NoResponders))
