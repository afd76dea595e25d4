"""What the commands about object stores have in common."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO, Any

from .. import ObjectStore, ObjectStoreError
from ..objectstore.codecs.encryption import Encryption
from . import local
from .command import Run
from .failures import NotFound
from .output import printable
from .session import Session

PIPED = Path('-')
_LONGEST_LABEL = 32


@contextmanager
def store_session(run: Run) -> Iterator[Session]:
    """Connect to the server named, or to the user's own."""
    with ExitStack() as stack:
        options: dict[str, Any] = {}
        if not run.settings.server:
            options['servers'] = [stack.enter_context(local.server_url())]
        yield stack.enter_context(run.session(**options))


@contextmanager
def opened(
    run: Run, bucket: str, encryption: Encryption | None = None
) -> Iterator[tuple[Session, ObjectStore]]:
    """Do the same, and take a bucket; what is encrypted there *encryption* can read."""
    with store_session(run) as session:
        yield session, ObjectStore(js=session.js, bucket=bucket, codec=encryption)


def written_as_it_comes(path: Path) -> bool:
    """Is *path* standard output, a device or a pipe, which nothing can be renamed to?"""
    return path == PIPED or (path.exists() and not (path.is_file() or path.is_dir()))


@contextmanager
def target(path: Path) -> Iterator[Path | IO[bytes]]:
    """Give what to write to: *path*, or an open file where that is written as it comes."""
    if path == PIPED:
        yield sys.stdout.buffer
    elif written_as_it_comes(path):
        with path.open('wb', buffering=0) as file:
            yield file
    else:
        yield path


@contextmanager
def to_stdout() -> Iterator[None]:
    """Have a reader of our output that went away end the command as such."""
    try:
        yield
    except ObjectStoreError as err:
        if isinstance(err.__cause__, BrokenPipeError):
            raise err.__cause__ from None
        raise


def absent(bucket: str, name: str, version: int | None = None) -> NotFound:
    """Return the error that says that there is no such object, or no such version of it."""
    what = f'object {name!r}' if version is None else f'version {version} of {name!r}'
    return NotFound(f'there is no {what} in the bucket {bucket!r}')


def label(name: str) -> str:
    """Return *name*, short enough to stand beside a bar."""
    name = printable(name)
    return name if len(name) <= _LONGEST_LABEL else f'{name[: _LONGEST_LABEL - 1]}…'
