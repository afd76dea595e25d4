"""Giving an object another name: written under the new one, then removed under the old.

Whatever breaks in between, the object is there, under both names at worst. But two names must not
stay, for to delete one of them takes the chunks from the other: a rename that broke off goes on by
itself when the connection stands again, and what would change one of the names waits for that.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable

from ..calls import Call
from ..errors import DisconnectedError, NatsError, RequestTimeout, WrongSequenceError
from ..jetstream.types import StoredMessage
from ..nuid import next_nuid
from . import metas, record
from .aftermath import Aftermath
from .bucket import Bucket, Catch, Known
from .lookup import Entry, known_of
from .operation import StoreCall
from .parallel import each
from .record import ObjectMeta
from .versions import read_log, save

Then = Callable[[], None]
Overtaken = Callable[[WrongSequenceError], None]


class Rename:
    """The steps of a rename.

    Args:
        bucket: where.
        call: what they are steps of.
        entry: the object under its old name.
        new_name: the other one.
    """

    def __init__(self, bucket: Bucket, call: StoreCall, entry: Entry, new_name: str) -> None:
        self._bucket = bucket
        self._call = call
        self._entry = entry
        self._new_name = new_name
        self._subject = bucket.subjects.meta(new_name)

    def write(
        self, meta: ObjectMeta, payload: bytes, expected: int, then: Callable[[ObjectMeta], None]
    ) -> None:
        """Write *meta* under the new name, in place of *expected*, and remove the old one."""
        msg_id = next_nuid()

        def written(stored: ObjectMeta) -> None:
            self.remove(
                lambda: self.move_log(lambda: then(stored)),
                lambda err: self.take_back(stored['seq'], lambda: self._call.fail(err)),
                self.go_on_later,
            )

        self._too_late(self._call)
        metas.publish(
            self._bucket,
            self._call,
            self._subject,
            meta,
            written,
            expected=expected,
            payload=payload,
            versions=record.versions_kept(self._entry.message),
            catch=lambda err: self.go_on_later(err, msg_id),
            msg_id=msg_id,
        )

    def _too_late(self, call: Call) -> None:
        """A rename that is cancelled in its midst would leave two names for one object."""
        call.on_cancel = self._too_late

    def go_on_later(self, err: NatsError, msg_id: str | None = None) -> bool:
        """The call ends with *err*, the rename goes on.

        Args:
            err: why.
            msg_id: of what was written under the new name, where it is not known whether that was
                stored.
        """
        nuid, nats = self._entry.meta['nuid'], self._bucket.nats
        if nuid and _may_be_stored(err) and not nats.is_closed():
            _Ending(self._bucket, self._entry, self._new_name, msg_id).start()
        return False

    # The old name.

    def remove(self, then: Then, overtaken: Overtaken, catch: Catch) -> None:
        """Delete the old name, unless it is another object by now.

        Args:
            then: called when the object has its new name only.
            overtaken: called as ``overtaken(err)`` when the old name is another object.
            catch: as for ``Bucket.api``.
        """
        self._too_late(self._call)
        meta, message = self._entry
        # A nuid of its own: whoever puts the old name again purges what its tombstone names.
        nuid = _nuid_of_grave(meta['nuid'], self._new_name)
        grave: ObjectMeta = {**record.tombstone(meta), 'nuid': nuid}

        def failed(err: NatsError) -> bool:
            if isinstance(err, WrongSequenceError):
                last = {'last_by_subj': message['subject']}
                self._bucket.leader(self._call, last, lambda found: compare(found, err))
                return True
            return catch(err)

        def compare(found: StoredMessage | None, err: WrongSequenceError) -> None:
            if known_of(found, self._bucket.name).nuid == nuid:
                then()  # somebody else has ended the same rename
            else:
                overtaken(err)

        metas.publish(
            self._bucket,
            self._call,
            message['subject'],
            grave,
            lambda buried: self._look_back(buried['seq'], then),
            expected=meta['seq'],
            catch=failed,
        )

    def _look_back(self, buried: int, then: Then) -> None:
        """Did somebody give the object its old name back, just before that was removed?

        Then it has no name at all now, and whoever came last gives it one.
        """

        def read(message: StoredMessage | None) -> None:
            known = known_of(message, self._bucket.name)
            if _came_back(self._entry.meta, known) and known.seq < buried:
                self._restore(buried)
            else:
                then()

        self._bucket.leader(self._call, {'last_by_subj': self._subject}, read)

    def _restore(self, buried: int) -> None:
        meta, message = self._entry
        text = f'object {meta["name"]!r} was renamed by somebody else at the same time'
        metas.publish(
            self._bucket,
            self._call,
            message['subject'],
            meta,
            lambda _: self._call.fail(WrongSequenceError(400, 10071, text)),
            expected=buried,
            payload=message['payload'],
            versions=record.versions_kept(message),
        )

    # The new name.

    def take_back(self, seq: int, then: Then) -> None:
        """Remove *seq*: the object was replaced, deleted or renamed by somebody else meanwhile."""
        body = {'filter': self._subject, 'seq': seq + 1}
        self._bucket.api(self._call, 'STREAM.PURGE', body, lambda _: then())

    def move_log(self, then: Then) -> None:
        """Earlier versions follow the new name."""
        if not record.versions_kept(self._entry.message):
            then()
            return
        name = self._entry.meta['name']
        body = {'filter': self._bucket.subjects.log(name)}

        def moved() -> None:
            self._bucket.api(self._call, 'STREAM.PURGE', body, lambda _: then())

        def move(version: Entry, done: Then) -> None:
            copy: StoredMessage = {**version.message, 'seq': version.meta['seq']}
            save(self._bucket, self._call, self._new_name, copy, lambda _: done())

        def read(entries: list[Entry]) -> None:
            each(self._call, reversed(entries), move, moved, window=1)

        read_log(self._bucket, self._call, name, read)


class _Ending:
    """The end of a rename that broke off: the object gets one name.

    Args:
        bucket: where.
        entry: the object under its old name.
        new_name: the other one.
        msg_id: of what was written under that, where it is not known whether it was stored.
    """

    def __init__(self, bucket: Bucket, entry: Entry, new_name: str, msg_id: str | None) -> None:
        self._bucket = bucket
        self._entry = entry
        self._new_name = new_name
        self._msg_id = msg_id
        self._written = msg_id is None
        self._settled = bucket.unsettled(entry.meta['name'], new_name)

    def start(self) -> None:
        """Look what became of the new name, when the connection stands."""

        def look(known: Known | None) -> None:
            self._written |= bool(aftermath.stored_as)
            if known is None:
                self._settled()
            else:
                self._end(known)

        subject = self._bucket.subjects.meta(self._new_name)
        aftermath = Aftermath(self._bucket, subject, look, self._msg_id)
        aftermath.start(now=True)

    def _end(self, known: Known) -> None:
        call = StoreCall(self._bucket, self._ended)
        rename = Rename(self._bucket, call, self._entry, self._new_name)
        meta = self._entry.meta
        stands = known.live and known.nuid == meta['nuid']

        def end() -> None:
            call.end(None, None)

        def overtaken(_err: WrongSequenceError) -> None:
            if stands:
                rename.take_back(known.seq, end)
            else:
                end()

        if stands:
            rename.remove(lambda: rename.move_log(end), overtaken, lambda err: False)
        elif self._written and not _came_back(meta, known):
            # It has yet another name by now, or was replaced or deleted under the new one.
            rename.remove(end, overtaken, lambda err: False)
        else:
            end()  # the new name was never written, and will not be

    def _ended(self, _result: object, err: NatsError | None) -> None:
        if _may_be_stored(err) and not self._bucket.nats.is_closed():
            self.start()
        else:
            self._settled()


def _came_back(meta: ObjectMeta, new: Known) -> bool:
    """Has the object *meta* been renamed from its new name back to its own?

    Args:
        meta: under its own name.
        new: what is known of its new name.
    """
    return new.nuid == _nuid_of_grave(meta['nuid'], meta['name'])


def _may_be_stored(err: NatsError | None) -> bool:
    return isinstance(err, (DisconnectedError, RequestTimeout))


def _nuid_of_grave(nuid: str, new_name: str) -> str:
    """Return what the tombstone of a renamed object names: by it others know the rename."""
    prefix = hashlib.sha256(nuid.encode()).hexdigest()[:11]
    return prefix + hashlib.sha256(f'{nuid} {new_name}'.encode()).hexdigest()[:11]
