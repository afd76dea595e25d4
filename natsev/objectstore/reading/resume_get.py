"""A download that another process can go on with.

What has come is kept in ``.<file>.part``, with a journal beside it that tells of which object it
is. Going on, the bytes that are there are hashed again, up to the last whole chunk, and the rest is
read. If the digest is wrong in the end, what was there is not trusted, and all is read anew, once.
"""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import Any

from ...errors import DigestMismatch, MissingChunks, NatsError, ObjectChanged
from ..bucket import Bucket
from ..journal import Journal
from ..record import ObjectMeta
from ..sink import PathFile, Unflushed
from .fetch import estimate
from .get import Get
from .index import Index, index_of

# Bytes hashed at once, and how often in one turn of the loop: some two milliseconds.
_HASHED, _HASHED_PER_TURN = 256 * 1024, 8


class PartFile(PathFile):
    """A file whose part outlives a failure. One transfer at a time has it: see ``Journal``.

    Attributes:
        facts: which object it is of; set before ``begin``.
        hopeless: nobody can go on with it, so nothing is left behind.
    """

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.facts: dict[str, Any] = {}
        self.hopeless = False
        self._journal: Journal | None = None

    def begin(self) -> None:
        if self._journal is None:
            part = self._resolve().with_name(f'.{self._target.name}.part')
            self._journal = Journal(part.with_name(part.name + '.journal'))
            self._journal.open()
            self._open(part, os.O_RDWR)
        if self._journal.read() != self.facts:
            self.cut(0)
            self._journal.write(self.facts)

    @property
    def there(self) -> int:
        """How many bytes are there."""
        assert self._file is not None
        return os.fstat(self._file).st_size

    def cut(self, size: int) -> None:
        """Keep the first *size* bytes, and go on behind them."""
        assert self._file is not None
        os.ftruncate(self._file, size)
        os.lseek(self._file, 0, os.SEEK_END)
        self._bytes = Unflushed(size)

    def read_back(self, offset: int, size: int) -> bytes:
        """Return bytes that are there."""
        assert self._file is not None
        return os.pread(self._file, size, offset)

    def _rename(self) -> None:
        super()._rename()
        if self._journal is not None:
            self._journal.remove()

    def discard(self) -> None:
        if self._journal is None:
            return
        try:
            if self.hopeless:
                super().discard()
                self._journal.remove()
        finally:
            self._close()
            self._journal.close()


class ResumedGet(Get):
    """A get into a ``PartFile``. Arguments as for ``Get``."""

    _user_sink: PartFile

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._caught_up = False
        self._trusting = False
        self._gone = False  # there is no object any more

    def _begin_with(self, where: Bucket, meta: ObjectMeta | None) -> None:
        self._caught_up = self._trusting = False
        self._gone = meta is None or meta['deleted']
        if meta is not None:
            self._user_sink.facts = {
                'bucket': where.name,
                'name': meta['name'],
                'nuid': meta['nuid'],
                'size': meta['size'],
                'digest': meta['digest'],
            }
        super()._begin_with(where, meta)

    def _read(self) -> None:
        if self._caught_up:
            super()._read()
            return
        meta = self._meta
        assert meta is not None
        # Decoding cannot go on in the middle: an encoded object is read anew.
        encoded = self._sink is not self._user_sink
        if encoded or meta['chunks'] == 1 or not self._user_sink.there:
            self._go_on_from(0)
        elif self._take(2 * estimate(meta)):
            index_of(self._where, self, meta, self._indexed, self._misplaced, self._touch)

    def _indexed(self, index: Index) -> None:
        self._give_back()
        assert self._meta is not None
        place = index.find(min(self._user_sink.there, self._meta['size'] - 1))
        self._last_seq, self._count = place.seq - 1, place.number
        self._hash_on(hashlib.sha256(), 0, place.start, self.epoch)

    def _hash_on(self, digest: Any, offset: int, end: int, epoch: int) -> None:
        """Hash what is there, a part in each turn of the loop."""
        if self.done or epoch != self.epoch:
            return
        try:
            for _ in range(_HASHED_PER_TURN):
                if offset == end:
                    break
                piece = self._user_sink.read_back(offset, min(_HASHED, end - offset))
                if not piece:
                    raise OSError('the part was cut off meanwhile')
                digest.update(piece)
                offset += len(piece)
        except OSError as exc:
            self._guarded(_raise, exc)
            return
        self._touch()
        if offset == end:
            self._hash = digest
            self._go_on_from(end)
        else:
            self._nats.call_soon(self._hash_on, digest, offset, end, epoch)

    def _go_on_from(self, size: int) -> None:
        if not self._guarded(self._user_sink.cut, size):
            return
        self._caught_up = True
        self._trusting = size > 0
        self._came = self.bytes_done = size
        super()._read()

    def fail(self, err: NatsError) -> None:
        if isinstance(err, DigestMismatch) and self._trusting and not self.done:
            self._hash = hashlib.sha256()
            self._count = self._last_seq = 0
            self._go_on_from(0)
        else:
            super().fail(err)

    def _release(self) -> None:
        hopeless = isinstance(self._err, (DigestMismatch, MissingChunks, ObjectChanged))
        self._user_sink.hopeless = hopeless or self._gone
        super()._release()


def _raise(exc: Exception) -> None:
    raise exc
