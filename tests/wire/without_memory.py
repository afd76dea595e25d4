"""Make each allocation of each step fail in turn; the compiled wire must be in order afterwards.

Run in a process of its own by test_memory.py. Not for the pure wire: without memory, the
interpreter itself does not always survive.
"""

from __future__ import annotations

import _testcapi

from natsev.errors import ProtocolError
from natsev.wire import ACK, SEQUENCE, WINDOW, Ping, _speedups
from natsev.wire.shared import LARGE
from tests.wire.driver import Driver

MOST_ALLOCATIONS = 2000
BLOCK = b'NATS/1.0\r\nA: b\r\n\r\n'
HEADERS = {'A': 'b'}
LARGE_PAYLOAD = b'x' * LARGE
CHANGING = bytearray(LARGE)
STRIDED = memoryview(bytes(2 * LARGE))[::2]
MESSAGES = (
    b'HMSG a 1 r %d %d\r\n%bhi\r\n' % (len(BLOCK), len(BLOCK) + 2, BLOCK),
    b'MSG caf\xc3\xa9 1 2\r\nhi\r\n',
    b'MSG _INBOX.me.1 2 2\r\nhi\r\n',
    b'HMSG _INBOX.me.1 2 16 16\r\nNATS/1.0 503\r\n\r\n\r\n',
)
ACKS = (
    b'MSG _INBOX.me.2 2 22\r\n{"stream":"S","seq":1}\r\n',
    b'MSG _INBOX.me.3 2 22\r\n{"stream":"S","seq":2}\r\n',
    b'MSG _INBOX.me.4 2 5\r\nother\r\n',
)
LARGE_MESSAGE = b'HMSG a 1 r %d %d\r\n%bxyz' % (len(BLOCK), len(BLOCK) + LARGE, BLOCK)


def receive(driver, *chunks):
    for chunk in chunks:
        driver.wire.feed(chunk)
        driver.wire.next_event()


def ask_for_acks(driver):
    for reads in (ACK, SEQUENCE, ACK):
        driver.wire.request(_speedups.Request(print_nothing, 2, False, reads), 'a')


def output(driver):
    for piece in driver.wire.output():
        len(piece)


STEPS = {
    'publish': lambda d: d.wire.publish('a', b'hi', 'r'),
    'publish much': lambda d: [d.wire.publish('a', b'x' * 3000) for _ in range(40)],
    'publish large': lambda d: d.wire.publish('a', LARGE_PAYLOAD),
    'publish copy': lambda d: d.wire.publish('a', CHANGING),
    'publish strided': lambda d: d.wire.publish('a', STRIDED),
    'publish text': lambda d: d.wire.publish('caf\u00e9', '\u20ac'),
    'hpublish': lambda d: d.wire.hpublish('a', HEADERS, b'hi'),
    'publish too long': lambda d: d.wire.publish('a' * 5000),
    'publish illegal': lambda d: d.wire.publish('a b'),
    'subscribe': lambda d: [d.wire.subscribe('b.*', print, 2, 'q', 5) for _ in range(20)],
    'unsubscribe': lambda d: d.wire.unsubscribe(1, 5),
    'restore': lambda d: d.wire.prepend(d.wire.restore()),
    'sids': lambda d: d.wire.sids(),
    'request': lambda d: d.wire.request(d.other, 'a', b'hi', HEADERS),
    'timeout': lambda d: d.wire.request(d.other, 'a', timeout=5),
    'expired': lambda d: (d.wire.request(d.other, 'a', timeout=1e-9), d.wire.expired()),
    'requests': lambda d: d.wire.requests,
    'expect': lambda d: d.wire.expect(d.other),
    'forget': lambda d: d.wire.forget(d.asked_for),
    'ping': lambda d: d.wire.ping(),
    'output': output,
    'buffer': lambda d: d.wire.buffer(),
    'feed': lambda d: d.wire.feed(b' ' * 300_000),
    'messages': lambda d: receive(d, *MESSAGES),
    'acks': lambda d: (ask_for_acks(d), receive(d, *ACKS)),
    'delivery': lambda d: _speedups.parse_delivery('$JS.ACK.S.C.1.2.3.4000.5'),
    'window': lambda d: d.wire.request(d.of_window, 'a'),
    'window acks': lambda d: (d.wire.request(d.of_window, 'a'), receive(d, ACKS[0])),
    'large': lambda d: receive(d, LARGE_MESSAGE, b'x' * (LARGE - 3) + b'\r\n'),
    'events': lambda d: receive(d, b'PING\r\n', b'INFO {}\r\n', b"-ERR 'x'\r\n"),
    'garbage': lambda d: receive(d, b'NONSENSE\r\n'),
    'lost': lambda d: d.wire.lost(),
    'clear': lambda d: d.wire.clear(),
    'skip': lambda d: d.wire.skip(),
    'drop_larger': lambda d: d.wire.drop_larger(10),
}


# Steps in which the wire calls functions written in Python.
RUN_PYTHON = {'hpublish', 'publish too long', 'publish illegal', 'publish text', 'subscribe'}
RUN_PYTHON |= {'request', 'acks', 'window acks', 'messages', 'large', 'events', 'garbage'}


def prepared():
    driver = Driver(_speedups)
    driver.collect('a')
    driver.asked_for = driver.request(print_nothing, 3)
    driver.other = driver.request(print_nothing, 3)
    driver.wire.request(driver.asked_for, 'service', b'hello hello')
    window = _speedups.Window(print_nothing)
    driver.of_window = _speedups.Request(window, 0, False, WINDOW)
    driver.wire.publish('before', LARGE_PAYLOAD)
    return driver


def print_nothing(*args):
    pass


def try_step(driver, step, fail_at, runs_python):
    """Return whether the step ended without a failed allocation."""
    failed = False
    _testcapi.set_nomemory(fail_at, fail_at + 1)
    try:
        step(driver)
    except MemoryError:
        failed = True
    except SystemError as exc:
        # CPython forgets to say MemoryError where it lacks memory for a Python frame.
        if 'without' not in str(exc) or not runs_python:
            raise
        failed = True
    except (ValueError, ProtocolError):
        pass
    finally:
        _testcapi.remove_mem_hooks()
    return not failed and not driver.raised


def check(driver):
    """The wire's books agree, what it sends is whole frames, and it goes on."""
    wire = driver.wire
    wire.lost()
    wire.live = True
    wire.publish('after', b'1')
    assert wire.frames_sent <= wire.frames_appended
    pending = wire.pending
    sent = driver.take()
    assert len(sent) == pending
    while sent:
        line, _, rest = sent.partition(b'\r\n')
        assert line.startswith((b'PUB ', b'HPUB ', b'PING')), line
        size = 0 if line == b'PING' else int(line.rpartition(b' ')[2]) + 2
        assert rest[:size].endswith(b'\r\n' if size else b'')
        sent = rest[size:]
    assert wire.frames_sent == wire.frames_appended
    assert wire.pending == wire.waiting == 0
    got = driver.collect('c')
    sid = wire.sids()[-1]
    assert driver.events(b'MSG c %d 2\r\nhi\r\nPING\r\n' % sid) == [Ping()]
    assert got == [('c', b'hi', None, None)]
    wire.request(driver.request(print_nothing, 0), 'a')
    assert len(wire.clear()) <= 5
    assert wire.requests == {}


def main():
    survived = 0
    for name, step in STEPS.items():
        for fail_at in range(1, MOST_ALLOCATIONS):
            driver = prepared()
            try:
                done = try_step(driver, step, fail_at, name in RUN_PYTHON)
                check(driver)
            except BaseException:
                print(f'{name}, allocation {fail_at}')
                raise
            if done:
                break
            survived += 1
        else:
            raise AssertionError(f'{name} makes too many allocations')
    print(f'{survived} failures survived')


if __name__ == '__main__':
    main()
