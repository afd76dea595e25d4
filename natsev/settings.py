"""What can be changed about a client while it lives: who we are, TLS, times, callbacks.

The base of ``Nats``, which inherits all of it.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from os import PathLike
from typing import Any, TypeVar, cast

from . import credentials, options
from .callbacks import arity
from .errors import NatsError
from .loop import Port
from .options import Options

_log = logging.getLogger('natsev')
_UNSET: Any = object()

AnyCallback = Callable[..., Any]
_T = TypeVar('_T')


class Settings:
    """The options of one client, as methods, and the calling of its callbacks.

    Attributes:
        port: the loop.
    """

    def __init__(self, port: Port, options: Options) -> None:
        self.port = port
        self._options = options

    def _options_changed(self) -> None:
        """Have what stands follow the options."""
        raise NotImplementedError

    # Who we are, and how the connection is secured: from the next connection on.

    def creds_file(self, path: str | PathLike[str] | None) -> None:
        """Authenticate with a ``.creds`` file, which is read at each connect; None: no more.

        Raises:
            MissingExtraError: ``natsev[nkeys]`` is not installed.
            ValueError: it cannot be read, or holds no user JWT and seed.
        """
        self._options.set('creds_file', path)

    def nkey_seed(self, seed: str | bytes | None) -> None:
        """Authenticate with a user's nkey seed, ``SU...``; None: no more.

        Raises:
            MissingExtraError: ``natsev[nkeys]`` is not installed.
            ValueError: it is no seed of a user.
        """
        self._options.set('nkey_seed', seed)

    def jwt(self, token: str | None) -> None:
        """Authenticate with a user JWT, and the seed of ``nkey_seed``; None: no more."""
        self._options.set('jwt', token)

    def tls(
        self,
        enable: bool,
        ca_file: str | PathLike[str] | None = None,
        skip_verify: bool = False,
    ) -> None:
        """Switch TLS on or off; also off, it is used where the server or its URL asks for it.

        Args:
            enable: whether a server without TLS is refused.
            ca_file: PEM file of the certificates that we trust; None: those of the system.
            skip_verify: take any certificate: safe from listeners, not from impostors.

        Raises:
            ValueError: *ca_file* is not what it should be.
        """
        self._options.set_tls(enable, ca_file, skip_verify)

    @staticmethod
    def nkey_generate_user_seed() -> str:
        """Return a new nkey seed for a user, ``SU...``. It needs ``natsev[nkeys]``."""
        return credentials.new_user_seed()

    @staticmethod
    def nkey_public_from_seed(seed: str | bytes) -> str:
        """Return the public key, ``U...``, of a user's nkey seed. It needs ``natsev[nkeys]``.

        Raises:
            TypeError, ValueError: it is no seed of a user.
        """
        return credentials.public_key(options.seed('seed', seed))

    # Options that can change.

    def connect_timeout(self, ms: float | None = None) -> float:
        """Return, and with *ms* set, how long a connection may take to stand."""
        return self._option('connect_timeout', ms)

    def ping_interval(self, ms: float | None = None) -> float:
        """Return, and with *ms* set, the time between pings of ours; 0 switches them off."""
        return self._option('ping_interval', ms)

    def max_pings_outstanding(self, n: int | None = None) -> int:
        """Return, and with *n* set, how many unanswered pings make a connection stale."""
        return self._option('max_pings_outstanding', n)

    def priority(self, n: int | None = None) -> int:
        """Return, and with *n* set, the libev priority of the connection's watchers, -2 to 2."""
        return self._option('priority', n)

    def keepalive(self, seconds: int | None = None) -> int | None:
        """Return, and with *seconds* set, the idle time before TCP keep-alive probes.

        It holds from the next connection on.
        """
        return self._option('keepalive', seconds)

    def _option(self, name: str, value: _T | None) -> _T:
        if value is not None:
            self._options.set(name, value)
            self._options_changed()
        return cast(_T, getattr(self._options, name))

    # Callbacks: without an argument each returns the present one, with one it sets it.

    def on_connect(self, callback: AnyCallback | None = _UNSET) -> AnyCallback | None:
        """``callback()``: the first connection stands, and again after a later ``connect()``."""
        return self._callback('on_connect', callback)

    def on_disconnect(self, callback: AnyCallback | None = _UNSET) -> AnyCallback | None:
        """``callback(err)``: the connection was lost, or (err None) closed as asked."""
        return self._callback('on_disconnect', callback)

    def on_reconnect(self, callback: AnyCallback | None = _UNSET) -> AnyCallback | None:
        """``callback()``: the connection stands again."""
        return self._callback('on_reconnect', callback)

    def on_error(self, callback: AnyCallback | None = _UNSET) -> AnyCallback | None:
        """``callback(err)``: an error that belongs to no call. Without one they are logged."""
        return self._callback('on_error', callback)

    def on_lame_duck(self, callback: AnyCallback | None = _UNSET) -> AnyCallback | None:
        """``callback()``: the server is about to shut down."""
        return self._callback('on_lame_duck', callback)

    def on_slow_consumer(self, callback: AnyCallback | None = _UNSET) -> AnyCallback | None:
        """``callback(pending_bytes)``: see ``slow_consumer``."""
        return self._callback('on_slow_consumer', callback)

    def on_exception(self, callback: AnyCallback | None = _UNSET) -> AnyCallback | None:
        """``callback(exc)``: one of the user's callbacks raised; it has been logged."""
        return self._callback('on_exception', callback)

    def on_close(self, callback: AnyCallback | None = _UNSET) -> AnyCallback | None:
        """``callback()``: the client is closed and will not connect again by itself."""
        return self._callback('on_close', callback)

    def on_discovered_servers(self, callback: AnyCallback | None = _UNSET) -> AnyCallback | None:
        """``callback(urls)``: a server told about others."""
        return self._callback('on_discovered_servers', callback)

    def _callback(self, name: str, callback: AnyCallback | None) -> AnyCallback | None:
        if callback is not _UNSET:
            self._options.set_callback(name, callback)
        return self._options.callbacks.get(name)

    def emit(self, name: str, *args: Any) -> None:
        """Call the user's callback *name*, if there is one, with as many of *args* as it takes."""
        callback = self._options.callbacks.get(name)
        if callback is not None:
            self.run_callback(callback, *args[: arity(callback, len(args))])

    def report(self, err: NatsError) -> None:
        """Hand *err* to ``on_error``, or log it where there is none."""
        if 'on_error' in self._options.callbacks:
            self.emit('on_error', err)
        else:
            _log.error('%s', err)

    def run_callback(self, callback: AnyCallback, *args: Any) -> None:
        """Call a user's callback; what it raises is logged and handed to ``on_exception``.

        KeyboardInterrupt and its like leave the loop in its next turn, when what we are in the
        middle of has been brought to its end.
        """
        try:
            callback(*args)
        except Exception as exc:
            self.callback_raised(exc)
        except BaseException as exc:
            self.port.call_soon(_raise, exc)

    def callback_raised(self, exc: Exception) -> None:
        """Log what a user's callback raised, and hand it to ``on_exception``."""
        _log.error('a callback raised %s', type(exc).__name__, exc_info=exc)
        callback = self._options.callbacks.get('on_exception')
        if callback is not None:
            try:
                callback(*(exc,)[: arity(callback, 1)])
            except Exception as again:
                _log.error('on_exception raised %s', type(again).__name__, exc_info=again)
            except BaseException as again:
                self.port.call_soon(_raise, again)


def _raise(exc: BaseException) -> None:
    raise exc
