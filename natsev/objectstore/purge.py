"""Purging the chunks of an object that is no more."""

from __future__ import annotations

from typing import Any

from ..calls import Call
from .bucket import Bucket
from .transfer import Background

# What a lost connection had sent may still be on its way inside the server, for so many seconds.
_STRAGGLERS = 0.5


class Purge(Background):
    """One purge; when the connection is lost before its answer, it is asked for again.

    Args:
        bucket: where.
        nuid: the chunks' object.
        call: told when it is done; None: nobody waits for it.
        again: chunks may still arrive: purge behind a fence, and again a little later, until there
            are none.
    """

    def __init__(
        self, bucket: Bucket, nuid: str, *, call: Call | None = None, again: bool = False
    ) -> None:
        super().__init__(bucket, call or bucket.nats.call(None))
        self._nuid = nuid
        self._again = again
        self._first = True
        self._fenced = not again

    def _go_on(self) -> None:
        if self._fenced:
            self._bucket.purge(self, self._nuid, self._purged)
        else:
            self._bucket.fence(self, self._nuid, self._passed)

    def _passed(self, _ack: Any) -> None:
        self._fenced = True
        self._go_on()

    def _purged(self, reply: Any) -> None:
        first, self._first = self._first, False
        if self._again and (first or reply.get('purged')):
            self._wait(_STRAGGLERS, self._go_on)
        else:
            self._end(None, None)
