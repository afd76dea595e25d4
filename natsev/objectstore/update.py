"""Changing an object's metadata, its name included (ADR-20).

What the user does not change stays byte for byte as it was written, fields of other clients that we
know nothing of included. A new name is written first and the old one deleted then: whatever breaks
in between, the object is there, under both names at worst.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from typing import Any

from ..calls import Call
from ..errors import DisconnectedError, NatsError, RequestTimeout, WrongSequenceError
from ..jetstream.types import StoredMessage
from ..nuid import next_nuid
from . import metas, record
from .aftermath import Aftermath
from .bucket import Bucket, Known
from .codecs.chain import RESERVED
from .infos import Entries, find_many
from .lookup import Entry, find, known_of
from .operation import StoreCall
from .parallel import each
from .record import ObjectMeta
from .versions import read_log, save

CHANGES = ('name', 'description', 'headers', 'metadata')


def check_changes(bucket: Bucket, changes: Any) -> dict[str, Any]:
    """Return the *changes* of a user, checked.

    Raises:
        TypeError, ValueError: one is unknown, or its value cannot be.
    """
    if not isinstance(changes, Mapping):
        raise TypeError(f'changes must be a mapping, not {type(changes).__name__}')
    checked: dict[str, Any] = {}
    for key, value in changes.items():
        if key == 'name':
            bucket.subjects.meta(value)
            checked[key] = value
        elif key == 'description':
            checked[key] = record.check_description(value)
        elif key == 'headers':
            checked[key] = record.check_headers(value)
        elif key == 'metadata':
            checked[key] = record.check_metadata(value)
        else:
            raise ValueError(f'unknown change {key!r}: it can be one of {", ".join(CHANGES)}')
    return checked


class Update:
    """One object's metadata being changed.

    Args:
        bucket: where.
        call: the user's call; its result is the metadata, or None where there is no such object.
        name: the object.
        changes: see ``check_changes``.
        expected_seq: the revision it must have; None: any.
    """

    def __init__(
        self,
        bucket: Bucket,
        call: StoreCall,
        name: str,
        changes: dict[str, Any],
        expected_seq: int | None,
    ) -> None:
        self._bucket = bucket
        self._call = call
        self._name = name
        self._changes = changes
        self._expected_seq = expected_seq
        self._new_name = changes.get('name', name)
        # Under the new name, where the old one is all that is left to be removed.
        self._half_done: Entry | None = None

    def start(self) -> None:
        """Read what is to be changed, from the leader."""
        names = self._name, self._new_name
        self._bucket.when_settled(names, lambda: self._bucket.writable(self._call, self._look))

    def _look(self) -> None:
        find(self._bucket, self._call, self._name, self._found, leader=True)

    def _found(self, entry: Entry | None) -> None:
        seq = entry.meta['seq'] if entry is not None else 0
        if self._expected_seq not in (None, seq):
            self._call.fail(WrongSequenceError(400, 10071, f'wrong last sequence: {seq}'))
        elif entry is None or entry.meta['deleted']:
            self._call.end(None, None)
        elif self._new_name == self._name:
            self._change(entry)
        else:
            find(
                self._bucket,
                self._call,
                self._new_name,
                lambda there: self._rename(entry, there),
                leader=True,
            )

    def _changed(self, entry: Entry) -> tuple[ObjectMeta, bytes]:
        """Return the new metadata, and its body."""
        changes = dict(self._changes)
        if 'metadata' in changes:
            # How its bytes are to be read belongs to them, not to the user.
            kept = {k: v for k, v in entry.meta['metadata'].items() if k in RESERVED}
            changes['metadata'] = {**changes['metadata'], **kept}
        fields = {key: value or None for key, value in changes.items()}
        meta: ObjectMeta = {**entry.meta, **changes}  # type: ignore[typeddict-item]
        if not meta['nuid']:  # a link of the JavaScript client has none, and others want one
            fields['nuid'] = meta['nuid'] = next_nuid()
        fields['bucket'] = self._bucket.name
        return meta, record.rewrite(entry.message['payload'], fields)

    def _change(self, entry: Entry) -> None:
        def failed(err: NatsError) -> bool:
            if isinstance(err, WrongSequenceError) and self._expected_seq is None:
                self._look()  # somebody else was first: what he wrote is changed then
                return True
            return False

        meta, payload = self._changed(entry)
        metas.publish(
            self._bucket,
            self._call,
            entry.message['subject'],
            meta,
            lambda stored: self._call.end(stored, None),
            expected=entry.meta['seq'],
            payload=payload,
            versions=record.versions_kept(entry.message),
            catch=failed,
        )

    # A new name.

    def _rename(self, entry: Entry, there: Entry | None) -> None:
        if there is not None and not there.meta['deleted']:
            if entry.meta['nuid'] and there.meta['nuid'] == entry.meta['nuid']:
                self._half_done = there
                self._too_late(self._call)
                self._remove_old(entry, there.meta)
            else:
                self._call.fail(metas.taken(self._new_name))
            return
        self._too_late(self._call)
        subject = self._bucket.subjects.meta(self._new_name)
        here = there is not None and there.message['subject'] == subject
        meta, payload = self._changed(entry)
        metas.publish(
            self._bucket,
            self._call,
            subject,
            meta,
            lambda stored: self._remove_old(entry, stored),
            expected=there.meta['seq'] if there is not None and here else 0,
            payload=payload,
            versions=record.versions_kept(entry.message),
            catch=lambda err: self._go_on_later(entry, err),
        )

    def _too_late(self, call: Call) -> None:
        """A rename that is cancelled in its midst would leave two names for one object."""
        call.on_cancel = self._too_late

    def _remove_old(self, entry: Entry, stored: ObjectMeta) -> None:
        """The new name stands: delete the old one, unless it is another object by now."""

        # A nuid of its own: whoever puts the old name again purges what its tombstone names.
        nuid = _nuid_of_grave(entry.meta['nuid'], self._new_name)
        grave = {**record.tombstone(entry.meta), 'nuid': nuid}

        def failed(err: NatsError) -> bool:
            if isinstance(err, WrongSequenceError):
                last = {'last_by_subj': entry.message['subject']}
                self._bucket.leader(self._call, last, lambda message: compare(message, err))
                return True
            return self._go_on_later(entry, err)

        def compare(message: StoredMessage | None, err: WrongSequenceError) -> None:
            if known_of(message, self._bucket.name).nuid == nuid:
                self._move_log(entry, stored)  # somebody else has ended the same rename
            elif self._half_done is not None:
                self._look()
            else:
                self._take_back(stored, lambda: self._call.fail(err))

        metas.publish(
            self._bucket,
            self._call,
            entry.message['subject'],
            grave,  # type: ignore[arg-type]
            lambda buried: self._look_back(entry, stored, buried['seq']),
            expected=entry.meta['seq'],
            catch=failed,
        )

    def _look_back(self, entry: Entry, stored: ObjectMeta, buried: int) -> None:
        """Did somebody give the object its old name back, just before that was removed?

        Then it has no name at all now, and whoever came last gives it one.
        """
        theirs = _nuid_of_grave(entry.meta['nuid'], self._name)

        def read(message: StoredMessage | None) -> None:
            known = known_of(message, self._bucket.name)
            if known.nuid == theirs and known.seq < buried:
                self._restore(entry, buried)
            else:
                self._move_log(entry, stored)

        subject = self._bucket.subjects.meta(self._new_name)
        self._bucket.leader(self._call, {'last_by_subj': subject}, read)

    def _restore(self, entry: Entry, buried: int) -> None:
        text = f'object {self._name!r} was renamed by somebody else at the same time'
        metas.publish(
            self._bucket,
            self._call,
            entry.message['subject'],
            entry.meta,
            lambda _: self._call.fail(WrongSequenceError(400, 10071, text)),
            expected=buried,
            payload=entry.message['payload'],
            versions=record.versions_kept(entry.message),
        )

    def _go_on_later(self, entry: Entry, err: NatsError) -> bool:
        """The call ends now. Two names must not stay, for each would delete the other's chunks."""
        nuid, bucket = entry.meta['nuid'], self._bucket
        unsure = isinstance(err, (DisconnectedError, RequestTimeout))
        if nuid and unsure and not bucket.nats.is_closed():
            settled = bucket.unsettled(self._name, self._new_name)
            call = StoreCall(bucket, lambda *_: settled())

            def look(known: Known | None) -> None:
                if known is None:
                    call.end()
                else:
                    Update(bucket, call, self._name, self._changes, None).end_rename(nuid)

            Aftermath(bucket, bucket.subjects.meta(self._new_name), look).start(now=True)
        return False

    def end_rename(self, nuid: str) -> None:
        """See to it that the object *nuid* has one name, where a rename has broken off."""
        names = self._name, self._new_name
        find_many(self._bucket, self._call, names, lambda entries: self._one_of_two(nuid, entries))

    def _one_of_two(self, nuid: str, entries: Entries) -> None:
        old, new = entries.get(self._name), entries.get(self._new_name)
        stands = new is not None and not new.meta['deleted'] and new.meta['nuid'] == nuid
        if old is not None and old.meta['nuid'] == nuid and not old.meta['deleted']:
            if new is not None and (stands or self._gone_from(new.meta, nuid)):
                self._remove_old(old, new.meta)
            else:
                self._call.end()  # the new name was never written, or the old one is the newest
        elif new is not None and stands and not self._is_grave(old, nuid):
            self._take_back(new.meta, self._call.end)
        else:
            self._call.end()

    def _gone_from(self, new: ObjectMeta, nuid: str) -> bool:
        """Had the object the new name, before it was deleted, or got yet another one?"""
        if not new['deleted'] or new['nuid'] == _nuid_of_grave(nuid, self._name):
            return False
        return new['nuid'] == nuid or new['nuid'].startswith(_prefix_of_graves(nuid))

    def _is_grave(self, old: Entry | None, nuid: str) -> bool:
        return old is not None and old.meta['nuid'] == _nuid_of_grave(nuid, self._new_name)

    def _take_back(self, stored: ObjectMeta, then: Callable[[], None]) -> None:
        """The object was replaced or deleted meanwhile, or renamed: it gets no new name here."""
        body = {'filter': self._bucket.subjects.meta(self._new_name), 'seq': stored['seq'] + 1}
        self._bucket.api(self._call, 'STREAM.PURGE', body, lambda _: then())

    def _renamed(self, stored: ObjectMeta) -> None:
        if self._half_done is None or self._changes.keys() == {'name'}:
            self._call.end(stored, None)
        else:
            self._change(self._half_done)  # who began may have made other changes

    # Earlier versions.

    def _move_log(self, entry: Entry, stored: ObjectMeta) -> None:
        """Earlier versions follow the new name."""
        if not record.versions_kept(entry.message):
            self._renamed(stored)
            return
        body = {'filter': self._bucket.subjects.log(self._name)}

        def moved() -> None:
            self._bucket.api(self._call, 'STREAM.PURGE', body, lambda _: self._renamed(stored))

        def move(version: Entry, done: Callable[[], None]) -> None:
            copy: StoredMessage = {**version.message, 'seq': version.meta['seq']}
            save(self._bucket, self._call, self._new_name, copy, lambda _: done())

        def read(entries: list[Entry]) -> None:
            each(self._call, reversed(entries), move, moved, window=1)

        read_log(self._bucket, self._call, self._name, read)


def _nuid_of_grave(nuid: str, new_name: str) -> str:
    """Return what the tombstone of a renamed object names: by it others know the rename."""
    return _prefix_of_graves(nuid) + hashlib.sha256(f'{nuid} {new_name}'.encode()).hexdigest()[:11]


def _prefix_of_graves(nuid: str) -> str:
    return hashlib.sha256(nuid.encode()).hexdigest()[:11]
