"""NATS on a plain blocking socket: what prepares the server, and what the raw client stands on."""

from __future__ import annotations

import json
import re
import socket
from collections.abc import Iterator
from time import perf_counter
from typing import Any
from urllib.parse import urlsplit

_MESSAGE = re.compile(rb'(H?)MSG ([^\r\n]+)\r\n')
_CONNECT = b'CONNECT {"verbose":false,"headers":true,"no_responders":true}\r\nPING\r\n'
INBOX = b'_INBOX.bench'

# subject, sid, reply, headers, payload
Message = tuple[bytes, int, bytes, bytes, bytes]


class RawSocket:
    """A connection. The inbox ``_INBOX.bench.*`` is subscribed as sid 1."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self.socket = socket.create_connection((parts.hostname or '127.0.0.1', parts.port or 4222))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.inbox = INBOX + b'.%d' % self.socket.getsockname()[1]
        self._input = bytearray()
        self._round_trip = 0.0
        self.send(_CONNECT + b'SUB %b.* 1\r\n' % self.inbox)
        self.flush()

    def close(self) -> None:
        self.socket.close()

    def send(self, data: bytes) -> None:
        self.socket.sendall(data)

    def flush(self) -> None:
        """Wait for a PONG; what was received before it is dropped."""
        self.send(b'PING\r\n')
        while b'PONG\r\n' not in self._input:
            self._receive()
        del self._input[:]

    def round_trip(self) -> float:
        """Return the seconds that a round trip takes."""
        if not self._round_trip:
            began = perf_counter()
            self.flush()
            self._round_trip = perf_counter() - began
        return self._round_trip

    def subscribe(self, subject: bytes, sid: int) -> None:
        self.send(b'SUB %b %d\r\n' % (subject, sid))

    def messages(self) -> Iterator[Message]:
        """Yield what comes, for ever."""
        while True:
            found = _MESSAGE.search(self._input)
            if found is None:
                self._receive()
                continue
            subject, sid, *reply, size = found[2].split()
            headers = int(reply.pop()) if found[1] else 0
            start, end = found.end(), found.end() + int(size)
            while len(self._input) < end + 2:
                self._receive()
            body = bytes(self._input[start:end])
            del self._input[: end + 2]
            yield subject, int(sid), b''.join(reply), body[:headers], body[headers:]

    def request(self, subject: str, payload: bytes = b'', reply: bytes = b'x') -> bytes:
        """Return the payload of the one reply."""
        self.publish(subject.encode(), payload, self.inbox + b'.' + reply)
        return next(self.messages())[4]

    def publish(self, subject: bytes, payload: bytes, reply: bytes = b'') -> None:
        self.send(publication(subject, payload, reply))

    def api(self, endpoint: str, body: Any = None) -> dict[str, Any]:
        """Ask ``$JS.API``; what it refuses raises RuntimeError."""
        payload = b'' if body is None else json.dumps(body).encode()
        answer: dict[str, Any] = json.loads(self.request(f'$JS.API.{endpoint}', payload))
        if 'error' in answer:
            raise RuntimeError(f'{endpoint}: {answer["error"]}')
        return answer

    def _receive(self) -> None:
        data = self.socket.recv(1 << 18)
        if not data:
            raise ConnectionError(f'the server hung up: {bytes(self._input[-200:])!r}')
        self._input += data


def publication(subject: bytes, payload: bytes, reply: bytes = b'', headers: bytes = b'') -> bytes:
    """Return the frame of one message; *headers* is a whole block."""
    to = b'%b %b' % (subject, reply) if reply else subject
    size = len(headers) + len(payload)
    if headers:
        return b'HPUB %b %d %d\r\n%b%b\r\n' % (to, len(headers), size, headers, payload)
    return b'PUB %b %d\r\n%b\r\n' % (to, size, payload)


def block(*pairs: tuple[bytes, bytes]) -> bytes:
    """Return a header block."""
    return b'NATS/1.0\r\n%b\r\n' % b''.join(b'%b: %b\r\n' % pair for pair in pairs)
