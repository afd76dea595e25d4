"""An open object as a file, for other threads: whatever takes a file can read it from there."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from ...errors import NatsError
from ...native import original, thread_id
from ..codecs.chain import plain_size
from ..record import ObjectMeta

if TYPE_CHECKING:
    from ...nats import Nats

ReadAt = Callable[[int, int, Callable[..., Any]], object]


class ObjectFile(io.RawIOBase):
    """A file without a buffer.

    Args:
        nats: the client, which is asked to have the loop read.
        meta: of the object.
        read_at: of its reader.
        loop_thread: the one thread where it cannot be used.
    """

    def __init__(self, nats: Nats, meta: ObjectMeta, read_at: ReadAt, loop_thread: int) -> None:
        self.name = meta['name']
        self._nats = nats
        self._size = plain_size(meta)
        self._read_at = read_at
        self._position = 0
        self._loop_thread = loop_thread

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        """Go to *offset*, which counts from the beginning, from here, or from the end.

        Raises:
            ValueError: that is before the beginning; or there is no such *whence*.
        """
        begin = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._size}
        if whence not in begin:
            raise ValueError(f'whence must be 0, 1 or 2, not {whence}')
        if begin[whence] + offset < 0:
            raise ValueError(f'cannot seek to {begin[whence] + offset}')
        self._position = begin[whence] + offset
        return self._position

    def readinto(self, buffer: Any, /) -> int:
        with memoryview(buffer).cast('B') as view:
            data = self._read(len(view))
            view[: len(data)] = data
        return len(data)

    def readall(self) -> bytes:
        return self._read(max(self._size - self._position, 0))

    def _read(self, most: int) -> bytes:
        """Have the loop read, and wait for it."""
        if thread_id() == self._loop_thread:
            raise RuntimeError('the loop cannot wait for itself: read in another thread')
        answered = original('_thread', 'allocate_lock')()
        answered.acquire()
        answers: list[tuple[bytes | None, Exception | None]] = []

        def answer(data: bytes | None, err: Exception | None) -> None:
            answers.append((data, err))
            answered.release()

        def ask() -> None:
            try:
                self._read_at(self._position, most, answer)
            except (NatsError, ValueError) as exc:  # the reader has been closed
                answer(None, exc)

        self._nats.call_soon_threadsafe(ask)
        answered.acquire()
        data, err = answers.pop()
        if data is None:
            assert err is not None
            raise err
        self._position += len(data)
        return data
