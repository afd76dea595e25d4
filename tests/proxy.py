"""A forwarder of bytes between clients and a server, that can be told to fail."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

_PIECE = 1 << 16
_END = 256


class Proxy:
    """Listens on a TCP port of its own, or on a Unix socket at *path*, and forwards to *target*.

    Attributes:
        port: its TCP port, or 0.
        path: its Unix socket, or None.
        accepted: connections taken so far.
        bytes_to_server: what clients have sent so far.
        last_to_server: the end of it.
        refusing: set it to close new connections at once.
        delay: seconds that each piece of data waits before it is forwarded.
    """

    def __init__(self, target: tuple[str, int], path: Path | None = None) -> None:
        self.path = path
        self.accepted = 0
        self.bytes_to_server = 0
        self.last_to_server = b''
        self.refusing = False
        self.delay = 0.0
        self._target = target
        self._closed = False
        self._ends: set[socket.socket] = set()
        self._allowance: int | None = None  # bytes to clients until cut_after() cuts
        self._lock = threading.Lock()
        self._flowing = threading.Event()
        self._flowing.set()
        self._threads: list[threading.Thread] = []
        if path is None:
            self._listener = socket.create_server(('127.0.0.1', 0))
            self.port = int(self._listener.getsockname()[1])
        else:
            self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            self._listener.bind(str(path))
            self._listener.listen()
            self.port = 0
        self._spawn(self._accept)

    def cut(self) -> None:
        """Close every connection, now."""
        with self._lock:
            for end in self._ends:
                _shut(end)

    def cut_after(self, size: int | None) -> None:
        """Close every connection when *size* more bytes have gone to clients; once; None: not."""
        with self._lock:
            self._allowance = size

    def stall(self) -> None:
        """Forward nothing until ``flow()``; connections stay open."""
        self._flowing.clear()

    def flow(self) -> None:
        """Forward again."""
        self._flowing.set()

    def join(self) -> None:
        """Wait until every connection has been closed by one of its ends."""
        for thread in self._threads[1:]:
            thread.join(60)

    def close(self) -> None:
        """Close everything and wait for the threads."""
        self._closed = True
        self._wake()
        self._threads[0].join()
        self._listener.close()
        self.flow()
        self.cut()
        for thread in self._threads:
            thread.join()

    def _wake(self) -> None:
        """End accept(), which closing the listener does not do everywhere."""
        with contextlib.suppress(OSError), socket.socket(self._listener.family) as waker:
            waker.connect(self._listener.getsockname())

    def _spawn(self, function: Callable[..., None], *args: Any) -> None:
        thread = threading.Thread(target=function, args=args, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while True:
            client, _ = self._listener.accept()
            if self._closed:
                client.close()
                return
            self.accepted += 1
            try:
                if self.refusing:
                    raise ConnectionRefusedError
                server = socket.create_connection(self._target)
            except OSError:
                client.close()
                continue
            with self._lock:
                self._ends |= {client, server}
            self._spawn(self._serve, client, server)

    def _serve(self, client: socket.socket, server: socket.socket) -> None:
        back = threading.Thread(target=self._forward, args=(server, client, True), daemon=True)
        back.start()
        self._forward(client, server, False)
        back.join()
        with self._lock:
            self._ends -= {client, server}
        client.close()
        server.close()

    def _forward(self, source: socket.socket, sink: socket.socket, to_client: bool) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(_PIECE):
                self._flowing.wait()
                if self.delay:
                    time.sleep(self.delay)
                if not to_client:
                    self.bytes_to_server += len(data)
                    self.last_to_server = (self.last_to_server + data)[-_END:]
                allowed = self._allowed(len(data)) if to_client else None
                sink.sendall(data[:allowed])
                if allowed is not None:
                    self.cut()
        _shut(source)
        _shut(sink)

    def _allowed(self, size: int) -> int | None:
        """How many of *size* bytes may still go before the cut; None: all, and no cut."""
        with self._lock:
            if self._allowance is None:
                return None
            if size < self._allowance:
                self._allowance -= size
                return None
            allowed, self._allowance = self._allowance, None
            return allowed


def _shut(end: socket.socket) -> None:
    with contextlib.suppress(OSError):
        end.shutdown(socket.SHUT_RDWR)
