"""Requests of the old style: an inbox for each."""

from __future__ import annotations

import pytest

from natsev import (
    Cancelled,
    DisconnectedError,
    MaxPayloadError,
    NoResponders,
    RequestTimeout,
)

AGAIN = {'reconnect': True, 'reconnect_delay': 10, 'max_reconnect_delay': 50}


@pytest.fixture
def nats(run, connect, own_server, unique):
    nats = connect(port=own_server.port, old_request_style=True, on_error=lambda err: None, **AGAIN)
    nats.subscribe(unique, lambda s, p, reply: nats.publish(reply, p))
    nats.subscribe(f'{unique}.silent', lambda: None)
    assert run.call(nats.flush) is None
    yield nats
    assert nats.subscription_count() == 2
    assert not nats._listeners


def test_every_end(run, nats, unique):
    assert run.call(nats.request, unique, b'x')[:2] == (b'x', None)
    assert run.call(nats.request, unique, b'x', headers={'a': 'b'})[:2] == (b'x', None)
    assert isinstance(run.call(nats.request, f'{unique}.nobody', b'')[1], NoResponders)
    error = run.call(nats.request, f'{unique}.silent', b'', timeout=20)[1]
    assert isinstance(error, RequestTimeout)
    ends = []
    handle = nats.request(unique, b'', lambda response, err: ends.append(err))
    handle.cancel()
    handle.cancel()
    assert ends == []
    assert run.call(nats.flush) is None
    assert [type(err) for err in ends] == [Cancelled]
    with pytest.raises(MaxPayloadError):
        nats.request(unique, b'x' * 2_000_000, print)
    with pytest.raises(ValueError, match='subject'):
        nats.request('a b', b'', print)
    with pytest.raises(TypeError):
        nats.request(unique, b'', lambda a, b, c, d: None)


def test_a_written_one_ends_and_a_queued_one_is_sent(run, nats, own_server, unique):
    ends = []
    nats.request(f'{unique}.silent', b'', lambda response, err: ends.append(err), 60_000)
    assert run.call(nats.flush) is None
    own_server.kill()
    run.until(lambda: ends)
    assert isinstance(ends[0], DisconnectedError)
    nats.request(unique, b'queued', lambda response, err: ends.append(response))
    own_server.start()
    run.until(lambda: len(ends) == 2)
    assert ends[1] == b'queued'


def test_closing_ends_it(run, connect, unique):
    nats = connect(old_request_style=True)
    nats.subscribe(unique, lambda: None)
    ends = []
    nats.request(unique, b'', lambda response, err: ends.append(err))
    nats.disconnect()
    run.to_end()
    assert [type(err) for err in ends] == [DisconnectedError]


def test_no_wildcard_is_subscribed(run, connect, start_server, unique):
    permissions = {'publish': '>', 'subscribe': {'deny': '_INBOX.*.*'}}
    user = {'user': 'u', 'password': 'p', 'permissions': permissions}
    server = start_server(config={'authorization': {'users': [user]}})
    nats = connect(port=server.port, user='u', password='p', old_request_style=True)
    nats.subscribe(unique, lambda s, p, reply: nats.publish(reply, p))
    assert run.call(nats.request, unique, b'x')[:2] == (b'x', None)
