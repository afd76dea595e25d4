"""An operator, an account and users of our own: nkeys and JWTs for servers in operator mode."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import time
from typing import Any

import nkeys


class Identity:
    """An nkey pair that signs the JWTs of others."""

    def __init__(self, prefix: int) -> None:
        self.seed = nkeys.encode_seed(os.urandom(32), prefix).decode()
        self._pair = nkeys.from_seed(self.seed.encode())
        self.public = self._pair.public_key.decode()

    def jwt(self, subject: Identity, kind: str, **claims: Any) -> str:
        """Return a JWT about *subject*, signed by this one."""
        expires = claims.pop('exp', None)
        body: dict[str, Any] = {
            'iat': int(time.time()),
            'iss': self.public,
            'sub': subject.public,
            'name': kind,
            'nats': {'type': kind, 'version': 2, **claims},
        }
        if expires is not None:
            body['exp'] = expires
        digest = hashlib.sha256(json.dumps(body).encode()).digest()
        body['jti'] = base64.b32encode(digest).decode().rstrip('=')
        head = _part({'typ': 'JWT', 'alg': 'ed25519-nkey'})
        signed = f'{head}.{_part(body)}'
        return f'{signed}.{_base64(self._pair.sign(signed.encode()))}'


class Operator:
    """An operator with one account, and a server configuration that knows both."""

    def __init__(self) -> None:
        self._operator = Identity(nkeys.PREFIX_BYTE_OPERATOR)
        self._account = Identity(nkeys.PREFIX_BYTE_ACCOUNT)

    def config(self) -> dict[str, Any]:
        unlimited = {'subs': -1, 'conn': -1, 'leaf': -1, 'data': -1, 'payload': -1}
        account = self._operator.jwt(self._account, 'account', limits=unlimited)
        return {
            'operator': self._operator.jwt(self._operator, 'operator'),
            'resolver': 'MEMORY',
            'resolver_preload': {self._account.public: account},
        }

    def user(self, **claims: Any) -> tuple[str, str]:
        """Return JWT and seed of a new user."""
        user = Identity(nkeys.PREFIX_BYTE_USER)
        limits = {'subs': -1, 'data': -1, 'payload': -1, 'pub': {}, 'sub': {}}
        return self._account.jwt(user, 'user', **limits, **claims), user.seed


def creds(jwt: str, seed: str) -> str:
    """Return the text of a ``.creds`` file."""
    return f"""-----BEGIN NATS USER JWT-----
{jwt}
------END NATS USER JWT------

************************* IMPORTANT *************************
NKEY Seed printed below can be used to sign and prove identity.

-----BEGIN USER NKEY SEED-----
{seed}
------END USER NKEY SEED------

*************************************************************
"""


def _part(value: Any) -> str:
    return _base64(json.dumps(value, separators=(',', ':')).encode())


def _base64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip('=')
