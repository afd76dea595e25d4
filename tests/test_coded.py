"""The view of a connection whose payloads are Python values."""

from __future__ import annotations

from datetime import datetime, timezone
from functools import partial

import msgpack
import pytest

from natsev import CodecError, JetStream, NoResponders, RequestTimeout

VALUE = {'n': 2**70, 'at': datetime(2026, 1, 2, tzinfo=timezone.utc), 'list': [None, b'\xff', 'ü']}


class Upper:
    """A codec of text."""

    def encode(self, value):
        return value.upper().encode()

    def decode(self, data):
        return data.decode().lower()


@pytest.fixture
def nats(connect):
    return connect()


@pytest.fixture
def values(nats):
    return nats.with_codec()


def test_publish_and_subscribe(run, nats, values, unique):
    raw = []
    nats.subscribe(unique, lambda subject, payload: raw.append(msgpack.unpackb(payload)))
    values.subscribe(unique, lambda *message: run.done(message))
    values.publish(unique, [1, 'two'], 'reply.to')
    assert run() == (unique, [1, 'two'], 'reply.to', None)
    values.hpublish(unique, {'A': 'b'}, {'x': 1})
    _, value, reply, headers = run()
    assert (value, reply, headers['A']) == ({'x': 1}, None, 'b')
    values.publish(unique)
    assert run()[1] is None
    assert raw == [[1, 'two'], {'x': 1}, None]


def test_every_value_that_msgpack_takes(run, values, unique):
    values.subscribe(unique, lambda subject, value: run.done(value))
    values.publish(unique, VALUE)
    assert run() == VALUE


def test_so_many_messages_of_a_queue_group(run, values, unique):
    got = []
    values.subscribe_max(unique, lambda subject, value: got.append(value), 2, 'q')
    for number in range(4):
        values.publish(unique, number)
    run.call(values.flush)
    assert got == [0, 1]
    assert values.subscription_count() == 0


def test_request(run, values, unique):
    def double(subject, value, reply):
        values.publish(reply, value * 2)

    values.subscribe(unique, double)
    assert run.call(partial(values.request, unique, [21])) == ([21, 21], None, None)
    values.request(unique, 21, lambda value: run.done(value), 5000, {'A': 'b'})
    assert run() == 42


def test_errors_of_a_request_are_its_own(run, values, unique):
    value, err, _ = run.call(partial(values.request, unique, 1))
    assert value is None
    assert isinstance(err, NoResponders)
    values.subscribe(unique, lambda subject: None)
    handle = values.request(unique, 1, lambda value, err: run.done(err), 20)
    assert isinstance(run(), RequestTimeout)
    handle.cancel()


def test_a_reply_that_cannot_be_decoded(run, nats, values, unique):
    nats.subscribe(
        unique, lambda subject, payload, reply: nats.hpublish(reply, {'A': 'b'}, b'\xc1')
    )
    value, err, headers = run.call(partial(values.request, unique, 1))
    assert value is None
    assert isinstance(err, CodecError)
    assert str(err).startswith(f"reply of '{unique}' is not msgpack: ")
    assert headers['A'] == 'b'


def test_a_message_that_cannot_be_decoded_goes_to_on_error(run, nats, values, unique):
    errors = []
    nats.on_error(errors.append)
    values.subscribe(unique, lambda subject, value: run.done(value))
    for payload in (b'', b'\x92\x01', b'\xc1', b'\x01\x01', b'\xd9\x01\xff'):
        nats.publish(unique, payload)
    values.publish(unique, 'the next')
    assert run() == 'the next'
    assert len(errors) == 5
    for err in errors:
        assert isinstance(err, CodecError)
        assert str(err).startswith(f"message on '{unique}' is not msgpack: ")


def test_what_cannot_be_encoded_is_refused_at_the_call(run, nats, values, unique):
    nats.subscribe(unique, lambda subject: run.done('sent'))
    for send in (
        lambda: values.publish(unique, {1, 2}),
        lambda: values.hpublish(unique, {}, object()),
        lambda: values.request(unique, 1j, print),
        lambda: values.request_many(unique, datetime.now(), print),
    ):
        with pytest.raises(CodecError, match=f"^payload for '{unique}' cannot be packed: "):
            send()
    run.call(values.flush)


def test_request_many(run, nats, values, unique):
    errors = []
    nats.on_error(errors.append)
    values.subscribe(unique, lambda subject, value, reply: values.publish(reply, [value, 1]))
    nats.subscribe(unique, lambda subject, payload, reply: nats.publish(reply, b'\xc1'))
    values.subscribe(unique, lambda subject, value, reply: values.publish(reply, [value, 2]))
    replies, err = run.call(partial(values.request_many, unique, 'q'), max_msgs=3)
    assert err is None
    assert sorted(reply['payload'] for reply in replies) == [['q', 1], ['q', 2]]
    assert [str(err).partition(':')[0] for err in errors] == [f"reply of '{unique}' is not msgpack"]
    came = []
    replies, err = run.call(
        partial(values.request_many, unique, 'q'), max_msgs=3, on_message=came.append
    )
    assert (replies, err) == ([], None)
    assert sorted(came) == [['q', 1], ['q', 2]]
    replies, err = run.call(partial(values.request_many, 'nobody.there', 'q'))
    assert replies is None
    assert isinstance(err, NoResponders)


def test_an_empty_reply_may_mark_the_end_of_many(run, nats, values, unique):
    def answer(subject, value, reply):
        values.publish(reply, value)
        nats.publish(reply, b'')

    values.subscribe(unique, answer)
    replies, err = run.call(partial(values.request_many, unique, 7), sentinel=True)
    assert err is None
    assert [reply['payload'] for reply in replies] == [7]


def test_a_codec_of_ones_own(run, nats, unique):
    text = nats.with_codec(Upper())
    nats.subscribe(unique, lambda subject, payload: run.done(payload))
    text.publish(unique, 'quiet')
    assert run() == b'QUIET'
    with pytest.raises(CodecError, match=r"^payload for 'a' cannot be encoded: .*'int'"):
        text.publish('a', 1)


def test_what_is_no_codec(nats):
    with pytest.raises(ValueError, match="codec must be 'msgpack' or an object, not 'json'"):
        nats.with_codec('json')
    with pytest.raises(TypeError, match='int has not'):
        nats.with_codec(1)


def test_the_rest_is_the_connection(run, nats, values):
    run.call(values.flush)
    assert values.is_connected()
    assert values.server_info() == nats.server_info()
    with pytest.raises(AttributeError, match='nothing'):
        _ = values.nothing


@pytest.mark.parametrize('way', ['codec', 'view'])
def test_messages_of_jetstream(run, nats, values, unique, way):
    js = JetStream(nats=values) if way == 'view' else JetStream(nats=nats, codec='msgpack')
    config = {'name': unique, 'subjects': [f'{unique}.>'], 'storage': 'memory'}
    assert run.call(js.stream_create, config)[1] is None
    run.call(partial(js.js_publish, f'{unique}.a', VALUE))
    publisher = js.with_timeout(2000).publisher()
    publisher.publish(f'{unique}.b', [1])
    run.call(publisher.done)
    run.call(partial(nats.request, f'{unique}.c', b'\xc1'))
    messages = []

    def on_message(message):
        messages.append(message)
        if len(messages) == 3:
            run.done()

    consumption = js.ordered(unique, on_message)
    run()
    consumption.stop()
    assert [message.value for message in messages[:2]] == [VALUE, [1]]
    assert messages[0]['value'] == VALUE
    assert messages[1].payload == b'\x91\x01'
    with pytest.raises(CodecError, match=f"^message 3 on '{unique}.c' is not msgpack: "):
        _ = messages[2].value
    with pytest.raises(CodecError, match=f"^payload for '{unique}.a' cannot be packed: set"):
        js.js_publish(f'{unique}.a', {1})
    run.call(js.stream_delete, unique)


def test_batches_of_jetstream(run, nats, unique):
    js = JetStream(nats=nats, codec='msgpack')
    config = {'name': unique, 'subjects': [f'{unique}.>'], 'storage': 'memory'}
    config |= {'allow_atomic': True, 'allow_batched': True}
    assert run.call(js.stream_create, config)[1] is None
    for batch in (js.atomic_batch(unique), js.fast_batch(unique)):
        batch.add(f'{unique}.a', {'x': 1})
        ack, err = run.call(batch.commit)
        assert err is None
        assert ack['count'] == 1
    run.call(partial(js.consumer_create, unique), {'durable_name': 'c', 'ack_policy': 'none'})
    messages, err = run.call(partial(js.fetch, unique, 'c', {'batch': 2}))
    assert err is None
    assert [message.value for message in messages] == [{'x': 1}] * 2
    run.call(js.stream_delete, unique)
