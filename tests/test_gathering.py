"""One request, many replies: everything that can end it."""

from __future__ import annotations

import pytest

from natsev import Cancelled, DisconnectedError, MaxPayloadError, NoResponders


@pytest.fixture
def nats(run, connect, unique):
    """A client, and three who answer ``unique`` with what they are asked, the last one twice."""
    nats = connect()

    def answering(number):
        def answer(subject, payload, reply):
            for _ in range(1 + (number == 2)):
                nats.hpublish(reply, {'from': str(number)}, payload)

        return answer

    for number in range(3):
        nats.subscribe(unique, answering(number))
    assert run.call(nats.flush) is None
    return nats


def test_timeout_ends_it(run, nats, unique):
    replies, err = run.call(nats.request_many, unique, b'x', timeout=100)
    assert err is None
    assert [reply['payload'] for reply in replies] == [b'x'] * 4
    assert sorted(reply['headers']['from'] for reply in replies) == ['0', '1', '2', '2']


def test_count_ends_it(run, nats, unique):
    replies, err = run.call(nats.request_many, unique, b'x', max_msgs=2, timeout=None)
    assert err is None
    assert len(replies) == 2


def test_stall_ends_it(run, nats, unique):
    replies, err = run.call(nats.request_many, unique, b'x', stall=50, timeout=20_000)
    assert err is None
    assert len(replies) == 4


def test_an_empty_reply_ends_it(run, connect, unique):
    nats = connect()

    def answer(subject, payload, reply):
        for answer in (b'1', b'2', b'', b'3'):
            nats.publish(reply, answer)

    nats.subscribe(unique, answer)
    replies, err = run.call(nats.request_many, unique, b'', sentinel=True)
    assert err is None
    assert [reply['payload'] for reply in replies] == [b'1', b'2']
    replies, err = run.call(
        nats.request_many, unique, b'', sentinel=lambda payload, _: payload == b'2'
    )
    assert [reply['payload'] for reply in replies] == [b'1']


def test_each_reply_as_it_comes(run, nats, unique):
    got = []
    replies, err = run.call(
        nats.request_many, unique, b'x', max_msgs=3, on_message=lambda payload: got.append(payload)
    )
    assert (replies, err) == ([], None)
    assert got == [b'x'] * 3


def test_nobody(run, nats, unique):
    replies, err = run.call(nats.request_many, f'{unique}.nobody', b'')
    assert replies is None
    assert isinstance(err, NoResponders)
    nats.subscribe(f'{unique}.silent', lambda: None)
    assert run.call(nats.request_many, f'{unique}.silent', b'', timeout=30) == ([], None)


def test_cancel(run, nats, unique):
    ends = []
    handle = nats.request_many(unique, b'x', lambda replies, err: ends.append(err), timeout=None)
    handle.cancel()
    handle.cancel()
    assert ends == []
    run.until(lambda: ends)
    assert run.call(nats.flush) is None
    assert len(ends) == 1
    assert isinstance(ends[0], Cancelled)
    assert not nats._wire.requests


def test_cancel_from_on_message(run, nats, unique):
    ends, got = [], []

    def on_message(payload):
        got.append(payload)
        handle.cancel()

    handle = nats.request_many(
        unique, b'x', lambda replies, err: ends.append(err), on_message=on_message
    )
    run.until(lambda: ends)
    assert run.call(nats.flush) is None
    assert (len(got), len(ends)) == (1, 1)


def test_the_connection_goes(run, connect, own_server, unique):
    nats = connect(port=own_server.port, on_error=lambda err: None)
    nats.subscribe(unique, lambda s, p, reply: nats.publish(reply, p))
    got = []
    ends = []
    nats.request_many(
        unique,
        b'x',
        lambda replies, err: ends.append((replies, err)),
        timeout=None,
        on_message=lambda: got.append(1),
    )
    run.until(lambda: got)
    own_server.kill()
    run.until(lambda: ends)
    assert ends[0][0] is None
    assert isinstance(ends[0][1], DisconnectedError)
    assert isinstance(run.call(nats.request_many, unique, b'')[1], DisconnectedError)


def test_wrong_arguments(nats, unique):
    for wrong in ({'timeout': 0}, {'stall': -1}, {'max_msgs': 0}):
        with pytest.raises(ValueError, match='must be'):
            nats.request_many(unique, b'', print, **wrong)
    with pytest.raises(TypeError):
        nats.request_many(unique, b'', lambda a, b, c: None)
    with pytest.raises(MaxPayloadError):
        nats.request_many(unique, b'x' * 2_000_000, print)
    with pytest.raises(ValueError, match='subject'):
        nats.request_many('a b', b'', print)


def test_a_sentinel_that_raises_ends_nothing(run, nats, unique, expected_errors):
    replies, err = run.call(nats.request_many, unique, b'', sentinel=lambda p, h: 1 / 0, timeout=50)
    assert (len(replies), err) == (4, None)
