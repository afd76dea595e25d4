"""Reading messages without a consumer, from direct gets and from the leader."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

import pytest

from natsev import (
    Cancelled,
    CodecError,
    DisconnectedError,
    Headers,
    JetStream,
    JetStreamError,
    MessageNotFoundError,
    StreamNotFoundError,
)
from natsev.jetstream import many
from natsev.jetstream.stored import from_direct, from_leader, parse_time


@pytest.fixture(params=[True, False], ids=['direct', 'leader only'])
def filled(request, run, each_js, make_stream, fill):
    """A stream on each server, with and without direct gets, with a1 b1 a2 b2 a3 b3."""
    js, stream = each_js, make_stream(each_js, allow_direct=request.param)
    for number in (1, 2, 3):
        fill(js, f'{stream}.a', [f'a{number}'])
        fill(js, f'{stream}.b', [f'b{number}'])
    return js, stream


def payloads(messages):
    return [message['payload'] for message in messages]


def test_the_leader(run, filled):
    js, stream = filled
    before = datetime.now(timezone.utc)
    message, err = run.call(js.stream_msg_get, stream, {'seq': 3})
    assert err is None
    assert (message['subject'], message['seq'], message['payload']) == (f'{stream}.a', 3, b'a2')
    assert message['headers'] is None
    assert abs(before - message['time']) < timedelta(minutes=1)
    assert message['message']['data'] == 'YTI='
    message, err = run.call(js.stream_msg_get, stream, {'last_by_subj': f'{stream}.a'})
    assert (message['payload'], err) == (b'a3', None)
    message, err = run.call(js.stream_msg_get, stream, {'next_by_subj': f'{stream}.b', 'seq': 3})
    assert (message['payload'], err) == (b'b2', None)
    message, err = run.call(js.stream_msg_get, stream, {'seq': 99})
    assert message is None
    assert isinstance(err, MessageNotFoundError)
    message, err = run.call(js.stream_msg_get, f'{stream}X', {'seq': 1})
    assert isinstance(err, StreamNotFoundError)


def test_one(run, filled):
    js, stream = filled
    for opts, payload in (
        ({'seq': 3}, b'a2'),
        ({'last_by_subj': f'{stream}.a'}, b'a3'),
        ({'last_by_subj': f'{stream}.*'}, b'b3'),
        ({'next_by_subj': f'{stream}.b', 'seq': 3}, b'b2'),
        ({'next_by_subj': f'{stream}.b'}, b'b1'),
    ):
        message, err = run.call(js.direct_get, stream, opts)
        assert err is None
        assert message['payload'] == payload
        assert message['stream'] == stream


def test_one_that_is_not_there(run, filled):
    js, stream = filled
    for opts in ({'seq': 99}, {'last_by_subj': f'{stream}.c'}):
        message, err = run.call(js.direct_get, stream, opts)
        assert message is None
        assert isinstance(err, MessageNotFoundError)
        assert err.err_code == 10037


def test_several(run, filled):
    js, stream = filled
    for opts, found in (
        ({'batch': 3}, [b'a1', b'b1', b'a2']),
        ({'batch': 99, 'seq': 5}, [b'a3', b'b3']),
        ({'batch': 2, 'next_by_subj': f'{stream}.b'}, [b'b1', b'b2']),
        ({'batch': 2, 'next_by_subj': f'{stream}.b', 'seq': 3}, [b'b2', b'b3']),
        ({'batch': 2, 'seq': 99}, []),
        ({'batch': 99, 'max_bytes': 1}, [b'a1']),
    ):
        messages, err = run.call(js.direct_get, stream, opts)
        assert (payloads(messages), err) == (found, None)


def test_the_last_of_several_subjects(run, filled):
    js, stream = filled
    for subjects, found in (
        ([f'{stream}.a', f'{stream}.b'], [b'a3', b'b3']),
        ([f'{stream}.*'], [b'a3', b'b3']),
        (f'{stream}.a', [b'a3']),
        ([f'{stream}.a', f'{stream}.a', f'{stream}.none'], [b'a3']),
        ([f'{stream}.none'], []),
    ):
        messages, err = run.call(js.direct_get, stream, {'multi_last': subjects})
        assert (payloads(messages), err) == (found, None)


def test_a_stream_that_is_not_there(run, filled):
    js, stream = filled
    for opts in ({'seq': 1}, {'batch': 2}, {'multi_last': ['a', 'b']}):
        result, err = run.call(js.direct_get, f'{stream}X', opts)
        assert result is None
        assert isinstance(err, StreamNotFoundError)


def test_batch_after_batch_until_all_is_here(run, js, stream, fill, monkeypatch):
    """What one request may bring is bounded; what a call brings is not."""
    monkeypatch.setattr(many, '_MOST_BYTES', 1000)
    for number in range(20):
        fill(js, f'{stream}.{number}', [bytes([number]) * 200])
    messages, err = run.call(js.direct_get, stream, {'batch': 15})
    assert ([m['seq'] for m in messages], err) == (list(range(1, 16)), None)
    messages, err = run.call(js.direct_get, stream, {'batch': 100})
    assert ([m['seq'] for m in messages], err) == (list(range(1, 21)), None)
    messages, err = run.call(js.direct_get, stream, {'multi_last': [f'{stream}.>']})
    assert ([m['seq'] for m in messages], err) == (list(range(1, 21)), None)


def test_the_past_of_several_subjects(run, js, stream, fill):
    fill(js, f'{stream}.a', [b'a1'])
    fill(js, f'{stream}.b', [b'b1'])
    fill(js, f'{stream}.a', [b'a2'])
    opts = {'multi_last': [f'{stream}.>'], 'up_to_seq': 2}
    messages, err = run.call(js.direct_get, stream, opts)
    assert (payloads(messages), err) == ([b'a1', b'b1'], None)
    message, _ = run.call(js.direct_get, stream, {'seq': 3})
    opts = {
        'multi_last': [f'{stream}.>'],
        'up_to_time': message['time'] - timedelta(microseconds=1),
    }
    messages, err = run.call(js.direct_get, stream, opts)
    assert (payloads(messages), err) == ([b'a1', b'b1'], None)


def test_from_a_time_on(run, js, stream, fill):
    fill(js, f'{stream}.a', [b'1', b'2'])
    second, _ = run.call(js.direct_get, stream, {'seq': 2})
    message, err = run.call(js.direct_get, stream, {'start_time': second['time']})
    assert (message['payload'], err) == (b'2', None)
    messages, err = run.call(js.direct_get, stream, {'start_time': second['time'], 'batch': 5})
    assert (payloads(messages), err) == ([b'2'], None)


def test_more_than_1024_subjects(run, js, stream):
    publisher = js.publisher()
    for number in range(1025):
        publisher.publish(f'{stream}.{number}')
    run.call(publisher.done)
    messages, err = run.call(js.direct_get, stream, {'multi_last': [f'{stream}.>']})
    assert messages is None
    assert isinstance(err, JetStreamError)
    assert err.code == 413


def test_a_message_that_looks_like_a_reply_of_the_server(run, js, stream):
    """What a publisher stored cannot speak for the server."""
    forged = {'Nats-Sequence': '999', 'Nats-Subject': 'forged', 'Nats-Stream': 'forged'}
    run.call(js.js_publish, f'{stream}.a', b'', headers=forged)
    message, err = run.call(js.direct_get, stream, {'seq': 1})
    assert (message['seq'], message['subject'], message['stream'], err) == (
        1, f'{stream}.a', stream, None,
    )  # fmt: skip


def test_cancel(run, js, stream, fill):
    fill(js, f'{stream}.a', [b''] * 10)
    for opts in ({'seq': 1}, {'batch': 10}, {'multi_last': [f'{stream}.a']}):
        call = js.direct_get(stream, opts, lambda result, err: run.done((result, err)))
        call.cancel()
        result, err = run()
        assert result is None
        assert isinstance(err, Cancelled)


def test_the_connection_is_lost(run, own_server, connect, make_stream, proxy):
    between = proxy(own_server)
    js = JetStream(nats=connect(port=between.port, reconnect=True, reconnect_delay=10))
    stream = make_stream(js)
    between.stall()
    ends = []
    for opts in ({'seq': 1}, {'batch': 10}, {'multi_last': [f'{stream}.a']}):
        js.direct_get(stream, opts, lambda result, err: ends.append(err))
    run.turns(2)
    between.cut()
    run.until(lambda: len(ends) == 3)
    assert all(isinstance(err, DisconnectedError) for err in ends)


def test_wrong_arguments_raise(js):
    with pytest.raises(ValueError, match="unknown direct_get option 'last'"):
        js.direct_get('S', {'last': 'x'}, print)
    with pytest.raises(ValueError, match='needs one of'):
        js.direct_get('S', {}, print)
    with pytest.raises(ValueError, match='seq must be at least 1'):
        js.direct_get('S', {'seq': 0}, print)
    with pytest.raises(ValueError, match="unknown stream_msg_get option 'batch'"):
        js.stream_msg_get('S', {'batch': 1}, print)
    with pytest.raises(ValueError, match='subject'):
        js.direct_get('S', {'last_by_subj': 'a b'}, print)
    with pytest.raises(TypeError, match='datetime'):
        js.direct_get('S', {'start_time': 7}, print)


@pytest.mark.parametrize(
    'text,moment',
    [
        ('2026-01-02T03:04:05Z', (2026, 1, 2, 3, 4, 5, 0)),
        ('2026-01-02T03:04:05.1Z', (2026, 1, 2, 3, 4, 5, 100_000)),
        ('2026-01-02T03:04:05.123456789Z', (2026, 1, 2, 3, 4, 5, 123_456)),
        ('2026-01-02T05:04:05+02:00', (2026, 1, 2, 3, 4, 5, 0)),
        ('2026-01-02 03:04:05.5 +0000 UTC', (2026, 1, 2, 3, 4, 5, 500_000)),
    ],
)
def test_times(text, moment):
    assert parse_time(text) == datetime(*moment, tzinfo=timezone.utc)


@pytest.mark.parametrize('text', ['', 'now', '2026-01-02', '2026-13-02T03:04:05Z'])
def test_no_times(text):
    with pytest.raises(ValueError, match=r'.'):
        parse_time(text)


@pytest.mark.parametrize('reply', [{}, {'message': 7}, {'message': {}}, {'message': {
    'subject': 'a', 'seq': 'x', 'time': '2026-01-02T03:04:05Z'}}, {'message': {
    'subject': 'a', 'seq': 1, 'time': 'now'}}, {'message': {
    'subject': 'a', 'seq': 1, 'time': '2026-01-02T03:04:05Z', 'data': '*'}}])  # fmt: skip
def test_malformed_answers_of_a_leader(reply):
    assert isinstance(from_leader('S', reply), JetStreamError) or reply['message'].get('data')


def test_values(run, connect, unique):
    nats = connect()
    js = JetStream(nats=nats, codec='msgpack')
    run.call(js.stream_create, {'name': unique, 'subjects': [unique], 'allow_direct': True})
    run.call(js.js_publish, unique, {'a': [1, None]})
    raw = JetStream(nats=nats)
    run.call(raw.js_publish, unique, b'\xc1')
    messages, _ = run.call(js.direct_get, unique, {'batch': 2})
    assert js.value(messages[0]) == {'a': [1, None]}
    assert js.value(run.call(js.stream_msg_get, unique, {'seq': 1})[0]) == {'a': [1, None]}
    assert raw.value(messages[1]) == b'\xc1'
    with pytest.raises(CodecError, match=f'message 2 on {unique!r} is not msgpack'):
        js.value(messages[1])


def test_the_last_of_a_subject_that_leaves_no_room_for_another(run, js, make_stream):
    stream = make_stream(js)
    subject = f'{stream}.'.ljust(4020, 'x')
    _, err = run.call(js.js_publish, subject, b'there')
    assert err is None
    message, err = run.call(js.direct_get, stream, {'last_by_subj': subject})
    assert (message['payload'], err) == (b'there', None)


ADDED = (
    b'Nats-Stream: S\r\nNats-Subject: a.b\r\nNats-Sequence: 7\r\n'
    b'Nats-Time-Stamp: 2025-01-02T03:04:05.678Z\r\n'
)
REORDERED = (
    b'Nats-Sequence: 7\r\nNats-Stream: S\r\nNats-Subject:a.b\r\n'
    b'Nats-Time-Stamp: 2025-01-02T03:04:05.678Z\r\n'
)
OF_A_BATCH = ADDED + b'Nats-Num-Pending: 4\r\nNats-Last-Sequence: 5\r\n'
STORED = b'Nats-Stream: X\r\nNats-Subject: x\r\nNats-Sequence: 999\r\nNats-Time-Stamp: x\r\n'


@pytest.mark.parametrize('stored', [b'', b'A: b\r\n', ADDED, STORED, STORED[:16]])
@pytest.mark.parametrize('added', [ADDED, OF_A_BATCH, REORDERED, ADDED + b'Nats-New: 1\r\n'])
def test_what_the_server_added_counts(stored, added):
    message = from_direct(b'', Headers(b'NATS/1.0 404 Stored\r\n' + stored + added + b'\r\n'))
    assert (message['stream'], message['subject'], message['seq']) == ('S', 'a.b', 7)
    assert message['time'] == datetime(2025, 1, 2, 3, 4, 5, 678_000, tzinfo=timezone.utc)


@pytest.mark.parametrize('left_out', ADDED.split(b'\r\n')[:-1])
def test_a_reply_that_lacks_what_the_server_adds(left_out):
    block = b'NATS/1.0\r\n' + ADDED.replace(left_out, b'A: b') + b'\r\n'
    assert isinstance(from_direct(b'payload', Headers(block)), JetStreamError)
