"""Delivered messages, and every kind of acknowledgement."""

from __future__ import annotations

from datetime import datetime, timezone

import pytest

from natsev import NoResponders
from natsev.jetstream.message import Message


@pytest.fixture
def consumer(run, js, stream, fill):
    """``consumer(*payloads, **config)``: a durable consumer C of a stream with these messages."""

    def consumer(*payloads, **config):
        fill(js, f'{stream}.a', payloads)
        config = {'durable_name': 'C', 'ack_policy': 'explicit', **config}
        assert run.call(js.consumer_create, stream, config)[1] is None

        def fetch(**opts):
            opts = {'batch': 10, 'expires': 200_000_000, **opts}
            messages, err = run.call(js.fetch, stream, 'C', opts)
            assert err is None
            return messages

        return fetch

    return consumer


def pending(run, js, stream):
    info, err = run.call(js.consumer_info, stream, 'C')
    assert err is None
    return info['num_ack_pending']


def test_what_it_has(stream, consumer):
    fetch = consumer(b'one', b'two')
    message = fetch(batch=2)[0]
    assert (message.subject, message.payload, message.headers) == (f'{stream}.a', b'one', None)
    assert (message.seq, message.consumer_seq, message.delivered, message.pending) == (1, 1, 1, 1)
    assert (message.stream, message.consumer) == (stream, 'C')
    assert abs((datetime.now(timezone.utc) - message.timestamp).total_seconds()) < 60
    assert message.time_ns // 1000 == round(message.timestamp.timestamp() * 1e6)
    assert message.reply.startswith('$JS.ACK.')
    assert repr(message) == f'<Message {stream}.a seq=1 3 bytes>'


def test_items_are_the_fields(consumer):
    message = consumer(b'one')()[0]
    assert message['payload'] == b'one'
    assert message['seq'] == 1
    for name in ('ack', 'nothing', '_nats'):
        with pytest.raises(KeyError):
            message[name]


def test_ack(run, js, stream, consumer):
    message = consumer(b'x')()[0]
    assert message.ack() is None
    while pending(run, js, stream):
        pass  # nobody waits for what it does


def test_double_ack(run, js, stream, consumer):
    message = consumer(b'x')()[0]
    assert run.call(message.ack) == (True, None)
    assert pending(run, js, stream) == 0
    run.call(js.consumer_delete, stream, 'C')
    ok, err = run.call(message.ack)
    assert ok is None
    assert isinstance(err, NoResponders)


def test_nak(consumer):
    fetch = consumer(b'x')
    fetch()[0].nak()
    again = fetch()
    assert [(m.payload, m.delivered) for m in again] == [(b'x', 2)]


def test_nak_with_a_delay(consumer):
    fetch = consumer(b'x')
    fetch()[0].nak(delay=300_000_000)
    assert fetch(no_wait=True) == []
    again = fetch(expires=5_000_000_000, batch=1)
    assert [(m.payload, m.delivered) for m in again] == [(b'x', 2)]


def test_wpi_gives_more_time(run, js, stream, consumer):
    fetch = consumer(b'x', ack_wait=1_000_000_000)
    message = fetch()[0]
    for _ in range(4):
        assert fetch(expires=400_000_000) == []
        message.wpi()
    assert fetch(expires=2_000_000_000, batch=1)[0].delivered == 2


def test_term(run, js, stream, consumer):
    fetch = consumer(b'x', b'y', ack_wait=300_000_000)
    reasons = []
    advisory = f'$JS.EVENT.ADVISORY.CONSUMER.MSG_TERMINATED.{stream}.C'
    js.nats.subscribe(advisory, lambda s, payload: reasons.append(payload))
    first, second = fetch(batch=2)
    first.term()
    second.term('cannot be parsed')
    run.until(lambda: len(reasons) == 2)
    assert b'cannot be parsed' in reasons[1]
    assert fetch(expires=800_000_000) == []


def test_ack_next(run, js, stream, consumer):
    fetch = consumer(b'x', b'y')
    message = fetch(batch=1)[0]
    inbox = js.nats.new_inbox()
    js.nats.subscribe(inbox, lambda *args: run.done(args))
    message.ack_next(inbox)
    subject, payload, reply, headers = run()
    following = Message(js._api, subject, payload, reply, headers)
    assert (following.payload, following.seq) == (b'y', 2)
    assert run.call(following.ack) == (True, None)
    while pending(run, js, stream):
        pass


def test_one_that_takes_none(js):
    message = Message(js._api, 'a', b'', None, None)
    for acknowledge in (message.ack, message.nak, message.wpi, message.term):
        with pytest.raises(ValueError, match='takes no acknowledgement'):
            acknowledge()
    assert message.seq == 0
