"""Reading metas as part of another operation: all of them, or the last of each name."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timezone
from typing import Any

from ...errors import NatsError, StreamNotFoundError
from ...jetstream import Message
from ...jetstream.stored import parse_time
from ...jetstream.types import StoredMessage
from ..bucket import Bucket
from ..listing import stored
from ..operation import Operation


def scan(
    bucket: Bucket,
    op: Operation,
    on_message: Callable[[StoredMessage], None],
    then: Callable[[], None],
    *,
    history: bool = False,
    subjects: str | None = None,
) -> None:
    """Read the metas that are there now, in the order of their sequences.

    Args:
        bucket: where.
        op: what it is a step of.
        on_message: called with each.
        then: called when all have come.
        history: all of them; else the last of each subject.
        subjects: where; None: where metas are.
    """

    def message(one: Message) -> None:
        if not op.done:
            on_message(stored(one))

    def caught_up() -> None:
        consumption.stop()
        if not op.done:
            then()

    def ended(err: NatsError | None) -> None:
        if isinstance(err, StreamNotFoundError):
            err = bucket.not_found(err)
        if err is not None:
            op.fail(err)

    consumption = bucket.js.ordered(
        bucket.stream,
        message,
        filter_subjects=subjects or bucket.subjects.metas + '>',
        deliver_policy='all' if history else 'last_per_subject',
        on_caught_up=caught_up,
        on_end=ended,
    )
    op.child = consumption


def server_time(info: dict[str, Any]) -> datetime:
    """Return the server's time in the reply to ``STREAM.INFO``, else our own (before 2.10)."""
    try:
        return parse_time(info['ts'])
    except (KeyError, TypeError, ValueError):
        return datetime.now(timezone.utc)
