"""A long way to a server: ``python -m bench.far URL MS`` forwards what it gets MS / 2 later.

It prints its port. One thread, no copy but those of the kernel: it carries more than any client
here can use. ``--ceiling`` measures how much, in MiB/s.
"""

from __future__ import annotations

import contextlib
import select
import socket
import sys
import threading
from collections import deque
from time import perf_counter
from urllib.parse import urlsplit

_PIECE = 1 << 18
_AT_ONCE = 16  # pieces in one system call
# What may be on its way in one direction: more than any window here.
_MOST = 64 << 20
_ENOUGH = 1 << 30  # bytes that show the ceiling


class _Lane:
    """One direction of a connection."""

    def __init__(self, source: socket.socket, sink: socket.socket, seconds: float) -> None:
        self.source, self.sink = source, sink
        self.ended = False
        self._seconds = seconds
        self._free: list[bytearray] = []
        self._pieces: deque[tuple[float, memoryview]] = deque()  # when each is due
        self._size = 0

    @property
    def has_room(self) -> bool:
        return not self.ended and self._size < _MOST

    @property
    def due(self) -> float | None:
        """When there is something to be sent."""
        return self._pieces[0][0] if self._pieces else None

    def read(self) -> None:
        """Take what has come."""
        piece = self._free.pop() if self._free else bytearray(_PIECE)
        try:
            size = self.source.recv_into(piece)
        except ConnectionError:
            size = 0
        if not size:
            self.ended = True
            return
        self._pieces.append((perf_counter() + self._seconds, memoryview(piece)[:size]))
        self._size += size

    def write(self, now: float) -> bool:
        """Send what is due; False: the receiver takes no more at the moment."""
        while self._pieces and self._pieces[0][0] <= now:
            ready = [view for due, view in list(self._pieces)[:_AT_ONCE] if due <= now]
            try:
                sent = self.sink.sendmsg(ready)
            except BlockingIOError:
                return False
            except OSError:
                self.ended = True
                self._pieces.clear()
                return True
            self._sent(sent)
        return True

    def _sent(self, size: int) -> None:
        self._size -= size
        while size:
            due, view = self._pieces[0]
            if size < len(view):
                self._pieces[0] = due, view[size:]
                return
            size -= len(view)
            self._pieces.popleft()
            self._free.append(view.obj)


def forward(listener: socket.socket, target: tuple[str, int], seconds: float) -> None:
    """Forward connections for ever, each byte *seconds* late."""
    lanes: list[_Lane] = []
    full: set[_Lane] = set()
    while True:
        reading = {lane.source: lane for lane in lanes if lane.has_room}
        writing = {lane.sink: lane for lane in full}
        dues = [lane.due for lane in lanes if lane.due is not None and lane not in full]
        wait = max(0.0, min(dues) - perf_counter()) if dues else None
        readable, writable, _ = select.select([listener, *reading], list(writing), [], wait)
        for end in readable:
            if end is listener:
                lanes += _connect(listener, target, seconds)
            else:
                reading[end].read()
        now = perf_counter()
        for lane in lanes:
            if lane not in full or lane.sink in writable:
                (full.discard if lane.write(now) else full.add)(lane)
        for lane in [lane for lane in lanes if lane.ended and lane.due is None]:
            with contextlib.suppress(OSError):  # it is closed already
                lane.sink.shutdown(socket.SHUT_WR)
            lanes.remove(lane)
            full.discard(lane)


def _connect(listener: socket.socket, target: tuple[str, int], seconds: float) -> list[_Lane]:
    client = listener.accept()[0]
    server = socket.create_connection(target)
    for end in client, server:
        end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        end.setblocking(False)
    return [_Lane(client, server, seconds), _Lane(server, client, seconds)]


def _ceiling(seconds: float) -> float:
    """Return how many bytes in a second go through, from one thread to another."""
    sink, listener = socket.create_server(('127.0.0.1', 0)), socket.create_server(('127.0.0.1', 0))
    threading.Thread(
        target=forward, args=(listener, sink.getsockname(), seconds), daemon=True
    ).start()
    source = socket.create_connection(listener.getsockname())
    receiver, data = sink.accept()[0], bytes(1 << 20)
    threading.Thread(
        target=lambda: [source.sendall(data) for _ in range(_ENOUGH >> 20)], daemon=True
    ).start()
    began, left, buffer = perf_counter(), _ENOUGH, bytearray(1 << 20)
    while left:
        left -= receiver.recv_into(buffer)
    return _ENOUGH / (perf_counter() - began)


def main() -> None:
    if sys.argv[1] == '--ceiling':
        for ms in sys.argv[2:]:
            print(f'{ms} ms: {_ceiling(float(ms) / 2000) / (1 << 20):.0f} MiB/s')
        return
    url, ms = sys.argv[1:]
    parts = urlsplit(url)
    listener = socket.create_server(('127.0.0.1', 0))
    print(listener.getsockname()[1], flush=True)
    forward(listener, (parts.hostname or '127.0.0.1', parts.port or 4222), float(ms) / 2000)


if __name__ == '__main__':
    main()
