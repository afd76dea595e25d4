"""Buckets for the tests of KV."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from natsev import KV, JetStream


@pytest.fixture
def make_bucket(run: Any, unique: str) -> Callable[..., KV]:
    """``make_bucket(js, name=None, **options)``: a new bucket; options of ``KV`` under ``kv``."""

    def make_bucket(js: JetStream, name: str | None = None, kv: Any = None, **options: Any) -> KV:
        bucket = KV(js=js, bucket=name or unique, **(kv or {}))
        _, err = run.call(bucket.create_bucket, {'storage': 'memory', **options})
        assert err is None
        return bucket

    return make_bucket


@pytest.fixture
def kv(js: JetStream, make_bucket: Callable[..., KV]) -> KV:
    """A bucket on the session's server that keeps five revisions of each key."""
    return make_bucket(js, max_history=5)


@pytest.fixture
def each_kv(each_server: Any, connect: Callable[..., Any], make_bucket: Callable[..., KV]) -> KV:
    """The same on each supported version of the server in turn."""
    return make_bucket(JetStream(nats=connect(port=each_server.port)), max_history=5)
