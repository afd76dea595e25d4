"""Instructions of the processor for each message: figures that noise does not touch.

``python -m bench.instructions`` counts them with callgrind (of valgrind), for both twins of the
wire: a program does the same thing a few times and many times, and the difference is divided.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping

FEW, MANY = 3_200, 6_400
_COLLECTED = re.compile(r'Collected *: *(\d+)')

# A client that thinks it is connected.
_CLIENT = """
from natsev import Nats
nats = Nats()
payload = bytes(100)
wire = nats._wire
wire.live = True
def drain():
    while pieces := wire.output(): wire.sent(sum(map(len, pieces)))
def hundreds(N):
    for _ in range(0, N, 100):
        yield from range(100)
        drain()
"""
_WIRE = """
from natsev.wire import Request, Wire
wire = Wire(lambda: None, print)
wire.inbox = '_INBOX.abcdefghijklmnopqrstuv.'
wire.live = True
def got(*_): pass
def feed(frames):
    for at in range(0, len(frames), 100):
        wire.feed(b''.join(frames[at : at + 100]))
        while wire.next_event() is not None: pass
"""
# Every answer is here before the question.
_ANSWERED = (
    _CLIENT
    + """
from natsev import JetStream, KV
js = JetStream(nats=nats)
kv = KV(js=js, bucket='bench')
keys = [f'key-{n}' for n in range(100)]
def frames(answer):
    head = b'MSG ' + wire.inbox.encode()
    return [head + b'%x 1 %d\\r\\n%b\\r\\n' % (n, len(answer), answer) for n in range(1, 10_000)]
ack = b'{"stream":"bench","seq":1234567}'
def keep(N, call, frames):
    def got(_result, _err):
        call(got)
    for _ in range(64):
        call(got)
    for at in range(0, N, 64):
        wire.feed(b''.join(frames[at : at + 64]))
        while wire.next_event() is not None: pass
        drain()
"""
)

# What is counted: the preparation, and what is done ``N`` times.
CASES = {
    'publish': (_CLIENT, "for _ in hundreds(N): nats.publish('bench.pub', payload)"),
    'publish with headers': (
        _CLIENT,
        "for _ in hundreds(N): nats.hpublish('bench.pub', {'Name': 'value'}, payload)",
    ),
    'dispatch': (
        _WIRE + "sid = wire.subscribe('bench.>', got, 4)\n",
        "feed([b'MSG bench.pub %d 100\\r\\n%b\\r\\n' % (sid, bytes(100))] * N)",
    ),
    'dispatch with headers': (
        _WIRE + "sid = wire.subscribe('bench.>', got, 4)\n",
        "feed([b'HMSG bench.pub %d 25 125\\r\\nNATS/1.0\\r\\nName: value\\r\\n\\r\\n%b\\r\\n'"
        ' % (sid, bytes(100))] * N)',
    ),
    'request and reply, 64 outstanding': (
        _ANSWERED + 'answers = frames(payload)\n',
        "keep(N, lambda got: nats.request('bench.echo', payload, got, timeout=5000), answers)",
    ),
    'request and reply, wire only': (
        _WIRE,
        'requests = [Request(got, 3) for _ in range(N)]\n'
        "for request in requests: wire.request(request, 'bench.echo', b'')\n"
        "feed([b'MSG %b%b 1 100\\r\\n%b\\r\\n' % (wire.inbox.encode(), request.token.encode(),"
        ' bytes(100)) for request in requests])',
    ),
    'publish into a stream and its ack': (
        _ANSWERED + 'answers = frames(ack)\n',
        "keep(N, lambda got: js.js_publish('bench.js', payload, got), answers)",
    ),
    'put into a bucket and its ack': (
        _ANSWERED + 'import itertools\nanswers, key = frames(ack), itertools.cycle(keys)\n',
        'keep(N, lambda got: kv.put(next(key), payload, got), answers)',
    ),
}


def count(setup: str, statement: str, environ: Mapping[str, str]) -> float:
    """Return the instructions that *statement* needs for each of its ``N``."""
    # In a function: the names of a module are much slower.
    body = statement.replace('\n', '\n    ')
    program = f'{setup}\ndef run(N):\n    {body}\nrun'
    few, many = (_collected(f'{program}({n})', environ) for n in (FEW, MANY))
    return (many - few) / (MANY - FEW)


def _collected(program: str, environ: Mapping[str, str]) -> int:
    command = ['valgrind', '--tool=callgrind', '--callgrind-out-file=/dev/null']
    ended = subprocess.run(
        [*command, sys.executable, '-c', program],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, 'PYTHONHASHSEED': '0', **environ},
    )
    found = _COLLECTED.search(ended.stderr)
    if ended.returncode or found is None:
        raise SystemExit(ended.stderr)
    return int(found[1])


def main() -> None:
    if shutil.which('valgrind') is None:
        raise SystemExit('valgrind is not installed: nothing is counted')
    from natsev import wire_implementation

    twins = {'python': {'NATSEV_PUREPYTHON': '1'}}
    if wire_implementation == 'compiled':
        twins = {'compiled': {}, **twins}
    print(f'{"instructions for each":36}' + ''.join(f'{twin:>12}' for twin in twins))
    for name, (setup, statement) in CASES.items():
        print(f'{name:36}', end='', flush=True)
        for environ in twins.values():
            print(f'{count(setup, statement, environ):12,.0f}', end='', flush=True)
        print()


if __name__ == '__main__':
    main()
