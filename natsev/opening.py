"""From a connected socket to a server's INFO: TLS, WebSocket, and the first line.

    socket ──► TLS (wss://, tls_first) ──► WebSocket (ws://, wss://) ──► INFO ──► TLS (as asked)
                                                                                  │
                                                              stream, INFO, rest ◄┘

Nothing that comes before TLS reaches the wire: who sits between us and the server could put
messages there.
"""

from __future__ import annotations

import json
import ssl
from collections.abc import Callable
from typing import Any

from .address import Address
from .errors import NatsError, ProtocolError, server_error
from .jobs import Job
from .loop import READ, Port, Watcher
from .options import Options
from .streams import Stream
from .tls import TlsStream
from .websocket import WebSocketStream

# More is no INFO, whatever it is.
_MOST_INFO = 1024 * 1024
_SHOWN = 40

Done = Callable[[Stream, dict[str, Any], bytes], None]
Failed = Callable[[Exception], None]


class Opening:
    """Brings a new connection to where CONNECT can be sent.

    Args:
        port: the loop.
        stream: a connected socket; the opening owns it until it is done.
        address: the server.
        options: the client's options.
        done: called once as ``done(stream, info, rest)``, with the bytes that came after INFO.
        failed: or once as ``failed(exception)``, with the stream closed.
    """

    def __init__(
        self,
        port: Port,
        stream: Stream,
        address: Address,
        options: Options,
        done: Done,
        failed: Failed,
    ) -> None:
        self.secured = False
        self._port = port
        self._stream = stream
        self._address = address
        self._options = options
        self._done = done
        self._failed = failed
        self._watcher: Watcher | None = None
        self._job: Job[ssl.SSLContext] | None = None
        self._line = bytearray()
        self._over = False
        port.call_soon(self._start)

    def cancel(self) -> None:
        """Give up and close the stream, without a word."""
        if not self._over:
            self._end()
            self._stream.close()

    def _end(self) -> None:
        self._over = True
        self._stop_watching()
        if self._job is not None:
            self._job.cancel()

    def _fail(self, exc: Exception) -> None:
        self.cancel()
        self._failed(exc)

    # The steps.

    def _start(self) -> None:
        scheme = self._address.scheme
        if self._over:
            return
        if scheme == 'wss' or (self._options.tls_first and scheme != 'ws'):
            self._secure(self._secured_first)
        else:
            self._secured_first()

    def _secured_first(self) -> None:
        address = self._address
        if address.scheme in ('ws', 'wss'):
            host = f'[{address.host}]' if ':' in address.host else address.host
            stream = WebSocketStream(self._stream, f'{host}:{address.port}', address.path)
            self._shake(stream, self._await_info)
        else:
            self._await_info()

    def _await_info(self) -> None:
        self._watch(READ, self._read_info)
        if self._stream.held:
            self._read_info()

    def _read_info(self) -> None:
        buffer = memoryview(bytearray(4096))
        while True:
            try:
                n = self._stream.recv_into(buffer)
            except BlockingIOError:
                return
            except OSError as err:
                self._fail(err)
                return
            if n == 0:
                self._fail(ConnectionError('the server closed the connection'))
                return
            self._line += buffer[:n]
            if b'\n' in buffer[:n].tobytes() or len(self._line) > _MOST_INFO:
                break
        self._stop_watching()
        line, _, rest = bytes(self._line).partition(b'\n')
        try:
            info = parse_info(line)
        except NatsError as err:
            self._fail(err)
            return
        self._informed(info, rest)

    def _informed(self, info: dict[str, Any], rest: bytes) -> None:
        wanted = self._options.wants_tls or self._address.scheme == 'tls'
        required = info.get('tls_required') is True
        if self.secured or self._address.scheme in ('ws', 'wss') or not (wanted or required):
            self._end()
            self._done(self._stream, info, rest)
        elif rest:
            self._fail(_before_tls(rest))
        elif not (required or info.get('tls_available') is True):
            self._fail(ConnectionError('the server does not offer TLS'))
        else:
            self._secure(lambda: self._secured_last(info))

    def _secured_last(self, info: dict[str, Any]) -> None:
        self._end()
        self._done(self._stream, info, b'')

    # TLS.

    def _secure(self, then: Callable[[], None]) -> None:
        self.secured = True
        context = self._options.ssl_context
        if context is not None:
            self._secure_with(context, then)
            return

        def read(context: ssl.SSLContext | None, exc: Exception | None) -> None:
            self._job = None
            if context is not None:
                self._secure_with(context, then)
            else:
                assert exc is not None
                self._fail(exc)

        self._job = Job(self._port, self._options.tls_files.context, read)

    def _secure_with(self, context: ssl.SSLContext, then: Callable[[], None]) -> None:
        name = self._options.tls_hostname or self._address.tls_name or self._address.host
        if context.check_hostname and not name:
            self._fail(ValueError('TLS over a Unix socket needs tls_hostname'))
            return
        try:
            stream = TlsStream(self._stream, context, name or None)
        except ValueError as err:
            self._fail(err)
        else:
            self._shake(stream, then)

    # Handshakes.

    def _shake(self, stream: Stream, then: Callable[[], None]) -> None:
        self._stream = stream
        self._go_on(then)

    def _go_on(self, then: Callable[[], None]) -> None:
        self._stop_watching()
        try:
            waits_for = self._stream.handshake()
        except OSError as err:
            self._fail(err)
            return
        if waits_for:
            self._watch(waits_for, lambda: self._go_on(then))
        else:
            then()

    def _watch(self, events: int, callback: Callable[[], None]) -> None:
        self._watcher = self._port.io(self._stream.fileno(), events, callback)
        self._watcher.start()

    def _stop_watching(self) -> None:
        if self._watcher is not None:
            self._watcher.close()
            self._watcher = None


def parse_info(line: bytes) -> dict[str, Any]:
    """Return what the first line of a server says.

    Raises:
        ServerError: it is an ``-ERR``.
        ProtocolError: it is no INFO.
    """
    kind, _, data = line.strip().partition(b' ')
    if kind.upper() == b'-ERR':
        raise server_error(data.decode('utf-8', 'replace').strip(" '"))
    if kind.upper() != b'INFO':
        shown = line[:_SHOWN].decode('ascii', 'backslashreplace')
        raise ProtocolError(f'this is no NATS server: it says {shown!r}')
    return parse_info_json(data)


def parse_info_json(data: bytes) -> dict[str, Any]:
    """Return the object of an INFO.

    Raises:
        ProtocolError: it is none.
    """
    try:
        info = json.loads(data)
    except (ValueError, RecursionError):
        info = None
    if not isinstance(info, dict):
        raise ProtocolError('INFO is not a JSON object')
    return info


def _before_tls(rest: bytes) -> NatsError:
    try:
        parse_info(rest.partition(b'\n')[0])
    except NatsError as err:
        if not isinstance(err, ProtocolError):
            return err
    return ProtocolError('the server sent more than INFO before TLS')
