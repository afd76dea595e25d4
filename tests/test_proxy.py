"""The tests' own forwarder of bytes does what the tests rely on."""

from __future__ import annotations

import socket


def greeting(connection):
    return connection.makefile('rb').readline()


def test_forwards_both_ways(server, proxy):
    forwarder = proxy(server)
    with socket.create_connection(('127.0.0.1', forwarder.port)) as connection:
        lines = connection.makefile('rb')
        assert lines.readline().startswith(b'INFO {')
        connection.sendall(b'CONNECT {}\r\nPING\r\n')
        assert lines.readline() in (b'+OK\r\n', b'PONG\r\n')
    assert forwarder.accepted == 1


def test_on_a_unix_socket(server, unix_proxy):
    forwarder = unix_proxy(server)
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(str(forwarder.path))
        assert greeting(connection).startswith(b'INFO {')


def test_cut(server, proxy):
    forwarder = proxy(server)
    with socket.create_connection(('127.0.0.1', forwarder.port)) as connection:
        greeting(connection)
        forwarder.cut()
        assert connection.recv(1) == b''


def test_cut_after(server, proxy):
    forwarder = proxy(server)
    forwarder.cut_after(10)
    with socket.create_connection(('127.0.0.1', forwarder.port)) as connection:
        assert connection.makefile('rb').read()[:7] == b'INFO {"'
    with socket.create_connection(('127.0.0.1', forwarder.port)) as connection:
        assert greeting(connection).endswith(b'\r\n')


def test_refuses(server, proxy):
    forwarder = proxy(server)
    forwarder.refusing = True
    with socket.create_connection(('127.0.0.1', forwarder.port)) as connection:
        assert connection.recv(1) == b''


def test_stalls_and_flows(server, proxy):
    forwarder = proxy(server)
    forwarder.stall()
    with socket.create_connection(('127.0.0.1', forwarder.port)) as connection:
        connection.setblocking(False)
        assert forwarder.accepted in (0, 1)
        forwarder.flow()
        connection.setblocking(True)
        assert greeting(connection).startswith(b'INFO {')
