"""Requests to the JetStream API: the one place where they are made and their replies read."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from ..calls import Call, Handle
from ..codec import Codec, encode
from ..errors import JetStreamError, NatsError, NoResponders, jetstream_error
from ..headers import Headers

if TYPE_CHECKING:
    from ..nats import Nats

Reply = dict[str, Any]
Then = Callable[[Any, NatsError | None], None]
_to_json = json.JSONEncoder(separators=(',', ':')).encode


class Api:
    """The JetStream API as one client sees it.

    Args:
        nats: the client.
        prefix: ``$JS.API``, or what an import maps to it.
        timeout: ms to wait for each reply.
        codec: of messages' payloads; None: they are bytes.
    """

    def __init__(self, nats: Nats, prefix: str, timeout: float, codec: Codec | None = None) -> None:
        self.nats = nats
        self.prefix = prefix
        self.timeout = timeout
        self.codec = codec

    def payload(self, subject: str, value: Any) -> Any:
        """Return the payload of a message for *subject* that a user publishes.

        Raises:
            CodecError: the codec refuses *value*.
        """
        if self.codec is None:
            return value
        return encode(self.codec, value, f'payload for {subject!r}')

    def subject(self, endpoint: str) -> str:
        """Return the subject of *endpoint*, such as ``STREAM.NAMES``."""
        return f'{self.prefix}.{endpoint}'

    def call(
        self, endpoint: str, body: Mapping[str, Any] | None, callback: Any, pick: str | None = None
    ) -> Call:
        """Make the request that is the whole of a user's call.

        Args:
            endpoint: see ``subject``.
            body: sent as JSON; None: nothing.
            callback: the user's, called as ``callback(reply, err)``.
            pick: the field of the reply that is the result; None: all of it.
        """
        call = self.nats.call(callback)

        def replied(reply: Reply) -> None:
            call.end(reply if pick is None else reply.get(pick), None)

        call.child = self.ask(endpoint, body, or_fail(call, replied))
        return call

    def ask(
        self,
        endpoint: str,
        body: Mapping[str, Any] | None,
        then: Then,
        timeout: float | None = None,
    ) -> Handle:
        """Make a request; ``then(reply, err)`` is called once.

        Args:
            endpoint: see ``subject``.
            body: sent as JSON; None: nothing.
            then: called with the reply as a dict, or with its error.
            timeout: ms to wait; default: that of this API.
        """

        def replied(payload: bytes | None, err: NatsError | None, headers: Headers | None) -> None:
            if err is not None:
                then(None, err)
                return
            reply = parse_reply(payload, headers)
            if isinstance(reply, NatsError):
                then(None, reply)
            else:
                then(reply, None)

        payload = to_json(body) if body is not None else b''
        if timeout is None:
            timeout = self.timeout
        return self.nats.request(self.subject(endpoint), payload, replied, timeout)

    def step(
        self,
        call: Call,
        endpoint: str,
        body: Mapping[str, Any] | None,
        then: Callable[[Reply], None],
    ) -> None:
        """Make one more request of *call*, from a callback: any failure ends the call.

        Args:
            call: what the request is part of.
            endpoint: see ``subject``.
            body: sent as JSON; None: nothing.
            then: called as ``then(reply)``.
        """
        if call.done:
            return
        try:
            call.child = self.ask(endpoint, body, or_fail(call, then))
        except NatsError as err:  # for instance larger than a server reached meanwhile takes
            call.fail(err)

    def pages(self, endpoint: str, body: Mapping[str, Any], field: str, callback: Any) -> Call:
        """Ask for page after page of a list, and call back with all of it."""
        call = self.nats.call(callback)
        found: list[Any] = []

        def replied(reply: Reply) -> None:
            page = reply.get(field) or []
            found.extend(page)
            if page and len(found) < reply.get('total', 0):
                self.step(call, endpoint, {**body, 'offset': len(found)}, replied)
            else:
                call.end(found, None)

        call.child = self.ask(endpoint, {**body, 'offset': 0}, or_fail(call, replied))
        return call


def or_fail(call: Call, then: Callable[[Reply], None]) -> Then:
    """Return a ``then(reply, err)`` that goes on with *then*, or ends *call* with the error."""

    def replied(reply: Reply | None, err: NatsError | None) -> None:
        if call.done:
            return
        if err is not None:
            call.fail(err)
        else:
            then(reply or {})

    return replied


def to_json(body: Mapping[str, Any]) -> bytes:
    """Return *body* as JSON.

    Raises:
        TypeError, ValueError: it holds what JSON cannot.
    """
    return _to_json(body).encode()


def parse_reply(payload: bytes | None, headers: Headers | None) -> Reply | NatsError:
    """Return what JetStream replied, or the error in it. Never raises."""
    reply = parse_object(payload, headers)
    if isinstance(reply, NatsError) or reply.get('error') is None:
        return reply
    error = reply['error']
    return jetstream_error(error) if isinstance(error, dict) else malformed()


def parse_object(payload: bytes | None, headers: Headers | None) -> Reply | NatsError:
    """Return the JSON object that was replied, or the error of a status. Never raises."""
    if not payload and headers is not None and headers.status is not None:
        return status_error(headers)
    try:
        reply = json.loads(payload or b'')
    except (ValueError, RecursionError):  # not JSON, not UTF-8, or nested without end
        return malformed()
    return reply if isinstance(reply, dict) else malformed()


def malformed() -> JetStreamError:
    """Return the error for a reply that is not JetStream's."""
    return JetStreamError(0, 0, 'the reply is not one of JetStream')


def status_error(headers: Headers) -> NatsError:
    """Return the error for a reply that is only a status line, such as ``408 Bad Request``."""
    status = headers.status or 0
    if status == 503:
        return NoResponders()
    return JetStreamError(status, 0, headers.description or f'status {status}')
