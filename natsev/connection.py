"""One connection's life: reach the server, say who we are, answer pings, end.

    dialing ──► opening ──► greeting ──► ready ──► closed      (every state may go to closed)

Opening ends with the server's INFO. Then we send CONNECT and a PING, and the PONG says that we are
accepted. Whatever ends a connection goes through ``_end``.
Protocol: https://docs.nats.io/reference/reference-protocols/nats-protocol
"""

from __future__ import annotations

import json
import socket
from time import monotonic
from typing import Any, Protocol

from . import auth
from ._version import __version__
from .address import Address
from .dialer import Dialer
from .errors import (
    ConnectError,
    DisconnectedError,
    NatsError,
    ProtocolError,
    ServerError,
    StaleConnectionError,
    server_error,
)
from .loop import Port, Timer
from .opening import Opening, parse_info_json
from .options import Options
from .streams import Plain, Stream
from .tls import reason
from .tracing import traced
from .transport import Transport
from .wire import YIELD, Err, Info, Ok, Ping, Pong, Wire

# Seconds of dispatching in one turn before other watchers of the loop have theirs.
_TURN = 0.002
# After these the server keeps the connection open.
_NOT_FATAL = (
    'permissions violation',
    'invalid subject',
    'invalid publish subject',
    'maximum subscriptions exceeded',
    'invalid client protocol',
)


class Owner(Protocol):
    """What a connection tells the client."""

    def connection_ready(self, connection: Connection) -> None:
        """The server accepted us: the wire may go live."""

    def connection_info(self, info: dict[str, Any]) -> None:
        """An INFO came, the first or a later one."""

    def connection_error(self, err: ServerError) -> None:
        """The server complained; the connection goes on."""

    def connection_pong(self) -> None:
        """A PONG came for the oldest PING of ours."""

    def connection_ping(self) -> None:
        """It is time to send a PING."""

    def callback_raised(self, exc: Exception) -> None:
        """One of the user's callbacks raised."""

    def connection_ended(self, connection: Connection, err: NatsError) -> None:
        """The connection is gone, or never stood. Called once, unless ``close`` was called
        before."""


class Connection:
    """Connects to one server at once, and tells *owner* how it goes.

    Args:
        port: the loop.
        wire: the client's wire; the connection drives its I/O side.
        address: the server.
        options: the client's options.
        owner: who is told.
    """

    def __init__(
        self, port: Port, wire: Wire, address: Address, options: Options, owner: Owner
    ) -> None:
        self.address = address
        self.info: dict[str, Any] = {}
        self.ready = False
        self._port = port
        self._wire = wire
        self._options = options
        self._owner = owner
        self._transport: Transport | None = None
        self._opening: Opening | None = None
        self._server_error: ServerError | None = None
        self._unanswered = 0
        self._resuming = False
        self._closed = False
        self._secured = False
        self._timeout: Timer = port.timer(self._timed_out)
        self._pinger: Timer = port.timer(self._ping_due)
        if options.connect_timeout:
            self._timeout.start(options.connect_timeout / 1000)
        self._dialer: Dialer | None = Dialer(port, address, options.keepalive, self._dialed)

    # Reaching the server.

    def _dialed(self, sock: socket.socket | None, err: Exception | None) -> None:
        self._dialer = None
        if sock is None:
            assert err is not None
            self._failed(err)
        else:
            self._opening = Opening(
                self._port, Plain(sock), self.address, self._options, self._opened, self._failed
            )

    def _opened(self, stream: Stream, info: dict[str, Any], rest: bytes) -> None:
        assert self._opening is not None
        self._secured = self._opening.secured
        self._opening = None
        self._transport = Transport(
            self._port,
            traced(stream, rest),
            self._wire,
            self._process,
            self._hung_up,
            self._options.priority,
        )
        self._informed(info)
        if not self._closed:
            self._greet()
        if rest and not self._closed:
            self._wire.feed(rest)
            self._process()

    def _failed(self, exc: Exception) -> None:
        if isinstance(exc, NatsError):
            self._end(exc)
            return
        text = f'cannot connect to {self.address}: {reason(exc)}'
        err = ConnectError(text, str(self.address))
        err.__cause__ = exc
        self._end(err)

    # What comes from the server.

    def _process(self) -> None:
        """Dispatch what has been received; a bounded time in one turn."""
        wire, transport = self._wire, self._transport
        assert transport is not None
        started = monotonic()
        try:
            while (event := wire.next_event()) is not None:
                if event is YIELD:
                    if monotonic() - started > _TURN:
                        self._resume_later()
                        break
                    continue
                self._handle(event)
                if self._closed:
                    return
        except ProtocolError as err:
            self._end(err)
            return
        except BaseException:  # KeyboardInterrupt and its like break the loop, not the dispatching
            self._resume_later()
            raise
        if wire.pending:
            transport.flush()

    def _resume_later(self) -> None:
        if self._transport is not None and not (self._resuming or self._transport.closed):
            self._resuming = True
            self._transport.pause_reading()
            self._port.call_soon(self._resume)

    def _resume(self) -> None:
        self._resuming = False
        if self._transport is not None and not self._transport.closed:
            self._transport.resume_reading()
            self._process()

    def _handle(self, event: Info | Err | Ping | Pong | Ok) -> None:
        match event:
            case Info(data):
                self._informed(parse_info_json(data))
            case Ping():
                self._write(b'PONG\r\n')
            case Pong():
                self._ponged()
            case Err(text):
                self._complained(text)
            case Ok():
                pass  # verbose mode

    def _write(self, frame: bytes) -> None:
        if self.ready:
            self._wire.control(frame)
        elif self._transport is not None:
            self._transport.write_first(frame)

    def _informed(self, info: dict[str, Any]) -> None:
        self.info = info
        self._owner.connection_info(info)

    def _greet(self) -> None:
        try:
            connect = self._connect_options()
        except NatsError as err:
            self._end(err)
            return
        text = json.dumps(connect, separators=(',', ':'))
        assert self._transport is not None
        self._transport.write_first(f'CONNECT {text}\r\nPING\r\n'.encode())

    def _connect_options(self) -> dict[str, Any]:
        options = self._options
        connect: dict[str, Any] = {
            'verbose': options.verbose,
            'pedantic': options.pedantic,
            'echo': options.echo,
            'headers': True,
            'no_responders': options.no_responders,
            'protocol': 1,
            'lang': 'python-natsev',
            'version': __version__,
            'tls_required': self._secured,
        }
        if options.name is not None:
            connect['name'] = options.name
        nonce = self.info.get('nonce')
        return connect | auth.connect_fields(
            options,
            self.address,
            nonce if isinstance(nonce, str) else None,
            self._owner.callback_raised,
        )

    def _ponged(self) -> None:
        self._unanswered = 0
        if self.ready:
            self._owner.connection_pong()
        else:
            self._become_ready()

    def _become_ready(self) -> None:
        self.ready = True
        self._timeout.stop()
        self.ping_interval_changed()
        self._owner.connection_ready(self)

    def _complained(self, text: str) -> None:
        err = server_error(text)
        if self.ready and text.lower().startswith(_NOT_FATAL):
            self._owner.connection_error(err)
        elif self.ready:
            self._server_error = err  # the server hangs up next
            self._owner.connection_error(err)
        else:
            self._end(err)

    # Pings of ours.

    def ping_interval_changed(self) -> None:
        """Start the timer of our pings anew, with the interval that the options say now."""
        interval = self._options.ping_interval / 1000
        if interval and self.ready:
            self._pinger.start(interval, interval)
        else:
            self._pinger.stop()

    def _ping_due(self) -> None:
        if self._unanswered >= self._options.max_pings_outstanding:
            self._end(StaleConnectionError('the server does not answer pings'))
            return
        self._unanswered += 1
        self._owner.connection_ping()

    # Writing, as the wire asks for it.

    def schedule_flush(self) -> None:
        """Write what the wire has to say in the next turn."""
        if self._transport is not None:
            self._transport.schedule_flush()

    def flush(self) -> None:
        """Write what the wire has to say now."""
        if self._transport is not None:
            self._transport.flush()

    def read_now(self) -> None:
        """Look whether something has come, before deciding that nothing did."""
        if self._transport is not None and not self._resuming:
            self._transport.poll()

    def set_priority(self, priority: int) -> None:
        """Give the watchers another libev priority."""
        if self._transport is not None:
            self._transport.set_priority(priority)

    # The end.

    def _timed_out(self) -> None:
        self._failed(OSError('timeout'))

    def _hung_up(self, err: Exception | None) -> None:
        if err is None:
            err = ConnectionError('the server closed the connection')
        if self._server_error is not None:
            self._end(self._server_error)
        elif self.ready:
            self._end(DisconnectedError(reason(err)))
        else:
            self._failed(err)

    def _end(self, err: NatsError) -> None:
        if not self._closed:
            self.close()
            self._owner.connection_ended(self, err)

    def leave(self) -> None:
        """Close in good order: the server is told."""
        if self._transport is not None:
            self._transport.leave()
        self.close()

    def close(self) -> None:
        """Let go of the socket and of every watcher, without a word to the owner."""
        self._closed = True
        self.ready = False
        self._timeout.close()
        self._pinger.close()
        if self._dialer is not None:
            self._dialer.cancel()
        if self._opening is not None:
            self._opening.cancel()
        if self._transport is not None:
            self._transport.close()
