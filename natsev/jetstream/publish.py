"""Publishing into streams: acknowledged, with expectations, and many at a time (ADR-22)."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Mapping
from time import monotonic
from typing import TYPE_CHECKING, Any

from ..calls import Call, Handle
from ..errors import JetStreamError, MaxPayloadError, NatsError, NoResponders
from ..headers import Headers, encode_headers
from ..subjects import check_subject
from ..wire import parse_puback
from . import check
from .api import Api, Then, parse_reply
from .later import Later
from .shortcut import Otherwise, Shortcut

if TYPE_CHECKING:
    from ..nats import HeadersOut, Nats, Payload

# ADR-22: while a stream elects its leader nobody answers for a moment.
_RETRIES = 2
_RETRY_AFTER = 0.25

AnyCallback = Callable[..., Any]
Reply = tuple[bytes | None, NatsError | None, Any]

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
OPTIONS = frozenset(_HEADERS) | {'ttl'}


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
    ) -> Call:
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
        options = {
            'msg_id': msg_id,
            'expected_stream': expected_stream,
            'expected_last_seq': expected_last_seq,
            'expected_last_subject_seq': expected_last_subject_seq,
            'ttl': ttl,
            **more,
        }
        payload = self._api.payload(subject, payload)
        call = self._api.nats.call(cb if cb is not None else self._unwatched)
        publication = self._publication(subject, payload, headers, options, timeout, call.end)
        publication.send()
        call.child = publication
        return call

    def publication(
        self,
        subject: str,
        payload: Payload,
        headers: HeadersOut | None,
        options: Mapping[str, Any],
        then: Then,
        send: bool = True,
    ) -> Publication:
        """Publish as a step of a larger call: ``then(ack, err)`` is called once, unless cancelled.

        Without *send* it has been published already: ``go_on`` with its reply. See ``js_publish``
        for the rest.
        """
        publication = self._publication(subject, payload, headers, options, None, then)
        if send:
            publication.send()
        return publication

    def publish_shortly(
        self,
        subject: str,
        payload: Payload,
        options: Mapping[str, Any],
        cb: AnyCallback,
        otherwise: Otherwise,
    ) -> Shortcut:
        """Publish for a callback that gets the sequence: ``cb(seq, err)``. See ``Shortcut``."""
        headers = with_options(None, options)
        shortcut = Shortcut(self._api.nats, cb, _sequence, otherwise)
        shortcut.send(subject, payload, self._api.timeout, headers)
        return shortcut

    def _publication(
        self,
        subject: str,
        payload: Payload,
        headers: HeadersOut | None,
        options: Mapping[str, Any],
        timeout: float | None,
        then: Then,
    ) -> Publication:
        all_headers = with_options(headers, options)
        if timeout is None:
            timeout = self._api.timeout
        return Publication(self._api.nats, subject, payload, all_headers, timeout, then)

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


class Publication:
    """One message on its way into a stream; ``then(ack, err)`` is called once, unless cancelled."""

    __slots__ = (
        '_deadline', '_headers', '_nats', '_outstanding', '_payload', '_subject', '_then',
        '_timeout', '_tries',
    )  # fmt: skip

    def __init__(
        self,
        nats: Nats,
        subject: str,
        payload: Payload,
        headers: Any,
        timeout: float,
        then: Then,
    ) -> None:
        self._nats = nats
        self._subject = subject
        # It may be sent later, or again: what its owner can change must be copied.
        self._payload = bytes(payload) if isinstance(payload, (bytearray, memoryview)) else payload
        self._headers = headers
        self._timeout = timeout
        self._then = then
        self._tries = 0
        self._deadline = 0.0
        self._outstanding: Handle | None = None

    def send(self) -> None:
        """Publish it. Raises what is wrong with it."""
        nats = self._nats
        self._deadline = monotonic() + self._timeout / 1000
        self._outstanding = nats.ask(
            self._subject, self._payload, self._replied, 3, self._timeout, self._headers
        )

    def go_on(self, payload: bytes | None, err: NatsError | None, headers: Any) -> None:
        """It was published, and this is the first reply."""
        self._deadline = monotonic() + self._timeout / 1000
        self._replied(payload, err, headers)

    def check(self) -> None:
        """Raise what is wrong with it, as far as that is known before it is sent."""
        check_message(self._nats, self._subject, self._headers, self._payload)

    def fail(self, err: NatsError) -> None:
        """End it with *err*, unless it was cancelled."""
        self._then(None, err)

    def cancel(self) -> None:
        """Give up; nobody is told."""
        self._then = _nobody
        if self._outstanding is not None:
            self._outstanding.cancel()

    def _replied(self, payload: bytes | None, err: NatsError | None, headers: Any) -> None:
        if err is None:
            ack = parse_ack(payload, headers)
            if isinstance(ack, dict):
                self._then(ack, None)
                return
            err = ack
        if isinstance(err, NoResponders) and self._may_retry():
            self._tries += 1
            self._outstanding = Later(self._nats.port, _RETRY_AFTER, self._retry)
        else:
            self._then(None, err)

    def _may_retry(self) -> bool:
        return self._tries < _RETRIES and monotonic() + _RETRY_AFTER < self._deadline

    def _retry(self) -> None:
        nats = self._nats
        left = max(1.0, (self._deadline - monotonic()) * 1000)
        try:
            self._outstanding = nats.ask(
                self._subject, self._payload, self._replied, 3, left, self._headers
            )
        except NatsError as err:  # for instance larger than a server reached meanwhile takes
            self._then(None, err)


def _nobody(ack: Any, err: NatsError | None) -> None:
    pass


def parse_ack(payload: bytes | None, headers: Headers | None) -> dict[str, Any] | NatsError:
    """Return the publish acknowledgement in a reply, or the error in it. Never raises."""
    plain = parse_puback(payload) if payload else None
    if plain is not None:
        stream, seq, duplicate = plain
        if duplicate:
            return {'stream': stream, 'seq': seq, 'duplicate': True}
        return {'stream': stream, 'seq': seq}
    ack = parse_reply(payload, headers)
    if isinstance(ack, dict) and not isinstance(ack.get('stream'), str):
        return JetStreamError(0, 0, 'the reply is not an acknowledgement of JetStream')
    return ack


def _sequence(payload: bytes | None, headers: Any) -> tuple[int, None] | None:
    ack = parse_puback(payload) if payload else None
    return None if ack is None else (ack[1], None)


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

        publication = self._js._publication(subject, payload, headers, options, timeout, ended)
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
                self._nats.call_soon(publication.fail, err)

    def _look(self) -> None:
        if self._full and self.pending < self._max_pending:
            self._full = False
            if self._on_drain is not None:
                self._nats.run_callback(self._on_drain)
        if not self.pending:
            done, self._done = self._done, []
            for call in done:
                call.end({'published': self._published, 'failed': self._failed}, None)
