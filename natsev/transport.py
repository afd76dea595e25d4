"""Between the loop and a wire: moves bytes when a stream is ready for them.

What came is put straight into the wire's buffer; what the wire has to say is gathered and written
once a turn of the loop, at once when the socket takes it, else as it becomes writable. Reading
goes on as long as the transport is open: a socket that is not read for ten seconds makes the
server hang up.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from typing import Protocol

from .loop import READ, WRITE, Port
from .streams import Buffer, Stream

# Bytes written, and reads made, in one turn before other watchers have theirs.
_MOST_WRITTEN = 4 * 1024 * 1024
_MOST_READS = 4


class Bytes(Protocol):
    """What a transport moves: the I/O side of a wire."""

    def output(self, most: int = ...) -> Sequence[Buffer]: ...
    def sent(self, n: int) -> None: ...
    def buffer(self) -> memoryview: ...
    def received(self, n: int) -> None: ...


class Transport:
    """Moves bytes between a stream and a wire.

    Args:
        port: the loop.
        stream: what bytes go through, after its handshake; the transport owns it.
        wire: where bytes go and come from.
        on_input: called when bytes have been received.
        on_closed: called once when the peer is gone, with the reason (None: end of stream).
        priority: of the watchers.
    """

    def __init__(
        self,
        port: Port,
        stream: Stream,
        wire: Bytes,
        on_input: Callable[[], None],
        on_closed: Callable[[Exception | None], None],
        priority: int = 0,
    ) -> None:
        self._port = port
        self._stream = stream
        self._wire = wire
        self._on_input = on_input
        self._on_closed = on_closed
        self._first: deque[bytes] = deque()
        self._scheduled = False
        self._reading_on = False
        self._blocked = False
        self.closed = False
        self._reader = port.io(stream.fileno(), READ, self._readable, priority)
        self._writer = port.io(stream.fileno(), WRITE, self._writable, priority)
        self._reader.start()
        self._read_on()

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
            self._read_on()

    def poll(self) -> None:
        """Read what has come, if anything."""
        if not self.closed and self._reader.active:
            self._readable()

    def set_priority(self, priority: int) -> None:
        """Give the watchers another libev priority."""
        reading, blocked = self._reader.active, self._blocked
        fd = self._stream.fileno()
        self._reader.close()
        self._writer.close()
        self._reader = self._port.io(fd, READ, self._readable, priority)
        self._writer = self._port.io(fd, WRITE, self._writable, priority)
        if reading:
            self._reader.start()
        if blocked:
            self._writer.start()

    def close(self) -> None:
        """Close the stream without a word to *on_closed*."""
        if not self.closed:
            self.detach().close()

    def leave(self) -> None:
        """Do the same, and tell the peer, as far as that goes without waiting."""
        if not self.closed:
            self._stream.farewell()
            self.close()

    def detach(self) -> Stream:
        """Stop, and leave the stream open for somebody else."""
        self.closed = True
        self._reader.close()
        self._writer.close()
        return self._stream

    # The loop's events.

    def _readable(self) -> None:
        for _ in range(_MOST_READS):
            buffer = self._wire.buffer()
            room = len(buffer)
            try:
                n = self._stream.recv_into(buffer)
            except BlockingIOError:
                return
            except OSError as err:
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
                break
        self._read_on()

    def _read_on(self) -> None:
        """See to it that what the stream holds back is read, of which the socket says nothing."""
        if self._stream.held and not (self._reading_on or self.closed):
            self._reading_on = True
            self._port.call_soon(self._read_held)

    def _read_held(self) -> None:
        self._reading_on = False
        if self._stream.held:
            self.poll()

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
                n = self._stream.sendmsg(buffers)
            except BlockingIOError:
                n = 0
            except OSError as err:
                self._blocked = True
                # Not now: a user's call may have brought us here.
                self._port.call_soon(self._broken, err)
                return
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

    def _broken(self, err: OSError) -> None:
        if not self.closed:
            self._readable()  # what the server said before it hung up may still wait to be read
            self._gone(err)

    def _gone(self, err: Exception | None) -> None:
        if not self.closed:
            self.close()
            self._on_closed(err)
