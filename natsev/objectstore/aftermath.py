"""What is still to be done when a call has ended and nobody knows what became of a message of it.

The connection was lost, or the server fell silent. When it answers again, a fence is published:
what was sent before it has been dealt with when it is acknowledged. Then the leader knows.
"""

from __future__ import annotations

from collections.abc import Callable

from ..jetstream.api import Reply
from ..jetstream.types import StoredMessage
from ..nuid import next_nuid
from .bucket import Bucket, Known
from .lookup import known_of
from .purge import Purge
from .transfer import Background


class Aftermath(Background):
    """Looks, behind a fence, what stands on the subject of a meta.

    Args:
        bucket: where.
        subject: the subject.
        then: called as ``then(known)``; with None when the client is closed before, or no server
            answers.
        msg_id: of the message whose fate is not known. The fence has the same one: so it tells
            whether that was stored, and if not, it never will be.

    Attributes:
        stored_as: the sequence of that message; 0: it was not stored, or that is not known.
    """

    def __init__(
        self,
        bucket: Bucket,
        subject: str,
        then: Callable[[Known | None], None],
        msg_id: str | None = None,
    ) -> None:
        super().__init__(bucket, bucket.nats.call(lambda known, _err: then(known)))
        self.stored_as = 0
        self._subject = subject
        self._msg_id = msg_id
        self._fence = next_nuid()

    def _go_on(self) -> None:
        self._bucket.fence(self, self._fence, self._passed, self._msg_id)

    def _passed(self, ack: Reply) -> None:
        self._touch()
        seq = int(ack.get('seq') or 0)
        if self._msg_id is not None and ack.get('duplicate') and seq:
            self._bucket.leader(self, {'seq': seq}, lambda message: self._known(seq, message))
        else:
            self._look()

    def _known(self, seq: int, message: StoredMessage | None) -> None:
        """The id is that of *seq*, which may be the fence itself, sent twice."""
        fence = self._bucket.subjects.chunk(self._fence)
        if message is None or message['subject'] != fence:
            self.stored_as = seq
        self._look()

    def _look(self) -> None:
        self._bucket.leader(self, {'last_by_subj': self._subject}, self._read)

    def _read(self, message: StoredMessage | None) -> None:
        Purge(self._bucket, self._fence).start(now=True)
        self._end(known_of(message, self._bucket.name), None)


def purge_if_deleted(bucket: Bucket, subject: str, nuid: str, msg_id: str) -> None:
    """Purge the chunks of *nuid*, if the tombstone *msg_id*, sent to *subject*, was stored."""

    def look(known: Known | None) -> None:
        buried = known is not None and known.nuid == nuid and not known.live
        if buried or aftermath.stored_as:  # or it was replaced since
            Purge(bucket, nuid).start(now=True)

    aftermath = Aftermath(bucket, subject, look, msg_id)
    aftermath.start(now=True)
