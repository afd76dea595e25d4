"""Subscriptions that pause, and consumers that are slow."""

from __future__ import annotations

import pytest

from natsev import SlowConsumerError


def test_what_waits_is_delivered_in_order(run, connect, unique):
    nats = connect()
    got = []
    sid = nats.subscribe(unique, lambda s, p: got.append(int(p)))
    nats.pause(sid)
    for i in range(1000):
        nats.publish(unique, str(i))
    assert run.call(nats.flush) is None
    assert got == []
    assert nats.pending(sid) == (1000, sum(len(str(i)) for i in range(1000)))
    nats.resume(sid)
    nats.resume(sid)
    for i in range(1000, 2000):  # arrive while the others are being delivered
        nats.publish(unique, str(i))
    run.until(lambda: len(got) == 2000)
    assert got == list(range(2000))
    assert nats.pending(sid) == (0, 0)


def test_pausing_and_resuming_inside_the_callback(run, connect, unique):
    nats = connect()
    got = []

    def one_at_a_time(subject, payload):
        got.append(int(payload))
        nats.pause(sid)
        nats.call_soon(nats.resume, sid)

    sid = nats.subscribe(unique, one_at_a_time)
    for i in range(100):
        nats.publish(unique, str(i))
    run.until(lambda: len(got) == 100)
    assert got == list(range(100))


@pytest.mark.parametrize('limits', [{'max_msgs': 10}, {'max_bytes': 100}])
def test_too_much_is_dropped_and_told_once(run, connect, unique, limits):
    errors, slow, got = [], [], []
    nats = connect(on_error=errors.append, on_slow_consumer=slow.append)
    sid = nats.subscribe(unique, lambda s, p: got.append(int(p)))
    nats.pause(sid, **limits)
    for i in range(50):
        nats.publish(unique, f'{i:10}')
    assert run.call(nats.flush) is None
    run.until(lambda: errors)
    assert len(errors) == 1
    assert isinstance(errors[0], SlowConsumerError)
    assert errors[0].sid == sid
    assert errors[0].dropped == 40
    assert slow == [100]
    nats.resume(sid)
    nats.publish(unique, b'99')
    run.until(lambda: 99 in got)
    assert got == [*range(10), 99]


def test_a_limited_subscription_that_pauses(run, connect, unique):
    nats = connect()
    got = []
    sid = nats.subscribe_max(unique, lambda s, p, r, h: got.append((p, h)), 3)
    nats.pause(sid)
    for i in range(5):
        nats.hpublish(unique, {'n': str(i)}, str(i))
    assert run.call(nats.flush) is None
    assert nats.subscription_count() == 0
    nats.resume(sid)
    run.until(lambda: len(got) == 3)
    assert [(p, h['n']) for p, h in got] == [(b'0', '0'), (b'1', '1'), (b'2', '2')]


def test_unsubscribing_drops_what_waits(run, connect, unique):
    nats = connect()
    got = []
    sid = nats.subscribe(unique, lambda s, p: got.append(p))
    nats.pause(sid)
    nats.publish(unique, b'x')
    assert run.call(nats.flush) is None
    nats.resume(sid)
    nats.unsubscribe(sid)
    assert run.call(nats.flush) is None
    assert got == []
    with pytest.raises(ValueError, match='no subscription'):
        nats.pause(sid)
    with pytest.raises(ValueError, match='at least 1'):
        nats.pause(sid, max_msgs=0)


def test_paused_over_a_reconnect(run, connect, own_server, unique):
    nats = connect(port=own_server.port, reconnect=True, reconnect_delay=10)
    got = []
    sid = nats.subscribe(unique, lambda s, p: got.append(p))
    nats.pause(sid)
    nats.publish(unique, b'1')
    assert run.call(nats.flush) is None
    own_server.restart()
    run.until(lambda: nats.stats()['reconnects'])
    nats.publish(unique, b'2')
    assert run.call(nats.flush) is None
    assert got == []
    nats.resume(sid)
    run.until(lambda: len(got) == 2)
    assert got == [b'1', b'2']


def test_a_callback_that_raises_loses_nothing(run, connect, unique, expected_errors):
    nats = connect()
    got = []

    def on_message(subject, payload):
        got.append(payload)
        raise RuntimeError

    sid = nats.subscribe(unique, on_message)
    nats.pause(sid)
    for i in range(3):
        nats.publish(unique, str(i))
    assert run.call(nats.flush) is None
    nats.resume(sid)
    run.until(lambda: len(got) == 3)
