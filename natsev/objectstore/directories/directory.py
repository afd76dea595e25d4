"""A directory as a set of named files; no name leads out of it."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from ...nuid import next_nuid

_BLOCK = 1024 * 1024


class UnsafeName(ValueError):
    """A name that is no place inside the directory."""


@dataclass
class LocalFile:
    """A file of the directory.

    Attributes:
        name: its path below the directory, with slashes.
        path: where it is.
        size: in bytes.
        mtime: when it was changed, in nanoseconds.
        mode: its permissions.
        symlink: what it leads to, if it is a symbolic link.
        digest: SHA-256 of its bytes.
    """

    name: str
    path: Path
    size: int
    mtime: int
    mode: int
    symlink: str | None = None
    digest: bytes = b''


def files_of(
    directory: Path,
    failed: Callable[[str, OSError], None],
    skipped: Callable[[str, str], None],
) -> Iterator[LocalFile]:
    """Give all files below *directory*; links to directories are links, not directories.

    Args:
        directory: where.
        failed: told of what cannot be looked at.
        skipped: told of what is neither file nor link, or has no name in UTF-8.
    """
    waiting = [directory]
    while waiting:
        where = waiting.pop()
        try:
            with os.scandir(where) as entries:
                found = sorted(entries, key=lambda entry: entry.name)
        except OSError as exc:
            failed(_shown(directory, where), exc)
            continue
        for entry in found:
            path = Path(entry.path)
            name = path.relative_to(directory).as_posix()
            if not _is_text(name):
                skipped(_shown(directory, path), 'its name is not UTF-8')
            elif entry.is_dir(follow_symlinks=False):
                waiting.append(path)
            else:
                one = _file(name, path, failed, skipped)
                if one is not None:
                    yield one


def _file(
    name: str,
    path: Path,
    failed: Callable[[str, OSError], None],
    skipped: Callable[[str, str], None],
) -> LocalFile | None:
    try:
        info = path.lstat()
        if stat.S_ISLNK(info.st_mode):
            target = os.readlink(path)
            if not _is_text(target):
                skipped(name, 'what it leads to is not UTF-8')
                return None
            return LocalFile(name, path, 0, info.st_mtime_ns, 0o777, target)
    except OSError as exc:
        failed(name, exc)
        return None
    if not stat.S_ISREG(info.st_mode):
        skipped(name, 'it is not a file')
        return None
    return LocalFile(name, path, info.st_size, info.st_mtime_ns, stat.S_IMODE(info.st_mode))


def digest_of(path: Path, stopped: Callable[[], bool]) -> bytes:
    """Return the SHA-256 of a file.

    Raises:
        OSError: it cannot be read, or it is a symbolic link.
    """
    digest = hashlib.sha256()
    with open(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK), 'rb') as file:
        while not stopped() and (block := file.read(_BLOCK)):
            digest.update(block)
    return digest.digest()


def _is_text(name: str) -> bool:
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def _shown(directory: Path, path: Path) -> str:
    return str(path.relative_to(directory)).encode(errors='replace').decode()


def place(directory: Path, name: str) -> Path:
    """Return where the file *name* belongs in *directory*, touching nothing.

    Raises:
        UnsafeName: nowhere.
    """
    if '\0' in name or not _is_text(name):
        raise UnsafeName('it is no name of a file')
    parts = name.split('/')
    if any(part in ('', '.', '..') for part in parts):
        raise UnsafeName('it is no path inside the directory')
    return directory.joinpath(*parts)


def look_at(directory: Path, path: Path) -> os.stat_result | None:
    """Look at what is at *path*, None where there is nothing, without following any link.

    Raises:
        UnsafeName: the way there leads through a symbolic link.
        OSError: it cannot be looked at.
    """
    for parent in _parents(directory, path):
        try:
            info = parent.lstat()
        except FileNotFoundError:
            return None
        if stat.S_ISLNK(info.st_mode):
            raise UnsafeName(f'{parent.name!r} is a symbolic link')
    try:
        return path.lstat()
    except FileNotFoundError:
        return None


def make_way(directory: Path, path: Path) -> Path:
    """Make the directories above *path*.

    Returns:
        Where to write what is to be at *path*: beside it where that is a symbolic link, which is
        not to be written through, and stays until all has come.

    Raises:
        UnsafeName: the way there leads through a symbolic link.
        OSError: they cannot be made.
    """
    info = look_at(directory, path)
    for parent in _parents(directory, path):
        parent.mkdir(exist_ok=True)
    is_link = info is not None and stat.S_ISLNK(info.st_mode)
    return path.with_name(f'.{next_nuid()}.part') if is_link else path


def _parents(directory: Path, path: Path) -> list[Path]:
    """Return the directories between *directory* and *path*, the outermost first."""
    found = list(path.relative_to(directory).parents)[-2::-1]
    return [directory / one for one in found]


def make_link(directory: Path, path: Path, target: str) -> None:
    """Make a symbolic link that leads nowhere outside *directory*.

    Raises:
        UnsafeName: it would lead out.
        OSError: it cannot be made.
    """
    check_link(directory, path, target)
    make_way(directory, path)
    path.unlink(missing_ok=True)
    path.symlink_to(target)


def check_link(directory: Path, path: Path, target: str) -> None:
    """See to it that a link at *path* leads nowhere outside *directory*.

    Raises:
        UnsafeName: it would, or nobody can tell.
    """
    if not target or target.startswith('/') or '\0' in target or not _is_text(target):
        raise UnsafeName('it is a symbolic link that leads out of the directory')
    depth = len(path.relative_to(directory).parts) - 1
    for part in target.split('/'):
        depth += -1 if part == '..' else part not in ('', '.')
        if depth < 0:
            raise UnsafeName('it is a symbolic link that leads out of the directory')
    # Through another link, '..' might be elsewhere.
    if '..' in target.split('/')[1:] and not _climbs_first(target):
        raise UnsafeName('it is a symbolic link whose way cannot be told')


def _climbs_first(target: str) -> bool:
    """Do all of its '..' come first?"""
    parts = [part for part in target.split('/') if part not in ('', '.')]
    first = next((at for at, part in enumerate(parts) if part != '..'), len(parts))
    return '..' not in parts[first:]


def remove(directory: Path, path: Path) -> None:
    """Remove a file, and the directories that are empty then."""
    path.unlink()
    for parent in reversed(_parents(directory, path)):
        if any(parent.iterdir()):
            return
        parent.rmdir()
