"""Where the bytes of a get go.

Nothing is trusted before the digest is right: a file is written under a temporary name and renamed
when all is verified. A sink that can take back what it was given (``restartable``) lets a get start
over when the object is replaced under it.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import IO, Any, NamedTuple, Protocol

from ..errors import ObjectStoreError
from ..nuid import next_nuid


class Part(NamedTuple):
    """The part of an object that is wanted; a length of None: to the end."""

    offset: int = 0
    length: int | None = None


WHOLE = Part()
# Bytes written before the disk is made to begin with them, and before more would be too many. So a
# slow disk slows the requests, instead of blocking the loop in a write that finds no room.
_FLUSH, _MOST_UNFLUSHED = 32 * 1024 * 1024, 64 * 1024 * 1024
_PART = re.compile(r'\.[0-9A-Za-z]{22}\.part')
_datasync = getattr(os, 'fdatasync', os.fsync)  # macOS has none


class Sink(Protocol):
    """Takes the bytes of an object in order."""

    @property
    def restartable(self) -> bool:
        """Can everything be taken back?"""

    @property
    def full(self) -> bool:
        """Does so much wait for a disk that no more should come?"""

    def begin(self) -> None:
        """Get ready for the first byte, or take back everything."""

    def write(self, chunk: bytes) -> None:
        """Take *chunk*."""

    def flush(self) -> Callable[[], None] | None:
        """Return what is to be done in a thread meanwhile; asked after each write."""

    def settle(self) -> Callable[[], None] | None:
        """Return what is left to do now that all is verified, if that may block."""

    def result(self) -> Any:
        """Return what the user gets, after ``settle``."""

    def discard(self) -> None:
        """Leave nothing behind; does nothing after ``result``."""


def sink_for(into: Any) -> Sink:
    """Return the sink for the option ``into`` of ``get``.

    Raises:
        TypeError: it is neither None, a Path nor a writable binary file.
    """
    if into is None:
        return Memory()
    if isinstance(into, Path):
        return PathFile(into)
    if callable(getattr(into, 'write', None)) and not hasattr(into, 'encoding'):
        return File(into)
    raise TypeError(f'into must be a Path or a binary file, not {type(into).__name__}')


class _Prompt:
    """What the sinks without a disk of ours have in common."""

    @property
    def full(self) -> bool:
        return False

    def flush(self) -> Callable[[], None] | None:
        return None

    def settle(self) -> None:
        return None


class Memory(_Prompt):
    """Gathers bytes."""

    restartable = True

    def __init__(self) -> None:
        self._buffer = BytesIO()

    def begin(self) -> None:
        if self._buffer.tell():
            self._buffer = BytesIO()

    def write(self, chunk: bytes) -> None:
        self._buffer.write(chunk)

    def result(self) -> bytes:
        # BytesIO gives its own buffer away: no second copy of a large object.
        return self._buffer.getvalue()

    def discard(self) -> None:
        self._buffer.close()


class File(_Prompt):
    """A binary file that the user opened; left open."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._written = 0

    @property
    def restartable(self) -> bool:
        return not self._written

    def begin(self) -> None:
        pass

    def write(self, chunk: bytes) -> None:
        rest = memoryview(chunk)
        while rest:
            written = self._file.write(rest)
            if written is None:
                raise BlockingIOError('a file that is written must not be non-blocking')
            self._written += written
            rest = rest[written:]

    def result(self) -> int:
        return self._written

    def discard(self) -> None:
        pass


class Unflushed:
    """Bytes of a file, some of which wait for its disk.

    Attributes:
        written: all of them.
    """

    def __init__(self, written: int = 0) -> None:
        self.written = self._flushed = written

    @property
    def full(self) -> bool:
        """Do so many wait that no more should come?"""
        return self.written - self._flushed >= _MOST_UNFLUSHED

    def flush(self, file: int) -> Callable[[], None] | None:
        """Return what is to be done in a thread meanwhile, where it is time for that."""
        if self.written - self._flushed < _FLUSH:
            return None
        written, file = self.written, os.dup(file)

        def work() -> None:
            try:
                _datasync(file)
            finally:
                os.close(file)
            self._flushed = written

        return work


class PathFile:
    """A file by its path, which changes at once and only to a whole, verified object."""

    restartable = True

    def __init__(self, path: Path) -> None:
        self._path = path
        self._target = path
        self._temporary: Path | None = None
        self._file: int | None = None
        self._bytes = Unflushed()

    @property
    def full(self) -> bool:
        return self._bytes.full

    def begin(self) -> None:
        if self._file is not None:
            os.ftruncate(self._file, 0)
            os.lseek(self._file, 0, os.SEEK_SET)
            self._bytes = Unflushed()
            return
        temporary = self._resolve().with_name(f'.{next_nuid()}.part')
        self._open(temporary, os.O_WRONLY | os.O_EXCL)

    def _resolve(self) -> Path:
        self._target = Path(os.path.realpath(self._path))
        if self._target.is_dir():
            raise IsADirectoryError(f'{self._path} is a directory')
        if self._target.exists() and not self._target.is_file():
            # What is renamed to it would take its place.
            raise FileExistsError(f'{self._path} is no regular file: open it, and pass that')
        return self._target

    def _open(self, temporary: Path, flags: int) -> None:
        """Open the file to be renamed. Who cannot read what it replaces cannot read it either."""
        mode = 0o666
        if self._target.exists():
            mode &= self._target.stat().st_mode | 0o600
        flags |= os.O_CREAT | os.O_NOFOLLOW | getattr(os, 'O_CLOEXEC', 0)
        try:
            self._file = os.open(temporary, flags, mode)
        except OSError as exc:
            exc.filename = str(self._path)  # the user knows no other
            raise
        self._temporary = temporary

    def write(self, chunk: bytes) -> None:
        assert self._file is not None
        rest = memoryview(chunk)
        while rest:
            rest = rest[os.write(self._file, rest) :]
        self._bytes.written += len(chunk)

    def flush(self) -> Callable[[], None] | None:
        assert self._file is not None
        return self._bytes.flush(self._file)

    def settle(self) -> Callable[[], None]:
        return self._rename

    def _rename(self) -> None:
        """Make it last, then make it visible. Runs in a thread: it may take seconds."""
        assert self._file is not None
        assert self._temporary is not None
        os.fsync(self._file)
        if self._target.exists():
            # Not setuid: that was said of what was there, by who had written that.
            os.fchmod(self._file, self._target.stat().st_mode & 0o777)
        directory = os.open(self._target.parent, os.O_RDONLY)
        try:
            self._temporary.replace(self._target)
            self._temporary = None
            os.fsync(directory)
        finally:
            os.close(directory)

    def result(self) -> int:
        self._close()
        return self._bytes.written

    def discard(self) -> None:
        self._close()
        temporary, self._temporary = self._temporary, None
        if temporary is not None:
            temporary.unlink(missing_ok=True)

    def _close(self) -> None:
        file, self._file = self._file, None
        if file is not None:
            os.close(file)


def is_part(name: str) -> bool:
    """Is *name* what a file is called while it comes? Of a process that was killed it stays."""
    return _PART.fullmatch(name) is not None


class Handed(_Prompt):
    """Hands each chunk to a callback of the user.

    Args:
        hand: calls the user's ``on_chunk(chunk)``.
    """

    def __init__(self, hand: Callable[[bytes], None]) -> None:
        self._hand = hand
        self.restartable = True

    def begin(self) -> None:
        pass

    def write(self, chunk: bytes) -> None:
        if chunk:
            self.restartable = False
            self._hand(chunk)

    def result(self) -> None:
        return None

    def discard(self) -> None:
        pass


def write_error(exc: Exception) -> ObjectStoreError:
    """Return the error for what a file raised."""
    err = ObjectStoreError(f'cannot write: {exc}')
    err.__cause__ = exc
    return err
