"""Who we are, to a server: the fields of CONNECT that authenticate, made anew for each connect."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from . import credentials
from .address import Address
from .credentials import Secret
from .errors import AuthenticationError, NatsError
from .options import Options

# What a user's auth_callback may return: our options' names, and CONNECT's own.
_NAMES = {
    'user': 'user',
    'password': 'pass',
    'pass_': 'pass',
    'pass': 'pass',
    'token': 'auth_token',
    'auth_token': 'auth_token',
    'jwt': 'jwt',
    'nkey': 'nkey',
    'sig': 'sig',
}


def connect_fields(
    options: Options, address: Address, nonce: str | None, raised: Callable[[Exception], None]
) -> dict[str, Any]:
    """Return the authentication fields of CONNECT for this server.

    Credentials in the server's URL come before those of the options, and what ``auth_callback``
    returns before both. A credentials file is read each time: it may have been renewed.

    Args:
        options: the client's options.
        address: the server that is asked to accept us.
        nonce: what the server wants signed, or None.
        raised: told of what ``auth_callback`` raised.

    Raises:
        AuthenticationError: the credentials cannot be had; ``reason`` is ``'credentials'``.
    """
    if options.auth_callback is not None:
        return _asked(options.auth_callback, nonce, raised)
    if address.user is not None:
        if address.password is None:
            return {'auth_token': address.user.reveal()}
        return {'user': address.user.reveal(), 'pass': address.password.reveal()}
    try:
        return _of_options(options, nonce)
    except (NatsError, ValueError) as err:
        raise AuthenticationError(str(err), 'credentials') from err


def _of_options(options: Options, nonce: str | None) -> dict[str, Any]:
    fields: dict[str, Any] = {}
    if options.user is not None:
        fields['user'] = options.user
        fields['pass'] = _text(options.password)
    if options.token is not None:
        fields['auth_token'] = options.token.reveal()
    jwt, seed = options.jwt, options.nkey_seed
    if options.creds_file is not None:
        jwt, seed = credentials.read_creds(options.creds_file)
    if jwt is not None:
        fields['jwt'] = jwt.reveal()
    if seed is not None:
        fields |= _signed(seed, nonce, with_key=jwt is None)
    return fields


def _signed(seed: Secret, nonce: str | None, with_key: bool) -> dict[str, str]:
    if not nonce:  # the server does not ask for it
        return {}
    fields = {'sig': credentials.sign(seed, nonce)}
    if with_key:  # a JWT names its key itself
        fields['nkey'] = credentials.public_key(seed)
    return fields


def _asked(
    callback: Callable[[str], dict[str, Any]],
    nonce: str | None,
    raised: Callable[[Exception], None],
) -> dict[str, Any]:
    try:
        answer = callback(nonce or '')
    except Exception as exc:
        raised(exc)
        raise AuthenticationError(
            f'auth_callback raised {type(exc).__name__}', 'credentials'
        ) from exc
    try:
        return _fields_of_answer(answer, nonce)
    except (NatsError, TypeError, ValueError) as err:
        raise AuthenticationError(f'auth_callback: {err}', 'credentials') from err


def _fields_of_answer(answer: object, nonce: str | None) -> dict[str, Any]:
    if not isinstance(answer, dict):
        raise TypeError(f'it must return a dict, not {type(answer).__name__}')
    fields: dict[str, Any] = {}
    for name, value in answer.items():
        if value is None or name in ('nkey_seed', 'creds_file'):
            continue
        if name not in _NAMES:
            raise ValueError(f'it returned the unknown key {name!r}')
        if name == 'sig' and isinstance(value, bytes):
            value = credentials.encode_signature(value)
        if not isinstance(value, str):
            raise TypeError(f'{name} must be str, not {type(value).__name__}')
        fields[_NAMES[name]] = value
    seed = answer.get('nkey_seed')
    if answer.get('creds_file') is not None:
        creds = credentials.read_creds(answer['creds_file'])
        fields['jwt'], seed = creds.jwt.reveal(), creds.seed.reveal()
    if seed is not None:
        secret = Secret(seed.decode() if isinstance(seed, bytes) else str(seed))
        credentials.check_seed(secret)
        fields |= _signed(secret, nonce, with_key='jwt' not in fields)
    return fields


def _text(secret: Secret | None) -> str:
    return '' if secret is None else secret.reveal()
