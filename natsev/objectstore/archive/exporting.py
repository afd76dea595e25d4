"""Writing a bucket to an archive, object by object in the order of their sequences.

Over a lost connection the reading of metadata and of an object's chunks goes on by itself; the
requests between them are made again.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable
from datetime import datetime, timezone
from pathlib import Path
from typing import IO, Any, TypedDict

from ...calls import Call
from ...errors import (
    DisconnectedError,
    InvalidMetaError,
    NatsError,
    ObjectStoreError,
    StreamNotFoundError,
)
from ...jetstream import Consumption, Message
from .. import record
from ..blocking import in_thread
from ..bucket import Bucket
from ..infos import Entries, find_many
from ..listing import stored
from ..locked import open_locked
from ..lookup import Entry, find
from ..reading.fixed import FixedGet
from ..sink import Handed, Unflushed, write_error
from ..transfer import Transfer
from . import layout

# Metas that wait for their turn: from the first on no more are requested, until the second.
_HIGH, _LOW = 200, 50


class Failed(TypedDict):
    """An object that could not be read."""

    name: str
    error: str


class ExportReport(TypedDict):
    """What ``export_bucket`` wrote: ``failed``: objects that could not be read, which lack."""

    objects: int
    bytes: int
    failed: list[Failed]


class Export(Transfer):
    """One export.

    Args:
        bucket: the bucket.
        call: the user's call; its result is an ``ExportReport``.
        file: a path, or a binary file.
        prefix: only names that begin so.
        resume: go on with what an export that broke off has left beside *file*, a path.
        told: called as ``told(objects, bytes)`` after each object.
    """

    def __init__(
        self,
        bucket: Bucket,
        call: Call,
        file: Path | IO[bytes],
        prefix: str,
        resume: bool,
        told: Callable[[int, int], None] | None,
    ) -> None:
        super().__init__(bucket, call)
        self._path = file if isinstance(file, Path) else None
        self._part = None if self._path is None else part_of(self._path)
        self._file: IO[bytes] | None = None if isinstance(file, Path) else file
        self._prefix = prefix
        self._resume = resume
        self._told = told
        self._writer: layout.Writer
        self._bytes = Unflushed()
        self._after = 0
        self._waiting: deque[Entry] = deque()
        # Not read: replaced meanwhile, or when an export that broke off came to them.
        self._replaced: dict[str, None] = {}
        self._consumption: Consumption | None = None
        self._get: FixedGet | None = None
        self._caught_up = self._busy = self._settling = False
        self._failed: list[Failed] = []
        # The request that is outstanding, to be made again over a lost connection.
        self._step: Callable[[], None] | None = self._open_bucket

    def _go_on(self) -> None:
        if self._step is not None:
            self._step()

    def _ask(self, step: Callable[[], None]) -> None:
        self._touch()
        self._step = step
        if not self._away:
            step()

    def _expecting(self) -> bool:
        return self._step is not None

    def _open_bucket(self) -> None:
        """See what the bucket is like."""
        self._bucket.reopen(self, self._opened)

    def _opened(self) -> None:
        self._step = None
        if self._part is None:
            self._write_from()
            return
        try:
            if self._path is not None and self._path.exists() and not self._path.is_file():
                raise FileExistsError(f'{self._path} is no regular file')
            # Without a buffer: on a full disk closing would fail once more.
            self._file = os.fdopen(open_locked(self._part), 'r+b', buffering=0)
            if not self._resume:
                self._file.truncate()
            there = os.fstat(self._file.fileno()).st_size
        except OSError as exc:
            self._fail(exc)
            return
        if there:
            in_thread(self._nats.port, self._salvage, self._salvaged)
        else:
            self._write_from()

    # The file.

    def _salvage(self) -> None:
        assert self._file is not None
        about, state = layout.salvage(self._file, lambda: self.done, self._read_back)
        if about['bucket'] != self._bucket.name:
            raise layout.damaged(f'it is of the bucket {about["bucket"]!r}')
        if not self.done and not state.complete:
            self._file.truncate(state.offset)
            self._file.seek(state.offset)
        self._state = state

    def _read_back(self, body: layout.Body, counts: bool) -> None:
        """What could not be read then is tried once more."""
        if counts:
            self._replaced.pop(body.fields['name'], None)
        else:
            self._replaced[body.fields['name']] = None

    def _salvaged(self, exc: Exception | None) -> None:
        if self.done:
            return
        if exc is not None:
            self._fail(exc)
        elif self._state.complete:
            self._finish(self._state.totals)
        else:
            self._after = self._state.last_seq
            self._write_from(self._state)

    def _write_from(self, state: layout.State | None = None) -> None:
        assert self._file is not None
        self._writer = layout.Writer(self._file, state)
        config = {key: value for key, value in self._bucket.config.items() if key in _CONFIG}
        now = datetime.now(timezone.utc)
        if state is not None or self._write(self._writer.header, self._bucket.name, now, config):
            self._read_metas()

    def _write(self, write: Callable[..., None], *args: Any) -> bool:
        try:
            write(*args)
        except Exception as exc:  # of the user's file
            self._fail(exc)
            return False
        return True

    def _fail(self, exc: Exception) -> None:
        self.fail(exc if isinstance(exc, NatsError) else write_error(exc))

    def _release(self) -> None:
        if self._consumption is not None:
            self._consumption.stop()
        if self._get is not None:
            self._get.cancel()
        if self._path is not None and self._file is not None:
            self._file.close()

    # Metas.

    def _read_metas(self) -> None:
        self._consumption = self._bucket.js.ordered(
            self._bucket.stream,
            self._message,
            filter_subjects=self._bucket.subjects.metas + '>',
            deliver_policy='last_per_subject',
            batch=_HIGH,
            on_caught_up=self._all_metas,
            on_end=self._metas_ended,
        )

    def _message(self, message: Message) -> None:
        if self._caught_up:
            return
        one = stored(message)
        try:
            meta = record.parse(one, self._bucket.name)
        except InvalidMetaError as err:
            self._failed.append({'name': err.name or '', 'error': str(err)})
            return
        if meta['seq'] <= self._after or meta['deleted']:
            return
        if not meta['name'].startswith(self._prefix):
            return
        self._waiting.append(Entry(meta, one))
        if len(self._waiting) >= _HIGH and self._consumption is not None:
            self._consumption.pause()
        self._next()

    def _all_metas(self) -> None:
        self._caught_up = True
        if self._consumption is not None:
            self._consumption.stop()
        self._next()

    def _metas_ended(self, err: NatsError | None) -> None:
        if isinstance(err, StreamNotFoundError):
            err = self._bucket.not_found(err)
        if err is not None:
            self.fail(err)

    # One object after the other.

    def _next(self) -> None:
        if self._busy or self._paused or self.done:
            return
        if self._waiting:
            self._busy = True
            entry = self._waiting.popleft()
            if len(self._waiting) == _LOW and self._consumption is not None:
                self._consumption.resume()
            self._export(entry)
        elif self._caught_up and self._replaced:
            self._busy = True
            self._ask(self._find_late)
        elif self._caught_up:
            self._complete()

    def _find_late(self) -> None:
        find_many(self._bucket, self, list(self._replaced), self._found_late)

    def _found_late(self, entries: Entries) -> None:
        self._step = None
        self._replaced.clear()
        live = [entry for entry in entries.values() if not entry.meta['deleted']]
        # In the order of their sequences, that an export which breaks off can be gone on with.
        self._waiting.extend(sorted(live, key=lambda entry: entry.meta['seq']))
        self._done()

    def _export(self, entry: Entry) -> None:
        meta, message = entry
        self._replaced.pop(meta['name'], None)
        # With the name, and without what is only true of this message.
        payload = record.rewrite(message['payload'], {'name': meta['name']})
        if not self._write(self._writer.object, payload, meta['seq'], message['time']):
            return
        if not meta['size']:
            self._exported(entry, None)
            return
        self._get = FixedGet(
            self._bucket,
            self._nats.call(lambda data, err, meta: self._exported(entry, err), 3, 1),
            meta,
            self._sink(),
        )
        self._get.start()

    def _sink(self) -> Handed:
        if self._path is None or self._file is None:
            return Handed(self._writer.chunk)
        return _Archived(self._writer.chunk, self._bytes, self._file.fileno())

    def _exported(self, entry: Entry, err: NatsError | None) -> None:
        self._get = None
        if self.done:
            return
        if err is None:
            if self._write(self._writer.end):
                self._tell_progress()
                self._done()
        elif isinstance(err, DisconnectedError) or _of_the_file(err):
            self.fail(err)
        elif self._write(self._writer.abandon):
            self._ask(lambda: self._look_again(entry, err))

    def _look_again(self, entry: Entry, err: NatsError) -> None:
        """It could not be read: because it was replaced, or deleted?"""
        find(
            self._bucket,
            self,
            entry.meta['name'],
            lambda now: self._looked_again(entry, now, err),
            leader=True,
        )

    def _looked_again(self, entry: Entry, now: Entry | None, err: NatsError) -> None:
        self._step = None
        if now is not None and now.meta['seq'] == entry.meta['seq']:
            self._failed.append({'name': entry.meta['name'], 'error': str(err)})
        elif now is not None and not now.meta['deleted']:
            self._replaced[entry.meta['name']] = None
        self._done()

    def _done(self) -> None:
        self._busy = False
        self._nats.call_soon(self._next)

    def _tell_progress(self) -> None:
        if self._told is not None:
            self._told(*self._writer.totals)

    # Of the user.

    def pause(self) -> None:
        super().pause()
        if self._get is not None:
            self._get.pause()

    def _resumed(self) -> None:
        if self._get is not None:
            self._get.resume()
        self._next()

    def cancel(self) -> None:
        """Give up. The callback still comes once, with ``Cancelled``.

        Once all is written and the archive is about to appear, it is too late.
        """
        if not self._settling:
            super().cancel()

    # The end.

    def closed(self, err: NatsError) -> None:
        if not self._settling:
            super().closed(err)

    def _complete(self) -> None:
        self._busy = True
        if self._write(self._writer.trailer):
            self._finish(self._writer.totals)

    def _finish(self, totals: layout.Totals) -> None:
        self._settling = True
        in_thread(self._nats.port, self._settle, lambda exc: self._settled(totals, exc))

    def _settle(self) -> None:
        """Make it last, then make it visible."""
        if self._file is not None:
            self._file.flush()
        if self._path is not None and self._part is not None:
            if self._file is not None:
                os.fsync(self._file.fileno())
            self._part.replace(self._path)

    def _settled(self, totals: layout.Totals, exc: Exception | None) -> None:
        if exc is not None:
            self._fail(exc)
        else:
            report: ExportReport = {
                'objects': totals.objects,
                'bytes': totals.size,
                'failed': self._failed,
            }
            self._end(report, None)


class _Archived(Handed):
    """The bytes of one object; a slow disk slows the requests instead of blocking the loop.

    Args:
        hand: takes them.
        counted: all that went into the archive.
        file: the archive.
    """

    def __init__(self, hand: Callable[[bytes], None], counted: Unflushed, file: int) -> None:
        super().__init__(hand)
        self._counted = counted
        self._file = file

    @property
    def full(self) -> bool:
        return self._counted.full

    def write(self, chunk: bytes) -> None:
        super().write(chunk)
        self._counted.written += len(chunk)

    def flush(self) -> Callable[[], None] | None:
        return self._counted.flush(self._file)


# What another bucket may be made with.
_CONFIG = (
    'description',
    'max_bytes',
    'max_age',
    'storage',
    'num_replicas',
    'compression',
    'metadata',
)


def part_of(path: Path) -> Path:
    """Return where an archive is written before it is complete."""
    return path.with_name(path.name + '.part')


def _of_the_file(err: NatsError) -> bool:
    return type(err) is ObjectStoreError and err.__cause__ is not None
