"""A non-blocking socket between the loop and a wire: the only module that reads and writes sockets.

What came is put straight into the wire's buffer; what the wire has to say is gathered and written
once a turn of the loop, at once when the socket takes it, else as it becomes writable. Reading
goes on as long as the transport is open: a socket that is not read for ten seconds makes the
    server hang up.
"""

from __future__ import annotations

import errno
import socket
from collections import deque
from collections.abc import Callable, Sequence
from typing import Protocol

from .loop import READ, WRITE, Port

Buffer = bytes | bytearray | memoryview

# Bytes written, and reads made, in one turn before other watchers have theirs.
_MOST_WRITTEN = 4 * 1024 * 1024
_MOST_READS = 4
_AGAIN = frozenset({errno.EAGAIN, errno.EWOULDBLOCK, errno.EINTR})


def tune(sock: socket.socket, keepalive: int | None) -> None:
    """Set a TCP socket's options.

    Args:
        sock: any socket; one that is not TCP is left alone.
        keepalive: seconds of idleness before the kernel probes the peer, or None for no probes.
    """
    if sock.family == socket.AF_UNIX:
        return
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    if keepalive is not None:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        # Linux and macOS have different names for it.
        idle = getattr(socket, 'TCP_KEEPIDLE', getattr(socket, 'TCP_KEEPALIVE', None))
        if idle is not None:
            sock.setsockopt(socket.IPPROTO_TCP, idle, keepalive)


class Bytes(Protocol):
    """What a transport moves: the I/O side of a wire."""

    def output(self, most: int = ...) -> Sequence[Buffer]: ...
    def sent(self, n: int) -> None: ...
    def buffer(self) -> memoryview: ...
    def received(self, n: int) -> None: ...


class Transport:
    """Moves bytes between a connected socket and a wire.

    Args:
        port: the loop.
        sock: a connected, non-blocking socket; the transport owns it.
        wire: where bytes go and come from.
        on_input: called when bytes have been received.
        on_closed: called once when the peer is gone, with the reason (None: end of stream).
        priority: of the watchers.
    """

    def __init__(
        self,
        port: Port,
        sock: socket.socket,
        wire: Bytes,
        on_input: Callable[[], None],
        on_closed: Callable[[Exception | None], None],
        priority: int = 0,
    ) -> None:
        self._port = port
        self._sock = sock
        self._wire = wire
        self._on_input = on_input
        self._on_closed = on_closed
        self._first: deque[bytes] = deque()
        self._scheduled = False
        self._blocked = False
        self.closed = False
        self._reader = port.io(sock.fileno(), READ, self._readable, priority)
        self._writer = port.io(sock.fileno(), WRITE, self._writable, priority)
        self._reader.start()

    def write_first(self, data: bytes) -> None:
        """Write *data* before anything of the wire: the handshake."""
        self._first.append(data)
        self.flush()

    def schedule_flush(self) -> None:
        """Write what the wire has to say in the next turn of the loop."""
        if not (self._scheduled or self._blocked or self.closed):
            self._scheduled = True
            self._port.call_soon(self._flush_scheduled)

    def flush(self) -> None:
        """Write what the wire has to say, as much as the socket takes now."""
        if not (self._blocked or self.closed):
            self._write()

    def pause_reading(self) -> None:
        """Leave the bytes in the kernel until the wire has dealt with those it has."""
        self._reader.stop()

    def resume_reading(self) -> None:
        """Read again."""
        if not self.closed:
            self._reader.start()

    def poll(self) -> None:
        """Read what has come, if anything."""
        if not self.closed and self._reader.active:
            self._readable()

    def set_priority(self, priority: int) -> None:
        """Give the watchers another libev priority."""
        reading, blocked = self._reader.active, self._blocked
        fd = self._sock.fileno()
        self._reader.close()
        self._writer.close()
        self._reader = self._port.io(fd, READ, self._readable, priority)
        self._writer = self._port.io(fd, WRITE, self._writable, priority)
        if reading:
            self._reader.start()
        if blocked:
            self._writer.start()

    def close(self) -> None:
        """Close the socket without a word to *on_closed*."""
        if self.closed:
            return
        self.closed = True
        self._reader.close()
        self._writer.close()
        self._sock.close()

    # What TLS and WebSocket do otherwise.

    def _receive(self, buffer: memoryview) -> int:
        return self._sock.recv_into(buffer)

    def _send(self, buffers: Sequence[Buffer]) -> int:
        return self._sock.sendmsg(buffers)

    # The loop's events.

    def _readable(self) -> None:
        for _ in range(_MOST_READS):
            buffer = self._wire.buffer()
            room = len(buffer)
            try:
                n = self._receive(buffer)
            except OSError as err:
                if err.errno not in _AGAIN:
                    self._gone(err)
                return
            finally:
                del buffer
            if n == 0:
                self._gone(None)
                return
            self._wire.received(n)
            self._on_input()
            if n < room or self.closed or not self._reader.active:
                return

    def _writable(self) -> None:
        self._writer.stop()
        self._blocked = False
        self._write()

    def _flush_scheduled(self) -> None:
        self._scheduled = False
        self.flush()

    def _write(self) -> None:
        written = 0
        while written < _MOST_WRITTEN:
            buffers = [self._first[0]] if self._first else self._wire.output()
            if not buffers:
                return
            try:
                n = self._send(buffers)
            except OSError as err:
                if err.errno not in _AGAIN:
                    # What the server said before it hung up may still wait to be read.
                    self._readable()
                    self._gone(err)
                    return
                n = 0
            self._sent(n)
            written += n
            if n < sum(map(len, buffers)):
                break
        self._blocked = True
        self._writer.start()

    def _sent(self, n: int) -> None:
        if not self._first:
            self._wire.sent(n)
            return
        head = self._first.popleft()
        if n < len(head):
            self._first.appendleft(head[n:])

    def _gone(self, err: Exception | None) -> None:
        if not self.closed:
            self.close()
            self._on_closed(err)
