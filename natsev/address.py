"""Where a server is: the URLs and host names a user gives, parsed and checked once."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass, field
from urllib.parse import unquote, urlsplit

from .credentials import Secret

DEFAULT_PORT = 4222
_DEFAULT_PORTS = {'nats': DEFAULT_PORT, 'tls': DEFAULT_PORT, 'ws': 80, 'wss': 443}


@dataclass(frozen=True)
class Address:
    """One server's address. ``str()`` shows it without credentials.

    Attributes:
        scheme: ``nats``, ``tls``, ``ws``, ``wss`` or ``unix``.
        host: host name or IP address; empty for ``unix``.
        port: TCP port; 0 for ``unix``.
        path: the socket's path for ``unix``, the request path for ``ws`` and ``wss``.
        user: user name or token of the URL, or None.
        password: password of the URL, or None.
        tls_name: the name in the server's certificate where it is not the host: a server that was
            discovered by its IP address is asked for the name of the one that told.
    """

    scheme: str
    host: str = ''
    port: int = 0
    path: str = ''
    user: Secret | None = None
    password: Secret | None = None
    tls_name: str | None = field(default=None, compare=False)

    def __str__(self) -> str:
        if self.scheme == 'unix':
            return f'unix://{self.path}'
        host = f'[{self.host}]' if ':' in self.host else self.host
        return f'{self.scheme}://{host}:{self.port}{self.path}'

    @property
    def is_ip(self) -> bool:
        """Is the host an IP address, so that no name look-up is needed?"""
        try:
            ipaddress.ip_address(self.host.partition('%')[0])
        except ValueError:
            return False
        return True


def tcp(host: object, port: object, scheme: str = 'nats') -> Address:
    """Return the address of *host* and *port*.

    Raises:
        TypeError, ValueError: they are not a host name or address and a port from 1 to 65535.
    """
    if not isinstance(host, str):
        raise TypeError(f'host must be str, not {type(host).__name__}')
    if not host or any(c.isspace() or c == '\0' for c in host):
        raise ValueError(f'invalid host: {host!r}')
    if not isinstance(port, int) or isinstance(port, bool):
        raise TypeError(f'port must be int, not {type(port).__name__}')
    if not 0 < port < 65536:
        raise ValueError(f'port must be from 1 to 65535, not {port}')
    return Address(scheme, host, port)


def unix(path: object) -> Address:
    """Return the address of the Unix-domain socket at *path*."""
    path = path.__fspath__() if hasattr(path, '__fspath__') else path
    if not isinstance(path, str):
        raise TypeError(f'path must be str, not {type(path).__name__}')
    if not path or '\0' in path:
        raise ValueError(f'invalid socket path: {path!r}')
    return Address('unix', path=path)


def parse(url: object) -> Address:
    """Parse a server's URL; ``host`` and ``host:port`` without a scheme mean ``nats://``.

    Raises:
        TypeError, ValueError: it is not the URL of a NATS server. The message never shows
            credentials.
    """
    if not isinstance(url, str):
        raise TypeError(f'server URL must be str, not {type(url).__name__}')
    try:
        parts = urlsplit(url.strip() if '://' in url else f'nats://{url.strip()}')
        port = parts.port
    except ValueError as err:
        raise ValueError(f'invalid server URL: {err}') from None
    if parts.scheme == 'unix':
        return unix(parts.netloc + parts.path)
    if parts.scheme not in _DEFAULT_PORTS:
        raise ValueError(f'server URL has the unknown scheme {parts.scheme!r}')
    address = tcp(parts.hostname or '', port or _DEFAULT_PORTS[parts.scheme], parts.scheme)
    return Address(
        address.scheme,
        address.host,
        address.port,
        path=parts.path if parts.scheme in ('ws', 'wss') else '',
        user=_secret(parts.username),
        password=_secret(parts.password),
    )


def _secret(quoted: str | None) -> Secret | None:
    return None if quoted is None else Secret(unquote(quoted))
