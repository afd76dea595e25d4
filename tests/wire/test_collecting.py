"""Garbage that is collected in the middle of a step: its destructors may call the wire too."""

from __future__ import annotations

import gc
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from natsev.wire import ACK, NOTHING, SEQUENCE, Info
from natsev.wire.shared import LARGE

# None of these may come from a free list: making the next one must ask for memory.
HELD = [[{} for _ in range(200)], [(i, i) for i in range(5000)], [[] for _ in range(200)]]
EACH = [{'stream': 'S', 'seq': 7}, {'error': {'code': 503}}]


class Garbage:
    def __init__(self, destructor: Callable[[], object]) -> None:
        self.destructor = destructor
        self.me = self

    def __del__(self) -> None:
        self.destructor()


@contextmanager
def collecting(destructor: Callable[[], object]) -> Iterator[None]:
    """Have *destructor* called by the first collection inside, which comes as early as can be."""
    before = gc.get_threshold()
    gc.collect()
    gc.freeze()
    gc.disable()
    Garbage(destructor)
    gc.set_threshold(1)
    gc.enable()
    try:
        yield
    finally:
        gc.set_threshold(*before)
        gc.unfreeze()


def ask(driver, twin, reads, got):
    request = twin.Request(lambda *args: got.append(args), 2, False, reads)
    driver.wire.request(request, 'service', b'what')
    subject = b'_INBOX.me.' + request.token.encode()
    return request, subject


@pytest.mark.parametrize('answer', EACH)
@pytest.mark.parametrize('reads', [ACK, SEQUENCE, NOTHING])
@pytest.mark.parametrize('end', ['forget', 'clear', 'lost'])
def test_requests_that_end_while_they_are_answered(driver, twin, reads, answer, end):
    got = []
    for _ in range(3):
        request, subject = ask(driver, twin, reads, got)
        driver.take()
        payload = json.dumps(answer, separators=(',', ':')).encode()
        driver.receive(b'MSG %b 1 %d\r\n%b\r\n' % (subject, len(payload), payload))
        ends = {'forget': lambda r=request: driver.wire.forget(r)}
        destructor = ends.get(end) or getattr(driver.wire, end)
        next_event = driver.wire.next_event
        del request, ends
        with collecting(destructor):
            next_event()
        driver.wire.clear()
    assert len(got) <= 3
    assert driver.wire.requests == {}
    assert driver.raised == []


@pytest.mark.parametrize('end', ['clear', 'lost'])
def test_a_connection_that_ends_while_its_line_is_read(driver, end):
    line = b'INFO {"a":1}\r\n'
    next_event = driver.wire.next_event
    for _ in range(3):
        driver.receive(line)
        with collecting(getattr(driver.wire, end)):
            assert next_event() in (Info(b'{"a":1}'), None)
        assert driver.events(line) == [Info(b'{"a":1}')]


@pytest.mark.parametrize('step', ['output', 'skip', 'drop_larger'])
@pytest.mark.parametrize('size', [10, LARGE])
@pytest.mark.parametrize('what', ['publish', 'clear', 'lost', 'take'])
def test_output_that_changes_while_it_is_looked_at(driver, step, size, what):
    payload = b'x' * size

    def publish():
        for _ in range(100):
            driver.wire.publish('more', payload)

    destructor = {'publish': publish, 'take': driver.take}.get(what) or getattr(driver.wire, what)
    args = (5,) if step == 'drop_larger' else ()
    for _ in range(3):
        for _ in range(17):
            driver.wire.publish('some', payload)
        method = getattr(driver.wire, step)
        with collecting(destructor):
            found = method(*args)
        if step == 'output':
            frame = b'PUB %b %d\r\n%b\r\n'
            some, more = (frame % (name, size, payload) for name in (b'some', b'more'))
            sent = b''.join(bytes(piece) for piece in found)
            assert (some * 17 + more * 100).startswith(sent)
        driver.take()
        driver.wire.clear()
        assert driver.wire.pending == driver.wire.waiting == 0
        driver.wire.publish('a', b'b')
        assert driver.take() == b'PUB a 1\r\nb\r\n'
