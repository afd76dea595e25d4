"""Messages as a stream holds them: direct gets and the leader's answers, read alike (ADR-31)."""

from __future__ import annotations

import re
from base64 import b64decode
from collections.abc import Sequence
from datetime import datetime, timezone
from typing import Any

from ..errors import JetStreamError, MessageNotFoundError, NatsError
from ..headers import Headers
from .api import malformed, status_error
from .types import StoredMessage

# The fraction has 0 to 9 digits; servers before 2.10 wrote a blank for T, and ' +0000 UTC' for Z.
_TIME = re.compile(
    r'(\d{4}-\d\d-\d\d)[T ](\d\d:\d\d:\d\d)(?:\.(\d+))? ?(Z|[+-]\d\d:?\d\d)(?: UTC)?'
)
# What a server puts behind the headers of a message that it sends; the last lines are of batches.
_ADDED = re.compile(
    r'\r\nNats-Stream: ([^\r\n]+)\r\nNats-Subject: ([^\r\n]+)\r\nNats-Sequence: ([0-9]+)'
    r'\r\nNats-Time-Stamp: ([^\r\n]+)\r\n'
    r'(?:Nats-Num-Pending: [0-9]+\r\nNats-Last-Sequence: [0-9]+\r\n)?\r\n'
)


def parse_time(text: str) -> datetime:
    """Return the aware datetime of an RFC 3339 time, cut to microseconds.

    Raises:
        ValueError: it is not one.
    """
    found = _TIME.fullmatch(text)
    if found is None:
        raise ValueError(f'not a time: {text[:64]!r}')
    date, clock, fraction, zone = found.groups()
    micros = ((fraction or '') + '000000')[:6]
    zone = '+00:00' if zone == 'Z' else f'{zone[:3]}:{zone[-2:]}'
    return datetime.fromisoformat(f'{date}T{clock}.{micros}{zone}').astimezone(timezone.utc)


def is_status(payload: bytes, headers: Headers | None) -> bool:
    """Is this a status of the server, and not a message that looks like one?

    A stored message may begin with a status line; what the server adds tells them apart.
    """
    return (
        not payload
        and headers is not None
        and headers.status is not None
        and 'Nats-Stream' not in headers
    )


def from_direct(payload: bytes, headers: Headers | None) -> StoredMessage | NatsError:
    """Return the message of a direct get's reply, or the error it tells. Never raises."""
    if headers is None:
        return malformed()
    try:
        stream, subject, seq, time = _added(headers)
        return {
            'stream': stream,
            'subject': subject,
            'seq': int(seq),
            'time': parse_time(time),
            'headers': headers,
            'payload': payload,
        }
    except (KeyError, ValueError):
        return direct_error(headers) if is_status(payload, headers) else malformed()


def _added(headers: Headers) -> Sequence[str]:
    """Return stream, subject, sequence and time, which the server added to a message.

    Of its headers the last counts: a publisher may have stored such headers too.
    """
    raw = headers.raw
    end = raw[raw.rfind(b'\r\nNats-Stream: ') :].decode(errors='surrogateescape')
    found = _ADDED.fullmatch(end)
    if found is not None:
        return found.groups()
    last = dict(headers.pairs())  # another server, or an older one, may order them otherwise
    return [last[f'Nats-{name}'] for name in ('Stream', 'Subject', 'Sequence', 'Time-Stamp')]


def is_plainly_on(subject: str, headers: Headers | None) -> bool:
    """Is this reply to a direct get, beyond doubt, a message on *subject*? False: look closer."""
    if headers is None:
        return False
    raw = headers.raw
    return (
        raw.startswith(b'NATS/1.0\r\n')
        and raw.count(b'Nats-Subject: ') == 1  # by the server, then
        and b'\r\nNats-Subject: %b\r\n' % subject.encode() in raw
    )


def direct_error(headers: Headers) -> NatsError:
    """Return the error for a status that answers a direct get."""
    if headers.status == 404:
        return not_found()
    return status_error(headers)


def not_found() -> MessageNotFoundError:
    """Return the error for a message that is not there, with the server's numbers."""
    return MessageNotFoundError(404, 10037, 'no message found')


def from_leader(stream: str, reply: dict[str, Any]) -> StoredMessage | JetStreamError:
    """Return the message in the reply to ``STREAM.MSG.GET``. Never raises."""
    message = reply.get('message')
    try:
        if not isinstance(message, dict):
            return malformed()
        block = b64decode(message.get('hdrs') or '')
        return {
            'stream': stream,
            'subject': str(message['subject']),
            'seq': int(message['seq']),
            'time': parse_time(message['time']),
            'headers': Headers(block) if block else None,
            'payload': b64decode(message.get('data') or ''),
        }
    except (KeyError, TypeError, ValueError):
        return malformed()
