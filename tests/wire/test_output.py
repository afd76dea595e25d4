"""The output as a model: whatever is published, sent in part, lost and given up, in any order."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from natsev.wire.shared import LARGE
from tests.wire.driver import Driver


@dataclass
class Frame:
    data: bytes
    kept: bool  # over a lost connection
    message: bool
    request: object = None


class Output(RuleBasedStateMachine):
    """The wire beside a plain list of frames.

    ``unsent`` is what the wire should still have; ``taken`` how much of the first of it the kernel
    has; ``prefix`` what goes first.
    """

    twin = None

    def __init__(self):
        super().__init__()
        self.driver = Driver(self.twin)
        self.wire = self.driver.wire
        self.wire.max_output = 10**9
        many = self.driver.request(print, 0, True)
        self.wire.expect(many)  # makes the inbox's subscription
        self.driver.take()
        self.wire.forget(many)
        self.unsent = []
        self.prefix = b''
        self.taken = 0
        self.appended = 1
        self.counter = 0

    def add(self, data, kept, message, request=None):
        self.unsent.append(Frame(data, kept, message, request))
        self.appended += 1

    def payload(self, size):
        self.counter += 1
        return (b'%d,' % self.counter).ljust(size, b'.')

    sizes = st.sampled_from([0, 1, 50, 3000, LARGE - 1, LARGE, 3 * LARGE])

    @rule(size=sizes)
    def publish(self, size):
        payload = self.payload(size)
        self.wire.publish('a', payload)
        self.add(b'PUB a %d\r\n%b\r\n' % (len(payload), payload), True, True)

    @rule(size=sizes)
    def hpublish(self, size):
        payload = self.payload(size)
        self.wire.hpublish('a', b'NATS/1.0\r\n\r\n', payload)
        frame = b'HPUB a 12 %d\r\nNATS/1.0\r\n\r\n%b\r\n' % (12 + len(payload), payload)
        self.add(frame, True, True)

    @rule(size=sizes)
    def request(self, size):
        payload = self.payload(size)
        request = self.driver.request(print, 0)
        self.wire.request(request, 'a', payload)
        subject = self.wire.inbox.encode() + request.token.encode()
        frame = b'PUB a %b %d\r\n%b\r\n' % (subject, len(payload), payload)
        self.add(frame, True, True, request)
        assert request.frame == self.appended

    @rule()
    def ping(self):
        assert self.wire.ping() == self.appended + 1
        self.add(b'PING\r\n', True, False)

    @rule()
    def pong(self):
        self.wire.control(b'PONG\r\n')
        if self.wire.live:
            self.add(b'PONG\r\n', False, False)

    @rule()
    def subscribe(self):
        sid = self.wire.subscribe('b', print, 0)
        if self.wire.live:
            self.add(b'SUB b %d\r\n' % sid, False, False)

    @rule(
        size=st.integers(0, 200) | st.integers(0, 5 * LARGE), most=st.sampled_from([1, 5000, 2**20])
    )
    def send(self, size, most):
        pieces = self.wire.output(most)
        data = b''.join(bytes(piece) for piece in pieces)
        if not self.wire.live:
            assert data == b''
            return
        assert all(len(piece) for piece in pieces)
        waiting = self.waiting()
        assert waiting.startswith(data)
        assert len(data) >= min(most, len(waiting))
        size = min(size, len(data))
        self.wire.sent(size)
        rest = size + self.taken
        if self.prefix:
            if rest < len(self.prefix):
                self.taken = rest
                return
            rest -= len(self.prefix)
            self.prefix = b''
        while self.unsent and len(self.unsent[0].data) <= rest:
            rest -= len(self.unsent.pop(0).data)
        self.taken = rest

    @rule()
    def lost(self):
        lost = self.wire.lost()
        assert all(request.frame <= self.wire.frames_sent for request in lost)
        self.wire.live = False
        self.prefix, self.taken = b'', 0
        self.empty(lambda frame: not frame.kept)

    @precondition(lambda self: not self.wire.live)
    @rule()
    def connected(self):
        self.wire.live = True
        self.prefix = self.wire.restore()
        self.wire.prepend(self.prefix)

    @rule()
    def skip(self):
        requests = [f.request for f in self.untouched() if f.message and f.request is not None]
        alive = [request for request in requests if request.token in self.wire.requests]
        assert self.wire.skip() == alive
        untouched = self.untouched()
        self.empty(lambda frame: frame.message and frame in untouched)

    @rule(limit=st.sampled_from([10, 5000, LARGE + 12]))
    def drop_larger(self, limit):
        untouched = self.untouched()
        larger = [
            f
            for f in untouched
            if f.message and int(f.data.partition(b'\r\n')[0].split()[-1]) > limit
        ]
        dropped = self.wire.drop_larger(limit)
        assert len(dropped) == len(larger)
        assert all(size > limit for size, _ in dropped)
        self.empty(lambda frame: frame in larger)

    @precondition(lambda self: self.wire.requests)
    @rule(data=st.data())
    def forget(self, data):
        request = data.draw(st.sampled_from(sorted(self.wire.requests.values(), key=id_of)))
        untouched = self.untouched()
        assert self.wire.forget(request)
        self.empty(lambda frame: frame.request is request and frame in untouched)

    def untouched(self):
        return self.unsent[1:] if self.taken and not self.prefix else list(self.unsent)

    def empty(self, gone):
        for i, frame in enumerate(self.unsent):
            if gone(frame):
                self.unsent[i] = Frame(b'', False, False)
        while self.unsent and not self.unsent[0].data:
            del self.unsent[0]

    def waiting(self):
        return (self.prefix + b''.join(frame.data for frame in self.unsent))[self.taken :]

    @invariant()
    def same(self):
        wire = self.wire
        assert wire.pending == len(self.waiting())
        assert wire.frames_appended == self.appended
        assert wire.frames_sent == self.appended - len(self.unsent)
        assert wire.waiting == sum(frame.message for frame in self.unsent)

    def teardown(self):
        self.wire.live = True
        assert self.driver.take() == self.waiting()
        assert self.wire.pending == 0
        assert self.wire.frames_sent == self.wire.frames_appended


def id_of(request):
    return int(request.token, 36)


def test_output(twin):
    class Machine(Output):
        pass

    Machine.twin = twin
    Machine.TestCase.settings = settings(deadline=None, max_examples=60, stateful_step_count=40)
    Machine.TestCase('runTest').runTest()


@pytest.mark.parametrize('step', [1, 2, 3, 7, 1000, LARGE, LARGE + 1])
def test_each_publish_arrives_once_and_whole_over_many_connections(make, step):
    """A connection is lost after every *step* bytes; what was wholly sent does not come again."""
    driver = make()
    frames = []
    for i in range(12):
        size = [3, 40, LARGE + 5][i % 3] if step > 100 else 3 + i
        payload = b'%d,' % i + b'x' * size
        driver.wire.publish('a', payload)
        frames.append(b'PUB a %d\r\n%b\r\n' % (len(payload), payload))
    arrived = []
    for _ in range(1000 * len(frames)):
        if not driver.wire.pending:
            break
        data = driver.take(max(step, len(frames[len(arrived)])))
        while frames[len(arrived) :] and data.startswith(frames[len(arrived)]):
            data = data[len(frames[len(arrived)]) :]
            arrived.append(frames[len(arrived)])
        driver.wire.lost()
    assert arrived == frames


def test_the_first_message_is_untouched_while_the_prefix_is_half_taken(make):
    driver = make(live=False)
    wire = driver.wire
    wire.publish('a', b'x' * 100)
    request = driver.request(print, 0)
    wire.request(request, 'a', b'x' * 100)
    wire.live = True
    wire.prepend(b'SUB a 1\r\n')
    assert driver.take(5) == b'SUB a'
    assert wire.drop_larger(10) == [(100, None), (100, request)]
    assert driver.take() == b' 1\r\n'
    assert wire.frames_sent == wire.frames_appended


def test_the_first_request_is_forgotten_while_the_prefix_is_half_taken(make):
    driver = make(live=False)
    wire = driver.wire
    wire.inbox = 'i.'
    request = driver.request(print, 0)
    wire.request(request, 'a')
    wire.live = True
    wire.prepend(b'SUB i.* 1\r\n')
    driver.take(5)
    wire.forget(request)
    assert driver.take() == b'.* 1\r\n'
