"""The time of requests."""

from __future__ import annotations

import math
import random

import pytest

from natsev.wire import shared

# ms: over at once; and steps so long that no machine is as slow.
AT_ONCE = 1e-9
STEP = 1_000_000


@pytest.fixture
def told():
    """How often ``on_deadline`` was called."""
    return []


@pytest.fixture
def wire(twin, told):
    wire = twin.Wire(lambda: None, print, lambda: told.append(None))
    wire.inbox = '_INBOX.me.'
    return wire


@pytest.fixture
def ask(twin, wire):
    def ask(timeout=None):
        request = twin.Request(print, 0)
        wire.request(request, 'service', b'what', timeout=timeout)
        return request

    return ask


def steps(wire):
    """The time to wait, in steps."""
    return math.ceil(wire.wait() / STEP * 1000)


def test_without_timeouts_there_is_nothing_to_wait_for(wire, told, ask):
    request = ask()
    assert wire.wait() is None
    assert wire.expired() == []
    assert told == []
    assert request.left() == math.inf
    assert list(wire.requests.values()) == [request]


def test_what_is_over_is_given_up(wire, ask):
    waiting = ask(STEP)
    over = [ask(AT_ONCE), ask(AT_ONCE)]
    assert wire.waiting == 3
    assert sorted(map(id, wire.expired())) == sorted(map(id, over))
    assert list(wire.requests.values()) == [waiting]
    assert wire.waiting == 1  # what was queued is not sent any more
    assert wire.expired() == []
    assert all(request.left() < 0 for request in over)
    assert math.ceil(waiting.left() / STEP * 1000) == 1


def test_it_is_told_of_each_earlier_deadline(wire, told, ask):
    ask(5 * STEP)
    assert len(told) == 1
    assert steps(wire) == 5
    ask(6 * STEP)
    ask(5 * STEP)
    assert len(told) == 1
    ask(2 * STEP)
    assert len(told) == 2
    assert steps(wire) == 2


def test_an_answered_request_does_not_expire(wire, ask):
    wire.live = True
    answered, forgotten = ask(AT_ONCE), ask(AT_ONCE)
    wire.feed(b'MSG _INBOX.me.%b 1 0\r\n\r\n' % answered.token.encode())
    assert wire.next_event() is None
    assert wire.forget(forgotten)
    assert wire.wait() == 0
    assert wire.expired() == []
    assert wire.wait() is None


def test_what_could_not_be_sent_does_not_expire(wire, told, twin):
    wire.max_output = 100
    with pytest.raises(ValueError, match='subject'):
        wire.request(twin.Request(print, 0), '', timeout=AT_ONCE)
    with pytest.raises(Exception, match='100'):
        wire.request(twin.Request(print, 0), 'a', bytes(200), timeout=AT_ONCE)
    assert told == []
    wire.request(twin.Request(print, 0), 'a', timeout=STEP)
    assert len(told) == 1
    assert wire.expired() == []
    assert steps(wire) == 1


def test_clear_forgets_them(wire, told, ask):
    request = ask(STEP)
    assert wire.clear() == [request]
    assert wire.wait() is None
    ask(9 * STEP)
    assert len(told) == 2
    assert steps(wire) == 9


def test_the_next_deadline_among_many(wire, ask):
    chance = random.Random(7)
    requests = {}
    for _ in range(6000):
        timeout = chance.randrange(2, 1000)
        requests[ask(timeout * STEP)] = timeout
        if len(requests) > 40:
            gone = chance.choice(list(requests))
            assert wire.forget(gone)
            del requests[gone]
    assert wire.expired() == []
    assert steps(wire) == min(requests.values())
    while requests:
        soonest = min(requests, key=requests.__getitem__)
        assert wire.forget(soonest)
        del requests[soonest]
        assert wire.expired() == []
        assert (steps(wire) if requests else wire.wait()) == min(requests.values(), default=None)


def test_nobody_needs_to_be_told(driver):
    driver.wire.request(driver.request(print, 0), 'a', timeout=STEP)
    assert steps(driver.wire) == 1


def test_what_on_deadline_raises_leaves_request(twin):
    def fails():
        raise KeyError('mine')

    wire = twin.Wire(lambda: None, print, fails)
    with pytest.raises(KeyError):
        wire.request(twin.Request(print, 0), 'a', timeout=STEP)


@pytest.mark.parametrize('timeout', [0, -1, -0.5, math.nan, True, '5', [], 0.0])
def test_wrong_timeouts(wire, ask, timeout):
    with pytest.raises((TypeError, ValueError)) as expected:
        shared.check_timeout(timeout)
    with pytest.raises(type(expected.value)) as raised:
        ask(timeout)
    assert str(raised.value) == str(expected.value)
    assert wire.requests == {}
    assert wire.pending == 0


@pytest.mark.parametrize('timeout', [math.inf, 10**400])
def test_for_ever(wire, ask, timeout):
    if timeout == math.inf:
        assert ask(timeout).left() == math.inf
        assert wire.wait() is None
    else:
        with pytest.raises(OverflowError):
            ask(timeout)
