"""A connection that is lost: what waits, what ends, what comes back, and in which order."""

from __future__ import annotations

import socket

import pytest

from natsev import DisconnectedError, Nats, RequestTimeout, StaleConnectionError

AGAIN = {'reconnect': True, 'reconnect_delay': 10, 'max_reconnect_delay': 50}


def test_subscriptions_and_queue_come_back_in_order(run, connect, own_server, unique):
    events = []
    nats = connect(
        port=own_server.port,
        on_connect=lambda: events.append('connect'),
        on_disconnect=lambda err: events.append(type(err)),
        on_reconnect=lambda: events.append('reconnect'),
        **AGAIN,
    )
    nats.subscribe(unique, lambda s, p: events.append(p))
    run.until(lambda: 'connect' in events)
    own_server.kill()
    run.until(lambda: DisconnectedError in events)
    for i in range(100):
        nats.publish(unique, str(i))
    own_server.start()
    run.until(lambda: len(events) == 103)
    assert events == ['connect', DisconnectedError, 'reconnect', *(b'%d' % i for i in range(100))]
    assert nats.stats()['reconnects'] == 1


def test_a_written_request_ends_and_a_queued_one_is_sent(run, connect, own_server, unique):
    ends = []
    nats = connect(port=own_server.port, **AGAIN)
    nats.subscribe(unique, lambda s: None)
    nats.subscribe(f'{unique}.echo', lambda s, p, reply: nats.publish(reply, p))
    nats.request(unique, b'', lambda response, err: ends.append(('written', str(err))), 60_000)
    assert run.call(nats.flush) is None
    own_server.kill()
    run.until(lambda: ends)
    assert ends == [('written', 'disconnected')]
    nats.request(f'{unique}.echo', b'x', lambda response, err: ends.append(('queued', response)))
    nats.request(f'{unique}.echo', b'x', lambda response, err: ends.append(('late', err)), 30)
    nats.flush(lambda err: ends.append(('flush', err)))
    run.until(lambda: len(ends) == 2)
    assert ends[1][0] == 'late'
    assert isinstance(ends[1][1], RequestTimeout)
    own_server.start()
    run.until(lambda: len(ends) == 4)
    assert sorted(ends[2:]) == [('flush', None), ('queued', b'x')]


def test_the_rest_of_an_auto_unsubscribe_is_restored(run, connect, own_server, unique):
    got = []
    nats = connect(port=own_server.port, **AGAIN)
    nats.subscribe_max(unique, lambda s, p: got.append(p), 5)
    for i in range(2):
        nats.publish(unique, str(i))
    run.until(lambda: len(got) == 2)
    own_server.restart()
    run.until(lambda: nats.stats()['reconnects'] == 1)
    for i in range(2, 9):
        nats.publish(unique, str(i))
    assert run.call(nats.flush) is None
    assert got == [b'0', b'1', b'2', b'3', b'4']


def test_first_connection_is_tried_again(run, start_server, unique):
    server = start_server()
    port = server.port
    server.kill()
    connected = []
    nats = Nats(host='127.0.0.1', port=port, on_connect=lambda: connected.append(1), **AGAIN)
    nats.publish(unique, b'queued')
    attempts = []
    nats.call_soon(attempts.append, 1)
    run.until(lambda: attempts)
    server.start()
    run.until(lambda: connected)
    nats.disconnect()
    run.to_end()


@pytest.mark.parametrize('more', range(-2, 8))
def test_a_connection_cut_in_its_greeting_is_tried_again(run, connect, server, proxy, more):
    """Also in the middle of the server's PONG: what had come of that is forgotten."""
    with socket.create_connection(('127.0.0.1', server.port)) as greeted:
        info = greeted.makefile('rb').readline()
    between = proxy(server)
    between.cut_after(len(info) + more)
    nats = connect(port=between.port, **AGAIN)
    run.until(lambda: between.accepted > 1 and nats.is_connected())


def test_attempts_run_out(run):
    errors, closed = [], []
    with socket.create_server(('127.0.0.1', 0)) as taken:
        port = taken.getsockname()[1]
    options = {**AGAIN, 'max_reconnect_attempts': 2, 'max_reconnect_delay': 10}
    nats = Nats(
        host='127.0.0.1',
        port=port,
        on_error=errors.append,
        on_close=lambda: closed.append(1),
        **options,
    )
    response, err, _ = run.call(nats.request, 'a', b'')
    assert response is None
    assert str(err) == 'disconnected'
    run.to_end()
    assert len(errors) == 1
    assert closed == [1]


def test_lost_without_reconnect(run, connect, own_server, unique):
    events = []
    nats = connect(
        port=own_server.port,
        on_disconnect=lambda err: events.append(('disconnect', str(err))),
        on_error=lambda err: events.append(('error', str(err))),
        on_close=lambda: events.append('close'),
    )
    nats.subscribe(unique, lambda s: None)
    assert run.call(nats.flush) is None
    nats.request(unique, b'', lambda response, err: events.append(str(err)))
    own_server.kill()
    run.to_end()
    assert events[-1] == 'close'
    assert events[0] == 'disconnected'
    assert [e[0] for e in events[1:3]] == ['disconnect', 'error']
    with pytest.raises(DisconnectedError):
        nats.publish(unique, b'')


def test_a_silent_server_is_stale(run, connect, server, proxy):
    through = proxy(server)
    lost = []
    nats = connect(
        port=through.port,
        ping_interval=30,
        max_pings_outstanding=2,
        on_disconnect=lost.append,
        on_error=lambda err: None,
    )
    assert run.call(nats.flush) is None
    through.stall()
    run.to_end()
    assert isinstance(lost[0], StaleConnectionError)


def test_half_sent_frames_are_sent_again_whole(run, connect, server, proxy, unique):
    """The proxy cuts while large messages are under way: each arrives whole, or not at all."""
    through = proxy(server)
    got = []
    watcher = connect()
    watcher.subscribe(unique, lambda s, p: got.append(p))
    assert run.call(watcher.flush) is None
    nats = connect(port=through.port, **AGAIN)
    assert run.call(nats.flush) is None
    through.stall()
    payloads = [bytes([i]) * 500_000 for i in range(40)]
    for payload in payloads:
        nats.publish(unique, payload)
    run.turns(5)
    through.cut()
    through.flow()
    assert run.call(nats.flush) is None
    assert run.call(watcher.flush) is None
    assert all(len(set(payload)) == 1 and len(payload) == 500_000 for payload in got)
    numbers = [payload[0] for payload in got]
    assert numbers == sorted(set(numbers)), 'in order, and none twice'
    # What the kernel had taken may be gone with the connection; what it had not must be here.
    assert numbers[-1] == 39
    assert numbers == list(range(numbers[0], 40))


def test_reconnect_now_and_set_servers(run, connect, start_server, unique):
    first, second = start_server(), start_server()
    nats = connect(port=first.port, **AGAIN)
    assert run.call(nats.flush) is None
    nats.set_servers([second.url])
    nats.reconnect_now()
    run.until(lambda: nats.stats()['reconnects'] == 1)
    assert nats.server_info()['port'] == second.port


def test_disconnect_from_on_disconnect(run, connect, own_server):
    closed = []
    nats = connect(port=own_server.port, on_close=lambda: closed.append(1), **AGAIN)
    nats.on_disconnect(lambda err: nats.disconnect())
    assert run.call(nats.flush) is None
    own_server.kill()
    run.to_end()
    assert closed == [1]
