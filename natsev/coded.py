"""A client whose payloads are Python values: what ``Nats.with_codec`` gives."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .callbacks import arity
from .calls import Handle
from .codec import Codec, decode, encode
from .errors import CodecError, NatsError
from .headers import Headers

AnyCallback = Callable[..., Any]


class CodedNats:
    """A view of a connection whose payloads are Python values.

    What a codec refuses raises ``CodecError`` at the call, and nothing is sent. A message that
    cannot be decoded goes to ``on_error`` as a ``CodecError`` that names its subject; a reply, to
    the ``err`` of its request. Methods that have no payload are those of the connection.

    Attributes:
        nats: the connection.
        codec: turns values into payloads and back.
    """

    def __init__(self, nats: Any, codec: Codec) -> None:
        self.nats = nats  # Any: a Nats, which imports this module
        self.codec = codec

    def __getattr__(self, name: str) -> Any:
        if name in ('nats', 'codec'):  # not there yet: copying, unpickling
            raise AttributeError(name)
        return getattr(self.nats, name)

    def __repr__(self) -> str:
        return f'<{self.codec!r} on {self.nats!r}>'

    def publish(self, subject: str, payload: Any = None, reply_to: str | None = None) -> None:
        """Publish a value. See ``Nats.publish``."""
        self.nats.publish(subject, self._encode(subject, payload), reply_to)

    def hpublish(
        self, subject: str, headers: Any, payload: Any = None, reply_to: str | None = None
    ) -> None:
        """Publish a value with headers. See ``Nats.hpublish``."""
        self.nats.hpublish(subject, headers, self._encode(subject, payload), reply_to)

    def subscribe(self, subject: str, cb: AnyCallback, queue_group: str | None = None) -> int:
        """Subscribe to *subject*: ``cb(subject, value, reply, headers)``. See ``Nats.subscribe``.

        A message that cannot be decoded goes to ``on_error`` instead.
        """
        return self.subscribe_max(subject, cb, 0, queue_group)

    def subscribe_max(
        self, subject: str, cb: AnyCallback, max_msgs: int, queue_group: str | None = None
    ) -> int:
        """Subscribe to *subject* for *max_msgs* messages. See ``subscribe``."""
        nargs = arity(cb, 4)

        def on_message(
            subject: str, payload: bytes, reply: str | None, headers: Headers | None
        ) -> None:
            try:
                value = decode(self.codec, payload, f'message on {subject!r}')
            except CodecError as err:
                self.nats.report(err)
            else:
                cb(*(subject, value, reply, headers)[:nargs])

        sid: int = self.nats.subscribe_max(subject, on_message, max_msgs, queue_group)
        return sid

    def request(
        self,
        subject: str,
        payload: Any,
        cb: AnyCallback,
        timeout: float | None = None,
        headers: Any = None,
    ) -> Handle:
        """Ask with a value: ``cb(value, err, headers)`` is called once. See ``Nats.request``.

        Errors:
            CodecError: the reply cannot be decoded. Those of ``Nats.request``.
        """
        nargs = arity(cb, 3)

        def replied(reply: Any, err: NatsError | None, headers: Headers | None) -> None:
            value = None
            if err is None:
                try:
                    value = decode(self.codec, reply, f'reply of {subject!r}')
                except CodecError as refused:
                    err = refused
            cb(*(value, err, headers)[:nargs])

        encoded = self._encode(subject, payload)
        handle: Handle = self.nats.request(subject, encoded, replied, timeout, headers)
        return handle

    def request_many(
        self,
        subject: str,
        payload: Any,
        cb: AnyCallback,
        *,
        on_message: AnyCallback | None = None,
        **options: Any,
    ) -> Handle:
        """Ask many with a value. See ``Nats.request_many``.

        Args:
            subject: where to.
            payload: the value.
            cb: called once as ``cb(replies, err)``: a list of ``{'payload': value, 'headers'}``.
                A reply that cannot be decoded goes to ``on_error`` instead.
            on_message: called as ``on_message(value, headers)`` for each reply.
            **options: those of ``Nats.request_many``; a function as *sentinel* gets bytes.
        """
        nargs = arity(cb, 2)
        message_nargs = arity(on_message, 2) if on_message is not None else 0
        replies: list[dict[str, Any]] = []

        def came(reply: bytes, headers: Headers | None) -> None:
            try:
                value = decode(self.codec, reply, f'reply of {subject!r}')
            except CodecError as err:
                self.nats.report(err)
                return
            if on_message is None:
                replies.append({'payload': value, 'headers': headers})
            else:
                on_message(*(value, headers)[:message_nargs])

        def ended(none: Any, err: NatsError | None) -> None:
            cb(*(replies if err is None else None, err)[:nargs])

        encoded = self._encode(subject, payload)
        handle: Handle = self.nats.request_many(subject, encoded, ended, on_message=came, **options)
        return handle

    def _encode(self, subject: str, value: Any) -> bytes:
        return encode(self.codec, value, f'payload for {subject!r}')

    # The original's short names.

    pub = publish
    hpub = hpublish
    sub = subscribe
    req = request
