"""A file read so that a slow disk does not hold up the loop.

What the system has in memory is read at once. For the rest a thread reads ahead of what is sent.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from ...jobs import Job
from ...loop import Port
from ..source import Buffer, Gathered, PathFile

# Bytes read at once, and from how many on it is enough.
_PIECE, _ENOUGH = 1024 * 1024, 4 * 1024 * 1024


class ReadAhead:
    """A file by its path. See ``Source``.

    Args:
        path: the file; it must not change while it is read.
        port: the loop.

    Attributes:
        on_ready: called from the loop when there is something to read again.
    """

    def __init__(self, path: Path, port: Port) -> None:
        self.size: int | None = None
        self.on_ready: Callable[[], Any] = _nobody
        self._port = port
        self._file = PathFile(path)
        self._regular = False
        self._gathered = Gathered()
        self._job: Job[bytes] | None = None
        self._exc: Exception | None = None
        self._at = 0
        self._at_end = False
        # Of the thread that reads: as long as it does, the file must stay open.
        self._busy = self._closed = False

    def open(self) -> None:
        self._file.open()
        self.size = self._file.size
        self._regular = self._file.regular

    def read(self, size: int) -> Buffer | None:
        if not self._regular:
            return self._file.read(size)
        if self._exc is not None:
            raise self._exc
        if self._job is None and not self._gathered and self._file.in_memory(self._at, size):
            piece = self._file.read_at(self._at, size)
            self._at += len(piece)
            return piece
        ready = self._at_end or len(self._gathered) >= size
        taken = self._gathered.take(size) if ready else None
        self._fetch(max(_ENOUGH, size))
        return taken

    def rewind(self) -> bool:
        self._forget()
        return self._file.rewind()

    def close(self) -> None:
        self._forget()
        self.on_ready = _nobody
        self._closed = True
        if not self._busy:
            self._file.close()

    def _fetch(self, enough: int) -> None:
        if self._job is None and not self._at_end and len(self._gathered) < enough:
            self._busy = True
            work = partial(self._read, self._at)
            self._job = Job(self._port, work, partial(self._fetched, enough))

    def _read(self, at: int) -> bytes:
        """In the thread."""
        try:
            return self._file.read_at(at, _PIECE)
        finally:
            self._busy = False
            if self._closed:
                self._file.close()

    def _fetched(self, enough: int, piece: bytes | None, exc: Exception | None) -> None:
        self._job = None
        self._exc = exc
        if piece is not None:
            self._gathered.add(piece)
            self._at += len(piece)
            self._at_end = len(piece) < _PIECE
            self._fetch(enough)
        self.on_ready()

    def _forget(self) -> None:
        job, self._job = self._job, None
        if job is not None:
            job.cancel()
        self._gathered = Gathered()
        self._at, self._at_end = 0, False


def _nobody() -> None:
    """Wait for nothing."""
