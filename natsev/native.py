"""Real sockets and real threads, also where gevent has monkey-patched the standard library.

natsev waits on its sockets with the loop and does blocking work (name look-ups, slow disks) in threads of
the operating system. gevent's replacements for either would wait in the hub, where nothing may wait.
"""

from __future__ import annotations

import _socket
import _thread
import socket as _python_socket
import sys
from collections.abc import Callable
from typing import Any

from .loop import Port


def _original(module: str, name: str, default: Any) -> Any:
    monkey = sys.modules.get('gevent.monkey')
    return default if monkey is None else monkey.get_original(module, name)


def socket(family: int, kind: int) -> _python_socket.socket:
    """Return a new socket of the standard library's own class."""
    cls: type[_python_socket.socket] = _original('socket', 'socket', _python_socket.socket)
    return cls(family, kind)


def spawn_thread(function: Callable[..., None], *args: Any) -> None:
    """Run *function* in a thread of the operating system."""
    _original('_thread', 'start_new_thread', _thread.start_new_thread)(function, args)


def set_keepalive(sock: _python_socket.socket, seconds: int | None) -> None:
    """Have the kernel probe a connection that was idle for *seconds*; None leaves it alone."""
    if seconds is None:
        return
    sock.setsockopt(_python_socket.SOL_SOCKET, _python_socket.SO_KEEPALIVE, 1)
    # Linux and macOS have different names for the same number of seconds.
    idle = getattr(_python_socket, 'TCP_KEEPIDLE', getattr(_python_socket, 'TCP_KEEPALIVE', None))
    if idle is not None:
        sock.setsockopt(_python_socket.IPPROTO_TCP, idle, seconds)


class Resolver:
    """Looks a host name up in a thread of its own.

    Args:
        port: the loop.
        host: name or IP address.
        tcp_port: put into the addresses.
        callback: called from the loop as ``callback(addresses, err)``, unless cancelled before;
            addresses are pairs of family and what ``connect`` takes.
    """

    def __init__(
        self,
        port: Port,
        host: str,
        tcp_port: int,
        callback: Callable[[list[tuple[int, Any]], OSError | None], None],
    ) -> None:
        self._callback: Callable[[list[tuple[int, Any]], OSError | None], None] | None = callback
        self._found: list[tuple[int, Any]] = []
        self._err: OSError | None = None
        self._wakeup = port.wakeup(self._finish)
        spawn_thread(self._look_up, host, tcp_port)

    def cancel(self) -> None:
        """Do not call back. The thread ends by itself when the look-up does."""
        self._callback = None
        self._wakeup.close()

    def _look_up(self, host: str, tcp_port: int) -> None:
        try:
            found = _socket.getaddrinfo(host, tcp_port, 0, _socket.SOCK_STREAM)
            self._found = [(family, target) for family, _, _, _, target in found]
        except OSError as err:
            self._err = err
        except UnicodeError as err:  # a name that IDNA cannot encode
            self._err = OSError(f'invalid host name: {err}')
        self._wakeup.send()

    def _finish(self) -> None:
        self._wakeup.close()
        callback, self._callback = self._callback, None
        if callback is not None:
            callback(self._found, self._err)
