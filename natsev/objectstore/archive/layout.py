"""The archive of a bucket, as a file: see ``docs/archive-format.md``.

A stream of msgpack arrays: a header, then for each object its metadata, its chunks and an end, then
a trailer. Every end, and the trailer, carries the SHA-256 of all bytes before it: whatever is cut
off or altered is noticed, and an archive that was cut off can be gone on with after its last end.

No I/O but that of the file, and no more in memory than one record.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Generator, Iterator
from datetime import datetime
from typing import IO, Any, NamedTuple

import msgpack

from ...errors import ObjectStoreError
from .. import record

FORMAT = 'natsev-archive'
VERSION = 1
_OBJECT, _CHUNK, _END, _ABANDONED, _TRAILER = 'object', 'chunk', 'end', 'abandoned', 'trailer'
_BLOCK = 256 * 1024
# A server's largest max_payload is 64 MiB: no chunk is larger.
_MOST_RECORD = 65 * 1024 * 1024


def damaged(what: str) -> ObjectStoreError:
    """Return the error for a file that is no sound archive."""
    return ObjectStoreError(f'the archive cannot be used: {what}')


class Totals(NamedTuple):
    """What an archive holds."""

    objects: int = 0
    size: int = 0


class Body(NamedTuple):
    """An object in an archive: its metadata, and where that was in the bucket.

    Attributes:
        fields: the metadata, as its JSON says.
        seq: its sequence.
        time: when it was stored, in UTC.
    """

    fields: dict[str, Any]
    seq: int
    time: datetime | None


class Writer:
    """Writes an archive.

    Args:
        file: a binary file.
        state: where an archive that was cut off is gone on with.
    """

    def __init__(self, file: IO[bytes], state: State | None = None) -> None:
        self._file = file
        self._packer = msgpack.Packer()
        self._hash = hashlib.sha256() if state is None else state.hash.copy()
        self._totals = Totals() if state is None else state.totals
        self._size = 0

    @property
    def totals(self) -> Totals:
        """What has been written."""
        return self._totals

    def header(self, bucket: str, created: datetime, config: dict[str, Any]) -> None:
        """Begin the archive of *bucket*."""
        about = {'bucket': bucket, 'created': created.isoformat(), 'config': config}
        self._write([FORMAT, VERSION, about])

    def object(self, payload: bytes, seq: int, time: datetime | None) -> None:
        """Begin an object; *payload* is the body of its meta."""
        self._size = 0
        self._write([_OBJECT, payload, seq, '' if time is None else time.isoformat()])

    def chunk(self, data: bytes) -> None:
        """Write bytes of the object."""
        self._size += len(data)
        self._write([_CHUNK, data])

    def end(self) -> None:
        """The object is complete."""
        self._totals = Totals(self._totals.objects + 1, self._totals.size + self._size)
        self._write([_END, self._hash.digest()])

    def abandon(self) -> None:
        """What was written of the object does not count."""
        self._write([_ABANDONED, self._hash.digest()])

    def trailer(self) -> None:
        """The archive is complete."""
        self._write([_TRAILER, *self._totals, self._hash.digest()])

    def _write(self, fields: list[Any]) -> None:
        data = self._packer.pack(fields)
        self._hash.update(data)
        rest = memoryview(data)
        while rest:
            written = self._file.write(rest)
            if written is None:
                raise BlockingIOError('a file that is written must not be non-blocking')
            rest = rest[written:]


class State:
    """How far an archive has been read: everything up to the last end is sound.

    Attributes:
        offset: bytes.
        hash: of these bytes.
        totals: objects in them.
        last_seq: the highest sequence of their metas.
        complete: the trailer was there.
    """

    def __init__(self) -> None:
        self.offset = 0
        self.hash = hashlib.sha256()
        self.totals = Totals()
        self.last_seq = 0
        self.complete = False


class Records:
    """The records of an archive one by one, each with the hash of all before it.

    Args:
        file: a binary file, at the archive's beginning.
    """

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._unpacker = msgpack.Unpacker(
            max_buffer_size=2 * _MOST_RECORD, max_array_len=8, max_map_len=1000
        )
        self._unhashed = bytearray()
        self._at = 0
        self.hash = hashlib.sha256()
        self.offset = 0

    def next(self) -> list[Any] | None:
        """Return the next record; None at the end of the file.

        ``hash`` and ``offset`` are then those of what comes before the record; ``pass_over``
        takes them behind it.

        Raises:
            ObjectStoreError: the file ends in the middle of a record, or that is no record.
        """
        while (found := self._unpacked()) is None:
            if not self._read_block():
                return None
        if not isinstance(found, list) or not found or not isinstance(found[0], str):
            raise damaged('a record is of no known kind')
        return found

    def _unpacked(self) -> Any:
        try:
            return self._unpacker.unpack()
        except msgpack.OutOfData:
            return None
        except (ValueError, RecursionError, msgpack.UnpackException):
            raise damaged('it is not msgpack') from None

    def _read_block(self) -> bool:
        block = self._file.read(_BLOCK)
        if not block:
            if self._unhashed:
                raise damaged('it ends in the middle of a record')
            return False
        self._unhashed += block
        try:
            self._unpacker.feed(block)
        except msgpack.BufferFull:
            raise damaged('a record is too large') from None
        return True

    def pass_over(self) -> None:
        """Count the bytes of the record that ``next`` returned."""
        size = self._unpacker.tell() - self.offset
        self.hash.update(memoryview(self._unhashed)[:size])
        del self._unhashed[:size]
        self.offset += size


class Archive:
    """Reads an archive and sees to it that it is sound.

    Args:
        file: a binary file, at the archive's beginning.
    """

    def __init__(self, file: IO[bytes]) -> None:
        self._records = Records(file)
        self._inside = False
        self.state = State()
        self.about: dict[str, Any] = {}

    def open(self) -> dict[str, Any]:
        """Read the header.

        Raises:
            ObjectStoreError: it is not an archive, or of a later version.
        """
        try:
            found = self._records.next()
        except ObjectStoreError:
            found = None
        if found is None or found[0] != FORMAT or len(found) != 3:
            raise damaged('it does not begin as one')
        if found[1] != VERSION:
            raise damaged(f'it is of version {found[1]!r}, and this knows version {VERSION}')
        if not isinstance(found[2], dict) or not isinstance(found[2].get('bucket'), str):
            raise damaged('its header is broken')
        self.about = found[2]
        self._pass_over()
        return self.about

    def objects(self) -> Iterator[Body]:
        """Give each object; its chunks must be read before the next.

        Raises:
            ObjectStoreError: the archive is cut off, or was altered.
        """
        while True:
            found = self._records.next()
            if found is None:
                raise damaged('it is cut off')
            if found[0] == _OBJECT and len(found) == 4:
                body = _body(found)
                self._records.pass_over()
                self._inside = True
                yield body
                if self._inside:
                    raise damaged('an object was not read')  # pragma: no cover
            elif found[0] == _TRAILER:
                self._close(found)
                return
            else:
                raise damaged('a record is of no known kind')

    def chunks(self, body: Body) -> Generator[bytes, None, bool]:
        """Give the bytes of an object, and verify them. See ``objects``.

        Returns:
            (as the generator's value) whether it counts: it was not abandoned.
        """
        digest, size = hashlib.sha256(), 0
        while True:
            found = self._records.next()
            if found is None:
                raise damaged('it is cut off')
            if found[0] == _CHUNK and len(found) == 2 and isinstance(found[1], bytes):
                self._records.pass_over()
                digest.update(found[1])
                size += len(found[1])
                yield found[1]
            elif found[0] in (_END, _ABANDONED) and len(found) == 2:
                self._check(found[1])
                self._inside = False
                if found[0] == _END:
                    self._verify(body, size, digest.digest())
                    totals = self.state.totals
                    self.state.totals = Totals(totals.objects + 1, totals.size + size)
                self.state.last_seq = max(self.state.last_seq, body.seq)
                self._pass_over()
                return bool(found[0] == _END)
            else:
                raise damaged('a record is of no known kind')

    def _verify(self, body: Body, size: int, digest: bytes) -> None:
        wanted = record.digest_bytes(_text(body.fields.get('digest')))
        if size != (body.fields.get('size') or 0) or (size and wanted not in (None, digest)):
            raise damaged(f'the bytes of {body.fields.get("name")!r} are not those of its digest')

    def _check(self, digest: Any) -> None:
        if digest != self._records.hash.digest():
            raise damaged('it was altered')

    def _close(self, found: list[Any]) -> None:
        if len(found) != 4:
            raise damaged('its trailer is broken')
        self._check(found[3])
        if tuple(found[1:3]) != self.state.totals:
            raise damaged('objects are missing')
        self._records.pass_over()
        if self._records.next() is not None:
            raise damaged('there is something behind its end')
        self.state.complete = True

    def _pass_over(self) -> None:
        self._records.pass_over()
        self.state.offset = self._records.offset
        self.state.hash = self._records.hash.copy()


def read_through(
    file: IO[bytes],
    stopped: Callable[[], bool],
    each: Callable[[Body, bool], None] = lambda body, counts: None,
) -> State:
    """Read the whole archive and return its state; ``complete`` is set.

    Args:
        file: a binary file, at the archive's beginning.
        stopped: asked now and then; True: give up.
        each: called with each object, and whether it counts.

    Raises:
        ObjectStoreError: it is not sound. ``State`` tells how far it is, see ``salvage``.
    """
    archive = Archive(file)
    archive.open()
    _read(archive, stopped, each)
    return archive.state


def salvage(
    file: IO[bytes], stopped: Callable[[], bool], each: Callable[[Body, bool], None]
) -> tuple[dict[str, Any], State]:
    """Read as much of an archive as is sound: its header, and how far it can be relied upon.

    Arguments as for ``read_through``.

    Raises:
        ObjectStoreError: not even the header is sound.
    """
    archive = Archive(file)
    about = archive.open()
    try:
        _read(archive, stopped, each)
    except ObjectStoreError:
        archive.state.complete = False
    return about, archive.state


def _read(
    archive: Archive, stopped: Callable[[], bool], each: Callable[[Body, bool], None]
) -> None:
    for body in archive.objects():
        chunks = archive.chunks(body)
        while True:
            if stopped():
                raise ObjectStoreError('stopped')
            try:
                next(chunks)
            except StopIteration as end:
                each(body, bool(end.value))
                break


def _body(found: list[Any]) -> Body:
    _, payload, seq, time = found
    try:
        fields = json.loads(payload)
        moment = datetime.fromisoformat(time) if time else None
    except (TypeError, ValueError, RecursionError):
        raise damaged('the metadata of an object is broken') from None
    if not isinstance(fields, dict) or not isinstance(fields.get('name'), str):
        raise damaged('the metadata of an object is broken')
    if isinstance(seq, bool) or not isinstance(seq, int):
        raise damaged('the metadata of an object is broken')
    return Body(fields, seq, moment)


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) else None
