"""Pulling without end: a window of messages is kept requested from a consumer (ADR-37).

The server ends requests in many ways; what counts is how many messages are requested and not here
yet. When they fall to the threshold, the window is filled up again. Each start takes a new inbox,
so that nothing requested before can be counted.

How many bytes are under way is bounded by requesting fewer messages when they are large. A
``max_bytes`` in each request would be exact, but a server that ends a request for its bytes loses
the message that did not fit when the consumer delivers the last of each subject (2.10 to 2.15): it
is used only where the user asks for it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import inf
from typing import TYPE_CHECKING, Any, Protocol

from ..errors import ConsumptionEnded, NatsError, RequestTimeout
from ..headers import Headers
from .api import Api, to_json
from .status import Kind, error_of, kind_of

if TYPE_CHECKING:
    from ..nats import Nats

# Far below the 64 MiB at which a server closes the connection of a client that is too slow.
_WINDOW_BYTES = 8 * 1024 * 1024
# Requested before the size of any message is known; none is larger than 1 MiB on most servers.
_FIRST_BATCH = 32
_MISSED_HEARTBEATS = 2
# Seconds in which a server says something when it need not wait; two of them, see above.
_PROMPT = 1.5


@dataclass
class Window:
    """How much to keep requested.

    Attributes:
        batch: messages, at most.
        max_bytes: bytes, exactly; None: about 8 MiB.
        small: messages are known to be small.
        expires: ns for which one request stands.
        idle_heartbeat: ns between the signs of life of an idle server.
        threshold: fill the window up when this share of it is left.
        group: fields of priority groups for each request (ADR-42).
    """

    batch: int = 500
    max_bytes: int | None = None
    small: bool = False
    expires: int = 30_000_000_000
    idle_heartbeat: int = 5_000_000_000
    threshold: float = 0.5
    group: dict[str, Any] = field(default_factory=dict)


class Owner(Protocol):
    """Who pulls."""

    def on_message(
        self, subject: str, payload: bytes, reply: str | None, headers: Headers | None
    ) -> None:
        """A message came."""

    def on_alive(self) -> None:
        """There is nothing to deliver, but the consumer is there."""

    def on_idle(self) -> None:
        """All that there was has come. Only where the start said so."""

    def on_trouble(self, kind: Kind, err: NatsError) -> None:
        """The consumer does not deliver any more. The pull has stopped; it can be started again."""


class Pull:
    """Pulls for *owner*, from ``start`` to ``stop``."""

    def __init__(self, api: Api, window: Window, owner: Owner) -> None:
        self._api = api
        self._nats: Nats = api.nats
        self._window = window
        self._owner = owner
        self._batch = window.batch if window.small else min(window.batch, _FIRST_BATCH)
        self._set_thresholds()
        self._subject = ''
        self._inbox = ''
        self._sid: int | None = None
        self._no_wait = False
        self._paused = False
        self._messages = 0  # requested, and not here yet
        self._bytes = 0  # the same, where max_bytes was asked for
        self._came = self._size = 0  # messages since the window was filled, and their bytes
        self._heard = False
        self._silent = 0
        self._pin: str | None = None
        self._timer = api.nats.port.timer(self._tick)

    @property
    def active(self) -> bool:
        """Has it been started, and not stopped?"""
        return self._sid is not None

    def limit(self, config: Mapping[str, Any]) -> bool:
        """Keep within the limits of a consumer's *config*; False: it was within them before."""
        window = self._window
        before = window.batch, window.max_bytes, window.expires
        window.batch = min(window.batch, config.get('max_batch') or window.batch)
        window.expires = min(window.expires, config.get('max_expires') or window.expires)
        window.idle_heartbeat = min(window.idle_heartbeat, window.expires // 2)
        if window.max_bytes is not None:
            window.max_bytes = min(window.max_bytes, config.get('max_bytes') or window.max_bytes)
        self._batch = min(self._batch, window.batch)
        self._set_thresholds()
        return before != (window.batch, window.max_bytes, window.expires)

    def start(self, target: str, no_wait: bool = False) -> None:
        """Pull from *target*, ``<stream>.<consumer>``.

        Args:
            target: the consumer.
            no_wait: take what is there, then say ``on_idle`` instead of waiting for more.
        """
        self.stop()
        self._subject = self._api.subject(f'CONSUMER.MSG.NEXT.{target}')
        self._inbox = self._nats.new_inbox()
        try:
            self._sid = self._nats.subscribe(self._inbox, self._on_message)
        except NatsError as err:  # the client is being closed
            self._trouble(Kind.BUSY, err)
            return
        self._no_wait = no_wait
        self._heard = False
        self._silent = 0
        self._watch()
        self._fill()

    def wait(self) -> None:
        """From now on wait for more; after ``on_idle``."""
        self._no_wait = False
        self._watch()
        self._fill()

    def _watch(self) -> None:
        every = self._window.idle_heartbeat / 1e9
        if self._no_wait:  # answered at once, one way or the other
            every = min(every, _PROMPT)
        self._timer.start(every, every)

    def more(self) -> None:
        """Take what is there again; after ``on_idle``."""
        self._fill()

    def stop(self) -> None:
        """Stop; what is on its way is dropped."""
        self._timer.stop()
        if self._sid is not None:
            self._nats.unsubscribe(self._sid)
            self._sid = None
        self._messages = self._bytes = 0

    def close(self) -> None:
        """Stop for good."""
        self.stop()
        self._timer.close()

    def pause(self) -> None:
        """Request no more for now; what is requested still comes."""
        self._paused = True

    def resume(self) -> None:
        """Request again."""
        self._paused = False
        if self._sid is not None:
            self._heard = True
            self._fill_at_threshold()

    def unpin(self) -> None:
        """Forget that we are the pinned client."""
        self._pin = None

    def _fill(self) -> None:
        """Request what is missing from the window."""
        if self._paused:
            return
        window = self._window
        if self._came and window.max_bytes is None:
            self._batch = max(1, min(window.batch, _WINDOW_BYTES * self._came // self._size))
            self._set_thresholds()
            self._came = self._size = 0
        batch = self._batch - self._messages
        if batch <= 0:
            return
        request = {'batch': batch, **window.group}
        if window.max_bytes is not None:
            request['max_bytes'] = window.max_bytes - self._bytes
            self._bytes = window.max_bytes
        if self._no_wait:
            request['no_wait'] = True
        else:
            request['expires'] = window.expires
            request['idle_heartbeat'] = window.idle_heartbeat
        if self._pin is not None:
            request['id'] = self._pin
        self._messages += batch
        try:
            self._nats.publish(self._subject, to_json(request), self._inbox)
        except NatsError as err:
            self._trouble(Kind.BUSY, err)

    def _set_thresholds(self) -> None:
        """Set how few messages, or bytes, are left of the window when it is filled up."""
        window = self._window
        self._low = self._batch * window.threshold
        self._low_bytes = -inf if window.max_bytes is None else window.max_bytes * window.threshold

    def _fill_at_threshold(self) -> None:
        if self._messages <= self._low or self._bytes <= self._low_bytes:
            self._fill()

    def _trouble(self, kind: Kind, err: NatsError) -> None:
        self.stop()
        # Never from inside the call that started it.
        self._nats.call_soon(self._owner.on_trouble, kind, err)

    def _tick(self) -> None:
        if self._heard or (self._paused and self._messages <= 0):
            self._heard = False
            self._silent = 0
            return
        self._silent += 1
        if self._silent >= _MISSED_HEARTBEATS:
            self._trouble(Kind.ABSENT, RequestTimeout('the consumer has fallen silent'))

    def _on_message(
        self, subject: str, payload: bytes, reply: str | None, headers: Headers | None
    ) -> None:
        self._heard = True
        if reply is None:
            if headers is not None and headers.status is not None:
                self._on_status(headers)
            return
        size = len(payload) + len(subject) + len(reply)  # as the server counts
        if headers is not None:
            size += len(headers.raw)
            if self._window.group:
                self._pin = headers.get('Nats-Pin-Id', self._pin)
        self._messages -= 1
        self._bytes -= size
        self._came += 1
        self._size += size
        if self._messages <= self._low or self._bytes <= self._low_bytes:
            self._fill()
        self._owner.on_message(subject, payload, reply, headers)

    def _on_status(self, headers: Headers) -> None:
        kind = kind_of(headers)
        if kind is Kind.ALIVE:
            self._owner.on_alive()
            return
        if self._no_wait and headers.status in (404, 408):
            self._messages = self._bytes = 0
            self._owner.on_idle()
        elif kind is Kind.ENDED:
            self._on_ended(headers)
        elif kind is not Kind.EMPTY:  # that one is late: we wait already
            self._trouble(kind, error_of(headers))

    def _on_ended(self, headers: Headers) -> None:
        messages, size = headers.get('Nats-Pending-Messages'), headers.get('Nats-Pending-Bytes')
        if messages is None or size is None:
            self._messages = self._bytes = 0
        else:
            self._messages = max(0, self._messages - int(messages))
            self._bytes = max(0, self._bytes - int(size))
            most = self._window.max_bytes
            if headers.status == 409 and most is not None and int(size) >= most:
                text = f'a message is larger than max_bytes {most}'
                self._trouble(Kind.FATAL, ConsumptionEnded(text))
                return
        self._fill_at_threshold()
