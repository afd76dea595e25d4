"""Listing a bucket: the last metadata of every name, read through an ordered consumer.

What other clients left broken is passed over, and the end does not depend on any message being
readable: an empty bucket, one of tombstones only, and one whose newest message is rubbish all end.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..calls import Call
from ..errors import InvalidMetaError, NatsError, StreamNotFoundError
from ..jetstream import Consumption, Message
from ..jetstream.types import StoredMessage
from . import record
from .bucket import Bucket
from .record import ObjectMeta
from .transfer import Transfer


class Listing(Transfer):
    """One listing in progress.

    Args:
        bucket: the bucket.
        call: the user's call.
        deleted: tombstones too.
        prefix: only names that begin so.
        choose: makes the result of all that was found, by name.
    """

    def __init__(
        self,
        bucket: Bucket,
        call: Call,
        *,
        deleted: bool,
        prefix: str,
        choose: Callable[[dict[str, ObjectMeta]], Any],
    ) -> None:
        super().__init__(bucket, call)
        self._deleted = deleted
        self._prefix = prefix
        self._choose = choose
        self._found: dict[str, ObjectMeta] = {}
        self._consumption: Consumption | None = None

    def _go_on(self) -> None:
        if self._consumption is None:  # over a lost connection it goes on by itself
            self._consumption = self._bucket.js.ordered(
                self._bucket.stream,
                self._message,
                filter_subjects=self._bucket.subjects.metas + '>',
                deliver_policy='last_per_subject',
                on_caught_up=self._complete,
                on_end=self._failed,
            )

    def _message(self, message: Message) -> None:
        self._touch()
        try:
            meta = record.parse(stored(message), self._bucket.name)
        except InvalidMetaError:
            return
        if meta['name'].startswith(self._prefix):
            # One name in two spellings: the newer one counts.
            self._found[meta['name']] = meta

    def _complete(self) -> None:
        if not self._deleted:
            self._found = {name: m for name, m in self._found.items() if not m['deleted']}
        self._end(self._choose(self._found), None)

    def _failed(self, err: NatsError | None) -> None:
        if isinstance(err, StreamNotFoundError):
            err = self._bucket.not_found(err)
        if err is not None:
            self.fail(err)

    def _release(self) -> None:
        if self._consumption is not None:
            self._consumption.stop()


def stored(message: Message) -> StoredMessage:
    """Return a consumer's message as the stream holds it."""
    return {
        'stream': message.stream,
        'subject': message.subject,
        'seq': message.seq,
        'time': message.timestamp,
        'headers': message.headers,
        'payload': message.payload,
    }
