"""Every error natsev reports.

    NatsError
    ├── ConnectError                 a server could not be reached, or refused the connection
    ├── ProtocolError                the peer's bytes are not the NATS protocol
    ├── ServerError                  an ``-ERR`` of the server
    │   ├── AuthenticationError      ... about who we are
    │   └── PermissionsError         ... about what we may publish or subscribe to
    ├── DisconnectedError            the connection was lost or closed first
    │   ├── StaleConnectionError     ... because the server stopped answering pings
    │   └── ForkedError              ... because it belongs to the process that forked this one
    ├── BufferFullError              the write or reconnect buffer is full
    ├── MaxPayloadError              larger than the server takes (also a ValueError)
    ├── SlowConsumerError            a subscription's pending limit was exceeded
    ├── RequestTimeout               no answer in time
    ├── NoResponders                 nobody listens on the subject
    ├── Cancelled                    the caller cancelled it
    ├── ServiceError                 an endpoint of a service answered with an error
    ├── CodecError                   a value could not be encoded or decoded
    ├── MissingExtraError            an optional package is not installed (also an ImportError)
    ├── JetStreamError               JetStream refused: code, err_code, description
    │   ├── JetStreamNotEnabledError
    │   ├── StreamNotFoundError
    │   │   └── BucketNotFoundError
    │   ├── StreamExistsError        another configuration has the name, or the subjects
    │   │   └── BucketExistsError
    │   ├── ConsumerNotFoundError
    │   ├── ConsumerExistsError
    │   ├── MessageNotFoundError
    │   ├── WrongSequenceError       an expected sequence or id did not hold: another was first
    │   ├── StorageFullError         a limit of the stream, account or server
    │   ├── TooManyRequestsError     429: the server asks to slow down
    │   ├── SealedError              the stream takes no changes any more
    │   └── UnsupportedOptionError   the server left an option out that it does not know
    ├── ConsumptionEnded             a consumption ended, with its reason
    └── ObjectStoreError
        ├── DigestMismatch           the bytes are not those that were stored
        ├── MissingChunks            the object's chunks are gone
        ├── ObjectChanged            replaced or deleted while it was read or written
        ├── NotModified              ``if_none_match`` matched
        ├── InvalidMetaError         a meta message that is not ADR-20
        └── LinkError                a link that cannot be followed

What the caller did wrong raises ``TypeError`` or ``ValueError`` at the call; what the server or
the network does arrives as one of these, in the ``err`` of a callback. Facts are attributes: nobody
need match text.
"""

from __future__ import annotations

import re
from typing import Any


class NatsError(Exception):
    """The base of every error that natsev reports. ``str(err)`` is one sentence."""

    text = 'nats error'

    def __init__(self, text: str | None = None) -> None:
        super().__init__(text if text is not None else self.text)


class ConnectError(NatsError):
    """A server could not be reached or refused the connection.

    Attributes:
        server: the address that was tried, without credentials.
    """

    text = 'cannot connect'

    def __init__(self, text: str | None = None, server: str | None = None) -> None:
        super().__init__(text)
        self.server = server


class ProtocolError(NatsError):
    """The bytes that came are not the NATS protocol; the connection that sent them is ended."""

    text = 'protocol error'


class ServerError(NatsError):
    """The server sent ``-ERR``. ``description`` is what stood between its quotes."""

    text = 'server error'

    def __init__(self, description: str) -> None:
        super().__init__(description)
        self.description = description


class AuthenticationError(ServerError):
    """The server does not accept our credentials (any more).

    Attributes:
        reason: ``'violation'``, ``'expired'``, ``'revoked'`` or ``'timeout'``, or
            ``'credentials'`` where we could not say who we are: a file was not readable, a
            callback raised.
    """

    def __init__(self, description: str, reason: str = 'violation') -> None:
        super().__init__(description)
        self.reason = reason


class PermissionsError(ServerError):
    """We may not publish or subscribe to a subject.

    Attributes:
        operation: ``'publish'`` or ``'subscription'``.
        subject: the subject that was refused.
        queue: the queue group that was refused, or None.
    """

    def __init__(
        self, description: str, operation: str = '', subject: str = '', queue: str | None = None
    ) -> None:
        super().__init__(description)
        self.operation = operation
        self.subject = subject
        self.queue = queue


_PERMISSIONS = re.compile(
    r'permissions violation for (publish|subscription) to "([^"]*)"(?: using queue "([^"]*)")?',
    re.IGNORECASE,
)


def server_error(text: str) -> ServerError:
    """Return the error for the text of an ``-ERR``."""
    lower = text.lower()
    found = _PERMISSIONS.search(text)
    if found is not None:
        return PermissionsError(text, found[1].lower(), found[2], found[3])
    if 'authentication expired' in lower:
        return AuthenticationError(text, 'expired')
    if 'authentication revoked' in lower:
        return AuthenticationError(text, 'revoked')
    if 'authentication timeout' in lower:
        return AuthenticationError(text, 'timeout')
    if 'authorization violation' in lower or 'authentication' in lower:
        return AuthenticationError(text, 'violation')
    return ServerError(text)


class DisconnectedError(NatsError):
    """The connection was lost or closed before the answer came.

    Attributes:
        reason: why it was lost, where that is known.
    """

    text = 'disconnected'

    def __init__(self, reason: str | None = None) -> None:
        super().__init__()
        self.reason = reason


class StaleConnectionError(DisconnectedError):
    """The server did not answer the last pings."""

    text = 'stale connection'


class ForkedError(DisconnectedError):
    """The client belongs to the process that forked this one; make a new one here."""

    text = 'the client belongs to the parent process: make a new one after the fork'


class BufferFullError(NatsError):
    """More is waiting to be written than the buffer may hold; nothing of this message was taken.

    Attributes:
        pending: bytes waiting.
        limit: bytes that may wait (``write_buffer_size``, or ``reconnect_buffer_size`` while away).
    """

    def __init__(self, pending: int, limit: int) -> None:
        super().__init__(f'buffer full: {pending} bytes waiting, limit {limit}')
        self.pending = pending
        self.limit = limit


class MaxPayloadError(NatsError, ValueError):
    """Headers and payload together are larger than the server takes.

    Attributes:
        size: bytes of headers and payload.
        limit: the server's ``max_payload``.
    """

    def __init__(self, size: int, limit: int) -> None:
        super().__init__(f'payload of {size} bytes exceeds the maximum payload of {limit}')
        self.size = size
        self.limit = limit


class SlowConsumerError(NatsError):
    """Messages of a subscription were dropped: more than its pending limit waited.

    Attributes:
        sid: the subscription.
        dropped: messages dropped so far.
    """

    def __init__(self, sid: int, dropped: int) -> None:
        super().__init__(f'slow consumer: subscription {sid} dropped {dropped} messages')
        self.sid = sid
        self.dropped = dropped


class RequestTimeout(NatsError):
    """No answer came in time."""

    text = 'request timeout'


class NoResponders(NatsError):
    """Nobody is subscribed to the subject of a request (status 503)."""

    text = 'no responders'


class Cancelled(NatsError):
    """The caller cancelled the call."""

    text = 'cancelled'


class ServiceError(NatsError):
    """An endpoint of a service answered with an error (ADR-32); a handler may raise it.

    Attributes:
        code: its number, such as 400; 0 where it is no number.
        description: the service's words.
        payload: more about it.
    """

    def __init__(self, code: int, description: str, payload: bytes = b'') -> None:
        super().__init__(f'{description} ({code})')
        self.code = code
        self.description = description
        self.payload = payload


class CodecError(NatsError, ValueError):
    """A value could not be encoded, or bytes could not be decoded."""


class MissingExtraError(NatsError, ImportError):
    """A feature needs a package that is not installed.

    Attributes:
        extra: the extra that brings it: ``pip install 'natsev[<extra>]'``.
    """

    def __init__(self, extra: str, feature: str) -> None:
        super().__init__(f"{feature} needs an extra: pip install 'natsev[{extra}]'")
        self.extra = extra


class JetStreamError(NatsError):
    """JetStream refused a request.

    Attributes:
        code: the HTTP-like code, such as 404.
        err_code: the server's own number for the error, such as 10059 (0 where it gave none).
        description: the server's words.
    """

    def __init__(self, code: int, err_code: int = 0, description: str = '') -> None:
        super().__init__(description or f'JetStream error {code}')
        self.code = code
        self.err_code = err_code
        self.description = description

    def __str__(self) -> str:
        numbers = [str(number) for number in (self.code, self.err_code) if number]
        return f'{self.args[0]} ({"/".join(numbers)})' if numbers else str(self.args[0])


class JetStreamNotEnabledError(JetStreamError):
    """JetStream is off for the server or the account."""


class StreamNotFoundError(JetStreamError):
    """There is no such stream."""


class BucketNotFoundError(StreamNotFoundError):
    """There is no such bucket."""


class StreamExistsError(JetStreamError):
    """The stream's name or subjects are taken by another configuration."""


class BucketExistsError(StreamExistsError):
    """The bucket exists with another configuration."""


class ConsumerNotFoundError(JetStreamError):
    """There is no such consumer."""


class ConsumerExistsError(JetStreamError):
    """The consumer exists already, or with another configuration."""


class MessageNotFoundError(JetStreamError):
    """There is no such message."""


class WrongSequenceError(JetStreamError):
    """An expected sequence or message id did not hold: somebody else was first."""


class StorageFullError(JetStreamError):
    """A limit of the stream, the account or the server is reached."""


class TooManyRequestsError(JetStreamError):
    """The server's queue for this stream is full (429); it asks to slow down."""


class SealedError(JetStreamError):
    """The stream is sealed: it takes no changes any more."""


class UnsupportedOptionError(JetStreamError):
    """The server made what was asked for, but without options that it does not know.

    Attributes:
        options: the options it left out.
        info: what it made.
    """

    def __init__(self, options: list[str], info: dict[str, Any]) -> None:
        super().__init__(0, 0, f'the server does not know, and left out: {", ".join(options)}')
        self.options = options
        self.info = info


_BY_ERR_CODE: dict[int, type[JetStreamError]] = {
    10002: StorageFullError,
    10013: ConsumerExistsError,
    10014: ConsumerNotFoundError,
    10023: StorageFullError,
    10028: StorageFullError,
    10037: MessageNotFoundError,
    10039: JetStreamNotEnabledError,
    10047: StorageFullError,
    10058: StreamExistsError,
    10059: StreamNotFoundError,
    10065: StreamExistsError,
    10070: WrongSequenceError,
    10071: WrongSequenceError,
    10076: JetStreamNotEnabledError,
    10077: StorageFullError,
    10105: ConsumerExistsError,
    10109: SealedError,
    10148: ConsumerExistsError,
    10149: ConsumerNotFoundError,
    10164: WrongSequenceError,
    10167: TooManyRequestsError,
}


def jetstream_error(error: dict[str, Any]) -> JetStreamError:
    """Return the error for the ``error`` object of a JetStream reply."""
    code, err_code = error.get('code', 0), error.get('err_code', 0)
    if not isinstance(code, int) or not isinstance(err_code, int):
        code, err_code = 0, 0
    kind = _BY_ERR_CODE.get(err_code, JetStreamError)
    return kind(code, err_code, str(error.get('description', '')))


class ConsumptionEnded(NatsError):
    """A consumption ended by itself. ``reason`` says why."""

    def __init__(self, reason: str) -> None:
        super().__init__(f'consumption ended: {reason}')
        self.reason = reason


class ObjectStoreError(NatsError):
    """The base of the object store's own errors.

    Attributes:
        bucket: the bucket.
        name: the object's name.
    """

    def __init__(
        self, text: str | None = None, *, bucket: str | None = None, name: str | None = None
    ) -> None:
        super().__init__(text)
        self.bucket = bucket
        self.name = name


class DigestMismatch(ObjectStoreError):
    """The bytes that came are not those that were stored."""

    text = 'digest mismatch'


class MissingChunks(ObjectStoreError):
    """The object's metadata is there, but not all of its chunks."""

    text = 'missing chunks'


class ObjectChanged(ObjectStoreError):
    """The object was replaced or deleted while it was read or written."""

    text = 'object changed'


class NotModified(ObjectStoreError):
    """The object still has the digest given as ``if_none_match``."""

    text = 'not modified'


class InvalidMetaError(ObjectStoreError):
    """A meta message that cannot be understood as ADR-20."""

    text = 'invalid object metadata'


class LinkError(ObjectStoreError):
    """A link that cannot be followed."""

    text = 'link cannot be followed'
