"""How fast is the wire itself, without sockets? Rates of each twin, in messages a second.

python -m bench.bench_wire [seconds for each figure]
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from time import perf_counter
from types import ModuleType
from typing import Any

from natsev.wire import pure

try:
    from natsev.wire import _speedups
except ImportError:
    _speedups = None

BATCH = 1000
CHUNK = 128 * 1024
Round = Callable[[], object]


def new_wire(twin: ModuleType) -> Any:
    wire = twin.Wire(lambda: None, print)
    wire.inbox = '_INBOX.abcdefghijklmnopqrstuv.'
    wire.live = True
    wire.max_output = 1 << 40
    return wire


def drain(wire: Any) -> None:
    while pieces := wire.output():
        wire.sent(sum(map(len, pieces)))


def publish(twin: ModuleType, size: int) -> Round:
    wire, payload = new_wire(twin), b'x' * size

    def run() -> None:
        for _ in range(BATCH):
            wire.publish('bench.subject', payload)
        drain(wire)

    return run


def hpublish(twin: ModuleType, size: int) -> Round:
    wire, payload = new_wire(twin), b'x' * size
    headers = {'Nats-Msg-Id': 'abcdefghijklmnopqrstuv.1'}

    def run() -> None:
        for _ in range(BATCH):
            wire.hpublish('bench.subject', headers, payload)
        drain(wire)

    return run


def _deliver(wire: Any, data: bytes) -> Round:
    # What one recv brings.
    chunks = [data[i : i + CHUNK] for i in range(0, len(data), CHUNK)]

    def run() -> None:
        for chunk in chunks:
            wire.feed(chunk)
            while wire.next_event() is not None:
                pass

    return run


def dispatch(twin: ModuleType, size: int, nargs: int = 2, block: bytes = b'') -> Round:
    wire = new_wire(twin)
    callback: Callable[..., None] = (
        (lambda subject, payload: None)
        if nargs == 2
        else (lambda subject, payload, reply, headers: None)
    )
    sid = wire.subscribe('bench.subject', callback, nargs)
    payload = b'x' * size
    if block:
        total = len(block) + size
        message = b'HMSG bench.subject %d r.x %d %d\r\n%b%b\r\n' % (
            *(sid, len(block), total),
            *(block, payload),
        )
    else:
        message = b'MSG bench.subject %d %d\r\n%b\r\n' % (sid, size, payload)
    return _deliver(wire, message * BATCH)


def reqrep(twin: ModuleType, size: int) -> Round:
    wire, payload = new_wire(twin), b'x' * size

    def replied(payload: bytes, err: None) -> None:
        pass

    def run() -> None:
        requests = []
        for _ in range(BATCH):
            request = twin.Request(replied, 2)
            wire.request(request, 'bench.service', payload)
            requests.append(request)
        drain(wire)
        for request in requests:
            subject = (wire.inbox + request.token).encode()
            wire.feed(b'MSG %b 1 %d\r\n%b\r\n' % (subject, size, payload))
        while wire.next_event() is not None:
            pass

    return run


BLOCK = b'NATS/1.0\r\nNats-Stream: OBJ_b\r\nNats-Subject: $O.b.C.x\r\nNats-Sequence: 17\r\n\r\n'
FIGURES: dict[str, Callable[[ModuleType], Round]] = {
    'publish 16 B': lambda twin: publish(twin, 16),
    'publish 100 B': lambda twin: publish(twin, 100),
    'publish 1 KiB': lambda twin: publish(twin, 1024),
    'publish 128 KiB': lambda twin: publish(twin, 128 * 1024),
    'hpublish 100 B': lambda twin: hpublish(twin, 100),
    'dispatch 16 B': lambda twin: dispatch(twin, 16),
    'dispatch 100 B': lambda twin: dispatch(twin, 100),
    'dispatch 1 KiB': lambda twin: dispatch(twin, 1024),
    'dispatch 128 KiB': lambda twin: dispatch(twin, 128 * 1024),
    'dispatch 100 B, 4 arguments': lambda twin: dispatch(twin, 100, 4),
    'dispatch 100 B, headers': lambda twin: dispatch(twin, 100, 4, BLOCK),
    'request and reply 100 B': lambda twin: reqrep(twin, 100),
}


def rate(run: Round, seconds: float) -> float:
    """Return messages a second, the best of several rounds: what disturbs only makes slower."""
    run()
    best, ends = float('inf'), perf_counter() + seconds
    while perf_counter() < ends:
        started = perf_counter()
        run()
        best = min(best, perf_counter() - started)
    return BATCH / best


def main() -> None:
    """Print the table."""
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 1.0
    twins = {'python': pure} | ({'compiled': _speedups} if _speedups else {})
    print(f'{"messages a second":30}' + ''.join(f'{name:>14}' for name in twins))
    for name, figure in FIGURES.items():
        rates = [rate(figure(twin), seconds) for twin in twins.values()]
        print(f'{name:30}' + ''.join(f'{each:14,.0f}' for each in rates))


if __name__ == '__main__':
    main()
