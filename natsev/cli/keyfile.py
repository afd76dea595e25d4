"""The keys that objects are encrypted with: from a file or the environment, and never shown."""

from __future__ import annotations

import base64
import binascii
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from ..objectstore.codecs.encryption import Encryption

_VARIABLE = 'NATSEV_KEYS'
_ID = 'key'


def keys_option(function: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command the option ``--key-file``; it is handed an ``encryption``, or None."""
    option = click.option(
        '--key-file',
        'encryption',
        type=click.Path(path_type=Path, dir_okay=False, exists=True),
        envvar='NATSEV_KEY_FILE',
        show_envvar=True,
        callback=_encryption,
        help=f'Keys of encrypted objects; or they themselves in {_VARIABLE}.',
    )
    return option(function)


def _encryption(ctx: click.Context, param: click.Parameter, file: Path | None) -> Encryption | None:
    if file is not None:
        return parse(file.read_text(errors='replace'), str(file))
    if _VARIABLE in os.environ:
        return parse(os.environ[_VARIABLE].replace(',', '\n'), _VARIABLE)
    return None


def parse(text: str, where: str) -> Encryption:
    """Return what encrypts with the first key of *text*, and decrypts with all.

    Raises:
        click.UsageError: a line is no key.
        MissingExtraError: the package cryptography is not installed.
    """
    keys: dict[str, bytes] = {}
    for number, line in enumerate(text.splitlines(), 1):
        if line.strip() and not line.startswith('#'):
            name, _, key = line.rpartition(':')
            try:
                keys[name.strip() or _ID] = _key(key.strip())
            except ValueError:  # which would show the key
                raise click.UsageError(
                    f'{where}, line {number}: not ID:KEY with 32 bytes in base64 or hexadecimal'
                ) from None
    if not keys:
        raise click.UsageError(f'{where}: there is no key')
    return Encryption(keys, next(iter(keys)))


def _key(text: str) -> bytes:
    key = bytes.fromhex(text) if len(text) == 64 else base64.b64decode(text, validate=True)
    if len(key) != 32:
        raise binascii.Error
    return key


def write_new(file: Path, name: str) -> None:
    """Make a key, and a file with it that only this user can read.

    Raises:
        FileExistsError: the file is there.
    """
    line = f'{name}:{base64.b64encode(os.urandom(32)).decode()}\n'
    with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), 'w') as out:
        out.write(line)
