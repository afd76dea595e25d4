"""Consuming without end: it goes on over every trouble, and never just stops."""

from __future__ import annotations

import logging

import pytest

from natsev import (
    ConsumerNotFoundError,
    ConsumptionEnded,
    DisconnectedError,
    JetStream,
    JetStreamError,
    NoResponders,
    StreamNotFoundError,
)


@pytest.fixture
def consumer(run):
    """``consumer(js, stream, **config)``: makes the durable consumer C."""

    def consumer(js, stream, **config):
        config = {'durable_name': 'C', 'ack_policy': 'explicit', **config}
        assert run.call(js.consumer_create, stream, config)[1] is None

    return consumer


class Got:
    """Acknowledges and keeps the payloads of what is delivered, and the end."""

    def __init__(self):
        self.payloads = []
        self.ends = []

    def __call__(self, message):
        self.payloads.append(message.payload.decode())
        message.ack()

    def end(self, err):
        self.ends.append(err)


@pytest.fixture
def got():
    return Got()


def numbers(first, last):
    return [str(number) for number in range(first, last)]


def test_all_messages_once_and_in_order(run, each_js, make_stream, fill, consumer, got):
    js, stream = each_js, make_stream(each_js)
    fill(js, f'{stream}.a', numbers(0, 50))
    consumer(js, stream)
    consumption = js.consume(stream, 'C', got, batch=10, on_end=got.end)
    fill(js, f'{stream}.a', numbers(50, 100))
    run.until(lambda: len(got.payloads) == 100)
    assert got.payloads == numbers(0, 100)
    consumption.stop()
    consumption.stop()
    assert consumption.ended
    assert got.ends == []
    run.until(lambda: got.ends)
    assert got.ends == [None]
    while run.call(js.consumer_info, stream, 'C')[0]['num_ack_pending']:
        pass  # nobody waits for what acknowledgements do


@pytest.mark.parametrize('opts', [
    {'batch': 1}, {'batch': 2, 'threshold': 0}, {'max_bytes': 700}, {'batch': 7, 'max_bytes': 1500},
])  # fmt: skip
def test_small_windows(run, js, stream, fill, consumer, got, opts):
    fill(js, f'{stream}.a', [f'{number:0200}' for number in range(40)])
    consumer(js, stream)
    js.consume(stream, 'C', got, **opts)
    run.until(lambda: len(got.payloads) == 40)
    assert [int(payload) for payload in got.payloads] == list(range(40))


def test_no_more_than_the_window_is_requested(run, js, stream, consumer, got):
    consumer(js, stream)
    js.consume(stream, 'C', got, batch=10)

    def waiting():
        return run.call(js.consumer_info, stream, 'C')[0]['num_waiting']

    # In the server, requests for messages and questions to the API take different ways.
    while not waiting():
        pass
    assert waiting() == 1


def test_a_request_that_runs_out_is_made_again(run, js, stream, fill, consumer, got):
    consumer(js, stream)
    js.consume(stream, 'C', got, expires=1_000_000_000, idle_heartbeat=100_000_000)
    timer = js.nats.port.timer(lambda: js.js_publish(f'{stream}.a', b'late'))
    timer.start(2.5)
    run.until(lambda: got.payloads)
    assert got.payloads == ['late']


def test_a_message_that_never_fits(run, js, stream, fill, consumer, got):
    fill(js, f'{stream}.a', [bytes(1000)])
    consumer(js, stream)
    js.consume(stream, 'C', got, max_bytes=500, on_end=got.end)
    run.until(lambda: got.ends)
    assert isinstance(got.ends[0], ConsumptionEnded)
    assert str(got.ends[0]) == 'consumption ended: a message is larger than max_bytes 500'


def test_within_the_limits_of_the_consumer(run, js, stream, fill, consumer, got):
    fill(js, f'{stream}.a', numbers(0, 20))
    consumer(js, stream, max_batch=3, max_expires=2_000_000_000, max_bytes=400)
    js.consume(stream, 'C', got, on_end=got.end)
    run.until(lambda: len(got.payloads) == 20 or got.ends)
    assert (got.payloads, got.ends) == (numbers(0, 20), [])


def test_no_such_consumer(run, js, stream, unique, got):
    js.consume(stream, 'C', got, on_end=got.end)
    js.consume(f'{unique}X', 'C', got, on_end=got.end)
    run.until(lambda: len(got.ends) == 2)
    assert {type(end) for end in got.ends} == {ConsumerNotFoundError, StreamNotFoundError}


def test_a_push_consumer(run, js, stream, consumer, got):
    consumer(js, stream, deliver_subject=js.nats.new_inbox())
    js.consume(stream, 'C', got, on_end=got.end)
    run.until(lambda: got.ends)
    assert isinstance(got.ends[0], JetStreamError)


def test_without_jetstream(run, start_server, connect, got):
    server = start_server(jetstream=False)
    js = JetStream(nats=connect(port=server.port))
    js.consume('S', 'C', got, on_end=got.end)
    run.until(lambda: got.ends)
    assert isinstance(got.ends[0], NoResponders)


def test_the_end_is_reported_where_nobody_asked(run, js, stream, got):
    js.nats.on_error(run.done)
    js.consume(stream, 'C', got)
    assert isinstance(run(), ConsumerNotFoundError)


def test_the_consumer_is_deleted(run, js, stream, fill, consumer, got):
    fill(js, f'{stream}.a', ['1'])
    consumer(js, stream)
    js.consume(stream, 'C', got, on_end=got.end)
    run.until(lambda: got.payloads)
    run.call(js.consumer_delete, stream, 'C')
    run.until(lambda: got.ends)
    assert isinstance(got.ends[0], ConsumerNotFoundError)


def test_the_connection_is_lost(run, own_server, connect, make_stream, fill, consumer, proxy, got):
    between = proxy(own_server)
    js = JetStream(nats=connect(port=between.port, reconnect=True, reconnect_delay=10))
    stream = make_stream(js)
    consumer(js, stream, ack_wait=500_000_000)  # what was on its way is delivered again
    js.consume(stream, 'C', got, on_end=got.end)
    other = JetStream(nats=connect(port=own_server.port))
    for round in range(3):
        fill(other, f'{stream}.a', numbers(10 * round, 10 * round + 10))
        run.until(lambda expected=10 * round + 10: len(set(got.payloads)) == expected)
        between.cut()
    fill(other, f'{stream}.a', ['last'])
    run.until(lambda: 'last' in got.payloads)
    assert set(got.payloads) == {*numbers(0, 30), 'last'}
    assert got.ends == []


def test_the_server_is_killed_and_started_again(
    run, own_server, connect, make_stream, fill, consumer, got
):
    js = JetStream(nats=connect(port=own_server.port, reconnect=True, reconnect_delay=10))
    stream = make_stream(js, storage='file')
    consumer(js, stream)
    js.consume(stream, 'C', got, on_end=got.end)
    fill(js, f'{stream}.a', numbers(0, 10))
    run.until(lambda: len(got.payloads) == 10)
    own_server.kill()
    run.until(lambda: not js.nats.is_connected())
    own_server.restart()
    run.until(js.nats.is_connected)
    fill(js, f'{stream}.a', numbers(10, 20))
    run.until(lambda: len(set(got.payloads)) == 20)
    assert got.ends == []


def test_the_server_falls_silent(run, own_server, connect, make_stream, fill, consumer, proxy, got,
                                 caplog):  # fmt: skip
    between = proxy(own_server)
    js = JetStream(nats=connect(port=between.port), timeout=200)
    stream = make_stream(js)
    consumer(js, stream)
    js.consume(stream, 'C', got, expires=1_000_000_000, idle_heartbeat=100_000_000)
    run.call(js.consumer_info, stream, 'C')
    caplog.set_level(logging.WARNING, 'natsev')
    between.stall()
    run.until(lambda: 'tried again' in caplog.text)
    between.flow()
    fill(js.with_timeout(5000), f'{stream}.a', ['1'])
    run.until(lambda: got.payloads)
    assert set(got.payloads) == {'1'}


def test_the_client_is_closed(run, js, stream, consumer, got):
    consumer(js, stream)
    consumption = js.consume(stream, 'C', got, on_end=got.end)
    run.call(js.nats.flush)
    js.nats.disconnect()
    run.until(lambda: got.ends)
    assert isinstance(got.ends[0], DisconnectedError)
    assert consumption.ended
    later = js.consume(stream, 'C', got, on_end=got.end)
    assert len(got.ends) == 1
    run.until(lambda: len(got.ends) == 2)
    assert later.ended


def test_before_the_connection_stands(run, js, connect, stream, fill, consumer, got):
    fill(js, f'{stream}.a', numbers(0, 5))
    consumer(js, stream)
    early = JetStream(nats=connect())
    early.consume(stream, 'C', got)
    assert not early.nats.is_connected()
    run.until(lambda: len(got.payloads) == 5)
    assert got.payloads == numbers(0, 5)


def test_stop_inside_a_message(run, js, stream, fill, consumer):
    fill(js, f'{stream}.a', numbers(0, 10))
    consumer(js, stream)
    payloads = []

    def on_message(message):
        payloads.append(message.payload)
        if len(payloads) == 3:
            consumption.stop()

    consumption = js.consume(stream, 'C', on_message, on_end=run.done)
    assert run() is None
    assert payloads == [b'0', b'1', b'2']


def test_a_raising_callback_does_not_stop_it(run, js, stream, fill, consumer, expected_errors):
    fill(js, f'{stream}.a', numbers(0, 3))
    consumer(js, stream)
    payloads = []

    def on_message(message):
        payloads.append(message.payload)
        raise LookupError(message.payload)

    js.consume(stream, 'C', on_message, batch=1)
    run.until(lambda: len(payloads) == 3)
    assert len(expected_errors) == 3


def test_pause_and_resume(run, js, stream, fill, consumer, got):
    fill(js, f'{stream}.a', numbers(0, 20))
    consumer(js, stream)
    consumption = js.consume(stream, 'C', got, batch=5)
    consumption.pause()
    run.until(lambda: len(got.payloads) == 5)
    info, _ = run.call(js.consumer_info, stream, 'C')
    assert (info['num_waiting'], info['num_pending']) == (0, 15)
    consumption.resume()
    run.until(lambda: len(got.payloads) == 20)
    assert got.payloads == numbers(0, 20)


def test_two_share_a_consumer(run, js, stream, fill, consumer):
    one, two = Got(), Got()
    consumer(js, stream)
    js.consume(stream, 'C', one, batch=2)
    js.consume(stream, 'C', two, batch=2)
    fill(js, f'{stream}.a', numbers(0, 100))
    run.until(lambda: len(one.payloads) + len(two.payloads) == 100)
    assert sorted(one.payloads + two.payloads) == sorted(numbers(0, 100))
    assert one.payloads
    assert two.payloads


def test_a_pinned_client_hands_over(run, js, stream, fill, consumer):
    one, two = Got(), Got()
    consumer(
        js,
        stream,
        priority_groups=['g'],
        priority_policy='pinned_client',
        priority_timeout=60_000_000_000,
    )
    first = js.consume(stream, 'C', one, group='g', batch=4)
    run.call(js.nats.flush)
    js.consume(stream, 'C', two, group='g', batch=4)
    fill(js, f'{stream}.a', numbers(0, 20))
    run.until(lambda: len(one.payloads) == 20)
    assert two.payloads == []
    first.stop()
    run.call(js.consumer_unpin, stream, 'C', 'g')
    fill(js, f'{stream}.a', numbers(20, 40))
    run.until(lambda: len(two.payloads) == 20)
    assert two.payloads == numbers(20, 40)


def test_wrong_arguments_raise(js):
    with pytest.raises(ValueError, match="unknown consume option 'max_messages'"):
        js.consume('S', 'C', print, max_messages=1)
    with pytest.raises(ValueError, match='batch must be at least 1'):
        js.consume('S', 'C', print, batch=0)
    with pytest.raises(ValueError, match='threshold'):
        js.consume('S', 'C', print, threshold=1)
    with pytest.raises(TypeError, match='threshold'):
        js.consume('S', 'C', print, threshold='1')
    with pytest.raises(ValueError, match='half of expires'):
        js.consume('S', 'C', print, expires=1_000_000_000, idle_heartbeat=600_000_000)
    with pytest.raises(ValueError, match='expires must be at least'):
        js.consume('S', 'C', print, expires=1)
    with pytest.raises(TypeError, match='requires 2 arguments'):
        js.consume('S', 'C', lambda message, more: None)
    with pytest.raises(TypeError, match='requires 2 arguments'):
        js.consume('S', 'C', print, on_end=lambda err, more: None)
