"""What a transport reads from and writes to: a socket, or TLS or WebSocket over one.

Streams do not wait: ``recv_into`` raises ``BlockingIOError`` when nothing has come, ``sendmsg``
when nothing can be taken.
"""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import Protocol

from .loop import READ, WRITE

Buffer = bytes | bytearray | memoryview

# Plain bytes that a layer encodes at once.
_PIECE = 64 * 1024
# Bytes that a layer takes from the stream below at once.
_SCRATCH = 256 * 1024


class Stream(Protocol):
    """A connected byte stream that does not wait."""

    @property
    def held(self) -> bool:
        """May ``recv_into`` give more although nothing more comes from the network?"""

    def fileno(self) -> int:
        """Return the descriptor to watch."""

    def handshake(self) -> int:
        """Go on with the handshake; return READ or WRITE for what it waits for, 0 at its end.

        Raises:
            OSError: it failed. TLS: ``ssl.SSLError``, which is one.
        """

    def recv_into(self, buffer: memoryview) -> int:
        """Receive into *buffer*; return how many bytes, 0 at the end."""

    def sendmsg(self, buffers: Sequence[Buffer]) -> int:
        """Send the start of *buffers*; return how many bytes the kernel has taken.

        What was not taken must come first in the next call: a layer may have encoded it already.
        """

    def farewell(self) -> None:
        """Tell the peer that no more will come, as far as that goes without waiting."""

    def close(self) -> None:
        """Let go of the socket, without a word to the peer."""


class Plain:
    """A socket."""

    held = False

    def __init__(self, sock: socket.socket) -> None:
        self.fileno = sock.fileno
        self.recv_into = sock.recv_into
        self.sendmsg = sock.sendmsg
        self.close = sock.close

    def handshake(self) -> int:
        return 0

    def farewell(self) -> None:
        """TCP has its own."""


class Layer:
    """A protocol over another stream, for subclasses to say how bytes are encoded.

    Args:
        below: the stream that carries this one, which owns it from now on.
    """

    def __init__(self, below: Stream) -> None:
        self._below = below
        self.held = False
        self._scratch = memoryview(bytearray(_SCRATCH))
        self._unsent = memoryview(b'')
        # Plain bytes that are encoded in _unsent; those that have gone and are not reported yet.
        self._taken = 0
        self._gone = 0

    # What subclasses do. A costly encoding sets _most: plain bytes encoded in one turn of the loop.

    _most = 4 * 1024 * 1024

    def _shake(self) -> bool:
        """Go on with the handshake, with what has been received; tell whether it is over."""
        raise NotImplementedError

    def _encode(self, piece: memoryview) -> None:
        """Encode *piece*, for ``_encoded``."""
        raise NotImplementedError

    def _encoded(self) -> bytes:
        """Return what is to be sent next, and forget it."""
        raise NotImplementedError

    def _decode(self, data: memoryview) -> None:
        """Take *data* from below; empty: its end."""
        raise NotImplementedError

    def _goodbye(self) -> None:
        """Encode what tells the peer that no more will come, for ``_encoded``."""
        raise NotImplementedError

    def _decoded(self, buffer: memoryview) -> int | None:
        """Put plain bytes into *buffer*; return how many: 0 at the end, None when more is
        needed."""
        raise NotImplementedError

    # A stream.

    def fileno(self) -> int:
        return self._below.fileno()

    def farewell(self) -> None:
        with suppress(OSError):  # it is for courtesy only
            self._goodbye()
            self._push()
            self._below.farewell()

    def close(self) -> None:
        self._below.close()

    def handshake(self) -> int:
        while True:
            try:
                over = self._shake()
            finally:
                self._push()  # also the word that tells the peer why we give up
            if self._unsent:
                return WRITE
            if over:
                self.held = True  # more may have come with the end of the handshake
                return 0
            if not self._receive():
                return READ

    def recv_into(self, buffer: memoryview) -> int:
        got = 0
        while got < len(buffer):
            n = self._decoded(buffer[got:])
            if n:
                got += n
            elif n == 0 or got or not self._receive():
                break
        ended = n == 0
        self.held = ended or got == len(buffer)
        try:
            self._push()  # answers to the peer's pings and the like
        except OSError:
            if not (got or ended):  # what came before counts
                raise
        if not (got or ended):
            raise BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN))
        return got

    def sendmsg(self, buffers: Sequence[Buffer]) -> int:
        self._push()
        if not self._unsent:
            for piece in _pieces(buffers, self._gone):
                self._encode(piece)
                self._taken = len(piece)
                self._push()
                if self._unsent or self._gone >= self._most:
                    break
        gone, self._gone = self._gone, 0
        return gone

    def _receive(self) -> bool:
        try:
            n = self._below.recv_into(self._scratch)
        except BlockingIOError:
            return False
        self._decode(self._scratch[:n])
        return True

    def _push(self) -> None:
        """Send what is encoded, as much as the stream below takes."""
        while True:
            while self._unsent:
                try:
                    n = self._below.sendmsg([self._unsent])
                except BlockingIOError:
                    n = 0
                if n == 0:
                    return
                self._unsent = self._unsent[n:]
            data = self._encoded()
            if not data:
                break
            self._unsent = memoryview(data)
        self._gone += self._taken
        self._taken = 0


def _pieces(buffers: Sequence[Buffer], skip: int) -> Iterator[memoryview]:
    """Cut *buffers*, without their first *skip* bytes, into pieces: small ones are joined."""
    small: list[memoryview] = []
    room = _PIECE
    for buffer in buffers:
        view = memoryview(buffer)
        if skip >= len(view):
            skip -= len(view)
            continue
        view, skip = view[skip:], 0
        while view:
            small.append(view[:room])
            view = view[room:]
            room -= len(small[-1])
            if not room:
                yield _joined(small)
                small, room = [], _PIECE
    if small:
        yield _joined(small)


def _joined(views: list[memoryview]) -> memoryview:
    return views[0] if len(views) == 1 else memoryview(b''.join(views))
