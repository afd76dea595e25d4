"""Atomic batches: several messages are stored together or not at all (ADR-50, server 2.12)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from ..calls import Call
from ..errors import JetStreamError, NatsError
from ..headers import Headers
from ..nuid import next_nuid
from ..subjects import check_stream
from .api import parse_reply
from .feature import Feature
from .publish import Publishing, check_message, header_pairs, with_options

if TYPE_CHECKING:
    from ..nats import HeadersOut

# The server's own limit.
_MOST = 1000

AnyCallback = Callable[..., Any]
_ALLOWED = Feature('allow_atomic', 10174, 'the stream does not allow atomic batches')


class AtomicBatch:
    """Messages that a stream stores together or not at all. Nothing is sent before ``commit``.

    Args:
        js: the ``JetStream``.
        stream: the stream they are for; None: whichever takes the first one's subject.
    """

    def __init__(self, js: Publishing, stream: str | None) -> None:
        self._js = js
        self._nats = js._api.nats
        self._stream = None if stream is None else check_stream(stream)
        self._id = next_nuid()
        self._messages: list[tuple[str, list[tuple[str, Any]], Any]] = []
        self._committed = False

    def __len__(self) -> int:
        return len(self._messages)

    def add(
        self,
        subject: str,
        payload: Any = b'',
        headers: HeadersOut | None = None,
        **options: Any,
    ) -> None:
        """Add a message.

        Args:
            subject: where to; all messages go into the same stream.
            payload: the message; with a codec any value that it takes.
            headers: its own headers.
            **options: see ``JetStream.js_publish``; ``expected_last_seq`` only for the first
                message.

        Raises:
            TypeError, ValueError, MaxPayloadError: it cannot be, or the batch has 1000 already.
        """
        if self._committed:
            raise ValueError('this batch has been committed')
        number = len(self._messages) + 1
        if number > _MOST:
            raise ValueError(f'a batch holds at most {_MOST} messages')
        if number > 1 and options.get('expected_last_seq') is not None:
            raise ValueError('only the first message of a batch can expect a last sequence')
        pairs = [
            *header_pairs(with_options(headers, options)),
            ('Nats-Batch-Id', self._id),
            ('Nats-Batch-Sequence', str(number)),
        ]
        payload = self._js._api.payload(subject, payload)
        if isinstance(payload, (bytearray, memoryview)):
            payload = bytes(payload)
        check_message(self._nats, subject, [*pairs, ('Nats-Batch-Commit', '1')], payload)
        self._messages.append((subject, pairs, payload))

    def commit(self, cb: AnyCallback, timeout: float | None = None) -> Call:
        """Send the messages, and have them stored.

        Args:
            cb: called once as ``cb(ack, err)``; ack has ``stream``, ``seq`` (of the last message:
                they are stored one after the other), ``batch`` and ``count``.
            timeout: ms for the stream's answer; default: that of the ``JetStream``.

        Errors:
            WrongSequenceError: an expectation of one of them did not hold.
            StreamNotFoundError, StorageFullError, JetStreamError: among them that the stream does
                not allow batches (10174). In all these cases nothing is stored.
            RequestTimeout, DisconnectedError: nobody knows whether they were stored.

        Raises:
            ValueError: there are no messages, or they have been committed.
        """
        if not self._messages:
            raise ValueError('this batch has no messages')
        if self._committed:
            raise ValueError('this batch has been committed')
        self._committed = True
        call = self._nats.call(cb)
        api = self._js._api

        def allowed() -> None:
            _Commit(self, call, api.timeout if timeout is None else timeout)

        # A server before 2.12 would store each of them by itself.
        _ALLOWED.require(api, call, self._stream, self._messages[0][0], allowed)
        return call


class _Commit:
    """A batch on its way. All messages have one reply subject: the first error is the result."""

    def __init__(self, batch: AtomicBatch, call: Call, timeout: float) -> None:
        self._call = call
        self._count = len(batch._messages)
        nats = batch._nats
        call.child = None
        call.expire(nats.port, timeout)
        *others, (subject, pairs, payload) = batch._messages
        try:
            replies = nats.replies(self._on_reply)
            call.cleanup = replies.close
            for other in others:
                nats.hpublish(other[0], other[1], other[2], replies.subject)
            commit = [*pairs, ('Nats-Batch-Commit', '1')]
            nats.hpublish(subject, commit, payload, replies.subject)
        except NatsError as err:  # the server drops what it has of the batch
            call.fail(err)

    def _on_reply(
        self, payload: bytes | None, err: NatsError | None, headers: Headers | None
    ) -> None:
        if err is not None:
            self._call.fail(err)
        elif payload or (headers is not None and headers.status is not None):
            self._on_answer(parse_reply(payload, headers))

    def _on_answer(self, ack: Mapping[str, Any] | NatsError) -> None:
        if isinstance(ack, NatsError):
            self._call.fail(ack)
        elif ack.get('count') == self._count:
            self._call.end(dict(ack), None)
        else:
            self._call.fail(JetStreamError(0, 0, 'the stream stored the messages one by one'))
