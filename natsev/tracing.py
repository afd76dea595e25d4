"""A trace of the frames on a connection, without payloads or secrets: DEBUG of ``natsev.wire``.

Whether to trace is decided once for a connection; without it nothing stands between the transport
and its stream.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence

from .streams import Buffer, Stream

_log = logging.getLogger('natsev.wire')

_WITH_PAYLOAD = {b'PUB', b'HPUB', b'MSG', b'HMSG'}
_SHOWN = {b'SUB', b'UNSUB', b'PING', b'PONG', b'+OK', b'-ERR'}
# These have credentials, or what is signed with them.
_SECRET = {b'CONNECT', b'INFO'}
# Looked at in one go for the end of a line.
_PIECE = 256
_LONGEST_NUMBER = 19


def traced(stream: Stream, received: bytes) -> Stream:
    """Return *stream*, with a trace of what passes through it if that is wanted.

    Args:
        stream: the stream, after the server's INFO.
        received: what has come already, behind the INFO.
    """
    return Traced(stream, received) if _log.isEnabledFor(logging.DEBUG) else stream


class Traced:
    """A stream that logs the frames that pass through another one."""

    def __init__(self, stream: Stream, received: bytes) -> None:
        self._stream = stream
        self._in = _Frames('<')
        self._out = _Frames('>')
        self.fileno = stream.fileno
        self.handshake = stream.handshake
        self.farewell = stream.farewell
        self.close = stream.close
        _log.debug('< INFO')
        self._in.feed(received)

    @property
    def held(self) -> bool:
        return self._stream.held

    def recv_into(self, buffer: memoryview) -> int:
        n = self._stream.recv_into(buffer)
        self._in.feed(buffer[:n])
        return n

    def sendmsg(self, buffers: Sequence[Buffer]) -> int:
        n = rest = self._stream.sendmsg(buffers)
        for buffer in buffers:
            if not rest:
                break
            taken = memoryview(buffer)[:rest]
            rest -= len(taken)
            self._out.feed(taken)
        return n


class _Frames:
    """Finds the frames in one direction's bytes, which may be cut anywhere."""

    def __init__(self, direction: str) -> None:
        self._direction = direction
        self._line = b''
        self._payload = 0  # of it still to come

    def feed(self, data: Buffer) -> None:
        """Log the frames that begin in *data*."""
        view = memoryview(data)
        while view:
            if self._payload:
                n = min(self._payload, len(view))
                self._payload -= n
            else:
                piece = bytes(view[:_PIECE])
                n = piece.find(b'\n') + 1 or len(piece)
                self._line += piece[:n]
                if self._line.endswith(b'\n'):
                    line, self._line = self._line.rstrip(b'\r\n'), b''
                    _log.debug('%s %s', self._direction, _printable(self._frame(line)))
            view = view[n:]

    def _frame(self, line: bytes) -> bytes:
        """Return what is shown of a frame that begins with *line*."""
        operation, *words = line.split() or [b'']
        name = operation.upper()
        if name in _WITH_PAYLOAD and words and _is_number(words[-1]):
            size = words.pop()
            self._payload = int(size) + len(b'\r\n')
            if name.startswith(b'H'):
                words = words[:-1]  # the size of its headers
            return b' '.join([name, *words, size, b'bytes'])
        if name in _SHOWN:
            return line
        return name if name in _SECRET else b'? %d bytes' % len(line)


def _is_number(word: bytes) -> bool:
    return word.isdigit() and len(word) <= _LONGEST_NUMBER


def _printable(text: bytes) -> str:
    decoded = text.decode(errors='backslashreplace')
    return ''.join(c if c.isprintable() else repr(c)[1:-1] for c in decoded)
