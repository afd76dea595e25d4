"""Fast-ingest batches: many messages with few acknowledgements (ADR-50, server 2.14).

All control is in the reply subject, ``<inbox>.<id>.<flow>.<gap>.<sequence>.<operation>.$FI``. The
server acknowledges every so many messages, and says how many; twice as many may be under way. It is
not atomic: when the batch fails, the messages before the failure stay.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from ..calls import Call
from ..errors import (
    Cancelled,
    DisconnectedError,
    JetStreamError,
    NatsError,
    RequestTimeout,
    jetstream_error,
)
from ..headers import Headers
from ..nuid import next_nuid
from ..subjects import check_stream
from . import check
from .api import parse_object
from .feature import Feature
from .publish import Publishing, check_message, with_options

if TYPE_CHECKING:
    from ..nats import HeadersOut

_START, _APPEND, _COMMIT_EMPTY, _PING = 0, 1, 3, 4
_OUTSTANDING = 2
# The server ends a batch that was silent for 10 s.
_PING_EVERY = 4.0
_MOST_SILENT = 3

AnyCallback = Callable[..., Any]
_ALLOWED = Feature('allow_batched', 10205, 'the stream does not allow fast-ingest batches')


class FastBatch:
    """Messages for one stream, sent as fast as it takes them. See ``JetStream.fast_batch``."""

    def __init__(
        self, js: Publishing, stream: str, flow: int, on_drain: AnyCallback | None
    ) -> None:
        self._js = js
        self._nats = js._api.nats
        self._stream = check_stream(stream)
        self._flow = check.number(flow, 'flow', 1)
        self._on_drain = on_drain
        self._prefix = f'{self._nats.new_inbox()}.{next_nuid()}'
        self._sid: int | None = None
        self._timer = self._nats.port.timer(self._tick)
        self._waiting: deque[tuple[str, Any, Any]] = deque()
        self._added = self._sent = self._acked = 0
        self._window = 1  # until the first answer
        self._last_subject = ''
        self._full = False
        self._heard = False
        self._quiet = True  # nothing was sent lately
        self._silent = 0
        self._error: NatsError | None = None
        self._committing = self._committed = False
        self._result: tuple[Any, NatsError | None] | None = None  # kept for commit()
        self._call: Call | None = None
        self._nats.add_listener(self)
        self._lookup = self._nats.call(self._looked_up)
        _ALLOWED.require(js._api, self._lookup, stream, '', lambda: self._lookup.end(True, None))

    @property
    def pending(self) -> int:
        """Messages that have not been acknowledged yet."""
        return self._added - self._acked

    def add(
        self,
        subject: str,
        payload: Any = b'',
        headers: HeadersOut | None = None,
        **options: Any,
    ) -> bool:
        """Add a message; it is sent when the stream has room for it.

        Args:
            subject: where to.
            payload: the message; with a codec any value that it takes.
            headers: its own headers.
            **options: see ``JetStream.js_publish``.

        Raises:
            TypeError, ValueError, MaxPayloadError: it cannot be, or the batch has been committed.

        Returns:
            Whether there is room for more. After False wait for ``on_drain``: what is added before
            is taken, but waits in memory.
        """
        if self._committing:
            raise ValueError('this batch has been committed')
        all_headers = with_options(headers, options)
        payload = self._js._api.payload(subject, payload)
        if isinstance(payload, (bytearray, memoryview)):
            payload = bytes(payload)
        check_message(self._nats, subject, all_headers, payload)
        self._added += 1
        if self._result is None:
            self._waiting.append((subject, payload, all_headers))
            self._send()
        self._full = self._result is None and bool(self._waiting)
        return not self._full

    def commit(self, cb: AnyCallback) -> Call:
        """End the batch when everything has been stored.

        Args:
            cb: called once as ``cb(ack, err)``; ack has ``stream``, ``seq``, ``batch`` and
                ``count``. When the batch failed, all before the failure is stored nevertheless:
                ``stored`` says how many messages.

        Errors:
            WrongSequenceError, StorageFullError, JetStreamError: a message was refused.
            StreamNotFoundError; JetStreamError 10205: the stream allows no such batches.
            RequestTimeout, DisconnectedError: the connection or the server was lost meanwhile.
        """
        if self._committing:
            raise ValueError('this batch has been committed')
        self._committing = True
        self._call = self._nats.call(cb)
        self._call.child = self
        if self._result is not None:
            self._call.later(*self._result)
        elif not self._added:
            self._call.fail_later(JetStreamError(0, 0, 'the batch has no messages'))
        else:
            self._send()
        return self._call

    @property
    def stored(self) -> int:
        """Messages of a batch that has ended that the stream has stored, as far as is known."""
        return self._acked

    # Sending.

    def _looked_up(self, allowed: Any, err: NatsError | None) -> None:
        if self._result is not None:
            return
        if err is not None:
            self._end(None, err)
            return
        try:
            self._sid = self._nats.subscribe(f'{self._prefix}.>', self._on_reply)
        except NatsError as failure:
            self._end(None, failure)
            return
        self._timer.start(_PING_EVERY, _PING_EVERY)
        self._send()

    def _send(self) -> None:
        """Send as many messages as the window allows, and the end when it is their turn."""
        if self._sid is None:
            return
        try:
            while self._waiting and self._sent < self._acked + self._window:
                subject, payload, headers = self._waiting.popleft()
                self._sent += 1
                operation = _APPEND if self._sent > 1 else _START
                self._publish(subject, payload, headers, self._sent, operation)
            if self._committing and not self._waiting and not self._committed:
                self._committed = True
                self._publish(self._last_subject, b'', None, self._sent + 1, _COMMIT_EMPTY)
        except NatsError as err:
            self._end(None, err)

    def _publish(
        self, subject: str, payload: Any, headers: Any, sequence: int, operation: int
    ) -> None:
        reply = f'{self._prefix}.{self._flow}.fail.{sequence}.{operation}.$FI'
        self._quiet = False
        self._last_subject = subject
        if headers:
            self._nats.hpublish(subject, headers, payload, reply)
        else:
            self._nats.publish(subject, payload, reply)

    def _tick(self) -> None:
        """Keep the batch alive at the server, and notice when the server is not."""
        self._silent = 0 if self._heard else self._silent + 1
        self._heard = False
        if self._silent >= _MOST_SILENT and self.pending:
            self._end(None, RequestTimeout())
        elif self._quiet and self._sent:
            with suppress(NatsError):
                self._publish(self._last_subject, b'', None, self._sent, _PING)
        self._quiet = True

    # What the server says.

    def _on_reply(
        self, subject: str, payload: bytes, reply: str | None, headers: Headers | None
    ) -> None:
        self._heard = True
        answer = parse_object(payload, headers)
        if isinstance(answer, NatsError):
            self._end(None, answer)
        elif answer.get('type') == 'ack':
            self._on_ack(answer)
        elif answer.get('error'):
            self._error = jetstream_error(answer['error'])
            if answer.get('type') != 'err':  # else how much was stored follows
                self._end(None, self._error)
        elif 'stream' in answer:
            self._on_end(answer)

    def _on_ack(self, ack: Mapping[str, Any]) -> None:
        self._acked = max(self._acked, ack.get('seq', 0))
        self._window = _OUTSTANDING * max(1, ack.get('msgs', 1))
        self._send()
        if self._full and not self._waiting:
            self._full = False
            if self._on_drain is not None:
                self._nats.run_callback(self._on_drain)

    def _on_end(self, ack: Mapping[str, Any]) -> None:
        count = ack.get('count', 0)
        self._acked = count
        if self._committed and count == self._added:
            self._end(dict(ack), None)
        else:
            text = f'the stream ended the batch after {count} messages'
            self._end(None, self._error or JetStreamError(0, 0, text))

    # Its end.

    def cancel(self) -> None:
        """Give up: what has been sent may be stored, the rest is dropped."""
        self._end(None, Cancelled())

    def _end(self, ack: Any, err: NatsError | None) -> None:
        if self._result is not None:
            return
        self._result = (ack, err)
        self._close()
        self._waiting.clear()
        if self._call is not None:
            self._call.end(ack, err)

    def _close(self) -> None:
        self._timer.close()
        self._nats.remove_listener(self)
        self._lookup.cancel()
        if self._sid is not None:
            self._nats.unsubscribe(self._sid)
            self._sid = None

    # Of the connection.

    def connected(self) -> None:
        pass

    def disconnected(self, err: NatsError) -> None:
        # Another connection could go on with it, but not know what of it had arrived.
        if self._sent:
            self._end(None, DisconnectedError(str(err)))

    def closed(self, err: NatsError) -> None:
        self._end(None, DisconnectedError(str(err)))
