"""Host names to addresses, in a thread, so that no look-up holds up the loop."""

from __future__ import annotations

import socket
from collections.abc import Callable
from typing import Any

from . import native
from .jobs import Job
from .loop import Port

Found = list[tuple[int, Any]]


def resolve(
    port: Port, host: str, tcp_port: int, done: Callable[[Found | None, Exception | None], None]
) -> Job[Found]:
    """Look *host* up.

    Args:
        port: the loop.
        host: name or IP address.
        tcp_port: put into the addresses.
        done: called from the loop as ``done(addresses, err)``; addresses are pairs of family and
            what ``connect`` takes; err is an ``OSError`` or, for a name that cannot be one, a
            ``UnicodeError``.

    Returns:
        The job, to cancel.
    """
    return Job(port, lambda: look_up(host, tcp_port), done)


def look_up(host: str, tcp_port: int) -> Found:
    """Look *host* up, blocking the thread; an IP address does not block."""
    found = native.getaddrinfo(host, tcp_port, 0, socket.SOCK_STREAM)
    return [(family, target) for family, _, _, _, target in found]
