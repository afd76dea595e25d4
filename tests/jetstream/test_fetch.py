"""Fetching: every way in which one ends."""

from __future__ import annotations

import pytest

from natsev import (
    Cancelled,
    ConsumerNotFoundError,
    DisconnectedError,
    JetStream,
    JetStreamError,
    NoResponders,
    RequestTimeout,
)


@pytest.fixture
def consumer(run):
    """``consumer(js, stream, **config)``: makes the durable consumer C."""

    def consumer(js, stream, **config):
        config = {'durable_name': 'C', 'ack_policy': 'explicit', **config}
        assert run.call(js.consumer_create, stream, config)[1] is None

    return consumer


def payloads(messages):
    return [message.payload for message in messages]


def until_info(run, js, stream, **values):
    """Wait until the consumer's info says so: the server works in several threads."""
    while not values.items() <= run.call(js.consumer_info, stream, 'C')[0].items():
        pass


def stands(run, js, stream):
    """Wait until the server has the request: it may look at what is sent later first."""
    until_info(run, js, stream, num_waiting=1)


def test_the_ends_that_bring_messages(run, each_js, make_stream, fill, consumer):
    js, stream = each_js, make_stream(each_js)
    fill(js, f'{stream}.a', [str(n) for n in range(5)])
    consumer(js, stream)
    messages, err = run.call(js.fetch, stream, 'C', {'batch': 2})  # full
    assert (payloads(messages), err) == ([b'0', b'1'], None)
    messages, err = run.call(js.fetch, stream, 'C', None)  # one by default
    assert (payloads(messages), err) == ([b'2'], None)
    opts = {'batch': 10, 'expires': 200_000_000}  # its time is up
    messages, err = run.call(js.fetch, stream, 'C', opts)
    assert (payloads(messages), err) == ([b'3', b'4'], None)
    assert run.call(js.fetch, stream, 'C', opts) == ([], None)
    assert run.call(js.fetch, stream, 'C', {'no_wait': True}) == ([], None)
    fill(js, f'{stream}.a', [b'x', b'y'])
    until_info(run, js, stream, num_pending=2)
    opts = {'batch': 10, 'no_wait': True, 'expires': 10_000_000_000}  # nothing more there
    messages, err = run.call(js.fetch, stream, 'C', opts)
    assert (payloads(messages), err) == ([b'x', b'y'], None)


def test_max_bytes(run, each_js, make_stream, fill, consumer):
    js, stream = each_js, make_stream(each_js)
    fill(js, f'{stream}.a', [bytes(1000)] * 4)
    consumer(js, stream)
    messages, err = run.call(js.fetch, stream, 'C', {'batch': 10, 'max_bytes': 2500})
    assert (len(messages), err) == (2, None)


def test_it_waits_for_what_comes(run, js, stream, fill, consumer):
    consumer(js, stream)
    js.fetch(stream, 'C', {'batch': 2}, lambda messages, err: run.done((messages, err)))
    js.js_publish(f'{stream}.a', b'1')
    js.js_publish(f'{stream}.a', b'2')
    messages, err = run()
    assert (payloads(messages), err) == ([b'1', b'2'], None)


def test_heartbeats_keep_it_alive(run, js, stream, consumer):
    consumer(js, stream)
    opts = {'expires': 1_000_000_000, 'idle_heartbeat': 100_000_000}
    assert run.call(js.fetch, stream, 'C', opts) == ([], None)


def test_no_such_consumer(run, each_js, make_stream):
    stream = make_stream(each_js)
    messages, err = run.call(each_js.fetch, stream, 'C', {})
    assert messages is None
    assert isinstance(err, NoResponders)


def test_the_consumer_is_deleted(run, js, stream, consumer):
    consumer(js, stream)
    js.fetch(stream, 'C', {'batch': 5}, lambda messages, err: run.done((messages, err)))
    stands(run, js, stream)
    js.consumer_delete(stream, 'C', lambda reply, err: None)
    messages, err = run()
    assert messages is None
    assert isinstance(err, ConsumerNotFoundError)


def test_what_came_before_a_failure_is_the_result(run, js, stream, fill, consumer):
    fill(js, f'{stream}.a', [b'1'])
    consumer(js, stream)
    js.fetch(stream, 'C', {'batch': 5}, lambda messages, err: run.done((messages, err)))
    stands(run, js, stream)
    js.consumer_delete(stream, 'C', lambda reply, err: None)
    messages, err = run()
    assert (payloads(messages), err) == ([b'1'], None)


def test_a_push_consumer(run, js, stream, consumer):
    consumer(js, stream, deliver_subject=js.nats.new_inbox())
    messages, err = run.call(js.fetch, stream, 'C', {})
    assert messages is None
    assert isinstance(err, JetStreamError)
    assert err.code == 409


def test_the_server_falls_silent(run, own_server, connect, make_stream, consumer, proxy):
    between = proxy(own_server)
    js = JetStream(nats=connect(port=between.port))
    stream = make_stream(js)
    consumer(js, stream)
    between.stall()
    opts = {'expires': 20_000_000_000, 'idle_heartbeat': 100_000_000}
    messages, err = run.call(js.fetch, stream, 'C', opts)
    assert messages is None
    assert isinstance(err, RequestTimeout)
    between.flow()


def test_silence_without_heartbeats(run, own_server, connect, make_stream, consumer, proxy):
    between = proxy(own_server)
    js = JetStream(nats=connect(port=between.port))
    stream = make_stream(js)
    consumer(js, stream)
    between.stall()
    messages, err = run.call(js.fetch, stream, 'C', {'expires': 100_000_000})
    assert messages is None
    assert isinstance(err, RequestTimeout)
    between.flow()


@pytest.mark.parametrize('reconnect', [True, False])
def test_the_connection_is_lost(run, own_server, connect, make_stream, consumer, proxy, reconnect):
    between = proxy(own_server)
    options = {'reconnect': reconnect, 'reconnect_delay': 10, 'on_error': lambda err: None}
    js = JetStream(nats=connect(port=between.port, **options))
    stream = make_stream(js)
    consumer(js, stream)
    js.fetch(stream, 'C', {'batch': 2}, lambda messages, err: run.done((messages, err)))
    js.nats.flush(lambda err: between.cut())
    messages, err = run()
    assert messages is None
    assert isinstance(err, DisconnectedError)


def test_before_the_connection_stands(run, js, connect, stream, fill, consumer):
    fill(js, f'{stream}.a', [b'1'])
    consumer(js, stream)
    early = JetStream(nats=connect())
    assert not early.nats.is_connected()
    messages, err = run.call(early.fetch, stream, 'C', {})
    assert (payloads(messages), err) == ([b'1'], None)


def test_a_closed_client(run, js):
    run.call(js.account_info)
    js.nats.disconnect()
    run.until(js.nats.is_closed)
    messages, err = run.call(js.fetch, 'S', 'C', {})
    assert messages is None
    assert isinstance(err, DisconnectedError)


def test_cancel(run, js, stream, fill, consumer):
    consumer(js, stream)
    call = js.fetch(stream, 'C', {}, lambda messages, err: run.done((messages, err)))
    subscriptions = js.nats.subscription_count()
    call.cancel()
    messages, err = run()
    assert messages is None
    assert isinstance(err, Cancelled)
    assert js.nats.subscription_count() == subscriptions - 1


def test_nothing_is_left_behind(run, js, stream, fill, consumer):
    fill(js, f'{stream}.a', [b'1'])
    consumer(js, stream)
    before = js.nats.subscription_count()
    for opts in ({}, {'no_wait': True}):
        run.call(js.fetch, stream, 'C', opts)
        assert js.nats.subscription_count() == before


def test_overflow_group(run, js, stream, fill, consumer):
    consumer(js, stream, priority_groups=['g'], priority_policy='overflow')
    fill(js, f'{stream}.a', [b'1'])
    opts = {'group': 'g', 'min_pending': 2, 'expires': 200_000_000}
    assert run.call(js.fetch, stream, 'C', opts) == ([], None)
    fill(js, f'{stream}.a', [b'2'])
    messages, err = run.call(js.fetch, stream, 'C', opts)
    assert (payloads(messages), err) == ([b'1'], None)
    messages, err = run.call(js.fetch, stream, 'C', {})
    assert messages is None
    assert isinstance(err, JetStreamError)


def test_wrong_arguments_raise(js):
    with pytest.raises(ValueError, match="unknown fetch option 'expiry'"):
        js.fetch('S', 'C', {'expiry': 1}, print)
    with pytest.raises(ValueError, match='batch must be at least 1'):
        js.fetch('S', 'C', {'batch': 0}, print)
    with pytest.raises(TypeError, match='expires must be int'):
        js.fetch('S', 'C', {'expires': 1.5}, print)
    with pytest.raises(ValueError, match='half of expires'):
        js.fetch('S', 'C', {'expires': 100, 'idle_heartbeat': 100}, print)
    with pytest.raises(TypeError, match='group must be str'):
        js.fetch('S', 'C', {'group': 1}, print)
    with pytest.raises(ValueError, match='consumer name'):
        js.fetch('S', 'a.b', {}, print)
    with pytest.raises(TypeError, match='callback'):
        js.fetch('S', 'C', {}, 7)
