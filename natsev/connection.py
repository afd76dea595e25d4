"""One connection's life: find the server, connect, shake hands, answer pings, end.

    resolving ──► connecting ──► handshake ──► ready ──► closed
    (unix: straight to connecting; every state may go to closed)

The handshake: the server speaks first (INFO), TLS is put in between where asked for, we send
CONNECT and a PING, and the PONG says that we are accepted. Whatever ends a connection goes through
``_end``.
Protocol: https://docs.nats.io/reference/reference-protocols/nats-protocol
"""

from __future__ import annotations

import errno
import json
import os
import re
import socket
from time import monotonic
from typing import Any, Protocol

from . import auth, native
from ._version import __version__
from .address import Address
from .errors import (
    AuthenticationError,
    ConnectError,
    DisconnectedError,
    NatsError,
    PermissionsError,
    ProtocolError,
    ServerError,
    StaleConnectionError,
)
from .loop import WRITE, Port, Timer, Watcher
from .options import Options
from .resolver import Found, Resolver
from .transport import Transport, tune
from .wire import YIELD, Err, Info, Ok, Ping, Pong, Wire

# Seconds of dispatching in one turn before other watchers of the loop have theirs.
_TURN = 0.002
_CONNECTING = frozenset({errno.EINPROGRESS, errno.EALREADY, errno.EWOULDBLOCK, errno.EINTR})
_PERMISSIONS = re.compile(
    r'permissions violation for (publish|subscription) to "([^"]*)"(?: using queue "([^"]*)")?',
    re.IGNORECASE,
)
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
        self._sock: socket.socket | None = None
        self._connecting: Watcher | None = None
        self._resolver: Resolver | None = None
        self._candidates: Found = []
        self._server_error: ServerError | None = None
        self._greeted = False
        self._unanswered = 0
        self._resuming = False
        self._closed = False
        self._timeout: Timer = port.timer(self._timed_out)
        self._pinger: Timer = port.timer(self._ping_due)
        if options.connect_timeout:
            self._timeout.start(options.connect_timeout / 1000)
        port.call_soon(self._start)

    # Finding and reaching the server.

    def _start(self) -> None:
        if self._closed:
            return
        if self.address.scheme == 'unix':
            self._candidates = [(socket.AF_UNIX, self.address.path)]
            self._connect_next(None)
        else:
            self._resolver = Resolver(
                self._port, self.address.host, self.address.port, self._resolved
            )

    def _resolved(self, found: Found, err: OSError | None) -> None:
        self._resolver = None
        self._candidates = found
        self._connect_next(err)

    def _connect_next(self, err: OSError | None) -> None:
        """Try the next of the addresses that the name has; *err* is what the last one gave."""
        if not self._candidates:
            reason = _reason(err) if err is not None else 'the name has no address'
            self._end(
                ConnectError(f'cannot connect to {self.address}: {reason}', str(self.address))
            )
            return
        family, target = self._candidates.pop(0)
        sock = native.socket(family, socket.SOCK_STREAM)
        sock.setblocking(False)
        try:
            code = sock.connect_ex(target)
        except OSError as failed:  # a socket path that is too long, say
            sock.close()
            self._connect_next(failed)
            return
        if code == 0:
            self._connected(sock)
        elif code in _CONNECTING:
            self._sock = sock
            self._connecting = self._port.io(sock.fileno(), WRITE, self._connect_done)
            self._connecting.start()
        else:
            sock.close()
            self._connect_next(OSError(code, os.strerror(code)))

    def _connect_done(self) -> None:
        sock, self._sock = self._sock, None
        assert sock is not None
        self._stop_connecting()
        code = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if code == 0:
            self._connected(sock)
        else:
            sock.close()
            self._connect_next(OSError(code, os.strerror(code)))

    def _stop_connecting(self) -> None:
        if self._connecting is not None:
            self._connecting.close()
            self._connecting = None

    def _connected(self, sock: socket.socket) -> None:
        tune(sock, self._options.keepalive)
        self._transport = Transport(
            self._port, sock, self._wire, self._process, self._hung_up, self._options.priority
        )

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
                self._informed(data)
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

    def _informed(self, data: bytes) -> None:
        try:
            info = json.loads(data)
        except (ValueError, RecursionError):
            info = None
        if not isinstance(info, dict):
            self._end(ProtocolError('INFO is not a JSON object'))
            return
        self.info = info
        self._owner.connection_info(info)
        if not (self._greeted or self._closed):
            self._greeted = True
            self._greet()

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
            'tls_required': options.tls or self.address.scheme in ('tls', 'wss'),
        }
        if options.name is not None:
            connect['name'] = options.name
        return connect | auth.connect_fields(options, self.address, self.info.get('nonce'))

    def _ponged(self) -> None:
        self._unanswered = 0
        if self.ready:
            self._owner.connection_pong()
        elif self._greeted:
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
        self._end(ConnectError(f'cannot connect to {self.address}: timeout', str(self.address)))

    def _hung_up(self, err: Exception | None) -> None:
        if self._server_error is not None:
            self._end(self._server_error)
        elif self.ready:
            self._end(
                DisconnectedError(_reason(err) if err else 'the server closed the connection')
            )
        else:
            reason = _reason(err) if err else 'the server closed the connection'
            self._end(
                ConnectError(f'cannot connect to {self.address}: {reason}', str(self.address))
            )

    def _end(self, err: NatsError) -> None:
        if not self._closed:
            self.close()
            self._owner.connection_ended(self, err)

    def close(self) -> None:
        """Let go of the socket and of every watcher, without a word to the owner."""
        self._closed = True
        self.ready = False
        self._timeout.close()
        self._pinger.close()
        self._stop_connecting()
        if self._resolver is not None:
            self._resolver.cancel()
            self._resolver = None
        if self._sock is not None:
            self._sock.close()
            self._sock = None
        if self._transport is not None:
            self._transport.close()


def server_error(text: str) -> ServerError:
    """Return the error for the text of an ``-ERR``."""
    lower = text.lower()
    found = _PERMISSIONS.search(text)
    if found is not None:
        return PermissionsError(text, found[1].lower(), found[2], found[3])
    if 'authentication expired' in lower:
        return AuthenticationError(text, 'expired')
    if 'authentication revoked' in lower:
        return AuthenticationError(text, 'revoked')
    if 'authentication timeout' in lower:
        return AuthenticationError(text, 'timeout')
    if 'authorization violation' in lower or 'authentication' in lower:
        return AuthenticationError(text, 'violation')
    return ServerError(text)


def _reason(err: BaseException) -> str:
    if isinstance(err, OSError) and err.strerror:
        return err.strerror.lower()
    return str(err) or type(err).__name__
