"""Reading messages of a stream by sequence or subject, without a consumer (ADR-31)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from time import monotonic
from typing import TYPE_CHECKING, Any, NamedTuple

from ..calls import Call
from ..codec import decode
from ..errors import JetStreamError, NatsError, NoResponders, RequestTimeout
from ..headers import Headers
from ..subjects import check_stream, check_subscription
from . import check, many
from .api import Api, Reply, or_fail, to_json
from .stored import direct_error, from_direct, from_leader, is_status
from .types import StoredMessage

if TYPE_CHECKING:
    from ..nats import Nats, PendingRequest

_SINGLE = ('seq', 'last_by_subj', 'next_by_subj', 'start_time')
_BATCH = ('seq', 'next_by_subj', 'start_time', 'batch', 'max_bytes')
_MULTI = ('multi_last', 'seq', 'batch', 'max_bytes', 'up_to_seq', 'up_to_time')
_TIMES = ('start_time', 'up_to_time')
# A longer subject may not fit into the request's own.
_LONG = 1024

AnyCallback = Callable[..., Any]
One = Callable[[StoredMessage | None, NatsError | None], None]


class BatchEnd(NamedTuple):
    """How a batch ended.

    Attributes:
        status: 204 at its end, or 404 when nothing (more) matches; 0 where the server is older than
            2.11 and sends one message and no end.
        pending: how many more match, as far as the server knows (too low by one on 2.11, at times).
        last_seq: sequence of the batch's last message.
        up_to_seq: for ``multi_last``: what to ask for with the next batch.
    """

    status: int
    pending: int
    last_seq: int
    up_to_seq: int


class DirectBatch:
    """One batched direct get on its way. ``cancel()`` gives it up silently.

    Args:
        nats: the client.
        subject: of the request.
        body: its JSON.
        on_message: called as ``on_message(payload, headers)`` for each message, in order.
        on_end: called once as ``on_end(end, err)`` with a ``BatchEnd``.
        timeout: ms without any progress.
    """

    def __init__(
        self,
        nats: Nats,
        subject: str,
        body: Mapping[str, Any],
        on_message: Callable[[bytes, Headers], Any],
        on_end: Callable[[BatchEnd | None, NatsError | None], Any],
        timeout: float,
    ) -> None:
        self._on_message = on_message
        self._on_end = on_end
        self._timeout = timeout / 1000
        self._open = True
        self._progress = monotonic()
        self._timer = nats.port.timer(self._look)
        self._replies = nats.replies(self._on_reply)
        try:
            nats.publish(subject, to_json(body), self._replies.subject)
        except BaseException:
            self.cancel()
            raise
        self._timer.start(self._timeout)

    def cancel(self) -> None:
        self._open = False
        self._timer.close()
        self._replies.close()

    def _look(self) -> None:
        # The timer is not started again for each message: it looks when the last one came.
        left = self._progress + self._timeout - monotonic()
        if left > 0:
            self._timer.start(left)
        else:
            self._end(None, RequestTimeout())

    def _end(self, end: BatchEnd | None, err: NatsError | None) -> None:
        if self._open:
            self.cancel()
            self._on_end(end, err)

    def _on_reply(
        self, payload: bytes | None, err: NatsError | None, headers: Headers | None
    ) -> None:
        if not self._open:
            return
        self._progress = monotonic()
        if err is not None:
            self._end(None, err)
        elif headers is None:
            self._end(None, JetStreamError(0, 0, 'the reply is not one of a direct get'))
        elif is_status(payload or b'', headers):
            self._on_status(headers)
        else:
            self._on_message(payload or b'', headers)
            if 'Nats-Num-Pending' not in headers:
                self._end(BatchEnd(0, 0, 0, 0), None)

    def _on_status(self, headers: Headers) -> None:
        status = headers.status
        if status in (204, 404):
            pending = _int(headers, 'Nats-Num-Pending')
            last_seq = _int(headers, 'Nats-Last-Sequence')
            up_to_seq = _int(headers, 'Nats-UpTo-Sequence')
            self._end(BatchEnd(status, pending, last_seq, up_to_seq), None)
        else:
            self._end(None, direct_error(headers))


def _int(headers: Headers, name: str) -> int:
    value = headers.last(name, '')
    return int(value) if value and value.isdigit() else 0


class Direct:
    """The part of ``JetStream`` that reads messages without a consumer."""

    _api: Api

    def stream_msg_get(self, stream: str, opts: Mapping[str, Any], cb: AnyCallback) -> Call:
        """Read one message from the stream's leader: what was acknowledged before is seen.

        Args:
            stream: the stream.
            opts: ``seq``; ``last_by_subj``; or ``next_by_subj`` and ``seq`` (at or after it).
            cb: called once as ``cb(message, err)`` with a ``StoredMessage``, which also has
                ``message``: the server's own record, as the original gives it.

        Errors:
            MessageNotFoundError, StreamNotFoundError.
        """
        check_stream(stream)
        body = _body(opts, _SINGLE, 'stream_msg_get')
        call = self._api.nats.call(cb)

        def replied(reply: Reply) -> None:
            message = from_leader(stream, reply)
            if isinstance(message, NatsError):
                call.fail(message)
            else:
                call.end({**message, 'message': reply['message']}, None)

        call.child = self._api.ask(f'STREAM.MSG.GET.{stream}', body, or_fail(call, replied))
        return call

    def direct_get(self, stream: str, opts: Mapping[str, Any], cb: AnyCallback) -> Call:
        """Read messages from any replica, which may lag behind the leader (ADR-31).

        A stream without ``allow_direct`` is read from its leader instead, and a server without
        batches (before 2.11) is asked for one message after the other.

        Args:
            stream: the stream.
            opts: for one message ``seq``, ``last_by_subj``, ``next_by_subj`` (with ``seq``: at or
                after it) or ``start_time`` (server 2.11). For several: ``batch`` (how many) with
                ``seq``, ``next_by_subj``, ``start_time``; or ``multi_last``, a list of subjects
                (at most 1024 that exist), with ``up_to_seq`` or ``up_to_time``. ``max_bytes``
                bounds what comes; without it all that was asked for comes, in several requests if
                need be.
            cb: called once as ``cb(message, err)`` with a ``StoredMessage``, or for several with a
                list of them in the order of their sequences.

        Errors:
            MessageNotFoundError: for one message only; of several, what is not there is left out.
            StreamNotFoundError.
            JetStreamError: 408 the request makes no sense, 413 too many subjects.
        """
        check_stream(stream)
        call = self._api.nats.call(cb)
        if 'multi_last' in opts:
            body = _body(opts, _MULTI, 'direct_get')
            many.Collection(self, call, stream, body).start()
        elif 'batch' in opts or 'max_bytes' in opts:
            body = _body(opts, _BATCH, 'direct_get')
            if 'start_time' not in body:
                body.setdefault('seq', 1)
            many.Collection(self, call, stream, body).start()
        else:
            body = _body(opts, _SINGLE, 'direct_get')
            call.child = self.direct_one(stream, body, call.end)
        return call

    def value(self, message: StoredMessage) -> Any:
        """Return the payload of a stored message decoded, with the codec; without one its bytes.

        Args:
            message: what ``stream_msg_get`` or ``direct_get`` gave; a ``Message`` has its own
                ``value``.

        Raises:
            CodecError: the codec refuses it.
        """
        if self._api.codec is None:
            return message['payload']
        what = f'message {message["seq"]} on {message["subject"]!r}'
        return decode(self._api.codec, message['payload'], what)

    def direct_batch(
        self,
        stream: str,
        body: Mapping[str, Any],
        on_message: Callable[[bytes, Headers], Any],
        on_end: Callable[[BatchEnd | None, NatsError | None], Any],
        timeout: float | None = None,
    ) -> DirectBatch:
        """Make one batched direct get and pass on the messages as they come.

        Args:
            stream: the stream.
            body: the request, sent as it is.
            on_message: called as ``on_message(payload, headers)``.
            on_end: called once as ``on_end(end, err)`` with a ``BatchEnd``.
            timeout: ms without any progress; default: that of the ``JetStream``.

        Errors:
            NoResponders: no such stream, or it does not allow direct gets.
            RequestTimeout, DisconnectedError, JetStreamError.
        """
        if timeout is None:
            timeout = self._api.timeout
        subject = self._api.subject(f'DIRECT.GET.{stream}')
        return DirectBatch(self._api.nats, subject, body, on_message, on_end, timeout)

    def direct_one(self, stream: str, body: Mapping[str, Any], then: One) -> Call:
        """Read one message by direct get, or from the leader where that is not allowed.

        Args:
            stream: the stream.
            body: the request.
            then: called once as ``then(message, err)``.
        """
        api = self._api
        call = api.nats.call(then)

        def replied(payload: bytes | None, err: NatsError | None, headers: Headers | None) -> None:
            if isinstance(err, NoResponders):
                api.step(call, f'STREAM.MSG.GET.{stream}', body, led)
                return
            message = err or from_direct(payload or b'', headers)
            if isinstance(message, NatsError):
                call.fail(message)
            else:
                call.end(message, None)

        def led(reply: Reply) -> None:
            message = from_leader(stream, reply)
            if isinstance(message, NatsError):
                call.fail(message)
            else:
                call.end(message, None)

        endpoint, payload = direct_request(stream, body)
        call.child = api.nats.request(api.subject(endpoint), payload, replied, api.timeout)
        return call

    def ask_last(self, request: PendingRequest, stream: str, subject: str) -> None:
        """Ask for the last message on *subject*, which has no wildcards; *request* awaits it."""
        api = self._api
        request.nats = api.nats
        request.subject = f'{api.prefix}.DIRECT.GET.{stream}.{subject}'
        api.nats.ask(request, b'', api.timeout, None)


def direct_request(stream: str, body: Mapping[str, Any]) -> tuple[str, bytes]:
    """Return the endpoint and the payload of the direct get *body*."""
    subject = body.get('last_by_subj', '')
    if len(body) == 1 and 0 < len(subject) <= _LONG and '*' not in subject and '>' not in subject:
        # With the subject in the subject, permissions can speak of it, and nobody parses JSON.
        return f'DIRECT.GET.{stream}.{subject}', b''
    return f'DIRECT.GET.{stream}', to_json(body)


def _body(given: Mapping[str, Any], known: tuple[str, ...], what: str) -> dict[str, Any]:
    body = check.options(given, known, what)
    if not body:
        raise ValueError(f'{what} needs one of {", ".join(known)}')
    for name, value in body.items():
        if name in _TIMES:
            body[name] = check.timestamp(value, name)
        elif name == 'multi_last':
            subjects = [value] if isinstance(value, str) else list(value)
            body[name] = [check_subscription(subject) for subject in subjects]
        elif name.endswith('_by_subj'):
            check_subscription(value)
        else:
            check.number(value, name, 1)
    return body
