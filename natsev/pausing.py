"""Subscriptions that pause: their messages wait, up to a limit."""

from __future__ import annotations

from collections import deque
from time import monotonic
from typing import Any, Protocol

from .callbacks import arity
from .calls import Core
from .errors import NatsError, SlowConsumerError
from .wire import Wire

# What may wait for one subscription where nothing else is said.
MOST_MESSAGES = 65_536
MOST_BYTES = 64 * 1024 * 1024
# Seconds of delivering what waited in one turn before other watchers of the loop have theirs.
_TURN = 0.002


class PausingClient(Core, Protocol):
    """What pausing needs of the client."""

    def report(self, err: NatsError) -> None:
        """Hand *err* to ``on_error``, or log it."""

    def emit(self, name: str, *args: Any) -> None:
        """Call the user's callback *name*, if there is one."""


class Paused:
    """A subscription whose messages wait until ``resume()``, and then until they are delivered."""

    def __init__(self, pausing: Pausing, sid: int, callback: Any) -> None:
        self.callback = callback
        self.most_messages = MOST_MESSAGES
        self.most_bytes = MOST_BYTES
        self.paused = True
        self.bytes = 0
        self.messages: deque[tuple[str, bytes, str | None, Any]] = deque()
        self._pausing = pausing
        self._sid = sid
        self._nargs = arity(callback, 4)
        self._dropped = 0
        self._slow = False

    def arrived(self, subject: str, payload: bytes, reply: str | None, headers: Any) -> None:
        """Keep a message, or drop it where too much waits already."""
        size = len(payload) + (0 if headers is None else len(headers.raw))
        if len(self.messages) >= self.most_messages or self.bytes + size > self.most_bytes:
            self._drop()
            return
        self.bytes += size
        self.messages.append((subject, payload, reply, headers))

    def _drop(self) -> None:
        self._dropped += 1
        if not self._slow:  # told once until all that waits has been delivered
            self._slow = True
            self._pausing.client.call_soon(self._tell)

    def _tell(self) -> None:
        self._pausing.client.report(SlowConsumerError(self._sid, self._dropped))
        self._pausing.client.emit('on_slow_consumer', self.bytes)

    def deliver(self) -> None:
        """Deliver what waits; a bounded time in one turn."""
        until = monotonic() + _TURN
        while self.messages and monotonic() < until:
            if not self._goes_on():
                return
            message = self.messages.popleft()
            headers = message[3]
            self.bytes -= len(message[1]) + (0 if headers is None else len(headers.raw))
            self._pausing.client.run_callback(self.callback, *message[: self._nargs])
        if self._goes_on():
            if self.messages:
                self._pausing.client.call_soon(self.deliver)
            else:
                self._pausing.ended(self._sid, self, self._nargs)

    def _goes_on(self) -> bool:
        return not self.paused and self._pausing.has(self._sid, self)


class Pausing:
    """The paused subscriptions of one client.

    Args:
        client: whose callbacks are called.
        wire: the table of subscriptions.
    """

    def __init__(self, client: PausingClient, wire: Wire) -> None:
        self.client = client
        self._wire = wire
        self._paused: dict[int, Paused] = {}

    def pause(self, sid: int, most_messages: int | None, most_bytes: int | None) -> None:
        """Let the messages of *sid* wait.

        Raises:
            ValueError: there is no such subscription.
        """
        paused = self._paused.get(sid)
        if paused is None:
            callback = self._wire.callback(sid)
            if callback is None:
                raise ValueError(f'there is no subscription {sid!r}')
            paused = self._paused[sid] = Paused(self, sid, callback)
            self._wire.replace(sid, paused.arrived, 4)
        paused.paused = True
        if most_messages is not None:
            paused.most_messages = most_messages
        if most_bytes is not None:
            paused.most_bytes = most_bytes

    def resume(self, sid: int) -> None:
        """Deliver what waits for *sid*, in its order, and then what comes."""
        paused = self._paused.get(sid)
        if paused is not None and paused.paused:
            paused.paused = False
            self.client.call_soon(paused.deliver)

    def waiting(self, sid: int) -> tuple[int, int]:
        """Return how many messages, and bytes, wait for *sid*."""
        paused = self._paused.get(sid)
        return (0, 0) if paused is None else (len(paused.messages), paused.bytes)

    def forget(self, sid: int) -> None:
        """Drop what waits for *sid*, which is unsubscribed."""
        self._paused.pop(sid, None)

    def has(self, sid: int, paused: Paused) -> bool:
        """Is *paused* still that of *sid*?"""
        return self._paused.get(sid) is paused

    def ended(self, sid: int, paused: Paused, nargs: int) -> None:
        """All that waited has been delivered."""
        del self._paused[sid]
        self._wire.replace(sid, paused.callback, nargs)
