"""TLS against a real server: how it comes about, and that what is wrong is told, never skipped."""

from __future__ import annotations

import datetime
import ssl
from typing import Any

import pytest
import trustme

from natsev import ConnectError, Nats, ProtocolError
from natsev.opening import parse_info
from tests.running import Run


class Authority:
    """A CA, and files of the certificates it makes."""

    def __init__(self, directory: Any) -> None:
        self.ca = trustme.CA()
        self._directory = directory
        self.ca_file = str(directory / 'ca.pem')
        self.ca.cert_pem.write_to_path(self.ca_file)

    def files(self, *names: str, **options: Any) -> tuple[str, str]:
        """Return the paths of a new certificate and of its key."""
        made = self.ca.issue_cert(*names, **options)
        stem = self._directory / (names[0].replace('@', '-') + str(len(options)))
        made.private_key_pem.write_to_path(f'{stem}.key')
        with open(f'{stem}.crt', 'wb') as file:
            for pem in made.cert_chain_pems:
                file.write(pem.bytes())
        return f'{stem}.crt', f'{stem}.key'

    def config(self, *names: str, valid: dict[str, Any] | None = None, **more: Any) -> dict:
        cert, key = self.files(*names, **(valid or {}))
        return {'tls': {'cert_file': cert, 'key_file': key, 'ca_file': self.ca_file, **more}}


@pytest.fixture(scope='module')
def authority(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp('ca'))


@pytest.fixture(scope='module')
def tls_server(authority):
    """A server whose certificate is for ``localhost`` and 127.0.0.1."""
    from natsev.server import Server

    with Server(config=authority.config('localhost', '127.0.0.1')) as server:
        yield server


def refused(run: Run, **options: Any) -> Exception:
    """Connect in vain; return the error."""
    errors: list[Exception] = []
    closed: list[bool] = []
    connected: list[bool] = []
    Nats(
        connect_timeout=10_000,
        on_error=errors.append,
        on_close=lambda: closed.append(True),
        on_connect=lambda: connected.append(True),
        **options,
    )
    run.until(lambda: closed or connected)
    assert not connected
    assert len(errors) == 1
    return errors[0]


def test_upgrade_after_info(run, connect, tls_server, authority, unique):
    nats = connect(host='localhost', port=tls_server.port, tls_ca_file=authority.ca_file)
    nats.subscribe(unique, lambda s, p: run.done(p))
    nats.publish(unique, b'x' * 1_000_000)
    assert run() == b'x' * 1_000_000


def test_tls_url_and_ip_address(run, connect, tls_server, authority):
    url = f'tls://127.0.0.1:{tls_server.port}'
    assert run.call(connect(servers=[url], tls_ca_file=authority.ca_file).flush) is None


def test_required_by_the_server_alone(run, connect, tls_server, authority):
    context = ssl.create_default_context(cafile=authority.ca_file)
    nats = connect(port=tls_server.port, ssl_context=context)
    assert run.call(nats.flush) is None
    error = refused(run, host='127.0.0.1', port=tls_server.port)  # the system does not know our CA
    assert 'certificate' in str(error)


def test_available_and_asked_for(run, connect, start_server, authority):
    config = authority.config('localhost', '127.0.0.1') | {'allow_non_tls': True}
    server = start_server(config=config)
    nats = connect(port=server.port, tls_ca_file=authority.ca_file)
    assert run.call(nats.flush) is None
    assert nats.server_info()['tls_available'] is True
    assert run.call(connect(port=server.port).flush) is None


def test_tls_first(run, connect, start_server, authority):
    server = start_server(config=authority.config('localhost', '127.0.0.1', handshake_first=True))
    options = {'port': server.port, 'tls_ca_file': authority.ca_file}
    assert run.call(connect(tls_first=True, **options).flush) is None


def test_hostname_that_differs_from_the_address(run, connect, start_server, authority):
    server = start_server(config=authority.config('nats.example'))
    options = {'port': server.port, 'tls_ca_file': authority.ca_file}
    nats = connect(tls_hostname='nats.example', **options)
    assert run.call(nats.flush) is None
    error = refused(run, host='127.0.0.1', **options)
    assert isinstance(error, ConnectError)
    assert isinstance(error.__cause__, ssl.SSLCertVerificationError)
    assert '127.0.0.1' in str(error)
    assert 'mismatch' in str(error)
    assert run.call(connect(port=server.port, tls_skip_verify=True).flush) is None


def test_expired_certificate(run, start_server, authority):
    past = datetime.datetime.now(datetime.timezone.utc) - datetime.timedelta(days=1)
    valid = {'not_before': past - datetime.timedelta(days=9), 'not_after': past}
    server = start_server(config=authority.config('127.0.0.1', valid=valid))
    error = refused(run, host='127.0.0.1', port=server.port, tls_ca_file=authority.ca_file)
    assert 'certificate has expired' in str(error)


def test_unknown_authority(run, tls_server, tmp_path):
    other = Authority(tmp_path)
    error = refused(run, host='127.0.0.1', port=tls_server.port, tls_ca_file=other.ca_file)
    assert 'unable to get local issuer certificate' in str(error)
    assert isinstance(error, ConnectError)
    assert error.server == f'nats://127.0.0.1:{tls_server.port}'


def test_client_certificate(run, connect, start_server, authority):
    server = start_server(config=authority.config('127.0.0.1', verify=True))
    cert, key = authority.files('me@example.com')
    options = {'port': server.port, 'tls_ca_file': authority.ca_file}
    assert run.call(connect(tls_cert_file=cert, tls_key_file=key, **options).flush) is None
    error = refused(run, host='127.0.0.1', **options)
    assert isinstance(error, ConnectError)
    assert 'requires a client certificate' in str(error)


def test_no_fallback_to_plain_text(run, server, proxy):
    error = refused(run, host='127.0.0.1', port=server.port, tls=True)
    assert 'does not offer TLS' in str(error)
    error = refused(run, servers=[f'tls://127.0.0.1:{server.port}'])
    assert 'does not offer TLS' in str(error)
    error = refused(run, host='127.0.0.1', port=server.port, tls_first=True)
    assert isinstance(error.__cause__, ssl.SSLError)


def test_what_comes_before_tls_is_refused(run, peer_that_says):
    injected = b'INFO {"tls_required":true}\r\nMSG secret 1 6\r\nforged\r\n'
    error = refused(run, host='127.0.0.1', port=peer_that_says(injected))
    assert isinstance(error, ProtocolError)


def test_no_nats_server(run, peer_that_says):
    error = refused(run, host='127.0.0.1', port=peer_that_says(b'HTTP/1.1 400 Bad Request\r\n\r\n'))
    assert isinstance(error, ProtocolError)
    assert 'HTTP/1.1' in str(error)
    error = refused(run, host='127.0.0.1', port=peer_that_says(b'INFO nonsense\r\n'))
    assert isinstance(error, ProtocolError)
    error = refused(run, host='127.0.0.1', port=peer_that_says(b''))
    assert 'closed the connection' in str(error)


def test_wrong_files_are_told_at_the_call(authority, tmp_path):
    cert, key = authority.files('me@example.com')
    other_key = authority.files('you@example.com')[1]
    nonsense = tmp_path / 'nonsense.pem'
    nonsense.write_text('nonsense')
    with pytest.raises(ValueError, match=r'tls_ca_file .*no such file'):
        Nats(tls_ca_file=tmp_path / 'missing.pem')
    with pytest.raises(ValueError, match='tls_ca_file'):
        Nats(tls_ca_file=nonsense)
    with pytest.raises(ValueError, match='mismatch'):
        Nats(tls_cert_file=cert, tls_key_file=other_key)
    with pytest.raises(ValueError, match='needs tls_cert_file'):
        Nats(tls_key_file=key)
    with pytest.raises(ValueError, match='ssl_context'):
        Nats(tls_ca_file=authority.ca_file, ssl_context=ssl.create_default_context())
    with pytest.raises(ValueError, match='tls_ca_file'):
        Nats().tls(True, ca_file=nonsense)


def test_a_key_with_a_password_does_not_ask_the_terminal(authority, tmp_path):
    from cryptography.hazmat.primitives import serialization

    cert, key = authority.files('me@example.com')
    with open(key, 'rb') as file:
        private = serialization.load_pem_private_key(file.read(), None)
    locked = tmp_path / 'locked.key'
    locked.write_bytes(
        private.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.BestAvailableEncryption(b'secret'),
        )
    )
    with pytest.raises(ValueError, match='password'):
        Nats(tls_cert_file=cert, tls_key_file=locked)


def test_the_method_holds_from_the_next_connection_on(run, connect, tls_server, authority):
    nats = Nats()
    nats.tls(True, ca_file=authority.ca_file)
    nats.connect('127.0.0.1', tls_server.port)
    assert run.call(nats.flush) is None
    nats.disconnect()
    run.to_end()


def test_large_messages_both_ways_and_a_cut(run, connect, tls_server, authority, proxy, unique):
    through = proxy(tls_server)
    nats = connect(
        port=through.port,
        tls_ca_file=authority.ca_file,
        reconnect=True,
        reconnect_delay=10,
        on_error=lambda err: None,
    )
    got = []
    nats.subscribe(unique, lambda s, p: got.append((p[0], len(p))))
    assert run.call(nats.flush) is None
    through.cut_after(3_000_000)
    for i in range(40):
        nats.publish(unique, bytes([i]) * 500_000)
    run.until(lambda: nats.stats()['reconnects'])
    nats.publish(unique, bytes([99]) * 500_000)
    run.until(lambda: got and got[-1][0] == 99, seconds=5)
    assert {size for _, size in got} == {500_000}
    assert [i for i, _ in got] == sorted({i for i, _ in got}), 'in order, none twice'


def test_first_line():
    assert parse_info(b'INFO {"a":1}\r') == {'a': 1}
    assert parse_info(b'info\t{}'.replace(b'\t', b' ')) == {}
    with pytest.raises(Exception, match='Authorization Violation'):
        parse_info(b"-ERR 'Authorization Violation'\r")


def test_a_farewell(run, connect, tls_server, authority, proxy):
    """In TLS 1.2 it can be seen from outside what a record is: the last one is an alert."""
    through = proxy(tls_server)
    context = ssl.create_default_context(cafile=authority.ca_file)
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    nats = connect(host='localhost', port=through.port, ssl_context=context)
    assert run.call(nats.flush) is None
    nats.disconnect()
    run.to_end()
    through.join()
    alert, size = b'\x15\x03\x03', 26
    assert through.last_to_server[:-size][-5:] == alert + size.to_bytes(2, 'big')
