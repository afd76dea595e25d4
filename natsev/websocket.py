"""WebSocket over any stream, by wsproto (RFC 6455; compression by RFC 7692)."""

from __future__ import annotations

import zlib
from collections import deque
from typing import TYPE_CHECKING, Any

from .errors import MissingExtraError
from .streams import Layer, Stream

if TYPE_CHECKING:
    import wsproto

# Level 6, zlib's default, would hold up the loop three times as long for some per cent less.
_COMPRESSION_LEVEL = 1
_MOST_COMPRESSED = 256 * 1024
# What is shorter than this is not worth compressing.
_LEAST_COMPRESSED = 64
_NORMAL_CLOSURE = 1000


def require() -> Any:
    """Import and return wsproto.

    Raises:
        MissingExtraError: it is not installed.
    """
    try:
        import wsproto
        import wsproto.extensions
    except ImportError:
        raise MissingExtraError('ws', 'a ws:// or wss:// server') from None
    return wsproto


class WebSocketError(OSError):
    """The peer does not speak WebSocket, or does not want to."""


class WebSocketStream(Layer):
    """A WebSocket of binary messages, as the client.

    Args:
        below: the stream that carries it: a socket, or TLS.
        host: for the Host header, with the port.
        path: of the request.
    """

    def __init__(self, below: Stream, host: str, path: str) -> None:
        super().__init__(below)
        ws = require()
        self._ws: wsproto.WSConnection = ws.WSConnection(ws.ConnectionType.CLIENT)
        self._deflate = _deflate()
        self._outgoing: list[bytes] = []
        self._arrived: deque[memoryview] = deque()
        self._open = False
        self._ended = False
        request = ws.events.Request(host=host, target=path or '/', extensions=[self._deflate])
        self._outgoing.append(self._ws.send(request))

    def _shake(self) -> bool:
        if self._ended:
            raise WebSocketError('the server closed the connection during the WebSocket handshake')
        if self._open and self._deflate.enabled():
            self._most = _MOST_COMPRESSED
        return self._open

    def _encode(self, piece: memoryview) -> None:
        message = require().events.BytesMessage(data=bytes(piece))
        self._outgoing.append(self._ws.send(message))

    def _encoded(self) -> bytes:
        data, self._outgoing = b''.join(self._outgoing), []
        return data

    def _goodbye(self) -> None:
        if self._open and not self._ended:
            close = require().events.CloseConnection(code=_NORMAL_CLOSURE)
            self._outgoing.append(self._ws.send(close))

    def _decode(self, data: memoryview) -> None:
        if not data:
            self._ended = True
            return
        ws = require()
        events = ws.events
        try:
            self._ws.receive_data(bytes(data))
            for event in self._ws.events():
                match event:
                    case events.BytesMessage():
                        self._arrived.append(memoryview(event.data))
                    case events.AcceptConnection():
                        self._open = True
                    case events.Ping():
                        self._outgoing.append(self._ws.send(event.response()))
                    case events.CloseConnection():
                        self._outgoing.append(self._ws.send(event.response()))
                        self._ended = True
                    case events.RejectConnection():
                        raise WebSocketError(f'WebSocket refused: status {event.status_code}')
                    case _:  # a pong, the body of a refusal, text that no nats-server sends
                        pass
        except ws.utilities.ProtocolError as err:
            raise WebSocketError(f'WebSocket: {err}') from err

    def _decoded(self, buffer: memoryview) -> int | None:
        if not self._arrived:
            return 0 if self._ended else None
        data = self._arrived[0]
        n = min(len(buffer), len(data))
        buffer[:n] = data[:n]
        if n < len(data):
            self._arrived[0] = data[n:]
        else:
            self._arrived.popleft()
        return n


def _deflate() -> Any:
    """Return the offer of compression: each message for itself, as nats-server wants it."""
    from wsproto.extensions import PerMessageDeflate

    class Deflate(PerMessageDeflate):
        def frame_outbound(self, proto: Any, opcode: Any, rsv: Any, data: Any, fin: bool) -> Any:
            if len(data) < _LEAST_COMPRESSED:
                return rsv, data
            self._compressor = zlib.compressobj(
                _COMPRESSION_LEVEL, zlib.DEFLATED, -int(self.client_max_window_bits)
            )
            return super().frame_outbound(proto, opcode, rsv, data, fin)

    return Deflate(client_no_context_takeover=True, server_no_context_takeover=True)
