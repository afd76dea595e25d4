"""From an address to a connected socket: what the tests of the client do not come by."""

from __future__ import annotations

import socket

from natsev.dialer import _is_itself


def test_a_socket_connected_to_itself_is_no_connection():
    """The kernel makes one where nobody listens, and it would keep a server from coming back."""
    with socket.socket() as sock:
        sock.bind(('127.0.0.1', 0))
        sock.connect(sock.getsockname())
        assert _is_itself(sock)
    with (
        socket.create_server(('127.0.0.1', 0)) as listener,
        socket.create_connection(listener.getsockname()) as sock,
    ):
        assert not _is_itself(sock)
