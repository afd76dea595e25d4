"""What is still to be done when a call has ended and nobody knows what became of a message of it.

The connection was lost, or the server fell silent. When it answers again, a fence is published:
what was sent before it has been dealt with when it is acknowledged. Then the leader knows.
"""

from __future__ import annotations

from collections.abc import Callable

from ..errors import RequestTimeout
from ..jetstream.types import StoredMessage
from ..nuid import next_nuid
from .bucket import Bucket, Known
from .lookup import known_of
from .purge import Purge
from .transfer import Transfer

# Without an answer for so many timeouts, and with the connection standing, none will come.
_MOST_IDLE = 6


class Aftermath(Transfer):
    """Looks, behind a fence, what stands on the subject of a meta.

    Args:
        bucket: where.
        subject: the subject.
        then: called as ``then(known)``; with None when the client is closed before, or no server
            answers.
        nuid: whose chunks are counted then.

    Attributes:
        chunks: how many there are.
    """

    def __init__(
        self,
        bucket: Bucket,
        subject: str,
        then: Callable[[Known | None], None],
        nuid: str | None = None,
    ) -> None:
        super().__init__(bucket, bucket.nats.call(lambda known, _err: then(known)))
        self.chunks = 0
        self._subject = subject
        self._nuid = nuid
        self._fence = next_nuid()
        self._idles = 0

    def _go_on(self) -> None:
        self._bucket.fence(self, self._fence, self._passed)

    def _passed(self) -> None:
        self._touch()
        self._bucket.leader(self, {'last_by_subj': self._subject}, self._read)

    def _read(self, message: StoredMessage | None) -> None:
        Purge(self._bucket, self._fence).start(now=True)
        known = known_of(message, self._bucket.name)

        def counted(chunks: int) -> None:
            self.chunks = chunks
            self._end(known, None)

        if self._nuid is None:
            self._end(known, None)
        else:
            self._bucket.count(self, self._nuid, counted)

    def _idle(self) -> None:
        self._idles += 1
        if self._idles >= _MOST_IDLE:
            self.fail(RequestTimeout())


def purge_if_deleted(bucket: Bucket, subject: str, nuid: str) -> None:
    """Purge the chunks of *nuid*, if the tombstone sent to *subject* was stored."""

    def look(known: Known | None) -> None:
        if known is not None and known.nuid == nuid and not known.live:
            Purge(bucket, nuid).start(now=True)

    Aftermath(bucket, subject, look).start(now=True)
