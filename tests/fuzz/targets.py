"""What is fuzzed: whatever the bytes, only documented errors come out, and the twins agree.

Each target takes bytes and raises if something is wrong with what was made of them. ``SEEDS`` are
where the fuzzer begins.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator
from types import ModuleType
from typing import Any

from natsev import credentials
from natsev.address import Address
from natsev.credentials import Creds
from natsev.errors import NatsError, ProtocolError, ServerError
from natsev.headers import Headers, encode_headers
from natsev.jetstream.api import parse_reply
from natsev.jetstream.stored import from_direct, from_leader
from natsev.opening import parse_info
from natsev.pool import Member, Pool
from natsev.wire import ACK, SEQUENCE, WINDOW, YIELD, pure
from tests.wire.driver import Driver, bytewise
from tests.wire.test_parsing import BAD, EXAMPLES
from tests.wire.test_puback import COMMON, OTHERS

try:
    from natsev.wire import _speedups
except ImportError:
    TWINS: list[ModuleType] = [pure]
else:
    TWINS = [pure, _speedups]

_JWT = 'eyJ0eXAiOiJKV1QifQ.e30.c2ln'
# Of the examples, those a fuzzer can still make something of.
_SHORT = 300
_ADDRESS = Address(scheme='nats', host='127.0.0.1', port=4222)


def wire(data: bytes) -> None:
    """Whole or byte by byte, pure or compiled: the same messages, events and end."""
    whole, *others = [_heard(twin, [data]) for twin in TWINS]
    pieces, *other_pieces = [_heard(twin, bytewise(data)) for twin in TWINS]
    # The text of the error shows what has come: with pieces that is less.
    assert whole[0] == pieces[0], f'{whole} whole, but {pieces} byte by byte'
    assert (whole[1] is None) == (pieces[1] is None), f'{whole} whole, but {pieces} byte by byte'
    assert all(other == whole for other in others), f'{whole} pure, but {others} compiled'
    assert all(other == pieces for other in other_pieces), f'{pieces} pure, but {other_pieces}'


def _heard(twin: ModuleType, chunks: Iterable[bytes]) -> tuple[list[Any], str | None]:
    """Return what a client hears of *chunks*, and the text of the error that ends it."""
    driver = Driver(twin)
    heard: list[Any] = []
    error = None

    def message(subject: str, payload: bytes, reply: str | None, headers: Headers | None) -> None:
        heard.append((subject, payload, reply, headers and headers.raw))

    def replied(payload: bytes | None, err: NatsError | None, headers: Headers | None) -> None:
        heard.append(('reply', payload, type(err), headers and headers.raw))

    # Their replies come to _INBOX.me.1 and so on, as subscription 1.
    driver.wire.request(driver.request(replied, multi=True), 'service', b'')
    for request in _acknowledged(twin, heard, replied):
        driver.wire.request(request, 'service', b'')
    for _ in range(2):
        driver.wire.subscribe('>', message, 4)
    try:
        for chunk in chunks:
            driver.receive(chunk)
            while (event := driver.wire.next_event()) is not None:
                if event is not YIELD:
                    heard.append(event)
    except ProtocolError as err:
        error = str(err)
    assert driver.raised == []
    return heard, error


def _acknowledged(
    twin: ModuleType, heard: list[Any], replied: Callable[..., None]
) -> Iterator[Any]:
    """Requests for acknowledgements, of each kind."""

    class Acknowledged(twin.Request):  # type: ignore[name-defined,misc]
        def end(self, payload: bytes | None, err: NatsError | None, headers: Any, /) -> None:
            replied(payload, err, headers)

    for reads in (ACK, SEQUENCE):
        yield Acknowledged(lambda result, err: heard.append(('ack', result, err)), 2, True, reads)
    window = twin.Window(lambda: heard.append(('window', counted.seq)))
    window.low = 1
    counted = Acknowledged(window, 0, True, WINDOW)
    yield counted


def headers(data: bytes) -> None:
    """Any block can be looked at; what can be sent again arrives as it was."""
    found = Headers(data)
    pairs = found.pairs()
    assert found.status is None or 0 <= found.status <= 999
    assert isinstance(found.description, str)
    assert repr(found)
    assert len(found) == len(set(found)) == len({name for name, _ in pairs})
    for name, value in pairs:
        assert value in found.get_all(name)
        assert found[name] == found.get_all(name)[0]
        assert found.last(name) == found.get_all(name)[-1]
        assert name.upper() in found or not name.isascii()
    with contextlib.suppress(ValueError):
        assert Headers(encode_headers(pairs)).pairs() == pairs
    with contextlib.suppress(ValueError):
        assert encode_headers(data) == data


def info(data: bytes) -> None:
    """A server's first line is an INFO or an error; the servers it names are addresses."""
    try:
        told = parse_info(data)
    except (ProtocolError, ServerError):
        return
    assert isinstance(told, dict)
    urls = told.get('connect_urls')
    if isinstance(urls, list):
        teller = Member(_ADDRESS)
        pool = Pool([_ADDRESS], shuffle=False)
        new = pool.discover(urls, teller)
        assert len(set(new)) == len(new) == len(pool) - 1
        assert pool.discover(urls, teller) == []


def creds(data: bytes) -> None:
    """A text is credentials that can sign, or a ``ValueError`` that shows nothing of it."""
    text = data.decode('utf-8', 'replace')
    try:
        found = credentials.parse_creds(text)
    except ValueError as err:
        complaint = str(err)
    else:
        complaint = ''
        _use(found)
    assert complaint in _COMPLAINTS, f'it shows {complaint}'


def _use(found: Creds) -> None:
    assert found.seed.reveal() not in repr(found)
    assert credentials.public_key(found.seed).startswith('U')
    assert credentials.sign(found.seed, 'nonce')


_COMPLAINTS = {
    '',
    "no block 'NATS USER JWT'",
    "no block 'USER NKEY SEED'",
    "a user's nkey seed starts with 'SU'",
    'an nkey seed is in base 32',
    'the nkey seed is damaged: its checksum does not match',
}


def replies(data: bytes) -> None:
    """What JetStream replies is a dict or an error of ours; both twins read an ack alike."""
    block, cut, payload = data.rpartition(b'\r\n\r\n')
    found = Headers(block + cut) if cut else None
    reply = parse_reply(payload, found)
    assert isinstance(reply, dict | NatsError)
    if isinstance(reply, dict):
        assert isinstance(from_leader('S', reply), dict | NatsError)
    assert isinstance(from_direct(payload, found), dict | NatsError)
    acks = [twin.parse_puback(payload) for twin in TWINS]
    assert all(ack == acks[0] for ack in acks)
    if acks[0] is not None:
        assert isinstance(reply, dict)
        assert acks[0] == (reply['stream'], reply['seq'], reply.get('duplicate', False))


def _credentials() -> bytes:
    seed = credentials.new_user_seed()
    return (
        f'-----BEGIN NATS USER JWT-----\n{_JWT}\n------END NATS USER JWT------\n\n'
        f'-----BEGIN USER NKEY SEED-----\n{seed}\n------END USER NKEY SEED------\n'
    ).encode()


_DIRECT = (
    b'NATS/1.0\r\nNats-Stream: S\r\nNats-Subject: a\r\nNats-Sequence: 1\r\n'
    b'Nats-Time-Stamp: 2025-01-02T03:04:05.678Z\r\n\r\nhello'
)

TARGETS: dict[str, Callable[[bytes], None]] = {
    'wire': wire,
    'headers': headers,
    'info': info,
    'creds': creds,
    'replies': replies,
}
SEEDS: dict[str, list[bytes]] = {
    'wire': [
        *(data for data in (*dict(EXAMPLES), *BAD) if len(data) < _SHORT),
        b'MSG _INBOX.me.1 1 2\r\nhi\r\n',
        b'HMSG _INBOX.me.1 1 16 16\r\nNATS/1.0 503\r\n\r\n\r\n',
        *(
            b'MSG _INBOX.me.%d 1 22\r\n{"stream":"S","seq":%d}\r\n' % (token, token)
            for token in (2, 3, 4)
        ),
        b'MSG _INBOX.me.2 1 4\r\nwhat\r\nHMSG _INBOX.me.4 1 16 16\r\nNATS/1.0 503\r\n\r\n\r\n',
        b'MSG a 2 1\r\nx\r\nMSG a 3 0\r\n\r\nPING\r\n',
    ],
    'headers': [
        b'',
        b'NATS/1.0\r\nA: b\r\na:  c \r\nA:\r\n\r\n',
        b'NATS/1.0 100 Idle Heartbeat\r\nNats-Last-Stream: 7\r\n\r\n',
        b'NATS/1.0\r\nX: caf\xc3\xa9 \xff\r\nno colon\r\n: no name\r\n\r\n',
    ],
    'info': [
        b'INFO {"server_id":"N","max_payload":1048576,"headers":true,"nonce":"x"}\r',
        b'INFO {"connect_urls":["127.0.0.1:4223","[::1]:4224","host:1",7,null,"a b"]}\r',
        b"-ERR 'Authorization Violation'\r",
        b'INFO []\r',
        b'HTTP/1.1 400 Bad Request\r',
    ],
    'creds': [
        _credentials(),
        _credentials().replace(b'\n', b'\r\n'),
        _credentials().replace(b'SU', b'SA'),
        b'-----BEGIN USER NKEY SEED-----\n',
    ],
    'replies': [
        *(data for data, _ in COMMON),
        *OTHERS,
        b'{"error":{"code":404,"err_code":10059,"description":"stream not found"}}',
        b'{"message":{"subject":"a","seq":1,"hdrs":"TkFUUy8xLjANCg0K","data":"aGk=",'
        b'"time":"2025-01-02T03:04:05Z"}}',
        _DIRECT,
        b'NATS/1.0 404 Message Not Found\r\n\r\n',
        b'NATS/1.0 503\r\n\r\n',
    ],
}
