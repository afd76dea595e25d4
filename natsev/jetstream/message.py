"""A message that a consumer delivered, and its acknowledgement (ADR-15)."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from typing import Any

from ..calls import Call, Handle
from ..codec import decode
from ..errors import NatsError
from ..headers import Headers
from ..wire import Delivery, parse_delivery
from . import check
from .api import Api, status_error, to_json

_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
_ACK_TIMEOUT = 5000

AnyCallback = Callable[..., Any]


class Message:
    """A message of a stream, delivered by a consumer. ``msg['payload']`` is ``msg.payload``.

    Attributes:
        subject: the subject it was stored under.
        payload: its bytes.
        reply: where acknowledgements go.
        headers: its headers, or None.
    """

    __slots__ = ('_api', '_delivery', 'headers', 'payload', 'reply', 'subject')

    def __init__(
        self,
        api: Api,
        subject: str,
        payload: bytes,
        reply: str | None,
        headers: Headers | None,
        delivery: Delivery | None = None,
    ) -> None:
        self._api = api
        self.subject = subject
        self.payload = payload
        self.reply = reply
        self.headers = headers
        self._delivery = delivery

    def __repr__(self) -> str:
        return f'<Message {self.subject} seq={self.seq} {len(self.payload)} bytes>'

    def __getitem__(self, name: str) -> Any:
        if name not in _ITEMS:
            raise KeyError(name)
        return getattr(self, name)

    @property
    def value(self) -> Any:
        """The payload decoded, with the codec of the ``JetStream``; without one its bytes.

        Raises:
            CodecError: the codec refuses it.
        """
        if self._api.codec is None:
            return self.payload
        return decode(self._api.codec, self.payload, f'message {self.seq} on {self.subject!r}')

    @property
    def delivery(self) -> Delivery:
        """All that the reply subject says."""
        if self._delivery is None:
            self._delivery = parse_delivery(self.reply)
        return self._delivery

    @property
    def stream(self) -> str:
        """The stream."""
        return self.delivery.stream

    @property
    def consumer(self) -> str:
        """The consumer."""
        return self.delivery.consumer

    @property
    def seq(self) -> int:
        """Its sequence in the stream."""
        return self.delivery.seq

    @property
    def consumer_seq(self) -> int:
        """Its number among all deliveries of this consumer."""
        return self.delivery.consumer_seq

    @property
    def delivered(self) -> int:
        """How often it has been delivered, this time included."""
        return self.delivery.delivered

    @property
    def pending(self) -> int:
        """How many more messages the consumer had for delivery."""
        return self.delivery.pending

    @property
    def time_ns(self) -> int:
        """When it was stored: nanoseconds since 1970, UTC."""
        return self.delivery.time_ns

    @property
    def timestamp(self) -> datetime:
        """When it was stored, as an aware UTC datetime (which holds microseconds)."""
        return _EPOCH + timedelta(microseconds=self.delivery.time_ns // 1000)

    def ack(self, cb: AnyCallback | None = None, timeout: float = _ACK_TIMEOUT) -> Handle | None:
        """Say that the message has been processed.

        Args:
            cb: ask the server to confirm it ("double ack"); called once as ``cb(ok, err)``.
            timeout: ms to wait for that.

        Errors:
            RequestTimeout, NoResponders, DisconnectedError, Cancelled.

        Raises:
            ValueError: the message takes no acknowledgement.
            DisconnectedError, BufferFullError: it cannot be sent; only without *cb*.

        Returns:
            With *cb* a handle with ``cancel()``.
        """
        reply = self._reply()
        if cb is None:
            self._api.nats.publish(reply, b'+ACK')
            return None
        call = Call(self._api.nats, cb)

        def confirmed(payload: Any, err: NatsError | None, headers: Headers | None) -> None:
            if err is None and headers is not None and headers.status is not None:
                err = status_error(headers)
            if err is not None:
                call.fail(err)
            else:
                call.end(True, None)

        call.child = self._api.nats.request(reply, b'+ACK', confirmed, timeout)
        return call

    def nak(self, delay: int | None = None) -> None:
        """Ask for the message to be delivered again.

        Args:
            delay: nanoseconds until then; None: at once.

        Raises:
            See ``ack``.
        """
        payload = b'-NAK'
        if delay is not None:
            payload += b' ' + to_json({'delay': check.number(delay, 'delay')})
        self._api.nats.publish(self._reply(), payload)

    def wpi(self) -> None:
        """Say that work goes on: the time to acknowledge starts again. Raises as ``ack``."""
        self._api.nats.publish(self._reply(), b'+WPI')

    def term(self, reason: str | None = None) -> None:
        """Say that the message shall not be delivered again, though it was not processed.

        Args:
            reason: goes into the server's advisory (server 2.10.4).

        Raises:
            See ``ack``.
        """
        payload = '+TERM' if reason is None else f'+TERM {reason}'
        self._api.nats.publish(self._reply(), payload)

    def ack_next(self, reply_to: str) -> None:
        """Acknowledge, and have the next message of the consumer delivered to *reply_to*.

        Raises:
            See ``ack``.
        """
        self._api.nats.publish(self._reply(), b'+NXT', reply_to)

    def _reply(self) -> str:
        if self.reply is None:
            raise ValueError('this message takes no acknowledgement')
        return self.reply


# What msg['...'] gives: the fields, not the methods.
_ITEMS = frozenset(
    name
    for name, value in vars(Message).items()
    if not name.startswith('_') and not callable(value)
)
