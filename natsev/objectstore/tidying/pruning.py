"""Removing many objects, and what is left of deleted ones."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any, TypedDict

from ...errors import InvalidMetaError, NatsError, WrongSequenceError
from ...jetstream.types import StoredMessage
from .. import record
from ..bucket import Bucket
from ..delete import Delete
from ..listing import Handed, Listing
from ..operation import StoreCall
from ..parallel import each
from ..record import ObjectMeta
from ..versions import trim
from .scan import scan, server_time


class DeleteReport(TypedDict):
    """What ``delete_many`` did.

    ``deleted``: names; ``changed``: names that somebody replaced meanwhile, which are left alone.
    """

    deleted: list[str]
    changed: list[str]
    dry_run: bool


class PurgeReport(TypedDict):
    """What ``purge_deletes`` did: how many deleted names are forgotten, and how many are left."""

    purged: int
    kept: int


class DeleteMany:
    """Deletes objects that match.

    Args:
        bucket: the bucket.
        call: the user's call; its result is a ``DeleteReport``.
        prefix: only names that begin so.
        older_than: only what was stored before that; None: whatever its age.
        dry_run: look only.
    """

    def __init__(
        self,
        bucket: Bucket,
        call: StoreCall,
        prefix: str,
        older_than: timedelta | None,
        dry_run: bool,
    ) -> None:
        self._bucket = bucket
        self._call = call
        self._prefix = prefix
        self._older_than = older_than
        self._before = datetime.max
        self._found: list[tuple[str, int]] = []
        self._report: DeleteReport = {'deleted': [], 'changed': [], 'dry_run': dry_run}

    def start(self) -> None:
        """Ask what time it is at the server."""
        self._bucket.writable(self._call, self._ask)

    def _ask(self) -> None:
        self._bucket.api(self._call, 'STREAM.INFO', None, self._list)

    def _list(self, info: dict[str, Any]) -> None:
        if self._older_than is not None:
            self._before = server_time(info) - self._older_than
        listing = Listing(
            self._bucket,
            self._bucket.nats.call(self._listed),
            Handed(self._prefix, self._take),
            details=True,
            deleted=False,
        )
        listing.start()
        self._call.child = listing

    def _take(self, meta: ObjectMeta) -> None:
        mtime = meta['mtime']
        if self._older_than is None or (mtime is not None and mtime <= self._before):
            self._found.append((meta['name'], meta['seq']))

    def _listed(self, _count: int | None, err: NatsError | None) -> None:
        if err is not None:
            self._call.fail(err)
        elif self._report['dry_run']:
            self._report['deleted'] = sorted(name for name, _ in self._found)
            self._call.end(self._report, None)
        else:
            each(self._call, self._found, self._delete, self._end)

    def _delete(self, found: tuple[str, int], done: Callable[[], None]) -> None:
        name, seq = found

        def deleted(ok: bool | None, err: NatsError | None) -> None:
            if isinstance(err, WrongSequenceError):
                self._report['changed'].append(name)
            elif err is not None:
                self._call.fail(err)
                return
            elif ok:
                self._report['deleted'].append(name)
            done()

        Delete(self._bucket, StoreCall(self._bucket, deleted), name, seq).start()

    def _end(self) -> None:
        for names in (self._report['deleted'], self._report['changed']):
            names.sort()
        self._call.end(self._report, None)


class PurgeDeletes:
    """Removes tombstones, and with them what was kept of earlier versions.

    Args:
        bucket: the bucket.
        call: the user's call; its result is a ``PurgeReport``.
        older_than: younger ones are left: a watcher that was away may not have seen them.
    """

    def __init__(self, bucket: Bucket, call: StoreCall, older_than: timedelta) -> None:
        self._bucket = bucket
        self._call = call
        self._older_than = older_than
        self._before = datetime.max
        self._dead: list[tuple[str, str, int]] = []  # name, subject, sequence
        self._with_versions: set[str] = set()
        self._report: PurgeReport = {'purged': 0, 'kept': 0}

    def start(self) -> None:
        """Ask what time it is at the server."""
        self._bucket.writable(self._call, self._ask)

    def _ask(self) -> None:
        self._bucket.api(self._call, 'STREAM.INFO', None, self._scan)

    def _scan(self, info: dict[str, Any]) -> None:
        self._before = server_time(info) - self._older_than
        scan(self._bucket, self._call, self._look, self._scanned)

    def _look(self, message: StoredMessage) -> None:
        try:
            meta = record.parse(message, self._bucket.name)
        except InvalidMetaError:
            return
        if not meta['deleted']:
            return
        if message['time'] > self._before:
            self._report['kept'] += 1
        else:
            self._dead.append((meta['name'], message['subject'], message['seq']))
            if record.versions_kept(message):
                self._with_versions.add(meta['name'])

    def _scanned(self) -> None:
        each(self._call, self._dead, self._forget, lambda: self._call.end(self._report, None))

    def _forget(self, dead: tuple[str, str, int], done: Callable[[], None]) -> None:
        name, subject, seq = dead

        def purge() -> None:
            body = {'filter': subject, 'seq': seq + 1}
            self._bucket.api(self._call, 'STREAM.PURGE', body, purged)

        def purged(_reply: Any) -> None:
            self._report['purged'] += 1
            done()

        if name in self._with_versions:
            trim(self._bucket, self._call, name, 0, lambda _: purge())
        else:
            purge()
