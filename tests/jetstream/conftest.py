"""Streams for the tests of JetStream."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from natsev import JetStream


@pytest.fixture
def make_stream(run: Any, unique: str) -> Callable[..., str]:
    """``make_stream(js, **config)``: a stream on ``<name>.>`` with direct gets; its name."""

    def make_stream(js: JetStream, **config: Any) -> str:
        config = {
            'name': unique,
            'subjects': [f'{unique}.>'],
            'allow_direct': True,
            'storage': 'memory',
            **config,
        }
        _, err = run.call(js.stream_create, config)
        assert err is None
        return config['name']

    return make_stream


@pytest.fixture
def stream(js: JetStream, make_stream: Callable[..., str]) -> str:
    """A stream on the session's server; messages go to ``<stream>.<something>``."""
    return make_stream(js)


@pytest.fixture
def each_js(each_server: Any, connect: Callable[..., Any]) -> JetStream:
    """A ``JetStream`` on each supported version of the server in turn."""
    return JetStream(nats=connect(port=each_server.port))


@pytest.fixture
def fill(run: Any) -> Callable[..., None]:
    """``fill(js, subject, payloads)``: publishes them, acknowledged."""

    def fill(js: JetStream, subject: str, payloads: Any) -> None:
        publisher = js.publisher()
        for payload in payloads:
            publisher.publish(subject, payload)
        totals, err = run.call(publisher.done)
        assert err is None
        assert totals['failed'] == 0

    return fill
