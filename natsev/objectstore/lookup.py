"""Finding an object's metadata: under every spelling of its name, and through links."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

from ..errors import InvalidMetaError, LinkError
from ..jetstream.types import StoredMessage
from . import record
from .bucket import NOTHING, Bucket, Known
from .operation import Operation
from .record import Link, ObjectMeta


class Entry(NamedTuple):
    """An object's metadata, and the message it stands in."""

    meta: ObjectMeta
    message: StoredMessage


Found = Callable[['Entry | None'], None]
Resolved = Callable[[Bucket, 'ObjectMeta | None'], None]
# Longer chains of links are taken for an error, as file systems do.
_MOST_LINKS = 40


def find(bucket: Bucket, op: Operation, name: str, then: Found, *, leader: bool = False) -> None:
    """Read the metadata of *name*: ``then(entry)``, a tombstone included; None: there is none.

    Args:
        bucket: where.
        op: what it is a step of.
        name: the object's name.
        then: called with what was found.
        leader: whether the leader must be asked: other servers may lag behind.
    """
    subject = bucket.subjects.meta(name)

    def opened() -> None:
        if leader:
            bucket.leader(op, {'last_by_subj': subject}, found)
        else:
            bucket.last(op, subject, found)

    def found(message: StoredMessage | None) -> None:
        if message is None:
            # A mirror may have answered, in which the subject is another: the leader knows.
            sure = leader or bucket.replicated or not bucket.allow_direct
            _find_elsewhere(bucket, op, name, then, None if sure else subject)
            return
        entry = _parsed(bucket, op, name, message)
        if entry is None and not op.done:
            _find_elsewhere(bucket, op, name, then)
        elif not op.done:
            _learn(bucket, subject, entry)
            then(entry)

    bucket.open(op, opened)


def _find_elsewhere(
    bucket: Bucket, op: Operation, name: str, then: Found, own: str | None = None
) -> None:
    """Look at the subjects that other clients give this name, all at once.

    Args:
        bucket, op, name, then: as for ``find``.
        own: the subject where the name should be, for the leader to look at once more.
    """
    others = bucket.subjects.other_metas(name)
    subjects = others if own is None else [own, *others]
    answers: dict[str, StoredMessage | None] = {}

    def answered(subject: str) -> Callable[[StoredMessage | None], None]:
        def found(message: StoredMessage | None) -> None:
            answers[subject] = message
            if len(answers) == len(subjects):
                choose()

        return found

    def choose() -> None:
        entry = None
        for subject in subjects:
            message = answers[subject]
            if message is not None and entry is None and not op.done:
                entry = _parsed(bucket, op, name, message)
                if subject == own:
                    _learn(bucket, subject, entry)
        if not op.done:
            then(entry)

    if not subjects:
        then(None)
    if own is not None:
        bucket.leader(op, {'last_by_subj': own}, answered(own))
    for subject in others:
        bucket.last(op, subject, answered(subject))


def entry_of(bucket: Bucket, name: str, message: StoredMessage) -> Entry | None:
    """Return what *message* says of *name*, None when it is the meta of another name.

    Raises:
        InvalidMetaError: it cannot be understood.
    """
    meta = record.parse(message, bucket.name)
    # Another dialect may spell another name the same way.
    return Entry(meta, message) if meta['name'] == name else None


def _parsed(bucket: Bucket, op: Operation, name: str, message: StoredMessage) -> Entry | None:
    """Return ``entry_of``; an invalid one ends *op*."""
    try:
        return entry_of(bucket, name, message)
    except InvalidMetaError as err:
        op.fail(err)
        return None


def _learn(bucket: Bucket, subject: str, entry: Entry | None) -> None:
    if entry is not None:
        bucket.learn(subject, _known(entry.meta, entry.message))


def meta_of(message: StoredMessage | None, bucket: str) -> ObjectMeta | None:
    """Return the live object in *message*; None: it is none, or a link, or cannot be read."""
    if message is None:
        return None
    try:
        meta = record.parse(message, bucket)
    except InvalidMetaError:
        return None
    return None if meta['deleted'] or 'link' in meta['options'] else meta


def known_of(message: StoredMessage | None, bucket: str) -> Known:
    """Return what *message*, the last meta on its subject, says of what is there."""
    if message is None:
        return NOTHING
    try:
        meta = record.parse(message, bucket)
    except InvalidMetaError:  # of another client: there is something, but nothing to purge
        return Known(message['seq'], None, True)
    return _known(meta, message)


def _known(meta: ObjectMeta, message: StoredMessage) -> Known:
    versions = record.versions_kept(message)
    return Known(meta['seq'], meta['nuid'] or None, not meta['deleted'], versions)


def resolve(
    bucket: Bucket, op: Operation, name: str, then: Resolved, *, leader: bool = False
) -> None:
    """Read the metadata of *name*, following links: ``then(bucket, meta)`` where they lead.

    Arguments as for ``find``.
    """
    _Resolution(bucket, op, name, then, leader).look(bucket, name)


class _Resolution:
    """A name on its way through links. Arguments as for ``resolve``."""

    def __init__(
        self, bucket: Bucket, op: Operation, name: str, then: Resolved, leader: bool
    ) -> None:
        self._bucket = bucket
        self._op = op
        self._name = name
        self._then = then
        self._leader = leader
        self._seen: list[tuple[str, str]] = []

    def look(self, where: Bucket, wanted: str) -> None:
        """Look for *wanted* in *where*."""
        self._seen.append((where.name, wanted))
        found = partial(self._found, where)
        find(where, self._op, wanted, found, leader=self._leader)

    def _found(self, where: Bucket, entry: Entry | None) -> None:
        meta = entry.meta if entry is not None else None
        link = None if meta is None or meta['deleted'] else meta['options'].get('link')
        if link is None:
            self._then(where, meta)
        else:
            self._follow(where, link)

    def _follow(self, where: Bucket, link: Link) -> None:
        name, target = self._name, link.get('name')
        if not target:
            self._fail(f'{name!r} is a link to the bucket {link["bucket"]!r}')
        elif (link['bucket'], target) in self._seen:
            self._fail(f'{name!r} is a link that leads back to itself')
        elif len(self._seen) > _MOST_LINKS:
            self._fail(f'{name!r} leads through more than {_MOST_LINKS} links')
        else:
            try:
                other = (
                    where if link['bucket'] == where.name else self._bucket.other(link['bucket'])
                )
                other.subjects.meta(target)
            except ValueError as exc:
                self._fail(f'{name!r} is a link that leads nowhere: {exc}')
            else:
                self.look(other, target)

    def _fail(self, text: str) -> None:
        self._op.fail(LinkError(text, bucket=self._bucket.name, name=self._name))
