"""The client against a real server: publish, subscribe, request, and the ends of a connection."""

from __future__ import annotations

import inspect

import pytest

from natsev import (
    BufferFullError,
    Cancelled,
    ConnectError,
    DisconnectedError,
    MaxPayloadError,
    Nats,
    NoResponders,
    PermissionsError,
    RequestTimeout,
    ev,
)


def test_calls_before_the_connection_stands_are_queued(run, connect, unique):
    nats = connect()
    got = []
    nats.subscribe(unique, lambda subject, payload: got.append((subject, payload)))
    nats.publish(unique, 'early')
    assert not nats.is_connected()
    run.until(lambda: got)
    assert got == [(unique, b'early')]


def test_callback_order_at_connect(run, connect, unique):
    """Subscriptions are restored and the queue is written before on_connect fires."""
    order = []
    nats = connect(on_connect=lambda: order.append('connect'))
    nats.subscribe(unique, lambda s, p: order.append(p.decode()))
    nats.publish(unique, 'queued')
    nats.on_connect(lambda: nats.publish(unique, 'from on_connect'))
    run.until(lambda: len(order) == 2)
    assert order == ['queued', 'from on_connect']


@pytest.mark.parametrize('payload', [b'bytes', bytearray(b'bytes'), memoryview(b'bytes'), 'bytes'])
def test_payload_types(run, connect, unique, payload):
    nats = connect()
    nats.subscribe(unique, lambda s, p: run.done(p))
    nats.publish(unique, payload)
    assert run() == b'bytes'


def test_a_message_has_subject_payload_reply_and_headers(run, connect, unique):
    nats = connect()
    nats.subscribe(f'{unique}.*', lambda *args: run.done(args))
    nats.hpublish(f'{unique}.a', {'A': ['1', '2'], 'B': 'ü'}, b'x', 'reply.here')
    subject, payload, reply, headers = run()
    assert (subject, payload, reply) == (f'{unique}.a', b'x', 'reply.here')
    assert headers.get_all('A') == ['1', '2']
    assert headers['B'] == 'ü'
    nats.publish(f'{unique}.b')
    assert run() == (f'{unique}.b', b'', None, None)


def test_large_payloads_come_whole(run, connect, unique, server):
    nats = connect()
    payload = bytes(range(256)) * 4096  # the server's limit of 1 MiB, to the byte
    nats.subscribe(unique, lambda s, p: run.done(p))
    for size in (len(payload), 16384, 16383, 65537):
        nats.publish(unique, payload[:size])
        assert run() == payload[:size]


def test_mutable_payloads_are_taken_at_the_call(run, connect, unique):
    nats = connect()
    payload = bytearray(b'a' * 100_000)
    nats.subscribe(unique, lambda s, p: run.done(p))
    nats.publish(unique, payload)
    payload[:] = b'b' * 100_000
    assert run() == b'a' * 100_000


ILLEGAL_SUBJECTS = ['', 'a b', 'a..b', '.a', 'a.', 'a.*', '>', 'a\r\nPING', 7, None]


@pytest.mark.parametrize('subject', ILLEGAL_SUBJECTS)
def test_illegal_subjects_raise_at_the_call(connect, subject):
    nats = connect()
    with pytest.raises((TypeError, ValueError)):
        nats.publish(subject, b'')
    with pytest.raises((TypeError, ValueError)):
        nats.request(subject, b'', print)


def test_illegal_arguments_raise_at_the_call(connect):
    nats = connect()
    with pytest.raises(TypeError):
        nats.publish('a', 7)
    with pytest.raises(TypeError):
        nats.subscribe('a', lambda a, b, c, d, e: None)
    with pytest.raises(TypeError):
        nats.subscribe('a', 'not callable')
    with pytest.raises(ValueError, match='queue'):
        nats.subscribe('a', print, 'bad group')
    with pytest.raises(TypeError):
        nats.request('a', b'', lambda a, b, c, d: None)
    with pytest.raises(ValueError, match='timeout'):
        nats.request('a', b'', print, -1)
    with pytest.raises(ValueError, match='header'):
        nats.hpublish('a', {'bad name': 'x'}, b'')
    with pytest.raises(ValueError, match='header'):
        nats.hpublish('a', {'a': 'x\r\ny'}, b'')
    with pytest.raises(TypeError, match='no option'):
        Nats(hots='127.0.0.1')
    with pytest.raises(ValueError, match='port'):
        Nats(host='127.0.0.1', port=0)
    with pytest.raises(ValueError, match='scheme'):
        Nats(servers=['http://example.com'])


def test_max_payload_is_checked_at_the_call(run, connect, unique):
    nats = connect()
    assert run.call(nats.flush) is None
    limit = nats.max_payload()
    assert limit == nats.server_info()['max_payload']
    with pytest.raises(MaxPayloadError) as raised:
        nats.publish(unique, b'x' * (limit + 1))
    assert raised.value.limit == limit
    with pytest.raises(MaxPayloadError):
        nats.hpublish(unique, {'a': 'b'}, b'x' * limit)
    assert run.call(nats.flush) is None  # the connection is as it was


def test_queue_groups_share(run, connect, unique):
    nats = connect()
    got = [0, 0]

    def count(which):
        got[which] += 1

    nats.subscribe(unique, lambda s: count(0), 'group')
    nats.subscribe(unique, lambda s: count(1), 'group')
    for _ in range(100):
        nats.publish(unique)
    run.until(lambda: sum(got) == 100)
    assert run.call(nats.flush) is None
    assert sum(got) == 100
    assert min(got) > 0


def test_subscribe_max_ends_after_so_many(run, connect, unique):
    nats = connect()
    got = []
    nats.subscribe_max(unique, lambda s, p: got.append(p), 3)
    for i in range(10):
        nats.publish(unique, str(i))
    assert run.call(nats.flush) is None
    assert got == [b'0', b'1', b'2']
    assert nats.subscription_count() == 0


def test_unsubscribe_in_the_callback_stops_at_once(run, connect, unique):
    nats = connect()
    got = []

    def on_message(subject, payload):
        got.append(payload)
        nats.unsubscribe(sid)

    sid = nats.subscribe(unique, on_message)
    for i in range(10):
        nats.publish(unique, str(i))
    assert run.call(nats.flush) is None
    assert got == [b'0']


def test_unsubscribe_with_drain_delivers_what_is_on_its_way(run, connect, unique):
    nats = connect()
    got = []
    sid = nats.subscribe(unique, lambda s, p: got.append(p))
    assert run.call(nats.flush) is None
    for i in range(10):
        nats.publish(unique, str(i))
    nats.unsubscribe(sid, drain=True)
    for _ in range(10):
        nats.publish(unique, 'late')
    assert run.call(nats.flush) is None
    assert got == [b'%d' % i for i in range(10)]


def test_request_and_reply(run, connect, unique):
    nats = connect()
    nats.subscribe(unique, lambda s, p, reply: nats.publish(reply, b'pong ' + p))
    assert run.call(nats.request, unique, b'1') == (b'pong 1', None, None)
    answers = []
    for i in range(50):
        nats.request(unique, str(i), lambda response, err: answers.append(response), 5000)
    run.until(lambda: len(answers) == 50)
    assert answers == [b'pong %d' % i for i in range(50)]


def test_request_with_headers_both_ways(run, connect, unique):
    nats = connect()

    def serve(subject, payload, reply, headers):
        nats.hpublish(reply, {'Echo': headers['Ask']}, payload)

    nats.subscribe(unique, serve)
    done = []
    nats.request(unique, b'x', lambda *args: done.append(args), headers={'Ask': 'me'})
    run.until(lambda: done)
    response, err, headers = done[0]
    assert (response, err, headers['Echo']) == (b'x', None, 'me')


def test_request_without_responders(run, connect, unique):
    response, err, _ = run.call(connect().request, unique, b'')
    assert response is None
    assert isinstance(err, NoResponders)
    assert str(err) == 'no responders'


def test_request_timeout(run, connect, unique):
    nats = connect()
    nats.subscribe(unique, lambda s: None)
    response, err, _ = run.call(nats.request, unique, b'', timeout=30)
    assert response is None
    assert isinstance(err, RequestTimeout)
    assert str(err) == 'request timeout'


def test_cancelled_request(run, connect, unique):
    nats = connect()
    nats.subscribe(unique, lambda s, p, reply: nats.publish(reply, b'late'))
    got = []
    handle = nats.request(unique, b'', lambda response, err: got.append((response, err)))
    handle.cancel()
    handle.cancel()
    assert got == []
    assert run.call(nats.flush) is None
    assert run.call(nats.flush) is None
    assert len(got) == 1
    assert isinstance(got[0][1], Cancelled)
    assert str(got[0][1]) == 'cancelled'


def test_fewer_parameters_and_bound_methods(run, connect, unique):
    class Sink:
        def __init__(self):
            self.got = []

        def on_message(self, subject, payload):
            self.got.append(payload)

    nats, sink = connect(), Sink()
    nothing = []
    nats.subscribe(unique, sink.on_message)
    nats.subscribe(unique, lambda: nothing.append(1))
    nats.subscribe(unique, nothing.append)
    nats.publish(unique, b'x')
    assert run.call(nats.flush) is None
    assert sink.got == [b'x']
    assert set(nothing) == {1, unique}


def test_a_raising_callback_breaks_nothing(run, connect, unique, expected_errors):
    raised, got = [], []

    def on_message(subject, payload):
        got.append(payload)
        raise ValueError(payload)

    nats = connect(on_exception=raised.append)
    nats.subscribe(unique, on_message)
    for payload in (b'1', b'2', b'3'):
        nats.publish(unique, payload)
    assert run.call(nats.flush) is None
    assert got == [b'1', b'2', b'3']
    assert [exc.args for exc in raised] == [(b'1',), (b'2',), (b'3',)]
    assert expected_errors[0].exc_info[1] is raised[0]


def test_keyboard_interrupt_leaves_the_loop_and_nothing_is_lost(run, connect, unique):
    got = []

    def on_message(subject, payload):
        got.append(payload)
        if payload == b'1':
            raise KeyboardInterrupt

    nats = connect()
    nats.subscribe(unique, on_message)
    for payload in (b'0', b'1', b'2'):
        nats.publish(unique, payload)
    with pytest.raises(KeyboardInterrupt):
        ev.run()
    assert got == [b'0', b'1']
    assert run.call(nats.flush) is None
    assert got == [b'0', b'1', b'2']


def test_flush_drain_and_close(run, connect, unique, server):
    events = []
    other = connect()
    other.subscribe(unique, lambda s, p: events.append(p))
    assert run.call(other.flush) is None
    nats = connect(
        on_disconnect=lambda err: events.append(('disconnect', err)),
        on_close=lambda: events.append('close'),
    )
    nats.subscribe(f'{unique}.in', lambda s, p: nats.publish(unique, b'answer to ' + p))
    nats.publish(f'{unique}.in', b'last')
    nats.drain(lambda err: events.append(('drained', err)))
    run.until(lambda: 'close' in events and b'answer to last' in events)
    assert [e for e in events if e != b'answer to last'] == [
        ('drained', None), ('disconnect', None), 'close'
    ]  # fmt: skip
    with pytest.raises(DisconnectedError):
        nats.publish(unique, b'')
    _, err, _ = run.call(nats.request, unique, b'')
    assert isinstance(err, DisconnectedError)
    assert str(run.call(nats.flush)) == 'disconnected'


def test_disconnect_writes_what_is_buffered_and_ends_what_is_pending(run, connect, unique):
    got, events = [], []
    other = connect()
    other.subscribe(unique, lambda s, p: got.append(p))
    assert run.call(other.flush) is None
    nats = connect(
        on_disconnect=lambda err: events.append('disconnect'),
        on_close=lambda: events.append('close'),
    )
    nats.subscribe(f'{unique}.silent', lambda s: None)
    nats.request(f'{unique}.silent', b'', lambda response, err: events.append(str(err)))
    for i in range(1000):
        nats.publish(unique, str(i))
    nats.disconnect()
    assert events == []
    run.until(lambda: 'close' in events and len(got) == 1000)
    assert events == ['disconnected', 'disconnect', 'close']


def test_the_loop_ends_after_disconnect(run, connect):
    nats = connect(on_connect=lambda: nats.disconnect())
    run.to_end()
    assert not nats.is_connected()


def test_connect_again_restores_subscriptions(run, connect, unique, server):
    connects, got = [], []
    nats = connect(on_connect=lambda: connects.append(1), on_reconnect=lambda: connects.append(2))
    nats.subscribe(unique, lambda s, p: got.append(p))
    run.until(lambda: connects)
    nats.disconnect()
    run.to_end()
    nats.connect(server.host, server.port)
    with pytest.raises(RuntimeError, match='already'):
        nats.connect(server.host, server.port)
    nats.publish(unique, b'again')
    run.until(lambda: got)
    assert connects == [1, 1]


def test_refused_connection_without_reconnect(run):
    errors, closed = [], []
    nats = Nats(host='127.0.0.1', port=1, on_error=errors.append, on_close=lambda: closed.append(1))
    _, err, _ = run.call(nats.request, 'a', b'')
    assert isinstance(err, DisconnectedError)
    run.to_end()
    assert isinstance(errors[0], ConnectError)
    assert '127.0.0.1:1' in str(errors[0])
    assert closed == [1]


def test_unknown_host(run):
    errors = []
    Nats(host='no-such-host.invalid', on_error=errors.append, connect_timeout=20000)
    run.to_end()
    assert isinstance(errors[0], ConnectError)
    assert 'no-such-host.invalid' in str(errors[0])


def test_silent_peer_times_out(run):
    import socket

    with socket.create_server(('127.0.0.1', 0)) as silent:
        errors = []
        port = silent.getsockname()[1]
        Nats(host='127.0.0.1', port=port, on_error=errors.append, connect_timeout=50)
        run.to_end()
    assert str(errors[0]).endswith('timeout')


def test_unix_socket(run, connect, unix_proxy, server, unique):
    nats = connect(path=str(unix_proxy(server).path))
    nats.subscribe(unique, lambda s, p: run.done(p))
    nats.publish(unique, b'through a file')
    assert run() == b'through a file'


def test_user_password_and_token(run, connect, start_server):
    secured = start_server(config={'authorization': {'user': 'me', 'password': 's3cr3t'}})
    nats = connect(port=secured.port, user='me', password='s3cr3t')
    assert run.call(nats.flush) is None
    assert 's3cr3t' not in repr(nats) + repr(nats._options)
    nats = connect(servers=[f'nats://me:s3cr3t@127.0.0.1:{secured.port}'])
    assert run.call(nats.flush) is None
    assert 's3cr3t' not in repr(nats)
    errors = []
    connect(port=secured.port, user='me', password='wrong', on_error=errors.append)
    run.until(lambda: errors)
    assert errors[0].reason == 'violation'
    assert 'wrong' not in str(errors[0])
    tokened = start_server(config={'authorization': {'token': 't0k3n'}})
    assert run.call(connect(port=tokened.port, token='t0k3n').flush) is None
    assert run.call(connect(servers=[f'nats://t0k3n@127.0.0.1:{tokened.port}']).flush) is None


def test_permission_violations_are_told(run, connect, start_server):
    user = {'user': 'u', 'password': 'p', 'permissions': {'publish': 'ok', 'subscribe': 'ok'}}
    guarded = start_server(config={'authorization': {'users': [user]}})
    errors = []
    nats = connect(port=guarded.port, user='u', password='p', on_error=errors.append)
    nats.publish('forbidden', b'')
    run.until(lambda: errors)
    assert isinstance(errors[0], PermissionsError)
    assert (errors[0].operation, errors[0].subject) == ('publish', 'forbidden')
    nats.subscribe('also.forbidden', print)
    run.until(lambda: len(errors) == 2)
    assert (errors[1].operation, errors[1].subject) == ('subscription', 'also.forbidden')
    assert nats.is_connected()


def test_a_request_that_may_not_be_published_fails_at_once(run, connect, start_server):
    user = {'user': 'u', 'password': 'p', 'permissions': {'publish': {'deny': ['no.>']}}}
    server = start_server(config={'authorization': {'users': [user]}})
    nats = connect(port=server.port, user='u', password='p')
    answers = []
    nats.request('no.1', b'', lambda *answer: answers.append(answer))
    nats.request('no.1', b'', lambda *answer: answers.append(answer), timeout=60_000)
    nats.request('yes', b'', lambda *answer: answers.append(answer))
    run.until(lambda: len(answers) == 3)
    errors = [err for _, err, _ in answers]
    assert [type(err) for err in errors[:2]] == [PermissionsError] * 2
    assert errors[0].subject == 'no.1'
    assert isinstance(errors[2], NoResponders)
    assert nats.waiting_count() == 0


def test_a_forbidden_request_ends_with_the_reason(run, connect, start_server):
    user = {'user': 'u', 'password': 'p', 'permissions': {'publish': 'ok'}}
    guarded = start_server(config={'authorization': {'users': [user]}})
    errors, ends = [], []
    nats = connect(port=guarded.port, user='u', password='p', on_error=errors.append)
    nats.subscribe('ok', lambda: None)
    nats.request('ok', b'', lambda response, err: ends.append(err), timeout=20_000).cancel()
    nats.request('forbidden', b'', lambda response, err: ends.append(err), timeout=20_000)
    nats.request('forbidden', b'', lambda response, err: ends.append(err), timeout=20_000)
    nats.publish('forbidden')
    run.until(lambda: errors)
    assert [type(err) for err in ends] == [Cancelled, PermissionsError, PermissionsError]
    assert len(errors) == 1
    assert ends[1].subject == 'forbidden'


def test_stats_rtt_and_info(run, connect, unique):
    nats = connect()
    nats.subscribe(unique, print, 'q')
    milliseconds, err = run.call(nats.rtt)
    assert err is None
    assert milliseconds > 0
    nats.publish(unique, b'12345')
    assert run.call(nats.flush) is None
    stats = nats.stats()
    assert (stats['msgs_out'], stats['bytes_out']) == (1, 5)
    assert (stats['msgs_in'], stats['bytes_in']) == (1, 5)
    nats.reset_stats()
    assert set(nats.stats().values()) == {0}
    assert nats.subscription_count() == 1
    assert nats.server_info()['jetstream'] is True
    assert nats.new_inbox() != nats.new_inbox()


def test_callbacks_are_methods_too(connect):
    def first():
        pass

    nats = connect(on_connect=first)
    assert nats.on_connect() is first
    nats.on_connect(None)
    assert nats.on_connect() is None
    with pytest.raises(TypeError):
        nats.on_error(lambda a, b: None)


def test_buffer_limits(run, connect, unique):
    nats = connect(reconnect_buffer_size=1000)
    nats.publish(unique, b'x' * 500)
    with pytest.raises(BufferFullError):
        nats.publish(unique, b'x' * 500)
    _, err, _ = run.call(nats.request, unique, b'x' * 500)
    assert isinstance(err, BufferFullError)
    assert run.call(nats.flush) is None


def test_call_soon_threadsafe(run, connect):
    import threading

    nats = connect()
    assert run.call(nats.flush) is None
    here = threading.get_ident()
    thread = threading.Thread(
        target=nats.call_soon_threadsafe, args=(lambda x: run.done((x, threading.get_ident())), 7)
    )
    thread.start()
    assert run() == (7, here)
    thread.join()


def test_several_clients_on_one_loop(run, connect, unique):
    got = []
    clients = [connect() for _ in range(5)]
    for i, nats in enumerate(clients):
        nats.subscribe(f'{unique}.{i}', lambda s, p: got.append(s))
    for nats in clients:
        assert run.call(nats.flush) is None
    for i in range(5):
        clients[0].publish(f'{unique}.{i}')
    run.until(lambda: len(got) == 5)
    assert len(set(got)) == 5


def test_a_queued_message_too_large_for_the_server_reached(run, connect, start_server, unique):
    small = start_server(config={'max_payload': 1000})
    errors, got = [], []
    nats = connect(port=small.port, on_error=errors.append)
    nats.subscribe(unique, lambda s, p: got.append(p))
    nats.publish(unique, b'x' * 1001)
    nats.request(unique, b'x' * 1001, lambda response, err: errors.append(err))
    nats.publish(unique, b'fits')
    run.until(lambda: got)
    assert got == [b'fits']
    assert [type(err) for err in errors] == [MaxPayloadError, MaxPayloadError]
    assert errors[0].limit == 1000


def test_waiting_and_skipped(run, connect, unique):
    nats = connect()
    got, ends = [], []
    nats.subscribe(unique, lambda s, p: got.append(p))
    nats.publish(unique, b'dropped')
    nats.request(unique, b'dropped', lambda response, err: ends.append(type(err)))
    assert nats.waiting_count() == 2
    nats.skip_waiting()
    assert nats.waiting_count() == 0
    nats.publish(unique, b'kept')
    run.until(lambda: got and ends)
    assert got == [b'kept']
    assert ends == [Cancelled]
    assert nats.waiting_count() == 0


def test_batch_writes_at_once(run, connect, unique):
    nats = connect()
    got = []
    nats.subscribe(unique, lambda s, p: got.append(p))
    assert run.call(nats.flush) is None
    nats.batch(lambda: [nats.publish(unique, str(i)) for i in range(1000)])
    assert nats.pending_bytes == 0
    run.until(lambda: len(got) == 1000)


def test_slow_consumer_is_told_once_until_it_is_over(run, connect, server, proxy, unique):
    through = proxy(server)
    nats = connect(port=through.port, write_buffer_size=20_000_000)
    assert run.call(nats.flush) is None
    told = []
    nats.slow_consumer(1_000_000, told.append)
    through.stall()
    while nats.pending_bytes < 19_900_000:
        nats.publish(unique, b'x' * 100_000)
    with pytest.raises(BufferFullError):
        nats.publish(unique, b'x' * 100_000)
    run.until(lambda: told)
    assert len(told) == 1
    assert told[0] > 1_000_000
    through.flow()
    assert run.call(nats.flush) is None
    nats.publish(unique, b'')
    assert len(told) == 1


def test_slow_consumer_can_be_switched_off(run, connect, unique):
    nats = connect()
    told = []
    nats.slow_consumer(1, told.append)
    nats.slow_consumer(0)
    nats.pub(unique, b'more than a byte')
    nats.hpub(unique, {'A': 'b'})
    assert run.call(nats.flush) is None
    assert told == []
    nats.slow_consumer(1)
    nats.pub(unique, b'more than a byte')
    nats.hpub(unique, {'A': 'b'})
    run.until(lambda: told)
    assert len(told) == 1


def test_publishing_looks_as_it_is_declared(connect):
    nats = connect()
    for name in ('publish', 'hpublish', 'pub', 'hpub'):
        declared = list(inspect.signature(getattr(Nats, name)).parameters)
        assert ['self', *inspect.signature(getattr(nats, name)).parameters] == declared


def test_publish_can_be_overridden(run, server):
    published = []

    class Mine(Nats):
        def publish(self, subject, payload=b'', reply_to=None):
            published.append(subject)
            super().publish(subject, payload, reply_to)

    nats = Mine(port=server.port)
    nats.publish('mine')
    assert published == ['mine']
    assert nats.waiting_count() == 1
    nats.disconnect()
    run.to_end()


def test_disconnect_before_the_connection_stands_writes_the_queue(run, connect, unique):
    got = []
    other = connect()
    other.subscribe(unique, lambda s, p: got.append(p))
    assert run.call(other.flush) is None
    nats = connect()
    nats.publish(unique, b'last words')
    nats.disconnect()
    run.until(lambda: got)
    assert got == [b'last words']


def test_verbose_pedantic_and_no_echo(run, connect, unique):
    got = []
    nats = connect(verbose=True, pedantic=True, echo=False, name='test', inbox_prefix='_MY.inbox')
    nats.subscribe(unique, lambda s, p: got.append(p))
    nats.publish(unique, b'not for me')
    assert nats.new_inbox().startswith('_MY.inbox.')
    assert run.call(nats.flush) is None
    assert got == []
    _, err, _ = run.call(nats.request, f'{unique}.nobody', b'')
    assert isinstance(err, NoResponders)
