"""Answers every request on ``bench.echo`` with its own payload, on a raw socket."""

from __future__ import annotations

import re
import sys

from ..rawsocket import RawSocket

# The server pings once soon after the start; it does not mind when nobody answers that.
_REQUEST = re.compile(rb'(?:PING\r\n)*MSG \S+ \d+ (\S+) (\d+)\r\n')


def main() -> None:
    raw = RawSocket(sys.argv[1])
    raw.subscribe(b'bench.echo', 2)
    raw.flush()
    print('ready', flush=True)
    received = bytearray()
    while data := raw.socket.recv(1 << 18):
        received += data
        answers, done = [], 0
        while (found := _REQUEST.match(received, done)) is not None:
            reply, size = found.groups()
            end = found.end() + int(size) + 2
            if end > len(received):
                break
            answers.append(b'PUB %b %b\r\n%b' % (reply, size, bytes(received[found.end() : end])))
            done = end
        del received[:done]
        if answers:
            raw.send(b''.join(answers))


if __name__ == '__main__':
    main()
