"""A process that forks: the child's copy of a client is silent, and says so when it is used."""

from __future__ import annotations

import os
import traceback
import warnings

import pytest
import trustme

from natsev import ForkedError, Nats


def in_child(function):
    """Call *function* in a forked process; raise AssertionError with its traceback if it raises."""
    reader, writer = os.pipe()
    with warnings.catch_warnings():  # Python 3.12 on warns of the threads of the tests' own proxy
        warnings.simplefilter('ignore', DeprecationWarning)
        pid = os.fork()
    if pid == 0:
        try:
            try:
                function()
            except BaseException:
                os.write(writer, traceback.format_exc().encode()[-60_000:])
        finally:
            os._exit(0)
    os.close(writer)
    with open(reader, encoding='utf-8') as file:
        said = file.read()
    os.waitpid(pid, 0)
    assert not said, said


def use(nats):
    for call in (
        lambda: nats.publish('a'),
        lambda: nats.hpublish('a', {}),
        lambda: nats.subscribe('a', print),
        lambda: nats.request('a', b'', print),
        lambda: nats.request_many('a', b'', print),
        nats.flush,
        nats.drain,
        nats.ping,
        lambda: nats.rtt(print),
        nats.disconnect,
        lambda: nats.connect('127.0.0.1'),
        lambda: nats.call_soon_threadsafe(print),
        nats.reconnect_now,
    ):
        with pytest.raises(ForkedError, match='parent process'):
            call()
    assert not nats.is_connected()
    assert 'closed' in repr(nats)


def test_the_parent_does_not_notice(run, connect, server, proxy, unique):
    through = proxy(server)
    nats = connect(port=through.port)
    got, calls = [], []
    nats.subscribe(unique, lambda s, p: got.append(p))
    nats.request(f'{unique}.silent', b'', lambda response, err: calls.append(err))
    nats.subscribe(f'{unique}.silent', lambda: None)
    assert run.call(nats.flush) is None
    sent = through.bytes_to_server
    nats.publish(unique, b'queued')
    in_child(lambda: use(nats))
    assert through.bytes_to_server == sent
    assert run.call(nats.flush) is None
    assert got == [b'queued']
    assert calls == []
    assert nats.is_connected()


def test_tls(run, connect, start_server, tmp_path, unique):
    ca = trustme.CA()
    ca.cert_pem.write_to_path(tmp_path / 'ca')
    ca.issue_cert('127.0.0.1').private_key_and_cert_chain_pem.write_to_path(tmp_path / 'cert')
    tls = {'cert_file': str(tmp_path / 'cert'), 'key_file': str(tmp_path / 'cert')}
    server = start_server(config={'tls': tls})
    nats = connect(port=server.port, tls_ca_file=tmp_path / 'ca')
    nats.subscribe(unique, lambda s, p: run.done(p))
    assert run.call(nats.flush) is None
    in_child(lambda: use(nats))
    nats.publish(unique, b'still here')
    assert run() == b'still here'


def test_inside_a_callback_and_while_connecting(run, connect, unique):
    nats = connect()
    connecting = Nats(host='127.0.0.1', port=1)

    def on_message(subject, payload):
        in_child(lambda: use(nats))
        in_child(lambda: use(connecting))
        run.done(payload)

    nats.subscribe(unique, on_message)
    connecting.on_error(lambda err: None)
    nats.publish(unique, b'x')
    assert run() == b'x'
    nats.publish(unique, b'y')
    assert run() == b'y'


def test_a_new_client_in_the_child(run, connect, server, unique):
    """What a prefork server does: each child makes its own client, on a loop of its own."""
    nats = connect()
    nats.subscribe(unique, lambda s, p: run.done(p))
    assert run.call(nats.flush) is None

    def child():
        from natsev import ev

        loop = ev.Loop()
        own = Nats(host=server.host, port=server.port, loop=loop)
        own.publish(unique, b'from the child')
        own.flush(lambda err: own.disconnect())
        loop.start()

    in_child(child)
    assert run() == b'from the child'
