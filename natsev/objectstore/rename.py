"""Giving an object another name: written under the new one, then removed under the old.

Whatever breaks in between, the object is there, under both names at worst. But two names must not
stay, for to delete one of them takes the chunks from the other: a rename that broke off goes on by
itself when the connection stands again, and what would change one of the names waits for that.

Others may rename the object at the same time. Each step is a compare-and-set, and the old name is
removed by who has written the new one himself, after he had read the old. Who comes too late takes
back what he wrote, unless somebody has written it anew since, or relies on it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from enum import Enum, auto

from ..errors import DisconnectedError, NatsError, RequestTimeout, WrongSequenceError
from ..jetstream.types import StoredMessage
from ..nuid import next_nuid
from . import metas, record
from .aftermath import Aftermath
from .bucket import Bucket, Known
from .lookup import Entry, known_of
from .operation import StoreCall
from .parallel import each
from .record import ObjectMeta
from .versions import read_log, save

Then = Callable[[], None]
# Ends the message id of metadata that gave an object its name.
_NAMING = '.name'


class _Stage(Enum):
    WRITING = auto()  # the new name
    REMOVING = auto()  # the old one
    TAKING_BACK = auto()  # the new one: somebody else was first
    MOVING = auto()  # the log of earlier versions


class Rename:
    """One object being renamed. Once begun it is not cancelled.

    Args:
        bucket: where.
        entry: the object under its old name.
        new_name: the other one.
        done: called once as ``done(err)``.
    """

    def __init__(
        self,
        bucket: Bucket,
        entry: Entry,
        new_name: str,
        done: Callable[[NatsError | None], object],
    ) -> None:
        self._bucket = bucket
        self._entry = entry
        self._new_name = new_name
        self._done: Callable[[NatsError | None], object] | None = done
        self._subject = bucket.subjects.meta(new_name)
        self._nuid = entry.meta['nuid']
        self._stage = _Stage.WRITING
        self._call = StoreCall(bucket, self._ended)  # what the steps are steps of
        self._msg_id = ''  # of what was published last
        self._seq = 0  # of the new name, as we wrote it
        self._stands = True  # the new name is still the object's, for all that is known
        self._err: NatsError | None = None  # why the new name is taken back
        self._settled: Then | None = None  # set once it has broken off

    def write(self, meta: ObjectMeta, payload: bytes, there: Entry | None) -> None:
        """Write *meta* under the new name, in place of what is *there*, and remove the old one."""
        if there is not None and not there.meta['deleted']:
            self._subject = there.message['subject']  # it may be spelled in another way
        here = there is not None and there.message['subject'] == self._subject
        self._msg_id = next_nuid() + _NAMING
        metas.publish(
            self._bucket,
            self._call,
            self._subject,
            meta,
            lambda stored: self._written(stored['seq']),
            expected=there.meta['seq'] if there is not None and here else 0,
            payload=payload,
            versions=record.versions_kept(self._entry.message),
            msg_id=self._msg_id,
        )

    def _written(self, seq: int) -> None:
        self._seq = seq
        self._remove()

    def _remove(self) -> None:
        """Delete the old name, unless it is another object by now."""
        self._stage = _Stage.REMOVING
        meta, message = self._entry
        subject = message['subject']

        def refused(err: WrongSequenceError) -> None:
            last = {'last_by_subj': subject}
            self._bucket.leader(self._call, last, lambda found: self._overtaken(found, err))

        self._bury(subject, _grave(meta, self._new_name), meta['seq'], self._move_log, refused)

    def _overtaken(self, found: StoredMessage | None, err: WrongSequenceError) -> None:
        known = known_of(found, self._bucket.name)
        if known.seq == self._entry.meta['seq']:
            self._remove()  # what was on its way to it was not stored
        elif known.nuid in (_nuid_of_grave(self._nuid, self._new_name), _nuid_of_grave(self._nuid)):
            self._move_log()  # somebody else has removed it, too; or had written it, too late
        elif known.live and known.nuid == self._nuid and _gave_a_name(found):
            self._call.fail(err)  # whoever gave it back its old name removes the new one
        else:
            self._err = err
            self._take_back()

    def _take_back(self) -> None:
        """The object was replaced, deleted or renamed meanwhile: it gets no new name here."""
        self._stage = _Stage.TAKING_BACK
        grave: ObjectMeta = {**_grave(self._entry.meta), 'name': self._new_name}
        # Refused, it is somebody else's by now.
        self._bury(self._subject, grave, self._seq, self._end, lambda _: self._end())

    def _bury(
        self,
        subject: str,
        grave: ObjectMeta,
        expected: int,
        then: Then,
        refused: Callable[[WrongSequenceError], None],
    ) -> None:
        """Write a tombstone in place of *expected*; ``refused(err)``, if that is not there."""

        def failed(err: NatsError) -> bool:
            if isinstance(err, WrongSequenceError):
                refused(err)
                return True
            return False

        self._msg_id = next_nuid()
        metas.publish(
            self._bucket,
            self._call,
            subject,
            grave,
            lambda _: then(),
            expected=expected,
            catch=failed,
            msg_id=self._msg_id,
        )

    def _move_log(self) -> None:
        """Earlier versions follow the new name."""
        self._stage = _Stage.MOVING
        if not (self._stands and record.versions_kept(self._entry.message)):
            self._end()
            return
        name = self._entry.meta['name']
        body = {'filter': self._bucket.subjects.log(name)}

        def moved() -> None:
            self._bucket.api(self._call, 'STREAM.PURGE', body, lambda _: self._end())

        def move(version: Entry, done: Then) -> None:
            copy: StoredMessage = {**version.message, 'seq': version.meta['seq']}
            save(self._bucket, self._call, self._new_name, copy, lambda _: done())

        def read(entries: list[Entry]) -> None:
            each(self._call, reversed(entries), move, moved, window=1)

        read_log(self._bucket, self._call, name, read)

    # The end.

    def _end(self) -> None:
        self._call.end(None, self._err)

    def _ended(self, _result: None, err: NatsError | None) -> None:
        done, self._done = self._done, None
        unsure = isinstance(err, (DisconnectedError, RequestTimeout))
        if unsure and self._nuid and not self._bucket.nats.is_closed():
            if self._settled is None:
                names = self._entry.meta['name'], self._new_name
                self._settled = self._bucket.unsettled(*names)
            self._go_on_later()
        elif self._settled is not None:
            self._settled()
        if done is not None:
            done(err)

    def _go_on_later(self) -> None:
        """Go on when the connection stands, and it is known what became of the last step."""

        def look(known: Known | None) -> None:
            if known is None:
                assert self._settled is not None
                self._settled()
            else:
                self._stands = known.live and known.nuid == self._nuid
                self._call = StoreCall(self._bucket, self._ended)
                self._go_on(aftermath.stored_as)

        aftermath = Aftermath(self._bucket, self._subject, look, self._msg_id)
        aftermath.start(now=True)

    def _go_on(self, stored_as: int) -> None:
        """Go on from the step that broke off; it was stored as *stored_as*, or never will be."""
        if self._stage is _Stage.TAKING_BACK:
            self._take_back()
        elif self._stage is _Stage.MOVING or (self._stage is _Stage.REMOVING and stored_as):
            self._move_log()
        elif self._stage is _Stage.REMOVING:
            self._remove()
        elif stored_as:
            self._written(stored_as)
        else:
            self._end()


def _grave(meta: ObjectMeta, new_name: str = '') -> ObjectMeta:
    # A nuid of its own: whoever puts the old name again purges what its tombstone names.
    return {**record.tombstone(meta), 'nuid': _nuid_of_grave(meta['nuid'], new_name)}


def _nuid_of_grave(nuid: str, new_name: str = '') -> str:
    """Return what the tombstone of the object *nuid* names, after a rename to *new_name*.

    By it others know the rename. '': the name was taken back.
    """
    return hashlib.sha256(f'{nuid} {new_name}'.encode()).hexdigest()[:22]


def _gave_a_name(message: StoredMessage | None) -> bool:
    """Was it written by a rename?"""
    headers = None if message is None else message['headers']
    return headers is not None and (headers.get('Nats-Msg-Id') or '').endswith(_NAMING)
