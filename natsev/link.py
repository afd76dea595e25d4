"""The client's connection over time: connects, reconnects, gives up, closes.

    IDLE ─open─► CONNECTING ◄──────► WAITING        (between attempts)
                     │  ▲
                     ▼  │ lost
                  CONNECTED ─close─► CLOSED         (open starts again)

One wire lives through all connections: it keeps the subscriptions, the requests and what is still
to be written. Whatever ends the link for good goes through ``_finish``.
"""

from __future__ import annotations

import enum
import logging
from collections import deque
from collections.abc import Callable
from time import monotonic
from typing import Any, Protocol

from .connection import Connection
from .errors import (
    AuthenticationError,
    DisconnectedError,
    ForkedError,
    MaxPayloadError,
    NatsError,
    ServerError,
)
from .loop import Port
from .options import Options
from .pool import Member, Pool
from .wire import Request, Wire

_log = logging.getLogger('natsev')

# ms that closing may take where connect_timeout sets no limit.
_CLOSE_WITHIN = 2000
# Seconds that the last answers of a server that shuts down may take, and between looks at them.
_LEAVE_WITHIN = 2.0
_LOOK_EVERY = 0.02
# A connection that stood so many seconds, or brought a message, was one.
_PROVED_AFTER = 1.0


class State(enum.Enum):
    """Where a link is in its life; see the drawing above."""

    IDLE = enum.auto()
    CONNECTING = enum.auto()
    WAITING = enum.auto()
    CONNECTED = enum.auto()
    CLOSED = enum.auto()


class Client(Protocol):
    """What a link tells the client."""

    def emit(self, name: str, *args: Any) -> None:
        """Call the user's callback *name*, if there is one."""

    def report(self, err: NatsError) -> None:
        """Hand *err* to ``on_error``, or log it."""

    def link_lost(self, requests: list[Request], err: NatsError) -> None:
        """*requests* will not be answered any more."""

    def link_refused(self, request: Request | None, err: NatsError) -> None:
        """A queued message, or *request*, is not what this server takes."""

    def link_up(self, first: bool) -> None:
        """The connection stands; what was queued has been put into the output."""

    def link_down(self, err: NatsError) -> None:
        """The connection was lost; another one is on its way."""

    def link_closed(self, requests: list[Request], err: NatsError) -> None:
        """The link is closed for good, *requests* with it; leave the loop."""

    def link_info(self, info: dict[str, Any]) -> None:
        """An INFO came."""

    def link_error(self, err: ServerError) -> None:
        """The server complained, and the connection goes on (or is hung up next)."""

    def callback_raised(self, exc: Exception) -> None:
        """One of the user's callbacks raised."""


PongCallback = Callable[[NatsError | None], None]


class Link:
    """Keeps a wire connected to one of the servers.

    Args:
        port: the loop.
        wire: the client's wire.
        options: the client's options, read anew at each use.
        client: who is told.
    """

    def __init__(self, port: Port, wire: Wire, options: Options, client: Client) -> None:
        self.state = State.IDLE
        self.info: dict[str, Any] = {}
        self.reconnects = 0
        self.callback_raised = client.callback_raised
        self._port = port
        self._wire = wire
        self._options = options
        self._client = client
        self._pool = Pool(options.servers, not options.no_randomize)
        self._connection: Connection | None = None
        self._member: Member | None = None
        self._was_connected = False
        self._closing = False
        self._forced = False
        self._ready_at = 0.0
        self._msgs_in = 0
        self._reported: NatsError | None = None
        self._last_error: NatsError | None = None
        self._lame_duck = False
        # Our PINGs in the order of their PONGs: number of the frame, who waits.
        self._pings: deque[tuple[int, PongCallback | None]] = deque()
        self._delay = port.timer(self._attempt)
        self._close_timer = port.timer(self._close_now)
        self._leaving = port.timer(self._leave_when_answered)
        self._leave_by = 0.0
        wire.max_output = options.reconnect_buffer_size

    # Opening.

    def open(self) -> None:
        """Connect to the servers of the options."""
        self._pool.replace(self._options.servers)
        self._closing = self._was_connected = self._lame_duck = False
        self._last_error = None
        self._wire.refused = None
        self._wire.max_output = self._options.reconnect_buffer_size
        self._choose()
        self._attempt()

    def set_servers(self) -> None:
        """Take the options' servers as the pool; the present connection stays."""
        self._pool.replace(self._options.servers)

    def reconnect_now(self) -> None:
        """Leave the present server, or the wait for the next attempt, and connect at once."""
        connection = self._connection
        if self._closing:
            return
        if self.state is State.CONNECTED and connection is not None:
            connection.leave()
            self._forced = True
            self.connection_ended(connection, DisconnectedError('reconnecting as asked'))
            self._forced = False
        if self.state is State.WAITING:
            self._delay.start(0)

    def _choose(self) -> bool:
        self._member = self._pool.next(self._options.max_reconnect_attempts)
        return self._member is not None

    def _attempt(self) -> None:
        assert self._member is not None
        self.state = State.CONNECTING
        self._connection = Connection(
            self._port, self._wire, self._member.address, self._options, self
        )

    def _attempt_later(self) -> None:
        if not self._choose():
            self._finish(self._last_error or DisconnectedError('no server is left to try'))
            return
        assert self._member is not None
        options = self._options
        delay = self._pool.delay(self._member, options.reconnect_delay, options.max_reconnect_delay)
        self.state = State.WAITING
        self._delay.start(delay / 1000)

    # What the connection tells.

    def connection_ready(self, connection: Connection) -> None:
        wire, first = self._wire, not self._was_connected
        self._ready_at = monotonic()
        self._msgs_in = wire.msgs_in
        self.state = State.CONNECTED
        self._was_connected = True
        self._reported = None
        if not first:
            self.reconnects += 1
        for size, request in wire.drop_larger(wire.max_payload):
            self._client.link_refused(request, MaxPayloadError(size, wire.max_payload))
        wire.live = True
        wire.max_output = self._options.write_buffer_size
        wire.prepend(wire.restore())
        connection.flush()
        if self._closing:
            self._ping_and_close()
            return
        self._client.link_up(first)

    def connection_info(self, info: dict[str, Any]) -> None:
        self.info = info
        self._client.link_info(info)
        self._discover(info)
        if info.get('ldm') is True and not self._lame_duck:
            self._lame_duck = True
            self._client.emit('on_lame_duck')
            self._leave_lame_duck()

    def connection_error(self, err: ServerError) -> None:
        self._reported = err
        self._client.link_error(err)

    def connection_pong(self) -> None:
        if self._pings:
            _, callback = self._pings.popleft()
            if callback is not None:
                callback(None)

    def connection_ping(self) -> None:
        self.ping(None)

    def connection_ended(self, connection: Connection, err: NatsError) -> None:
        if connection is not self._connection:
            return
        self._connection = None
        self._last_error = err
        self._lame_duck = False
        self._leaving.stop()
        was_up = self.state is State.CONNECTED
        self.state = State.WAITING
        self._judge(was_up and self._proved_useful(), err)
        if was_up:
            assert self._member is not None
            self._pool.put_last(self._member)
            self._went_down(err)
        else:
            _log.info('cannot connect to %s: %s', connection.address, err)
            self._wire.lost()  # half a frame may have come
        if self.state is not State.WAITING:
            return  # a callback closed or opened the client
        if self._closing:
            self._finish(None)
        elif self._tries_again():
            if isinstance(err, AuthenticationError) and err is not self._reported:
                self._client.report(err)
            self._attempt_later()
        else:
            self._finish(err)

    def _tries_again(self) -> bool:
        if self._was_connected:
            return self._options.reconnect or self._forced
        return self._options.retry_first

    def _proved_useful(self) -> bool:
        """Was it more than a server that accepts us and hangs up?"""
        return self._wire.msgs_in != self._msgs_in or monotonic() - self._ready_at > _PROVED_AFTER

    def _judge(self, useful: bool, err: NatsError) -> None:
        member = self._member
        if member is None:
            return
        if useful:
            member.failures = member.refusals = 0
            return
        member.failures += 1
        # A file we could not read, or a slow network, says nothing about the server's opinion.
        if isinstance(err, AuthenticationError) and err.reason not in ('credentials', 'timeout'):
            member.refusals += 1

    def _went_down(self, err: NatsError) -> None:
        wire = self._wire
        wire.live = False
        wire.max_output = self._options.reconnect_buffer_size
        requests = wire.lost()
        pings = self._lost_pings(lambda frame: frame <= wire.frames_sent)
        self._client.link_lost(requests, err)
        _fail(pings, err)
        if not self._closing:
            self._client.emit('on_disconnect', err)
            self._client.link_down(err)

    def _discover(self, info: dict[str, Any]) -> None:
        urls = info.get('connect_urls')
        member = self._member
        if self._options.ignore_discovered or not isinstance(urls, list) or member is None:
            return
        new = self._pool.discover(urls, member) if member.address.host else []
        if new:
            self._client.emit('on_discovered_servers', new)

    # A server that is about to shut down: we hold back what is new, wait for the answers to what
    # was sent, and go on at another server, so that no call is lost.

    def _leave_lame_duck(self) -> None:
        if self._options.reconnect and len(self._pool) > 1 and self.state is State.CONNECTED:
            self._wire.live = False
            self._leave_by = monotonic() + _LEAVE_WITHIN
            self._leaving.start(0.0, _LOOK_EVERY)

    def _stay(self) -> None:
        if self._leaving.active:
            self._leaving.stop()
            self._wire.live = True
            self.schedule_flush()

    def _leave_when_answered(self) -> None:
        if self._awaits_answers() and monotonic() < self._leave_by:
            return
        self._leaving.stop()
        self.reconnect_now()

    def _awaits_answers(self) -> bool:
        sent = self._wire.frames_sent
        return any(frame <= sent for frame, callback in self._pings if callback is not None) or any(
            not request.multi and request.frame <= sent for request in self._wire.requests.values()
        )

    # Pings.

    def ping(self, callback: PongCallback | None) -> None:
        """Send a PING; *callback(err)* is called with its PONG, or when it cannot come any more."""
        self._pings.append((self._wire.ping(), callback))

    def _lost_pings(self, lost: Callable[[int], bool]) -> list[PongCallback]:
        """Take out the pings whose frames are *lost*; return who waits for them."""
        gone = [callback for frame, callback in self._pings if lost(frame)]
        self._pings = deque(ping for ping in self._pings if not lost(ping[0]))
        return [callback for callback in gone if callback is not None]

    # Writing, as the wire asks for it.

    def schedule_flush(self) -> None:
        """Write what the wire has to say in the next turn."""
        if self._connection is not None:
            self._connection.schedule_flush()

    def flush_now(self) -> None:
        """Write what the wire has to say now."""
        if self._connection is not None and self.state is State.CONNECTED:
            self._connection.flush()

    def read_now(self) -> None:
        """Look whether something has come, before deciding that nothing did."""
        if self._connection is not None:
            self._connection.read_now()

    def options_changed(self) -> None:
        """Let the present connection follow the options' ``ping_interval`` and ``priority``."""
        if self._connection is not None:
            self._connection.ping_interval_changed()
            self._connection.set_priority(self._options.priority)

    # Closing.

    def close(self) -> None:
        """Write what is buffered, for at most ``connect_timeout``; then close."""
        if self._closing or self.state is State.CLOSED:
            return
        self._closing = True
        self._wire.refused = DisconnectedError('closed')
        self._close_timer.start((self._options.connect_timeout or _CLOSE_WITHIN) / 1000)
        if self.state is State.CONNECTED:
            self._stay()
            self._ping_and_close()
        elif self.state is State.IDLE or not (self._wire.waiting or self._pings):
            self._port.call_soon(self._close_now)
        elif self.state is State.WAITING:
            self._delay.start(0)

    def abandon(self) -> None:
        """We are the copy in a forked process: let go of the parent's connection, in silence."""
        self.state = State.CLOSED
        self._closing = False
        self._stop_timers()
        self._pings.clear()
        self._close_connection()
        self._wire.live = False
        self._wire.refused = ForkedError()
        self._wire.clear()

    def _ping_and_close(self) -> None:
        # The PONG says that the server has dealt with all we wrote: closing a socket under unread
        # bytes may reset the connection and take what we wrote with it.
        self.ping(lambda err: self._port.call_soon(self._close_now))

    def _close_now(self) -> None:
        if self._closing:
            self._finish(None)

    def _finish(self, err: NatsError | None) -> None:
        if self.state is State.CLOSED:
            return
        self.state = State.CLOSED
        self._closing = False
        self._stop_timers()
        if err is None and self._connection is not None:
            self._connection.leave()
        self._close_connection()
        wire = self._wire
        wire.live = False
        wire.refused = DisconnectedError(str(err) if err else 'closed')
        reason = err or DisconnectedError('closed')
        pings = self._lost_pings(lambda frame: True)
        self._client.link_closed(wire.clear(), reason)
        _fail(pings, reason)
        if err is None:
            self._client.emit('on_disconnect', None)
        elif err is not self._reported:
            self._client.report(err)
        if self.state is State.CLOSED:  # a callback may have connected again
            self._client.emit('on_close')

    def _stop_timers(self) -> None:
        for timer in (self._delay, self._close_timer, self._leaving):
            timer.stop()

    def _close_connection(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()


def _fail(pings: list[PongCallback], err: NatsError) -> None:
    for callback in pings:
        callback(DisconnectedError(str(err)))
