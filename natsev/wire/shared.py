"""What both twins of the wire share: the limits, and the words of their errors.

The compiled twin has the limits again in ``_speedups.h``; the tests of each limit run on both.
"""

from __future__ import annotations

import re
from typing import Any, NamedTuple

from ..errors import ProtocolError

# Big enough for one recv to bring hundreds of small messages, small enough to stay in the cache.
RECEIVE_BUFFER = 256 * 1024
# Never offer less than this to recv: calls would outweigh what they bring.
LEAST_RECEIVE = 16 * 1024
# A copy of this size costs less than a piece of its own in sendmsg, and what goes with it.
LARGE = 16 * 1024
# What sendmsg takes on every system natsev runs on (IOV_MAX).
MOST_PIECES = 1024
# The server's limit for what a client sends is 4096 (max_control_line) and may be raised; a MSG has
# a client's subject and reply in it, so this is several times that.
MAX_LINE = 32 * 1024
# INFO lists every server of a cluster: room for some thousands.
MAX_INFO = 128 * 1024
# The server takes payloads of at most 64 MiB, and adds its own headers to them.
MAX_MESSAGE = 65 * 1024 * 1024
# The server's default for what follows the operation's name in a line that a client sends.
MAX_CONTROL_LINE = 4096
_SHOWN = 48

# What a request makes of a reply. PAYLOAD: callback(payload, err, headers). The others are for
# messages that a stream acknowledges: callback(ack, err) with a dict, or callback(seq, err); or
# WINDOW: the callback is a ``Window``, and only counted. Any reply that is not a PubAck in its
# common shape goes to the request's ``end`` instead; with NOTHING all replies do.
PAYLOAD, ACK, SEQUENCE, WINDOW, NOTHING = range(5)

_PUBACK = re.compile(
    rb' *\{ *"stream" *: *"([^"\\\x00-\x1f\x80-\xff]*)" *, *"seq" *: *(0|[1-9][0-9]{0,17})'
    rb'(?: *, *"duplicate" *: *(true|false))? *\} *'
)


class Delivery(NamedTuple):
    """What the reply subject of a delivered message says."""

    domain: str
    stream: str
    consumer: str
    delivered: int
    seq: int
    consumer_seq: int
    time_ns: int
    pending: int


_UNKNOWN = Delivery('', '', '', 0, 0, 0, 0, 0)


def protocol_error(what: str, data: bytes) -> ProtocolError:
    """Return the error for *data*, of which it shows the beginning."""
    dots = '...' if len(data) > _SHOWN else ''
    return ProtocolError(f'protocol error: {what}: {bytes(data[:_SHOWN])!r}{dots}')


def line_too_long(line: bytes) -> ValueError:
    """Return the error for a *line* that the server would not take."""
    return ValueError(
        f'subject {line[:_SHOWN].decode(errors="replace")!r}... makes a protocol line of'
        f' {len(line)} bytes; the server takes {MAX_CONTROL_LINE}'
    )


def parse_puback(data: bytes) -> tuple[str, int, bool] | None:
    """Return stream, sequence and whether it is a duplicate, of a PubAck in its common shape.

    None for every other, errors among them: that is for a JSON parser.
    """
    found = _PUBACK.fullmatch(data)
    if found is None:
        return None
    stream, sequence, duplicate = found.groups()
    return stream.decode(), int(sequence), duplicate == b'true'


def ack_object(ack: tuple[str, int, bool]) -> dict[str, Any]:
    """Return what the callback of an acknowledged message gets."""
    stream, seq, duplicate = ack
    if duplicate:
        return {'stream': stream, 'seq': seq, 'duplicate': True}
    return {'stream': stream, 'seq': seq}


def parse_delivery(reply: str | None) -> Delivery:
    """Parse ``$JS.ACK...``: 9 tokens, or 11 and more with domain and account; else all empty."""
    tokens = reply.split('.') if reply else []
    if len(tokens) == 9:
        domain = ''
        fields = tokens[2:]
    elif len(tokens) >= 11:
        domain = tokens[2] if tokens[2] != '_' else ''
        fields = tokens[4:11]
    else:
        return _UNKNOWN
    numbers = fields[2:]
    digits = ''.join(numbers)
    if tokens[:2] != ['$JS', 'ACK'] or not (digits.isascii() and digits.isdigit()):
        return _UNKNOWN
    try:
        return Delivery(domain, fields[0], fields[1], *map(int, numbers))
    except ValueError:  # one is empty
        return _UNKNOWN


def check_timeout(ms: Any) -> float:
    """Return *ms*, a time that a call may take.

    Raises:
        TypeError, ValueError: it is none.
    """
    if isinstance(ms, bool) or not isinstance(ms, (int, float)):
        raise TypeError(f'timeout must be a number of milliseconds, not {type(ms).__name__}')
    if not ms > 0:
        raise ValueError(f'timeout must be more than 0 ms, not {ms}')
    return ms
