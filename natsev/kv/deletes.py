"""Removing what deleted keys leave behind."""

from __future__ import annotations

from collections import deque
from datetime import datetime, timedelta, timezone
from typing import Any

from ..calls import Call
from ..errors import NatsError
from ..jetstream import JetStream, Message
from .bucket import bucket_error
from .entry import operation_of
from .place import Place

# Purges under way at the same time.
_WINDOW = 32


class PurgeDeletes:
    """Purges the subjects of deleted keys, a few at a time; then ends *call*.

    Args:
        js: the ``JetStream``.
        place: the bucket.
        call: what it is for.
        older_than: ms; marks that are younger stay.
    """

    def __init__(self, js: JetStream, place: Place, call: Call, older_than: int) -> None:
        self._js = js
        self._place = place
        self._call = call
        # 0 means all, also those of a server whose clock is ahead of ours.
        self._keep_from = (
            datetime.now(timezone.utc) - timedelta(milliseconds=older_than) if older_than else None
        )
        self._marks: dict[str, bool] = {}  # subject -> the mark itself stays
        self._left: deque[tuple[str, bool]] = deque()
        self._under_way = 0
        self._keys = self._purged = 0

    def add(self, message: Message) -> None:
        """Take note of the last message of a key."""
        if operation_of(message.headers) == 'PUT':
            self._marks.pop(message.subject, None)
        else:
            young = self._keep_from is not None and message.timestamp > self._keep_from
            self._marks[message.subject] = young

    def start(self) -> None:
        """Purge."""
        self._left.extend(self._marks.items())
        self._go_on()

    def _go_on(self) -> None:
        while self._left and self._under_way < _WINDOW and not self._call.done:
            subject, keep = self._left.popleft()
            body: dict[str, Any] = {'filter': subject}
            if keep:
                body['keep'] = 1
            self._under_way += 1
            self._keys += not keep
            self._js.stream_purge(self._place.stream, body, self._done)
        if not self._under_way:
            self._call.end({'keys': self._keys, 'purged': self._purged}, None)

    def _done(self, reply: Any, err: NatsError | None) -> None:
        self._under_way -= 1
        if err is not None:
            self._call.fail(bucket_error(err, self._place.bucket))
        else:
            self._purged += reply.get('purged', 0)
            self._go_on()
