"""Making links: names that lead to another object, or to a whole bucket (ADR-20)."""

from __future__ import annotations

from ..errors import NatsError, WrongSequenceError
from ..nuid import next_nuid
from . import metas, record
from .bucket import Bucket
from .lookup import Entry, find
from .operation import StoreCall
from .record import Link


class Linking:
    """One link being made.

    Args:
        bucket: where.
        call: the user's call; its result is the link's metadata.
        name: of the link.
        link: where it leads.
    """

    def __init__(self, bucket: Bucket, call: StoreCall, name: str, link: Link) -> None:
        self._bucket = bucket
        self._call = call
        self._name = name
        self._link = link

    def start(self) -> None:
        """See whether the bucket takes changes, and whether the target is there."""
        self._bucket.writable(self._call, self._look_at_target)

    def _look_at_target(self) -> None:
        where = self._bucket
        if self._link['bucket'] != where.name:
            where = where.other(self._link['bucket'])
        if 'name' in self._link:
            find(where, self._call, self._link['name'], self._target, leader=True)
        else:
            where.reopen(self._call, self._look)

    def _target(self, entry: Entry | None) -> None:
        if entry is None or entry.meta['deleted']:
            self._call.fail(metas.no_target(self._link['bucket'], self._link['name']))
        else:
            self._look()

    def _look(self) -> None:
        find(self._bucket, self._call, self._name, self._found, leader=True)

    def _found(self, entry: Entry | None) -> None:
        """There may be a link already, but no object."""
        expected = 0
        subject = self._bucket.subjects.meta(self._name)
        if entry is not None:
            if not entry.meta['deleted'] and 'link' not in entry.meta['options']:
                self._call.fail(metas.taken(self._name))
                return
            subject, expected = entry.message['subject'], entry.meta['seq']

        def failed(err: NatsError) -> bool:
            if isinstance(err, WrongSequenceError):
                self._look()
                return True
            return False

        meta = record.new(self._name, self._bucket.name, next_nuid(), options={'link': self._link})
        metas.publish(
            self._bucket,
            self._call,
            subject,
            meta,
            lambda stored: self._call.end(stored, None),
            expected=expected,
            catch=failed,
        )
