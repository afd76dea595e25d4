"""Publishing into streams: acknowledged, with expectations, many at a time."""

from __future__ import annotations

import json

import pytest

from natsev import (
    Cancelled,
    DisconnectedError,
    JetStreamError,
    MaxPayloadError,
    NoResponders,
    RequestTimeout,
    SealedError,
    StorageFullError,
    TooManyRequestsError,
    WrongSequenceError,
)
from natsev.jetstream.publish import parse_ack


def test_publish(run, each_js, make_stream):
    js, stream = each_js, make_stream(each_js)
    ack, err = run.call(js.js_publish, f'{stream}.a', b'one')
    assert err is None
    assert (ack['stream'], ack['seq']) == (stream, 1)
    ack, err = run.call(js.js_publish, f'{stream}.a', 'two', headers={'A': 'b'}, msg_id='id')
    assert (ack['seq'], err) == (2, None)
    ack, err = run.call(js.js_publish, f'{stream}.a', b'two again', msg_id='id')
    assert (ack['seq'], ack['duplicate'], err) == (2, True, None)
    message, err = run.call(js.stream_msg_get, stream, {'seq': 2})
    assert message['headers'].pairs() == [('A', 'b'), ('Nats-Msg-Id', 'id')]
    assert message['payload'] == b'two'


@pytest.mark.parametrize(
    'headers', [{'A': ['1', '2']}, [('A', '1'), ('A', '2')], b'NATS/1.0\r\nA: 1\r\nA: 2\r\n\r\n']
)
def test_headers_in_every_form_and_options(run, js, stream, headers):
    ack, err = run.call(js.js_publish, f'{stream}.a', b'', headers=headers, msg_id='x')
    assert err is None
    message, err = run.call(js.stream_msg_get, stream, {'seq': ack['seq']})
    assert message['headers'].pairs() == [('A', '1'), ('A', '2'), ('Nats-Msg-Id', 'x')]


def test_expectations(run, js, stream):
    subject = f'{stream}.a'
    assert run.call(js.js_publish, subject, b'', expected_last_subject_seq=0)[1] is None
    assert run.call(js.js_publish, subject, b'', expected_last_seq=1, msg_id='m2')[1] is None
    for expectation in (
        {'expected_last_subject_seq': 0},
        {'expected_last_seq': 1},
        {'expected_last_msg_id': 'm1'},
    ):
        ack, err = run.call(js.js_publish, subject, b'', **expectation)
        assert ack is None
        assert isinstance(err, WrongSequenceError)
    ack, err = run.call(js.js_publish, subject, b'', expected_stream='other')
    assert isinstance(err, JetStreamError)
    assert err.err_code == 10060
    ack, err = run.call(js.js_publish, subject, b'', expected_last_msg_id='m2')
    assert (ack['seq'], err) == (3, None)
    ack, err = run.call(
        js.js_publish,
        f'{stream}.b',
        b'',
        expected_last_subject_seq=3,
        expected_last_subject_seq_subject=subject,
    )
    assert (ack['seq'], err) == (4, None)


def test_refusals(run, js, make_stream):
    stream = make_stream(js, max_msgs=1, discard='new', max_msg_size=100)
    assert run.call(js.js_publish, f'{stream}.a', b'x')[1] is None
    assert isinstance(run.call(js.js_publish, f'{stream}.a', b'x')[1], StorageFullError)
    err = run.call(js.js_publish, f'{stream}.a', b'x' * 200)[1]
    assert isinstance(err, JetStreamError)
    info, _ = run.call(js.stream_info, stream)
    _, err = run.call(js.stream_update, {**info['config'], 'sealed': True})
    assert err is None
    assert isinstance(run.call(js.js_publish, f'{stream}.a', b'x')[1], SealedError)


def test_nobody_takes_the_subject(run, js, unique):
    ack, err = run.call(js.js_publish, unique, b'')
    assert ack is None
    assert isinstance(err, NoResponders)


def test_a_stream_that_comes_between_the_tries(run, js, make_stream, unique):
    """ADR-22: the first try finds nobody, a later one does."""
    results = []
    js.js_publish(f'{unique}.a', b'x', lambda ack, err: results.append((ack, err)))
    nobody = js.nats.request(f'{unique}.a', b'', lambda response, err: run.done(err))
    assert isinstance(run(), NoResponders), nobody
    make_stream(js)
    run.until(lambda: results)
    ack, err = results[0]
    assert (ack['seq'], err) == (1, None)


def test_no_more_tries_than_the_timeout_allows(run, js, unique):
    ack, err = run.call(js.js_publish, unique, b'', timeout=100)
    assert ack is None
    assert isinstance(err, NoResponders)


def test_a_responder_that_is_no_stream(run, js, unique):
    js.nats.subscribe(unique, lambda s, p, reply: js.nats.publish(reply, b'thanks'))
    ack, err = run.call(js.js_publish, unique, b'')
    assert ack is None
    assert str(err) == 'the reply is not one of JetStream'


def test_timeout(run, js, unique):
    js.nats.subscribe(unique, lambda s, p, reply: None)
    ack, err = run.call(js.js_publish, unique, b'', timeout=50)
    assert ack is None
    assert isinstance(err, RequestTimeout)


@pytest.mark.parametrize('when', ['at once', 'between the tries'])
def test_cancel(run, js, unique, when):
    call = js.js_publish(unique, b'', lambda ack, err: run.done((ack, err)))
    if when == 'between the tries':
        js.nats.request(unique, b'', lambda response, err: call.cancel())
    else:
        call.cancel()
    ack, err = run()
    assert ack is None
    assert isinstance(err, Cancelled)


def test_without_callback_an_error_is_reported(run, js, stream, unique):
    js.nats.on_error(run.done)
    js.js_publish(f'{stream}.a', b'fine')
    js.js_publish(f'{stream}.a', b'refused', expected_last_seq=17)
    assert isinstance(run(), WrongSequenceError)
    info, err = run.call(js.stream_info, stream)
    assert (info['state']['messages'], err) == (1, None)


def test_per_message_ttl(run, js, make_stream):
    stream = make_stream(js, allow_msg_ttl=True)
    _ack, err = run.call(js.js_publish, f'{stream}.a', b'', ttl=1500)
    assert err is None
    run.call(js.js_publish, f'{stream}.b', b'', ttl='never')
    messages, err = run.call(js.direct_get, stream, {'batch': 2})
    assert [m['headers']['Nats-TTL'] for m in messages] == ['1500ms', 'never']
    with pytest.raises(ValueError, match='ttl must be at least 1000'):
        js.js_publish(f'{stream}.a', b'', print, ttl=999)


def test_counters(run, js, make_stream):
    stream = make_stream(js, allow_msg_counter=True)
    run.call(js.js_publish, f'{stream}.hits', b'', incr='+1')
    ack, err = run.call(js.js_publish, f'{stream}.hits', b'', incr='+41')
    assert (ack['val'], err) == ('42', None)


def test_schedules(run, js, make_stream):
    stream = make_stream(js, allow_msg_schedules=True, allow_msg_ttl=True)
    got = []
    js.ordered(stream, got.append, filter_subjects=f'{stream}.target')
    _ack, err = run.call(
        js.js_publish,
        f'{stream}.schedule',
        b'later',
        schedule='@at 2020-01-01T00:00:00Z',
        schedule_target=f'{stream}.target',
    )
    assert err is None
    run.until(lambda: got)
    assert got[0].payload == b'later'
    assert got[0].headers['Nats-Scheduler'] == f'{stream}.schedule'


def test_wrong_arguments_raise(js, stream):
    with pytest.raises(ValueError, match="unknown publish option 'msgid'"):
        js.js_publish(f'{stream}.a', b'', print, msgid='x')
    with pytest.raises(TypeError, match='msg_id must be str'):
        js.js_publish(f'{stream}.a', b'', print, msg_id=7)
    with pytest.raises(TypeError, match='expected_last_seq must be int'):
        js.js_publish(f'{stream}.a', b'', print, expected_last_seq='7')
    with pytest.raises(ValueError, match='wildcard'):
        js.js_publish(f'{stream}.*', b'', print)
    with pytest.raises(MaxPayloadError):
        js.js_publish(f'{stream}.a', bytes(js.nats.max_payload() + 1), print)


@pytest.mark.parametrize('payload', [b'', b'thanks', b'[]', b'{}', b'{"error":7}', b'{"stream":7}',
    b'\xff', b'[' * 100_000, b'{"error":{"code":"x","err_code":[]}}'])  # fmt: skip
def test_replies_that_are_no_acknowledgement(payload):
    assert isinstance(parse_ack(payload, None), JetStreamError)


def test_the_two_ways_to_write_an_ack():
    for text in ('{"stream":"S","seq":9}', '{"stream":"S", "seq":9}'):
        assert parse_ack(text.encode(), None) == {'stream': 'S', 'seq': 9}
    error = {'error': {'code': 429, 'err_code': 10167, 'description': 'too many requests'}}
    assert isinstance(parse_ack(json.dumps(error).encode(), None), TooManyRequestsError)


class TestPublisher:
    def test_a_window(self, run, js, stream):
        publisher = js.publisher(max_pending=10)
        room = [publisher.publish(f'{stream}.a', str(number)) for number in range(30)]
        assert room == [True] * 9 + [False] * 21
        assert publisher.pending == 30
        totals, err = run.call(publisher.done)
        assert (totals, err) == ({'published': 30, 'failed': 0}, None)
        messages, err = run.call(js.direct_get, stream, {'batch': 100})
        assert [m['payload'] for m in messages] == [str(number).encode() for number in range(30)]

    def test_on_drain_feeds_it(self, run, js, stream):
        left = list(range(100))

        def feed():
            while left and publisher.publish(f'{stream}.a', str(left.pop(0))):
                assert publisher.pending <= 5

        publisher = js.publisher(5, on_drain=feed)
        feed()
        run.until(lambda: not left and not publisher.pending)
        info, _ = run.call(js.stream_info, stream)
        assert info['state']['messages'] == 100

    def test_each_has_its_callback(self, run, js, stream):
        publisher = js.publisher(2)
        acks = []
        publisher.publish(f'{stream}.a', b'', lambda ack, err: acks.append(ack['seq']))
        publisher.publish(
            f'{stream}.a', b'', lambda ack, err: acks.append(err), expected_last_seq=9
        )
        publisher.publish(f'{stream}.a', b'', lambda ack, err: acks.append(ack['seq']))
        totals, err = run.call(publisher.done)
        assert (totals, err) == ({'published': 2, 'failed': 1}, None)
        assert acks[0] == 1
        assert isinstance(acks[1], WrongSequenceError)
        assert acks[2] == 2

    def test_what_waits_is_checked_at_the_call(self, run, js, stream):
        publisher = js.publisher(1)
        publisher.publish(f'{stream}.a')
        with pytest.raises(ValueError, match='wildcard'):
            publisher.publish(f'{stream}.*')
        with pytest.raises(MaxPayloadError):
            publisher.publish(f'{stream}.a', bytes(js.nats.max_payload()), msg_id='x')
        assert run.call(publisher.done) == ({'published': 1, 'failed': 0}, None)

    def test_a_mutable_payload_is_copied(self, run, js, stream):
        publisher = js.publisher(1)
        payload = bytearray(b'before')
        publisher.publish(f'{stream}.a', payload)
        publisher.publish(f'{stream}.a', payload)
        payload[:] = b'after!'
        run.call(publisher.done)
        messages, _ = run.call(js.direct_get, stream, {'batch': 2})
        assert [m['payload'] for m in messages] == [b'before', b'before']

    def test_a_closed_client(self, run, js, stream):
        publisher = js.publisher(2)
        ends = []
        run.call(js.js_publish, f'{stream}.a', b'')
        for _ in range(5):
            publisher.publish(f'{stream}.a', b'', lambda ack, err: ends.append(err))
        js.nats.disconnect()
        totals, _err = run.call(publisher.done)
        assert totals['published'] + totals['failed'] == 5
        assert all(err is None or isinstance(err, DisconnectedError) for err in ends)

    def test_done_with_nothing_to_do(self, run, js):
        assert run.call(js.publisher().done) == ({'published': 0, 'failed': 0}, None)
