"""What ``Nats(...)`` takes: every option, its type, its default, checked at the call."""

from __future__ import annotations

import os
import ssl
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, fields, replace
from typing import Any, TypedDict

from . import address, credentials, websocket
from .address import Address
from .callbacks import arity
from .credentials import Secret
from .tls import TlsFiles

MIB = 1024 * 1024

# Callbacks that are options and methods, and how many arguments each is offered.
CALLBACKS = {
    'on_connect': 0,
    'on_disconnect': 1,
    'on_reconnect': 0,
    'on_error': 1,
    'on_lame_duck': 0,
    'on_slow_consumer': 1,
    'on_exception': 1,
    'on_close': 0,
    'on_discovered_servers': 1,
}


class NatsOptions(TypedDict, total=False):
    """The keyword arguments of ``Nats``, for type checkers. See ``Options`` for meanings."""

    host: str | None
    port: int
    path: str | os.PathLike[str] | None
    servers: Iterable[str] | None
    no_randomize: bool
    loop: Any
    name: str | None
    verbose: bool
    pedantic: bool
    echo: bool
    no_responders: bool
    inbox_prefix: str
    old_request_style: bool
    user: str | None
    password: str | None
    pass_: str | None
    token: str | None
    nkey_seed: str | bytes | None
    jwt: str | None
    creds_file: str | os.PathLike[str] | None
    auth_callback: Callable[[str], dict[str, Any]] | None
    tls: bool
    tls_ca_file: str | os.PathLike[str] | None
    tls_cert_file: str | os.PathLike[str] | None
    tls_key_file: str | os.PathLike[str] | None
    tls_skip_verify: bool
    tls_hostname: str | None
    tls_first: bool
    ssl_context: ssl.SSLContext | None
    connect_timeout: float
    ping_interval: float
    max_pings_outstanding: int
    keepalive: int | None
    priority: int
    reconnect: bool
    reconnect_delay: float
    max_reconnect_delay: float
    max_reconnect_attempts: int
    reconnect_buffer_size: int
    retry_on_failed_connect: bool | None
    write_buffer_size: int
    ignore_discovered: bool
    on_connect: Callable[..., Any] | None
    on_disconnect: Callable[..., Any] | None
    on_reconnect: Callable[..., Any] | None
    on_error: Callable[..., Any] | None
    on_lame_duck: Callable[..., Any] | None
    on_slow_consumer: Callable[..., Any] | None
    on_exception: Callable[[BaseException], Any] | None
    on_close: Callable[..., Any] | None
    on_discovered_servers: Callable[..., Any] | None


@dataclass
class Options:
    """The options of one client.

    Attributes:
        servers: where to connect; empty until ``connect`` is called.
        no_randomize: try the servers in the order given.
        name: name of the connection, as the server's monitoring shows it.
        verbose, pedantic, echo, no_responders: as in CONNECT.
        inbox_prefix: first tokens of inboxes.
        old_request_style: subscribe to an inbox of its own for each request.
        user, password, token, nkey_seed, jwt, creds_file, auth_callback: who we are.
        tls, tls_ca_file, tls_cert_file, tls_key_file, tls_skip_verify, tls_hostname, tls_first,
            ssl_context: how the connection is secured.
        connect_timeout: ms for a connection to stand: name look-up, TCP, TLS, handshake; 0: no
            limit.
        ping_interval: ms between pings of ours; 0 switches them off.
        max_pings_outstanding: so many unanswered pings make the connection stale.
        keepalive: seconds of idleness before TCP keep-alive probes, or None.
        priority: libev priority of the connection's watchers, -2 to 2.
        reconnect: connect again when the connection is lost.
        reconnect_delay, max_reconnect_delay: ms before the second attempt; doubled up to the most.
        max_reconnect_attempts: failed attempts per server before it is given up; 0: no limit.
        reconnect_buffer_size: bytes of messages that wait while away.
        retry_on_failed_connect: treat a failed first connection as a lost one.
        write_buffer_size: bytes that may wait for the kernel while connected.
        ignore_discovered: use only the servers given, not those that servers tell about.
    """

    servers: list[Address] = field(default_factory=list)
    no_randomize: bool = False
    name: str | None = None
    verbose: bool = False
    pedantic: bool = False
    echo: bool = True
    no_responders: bool = True
    inbox_prefix: str = '_INBOX'
    old_request_style: bool = False
    user: str | None = None
    password: Secret | None = None
    token: Secret | None = None
    nkey_seed: Secret | None = None
    jwt: Secret | None = None
    creds_file: str | None = None
    auth_callback: Callable[[str], dict[str, Any]] | None = field(default=None, repr=False)
    tls: bool = False
    tls_ca_file: str | None = None
    tls_cert_file: str | None = None
    tls_key_file: str | None = None
    tls_skip_verify: bool = False
    tls_hostname: str | None = None
    tls_first: bool = False
    ssl_context: ssl.SSLContext | None = field(default=None, repr=False)
    connect_timeout: float = 2000
    ping_interval: float = 120_000
    max_pings_outstanding: int = 2
    keepalive: int | None = None
    priority: int = 0
    reconnect: bool = False
    reconnect_delay: float = 2000
    max_reconnect_delay: float = 30_000
    max_reconnect_attempts: int = 60
    reconnect_buffer_size: int = 8 * MIB
    retry_on_failed_connect: bool | None = None
    write_buffer_size: int = 64 * MIB
    ignore_discovered: bool = False
    callbacks: dict[str, Callable[..., Any]] = field(default_factory=dict, repr=False)

    def set(self, name: str, value: Any) -> None:
        """Set one option after checking it.

        Raises:
            TypeError, ValueError: the value cannot work; the message does not show secrets.
        """
        setattr(self, name, _CHECKS[name](name, value))

    def set_callback(self, name: str, callback: Callable[..., Any] | None) -> None:
        """Set or, with None, remove the callback *name*.

        Raises:
            TypeError: it is not callable or requires more arguments than it is offered.
        """
        if callback is None:
            self.callbacks.pop(name, None)
        else:
            arity(callback, CALLBACKS[name])
            self.callbacks[name] = callback

    @property
    def wants_tls(self) -> bool:
        """Does any option ask for TLS? The server's URL, or the server, may ask for it as well."""
        return (
            self.tls
            or self.tls_first
            or self.tls_hostname is not None
            or self.ssl_context is not None
            or self.tls_files != TlsFiles()
        )

    @property
    def tls_files(self) -> TlsFiles:
        """Whom we trust and who we are, in TLS."""
        return TlsFiles(
            self.tls_ca_file, self.tls_cert_file, self.tls_key_file, self.tls_skip_verify
        )

    def set_tls(self, enable: Any, ca_file: Any, skip_verify: Any) -> None:
        """Set what ``Nats.tls`` takes; where it is wrong, nothing is changed."""
        changed = replace(self)
        changed.set('tls', enable)
        changed.set('tls_ca_file', ca_file)
        changed.set('tls_skip_verify', skip_verify)
        changed.check_tls()
        self.__dict__.update(changed.__dict__)

    def check_tls(self) -> None:
        """Check what the options of TLS say together, and that their files can be used.

        Raises:
            ValueError: they contradict each other, or a file is not what it should be.
        """
        if self.tls_files == TlsFiles():
            return
        if self.ssl_context is not None:
            raise ValueError('ssl_context already says whom to trust: give no tls_*_file with it')
        self.tls_files.context(system=False)

    @property
    def retry_first(self) -> bool:
        """Is a failed first connection tried again?"""
        if self.retry_on_failed_connect is None:
            return self.reconnect
        return self.retry_on_failed_connect


def parse(given: dict[str, Any]) -> Options:
    """Check the keyword arguments of ``Nats`` and return them as ``Options``.

    Raises:
        TypeError, ValueError: an option is unknown, or its value cannot work.
    """
    options = Options()
    given = dict(given)
    if 'pass_' in given:
        given.setdefault('password', given.pop('pass_'))
    options.servers = _servers(
        given.pop('host', None),
        given.pop('port', address.DEFAULT_PORT),
        given.pop('path', None),
        given.pop('servers', None),
    )
    for name, value in given.items():
        if name in CALLBACKS:
            options.set_callback(name, value)
        elif name in _CHECKS:
            options.set(name, value)
        else:
            raise TypeError(f'Nats has no option {name!r}')
    options.check_tls()
    return options


def _servers(host: Any, port: Any, path: Any, urls: Any) -> list[Address]:
    if sum(given is not None for given in (host, path, urls)) > 1:
        raise ValueError("give one of 'host', 'path' and 'servers'")
    if host is not None:
        return [address.tcp(host, port)]
    if path is not None:
        return [address.unix(path)]
    return parse_servers(urls) if urls is not None else []


def parse_servers(urls: Any) -> list[Address]:
    """Parse a non-empty iterable of server URLs, or one URL."""
    if isinstance(urls, str):
        urls = urls.split(',')
    servers = [address.parse(url) for url in urls]
    if not servers:
        raise ValueError('servers must not be empty')
    if any(server.scheme in ('ws', 'wss') for server in servers):
        websocket.require()
    return servers


def _boolean(name: str, value: Any) -> bool:
    if not isinstance(value, (bool, int)):
        raise TypeError(f'{name} must be bool, not {type(value).__name__}')
    return bool(value)


def _maybe_boolean(name: str, value: Any) -> bool | None:
    return None if value is None else _boolean(name, value)


def _text(name: str, value: Any) -> str | None:
    if value is not None and not isinstance(value, str):
        raise TypeError(f'{name} must be str, not {type(value).__name__}')
    return value


def _secret(name: str, value: Any) -> Secret | None:
    if isinstance(value, (bytes, bytearray)):
        value = value.decode('ascii', 'replace')
    if value is not None and not isinstance(value, str):
        raise TypeError(f'{name} must be str or bytes, not {type(value).__name__}')
    return None if value is None else Secret(value)


def seed(name: str, value: Any) -> Secret:
    """Return the seed *value*, checked."""
    secret = _secret(name, value)
    if secret is None:
        raise TypeError(f'{name} must be str or bytes, not None')
    credentials.check_seed(secret)
    return secret


def _maybe_seed(name: str, value: Any) -> Secret | None:
    return None if value is None else seed(name, value)


def _file(name: str, value: Any) -> str | None:
    return None if value is None else _text(name, os.fspath(value))


def _creds_file(name: str, value: Any) -> str | None:
    path = _file(name, value)
    if path is not None:
        credentials.read_creds(path)  # it is read again at each connect
    return path


def _function(name: str, value: Any) -> Callable[..., Any] | None:
    if value is not None and not callable(value):
        raise TypeError(f'{name} must be callable, not {type(value).__name__}')
    return value  # type: ignore[no-any-return]


def _context(name: str, value: Any) -> ssl.SSLContext | None:
    if value is not None and not isinstance(value, ssl.SSLContext):
        raise TypeError(f'{name} must be ssl.SSLContext, not {type(value).__name__}')
    return value


def _number(least: float, most: float = float('inf')) -> Callable[[str, Any], float]:
    def check(name: str, value: Any) -> float:
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            raise TypeError(f'{name} must be a number, not {type(value).__name__}')
        if not least <= value <= most:
            raise ValueError(f'{name} must be at least {least:g}, not {value:g}')
        return value

    return check


def _whole(least: int, most: int | None = None) -> Callable[[str, Any], int]:
    def check(name: str, value: Any) -> int:
        if isinstance(value, bool) or not isinstance(value, int):
            raise TypeError(f'{name} must be int, not {type(value).__name__}')
        if value < least or (most is not None and value > most):
            bound = f'at least {least}' if most is None else f'from {least} to {most}'
            raise ValueError(f'{name} must be {bound}, not {value}')
        return value

    return check


def _maybe_whole(least: int) -> Callable[[str, Any], int | None]:
    whole = _whole(least)

    def check(name: str, value: Any) -> int | None:
        return None if value is None else whole(name, value)

    return check


def _inbox_prefix(name: str, value: Any) -> str:
    prefix = _text(name, value)
    if not prefix or any(not t or t in '*>' for t in prefix.split('.')) or _has_space(prefix):
        raise ValueError(f'{name} must be a subject without wildcards, not {value!r}')
    return prefix


def _has_space(text: str) -> bool:
    return any(c.isspace() for c in text)


_CHECKS: dict[str, Callable[[str, Any], Any]] = {
    **dict.fromkeys(
        [
            'no_randomize',
            'verbose',
            'pedantic',
            'echo',
            'no_responders',
            'old_request_style',
            'tls',
            'tls_skip_verify',
            'tls_first',
            'reconnect',
            'ignore_discovered',
        ],
        _boolean,
    ),
    **dict.fromkeys(['name', 'user', 'tls_hostname'], _text),
    **dict.fromkeys(['password', 'token', 'jwt'], _secret),
    **dict.fromkeys(['tls_ca_file', 'tls_cert_file', 'tls_key_file'], _file),
    'creds_file': _creds_file,
    'retry_on_failed_connect': _maybe_boolean,
    'nkey_seed': _maybe_seed,
    'auth_callback': _function,
    'ssl_context': _context,
    'inbox_prefix': _inbox_prefix,
    'connect_timeout': _number(0),
    'ping_interval': _number(0),
    'max_pings_outstanding': _whole(1),
    'keepalive': _maybe_whole(1),
    'priority': _whole(-2, 2),
    'reconnect_delay': _number(0),
    'max_reconnect_delay': _number(0),
    'max_reconnect_attempts': _whole(0),
    'reconnect_buffer_size': _whole(0),
    'write_buffer_size': _whole(1),
}
assert set(_CHECKS) == {f.name for f in fields(Options)} - {'servers', 'callbacks'}
