"""Files that one transfer at a time writes, of whatever process."""

from __future__ import annotations

import errno
import fcntl
import os
import stat
from pathlib import Path


def open_locked(path: Path) -> int:
    """Open *path* to read and write, for one transfer until it closes it.

    It is made where it is not there.

    Raises:
        BlockingIOError: another transfer has it, in this process or another one.
        OSError: it cannot be opened, or is no regular file.
    """
    flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | getattr(os, 'O_CLOEXEC', 0)
    while True:
        file = os.open(path, flags, 0o666)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if not stat.S_ISREG(os.fstat(file).st_mode):
                raise FileExistsError(f'{path} is no regular file')
            if _is(file, path):
                return file
        except BlockingIOError:
            os.close(file)
            text = 'another transfer is under way'
            raise BlockingIOError(errno.EAGAIN, text, str(path)) from None
        except OSError:
            os.close(file)
            raise
        os.close(file)


def close_locked(file: int) -> None:
    """Close what ``open_locked`` returned, and leave it to others.

    Also where a process that was forked meanwhile still has it.
    """
    try:
        fcntl.flock(file, fcntl.LOCK_UN)
    finally:
        os.close(file)


def _is(file: int, path: Path) -> bool:
    """Is *file* still what stands at the path? Who had it before may have renamed it."""
    try:
        return os.path.samestat(os.fstat(file), os.lstat(path))
    except FileNotFoundError:
        return False
