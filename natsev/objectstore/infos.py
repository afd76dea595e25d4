"""The metadata of many names in few round trips (ADR-31: ``multi_last``).

Hundreds of names are asked for in one request, first as this dialect spells them. Only what that
did not find is asked for in the spellings of other clients, and of the leader: who answered may lag
behind, or be a mirror in which the subjects are others.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from ..errors import InvalidMetaError, NatsError, RequestTimeout, StreamNotFoundError
from ..jetstream.types import StoredMessage
from .bucket import Bucket
from .lookup import Entry, entry_of
from .operation import Operation
from .parallel import each

# What one request asks for: a server answers for 1024 subjects, and takes no more than 1 MiB.
_MOST_SUBJECTS = 512
_MOST_BYTES = 256 * 1024
# ms to wait for the first answer where several servers may give it, and how often that is doubled.
_PATIENCE, _MOST_TRIES = 500, 3

Entries = dict[str, Entry]


def find_many(
    bucket: Bucket,
    op: Operation,
    names: Sequence[str],
    then: Callable[[Entries], None],
    *,
    strict: bool = True,
) -> None:
    """Read the metadata of *names*: ``then(entries)`` by name, tombstones included.

    Args:
        bucket: where.
        op: what it is a step of.
        names: the objects; each must be a name that this dialect can spell.
        then: called with what was found.
        strict: what cannot be understood ends *op*; else it is passed over.
    """
    found: Entries = {}

    def missing() -> list[str]:
        return [name for name in dict.fromkeys(names) if name not in found]

    def own() -> None:
        pairs = [(bucket.subjects.meta(name), name) for name in missing()]
        _Round(bucket, op, pairs, take_in, others).ask()

    def others() -> None:
        pairs = [
            (subject, name) for name in missing() for subject in bucket.subjects.other_metas(name)
        ]
        _Round(bucket, op, pairs, take_in, leader).ask()

    def leader() -> None:
        each(op, missing(), ask_leader, lambda: then(found))

    def ask_leader(name: str, done: Callable[[], None]) -> None:
        def answered(message: StoredMessage | None) -> None:
            if message is not None:
                take_in(name, message)
            if not op.done:
                done()

        bucket.leader(op, {'last_by_subj': bucket.subjects.meta(name)}, answered)

    def take_in(name: str, message: StoredMessage) -> None:
        try:
            entry = entry_of(bucket, name, message)
        except InvalidMetaError as err:
            if strict:
                op.fail(err)
            return
        if entry is not None:
            found.setdefault(name, entry)

    bucket.open(op, own)


class _Round:
    """Asks for the last message of each subject, as many at a time as one request takes."""

    def __init__(
        self,
        bucket: Bucket,
        op: Operation,
        pairs: Iterable[tuple[str, str]],
        take_in: Callable[[str, StoredMessage], None],
        then: Callable[[], None],
    ) -> None:
        self._bucket = bucket
        self._op = op
        self._epoch = op.epoch
        self._names: dict[str, list[str]] = {}
        for subject, name in pairs:
            self._names.setdefault(subject, []).append(name)
        self._left = iter(self._names)
        self._next = next(self._left, None)
        self._take_in = take_in
        self._then = then

    def ask(self) -> None:
        if self._op.done:
            return
        subjects = self._take()
        if not subjects:
            self._then()
            return
        self._request(subjects)

    def _request(self, subjects: list[str], tries: int = 0) -> None:
        bucket = self._bucket
        timeout = bucket.timeout
        if bucket.replicated and tries < _MOST_TRIES:
            timeout = min(timeout, _PATIENCE * 2**tries)  # the server asked may be gone: another

        def answered(messages: list[StoredMessage] | None, err: NatsError | None) -> None:
            if isinstance(err, RequestTimeout) and timeout < bucket.timeout:
                self._request(subjects, tries + 1)
            else:
                self._answered(messages, err)

        try:
            js = bucket.js.with_timeout(timeout)
            self._op.child = js.direct_get(bucket.stream, {'multi_last': subjects}, answered)
        except NatsError as err:
            self._op.fail(err)

    def _take(self) -> list[str]:
        subjects: list[str] = []
        size = 0
        while self._next is not None and len(subjects) < _MOST_SUBJECTS and size < _MOST_BYTES:
            subjects.append(self._next)
            size += len(self._next)
            self._next = next(self._left, None)
        return subjects

    def _answered(self, messages: list[StoredMessage] | None, err: NatsError | None) -> None:
        if self._op.done or self._op.epoch != self._epoch:
            return  # it has been asked again
        if isinstance(err, StreamNotFoundError):
            err = self._bucket.not_found(err)
        if err is not None:
            self._op.fail(err)
            return
        for message in messages or ():
            if self._bucket.lags(message):
                continue  # as if it were not there: the leader is asked
            for name in self._names[message['subject']]:
                self._take_in(name, message)
        self.ask()
