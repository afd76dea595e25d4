"""The server of object commands that name none: its store is in the user's data directory.

One process runs it at a time and holds the lock ``owner``; others that come meanwhile connect to it
as guests and hold a share of the lock ``guests``, which the owner waits for before it stops the
server. A token, readable by the user only, keeps other users of the machine out.
"""

from __future__ import annotations

import fcntl
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import platformdirs

from ..server import Server
from .output import note

_POLL_SECONDS = 0.02


def directory() -> Path:
    """Return where the store is; it is made if need be, for this user only."""
    path = Path(platformdirs.user_data_dir('natsev', appauthor=False)) / 'server'
    path.mkdir(parents=True, exist_ok=True, mode=0o700)
    return path


@contextmanager
def server_url() -> Iterator[str]:
    """Have the server run, by this process or another, and give its URL."""
    while True:
        with _open('owner') as owner:
            if _locked(owner, fcntl.LOCK_EX):
                with _owned(host='127.0.0.1', port=0) as (server, token):
                    yield f'nats://{token}@127.0.0.1:{server.port}'
                return
        with _open('guests') as guests:
            fcntl.flock(guests, fcntl.LOCK_SH)  # waits while the owner is stopping its server
            url = _url_of_owner()
            if url is not None:
                yield url
                return
        time.sleep(_POLL_SECONDS)  # its server is starting, or it has just gone


@contextmanager
def own_server(**options: Any) -> Iterator[Server]:
    """Run the server in this process, open to all who reach it.

    Raises:
        OSError: another process runs it.
    """
    with _open('owner') as owner:
        if not _locked(owner, fcntl.LOCK_EX):
            raise OSError('it runs already; for another one say --store-dir or --temporary')
        with _owned(with_token=False, **options) as (server, _):
            yield server


@contextmanager
def _owned(*, with_token: bool = True, **options: Any) -> Iterator[tuple[Server, str]]:
    token = secrets.token_hex(16)
    if with_token:
        options['config'] = {'authorization': {'token': token}}
    place = directory() / 'url'
    server = Server(store_dir=directory() / 'store', name='natsev-local', **options)
    # Locked from when no guest is left until the server has stopped: whoever comes then waits.
    with _open('guests') as guests, server:
        try:
            place.touch(mode=0o600)
            userinfo = f'{token}@' if with_token else ''
            place.write_text(f'nats://{userinfo}{server.host}:{server.port}')
            yield server, token
        finally:
            if not _locked(guests, fcntl.LOCK_EX):
                note('waiting for other commands that use this server')
                fcntl.flock(guests, fcntl.LOCK_EX)
            place.unlink()


def _url_of_owner() -> str | None:
    with _open('owner') as owner:
        if _locked(owner, fcntl.LOCK_SH):
            return None
    try:
        return (directory() / 'url').read_text() or None
    except FileNotFoundError:
        return None


def _open(name: str) -> IO[str]:
    return (directory() / f'{name}.lock').open('w')


def _locked(file: IO[str], how: int) -> bool:
    try:
        fcntl.flock(file, how | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
