"""Publishing into streams: acknowledged, with expectations, and many at a time (ADR-22)."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

from ..calls import Call
from ..errors import Cancelled, JetStreamError, MaxPayloadError, NatsError, NoResponders
from ..headers import Headers, encode_headers
from ..nats import PendingRequest
from ..subjects import check_subject
from ..wire import ACK, arity
from . import check
from .api import Api, Then, parse_reply
from .later import Later

if TYPE_CHECKING:
    from ..nats import HeadersOut, Nats, Payload

# ADR-22: while a stream elects its leader nobody answers for a moment.
_RETRIES = 2
_RETRY_AFTER = 0.25

AnyCallback = Callable[..., Any]

_HEADERS = {
    'msg_id': 'Nats-Msg-Id',
    'expected_stream': 'Nats-Expected-Stream',
    'expected_last_msg_id': 'Nats-Expected-Last-Msg-Id',
    'expected_last_seq': 'Nats-Expected-Last-Sequence',
    'expected_last_subject_seq': 'Nats-Expected-Last-Subject-Sequence',
    'expected_last_subject_seq_subject': 'Nats-Expected-Last-Subject-Sequence-Subject',
    'rollup': 'Nats-Rollup',
    'incr': 'Nats-Incr',
    'schedule': 'Nats-Schedule',
    'schedule_target': 'Nats-Schedule-Target',
    'schedule_source': 'Nats-Schedule-Source',
    'schedule_ttl': 'Nats-Schedule-TTL',
}
_NUMBERS = frozenset({'expected_last_seq', 'expected_last_subject_seq'})
_NOTHING = (None,) * 5


def with_options(
    headers: HeadersOut | None, options: Mapping[str, Any]
) -> list[tuple[str, Any]] | HeadersOut | None:
    """Return *headers* and the headers that say what *options* ask for; None for none.

    Raises:
        TypeError, ValueError: an unknown option, or a value that cannot be.
    """
    ours: list[tuple[str, Any]] = []
    for option, value in options.items():
        if value is None:
            continue
        if option == 'ttl':
            ours.append(('Nats-TTL', _ttl(value)))
        elif option in _NUMBERS:
            ours.append((_HEADERS[option], str(check.number(value, option))))
        elif option in _HEADERS:
            if not isinstance(value, str):
                raise TypeError(f'{option} must be str, not {type(value).__name__}')
            ours.append((_HEADERS[option], value))
        else:
            raise ValueError(f'unknown publish option {option!r}')
    if not ours:
        return headers
    if headers is None:
        return ours
    return [*header_pairs(headers), *ours]


def _ttl(value: Any) -> str:
    # ADR-43: a duration in Go's form; the server takes no less than a second.
    if value == 'never':
        return 'never'
    return f'{check.number(value, "ttl", 1000)}ms'


def header_pairs(headers: HeadersOut | None) -> Iterable[tuple[str, Any]]:
    """Return *headers*, in whichever form they are, as pairs."""
    if headers is None:
        return ()
    if isinstance(headers, (bytes, bytearray, memoryview)):
        headers = Headers(bytes(headers))
    if isinstance(headers, Headers):
        return headers.pairs()
    return headers.items() if isinstance(headers, Mapping) else headers


def check_message(nats: Nats, subject: str, headers: Any, payload: bytes | str) -> None:
    """Raise what is wrong with a message that is to be sent later."""
    check_subject(subject)
    if not isinstance(payload, (bytes, str)):
        raise TypeError(f'payload must be bytes-like or str, not {type(payload).__name__}')
    size = len(encode_headers(headers)) if headers else 0
    size += len(payload.encode() if isinstance(payload, str) else payload)
    if size > nats.max_payload():
        raise MaxPayloadError(size, nats.max_payload())


class Publishing:
    """The part of ``JetStream`` that publishes."""

    _api: Api

    def js_publish(
        self,
        subject: str,
        payload: Any,
        cb: AnyCallback | None = None,
        headers: HeadersOut | None = None,
        msg_id: str | None = None,
        expected_stream: str | None = None,
        expected_last_seq: int | None = None,
        expected_last_subject_seq: int | None = None,
        timeout: float | None = None,
        ttl: int | str | None = None,
        **more: Any,
    ) -> Publication:
        """Publish a message into whichever stream takes *subject*, and wait until it is stored.

        When nobody answers for the subject (a stream elects its leader) it is tried twice more, 250
        ms apart (ADR-22).

        Args:
            subject: where to.
            payload: the message; with a codec any value that it takes.
            cb: called once as ``cb(ack, err)``: ack has ``stream``, ``seq``, and ``duplicate`` when
                a message with this ``msg_id`` was stored before. None: the stream's answer is
                awaited all the same, and an error goes to ``on_error``.
            headers: the message's own headers.
            msg_id: stored once per id within the stream's ``duplicate_window``.
            expected_stream: refuse it when another stream answers.
            expected_last_seq: refuse it unless this is the stream's last sequence.
            expected_last_subject_seq: refuse it unless this is the last sequence on the subject; 0:
                there must be none.
            timeout: ms in all; default: that of the ``JetStream``.
            ttl: ms after which the server deletes the message, or ``'never'`` (ADR-43, server 2.11,
                streams with ``allow_msg_ttl``).
            **more: ``expected_last_msg_id``; ``expected_last_subject_seq_subject`` (server 2.11);
                ``rollup``: ``'sub'`` or ``'all'``; ``incr``: such as ``'+1'`` (counters, ADR-49);
                ``schedule``, ``schedule_target``, ``schedule_source``, ``schedule_ttl`` (ADR-51).

        Errors:
            NoResponders: no stream takes the subject.
            WrongSequenceError: an expectation did not hold.
            StorageFullError, TooManyRequestsError, SealedError, JetStreamError.
            RequestTimeout, DisconnectedError: nobody knows whether it was stored.

        Raises:
            TypeError, ValueError, MaxPayloadError.
        """
        asked = (msg_id, expected_stream, expected_last_seq, expected_last_subject_seq, ttl)
        if more or asked != _NOTHING:
            options = {
                'msg_id': msg_id,
                'expected_stream': expected_stream,
                'expected_last_seq': expected_last_seq,
                'expected_last_subject_seq': expected_last_subject_seq,
                'ttl': ttl,
                **more,
            }
            headers = with_options(headers, options)
        if self._api.codec is not None:
            payload = self._api.payload(subject, payload)
        if cb is None:
            cb = self._unwatched
        publication = Publication(cb, arity(cb, 2), False, ACK)
        publication.prepare(self._api, subject, payload, headers, timeout)
        publication.send()
        return publication

    def publication(
        self,
        subject: str,
        payload: Payload,
        headers: HeadersOut | None,
        options: Mapping[str, Any],
        then: Then,
    ) -> Publication:
        """Publish as a step of a larger call: ``then(ack, err)`` is called once.

        See ``js_publish`` for the rest.
        """
        publication = Publication(then, 2, False, ACK)
        publication.prepare(self._api, subject, payload, with_options(headers, options), None)
        publication.send()
        return publication

    def publish_as(
        self, publication: Publication, subject: str, payload: Payload, options: Mapping[str, Any]
    ) -> None:
        """Publish, with *publication* to wait for the acknowledgement."""
        headers = with_options(None, options) if options else None
        publication.prepare(self._api, subject, payload, headers, None)
        publication.send()

    def _unwatched(self, ack: Any, err: NatsError | None) -> None:
        if err is not None:
            self._api.nats.report(err)

    def publisher(self, max_pending: int = 256, on_drain: AnyCallback | None = None) -> Publisher:
        """Return a publisher that keeps at most *max_pending* messages unacknowledged.

        Args:
            max_pending: the window.
            on_drain: called without arguments when there is room again after a False.
        """
        return Publisher(self, max_pending, on_drain)


class Publication(PendingRequest):
    """A message on its way into a stream; ``callback(ack, err)`` is called once.

    The wire calls it with an acknowledgement of the usual shape; everything else goes to ``end``.
    """

    __slots__ = ('_later', '_tries', 'headers', 'payload', 'timeout')

    def prepare(
        self,
        api: Api,
        subject: str,
        payload: Payload,
        headers: HeadersOut | None,
        timeout: float | None,
    ) -> None:
        """Take what is to be sent. There is no ``__init__``, for the sake of speed."""
        self.nats = api.nats
        self.subject = subject
        self.payload = payload if type(payload) is bytes else _kept(payload)
        self.headers = headers
        self.timeout = api.timeout if timeout is None else timeout
        self._tries = 0
        self._later: Later | None = None

    def send(self) -> None:
        """Publish it. Raises what is wrong with it."""
        self.nats.ask(self, self.payload, self.timeout, self.headers)

    def check(self) -> None:
        """Raise what is wrong with it, as far as that is known before it is sent."""
        check_message(self.nats, self.subject, self.headers, self.payload)

    def cancel(self) -> None:
        """Give up. The callback still comes once, with ``Cancelled``."""
        later, self._later = self._later, None
        if later is None:
            super().cancel()
        else:
            later.cancel()
            self.end_soon(Cancelled())

    def end(self, payload: bytes | None, err: NatsError | None, headers: Headers | None, /) -> None:
        """Take an unusual reply, or an error."""
        ack = parse_ack(payload, headers) if err is None else err
        if isinstance(ack, dict):
            self.tell(ack, None)
        elif isinstance(ack, NoResponders) and self._may_retry():
            self._tries += 1
            self._later = Later(self.nats.port, _RETRY_AFTER, self._retry)
        else:
            self.tell(None, ack)

    def tell(self, ack: dict[str, Any] | None, err: NatsError | None) -> None:
        """Tell the callback how it ended, where the wire did not."""
        self.callback(*(ack, err)[: self.nargs])

    def _may_retry(self) -> bool:
        return self._tries < _RETRIES and self.left() > _RETRY_AFTER

    def _retry(self) -> None:
        self._later = None
        self.timeout = max(1.0, self.left() * 1000)
        try:
            self.send()
        except NatsError as err:  # for instance larger than a server reached meanwhile takes
            self.nats.run_callback(self.tell, None, err)


def _kept(payload: Payload) -> bytes | str:
    # It may be sent later, or again: what its owner can change must be copied.
    return bytes(payload) if isinstance(payload, (bytearray, memoryview)) else payload


def parse_ack(payload: bytes | None, headers: Headers | None) -> dict[str, Any] | NatsError:
    """Return the acknowledgement in an unusual reply, or the error in it. Never raises."""
    ack = parse_reply(payload, headers)
    if isinstance(ack, dict) and not isinstance(ack.get('stream'), str):
        return JetStreamError(0, 0, 'the reply is not an acknowledgement of JetStream')
    return ack


class Publisher:
    """Publishes with a bounded number of messages unacknowledged. See ``JetStream.publisher``."""

    def __init__(self, js: Publishing, max_pending: int, on_drain: AnyCallback | None) -> None:
        self._js = js
        self._nats = js._api.nats
        self._max_pending = check.number(max_pending, 'max_pending', 1)
        self._on_drain = on_drain
        self._in_flight = 0
        self._waiting: deque[Publication] = deque()
        self._full = False
        self._done: list[Call] = []
        self._published = self._failed = 0

    @property
    def pending(self) -> int:
        """Messages that wait for their acknowledgement, or for room in the window."""
        return self._in_flight + len(self._waiting)

    def publish(
        self,
        subject: str,
        payload: Any = b'',
        cb: AnyCallback | None = None,
        headers: HeadersOut | None = None,
        timeout: float | None = None,
        **options: Any,
    ) -> bool:
        """Publish a message, now or when there is room in the window.

        Args:
            subject: where to.
            payload: the message; with a codec any value that it takes.
            cb: called once as ``cb(ack, err)``; None: an error goes to ``on_error``.
            headers: the message's own headers.
            timeout: ms from when it is sent; default: that of the ``JetStream``.
            **options: see ``JetStream.js_publish``.

        Raises:
            See ``JetStream.js_publish``.

        Returns:
            Whether there is room for more. After False wait for ``on_drain``: what is published
            before is taken, but waits in memory.
        """
        payload = self._js._api.payload(subject, payload)
        call = self._nats.call(cb if cb is not None else self._js._unwatched)

        def ended(ack: Any, err: NatsError | None) -> None:
            self._in_flight -= 1
            self._published += err is None
            self._failed += err is not None
            self._send_waiting()
            call.end(ack, err)
            self._look()

        publication = Publication(ended, 2, False, ACK)
        all_headers = with_options(headers, options)
        publication.prepare(self._js._api, subject, payload, all_headers, timeout)
        if self._in_flight < self._max_pending:
            publication.send()
            self._in_flight += 1
        else:
            publication.check()
            self._waiting.append(publication)
        self._full = self.pending >= self._max_pending
        return not self._full

    def done(self, cb: AnyCallback) -> Call:
        """Tell when every message published so far has been acknowledged or has failed.

        Args:
            cb: called once as ``cb({'published': n, 'failed': n}, err)``, numbers since the start.
        """
        call = self._nats.call(cb)
        self._done.append(call)
        if not self.pending:
            self._nats.call_soon(self._look)
        return call

    def _send_waiting(self) -> None:
        while self._waiting and self._in_flight < self._max_pending:
            publication = self._waiting.popleft()
            self._in_flight += 1
            try:
                publication.send()
            except NatsError as err:
                publication.end_soon(err)

    def _look(self) -> None:
        if self._full and self.pending < self._max_pending:
            self._full = False
            if self._on_drain is not None:
                self._nats.run_callback(self._on_drain)
        if not self.pending:
            done, self._done = self._done, []
            for call in done:
                call.end({'published': self._published, 'failed': self._failed}, None)
