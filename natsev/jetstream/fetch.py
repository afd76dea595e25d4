"""Fetching: one pull request, its messages as one result (ADR-13)."""

from __future__ import annotations

from collections.abc import Mapping
from time import monotonic
from typing import TYPE_CHECKING, Any

from ..calls import Call
from ..errors import DisconnectedError, NatsError, RequestTimeout
from ..headers import Headers
from . import check
from .api import Api, to_json
from .message import Message
from .status import Kind, error_of, kind_of

if TYPE_CHECKING:
    from ..nats import Nats

_OPTIONS = ('batch', 'expires', 'no_wait', 'max_bytes', 'idle_heartbeat')
GROUP_OPTIONS = ('group', 'min_pending', 'min_ack_pending', 'priority', 'id')
_EXPIRES = 5_000_000_000
# Longer than this without heartbeats, and a lost request would not be noticed (ADR-37).
_LONG = 30_000_000_000
_HEARTBEAT = 5_000_000_000
# The server ends a request by itself; if it does not, we do, so many seconds after.
_MARGIN = 1.0


def fetch_request(opts: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return the request for the options of ``fetch``, checked.

    Raises:
        TypeError, ValueError: an unknown option, or a value that cannot be.
    """
    given = check.options(opts, _OPTIONS + GROUP_OPTIONS, 'fetch')
    check_group(given)
    for name in ('batch', 'expires', 'max_bytes', 'idle_heartbeat'):
        if name in given:
            check.number(given[name], name, 1)
    no_wait = bool(given.pop('no_wait', False))
    request = {'batch': 1, **given}
    if no_wait:
        # With an expiry the server would wait for the first message after all.
        request.pop('expires', None)
        request['no_wait'] = True
        return request
    expires = request.setdefault('expires', _EXPIRES)
    if expires > _LONG:
        request.setdefault('idle_heartbeat', _HEARTBEAT)
    if request.get('idle_heartbeat', 0) * 2 > expires:
        raise ValueError('idle_heartbeat must be at most half of expires')
    return request


def check_group(given: Mapping[str, Any]) -> None:
    """Check the options of priority groups (ADR-42)."""
    for name in ('min_pending', 'min_ack_pending', 'priority'):
        if name in given:
            check.number(given[name], name)
    for name in ('group', 'id'):
        if not isinstance(given.get(name, ''), str):
            raise TypeError(f'{name} must be str, not {type(given[name]).__name__}')


class Fetch:
    """One pull request on its way; *call* ends with the messages it brought.

    It ends when the batch is full, when the server ends it or falls silent, or when the connection
    is lost. What came by then is the result; when nothing did, the reason is the error.
    """

    def __init__(self, api: Api, call: Call, target: str, request: dict[str, Any]) -> None:
        nats = api.nats
        self._api = api
        self._nats: Nats = nats
        self._call = call
        self._batch: int = request['batch']
        self._messages: list[Message] = []
        self._written = nats.is_connected()
        self._heard = monotonic()
        expires = request.get('expires')
        self._deadline = self._heard + (
            expires / 1e9 + _MARGIN if expires else max(api.timeout / 1000, _MARGIN)
        )
        self._silence = 2 * request['idle_heartbeat'] / 1e9 if 'idle_heartbeat' in request else None
        inbox = nats.new_inbox()
        self._sid = nats.subscribe(inbox, self._on_message)
        self._timer = nats.port.timer(self._look)
        nats.add_listener(self)
        call.cleanup = self._close
        try:
            nats.publish(api.subject(f'CONSUMER.MSG.NEXT.{target}'), to_json(request), inbox)
        except NatsError as err:
            call.fail_later(err)
            return
        self._look()

    def _close(self) -> None:
        self._timer.close()
        self._nats.remove_listener(self)
        self._nats.unsubscribe(self._sid)

    def _look(self) -> None:
        now = monotonic()
        due = self._deadline
        if self._silence is not None and self._written:
            due = min(due, self._heard + self._silence)
        if now >= due:
            self._end(RequestTimeout())
        else:
            self._timer.start(due - now)

    def _on_message(
        self, subject: str, payload: bytes, reply: str | None, headers: Headers | None
    ) -> None:
        self._heard = monotonic()
        if reply is None and headers is not None and headers.status is not None:
            self._on_status(headers)
            return
        self._messages.append(Message(self._api, subject, payload, reply, headers))
        if len(self._messages) >= self._batch:
            self._end(None)

    def _on_status(self, headers: Headers) -> None:
        kind = kind_of(headers)
        if kind in (Kind.EMPTY, Kind.ENDED):
            self._end(None)
        elif kind is not Kind.ALIVE:
            self._end(error_of(headers))

    def _end(self, err: NatsError | None) -> None:
        if self._messages or err is None:
            self._call.end(self._messages, None)
        else:
            self._call.fail(err)

    # Of the connection.

    def connected(self) -> None:
        self._written = True
        self._heard = monotonic()

    def disconnected(self, err: NatsError) -> None:
        if self._written:
            self._end(DisconnectedError(str(err)))

    def closed(self, err: NatsError) -> None:
        self._end(DisconnectedError(str(err)))
