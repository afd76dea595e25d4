"""Memory: nothing is leaked, nothing is used after its end, and none at all is survived."""

from __future__ import annotations

import gc
import importlib.util
import subprocess
import sys
import weakref
from pathlib import Path

import pytest

from natsev import BufferFullError, DisconnectedError, MaxPayloadError
from natsev.errors import ProtocolError
from natsev.wire import ACK, SEQUENCE, WINDOW
from natsev.wire.shared import LARGE
from tests.wire.driver import Driver

BLOCK = b'NATS/1.0\r\nA: b\r\n\r\n'


def everything(twin):
    """Walk every path of the wire once, errors included."""
    driver = Driver(twin)
    wire = driver.wire
    wire.max_payload = 4 * LARGE
    for payload in (
        'text',
        b'x' * LARGE,
        bytearray(LARGE),
        memoryview(b'xyz')[::2],
        '\u20ac' * LARGE,
    ):
        wire.publish('a', payload, 'r')
        wire.hpublish('a', {'A': 'b', 'C': 5}, payload)
    for wrong in (('a b',), ('a', 5), ('a', b'', 'a..b'), (5,), ('a' * 5000,), ('caf\u00e9 ',)):
        with pytest.raises((TypeError, ValueError)):
            wire.publish(*wrong)
        with pytest.raises((TypeError, ValueError)):
            wire.hpublish(*wrong[:1], {}, *wrong[1:])
    with pytest.raises(MaxPayloadError):
        wire.publish('a', bytes(5 * LARGE))
    wire.max_output = 1
    with pytest.raises(BufferFullError):
        wire.publish('a')
    wire.refused = DisconnectedError('x')
    with pytest.raises(DisconnectedError):
        wire.hpublish('a', {})
    wire.refused = None
    wire.max_output = 10**9

    def fails(*args):
        raise ValueError(args)

    wire.subscribe('caf\u00e9', fails, 4, 'group', 2)
    got = driver.collect('a', 'b.*')
    with pytest.raises(ValueError, match='subject'):
        wire.subscribe('a..b', fails, 4)
    wire.unsubscribe(2, 3)
    wire.replace(3, fails, 2)
    for _ in range(3):
        driver.events(
            b'MSG caf\xc3\xa9 1 1\r\nx\r\nHMSG a 2 r %d %d\r\n%bhi\r\n' % (19, 21, BLOCK + b' '),
            b'MSG b.c 3 %d\r\nx' % LARGE,
            b'x' * (LARGE - 1) + b'\r\nMSG z 9 0\r\n\r\n',
            b"INFO {}\r\nPING\r\nPONG\r\n+OK\r\n-ERR 'x'\r\n",
        )
    assert len(got) == 3
    requests = [driver.request(fails, 3, multi) for multi in (False, True, False, False)]
    for request in requests:
        wire.request(request, 'a', b'x' * LARGE, {'A': ['b', 'c']})
    with pytest.raises(ValueError, match='subject'):
        wire.request(driver.request(fails, 0), '')
    replies = [b'%b 4' % (wire.inbox + request.token).encode() for request in requests]
    driver.events(
        b'MSG %b 1\r\nx\r\nMSG %b 1\r\nx\r\n' % (replies[0], replies[1]),
        b'HMSG %b 16 16\r\nNATS/1.0 503\r\n\r\n\r\nMSG _INBOX.me.zz 4 1\r\nx\r\n' % replies[2],
    )
    wire.expect(driver.request(fails, 0))
    wire.forget(requests[3])
    window = twin.Window(fails)
    for reads, callback in ((ACK, fails), (SEQUENCE, fails), (WINDOW, window)):
        for answer in (b'{"stream":"S","seq":1,"duplicate":true}', b'other', b''):
            request = twin.Request(callback, 2, False, reads)
            wire.request(request, 'a', timeout=50)
            subject = (wire.inbox + request.token).encode()
            driver.events(b'MSG %b 4 %d\r\n%b\r\n' % (subject, len(answer), answer))
    wire.request(twin.Request(window, 2, False, WINDOW), 'a', timeout=1e-9)
    assert len(wire.expired()) == 1
    assert window.waiting == 0
    with pytest.raises(ValueError, match='timeout'):
        wire.request(driver.request(fails, 0), 'a', timeout=0)
    wire.ping()
    wire.control(b'PONG\r\n')
    wire.prepend(wire.restore())
    wire.prepend(wire.restore())
    wire.output(5)
    wire.sent(100)
    wire.drop_larger(LARGE)
    driver.take(1000)
    wire.skip()
    driver.events(b'MSG caf\xc3\xa9 1 %d\r\nxyz' % LARGE)
    wire.lost()
    wire.request(driver.request(fails, 0), 'a', b'x' * LARGE)
    for _ in range(2):
        assert driver.events(b'NONSENSE\r\n') == [ProtocolError]
    wire.clear()
    wire.publish('a', b'left behind' * 2000)
    twin.parse_puback(b'{"stream":"S","seq":1}')
    for reply in ('$JS.ACK.S.C.1.2.3.4000.5', '$JS.ACK.S.C.1.2.3.4000.x', None):
        twin.parse_delivery(reply)
    assert driver.raised


def test_nothing_is_leaked(twin):
    def grown():
        gc.collect()
        before = sys.getallocatedblocks()
        for _ in range(20):
            everything(twin)
        gc.collect()
        return sys.getallocatedblocks() - before

    # The interpreter's caches grow now and then; what is leaked grows by 20 each time.
    assert min(grown() for _ in range(6)) < 15


@pytest.mark.parametrize('through', ['subscription', 'request', 'on_output', 'error'])
def test_a_wire_that_is_reached_from_its_callbacks_is_collected(twin, through):
    class Owner:
        def __init__(self):
            self.wire = twin.Wire(self.called if through == 'on_output' else print, print)
            self.wire.inbox = 'i.'
            if through == 'subscription':
                self.wire.subscribe('a', self.called, 0)
            if through == 'request':
                self.wire.request(twin.Request(self.called, 0), 'a')
            if through == 'error':
                self.wire.refused = DisconnectedError('x')
                self.wire.refused.owner = self

        def called(self):
            pass

    owner = weakref.ref(Owner())
    gc.collect()
    assert owner() is None


def test_views_outlive_the_wire(twin):
    driver = Driver(twin)
    driver.wire.publish('a', b'x' * 100)
    driver.wire.publish('a', memoryview(b'.' + b'y' * LARGE)[1:])
    pieces = driver.wire.output()
    room = driver.wire.buffer()
    expected = driver.take()
    driver.wire.publish('b', b'z' * 100_000)
    driver.take()
    del driver
    gc.collect()
    assert b''.join(map(bytes, pieces)) == expected
    room[:] = bytes(len(room))


def test_a_view_that_is_kept_cannot_change_a_payload(twin):
    driver = Driver(twin)
    got = driver.collect('a')
    driver.events(b'MSG a 1 %d\r\nx' % LARGE)
    view = driver.wire.buffer()
    view[:] = b'y' * len(view)
    driver.wire.received(len(view))
    driver.events(b'\r\n')
    view[:] = b'z' * len(view)
    assert got[0][1] == b'x' + b'y' * (LARGE - 1)


def test_destructors_may_use_the_wire(twin):
    """What is dropped may run anybody's code, also in the middle of dropping."""
    driver = Driver(twin)
    wire = driver.wire
    seen = []

    class Callback:
        def __init__(self, sid):
            self.sid = sid

        def __call__(self, *args):
            wire.unsubscribe(self.sid)

        def __del__(self):
            wire.subscribe('b', print, 0)
            wire.unsubscribe(self.sid)
            wire.publish('gone', b'x')
            driver.receive(b'PING\r\n')
            seen.append(wire.next_event())
            wire.lost()
            wire.live = True

    for sid in range(1, 5):
        wire.subscribe('a', Callback(sid), 2)
    wire.subscribe('a', Callback(5), 0, None, 1)
    for sid in (1, 2, 5):
        driver.events(b'MSG a %d 1\r\nx\r\n' % sid)
    wire.unsubscribe(3)
    wire.replace(4, print, 0)
    request = driver.request(Callback(99), 0)
    wire.request(request, 'a')
    del request
    wire.clear()
    assert len(seen) == 6
    assert driver.raised == []


def test_without_memory(compiled):
    """Each allocation fails in turn: MemoryError, and the wire is in order afterwards."""
    if importlib.util.find_spec('_testcapi') is None:
        pytest.skip('this interpreter has no _testcapi')
    done = subprocess.run(
        [sys.executable, '-X', 'faulthandler', '-m', 'tests.wire.without_memory'],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert 'failures survived' in done.stdout
