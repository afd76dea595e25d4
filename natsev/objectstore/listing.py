"""Listing a bucket: the last metadata of every name, read through an ordered consumer.

What other clients left broken is passed over, and the end does not depend on any message being
readable: an empty bucket, one of tombstones only, and one whose newest message is rubbish all end.

No more is held than the result: all names, or a page of them, or nothing where each is handed over
as it comes. A name that is found only where another client spells it is looked up once more: there
may be a meta, or a tombstone, where it should be, and that one counts, as it does for ``get``.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import islice
from typing import Any, Protocol

from ..calls import Call
from ..errors import InvalidMetaError, NatsError, StreamNotFoundError
from ..jetstream import Consumption, Message
from ..jetstream.types import StoredMessage
from . import record
from .bucket import Bucket
from .infos import Entries, find_many
from .record import ObjectMeta
from .transfer import Transfer

# Names that are looked up once more, at a time.
_MOST_DOUBTS = 500
# How many more than a page are gathered before the page is cut.
_SLACK = 1000


class Gatherer(Protocol):
    """What becomes of the names that are found."""

    def wants(self, name: str) -> bool:
        """May *name* be in the result?"""

    def add(self, name: str, item: Any) -> None:
        """*name* is there; *item* is what the user gets for it."""

    def result(self) -> Any:
        """Return what the user gets."""


class Page:
    """The first names behind a given one, in order.

    Args:
        prefix: names that begin otherwise are left out.
        after: names up to this one are left out.
        limit: at most so many; None: all.
    """

    def __init__(self, prefix: str, after: str | None, limit: int | None) -> None:
        self._prefix = prefix
        self._after = after or ''
        self._limit = limit
        self._found: dict[str, Any] = {}
        self._last: str | None = None  # names behind it were left out

    def wants(self, name: str) -> bool:
        return (
            name > self._after
            and (self._last is None or name <= self._last)
            and name.startswith(self._prefix)
        )

    def add(self, name: str, item: Any) -> None:
        self._found[name] = item
        if self._limit is not None and len(self._found) > self._limit + _SLACK:
            self._cut(self._limit)

    def _cut(self, limit: int) -> None:
        names = sorted(self._found)
        for name in names[limit:]:
            del self._found[name]
        self._last = names[limit - 1]

    def result(self) -> list[Any]:
        return [self._found[name] for name in sorted(self._found)[: self._limit]]


class Handed:
    """Hands each over as it comes, in no order.

    Args:
        prefix: names that begin otherwise are left out.
        hand: called with each item.
    """

    def __init__(self, prefix: str, hand: Callable[[Any], None]) -> None:
        self._prefix = prefix
        self._hand = hand
        self._count = 0

    def wants(self, name: str) -> bool:
        return name.startswith(self._prefix)

    def add(self, name: str, item: Any) -> None:
        self._count += 1
        self._hand(item)

    def result(self) -> int:
        return self._count


class Listing(Transfer):
    """One listing in progress.

    Args:
        bucket: the bucket.
        call: the user's call.
        gatherer: what becomes of what is found.
        details: metadata instead of names.
        deleted: tombstones too.
    """

    def __init__(
        self,
        bucket: Bucket,
        call: Call,
        gatherer: Gatherer,
        *,
        details: bool,
        deleted: bool,
    ) -> None:
        super().__init__(bucket, call)
        self._details = details
        self._deleted = deleted
        self._gatherer = gatherer
        self._doubts: dict[str, ObjectMeta] = {}  # by their subjects
        self._asking = False
        self._caught_up_once = self._all_read = False
        # The newest metadata read; and the sequence of the leader's, once it was asked.
        self._last_read: Message | None = None
        self._read_until: int | None = None
        self._consumption: Consumption | None = None

    def _go_on(self) -> None:
        if self._consumption is None:
            self._bucket.open(self, self._consume)
        elif self._asking:
            self._asking = False
            self._ask()
        elif self._caught_up_once and not self._all_read:
            self._caught_up()

    def _consume(self) -> None:
        if self._consumption is None:  # over a lost connection it goes on by itself
            self._consumption = self._bucket.js.ordered(
                self._bucket.stream,
                self._message,
                filter_subjects=self._bucket.subjects.metas + '>',
                deliver_policy='last_per_subject',
                on_caught_up=self._caught_up,
                on_end=self._failed,
            )

    def _message(self, message: Message) -> None:
        self._touch()
        if self.done:
            return
        name = None if self._details else record.live_name(message.payload, message.headers)
        if name is None:
            self._look_closer(message)
        elif self._gatherer.wants(name):
            if self._bucket.subjects.is_own(message.subject, name):
                self._gatherer.add(name, name)
            else:
                self._look_closer(message)
        self._last_read = message
        if self._bucket.replicated:
            self._bucket.saw(message.subject, message.seq)
        if self._read_until is not None:
            self._look_whether_all()

    def _look_closer(self, message: Message) -> None:
        name = record.leading_name(message.payload)
        if name is not None and not self._gatherer.wants(name):
            return
        try:
            meta = record.parse(stored(message), self._bucket.name)
        except InvalidMetaError:
            return
        if not self._gatherer.wants(meta['name']):
            return
        if self._bucket.subjects.is_own(message.subject, meta['name']):
            self._add(meta)
            return
        self._doubts[message.subject] = meta
        if len(self._doubts) >= _MOST_DOUBTS:
            self._ask()

    def _caught_up(self) -> None:
        """All is read that one server had. Of several, it may lag behind: the leader tells."""
        self._caught_up_once = True
        if self._bucket.replicated:
            last = {'last_by_subj': self._bucket.subjects.metas + '>'}
            self._bucket.leader(self, last, self._newest_read)
        else:
            self._all_read = True
            self._ask()

    def _newest_read(self, message: StoredMessage | None) -> None:
        self._read_until = message['seq'] if message is not None else 0
        self._look_whether_all()

    def _look_whether_all(self) -> None:
        read_up_to = 0 if self._last_read is None else self._last_read.seq
        if self._read_until is not None and read_up_to >= self._read_until:
            self._all_read = True
            self._ask()

    def _ask_again(self) -> None:
        if self._read_until is not None and not self._all_read:
            self._caught_up()  # the newest may be gone by now

    # Names where another client spells them.

    def _ask(self) -> None:
        if self._asking or self.done:
            return
        if not self._doubts:
            if self._all_read:
                self._end(self._gatherer.result(), None)
            return
        self._asking = True
        doubts = dict(islice(self._doubts.items(), _MOST_DOUBTS))
        find_many(
            self._bucket,
            self,
            [meta['name'] for meta in doubts.values()],
            lambda entries: self._asked(doubts, entries),
            strict=False,
        )

    def _asked(self, doubts: dict[str, ObjectMeta], entries: Entries) -> None:
        self._asking = False
        self._touch()
        for subject, meta in doubts.items():
            self._doubts.pop(subject, None)
            entry = entries.get(meta['name'])
            # What counts for this name may be another meta: that is read by itself.
            if entry is None or entry.message['subject'] == subject:
                self._add(meta)
        self._ask()

    def _add(self, meta: ObjectMeta) -> None:
        name = meta['name']
        # It was wanted when it came: a page may have been cut since.
        if (self._deleted or not meta['deleted']) and self._gatherer.wants(name):
            self._gatherer.add(name, meta if self._details else name)

    def _failed(self, err: NatsError | None) -> None:
        if isinstance(err, StreamNotFoundError):
            err = self._bucket.not_found(err)
        if err is not None:
            self.fail(err)

    # Of the user.

    def pause(self) -> None:
        super().pause()
        if self._consumption is not None:
            self._consumption.pause()

    def _resumed(self) -> None:
        if self._consumption is not None:
            self._consumption.resume()

    def _release(self) -> None:
        consumption, self._consumption = self._consumption, None
        if consumption is not None:
            consumption.stop()


def stored(message: Message) -> StoredMessage:
    """Return a consumer's message as the stream holds it."""
    delivery = message.delivery
    return {
        'stream': delivery.stream,
        'subject': message.subject,
        'seq': delivery.seq,
        'time': message.timestamp,
        'headers': message.headers,
        'payload': message.payload,
    }
