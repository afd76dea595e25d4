"""The standard library below gevent's monkey patching.

In a patched program ``socket.socket`` blocks greenlets, not threads, and ``Thread`` starts a
greenlet. The core drives its own non-blocking sockets from the loop and does its few blocking
calls (name look-ups, hashing) in real threads, so it asks here for the originals, whether or not,
and whenever, somebody patches.
"""

from __future__ import annotations

import importlib
import socket as _socket
import sys
from collections.abc import Callable
from typing import Any


def original(module: str, name: str) -> Any:
    """Return the attribute *name* of *module* as it was before gevent patched it."""
    monkey = sys.modules.get('gevent.monkey')
    if monkey is not None:
        return monkey.get_original(module, name)
    return getattr(importlib.import_module(module), name)


def spawn_thread(function: Callable[..., object], *args: Any) -> None:
    """Run *function* in a real thread, which does not keep the interpreter from ending."""
    original('_thread', 'start_new_thread')(function, args)


# thread_id() is the number of the real thread that calls, also inside a greenlet.
thread_id: Callable[[], int] = original('_thread', 'get_ident')


def socket(family: int, kind: int, proto: int = 0) -> _socket.socket:
    """Return a new socket of the original class."""
    made: _socket.socket = original('socket', 'socket')(family, kind, proto)
    return made


def getaddrinfo(host: str, port: int, family: int = 0, kind: int = 0) -> list[Any]:
    """Look *host* up, blocking the calling thread."""
    found: list[Any] = original('socket', 'getaddrinfo')(host, port, family, kind)
    return found
