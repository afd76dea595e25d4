"""Where the bytes of a put come from, cut into chunks.

Every chunk but the last has the full size, however short the reads were. Only one chunk is held at
a time: the size of an object is no matter of memory.
"""

from __future__ import annotations

import io
import os
import stat
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import IO, Any, Protocol

from ..errors import ObjectStoreError

Buffer = bytes | memoryview
_END = object()


class Source(Protocol):
    """Bytes to store.

    Attributes:
        size: how many, where that is known.
    """

    size: int | None

    def open(self) -> None:
        """Get ready; called once, before the first read."""

    def read(self, size: int) -> Buffer | None:
        """Return the next *size* bytes; fewer only at the end, none after it; None: not yet."""

    def rewind(self) -> bool:
        """Begin again with the first byte; False: that cannot be."""

    def close(self) -> None:
        """Let go of what is held; may be called more than once."""


def source_of(data: Any) -> Source:
    """Return the source for what a user gives to ``put``.

    Raises:
        TypeError: *data* is nothing that bytes can be had from.
    """
    if isinstance(data, str):
        return Memory(data.encode())
    if isinstance(data, (bytes, bytearray, memoryview)):
        return Memory(data)
    if isinstance(data, Path):
        return PathFile(data)
    if isinstance(data, io.TextIOBase):
        raise TypeError('data must be a binary file, not a text file')
    if callable(getattr(data, 'read', None)):
        return File(data)
    if isinstance(data, Iterable) and not isinstance(data, Mapping):
        return Pieces(data)
    raise TypeError(
        'data must be bytes-like, str, a Path, a binary file or an iterable of bytes, '
        f'not {type(data).__name__}'
    )


def can_rewind(source: Source) -> bool:
    """Can *source* be read twice, as far as that can be told before it is opened?"""
    return not isinstance(source, (Pieces, Fed))


class Memory:
    """Bytes in memory."""

    def __init__(self, data: bytes | bytearray | memoryview) -> None:
        view = memoryview(data)
        self._view = view if view.format == 'B' and view.ndim == 1 else _flat(view)
        # What nobody can change need not be copied on its way out.
        self._fixed = isinstance(data, bytes)
        self._at = 0
        self.size: int | None = len(self._view)

    def open(self) -> None:
        pass

    def read(self, size: int) -> Buffer:
        piece = self._view[self._at : self._at + size]
        self._at += len(piece)
        return piece if self._fixed else bytes(piece)

    def rewind(self) -> bool:
        self._at = 0
        return True

    def close(self) -> None:
        self._view.release()
        self._view = memoryview(b'')


def _flat(view: memoryview) -> memoryview:
    return view.cast('B') if view.c_contiguous else memoryview(view.tobytes())


class File:
    """A binary file that the user opened: read from where it stands, and left open."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._start: int | None = None
        self.size: int | None = None

    def open(self) -> None:
        seekable = getattr(self._file, 'seekable', None)
        if seekable is not None and seekable():
            self._start = self._file.tell()

    def read(self, size: int) -> bytes:
        piece = self._read(size)
        if len(piece) in (0, size):
            return piece
        pieces = [piece]
        missing = size - len(piece)
        while missing and (piece := self._read(missing)):
            pieces.append(piece)
            missing -= len(piece)
        return b''.join(pieces)

    def _read(self, size: int) -> bytes:
        piece = self._file.read(size)
        if piece is None:
            raise BlockingIOError('a file that is read must not be non-blocking')
        return _checked(piece)

    def rewind(self) -> bool:
        if self._start is None:
            return False
        self._file.seek(self._start)
        return True

    def close(self) -> None:
        pass


class PathFile:
    """A file by its path; it must not change while it is read."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: IO[bytes] | None = None
        self._state: tuple[int, int] = (0, 0)
        self._reader: File | None = None
        self.size: int | None = None

    def open(self) -> None:
        self._file = self._path.open('rb', buffering=0)
        self._reader = File(self._file)
        self._reader.open()
        self._state = self._now()
        self.size = self._state[0]

    @property
    def regular(self) -> bool:
        """Is it a file that can be read at any place?"""
        assert self._file is not None
        return stat.S_ISREG(os.fstat(self._file.fileno()).st_mode)

    @property
    def times(self) -> list[int]:
        """When its bytes, and when anything of it, changed last: the second nobody can set."""
        assert self._file is not None
        return [self._state[1], os.fstat(self._file.fileno()).st_ctime_ns]

    def _now(self) -> tuple[int, int]:
        assert self._file is not None
        now = os.fstat(self._file.fileno())
        return now.st_size, now.st_mtime_ns

    def read(self, size: int) -> bytes:
        assert self._reader is not None
        return self._unchanged(self._reader.read(size), size)

    def read_at(self, at: int, size: int) -> bytes:
        """Return *size* bytes from *at* on, fewer only at the end; may be called in a thread."""
        assert self._file is not None
        pieces = []
        missing = size
        while missing and (piece := os.pread(self._file.fileno(), missing, at)):
            pieces.append(piece)
            at += len(piece)
            missing -= len(piece)
        return self._unchanged(b''.join(pieces), size)

    def in_memory(self, at: int, size: int) -> bool:
        """Can so much surely be read without waiting for the disk? Where none can tell: no."""
        assert self._file is not None
        last = min(at + size, self._state[0]) - 1
        if last < at:
            return True
        try:
            return all(
                os.preadv(self._file.fileno(), [bytearray(1)], place, os.RWF_NOWAIT)
                for place in (at, last)
            )
        except (OSError, AttributeError):  # not now; or the file system, or the system, cannot
            return False

    def _unchanged(self, piece: bytes, size: int) -> bytes:
        if len(piece) < size and self._now() != self._state:
            raise ObjectStoreError(f'{self._path} changed while it was read')
        return piece

    def rewind(self) -> bool:
        assert self._reader is not None
        return self._reader.rewind()

    def close(self) -> None:
        if self._file is not None:
            self._file.close()


class Pieces:
    """An iterable of bytes of any sizes."""

    def __init__(self, pieces: Iterable[Any]) -> None:
        self._pieces: Iterator[Any] = iter(pieces)
        self._gathered = Gathered()
        self._more = True
        self.size: int | None = None

    def open(self) -> None:
        pass

    def read(self, size: int) -> Buffer:
        while self._more and len(self._gathered) < size:
            piece = next(self._pieces, _END)
            if piece is _END:
                self._more = False
            else:
                self._gathered.add(_checked(piece))
        return self._gathered.take(size)

    def rewind(self) -> bool:
        return False

    def close(self) -> None:
        close = getattr(self._pieces, 'close', None)
        if close is not None:
            close()


def _checked(piece: Any) -> bytes:
    if not isinstance(piece, (bytes, bytearray, memoryview)):
        raise TypeError(f'the source gave {type(piece).__name__}, not bytes')
    return bytes(piece)


class Gathered:
    """Bytes that came in pieces and leave in others."""

    def __init__(self) -> None:
        self._pieces: deque[memoryview] = deque()
        self._size = 0

    def __len__(self) -> int:
        return self._size

    def add(self, piece: bytes) -> None:
        """Take in *piece*."""
        if piece:
            self._pieces.append(memoryview(piece))
            self._size += len(piece)

    def take(self, size: int) -> Buffer:
        """Return the first *size* bytes, or all where there are fewer."""
        pieces = self._pieces
        if not pieces:
            return b''
        first = pieces[0]
        if len(first) >= size:
            self._size -= size
            if len(first) == size:
                return pieces.popleft()
            pieces[0] = first[size:]
            return first[:size]
        taken: list[memoryview] = []
        wanted = min(size, self._size)
        self._size -= wanted
        while wanted:
            piece = pieces.popleft()
            if len(piece) > wanted:
                pieces.appendleft(piece[wanted:])
                piece = piece[:wanted]
            taken.append(piece)
            wanted -= len(piece)
        return b''.join(taken)


class Fed:
    """Bytes that the user writes as they come, see ``writer``.

    Args:
        on_read: called when bytes were taken.
    """

    def __init__(self, on_read: Callable[[], None]) -> None:
        self._gathered = Gathered()
        self._on_read = on_read
        self.ended = False
        self.size: int | None = None

    @property
    def waiting(self) -> int:
        """Bytes written and not yet read."""
        return len(self._gathered)

    def add(self, piece: bytes) -> None:
        self._gathered.add(piece)

    def open(self) -> None:
        pass

    def read(self, size: int) -> Buffer | None:
        if len(self._gathered) < size and not self.ended:
            return None
        piece = self._gathered.take(size)
        self._on_read()
        return piece

    def rewind(self) -> bool:
        return False

    def close(self) -> None:
        self._gathered = Gathered()
