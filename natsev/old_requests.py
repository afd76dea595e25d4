"""Requests of the old style: an inbox and a subscription for each.

For servers whose permissions do not let a client subscribe to a wildcard of inboxes. The usual way,
one subscription for all replies, costs the server less.
"""

from __future__ import annotations

from typing import Any, Protocol

from .calls import Call, Core
from .errors import DisconnectedError, NatsError, NoResponders
from .headers import Headers
from .loop import Port
from .wire import Wire, check_timeout


class RequestingClient(Core, Protocol):
    """What such a request needs of the client."""

    port: Port

    def new_inbox(self) -> str:
        """Return a new unique subject for replies."""

    def add_listener(self, listener: Any) -> None:
        """Tell *listener* of every later event of the connection."""

    def remove_listener(self, listener: Any) -> None:
        """Do not tell *listener* any more."""


class OldRequest:
    """A request with an inbox of its own; see ``Nats.request`` for the arguments.

    ``callback(payload, err, headers)`` gets all its arguments.
    """

    def __init__(
        self,
        client: RequestingClient,
        wire: Wire,
        callback: Any,
        subject: str,
        payload: Any,
        timeout: float | None,
        headers: Any,
    ) -> None:
        if timeout is not None:
            check_timeout(timeout)
        self._client = client
        self._wire = wire
        inbox = client.new_inbox()
        self._sid = wire.subscribe(inbox, self._replied, 4, None, 1)
        try:
            if headers is None:
                wire.publish(subject, payload, inbox)
            else:
                wire.hpublish(subject, headers, payload, inbox)
        except BaseException:
            self._unsubscribe()
            raise
        self._frame = wire.frames_appended
        self._call = Call(client, callback, 3)
        self._call.cleanup = self._let_go
        if timeout is not None:
            self._call.expire(client.port, timeout)
        client.add_listener(self)

    def cancel(self) -> None:
        """Give up. The callback still comes once, with ``Cancelled``."""
        self._unsubscribe()
        self._call.cancel()

    def _replied(
        self, subject: str, payload: bytes, reply: str | None, headers: Headers | None
    ) -> None:
        if headers is not None and headers.status == 503 and not payload:
            self._call.end(None, NoResponders(), headers)
        else:
            self._call.end(payload, None, headers)

    def _let_go(self) -> None:
        self._unsubscribe()
        self._client.remove_listener(self)

    def _unsubscribe(self) -> None:
        self._wire.unsubscribe(self._sid, 0)

    # What the client tells.

    def connected(self) -> None:
        """The connection stands again: where the request was queued, it has been sent."""

    def disconnected(self, err: NatsError) -> None:
        """The connection was lost: nobody can know whether a request that was sent was done."""
        if self._frame <= self._wire.frames_sent:
            self.closed(err)

    def closed(self, err: NatsError) -> None:
        """The client is closed."""
        self._call.fail(DisconnectedError(str(err)))
