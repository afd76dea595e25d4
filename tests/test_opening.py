"""The first words of a server, whatever they are: INFO, or an error that says what is wrong."""

from __future__ import annotations

import contextlib
import json
import socket
import threading

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from natsev import Nats, NatsError, ProtocolError, ServerError
from natsev.opening import parse_info
from tests.running import ErrorGuard, Run

anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=8,
)
# The fields that the client looks at, with values that no server would send.
infos = st.fixed_dictionaries(
    {},
    optional=dict.fromkeys(
        [
            'server_id', 'version', 'proto', 'host', 'port', 'headers', 'max_payload', 'client_id',
            'nonce', 'connect_urls', 'ldm', 'auth_required', 'jetstream', 'xkey', 'cluster',
        ],
        anything | st.integers(-5, 5_000_000) | st.lists(st.text(max_size=20)),
    ),
)  # fmt: skip


@given(st.binary(max_size=200))
def test_any_line_is_info_or_a_documented_error(line):
    with contextlib.suppress(ProtocolError, ServerError):
        assert isinstance(parse_info(line), dict)


@given(anything)
def test_any_json_is_info_or_a_documented_error(value):
    line = b'INFO ' + json.dumps(value).encode() + b'\r'
    if isinstance(value, dict):
        assert parse_info(line).keys() == value.keys()
    else:
        with pytest.raises(ProtocolError):
            parse_info(line)


class Peer:
    """A server of ours that says *info* to one client, and answers its PING."""

    def __init__(self, info):
        self.listener = socket.create_server(('127.0.0.1', 0))
        self.port = self.listener.getsockname()[1]
        self.said = b'INFO ' + json.dumps(info).encode() + b'\r\n'
        self.thread = threading.Thread(target=self.serve, daemon=True)
        self.thread.start()

    def serve(self):
        end, _ = self.listener.accept()
        with end, end.makefile('rb') as lines:
            end.sendall(self.said)
            for line in lines:
                if line == b'PING\r\n':
                    end.sendall(b'PONG\r\n' + self.said)

    def close(self):
        self.thread.join()
        self.listener.close()


@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.too_slow])
@given(infos)
def test_no_field_of_an_info_can_harm_the_client(info):
    """The client connects and closes, or says why not; whatever is in the fields it looks at."""
    peer = Peer(info)
    run = Run(ErrorGuard())
    errors, closed = [], []
    nats = Nats(
        host='127.0.0.1',
        port=peer.port,
        no_responders=False,
        on_error=errors.append,
        on_close=lambda: closed.append(True),
        on_connect=lambda: nats.publish('a', b'x'),
    )
    nats.flush(lambda err: nats.disconnect())
    run.to_end()
    assert closed == [True]
    assert all(isinstance(err, NatsError) for err in errors)
    peer.close()
