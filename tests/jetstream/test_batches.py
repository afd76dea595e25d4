"""Atomic and fast-ingest batches (ADR-50)."""

from __future__ import annotations

import pytest

from natsev import (
    Cancelled,
    DisconnectedError,
    JetStream,
    JetStreamError,
    MaxPayloadError,
    StorageFullError,
    StreamNotFoundError,
    WrongSequenceError,
)


def payloads(run, js, stream):
    messages, err = run.call(js.direct_get, stream, {'batch': 10_000})
    assert err is None
    return [message['payload'] for message in messages]


class TestAtomic:
    @pytest.fixture
    def atomic(self, js, make_stream):
        return make_stream(js, allow_atomic=True)

    @pytest.mark.parametrize('named', [True, False])
    def test_all_together(self, run, js, atomic, named):
        batch = js.atomic_batch(atomic if named else None)
        for number in range(10):
            batch.add(f'{atomic}.{number}', str(number), headers={'N': str(number)})
        assert len(batch) == 10
        assert payloads(run, js, atomic) == []
        ack, err = run.call(batch.commit)
        assert err is None
        assert (ack['stream'], ack['seq'], ack['count']) == (atomic, 10, 10)
        assert payloads(run, js, atomic) == [str(number).encode() for number in range(10)]
        message, _ = run.call(js.direct_get, atomic, {'seq': 4})
        assert message['headers']['N'] == '3'

    def test_one_and_a_thousand(self, run, js, atomic):
        batch = js.atomic_batch(atomic)
        batch.add(f'{atomic}.a', b'')
        assert run.call(batch.commit)[0]['count'] == 1
        batch = js.atomic_batch(atomic)
        for _ in range(1000):
            batch.add(f'{atomic}.a', bytearray(b'x'))
        with pytest.raises(ValueError, match='at most 1000'):
            batch.add(f'{atomic}.a', b'')
        assert run.call(batch.commit)[0]['seq'] == 1001

    def test_an_expectation_that_does_not_hold(self, run, js, atomic):
        run.call(js.js_publish, f'{atomic}.b', b'there')
        batch = js.atomic_batch(atomic)
        batch.add(f'{atomic}.a', b'1', expected_last_seq=1)
        batch.add(f'{atomic}.b', b'2', expected_last_subject_seq=0)
        ack, err = run.call(batch.commit)
        assert ack is None
        assert isinstance(err, WrongSequenceError)
        assert payloads(run, js, atomic) == [b'there']

    def test_what_a_batch_may_not_hold(self, run, js, atomic):
        batch = js.atomic_batch(atomic)
        batch.add(f'{atomic}.a', b'1', expected_last_msg_id='x')
        batch.add(f'{atomic}.a', b'2')
        ack, err = run.call(batch.commit)
        assert ack is None
        assert isinstance(err, JetStreamError)
        assert err.err_code == 10177
        assert payloads(run, js, atomic) == []

    def test_a_stream_that_does_not_allow_them(self, run, each_js, make_stream):
        js, stream = each_js, make_stream(each_js)
        batch = js.atomic_batch()
        batch.add(f'{stream}.a', b'1')
        batch.add(f'{stream}.a', b'2')
        ack, err = run.call(batch.commit)
        assert ack is None
        assert isinstance(err, JetStreamError)
        assert err.err_code == 10174
        assert payloads(run, js, stream) == []

    def test_no_stream(self, run, js, unique):
        for stream in (None, unique):
            batch = js.atomic_batch(stream)
            batch.add(unique, b'')
            assert isinstance(run.call(batch.commit)[1], StreamNotFoundError)

    def test_wrong_arguments_raise(self, js, atomic):
        batch = js.atomic_batch(atomic)
        with pytest.raises(ValueError, match='no messages'):
            batch.commit(print)
        batch.add(f'{atomic}.a', b'')
        with pytest.raises(ValueError, match='only the first message'):
            batch.add(f'{atomic}.a', b'', expected_last_seq=1)
        with pytest.raises(ValueError, match='wildcard'):
            batch.add(f'{atomic}.*', b'')
        with pytest.raises(TypeError, match='payload'):
            batch.add(f'{atomic}.a', 7)
        with pytest.raises(MaxPayloadError):
            batch.add(f'{atomic}.a', bytes(js.nats.max_payload()))
        with pytest.raises(ValueError, match='stream name'):
            js.atomic_batch('a.b')
        batch.commit(lambda ack, err: None)
        with pytest.raises(ValueError, match='has been committed'):
            batch.add(f'{atomic}.a', b'')
        with pytest.raises(ValueError, match='has been committed'):
            batch.commit(print)


class TestFast:
    @pytest.fixture
    def batched(self, js, make_stream):
        return make_stream(js, allow_batched=True)

    @pytest.mark.parametrize('number', [1, 2, 1000])
    def test_all_of_them(self, run, js, batched, number):
        batch = js.fast_batch(batched, flow=10)
        for n in range(number):
            batch.add(f'{batched}.{n}', str(n), headers={'N': str(n)} if n % 2 else None)
        ack, err = run.call(batch.commit)
        assert err is None
        assert (ack['stream'], ack['seq'], ack['count']) == (batched, number, number)
        assert payloads(run, js, batched) == [str(n).encode() for n in range(number)]
        assert (batch.pending, batch.stored) == (0, number)

    def test_back_pressure(self, run, js, batched):
        left = list(range(500))

        def feed():
            while left and batch.add(f'{batched}.a', str(left.pop(0))):
                pass
            if not left:
                batch.commit(lambda ack, err: run.done((ack, err)))

        batch = js.fast_batch(batched, flow=5, on_drain=lambda: left and feed())
        feed()
        ack, err = run()
        assert (ack['count'], err) == (500, None)
        assert payloads(run, js, batched) == [str(n).encode() for n in range(500)]

    def test_an_expectation_that_does_not_hold(self, run, js, batched):
        batch = js.fast_batch(batched)
        batch.add(f'{batched}.a', b'1')
        batch.add(f'{batched}.a', b'2', expected_last_subject_seq=0)
        batch.add(f'{batched}.a', b'3')
        ack, err = run.call(batch.commit)
        assert ack is None
        assert isinstance(err, WrongSequenceError)
        assert batch.stored == 1
        assert payloads(run, js, batched) == [b'1']

    def test_the_first_one_is_refused(self, run, js, batched):
        batch = js.fast_batch(batched)
        batch.add(f'{batched}.a', b'1', expected_last_seq=7)
        ack, err = run.call(batch.commit)
        assert ack is None
        assert isinstance(err, WrongSequenceError)

    def test_a_full_stream(self, run, js, make_stream):
        stream = make_stream(js, allow_batched=True, max_msgs=3, discard='new')
        batch = js.fast_batch(stream)
        for n in range(10):
            batch.add(f'{stream}.a', str(n))
        ack, err = run.call(batch.commit)
        assert ack is None
        assert isinstance(err, StorageFullError)
        assert payloads(run, js, stream) == [b'0', b'1', b'2']

    def test_a_stream_that_does_not_allow_them(self, run, each_js, make_stream):
        js, stream = each_js, make_stream(each_js)
        batch = js.fast_batch(stream)
        batch.add(f'{stream}.a', b'1')
        ack, err = run.call(batch.commit)
        assert ack is None
        assert isinstance(err, JetStreamError)
        assert err.err_code == 10205
        assert payloads(run, js, stream) == []

    def test_no_stream_and_no_messages(self, run, js, batched, unique):
        batch = js.fast_batch(f'{unique}X')
        batch.add(unique, b'')
        assert isinstance(run.call(batch.commit)[1], StreamNotFoundError)
        ack, err = run.call(js.fast_batch(batched).commit)
        assert ack is None
        assert str(err) == 'the batch has no messages'

    def test_the_connection_is_lost(self, run, own_server, connect, make_stream, proxy):
        between = proxy(own_server)
        js = JetStream(nats=connect(port=between.port, reconnect=True, reconnect_delay=10))
        stream = make_stream(js, allow_batched=True)
        batch = js.fast_batch(stream)
        batch.add(f'{stream}.a', b'1')
        run.until(lambda: batch._sent)
        between.cut()
        ack, err = run.call(batch.commit)
        assert ack is None
        assert isinstance(err, DisconnectedError)

    def test_cancel(self, run, js, batched):
        batch = js.fast_batch(batched)
        batch.add(f'{batched}.a', b'1')
        subscriptions = js.nats.subscription_count()
        batch.commit(lambda ack, err: run.done((ack, err))).cancel()
        ack, err = run()
        assert ack is None
        assert isinstance(err, Cancelled)
        assert js.nats.subscription_count() <= subscriptions
        batch = js.fast_batch(batched)
        batch.cancel()
        assert isinstance(run.call(batch.commit)[1], Cancelled)

    def test_wrong_arguments_raise(self, js, batched):
        with pytest.raises(ValueError, match='stream name'):
            js.fast_batch('a.b')
        with pytest.raises(ValueError, match='flow'):
            js.fast_batch('S', flow=0)
        batch = js.fast_batch(batched)
        with pytest.raises(ValueError, match='wildcard'):
            batch.add(f'{batched}.*', b'')
        batch.commit(lambda ack, err: None)
        with pytest.raises(ValueError, match='has been committed'):
            batch.add(f'{batched}.a', b'')
