"""Changing an object's metadata, its name included (ADR-20).

What the user does not change stays byte for byte as it was written, fields of other clients that we
know nothing of included.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..calls import Call
from ..errors import NatsError, WrongSequenceError
from ..nuid import next_nuid
from . import metas, record
from .bucket import Bucket
from .codecs.chain import RESERVED
from .lookup import Entry, find
from .operation import StoreCall
from .record import ObjectMeta
from .rename import Rename

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
        source, half_done = entry, False
        if there is not None and not there.meta['deleted']:
            # Who began, and left two names, may have made other changes.
            source, half_done = there, entry.meta['nuid'] == there.meta['nuid'] != ''
            if not half_done:
                self._call.fail(metas.taken(self._new_name))
                return
        meta, payload = self._changed(source)

        def ended(err: NatsError | None) -> None:
            if half_done and isinstance(err, WrongSequenceError):
                self._look()  # one of the names is another object by now
            elif err is not None:
                self._call.fail(err)
            else:
                self._call.end(meta, None)

        self._too_late(self._call)
        Rename(self._bucket, entry, self._new_name, ended).write(meta, payload, there)

    def _too_late(self, call: Call) -> None:
        """A rename that is cancelled in its midst would leave two names for one object."""
        call.on_cancel = self._too_late
