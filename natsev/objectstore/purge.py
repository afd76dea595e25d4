"""Purging the chunks of an object that is no more, while nobody waits for it."""

from __future__ import annotations

from typing import Any

from ..errors import DisconnectedError, NatsError, RequestTimeout
from .bucket import Bucket
from .operation import StoreCall

_MOST_TRIES = 3


def purge_in_background(bucket: Bucket, nuid: str) -> None:
    """Purge the chunks of *nuid*: written at once, and again when the connection is lost."""
    call = StoreCall(bucket, None)
    tries = 0

    def ask() -> None:
        bucket.purge(call, nuid, done, failed)

    def done(_reply: Any) -> None:
        call.end()

    def failed(err: NatsError) -> bool:
        nonlocal tries
        if isinstance(err, RequestTimeout):
            tries += 1
        elif not isinstance(err, DisconnectedError) or bucket.nats.is_closed():
            return False
        if tries >= _MOST_TRIES:
            return False
        ask()
        return True

    ask()
