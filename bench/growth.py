"""How the cost of a message grows: with subscriptions, payloads, outstanding requests, subjects.

``python -m bench.growth`` prints processor time per message, of both twins of the wire, without
sockets: the least of several rounds.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from time import process_time
from typing import Any

from natsev import wire as chosen
from natsev.wire import pure

from .bench_wire import drain, new_wire

ROUNDS = 5
MESSAGES = 2000
MOST_BYTES = 64 << 20  # of payloads in one round
FEED = 256 * 1024  # bytes, about what one read from a socket brings

Round = Callable[[], object]


def subscriptions(twin: Any, count: int) -> Round:
    """Messages for one of so many subscriptions, a different one each time."""
    wire = new_wire(twin)
    sids = [wire.subscribe(f'bench.{n}', _got, 4) for n in range(count)]
    drain(wire)
    step = max(1, count // MESSAGES)
    frames = [
        b'MSG bench.%d %d 100\r\n%b\r\n' % (sid - 1, sid, bytes(100))
        for sid in (sids[n * step % count] for n in range(MESSAGES))
    ]
    return _feeding(wire, frames)


def publishing(twin: Any, size: int) -> Round:
    """Publish payloads of so many bytes; they are taken as the kernel takes them."""
    wire, payload = new_wire(twin), bytes(size)

    def work() -> None:
        for n in range(_messages(size)):
            wire.publish('bench.pub', payload)
            if n % 100 == 99:
                drain(wire)
        drain(wire)

    return work


def receiving(twin: Any, size: int) -> Round:
    """Messages with payloads of so many bytes."""
    wire = new_wire(twin)
    sid = wire.subscribe('bench.>', _got, 4)
    return _feeding(
        wire, [b'MSG bench.pub %d %d\r\n%b\r\n' % (sid, size, bytes(size))] * _messages(size)
    )


def outstanding(twin: Any, count: int) -> Round:
    """Request and reply while so many other requests wait."""
    wire = new_wire(twin)
    for _ in range(count - 1):
        wire.request(twin.Request(_got, 3), 'bench.echo', b'')
    head, sid = b'MSG ' + wire.inbox.encode(), 1  # the inbox is the first subscription

    def work() -> None:
        for _ in range(MESSAGES):
            request = twin.Request(_got, 3)
            wire.request(request, 'bench.echo', b'')
            wire.feed(head + b'%b %d 3\r\nabc\r\n' % (request.token.encode(), sid))
            while wire.next_event() is not None:
                pass
        drain(wire)

    return work


def tokens(twin: Any, count: int) -> Round:
    """Messages for a wildcard subscription, whose subjects have so many tokens."""
    wire = new_wire(twin)
    sid = wire.subscribe('.'.join(['*'] * (count - 1) + ['>']), _got, 4)
    subject = '.'.join(['token'] * count).encode()
    return _feeding(wire, [b'MSG %b %d 100\r\n%b\r\n' % (subject, sid, bytes(100))] * MESSAGES)


TABLES: list[tuple[str, Callable[[Any, int], Round], Iterable[int]]] = [
    ('received, by subscriptions', subscriptions, (1, 100, 1_000, 10_000, 100_000)),
    ('requested and answered, by requests outstanding', outstanding, (1, 10, 100, 1_000)),
    ('received by a wildcard, by tokens of the subject', tokens, (2, 8, 32, 128)),
    ('published, by bytes of payload', publishing, (16, 256, 4096, 65_536, 1 << 20)),
    ('received, by bytes of payload', receiving, (16, 256, 4096, 65_536, 1 << 20)),
]


def _got(*_: object) -> None:
    pass


def _messages(size: int) -> int:
    return min(MESSAGES, max(8, MOST_BYTES // max(1, size)))


def _feeding(wire: Any, frames: list[bytes]) -> Round:
    data = b''.join(frames)
    pieces = [data[at : at + FEED] for at in range(0, len(data), FEED)]

    def work() -> None:
        for piece in pieces:
            wire.feed(piece)
            while wire.next_event() is not None:
                pass

    return work


def _micros(work: Round, messages: int) -> float:
    best = float('inf')
    for _ in range(ROUNDS):
        started = process_time()
        work()
        best = min(best, process_time() - started)
    return best / messages * 1e6


def main() -> None:
    twins: list[tuple[str, Any]] = [('python', pure)]
    if chosen.implementation == 'compiled':
        twins.insert(0, ('compiled', chosen))
    for title, make, sizes in TABLES:
        print(f'{"us for a message " + title:66}' + ''.join(f'{name:>10}' for name, _ in twins))
        for size in sizes:
            messages = _messages(size) if make in (publishing, receiving) else MESSAGES
            figures = [_micros(make(twin, size), messages) for _, twin in twins]
            print(f'{size:>66,}' + ''.join(f'{figure:10.2f}' for figure in figures), flush=True)
        print()


if __name__ == '__main__':
    main()
