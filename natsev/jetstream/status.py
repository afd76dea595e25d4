"""The statuses that answer a pull request (ADR-13, ADR-37, ADR-42)."""

from __future__ import annotations

from enum import Enum, auto

from ..errors import ConsumerNotFoundError, JetStreamError, NatsError, NoResponders
from ..headers import Headers


class Kind(Enum):
    """What a status means for who pulls."""

    ALIVE = auto()  # a heartbeat: the request goes on
    EMPTY = auto()  # nothing (more) there for a request that does not wait
    ENDED = auto()  # the request ended as it should: its time, its bytes or its number is reached
    BUSY = auto()  # refused or given up for a reason that passes
    MOVED = auto()  # the consumer's server stops, or does not lead any more
    UNPINNED = auto()  # another client is the pinned one
    ABSENT = auto()  # nobody answers: no such consumer, or it is not back yet
    OVER_LIMIT = auto()  # the request is larger than the consumer allows
    FATAL = auto()  # it will never be served


_409 = {
    'message size exceeds maxbytes': Kind.ENDED,
    'batch completed': Kind.ENDED,
    'exceeded maxwaiting': Kind.BUSY,
    'server shutdown': Kind.MOVED,
    'leadership change': Kind.MOVED,
    'exceeded maxrequest': Kind.OVER_LIMIT,
}
_BY_STATUS = {
    100: Kind.ALIVE,
    404: Kind.EMPTY,
    408: Kind.ENDED,
    423: Kind.UNPINNED,
    503: Kind.ABSENT,
}


def kind_of(headers: Headers) -> Kind:
    """Return what a status means."""
    status = headers.status or 0
    if status == 409:
        description = headers.description.lower()
        for words, kind in _409.items():
            if description.startswith(words):
                return kind
        return Kind.FATAL
    return _BY_STATUS.get(status, Kind.FATAL)


def error_of(headers: Headers) -> NatsError:
    """Return the error that a status tells."""
    status, description = headers.status or 0, headers.description
    if status == 503:
        return NoResponders()
    if status == 409 and description.lower() == 'consumer deleted':
        return ConsumerNotFoundError(409, 0, 'consumer deleted')
    return JetStreamError(status, 0, description or f'status {status}')
