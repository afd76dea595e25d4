"""Push consumers: flow control, heartbeats, groups, and every way to an end."""

from __future__ import annotations

import pytest

from natsev import (
    ConsumerNotFoundError,
    DisconnectedError,
    JetStream,
    JetStreamError,
    StreamNotFoundError,
)

HEARTBEAT = 200_000_000


@pytest.fixture
def push(run, unique):
    """``push(js, stream, **config)``: makes the durable push consumer C."""

    def push(js, stream, **config):
        config = {
            'durable_name': 'C',
            'ack_policy': 'explicit',
            'deliver_subject': f'out.{unique}',
            'idle_heartbeat': HEARTBEAT,
            'flow_control': 'deliver_group' not in config,
            **config,
        }
        if 'deliver_group' in config:
            del config['idle_heartbeat']
        assert run.call(js.consumer_create, stream, config)[1] is None

    return push


class Got:
    """Keeps the payloads of what is delivered, acknowledges it, and keeps the end."""

    def __init__(self):
        self.payloads = []
        self.ends = []

    def __call__(self, message):
        self.payloads.append(message.payload)
        message.ack()

    def end(self, err):
        self.ends.append(err)


@pytest.fixture
def got():
    return Got()


def numbers(first, last, size=1):
    return [str(number).encode().rjust(size) for number in range(first, last)]


def test_all_messages_once_and_in_order(run, each_js, make_stream, fill, push, got):
    js, stream = each_js, make_stream(each_js)
    fill(js, f'{stream}.a', numbers(0, 20))
    push(js, stream)
    consumption = js.push_consume(stream, 'C', got, on_end=got.end)
    fill(js, f'{stream}.a', numbers(20, 40))
    run.until(lambda: len(got.payloads) == 40)
    consumption.stop()
    run.until(lambda: got.ends)
    assert (got.payloads, got.ends) == (numbers(0, 40), [None])

    def looked(info, err):
        assert err is None
        if info['ack_floor']['stream_seq'] == 40:
            run.done()
        else:
            js.consumer_info(stream, 'C', looked)

    js.consumer_info(stream, 'C', looked)
    run()


def test_more_than_the_server_sends_without_flow_control(run, js, stream, fill, push, got):
    # It begins with 2 MiB and waits for an answer.
    payloads = numbers(0, 2000, 4096)
    fill(js, f'{stream}.a', payloads)
    push(js, stream, max_ack_pending=-1)
    js.push_consume(stream, 'C', got, on_end=got.end)
    run.until(lambda: len(got.payloads) == 2000 or got.ends)
    assert got.payloads == payloads


def test_paused(run, js, stream, fill, push, got):
    fill(js, f'{stream}.a', numbers(0, 2000, 4096))
    push(js, stream, max_ack_pending=-1)
    consumption = js.push_consume(stream, 'C', got, on_end=got.end)
    run.until(lambda: len(got.payloads) >= 10)
    consumption.pause()
    before = len(got.payloads)

    def told(info, err):
        # The flow control that waits has the server wait.
        assert err is None
        run.done(info['num_pending'])

    js.consumer_info(stream, 'C', told)
    assert run() > 0
    assert len(got.payloads) == before
    consumption.resume()
    run.until(lambda: len(got.payloads) == 2000 or got.ends)
    assert got.payloads == numbers(0, 2000, 4096)


def test_a_group_shares(run, js, stream, fill, push, unique):
    push(js, stream, deliver_group='workers')
    shares = [Got(), Got()]
    for got in shares:
        js.push_consume(stream, 'C', got, on_end=got.end)
    run.until(lambda: js.nats.subscription_count() >= 2)
    fill(js, f'{stream}.a', numbers(0, 100))
    run.until(lambda: sum(len(got.payloads) for got in shares) == 100)
    assert sorted(shares[0].payloads + shares[1].payloads) == sorted(numbers(0, 100))
    assert all(got.payloads for got in shares)


def test_somebody_else_has_its_messages(run, js, connect, stream, fill, push, got):
    push(js, stream)
    other = Got()
    js.push_consume(stream, 'C', other)
    fill(js, f'{stream}.a', numbers(0, 1))
    run.until(lambda: other.payloads)
    JetStream(nats=connect()).push_consume(stream, 'C', got, on_end=got.end)
    run.until(lambda: got.ends)
    assert str(got.ends[0]) == f'{stream}.C delivers to somebody else already'


def test_not_there(run, js, stream, unique, got):
    js.push_consume(stream, 'C', got, on_end=got.end)
    js.push_consume(f'{unique}X', 'C', got, on_end=got.end)
    run.until(lambda: len(got.ends) == 2)
    assert {type(end) for end in got.ends} == {ConsumerNotFoundError, StreamNotFoundError}


def test_a_pull_consumer(run, js, stream, got):
    assert run.call(js.consumer_create, stream, {'durable_name': 'C'})[1] is None
    js.push_consume(stream, 'C', got, on_end=got.end)
    run.until(lambda: got.ends)
    assert isinstance(got.ends[0], JetStreamError)
    assert str(got.ends[0]) == f'{stream}.C is a pull consumer'


def test_deleted_meanwhile(run, js, stream, fill, push, got):
    push(js, stream)
    js.push_consume(stream, 'C', got, on_end=got.end)
    fill(js, f'{stream}.a', numbers(0, 1))
    run.until(lambda: got.payloads)
    assert run.call(js.consumer_delete, stream, 'C')[1] is None
    run.until(lambda: got.ends)
    assert isinstance(got.ends[0], ConsumerNotFoundError)
    assert js.nats.subscription_count() == 0


def test_heartbeats_keep_it_alive(run, js, stream, fill, push, got):
    push(js, stream)
    js.push_consume(stream, 'C', got, on_end=got.end)
    fill(js, f'{stream}.a', numbers(0, 1))
    run.until(lambda: got.payloads)
    beats = []
    js.nats.subscribe(f'out.{stream}', lambda *message: beats.append(message[3]))
    run.until(lambda: len(beats) >= 4)
    assert beats[0].status == 100
    fill(js, f'{stream}.a', numbers(1, 2))
    run.until(lambda: len(got.payloads) == 2)
    assert got.ends == []


def test_the_server_is_killed_and_started_again(
    run, own_server, connect, make_stream, fill, push, got
):
    js = JetStream(nats=connect(port=own_server.port, reconnect=True, reconnect_delay=50))
    stream = make_stream(js, storage='file')
    push(js, stream)
    js.push_consume(stream, 'C', got, on_end=got.end)
    for first in (0, 10, 20):
        fill(js, f'{stream}.a', numbers(first, first + 10))
        run.until(lambda: set(got.payloads) >= set(numbers(0, first + 10)))  # noqa: B023
        own_server.kill()
        run.until(lambda: not js.nats.is_connected())
        own_server.start()
        run.until(js.nats.is_connected)
    assert got.ends == []


def test_the_client_is_closed(run, js, stream, push, got):
    push(js, stream)
    js.push_consume(stream, 'C', got, on_end=got.end)
    js.nats.disconnect()
    run.until(lambda: got.ends)
    assert isinstance(got.ends[0], DisconnectedError)
