"""Messages to callbacks: subscriptions, what a callback gets, what it may do."""

from __future__ import annotations

import random

import pytest

from natsev import DisconnectedError, Headers
from natsev.wire import YIELD, Ping

A = b'MSG a 1 1\r\nx\r\n'


def test_a_callback_gets_as_many_arguments_as_it_takes(make):
    message = b'HMSG a 1 r 18 20\r\nNATS/1.0\r\nK: v\r\n\r\nhi\r\n'
    for nargs in range(5):
        driver = make()
        got = driver.collect('a', nargs=nargs)
        assert driver.events(message) == []
        assert got[0][:3] == ('a', b'hi', 'r')[:nargs]
        assert len(got[0]) == nargs
    headers = got[0][3]
    assert type(headers) is Headers
    assert dict(headers) == {'K': 'v'}


def test_messages_go_to_their_subscription(driver):
    one, two = driver.collect('a'), driver.collect('b')
    driver.events(A, b'MSG b 2 1\r\ny\r\n', b'MSG c 3 1\r\nz\r\n', b'MSG b 002 1\r\nw\r\n')
    assert [payload for _, payload, *_ in one] == [b'x']
    assert [payload for _, payload, *_ in two] == [b'y']  # 002 is not how we wrote it
    assert driver.raised == []


def test_nothing_is_delivered_while_it_is_closing(driver):
    got, answers = driver.collect('a'), []
    wire = driver.wire
    wire.request(driver.request(lambda *args: answers.append(args), 3), 'b')
    [token] = wire.requests
    wire.refused = DisconnectedError()
    driver.events(A, b'MSG %b%b 2 1\r\ny\r\n' % (wire.inbox.encode(), token.encode()))
    assert got == []
    assert answers == [(b'y', None, None)]
    wire.refused = None
    driver.events(A)
    assert len(got) == 1


def test_sids_count_from_1_and_are_not_used_again(driver):
    wire = driver.wire
    assert [wire.subscribe('a', print, 0) for _ in range(3)] == [1, 2, 3]
    wire.unsubscribe(3)
    assert wire.subscribe('a', print, 0) == 4
    assert wire.sids() == [1, 2, 4]
    assert wire.subscription_count == 3


def test_what_is_said_to_the_server(driver):
    wire = driver.wire
    wire.subscribe('a.*', print, 0)
    wire.subscribe('b.>', print, 0, 'workers')
    wire.subscribe('c', print, 0, max_msgs=3)
    wire.unsubscribe(1)
    wire.unsubscribe(2, 7)
    wire.unsubscribe(99)
    assert driver.take() == (
        b'SUB a.* 1\r\nSUB b.> workers 2\r\nSUB c 3\r\nUNSUB 3 3\r\nUNSUB 1\r\nUNSUB 2 7\r\n'
    )


@pytest.mark.parametrize(
    'subject',
    [
        '',
        'a b',
        'a..b',
        '.a',
        'a.',
        'a\tb',
        'a\r\nPING',
        'a.>.b',
        '>.a',
        'a\x00',
        'a\x7f',
        '\ud800',
    ],
)
def test_illegal_subjects(driver, subject):
    with pytest.raises(ValueError, match=r'^subject '):
        driver.wire.subscribe(subject, print, 0)
    with pytest.raises(ValueError, match=r'^subject '):
        driver.wire.publish(subject)
    assert driver.wire.subscription_count == 0
    assert driver.wire.pending == 0


@pytest.mark.parametrize('group', ['', 'a b', 'a\n'])
def test_illegal_queue_groups(driver, group):
    with pytest.raises(ValueError, match='queue group'):
        driver.wire.subscribe('a', print, 0, group)


def test_wrong_types(driver):
    with pytest.raises(TypeError, match=r'^subject must be str, not bytes'):
        driver.wire.subscribe(b'a', print, 0)
    with pytest.raises(TypeError, match=r'^queue group must be str, not int'):
        driver.wire.subscribe('a', print, 0, 5)
    assert driver.wire.pending == 0


def test_a_subscription_that_makes_too_long_a_line(driver):
    with pytest.raises(ValueError, match='4096'):
        driver.wire.subscribe('a' * 4096, print, 0)
    assert driver.wire.subscription_count == 0
    driver.wire.subscribe('a' * 4094, print, 0)


def test_late_messages_are_dropped(driver):
    got = driver.collect('a')
    driver.wire.unsubscribe(1)
    assert driver.events(A, b'PING\r\n') == [Ping()]
    assert got == []


def test_max_msgs_ends_a_subscription_before_its_last_callback(driver):
    counts = []
    driver.wire.subscribe('a', lambda: counts.append(driver.wire.subscription_count), 0, None, 2)
    driver.events(A * 3)
    assert counts == [1, 0]


def test_a_subscription_can_be_renewed_in_its_last_callback(driver):
    sids = [1]

    def again():
        sids.append(driver.wire.subscribe('a', again, 0, None, 1))

    driver.wire.subscribe('a', again, 0, None, 1)
    driver.events(A * 2, b'MSG a 2 1\r\nx\r\n')
    assert sids == [1, 2, 3]


def test_unsubscribe_counts_deliveries_since_subscribe(driver):
    got = driver.collect('a')
    driver.take()
    driver.events(A * 3)
    driver.wire.unsubscribe(1, 5)
    assert driver.take() == b'UNSUB 1 5\r\n'
    driver.events(A * 3)
    assert len(got) == 5
    assert driver.wire.sids() == []


def test_unsubscribe_after_fewer_than_were_delivered_is_at_once(driver):
    driver.collect('a')
    driver.events(A * 3)
    driver.take()
    driver.wire.unsubscribe(1, 3)
    assert driver.take() == b'UNSUB 1\r\n'
    assert driver.wire.sids() == []


def test_a_limit_can_be_changed(driver):
    got = driver.collect('a')
    driver.wire.unsubscribe(1, 2)
    driver.wire.unsubscribe(1, 4)
    driver.events(A * 6)
    assert len(got) == 4


def test_callback_and_replace(driver):
    got = []
    driver.wire.subscribe('a', print, 2)
    assert driver.wire.callback(1) is print
    driver.wire.replace(1, got.append, 1)
    driver.events(A)
    assert got == ['a']
    assert driver.wire.callback(2) is None
    driver.wire.replace(2, got.append, 1)
    assert driver.wire.sids() == [1]


def test_restore(driver):
    wire = driver.wire
    driver.collect('a', 'b')
    wire.subscribe('c', print, 0, 'q', 9)
    wire.unsubscribe(1, 5)
    wire.unsubscribe(2)
    driver.events(A * 3)
    driver.take()
    wire.lost()
    assert wire.restore() == b'SUB a 1\r\nUNSUB 1 2\r\nSUB c q 3\r\nUNSUB 3 9\r\n'
    # The new connection's server counts from the SUB it has seen.
    wire.unsubscribe(1, 7)
    assert driver.take() == b'UNSUB 1 4\r\n'
    driver.events(A)
    assert wire.restore().startswith(b'SUB a 1\r\nUNSUB 1 3\r\n')


def test_while_away_only_the_table_changes(make):
    driver = make(live=False)
    driver.collect('a', 'b')
    driver.wire.unsubscribe(1)
    assert driver.wire.pending == 0
    assert driver.wire.restore() == b'SUB b 2\r\n'
    assert driver.asked == 0


def test_exceptions_of_callbacks_do_not_stop_the_dispatching(driver):
    error = ValueError('mine')
    seen = []

    def fails(subject):
        seen.append(subject)
        raise error

    driver.wire.subscribe('a', fails, 1)
    assert driver.events(A * 2 + b'PING\r\n') == [Ping()]
    assert driver.raised == [error, error]
    assert seen == ['a', 'a']


@pytest.mark.parametrize('kind', [KeyboardInterrupt, SystemExit, GeneratorExit])
def test_what_is_not_an_exception_leaves_as_itself(driver, kind):
    seen = []

    def fails():
        seen.append(1)
        if len(seen) == 1:
            raise kind

    driver.wire.subscribe('a', fails, 0)
    driver.receive(A * 2)
    with pytest.raises(kind):
        driver.wire.next_event()
    assert driver.wire.next_event() is None
    assert len(seen) == 2
    assert driver.raised == []


def test_an_exception_handler_may_raise(twin):
    def fails(*args):
        raise ValueError('again')

    wire = twin.Wire(print, fails)
    wire.subscribe('a', fails, 0)
    wire.feed(A + b'PING\r\n')
    with pytest.raises(ValueError, match='again'):
        wire.next_event()
    assert wire.next_event() == Ping()


def test_a_callback_that_cannot_be_called_so(driver):
    driver.wire.subscribe('a', lambda: None, 1)
    assert driver.events(A) == []
    assert [type(exc) for exc in driver.raised] == [TypeError]


def test_budget(driver):
    got = driver.collect('a')
    driver.receive(A * 7 + b'PING\r\n')
    assert driver.wire.next_event(3) is YIELD
    assert len(got) == 3
    assert driver.wire.next_event(budget=3) is YIELD
    assert driver.wire.next_event(3) == Ping()
    assert len(got) == 7
    assert driver.wire.next_event(3) is None


def test_messages_for_nobody_count_towards_the_budget(driver):
    driver.receive(A * 4)
    assert driver.wire.next_event(3) is YIELD
    assert driver.wire.next_event(3) is None


def test_no_yield_when_nothing_is_left(driver):
    driver.collect('a')
    driver.receive(A * 3)
    assert driver.wire.next_event(3) is None


def test_next_event_inside_a_callback_is_none(driver):
    seen = []

    def nested():
        driver.receive(A + b'PING\r\n')
        seen.append(driver.wire.next_event())

    driver.wire.subscribe('a', nested, 0, None, 2)
    assert driver.events(A) == [Ping(), Ping()]
    assert seen == [None, None]


def test_bytes_that_come_inside_a_callback(driver):
    """A nested run of the loop may read more than the buffer holds."""
    got = []

    def nested(_subject, payload):
        got.append(len(payload))
        if len(got) == 1:
            for _ in range(10):
                driver.receive(b'MSG a 1 100000\r\n' + b'y' * 100_000 + b'\r\n')
                assert driver.wire.next_event() is None

    driver.wire.subscribe('a', nested, 2)
    assert driver.events(A + A) == []
    assert got == [1, 1] + [100_000] * 10


def test_lost_inside_a_callback(driver):
    got = []

    def leaves():
        got.append(1)
        driver.wire.live = False
        driver.wire.lost()

    driver.wire.subscribe('a', leaves, 0)
    assert driver.events(A * 3 + b'PING\r\n') == []
    assert got == [1]


def test_a_new_connection_inside_a_callback(driver):
    got = []

    def leaves():
        got.append(1)
        driver.wire.lost()
        driver.receive(b'PING\r\n')

    driver.wire.subscribe('a', leaves, 0, None, 2)
    assert driver.events(A * 3) == [Ping()]
    assert got == [1]


def test_lost_while_a_large_payload_comes(driver):
    got = driver.collect('a')
    driver.events(b'MSG a 1 1000000\r\nxyz')
    driver.wire.lost()
    driver.wire.live = True
    assert driver.events(A) == []
    assert [payload for _, payload, *_ in got] == [b'x']


def test_unsubscribing_itself(driver):
    got = []

    def once():
        got.append(1)
        driver.wire.unsubscribe(1)

    driver.wire.subscribe('a', once, 0)
    driver.events(A * 3)
    assert got == [1]


def test_replacing_itself(driver):
    got = []
    driver.wire.subscribe('a', lambda: driver.wire.replace(1, got.append, 1), 0)
    driver.events(A * 3)
    assert got == ['a', 'a']


def test_counters(driver):
    wire = driver.wire
    driver.collect('a')
    driver.events(A, b'HMSG a 9 2 5\r\nHHhey\r\n', b'MSG a 1 100000\r\n' + b'x' * 100_000 + b'\r\n')
    assert (wire.msgs_in, wire.bytes_in) == (3, 1 + 5 + 100_000)
    wire.msgs_in = wire.bytes_in = 0
    driver.events(A)
    assert (wire.msgs_in, wire.bytes_in) == (1, 1)


@pytest.mark.parametrize('alive', [3, 40])
def test_subscriptions_that_come_and_go(driver, alive):
    """Each message finds its subscription, whichever others there were."""
    chance = random.Random(alive)
    got = {}
    for i in range(400):
        seen = []
        sid = driver.wire.subscribe(f's.{i}', seen.append, 1)
        got[sid] = seen
        if len(got) > alive:
            gone = chance.choice(list(got))
            driver.wire.unsubscribe(gone)
            del got[gone]
        driver.events(*(b'MSG m.%d %d 0\r\n\r\n' % (i, sid) for sid in range(1, sid + 1)))
        assert all(seen[-1] == f'm.{i}' for seen in got.values())
        assert driver.wire.sids() == sorted(got)


def test_payloads_stay_as_they_were(driver):
    got = driver.collect('a')
    for i in range(300):
        driver.events(b'MSG a 1 5000\r\n' + b'%04d\r' % i * 1000 + b'\r\n')
    assert [message[1] for message in got] == [b'%04d\r' % i * 1000 for i in range(300)]
