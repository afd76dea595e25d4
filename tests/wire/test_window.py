"""Acknowledgements that are counted."""

from __future__ import annotations

import gc
import weakref

import pytest

from natsev import NoResponders
from natsev.wire import ACK, WINDOW
from tests.wire.test_acks import reply


class Sender:
    """A window of requests; what its callback saw, and what came to ``end``."""

    def __init__(self, driver, low):
        self.driver = driver
        self.seen = []
        self.ended = []
        sender = weakref.proxy(self)
        self.window = driver.twin.Window(lambda: sender.seen.append(sender.window.waiting))
        self.window.low = low

        class Chunk(driver.twin.Request):
            def end(self, payload, err, headers):
                sender.ended.append((self, payload, err))

        self.make = lambda: Chunk(self.window, 0, False, WINDOW)

    def send(self, count, **options):
        chunks = [self.make() for _ in range(count)]
        for chunk in chunks:
            self.driver.wire.request(chunk, 'stream', b'what', **options)
        return chunks

    def acknowledge(self, *chunks, first=1):
        acks = [b'{"stream":"S","seq":%d}' % seq for seq in range(first, first + len(chunks))]
        self.driver.events(b''.join(map(reply, chunks, acks)))


@pytest.fixture
def sender(driver):
    return Sender(driver, low=2)


def test_nothing_is_called_until_half_is_there(sender):
    chunks = sender.send(5)
    assert sender.window.waiting == 5
    sender.acknowledge(*chunks[:2])
    assert sender.seen == []
    assert [chunk.seq for chunk in chunks] == [1, 2, 0, 0, 0]
    sender.acknowledge(chunks[2], first=3)
    assert sender.seen == [2]
    sender.acknowledge(chunks[4], first=4)
    assert sender.seen == [2]
    sender.acknowledge(chunks[3], first=5)
    assert sender.seen == [2, 0]
    assert [chunk.seq for chunk in chunks] == [1, 2, 3, 5, 4]
    assert sender.driver.wire.requests == {}
    assert sender.ended == []


def test_another_low(sender):
    chunks = sender.send(4)
    sender.window.low = 0
    sender.acknowledge(*chunks)
    assert sender.seen == [0]


def test_more_is_sent_from_the_callback(driver):
    sent, acknowledged = [], []

    def more():
        acknowledged.extend(chunk for chunk in sent if chunk.seq)
        while len(sent) < 20 and window.waiting < 6:
            sent.append(driver.twin.Request(window, 0, False, WINDOW))
            driver.wire.request(sent[-1], 'stream', b'what')

    window = driver.twin.Window(more)
    window.low = 3
    more()
    for seq in range(1, 21):
        driver.events(reply(sent[seq - 1], b'{"stream":"S","seq":%d}' % seq))
    assert [chunk.seq for chunk in sent] == list(range(1, 21))
    assert window.waiting == 0
    assert driver.raised == []


@pytest.mark.parametrize(
    'payload', [b'', b'{"error":{"code":503},"stream":"S","seq":1}', b'{"stream":"S","seq":0}']
)
def test_unusual_replies_go_to_end(sender, payload):
    chunks = sender.send(3)
    sender.driver.events(reply(chunks[0], payload))
    assert sender.ended == [(chunks[0], payload, None)]
    assert chunks[0].seq == 0
    assert sender.window.waiting == 2
    assert sender.seen == []


def test_no_responders(sender):
    [chunk] = sender.send(1)
    sender.driver.events(reply(chunk, b'', b'NATS/1.0 503\r\n\r\n'))
    [(ended, payload, err)] = sender.ended
    assert ended is chunk
    assert payload is None
    assert type(err) is NoResponders
    assert sender.window.waiting == 0


def test_whatever_ends_a_request_is_counted(sender):
    wire = sender.driver.wire
    chunks = sender.send(3)
    assert wire.forget(chunks[0])
    assert sender.window.waiting == 2
    with pytest.raises(ValueError, match='subject'):
        wire.request(sender.make(), '')
    wire.max_output = 1
    with pytest.raises(Exception, match='1'):
        wire.request(sender.make(), 'a')
    assert sender.window.waiting == 2
    sender.driver.take()
    assert wire.lost() == chunks[1:]
    assert sender.window.waiting == 0
    wire.max_output = 1000
    queued = sender.send(2)
    assert wire.skip() == queued
    assert sender.window.waiting == 0
    sender.send(2)
    assert len(wire.drop_larger(0)) == 2
    assert sender.window.waiting == 0
    over = sender.send(1, timeout=1e-9)
    assert wire.expired() == over
    sender.send(2)
    assert sender.window.waiting == 2
    wire.clear()
    assert sender.window.waiting == 0
    assert sender.seen == []


def test_a_request_can_be_made_again(sender):
    [chunk] = sender.send(1)
    sender.acknowledge(chunk, first=7)
    sender.driver.wire.request(chunk, 'stream', b'again')
    assert chunk.seq == 0
    assert sender.window.waiting == 1
    sender.acknowledge(chunk, first=8)
    assert chunk.seq == 8
    assert sender.seen == [0, 0]


def test_what_the_callback_raises(driver):
    def fails():
        raise KeyError('mine')

    request = driver.twin.Request(driver.twin.Window(fails), 0, False, WINDOW)
    driver.wire.request(request, 'a')
    driver.events(reply(request, b'{"stream":"S","seq":1}'))
    assert [type(exc) for exc in driver.raised] == [KeyError]


def test_a_window_is_collected(twin):
    class Owner:
        def __init__(self):
            self.window = twin.Window(self.called)
            self.request = twin.Request(self.window, 0, False, WINDOW)
            self.wire = twin.Wire(print, print)
            self.wire.request(self.request, 'a')

        def called(self):
            pass

    owner = weakref.ref(Owner())
    gc.collect()
    assert owner() is None


def test_arguments(driver, twin):
    with pytest.raises(TypeError):
        twin.Window()
    with pytest.raises(TypeError):
        twin.Window(callback=print)
    request = twin.Request(twin.Window(print), 2, False, ACK)
    driver.wire.request(request, 'a')  # no window of its own: it is called as any callback
    driver.events(reply(request, b'{"stream":"S","seq":1}'))
    assert [type(exc) for exc in driver.raised] == [TypeError]
