"""Reading many keys: watches, lists of keys and histories (ADR-8)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from ..errors import CodecError, NatsError
from ..jetstream import Consumption, JetStream, Message
from .bucket import bucket_error
from .entry import Entry, operation_of
from .place import Place


class Watch:
    """Entries of a bucket as they come, until ``stop()``.

    It goes on by itself over lost connections and restarts of the server: no revision is left out
    and none comes twice.
    """

    def __init__(self, consumption: Consumption) -> None:
        self._consumption = consumption

    def stop(self) -> None:
        """End the watch; ``on_end(None)`` follows. Nothing is delivered any more."""
        self._consumption.stop()

    cancel = stop

    def pause(self) -> None:
        """Ask for no more for now; what is on its way still comes."""
        self._consumption.pause()

    def resume(self) -> None:
        """Ask for more again."""
        self._consumption.resume()

    @property
    def ended(self) -> bool:
        """Has it ended?"""
        return self._consumption.ended


def patterns_of(pattern: str | Sequence[str] | None) -> list[str]:
    """Return the patterns that an argument means: none and the empty one are all keys."""
    if pattern is None or pattern == '':
        return ['>']
    return [pattern] if isinstance(pattern, str) else list(pattern) or ['>']


def read(
    js: JetStream,
    place: Place,
    patterns: Sequence[str],
    on_message: Callable[[Message], None],
    on_caught_up: Callable[[], None],
    on_end: Callable[[NatsError | None], None],
    **deliver: Any,
) -> Consumption:
    """Start an ordered consumption of the keys that *patterns* match.

    Raises:
        TypeError, ValueError: an illegal pattern.
    """
    return js.ordered(
        place.stream,
        on_message,
        filter_subjects=list(dict.fromkeys(place.filter(pattern) for pattern in patterns)),
        on_caught_up=on_caught_up,
        on_end=lambda err: on_end(None if err is None else bucket_error(err, place.bucket)),
        **deliver,
    )


def entry_of(place: Place, message: Message, with_value: bool = True) -> Entry:
    """Return the entry that a delivered message is. What cannot be decoded is in its ``error``."""
    operation = operation_of(message.headers)
    key, value, error = place.stored_key_of(message.subject), None, None
    try:
        key = place.key_of(message.subject)
        if operation == 'PUT' and with_value:
            value = place.decode(key, message.payload)
    except CodecError as err:
        error = err
    time = message.timestamp
    return {
        'bucket': place.bucket,
        'key': key,
        'value': value,
        'revision': message.seq,
        'time': time,
        'created': time,
        'delta': message.pending,
        'operation': operation,
        'raw': message.payload,
        'error': error,
    }
