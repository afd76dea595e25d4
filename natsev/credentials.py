"""Who we are, as secrets: nkey seeds, ``.creds`` files, and a wrapper that does not show them.

Protocol: https://docs.nats.io/running-a-nats-service/configuration/securing_nats/auth_intro/nkey_auth
"""

from __future__ import annotations

import base64
import binascii
import os
import re
from pathlib import Path
from types import ModuleType
from typing import NamedTuple

from .errors import MissingExtraError

# A seed is 2 bytes of prefix, 32 of key and a checksum, in base 32; 'SU' makes it a user's.
_SEED_BYTES = 36
_USER = 'SU'
# A .creds file holds two blocks; what stands around them is for people.
_BLOCK = re.compile(
    r'^[ \t]*-{3,}[ \t]*BEGIN ([A-Z ]+?)[ \t]*-{3,}\s+(\S+)\s+'
    r'-{3,}[ \t]*END \1[ \t]*-{3,}[ \t\r]*$',
    re.MULTILINE,
)
# More is no credentials file, whatever it is.
_MOST_BYTES = 1024 * 1024


class Secret:
    """A text that no repr, log or traceback shows; ``reveal()`` gives it."""

    __slots__ = ('_text',)

    def __init__(self, text: str) -> None:
        self._text = text

    def reveal(self) -> str:
        """Return the text."""
        return self._text

    def __repr__(self) -> str:
        return '<secret>'

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and self._text == other._text

    def __hash__(self) -> int:
        return hash(self._text)


class Creds(NamedTuple):
    """What a ``.creds`` file holds."""

    jwt: Secret
    seed: Secret


def parse_creds(text: str) -> Creds:
    """Return the user JWT and the nkey seed of the text of a ``.creds`` file.

    Raises:
        MissingExtraError: ``nkeys`` is not installed.
        ValueError: they are not there. The message does not show the text.
    """
    blocks = {name: Secret(content) for name, content in _BLOCK.findall(text)}
    try:
        creds = Creds(blocks['NATS USER JWT'], blocks['USER NKEY SEED'])
    except KeyError as err:
        raise ValueError(f'no block {err.args[0]!r}') from None
    check_seed(creds.seed)
    return creds


def read_creds(path: str | os.PathLike[str]) -> Creds:
    """Read a ``.creds`` file.

    Raises:
        MissingExtraError: ``nkeys`` is not installed.
        ValueError: it cannot be read, or is no such file; the message names the file.
    """
    try:
        with Path(path).open('rb') as file:
            return parse_creds(file.read(_MOST_BYTES).decode())
    except OSError as err:
        raise ValueError(f'credentials file {path}: {(err.strerror or str(err)).lower()}') from None
    except UnicodeDecodeError:
        raise ValueError(f'credentials file {path}: not a text') from None
    except ValueError as err:
        raise ValueError(f'credentials file {path}: {err}') from None


def check_seed(seed: Secret) -> None:
    """Check that *seed* is a user's nkey seed.

    Raises:
        MissingExtraError: ``nkeys`` is not installed.
        ValueError: it is not. The message does not show it.
    """
    nkeys = _nkeys()
    text = seed.reveal()
    if not text.startswith(_USER):
        raise ValueError("a user's nkey seed starts with 'SU'")
    try:
        raw = base64.b32decode(text + '=' * (-len(text) % 8))
    except (binascii.Error, ValueError):
        raise ValueError('an nkey seed is in base 32') from None
    # nkeys itself does not look at the checksum, which is there to find typing errors.
    if len(raw) != _SEED_BYTES or nkeys.crc16_checksum(raw[:-2]) != raw[-2:]:
        raise ValueError('the nkey seed is damaged: its checksum does not match')


def sign(seed: Secret, nonce: str) -> str:
    """Return the signature of the server's *nonce*, as CONNECT wants it."""
    pair = _nkeys().from_seed(seed.reveal().encode())
    try:
        return encode_signature(pair.sign(nonce.encode()))
    finally:
        pair.wipe()


def encode_signature(signature: bytes) -> str:
    """Return *signature* in URL-safe base 64 without padding."""
    return base64.urlsafe_b64encode(signature).decode().rstrip('=')


def public_key(seed: Secret) -> str:
    """Return the public key, ``U...``, of a user's *seed*."""
    pair = _nkeys().from_seed(seed.reveal().encode())
    key: bytes = pair.public_key
    pair.wipe()
    return key.decode()


def new_user_seed() -> str:
    """Return a new seed for a user, ``SU...``."""
    nkeys = _nkeys()
    seed: bytes = nkeys.encode_seed(os.urandom(32), nkeys.PREFIX_BYTE_USER)
    return seed.decode()


def _nkeys() -> ModuleType:
    try:
        import nkeys  # type: ignore[import-untyped]
    except ImportError:
        raise MissingExtraError('nkeys', 'authentication by nkey') from None
    return nkeys  # type: ignore[no-any-return]
