"""Host names to addresses, in a thread, so that no look-up holds up the loop."""

from __future__ import annotations

import socket
from collections.abc import Callable
from typing import Any

from . import native
from .loop import Port

Found = list[tuple[int, Any]]


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
        callback: Callable[[Found, OSError | None], None],
    ) -> None:
        self._callback: Callable[[Found, OSError | None], None] | None = callback
        self._found: Found = []
        self._err: OSError | None = None
        self._wakeup = port.wakeup(self._finish)
        native.spawn_thread(self._look_up, host, tcp_port)

    def cancel(self) -> None:
        """Do not call back. The thread ends by itself when the look-up does."""
        self._callback = None
        self._wakeup.close()

    def _look_up(self, host: str, tcp_port: int) -> None:
        try:
            found = native.getaddrinfo(host, tcp_port, 0, socket.SOCK_STREAM)
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
