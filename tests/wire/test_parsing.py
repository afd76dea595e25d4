"""Bytes in: examples, their mixture, any cut of both, and what is not the protocol."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from natsev.errors import ProtocolError
from natsev.wire import YIELD, Err, Info, Ok, Ping, Pong
from natsev.wire.shared import LARGE, MAX_INFO, MAX_LINE, MAX_MESSAGE, RECEIVE_BUFFER
from tests.wire.driver import Driver, bytewise

LARGE_BODY = bytes(range(256)) * (LARGE // 256) + b'end'

# Of a message, the arguments of its callback (headers as their raw bytes); else the event.
EXAMPLES = [
    (b'PING\r\n', Ping()),
    (b'ping\r\n', Ping()),
    (b'PING \t\r\n', Ping()),
    (b'PONG\r\n', Pong()),
    (b'PonG\r\n', Pong()),
    (b'+OK\r\n', Ok()),
    (b'+ok\r\n', Ok()),
    (b'INFO {}\r\n', Info(b'{}')),
    (b'info\t {"a": "b c"} \r\n', Info(b'{"a": "b c"}')),
    (b'INFO {"long":"' + b'x' * 5000 + b'"}\r\n', Info(b'{"long":"' + b'x' * 5000 + b'"}')),
    (b"-ERR 'Stale Connection'\r\n", Err('Stale Connection')),
    (b'-err bare words\r\n', Err('bare words')),
    (b'-ERR\r\n', Err('')),
    (b"-ERR 'caf\xc3\xa9 \xff'\r\n", Err('caf\u00e9 \\xff')),
    (b'MSG a 1 0\r\n\r\n', ('a', b'', None, None)),
    (b'msg a 1 2\r\nhi\r\n', ('a', b'hi', None, None)),
    (b'MSG a.b 1 inbox 2\r\nhi\r\n', ('a.b', b'hi', 'inbox', None)),
    (b'MSG a 1 7 2\r\nhi\r\n', ('a', b'hi', '7', None)),
    (b'MSG  a\t1   2 \r\nhi\r\n', ('a', b'hi', None, None)),
    (b'MSG\ta 1 r\t\t2\t\r\nhi\r\n', ('a', b'hi', 'r', None)),
    (b'MSG a 1 4\r\n\r\n\r\n\r\n', ('a', b'\r\n\r\n', None, None)),
    (b'MSG a 1 6\r\nPING\r\n\r\n', ('a', b'PING\r\n', None, None)),
    (b'MSG caf\xc3\xa9 1 \xe2\x82\xac 1\r\nx\r\n', ('caf\u00e9', b'x', '\u20ac', None)),
    (b'MSG \xff 1 1\r\nx\r\n', ('\udcff', b'x', None, None)),
    # A stranger may publish to such a subject: it must not end our connection.
    (b'MSG a\x0b\x0c\x00b\rc 1 1\r\nx\r\n', ('a\x0b\x0c\x00b\rc', b'x', None, None)),
    (b'MSG ' + b's' * 5000 + b' 1 1\r\nx\r\n', ('s' * 5000, b'x', None, None)),
    (b'HMSG a 1 2 4\r\nHHhi\r\n', ('a', b'hi', None, b'HH')),
    (b'hmsg a 1 r 2 4\r\nHHhi\r\n', ('a', b'hi', 'r', b'HH')),
    (b'HMSG a 1 4 2 4\r\nHHhi\r\n', ('a', b'hi', '4', b'HH')),
    (b'HMSG a 1  2 2\r\nHH\r\n', ('a', b'', None, b'HH')),  # nats-server 2.9 has two spaces
    (b'HMSG a 1 0 2\r\nhi\r\n', ('a', b'hi', None, b'')),
    (
        b'HMSG a 1 r 16 16\r\nNATS/1.0 503\r\n\r\n\r\n',
        ('a', b'', 'r', b'NATS/1.0 503\r\n\r\n'),
    ),
    (
        b'MSG a 1 %d\r\n%b\r\n' % (len(LARGE_BODY), LARGE_BODY),
        ('a', LARGE_BODY, None, None),
    ),
    (
        b'HMSG a 1 r 3 %d\r\nHHH%b\r\n' % (3 + len(LARGE_BODY), LARGE_BODY),
        ('a', LARGE_BODY, 'r', b'HHH'),
    ),
]  # fmt: skip

BAD = [
    b'NONSENSE\r\n',
    b'\r\n',
    b' PING\r\n',
    b'HTTP/1.1 400 Bad Request\r\n',
    b'\x15\x03\x01\x00\x02\x02\x16',
    b'\x00',
    b'MSG\x00',
    b'PING\x00\r\n',
    b'PING\x00PONG\r\n',
    b'PING x\r\n',
    b'PINGX\r\n',
    b'PING\n',
    b'PING \n',
    b'PINGx\n',
    b'PONG\r\r\n',
    b'+OKAY\r\n',
    b'+OK x\r\n',
    b'INFO\r\n',
    b'INFO \r\n',
    b'INFO{}\r\n',
    b'-ERROR x\r\n',
    b'MSG\r\n',
    b'MSG a\r\n',
    b'MSG a 1\r\n',
    b'MSG a 1 \r\n',
    b'MSG a x 1\r\n',
    b'MSG a 1 -1\r\n',
    b'MSG a 1 +1\r\n',
    b'MSG a 1 1_0\r\n',
    b'MSG a 1 0x1\r\n',
    b'MSG a 1 r s 1\r\n',
    b'MSG a -1 1\r\nx\r\n',
    b'MSGa 1 1\r\nx\r\n',
    b'MSG a 1 1\nx\r\n',
    b'MSG a 1 2\r\nabcd',
    b'MSG a 1 2\r\nab\n\n',
    b'MSG a 1 2\r\nab\rx',
    b'MSG a 1 99999999999999999999\r\n',
    b'MSG a 99999999999999999999 1\r\nx\r\n',
    b'MSG a 1 %d\r\n' % (MAX_MESSAGE + 1),
    b'MSG ' + b'a' * MAX_LINE + b' 1 0\r\n\r\n',
    b'MSG ' + b'a' * MAX_LINE,
    b'PING' + b' ' * MAX_LINE + b'\r\n',
    b'-ERR ' + b'x' * MAX_LINE + b'\r\n',
    b'INFO ' + b'x' * MAX_INFO + b'\r\n',
    b'INFO ' + b'x' * MAX_INFO,
    b'HMSG a 1 2\r\n',
    b'HMSG a 1 5 4\r\n',
    b'HMSG a 1 r s 2 4\r\n',
    b'HMSG a 1 2 x\r\n',
    b'HMSG a 1 0 %d\r\n' % (MAX_MESSAGE + 1),
    b'HMSG a 1 99999999999999999999 99999999999999999999\r\n',
    b'HMSG a 1 2 4\r\nHHhixx',
    b'HMSG a 1 0 %d\r\n%b\r\r' % (len(LARGE_BODY), LARGE_BODY),
    b'MSG a 1 %d\r\n%bPI' % (len(LARGE_BODY), LARGE_BODY),
]  # fmt: skip
BAD_IDS = [repr(data[:24]) for data in BAD]
EXAMPLE_IDS = [repr(data[:24]) for data, _ in EXAMPLES]


def run(twin, chunks):
    """Return messages and events of *chunks* in order."""
    driver = Driver(twin)
    seen = []

    def on_message(subject, payload, reply, headers):
        assert type(payload) is bytes
        seen.append((subject, payload, reply, None if headers is None else headers.raw))

    driver.wire.subscribe('>', on_message, 4)
    try:
        for chunk in chunks:
            driver.receive(chunk)
            while (event := driver.wire.next_event()) is not None:
                if event is not YIELD:
                    seen.append(event)
    except ProtocolError:
        seen.append(ProtocolError)
    assert driver.raised == []
    return seen


@pytest.mark.parametrize('data,seen', EXAMPLES, ids=EXAMPLE_IDS)
def test_nothing_before_the_last_byte(twin, data, seen):
    assert run(twin, [data]) == [seen]
    assert run(twin, [data[:-1]]) == []
    assert run(twin, [data[:-1], data[-1:]]) == [seen]
    assert run(twin, [data + data[:-1]]) == [seen]
    if len(data) < LARGE:
        assert run(twin, bytewise(data)) == [seen]


@pytest.mark.parametrize('data', BAD, ids=BAD_IDS)
def test_what_is_not_the_protocol(twin, data):
    assert run(twin, [data]) == [ProtocolError]
    assert run(twin, [b'MSG a 1 1\r\nx\r\nPING\r\n' + data]) == [
        ('a', b'x', None, None),
        Ping(),
        ProtocolError,
    ]
    if len(data) < LARGE:
        assert run(twin, bytewise(data)) == [ProtocolError]


def test_the_error_shows_the_beginning_of_what_came(driver):
    driver.receive(b"MSG bad\x00'" + b'z' * 1000 + b'\r\n')
    with pytest.raises(ProtocolError, match=r'^protocol error: .*MSG bad\\x00') as raised:
        driver.wire.next_event()
    assert len(str(raised.value)) < 200


def test_dead_after_an_error_until_the_connection_is_lost(driver):
    got = driver.collect('a')
    assert driver.events(b'NONSENSE\r\n') == [ProtocolError]
    assert driver.events(b'MSG a 1 1\r\nx\r\n') == [ProtocolError]
    assert got == []
    driver.wire.lost()
    driver.wire.live = True
    assert driver.events(b'MSG a 1 1\r\nx\r\n') == []
    assert got == [('a', b'x', None, None)]


def test_lines_up_to_the_limit(twin):
    line = b'MSG %b 1 0\r\n'
    subject = b's' * (MAX_LINE - len(line % b''))
    data = line % subject + b'\r\n'
    assert run(twin, [data]) == [(subject.decode(), b'', None, None)]
    assert run(twin, [data[:9000], data[9000:]]) == [(subject.decode(), b'', None, None)]
    assert run(twin, [line % (subject + b's') + b'\r\n']) == [ProtocolError]
    info = b'x' * (MAX_INFO - len(b'INFO \r\n'))
    assert run(twin, [b'INFO %b\r\n' % info]) == [Info(info)]
    assert run(twin, [b'INFO %bx\r\n' % info]) == [ProtocolError]


@pytest.mark.parametrize('size', [LARGE - 1, LARGE, RECEIVE_BUFFER, 3 * RECEIVE_BUFFER + 7])
@pytest.mark.parametrize('first', [20, LARGE // 2, LARGE])
def test_payloads_of_any_size_in_pieces(twin, size, first):
    body = bytes(i * i % 251 for i in range(size))
    data = b'MSG a 1 %d\r\n%b\r\nPING\r\n' % (size, body)
    chunks = [data[:first], *(data[i : i + 60_001] for i in range(first, len(data), 60_001))]
    assert run(twin, chunks) == [('a', body, None, None), Ping()]
    assert run(twin, [data]) == [('a', body, None, None), Ping()]


@pytest.mark.parametrize('cut', range(1, 40))
def test_a_large_message_cut_in_its_head(twin, cut):
    data = b'HMSG a 1 r 12 %d\r\nNATS/1.0\r\n\r\n%b\r\n' % (12 + len(LARGE_BODY), LARGE_BODY)
    assert run(twin, [data[:cut], data[cut:]]) == [('a', LARGE_BODY, 'r', b'NATS/1.0\r\n\r\n')]


@pytest.mark.parametrize('size', [1000, 7001, 65_536, 100_003])
def test_many_times_what_the_buffer_holds(twin, size):
    data = b'PING\r\nMSG a 1 5\r\nhello\r\nINFO {"some": "thing"}\r\n' * 12_000
    seen = run(twin, (data[i : i + size] for i in range(0, len(data), size)))
    expected = [Ping(), ('a', b'hello', None, None), Info(b'{"some": "thing"}')]
    assert len(seen) == 36_000
    assert all(seen[i : i + 3] == expected for i in range(0, len(seen), 3))


def test_headers_longer_than_the_buffer(twin):
    block = b'NATS/1.0\r\n' + b'A: b\r\n' * 100_000 + b'\r\n'
    body = b'x' * LARGE
    data = b'HMSG a 1 %d %d\r\n%b%b\r\n' % (len(block), len(block) + len(body), block, body)
    chunks = [data[i : i + 50_000] for i in range(0, len(data), 50_000)]
    assert run(twin, [*chunks, b'PING\r\n']) == [('a', body, None, block), Ping()]


def test_a_large_payload_is_received_in_place(driver):
    driver.collect('a')
    size = 4 * RECEIVE_BUFFER
    assert driver.events(b'MSG a 1 %d\r\nxyz' % size) == []
    assert len(driver.wire.buffer()) == size - 3


def test_feed_is_receive(twin):
    data = b''.join(data for data, _ in EXAMPLES) * 3
    driver = Driver(twin)
    got = driver.collect('>')
    driver.wire.feed(bytearray(data))
    driver.wire.feed(memoryview(b''))
    driver.wire.feed(b'PING\r\n')
    events = []
    while (event := driver.wire.next_event()) is not None:
        events.append(event)
    expected = [seen for _, seen in EXAMPLES if not isinstance(seen, tuple)] * 3
    assert [event for event in events if event is not YIELD] == [*expected, Ping()]
    assert len(got) == 3 * (len(EXAMPLES) - len(expected) // 3)


def test_the_buffer_is_never_empty_and_shrinks_again(driver):
    for _ in range(20):
        assert len(driver.wire.buffer()) > 0
        driver.wire.feed(b'PING\r\n' * 10_000)
    for _ in range(200_000):
        assert driver.wire.next_event() == Ping()
    assert driver.wire.next_event() is None
    assert len(driver.wire.buffer()) <= RECEIVE_BUFFER


property_test = settings(
    deadline=None,
    max_examples=80,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.data_too_large],
)
wire_bytes = st.sampled_from([data for data, _ in EXAMPLES] + BAD) | st.binary(max_size=30)


@property_test
@given(examples=st.lists(st.sampled_from(EXAMPLES), max_size=12))
def test_a_stream_of_examples(twin, examples):
    sent = b''.join(data for data, _ in examples)
    assert run(twin, [sent]) == [seen for _, seen in examples]


@property_test
@given(sent=st.lists(wire_bytes, max_size=8).map(b''.join), data=st.data())
def test_any_cut_gives_the_same(twin, sent, data):
    cuts = sorted(data.draw(st.lists(st.integers(0, len(sent)), max_size=12)))
    whole = run(twin, [sent])
    assert run(twin, [sent[a:b] for a, b in pairwise([0, *cuts, len(sent)])]) == whole
    if len(sent) < 2000:
        assert run(twin, bytewise(sent)) == whole


@pytest.mark.parametrize('excess', [1, 10**9])
def test_more_cannot_be_received_than_there_is_room_for(driver, excess):
    room = len(driver.wire.buffer())
    for size in (-1, room + excess):
        with pytest.raises(ValueError, match=f'bytes received, but there was room for {room}'):
            driver.wire.received(size)
    driver.collect('a')
    assert driver.events(b'MSG a 1 1000000\r\nxyz') == []
    with pytest.raises(ValueError, match='there was room for 999997'):
        driver.wire.received(999997 + excess)
    assert driver.events(b'PING\r\n') == []
