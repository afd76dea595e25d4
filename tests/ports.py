"""Ports for servers that go down and come back to the same one."""

from __future__ import annotations

import contextlib
import random
import socket

_PORTS = 12_000, 32_000


def free_ports(number: int) -> list[int]:
    """Return ports that were free a moment ago.

    Not of those that the system gives to outgoing connections: while a server is down, one of these
    connections could be given the very port it comes back to.
    """
    with contextlib.ExitStack() as held:
        ports: list[int] = []
        while len(ports) < number:
            port = random.randrange(*_PORTS)
            with contextlib.suppress(OSError):
                held.enter_context(socket.create_server(('127.0.0.1', port)))
                ports.append(port)
        return ports
