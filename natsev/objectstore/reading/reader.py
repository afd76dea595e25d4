"""Reading parts of one object, wherever one likes."""

from __future__ import annotations

from collections.abc import Callable
from io import BufferedReader
from typing import Any

from ...errors import NatsError, ObjectChanged
from ...native import thread_id
from .. import check
from ..bucket import Bucket
from ..record import ObjectMeta
from ..sink import Memory
from ..transfer import Transfer
from .file import ObjectFile
from .get import Get
from .index import Index


class Reader:
    """An open object. Every part comes from the object that was there when it was opened.

    Attributes:
        meta: its metadata.
    """

    def __init__(self, bucket: Bucket, name: str, where: Bucket, meta: ObjectMeta) -> None:
        self.meta = meta
        self._bucket = bucket
        self._name = name
        self._where = where
        self._indexes: dict[str, Index] = {}
        self._reads: set[_Read] = set()
        self._closed = False
        self._loop_thread = thread_id()

    def __repr__(self) -> str:
        return f'<Reader {self.meta["name"]!r} {self.meta["size"]} bytes>'

    def read_at(self, offset: int, length: int, cb: Callable[..., Any]) -> Transfer:
        """Read a part. Several reads may be under way at once.

        Args:
            offset: where to begin, in bytes.
            length: at most so many bytes; there are fewer at the end, and none behind it.
            cb: called once as ``cb(data, err)``.

        Returns:
            A ``Transfer``.

        Errors:
            ObjectChanged: the object was replaced or deleted.
            MissingChunks, RequestTimeout, DisconnectedError, Cancelled, JetStreamError.

        Raises:
            TypeError, ValueError: an argument cannot be, or the reader is closed.
        """
        if self._closed:
            raise ValueError('the reader is closed')
        check.number(length, 'length', 0)
        read = _Read(
            self._bucket,
            self._bucket.nats.call(cb),
            self._name,
            Memory(),
            results=_data_and_err,
            part=check.part(offset, length),
            indexes=self._indexes,
        )
        read.opened(self._where, self.meta, self._reads)
        read.start()
        return read

    def file(self, buffer_size: int = 1024 * 1024) -> BufferedReader:
        """Return a file for other threads, where ``zipfile``, say, may read it.

        They wait for what the loop reads; its own thread cannot. May be called in any thread. What
        ``read_at`` passes to its callback as errors, the file's methods raise.

        Args:
            buffer_size: bytes that are read at once, and kept.

        Raises:
            ValueError: *buffer_size* is not above 0.
        """
        check.number(buffer_size, 'buffer_size', 1)
        file = ObjectFile(self._bucket.nats, self.meta, self.read_at, self._loop_thread)
        return BufferedReader(file, buffer_size)

    def close(self) -> None:
        """Read no more; reads under way end with ``Cancelled``. Closing twice is harmless."""
        self._closed = True
        for read in list(self._reads):
            read.cancel()


def _data_and_err(data: Any, err: NatsError | None, meta: ObjectMeta | None) -> tuple[Any, Any]:
    return data, err


class _Read(Get):
    """A get of a part of an object whose metadata is known."""

    def opened(self, where: Bucket, meta: ObjectMeta, reads: set[_Read]) -> None:
        """Tell which object it is, and among which reads this is one."""
        self._opened: tuple[Bucket, ObjectMeta] | None = (where, meta)
        self._reads = reads
        reads.add(self)

    def _go_on(self) -> None:
        opened, self._opened = self._opened, None
        if opened is not None:
            super()._begin_with(*opened)
        else:
            super()._go_on()

    def _begin_with(self, where: Bucket, meta: ObjectMeta | None) -> None:
        # It is another object by now, or none.
        self.fail(ObjectChanged(bucket=where.name, name=self._name))

    def _release(self) -> None:
        super()._release()
        self._reads.discard(self)
