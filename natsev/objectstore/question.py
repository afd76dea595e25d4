"""A request to a stream, which may have no leader for a moment.

While replicas elect one, the server says that nobody is there (where there are no replicas that may
be for good: ADR-22 asks twice again), or that JetStream is unavailable for the moment, or it says
nothing at all and forgets the request.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from time import monotonic
from typing import TYPE_CHECKING, Any

from ..calls import Handle
from ..errors import JetStreamError, NatsError, NoResponders
from ..headers import Headers
from ..jetstream.api import parse_reply, to_json
from ..jetstream.direct import direct_request
from ..jetstream.stored import from_direct, from_leader
from ..loop import Timer
from .operation import Operation

if TYPE_CHECKING:
    from ..jetstream import JetStream
    from ..nats import Nats

_RETRIES = 2
_RETRY_AFTER = 0.25
# Errors that are of the moment: no leader; the same message id, being stored.
UNAVAILABLE, IN_PROCESS = 10008, 10158
# Seconds of silence before what can be asked twice is; doubled each time.
_PATIENCE = 0.5


class Question:
    """Asks until there is an answer: the first one counts. It is a ``Handle``.

    Args:
        nats: the client.
        op: what it is a step of.
        request: subject, payload and headers.
        then: called once as ``then(reply)``, with a dict or an error; not once *op* is done.
        twice: it does no harm when it is carried out twice: silence is not waited out.
        patient: where nobody is there, somebody will be.

    Attributes:
        asked: how many times it was sent.
    """

    _retries = _RETRIES

    def __init__(
        self,
        nats: Nats,
        op: Operation,
        request: tuple[str, bytes, bytes | None],
        then: Callable[[Any], Any],
        *,
        twice: bool = False,
        patient: bool = False,
    ) -> None:
        self._nats = nats
        self._op = op
        self._epoch = op.epoch
        self._request = request
        self._then = then
        self._twice = twice
        self._patient = patient
        self._patience = _PATIENCE
        self._outstanding: list[Handle] = []
        self._timer: Timer | None = None
        self._over = False
        timeout = op.request_timeout
        self._until = monotonic() + timeout / 1000 if timeout is not None else float('inf')
        self.asked = 0
        self._unanswered = 0

    def ask(self) -> None:
        """Send it.

        Raises:
            MaxPayloadError, ForkedError.
        """
        subject, payload, headers = self._request
        self.asked += 1
        self._unanswered += 1
        self._outstanding.append(
            self._nats.request(subject, payload, self._replied, self._op.request_timeout, headers)
        )
        if self._twice:
            self._again_after(self._patience)
            self._patience *= 2

    def cancel(self) -> None:
        """Do not wait for an answer any more."""
        self._over = True
        if self._timer is not None:
            self._timer.close()
        if self._unanswered:
            for request in self._outstanding:
                request.cancel()
        self._outstanding.clear()

    def _again_after(self, seconds: float) -> None:
        if self._timer is None:
            self._timer = self._nats.port.timer(self._again)
        self._timer.start(seconds)

    def _again(self) -> None:
        if not self._wanted():
            self.cancel()
        elif self._unanswered and not self._nats.is_connected():
            self._again_after(self._patience)  # it still waits here, to be sent
        else:
            try:
                self.ask()
            except NatsError as err:  # larger than a server reached meanwhile takes
                self._answered(err)

    def _wanted(self) -> bool:
        return not self._op.done and self._op.epoch == self._epoch

    def _replied(
        self, payload: bytes | None, err: NatsError | None, headers: Headers | None
    ) -> None:
        self._unanswered -= 1
        if self._over:
            return
        reply = err or self._read(payload or b'', headers)
        if not self._wanted():
            self.cancel()
        elif self._may_change(reply):
            self._again_after(_RETRY_AFTER)
        else:
            self._answered(reply)

    def _may_change(self, reply: Any) -> bool:
        """Is another answer to be expected, if it is asked again?"""
        if isinstance(reply, NoResponders) and self._retries:
            self._retries -= 1
            return True
        passing = (self._patient and isinstance(reply, NoResponders)) or (
            isinstance(reply, JetStreamError) and reply.err_code in (UNAVAILABLE, IN_PROCESS)
        )
        return passing and monotonic() < self._until

    def _read(self, payload: bytes, headers: Headers | None) -> Any:
        return parse_reply(payload, headers)

    def _answered(self, reply: Any) -> None:
        then = self._then
        del self._then  # it may lead back here
        self.cancel()
        then(reply)


class DirectQuestion(Question):
    """A direct get (ADR-31): one of several servers answers, with the message itself.

    Where that one is silent the leader is asked: of several servers it may be gone.

    Args:
        js: the JetStream client.
        op: what it is a step of.
        stream: the stream.
        body: which message is asked for.
        then: called once as ``then(message)``, with a message or an error; not once *op* is done.
        twice: silence is not waited out.
    """

    _retries = 0

    def __init__(
        self,
        js: JetStream,
        op: Operation,
        stream: str,
        body: Mapping[str, Any],
        then: Callable[[Any], Any],
        *,
        twice: bool,
    ) -> None:
        endpoint, payload = direct_request(stream, body)
        request = f'{js.prefix}.{endpoint}', payload, None
        super().__init__(js.nats, op, request, then, twice=twice)
        self._js = js
        self._stream = stream
        self._body = body

    def ask(self) -> None:
        if self.asked:
            subject = f'{self._js.prefix}.STREAM.MSG.GET.{self._stream}'
            self._request = subject, to_json(self._body), None
        super().ask()

    def _read(self, payload: bytes, headers: Headers | None) -> Any:
        if headers is not None:
            return from_direct(payload, headers)
        reply = parse_reply(payload, headers)
        return reply if isinstance(reply, NatsError) else from_leader(self._stream, reply)
