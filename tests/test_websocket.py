"""WebSocket against a real server: plain, in TLS, compressed; large messages, cuts, refusals."""

from __future__ import annotations

import os
import socket
import sys

import pytest
import trustme
import wsproto

from natsev import ConnectError, JetStream, MissingExtraError, Nats, ObjectStore
from natsev.loop import READ
from natsev.streams import Plain
from natsev.websocket import WebSocketStream

AGAIN = {'reconnect': True, 'reconnect_delay': 10, 'on_error': lambda err: None}


def port_of(server):
    return int(server.urls['websocket'][0].rpartition(':')[2])


def websocket(**more):
    return {'websocket': {'listen': '127.0.0.1:-1', **more}}


@pytest.fixture(scope='module', params=[False, True], ids=['plain', 'compressed'])
def ws_server(request):
    from natsev.server import Server

    with Server(config=websocket(no_tls=True, compression=request.param)) as server:
        yield server


def echo(run, nats, subject, payload):
    got = []
    sid = nats.subscribe(subject, lambda s, p: got.append(p))
    nats.publish(subject, payload)
    run.until(lambda: got)
    nats.unsubscribe(sid)
    return got[0]


def test_small_and_large_messages(run, connect, ws_server, unique):
    nats = connect(servers=[f'ws://127.0.0.1:{port_of(ws_server)}'])
    for payload in (b'', b'x', b'y' * 1_000_000, os.urandom(1_048_576), b'z' * 65_535):
        assert echo(run, nats, unique, payload) == payload


def test_compression_is_negotiated(run, connect, ws_server):
    nats = connect(servers=[f'ws://127.0.0.1:{port_of(ws_server)}'])
    assert run.call(nats.flush) is None
    stream = nats._link._connection._transport._stream
    wanted = ws_server.config['websocket']['compression']
    assert stream._deflate.enabled() is wanted


def test_many_messages_in_order(run, connect, ws_server, unique):
    nats = connect(servers=[f'ws://127.0.0.1:{port_of(ws_server)}'])
    got = []
    nats.subscribe(unique, lambda s, p: got.append(int(p)))
    for i in range(20_000):
        nats.publish(unique, str(i))
    run.until(lambda: len(got) == 20_000)
    assert got == list(range(20_000))


def test_wss(run, connect, start_server, tmp_path, unique):
    ca = trustme.CA()
    ca.cert_pem.write_to_path(tmp_path / 'ca')
    cert = ca.issue_cert('localhost')
    cert.private_key_pem.write_to_path(tmp_path / 'key')
    cert.cert_chain_pems[0].write_to_path(tmp_path / 'cert')
    tls = {'cert_file': str(tmp_path / 'cert'), 'key_file': str(tmp_path / 'key')}
    server = start_server(config=websocket(tls=tls))
    url = f'wss://localhost:{port_of(server)}'
    nats = connect(servers=[url], tls_ca_file=tmp_path / 'ca')
    payload = os.urandom(1_000_000)
    assert echo(run, nats, unique, payload) == payload
    errors = []
    connect(servers=[url], on_error=errors.append)
    run.until(lambda: errors)
    assert isinstance(errors[0], ConnectError)
    assert 'certificate' in str(errors[0])


def test_cut_in_the_middle(run, connect, ws_server, proxy, unique):
    through = proxy(ws_server, port=port_of(ws_server))
    nats = connect(servers=[f'ws://127.0.0.1:{through.port}'], **AGAIN)
    got = []
    nats.subscribe(unique, lambda s, p: got.append((p[0], len(p))))
    assert run.call(nats.flush) is None
    through.cut_after(30_000)
    for i in range(20):
        nats.publish(unique, bytes([i]) + os.urandom(300_000))
    run.until(lambda: nats.stats()['reconnects'])
    nats.publish(unique, bytes([99]) * 300_001)
    run.until(lambda: got and got[-1][0] == 99)
    assert {size for _, size in got} == {300_001}
    assert [i for i, _ in got] == sorted({i for i, _ in got}), 'in order, none twice'


@pytest.mark.parametrize(
    'answer, text',
    [
        (b'HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n', 'refused: status 403'),
        (b'nonsense\r\n\r\n', 'WebSocket: '),
        (b'', 'during the WebSocket handshake'),
    ],
)
def test_refused(run, peer_that_says, answer, text):
    errors = []
    Nats(servers=[f'ws://127.0.0.1:{peer_that_says(answer)}'], on_error=errors.append)
    run.to_end()
    assert isinstance(errors[0], ConnectError)
    assert text in str(errors[0])


def test_without_wsproto_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, 'wsproto', None)
    with pytest.raises(MissingExtraError, match=r'natsev\[ws\]') as caught:
        Nats(servers=['ws://127.0.0.1:1'])
    assert caught.value.extra == 'ws'


def test_object_store_through_websocket(run, connect, ws_server, unique):
    nats = connect(servers=[f'ws://127.0.0.1:{port_of(ws_server)}'])
    store = ObjectStore(js=JetStream(nats=nats), bucket=unique)
    assert run.call(store.create_bucket, {})[1] is None
    data = os.urandom(5_000_000)
    assert run.call(store.put, 'x', data)[1] is None
    assert run.call(store.get, 'x')[0] == data


def test_a_farewell(run, connect, ws_server, proxy):
    """A frame that closes: from a client it is masked, and has a status of two bytes."""
    through = proxy(ws_server, port=port_of(ws_server))
    nats = connect(servers=[f'ws://127.0.0.1:{through.port}'])
    assert run.call(nats.flush) is None
    nats.disconnect()
    run.to_end()
    through.join()
    assert through.last_to_server[-8:-6] == b'\x88\x82'


def test_a_farewell_is_answered():
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    stream = WebSocketStream(Plain(ours), 'localhost', '/')
    server = wsproto.WSConnection(wsproto.ConnectionType.SERVER)
    assert stream.handshake() == READ
    server.receive_data(theirs.recv(65536))
    theirs.sendall(server.send(wsproto.events.AcceptConnection()))
    assert stream.handshake() == 0
    theirs.sendall(server.send(wsproto.events.CloseConnection(code=1001)))
    assert stream.recv_into(memoryview(bytearray(10))) == 0
    server.receive_data(theirs.recv(65536))
    *_, answer = server.events()
    assert (type(answer), answer.code) == (wsproto.events.CloseConnection, 1001)
    stream.farewell()
    stream.close()
    assert theirs.recv(65536) == b''
    theirs.close()
