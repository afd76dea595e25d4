"""Ordered consumption: every message once and in order, whatever happens meanwhile."""

from __future__ import annotations

from datetime import timedelta

import pytest

from natsev import (
    ConsumptionEnded,
    DisconnectedError,
    JetStream,
    NoResponders,
    StreamNotFoundError,
)
from tests.losses import Losses


class Got:
    """Keeps what a consumption tells, in order."""

    def __init__(self):
        self.seqs = []
        self.payloads = []
        self.ends = []
        self.caught_up = []  # how many messages had come

    def __call__(self, message):
        self.seqs.append(message.seq)
        self.payloads.append(message.payload.decode())

    def catch_up(self):
        self.caught_up.append(len(self.seqs))

    def end(self, err):
        self.ends.append(err)

    def callbacks(self):
        return {'on_caught_up': self.catch_up, 'on_end': self.end}


@pytest.fixture
def got():
    return Got()


def numbers(first, last):
    return [str(number) for number in range(first, last)]


def consumers(run, js, stream):
    names, err = run.call(js.consumer_names, stream)
    assert err is None
    return names


def until_no_consumer(run, js, stream):
    """Nobody waits for its deletion; the watchdog of the run ends what takes too long."""
    while consumers(run, js, stream):
        pass


def test_all_and_then_live(run, each_js, make_stream, fill, got):
    js, stream = each_js, make_stream(each_js)
    fill(js, f'{stream}.a', numbers(0, 50))
    consumption = js.ordered(stream, got, batch=7, **got.callbacks())
    run.until(lambda: got.caught_up)
    assert (got.payloads, got.caught_up) == (numbers(0, 50), [50])
    fill(js, f'{stream}.a', numbers(50, 100))
    run.until(lambda: len(got.seqs) == 100)
    assert got.seqs == list(range(1, 101))
    assert got.caught_up == [50]
    consumption.stop()
    run.until(lambda: got.ends)
    assert got.ends == [None]
    until_no_consumer(run, js, stream)


def test_an_empty_stream(run, each_js, make_stream, fill, got):
    js, stream = each_js, make_stream(each_js)
    js.ordered(stream, got, **got.callbacks())
    run.until(lambda: got.caught_up)
    assert got.caught_up == [0]
    fill(js, f'{stream}.a', ['x'])
    run.until(lambda: got.seqs)


def test_what_to_deliver(run, each_js, make_stream, fill):
    js, stream = each_js, make_stream(each_js)
    for number in (1, 2, 3):
        fill(js, f'{stream}.a', [f'a{number}'])
        fill(js, f'{stream}.b', [f'b{number}'])
    third, _ = run.call(js.stream_msg_get, stream, {'seq': 3})
    for opts, payloads in (
        ({}, ['a1', 'b1', 'a2', 'b2', 'a3', 'b3']),
        ({'filter_subjects': f'{stream}.b'}, ['b1', 'b2', 'b3']),
        ({'filter_subjects': [f'{stream}.b', f'{stream}.c.>']}, ['b1', 'b2', 'b3']),
        ({'filter_subjects': [f'{stream}.none']}, []),
        ({'deliver_policy': 'last'}, ['b3']),
        ({'deliver_policy': 'new'}, []),
        ({'deliver_policy': 'last_per_subject'}, ['a3', 'b3']),
        ({'opt_start_seq': 4}, ['b2', 'a3', 'b3']),
        ({'opt_start_seq': 99}, []),
        ({'opt_start_time': third['time']}, ['a2', 'b2', 'a3', 'b3']),
        ({'opt_start_time': third['time'] + timedelta(days=1)}, []),
        ({'headers_only': True}, [''] * 6),
    ):
        got = Got()
        consumption = js.ordered(stream, got, **got.callbacks(), **opts)
        run.until(lambda got=got: got.caught_up)
        assert (got.payloads, got.ends) == (payloads, []), opts
        consumption.stop()


def test_messages_that_vanish_before_they_come(run, js, stream, fill, got):
    """They were pending, so the end of what there was cannot be told from the last of them."""
    fill(js, f'{stream}.a', [bytes(1000)] * 50)

    def on_message(message):
        got(message)
        if message.seq == 1:
            js.stream_purge(stream, lambda reply, err: None)

    js.ordered(stream, on_message, batch=2, **got.callbacks())
    run.until(lambda: got.caught_up)
    assert 1 <= got.caught_up[0] < 50
    fill(js, f'{stream}.a', ['more'])
    run.until(lambda: 'more' in got.payloads)
    assert got.ends == []


def test_its_consumer_is_deleted(run, each_js, make_stream, fill, got):
    js, stream = each_js, make_stream(each_js)
    fill(js, f'{stream}.a', numbers(0, 10))
    js.ordered(stream, got, **got.callbacks())
    run.until(lambda: got.caught_up)
    (name,) = consumers(run, js, stream)
    assert run.call(js.consumer_delete, stream, name)[1] is None
    fill(js, f'{stream}.a', numbers(10, 20))
    run.until(lambda: len(got.seqs) >= 20)
    assert got.seqs == list(range(1, 21))
    assert name not in consumers(run, js, stream)
    assert (got.caught_up, got.ends) == ([10], [])


@pytest.mark.parametrize('policy', ['all', 'new', 'last', 'last_per_subject'])
def test_its_consumer_is_deleted_before_the_first_message(run, js, stream, fill, got, policy):
    js.ordered(stream, got, deliver_policy=policy, **got.callbacks())
    run.until(lambda: got.caught_up)
    (name,) = consumers(run, js, stream)
    run.call(js.consumer_delete, stream, name)
    fill(js, f'{stream}.a', numbers(0, 5))
    run.until(lambda: len(got.seqs) >= 5)
    assert got.seqs == [1, 2, 3, 4, 5]


def test_lost_in_the_middle_of_the_last_of_each_subject(run, js, stream, fill, got):
    """Beginning again must not deliver older messages of a subject, nor any twice."""
    for number in range(20):
        fill(js, f'{stream}.{number}', ['old', f'{number:03}'])

    def on_message(message):
        got(message)
        if len(got.seqs) == 5:
            js.consumer_delete(stream, message.consumer, lambda reply, err: None)

    js.ordered(stream, on_message, deliver_policy='last_per_subject', batch=2, **got.callbacks())
    run.until(lambda: got.caught_up)
    assert got.payloads == [f'{number:03}' for number in range(20)]
    fill(js, f'{stream}.7', ['again'])
    run.until(lambda: len(got.seqs) > 20)
    assert got.payloads[20:] == ['again']


@pytest.mark.parametrize('batch', [3, 1000])
def test_the_connection_is_lost_again_and_again(
    run, own_server, connect, make_stream, fill, proxy, got, batch
):
    between = proxy(own_server)
    sizes = [60_000, 40_000, 20_000]
    js = JetStream(nats=connect(port=between.port, reconnect=True, reconnect_delay=10))
    js.nats.on_reconnect(lambda: sizes and between.cut_after(sizes.pop()))
    other = JetStream(nats=connect(port=own_server.port))
    stream = make_stream(other)
    fill(other, f'{stream}.a', [f'{n:0300}' for n in range(500)])
    run.until(js.nats.is_connected)
    between.cut_after(20_000)
    js.ordered(stream, got, batch=batch, **got.callbacks())
    run.until(lambda: got.caught_up)
    assert sizes == []
    assert got.seqs == list(range(1, 501))
    assert [int(payload) for payload in got.payloads] == list(range(500))
    assert got.ends == []


def test_the_server_is_killed_and_started_again(run, own_server, connect, make_stream, fill, got):
    js = JetStream(nats=connect(port=own_server.port, reconnect=True, reconnect_delay=10))
    stream = make_stream(js, storage='file')
    fill(js, f'{stream}.a', numbers(0, 10))
    js.ordered(stream, got, **got.callbacks())
    run.until(lambda: got.caught_up)
    own_server.kill()
    run.until(lambda: not js.nats.is_connected())
    own_server.restart()
    run.until(js.nats.is_connected)
    fill(js, f'{stream}.a', numbers(10, 20))
    run.until(lambda: len(got.seqs) == 20)
    assert got.payloads == numbers(0, 20)
    assert (got.caught_up, got.ends) == ([10], [])


def test_the_stream_is_deleted(run, js, stream, got):
    js.ordered(stream, got, **got.callbacks())
    run.until(lambda: got.caught_up)
    run.call(js.stream_delete, stream)
    run.until(lambda: got.ends)
    assert isinstance(got.ends[0], StreamNotFoundError)


def test_the_stream_is_another_one_after_a_loss(
    run, own_server, connect, make_stream, fill, proxy, got
):
    between = proxy(own_server)
    js = JetStream(nats=connect(port=between.port, reconnect=True, reconnect_delay=10))
    other = JetStream(nats=connect(port=own_server.port))
    stream = make_stream(other)
    fill(other, f'{stream}.a', numbers(0, 10))
    js.ordered(stream, got, **got.callbacks())
    run.until(lambda: got.caught_up)
    between.stall()
    run.call(other.stream_delete, stream)
    make_stream(other)
    between.cut()
    between.flow()
    run.until(lambda: got.ends)
    assert isinstance(got.ends[0], ConsumptionEnded)


def test_no_such_stream(run, js, unique, got):
    js.ordered(unique, got, **got.callbacks())
    run.until(lambda: got.ends)
    assert isinstance(got.ends[0], StreamNotFoundError)
    assert got.caught_up == []


def test_without_jetstream(run, start_server, connect, got):
    server = start_server(jetstream=False)
    js = JetStream(nats=connect(port=server.port))
    js.ordered('S', got, **got.callbacks())
    run.until(lambda: got.ends)
    assert isinstance(got.ends[0], NoResponders)


def test_before_the_connection_stands(run, js, connect, stream, fill, got):
    fill(js, f'{stream}.a', numbers(0, 5))
    early = JetStream(nats=connect())
    early.ordered(stream, got, **got.callbacks())
    assert not early.nats.is_connected()
    run.until(lambda: got.caught_up)
    assert got.payloads == numbers(0, 5)
    assert len(consumers(run, js, stream)) == 1


def test_the_client_is_closed(run, js, stream, got):
    consumption = js.ordered(stream, got, **got.callbacks())
    run.until(lambda: got.caught_up)
    js.nats.disconnect()
    run.until(lambda: got.ends)
    assert isinstance(got.ends[0], DisconnectedError)
    assert consumption.ended
    js.ordered(stream, got, **got.callbacks())
    run.until(lambda: len(got.ends) == 2)


@pytest.mark.parametrize('at', ['once', 'a message', 'the end of what there is'])
def test_stop(run, js, stream, fill, at):
    fill(js, f'{stream}.a', numbers(0, 3))
    told = []

    def tell(what):
        told.append(what)
        if what == at:
            consumption.stop()

    consumption = js.ordered(
        stream,
        lambda message: tell('a message'),
        on_caught_up=lambda: tell('the end of what there is'),
        on_end=run.done,
    )
    if at == 'once':
        consumption.stop()
    assert run() is None
    assert (
        told
        == {
            'once': [],
            'a message': ['a message'],
            'the end of what there is': ['a message'] * 3 + ['the end of what there is'],
        }[at]
    )
    until_no_consumer(run, js, stream)


def test_a_raising_callback_hides_no_end(run, js, stream, fill, got, expected_errors):
    fill(js, f'{stream}.a', numbers(0, 3))

    def on_message(message):
        got(message)
        raise LookupError(message.payload)

    js.ordered(stream, on_message, **got.callbacks())
    run.until(lambda: got.caught_up)
    assert got.payloads == numbers(0, 3)
    assert len(expected_errors) == 3


def test_large_messages(run, start_server, connect, make_stream, fill, got):
    """Larger than what is usually requested at a time."""
    server = start_server(config='max_payload: 16777216')
    js = JetStream(nats=connect(port=server.port))
    stream = make_stream(js)
    fill(js, f'{stream}.a', [b'x' * 12_000_000] * 4)
    js.ordered(stream, got, **got.callbacks())
    run.until(lambda: got.caught_up)
    assert [len(payload) for payload in got.payloads] == [12_000_000] * 4


def test_wrong_arguments_raise(js):
    with pytest.raises(ValueError, match="unknown ordered option 'ack_policy'"):
        js.ordered('S', print, ack_policy='explicit')
    with pytest.raises(ValueError, match='stream name'):
        js.ordered('a.b', print)
    with pytest.raises(ValueError, match='subject'):
        js.ordered('S', print, filter_subjects='a b')
    with pytest.raises(ValueError, match='opt_start_seq must be at least 1'):
        js.ordered('S', print, opt_start_seq=0)
    with pytest.raises(TypeError, match='opt_start_time'):
        js.ordered('S', print, opt_start_time=0)
    with pytest.raises(TypeError, match='requires 1 arguments'):
        js.ordered('S', print, on_caught_up=lambda what: None)


def test_a_server_that_does_not_answer_is_soon_asked_again(run, start_server, connect):
    server = start_server(config='mappings = {}')
    js = JetStream(nats=connect(port=server.port), timeout=15_000)
    losses = Losses(run, server, connect(port=server.port))
    run.call(js.stream_create, {'name': 'S', 'subjects': ['s']})
    run.call(js.js_publish, 's', b'x')
    losses.begin('$JS.API.CONSUMER.CREATE.*.*')
    messages = []
    consumption = js.ordered('S', messages.append)
    losses.await_some()
    losses.end()
    run.until(lambda: messages)
    consumption.stop()


def test_a_server_that_takes_its_time_makes_one_consumer(
    run, js, stream, fill, server, proxy, connect
):
    """It is asked more than once, and the first answer counts."""
    fill(js, f'{stream}.a', 'abcde')
    between = proxy(server)
    far = JetStream(nats=connect(port=between.port))
    assert run.call(far.stream_info, stream)[1] is None
    got = Got()
    between.stall()
    consumption = far.ordered(stream, got, **got.callbacks())
    timer = js.nats.port.timer(between.flow)
    timer.start(1.2)
    run.until(lambda: got.caught_up)
    timer.close()
    assert got.seqs == [1, 2, 3, 4, 5]
    assert len(run.call(js.consumer_names, stream)[0]) == 1
    consumption.stop()
