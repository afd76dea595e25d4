"""The trace of frames: what it tells, and what it keeps to itself."""

from __future__ import annotations

import logging
import socket

import pytest

from natsev.streams import Plain
from natsev.tracing import _Frames, traced

LOGGER = 'natsev.wire'


@pytest.fixture
def trace(caplog):
    """The lines traced so far."""
    caplog.set_level(logging.DEBUG, LOGGER)
    return lambda: [record.getMessage() for record in caplog.records if record.name == LOGGER]


def test_frames_of_a_connection(run, trace, connect, unique):
    nats = connect(name='my-name')
    nats.subscribe(unique, lambda subject, payload: run.done(payload))
    nats.publish(unique, b'my-payload')
    assert run() == b'my-payload'
    nats.subscribe(f'{unique}.h', lambda subject, payload: run.done(payload))
    nats.hpublish(f'{unique}.h', {'My-Header': 'x'}, b'my-payload')
    run()
    lines = trace()
    assert lines[:3] == ['< INFO', '> CONNECT', '> PING']
    for line in [
        f'> SUB {unique} 1',
        f'> PUB {unique} 10 bytes',
        f'< MSG {unique} 1 10 bytes',
        f'> HPUB {unique}.h 36 bytes',
        f'< HMSG {unique}.h 2 36 bytes',
    ]:
        assert line in lines
    assert not [line for line in lines if 'my-' in line.lower()]
    assert not [line for line in lines if '?' in line]


def test_large_payloads_are_passed_over(run, trace, connect, unique):
    nats = connect()
    nats.subscribe(unique, lambda subject, payload: run.done(len(payload)))
    nats.publish(unique, b'PING\r\n' * 100_000)
    assert run() == 600_000
    assert f'< MSG {unique} 1 600000 bytes' in trace()
    assert trace().count('> PING') == 1


def test_no_credentials(run, trace, connect, start_server):
    server = start_server(config={'authorization': {'user': 'me', 'password': 'my-secret'}})
    nats = connect(port=server.port, user='me', password='my-secret')
    assert run.call(nats.flush) is None
    assert trace()[:4] == ['< INFO', '> CONNECT', '> PING', '< PONG']
    assert 'my-secret' not in ''.join(trace())


@pytest.mark.parametrize('step', [1, 3, 7, 1000])
def test_cut_anywhere(trace, step):
    frames = _Frames('<')
    data = (
        b'MSG a 1 _INBOX.x 6\r\nPING\r\n\r\nPONG\r\n' + b'x' * 600 + b"\r\n-ERR 'no \x1b'\r\n\r\n"
    )
    for at in range(0, len(data), step):
        frames.feed(data[at : at + step])
    assert trace() == [
        '< MSG a 1 _INBOX.x 6 bytes',
        '< PONG',
        '< ? 600 bytes',
        r"< -ERR 'no \x1b'",
        '< ? 0 bytes',
    ]


def test_nothing_in_between_when_it_is_off():
    ours, theirs = socket.socketpair()
    with ours, theirs:
        stream = Plain(ours)
        assert traced(stream, b'') is stream
