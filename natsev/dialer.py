"""From an address to a connected socket: names looked up, several addresses tried side by side."""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Callable
from functools import partial

from . import native
from .address import Address
from .jobs import Job
from .loop import WRITE, Port, Watcher
from .resolver import Found, look_up, resolve

# Seconds after which the next address of a name is tried as well (RFC 8305).
_NEXT_AFTER = 0.25
_CONNECTING = frozenset({errno.EINPROGRESS, errno.EALREADY, errno.EWOULDBLOCK, errno.EINTR})


class Dialer:
    """Connects to one of the addresses that a host name has.

    Args:
        port: the loop.
        address: where to.
        keepalive: seconds of idleness before the kernel probes the peer, or None for no probes.
        done: called once as ``done(sock, err)``, one of them None, from the loop; never after
            ``cancel()``.
    """

    def __init__(
        self,
        port: Port,
        address: Address,
        keepalive: int | None,
        done: Callable[[socket.socket | None, Exception | None], None],
    ) -> None:
        self._port = port
        self._address = address
        self._keepalive = keepalive
        self._done = done
        self._candidates: Found = []
        self._attempts: dict[socket.socket, Watcher] = {}
        self._last: Exception = OSError('the name has no address')
        self._next = port.timer(self._try_next)
        self._job: Job[Found] | None = None
        self._over = False
        port.call_soon(self._start)

    def cancel(self) -> None:
        """Give up, without a word."""
        self._over = True
        self._next.close()
        if self._job is not None:
            self._job.cancel()
        for sock, watcher in self._attempts.items():
            watcher.close()
            sock.close()
        self._attempts.clear()

    def _start(self) -> None:
        if self._over:
            return
        address = self._address
        if address.scheme == 'unix':
            self._found([(socket.AF_UNIX, address.path)], None)
        elif address.is_ip:
            self._look_up()
        else:
            self._job = resolve(self._port, address.host, address.port, self._found)

    def _look_up(self) -> None:
        try:
            self._found(look_up(self._address.host, self._address.port), None)
        except OSError as err:  # an IPv6 zone that is not there
            self._found(None, err)

    def _found(self, found: Found | None, err: Exception | None) -> None:
        self._job = None
        if found is None:
            assert err is not None
            self._finish(None, err)
            return
        self._candidates = _alternate(found)
        self._try_next()

    def _try_next(self) -> None:
        while not self._over:
            if not self._candidates:
                if not self._attempts:
                    self._finish(None, self._last)
                return
            family, target = self._candidates.pop(0)
            try:
                sock = native.socket(family, socket.SOCK_STREAM)
            except OSError as err:  # no descriptor is left, or the family is not there
                self._last = err
                continue
            sock.setblocking(False)
            try:
                code = sock.connect_ex(target)
            except OSError as err:  # a socket path that is too long, say
                sock.close()
                self._last = err
                continue
            if code in _CONNECTING:
                watcher = self._port.io(sock.fileno(), WRITE, partial(self._writable, sock))
                self._attempts[sock] = watcher
                watcher.start()
                self._next.start(_NEXT_AFTER)
                return
            self._concluded(sock, code)

    def _writable(self, sock: socket.socket) -> None:
        self._attempts.pop(sock).close()
        self._concluded(sock, sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR))
        self._try_next()

    def _concluded(self, sock: socket.socket, code: int) -> None:
        if code == 0 and _is_itself(sock):
            code = errno.ECONNREFUSED
        if code == 0:
            _tune(sock, self._keepalive)
            self._finish(sock, None)
        else:
            sock.close()
            self._last = OSError(code, os.strerror(code))

    def _finish(self, sock: socket.socket | None, err: Exception | None) -> None:
        self.cancel()
        self._done(sock, err)


def _alternate(found: Found) -> Found:
    """Let the families of *found* take turns: where one of them leads nowhere, the other does."""
    first = [entry for entry in found if entry[0] == found[0][0]]
    other = [entry for entry in found if entry[0] != found[0][0]]
    turns = [entry for pair in zip(first, other, strict=False) for entry in pair]
    shorter = min(len(first), len(other))
    return turns + first[shorter:] + other[shorter:]


def _tune(sock: socket.socket, keepalive: int | None) -> None:
    """Set a TCP socket's options.

    Args:
        sock: any socket; one that is not TCP is left alone.
        keepalive: seconds of idleness before the kernel probes the peer, or None for no probes.
    """
    if sock.family == socket.AF_UNIX:
        return
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    if keepalive is not None:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        # Linux and macOS have different names for it.
        idle = getattr(socket, 'TCP_KEEPIDLE', getattr(socket, 'TCP_KEEPALIVE', None))
        if idle is not None:
            sock.setsockopt(socket.IPPROTO_TCP, idle, keepalive)


def _is_itself(sock: socket.socket) -> bool:
    """Is *sock* connected to itself?

    Where nobody listens on a port of this machine, the kernel may give that very port to the
    connection that looks for it, and keep the server from coming back to it.
    """
    try:
        return sock.family != socket.AF_UNIX and sock.getsockname() == sock.getpeername()
    except OSError:  # gone already
        return False
