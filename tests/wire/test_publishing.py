"""Publishing: frames, checks, what the kernel is given, and when the wire asks for it."""

from __future__ import annotations

import array
import struct
from collections import OrderedDict
from types import MappingProxyType

import pytest

from natsev import BufferFullError, DisconnectedError, Headers, MaxPayloadError, NatsError
from natsev.headers import encode_headers
from natsev.wire import pure
from natsev.wire.pure import MOST_CHECKED
from natsev.wire.shared import LARGE, MAX_CONTROL_LINE


def test_frames(driver):
    wire = driver.wire
    wire.publish('a')
    wire.publish('a.b', b'hi')
    wire.publish('a', 'caf\u00e9', 'r.1')
    wire.publish(subject='caf\u00e9', payload=b'x', reply_to=None)
    wire.hpublish('a', {'K': 'v'}, b'hi')
    wire.hpublish('a', b'NATS/1.0\r\nK: v\r\n\r\n', b'', 'r')
    wire.hpublish('a', headers=[('K', 'v')], payload='hi', reply_to='r')
    assert driver.take() == (
        b'PUB a 0\r\n\r\n'
        b'PUB a.b 2\r\nhi\r\n'
        b'PUB a r.1 5\r\ncaf\xc3\xa9\r\n'
        b'PUB caf\xc3\xa9 1\r\nx\r\n'
        b'HPUB a 18 20\r\nNATS/1.0\r\nK: v\r\n\r\nhi\r\n'
        b'HPUB a r 18 18\r\nNATS/1.0\r\nK: v\r\n\r\n\r\n'
        b'HPUB a r 18 20\r\nNATS/1.0\r\nK: v\r\n\r\nhi\r\n'
    )
    assert (wire.msgs_out, wire.bytes_out) == (7, 0 + 2 + 5 + 1 + 20 + 18 + 20)
    wire.msgs_out = wire.bytes_out = 0
    wire.publish('a', b'x')
    assert (wire.msgs_out, wire.bytes_out) == (1, 1)


PAYLOADS = {
    'bytearray': lambda data: bytearray(data),
    'memoryview': lambda data: memoryview(data),
    'view of a bytearray': lambda data: memoryview(bytearray(data)),
    'slice': lambda data: memoryview(b'xx' + data + b'yy')[2:-2],
    'every other': lambda data: memoryview(bytes(b for byte in data for b in (byte, 0)))[::2],
    'array': lambda data: memoryview(array.array('B', data)),
    'subclass': lambda data: type('Mine', (bytes,), {})(data),
}


@pytest.mark.parametrize('kind', PAYLOADS)
@pytest.mark.parametrize('size', [0, 1, LARGE - 1, LARGE, LARGE + 1])
def test_kinds_of_payload(driver, kind, size):
    data = bytes(i % 251 for i in range(size))
    driver.wire.publish('a', PAYLOADS[kind](data))
    assert driver.take() == b'PUB a %d\r\n%b\r\n' % (size, data)
    driver.wire.hpublish('a', {}, PAYLOADS[kind](data))
    assert driver.take() == b'HPUB a 12 %d\r\nNATS/1.0\r\n\r\n%b\r\n' % (12 + size, data)


def test_a_view_of_wider_items_is_its_bytes(driver):
    data = struct.pack('10000d', *range(10_000))
    driver.wire.publish('a', memoryview(data).cast('d'))
    driver.wire.publish('a', memoryview(data[:80]).cast('d'))
    driver.wire.publish('a', memoryview(data).cast('B', (100, 800)))
    assert driver.take() == b''.join(
        b'PUB a %d\r\n%b\r\n' % (len(part), part) for part in (data, data[:80], data)
    )


def test_large_text(driver):
    driver.wire.publish('a', '\u20ac' * LARGE)
    assert driver.take() == b'PUB a %d\r\n%b\r\n' % (3 * LARGE, '\u20ac'.encode() * LARGE)


@pytest.mark.parametrize('size', [10, LARGE])
def test_what_its_owner_may_change_is_copied_at_the_call(driver, size):
    mine = bytearray(b'x' * size)
    driver.wire.publish('a', mine)
    driver.wire.publish('a', memoryview(mine))
    driver.wire.publish('a', memoryview(mine).toreadonly())
    mine[:] = b'y' * size
    mine.clear()
    assert driver.take() == b'PUB a %d\r\n%b\r\n' % (size, b'x' * size) * 3


def test_large_payloads_are_not_copied(driver):
    payload = b'x' * LARGE
    driver.wire.publish('a', payload)
    driver.wire.publish('a', b'small')
    driver.wire.publish('a', memoryview(payload))
    pieces = driver.wire.output()
    assert b''.join(map(bytes, pieces)) == driver.take()
    assert sum(memoryview(piece).obj is payload for piece in pieces) == 2
    assert len(pieces) <= 7


@pytest.mark.parametrize('payload', [None, 5, 1.5, ['x'], {}, object()])
def test_wrong_payloads(driver, payload):
    with pytest.raises(
        TypeError, match=r'^payload must be bytes, bytearray, memoryview or str, not '
    ):
        driver.wire.publish('a', payload)
    with pytest.raises(TypeError, match='payload must be'):
        driver.wire.hpublish('a', {}, payload)
    assert driver.wire.pending == 0
    assert driver.wire.msgs_out == 0


def test_text_that_is_not_unicode(driver):
    with pytest.raises(ValueError, match='surrogate'):
        driver.wire.publish('a', '\ud800')


@pytest.mark.parametrize('subject', ['a.*', '*', 'a.>', '>', 'a.*.b'])
def test_no_wildcards_where_one_publishes(driver, subject):
    with pytest.raises(ValueError, match=r'^subject .* contains a wildcard$'):
        driver.wire.publish(subject)
    with pytest.raises(ValueError, match=r'^reply_to .* contains a wildcard$'):
        driver.wire.publish('a', b'', subject)
    with pytest.raises(ValueError, match=r'^subject '):
        driver.wire.hpublish(subject, {})
    with pytest.raises(ValueError, match=r'^reply_to '):
        driver.wire.hpublish('a', {}, b'', subject)
    assert driver.wire.pending == 0


def test_wildcard_characters_inside_a_token_are_none(driver):
    driver.wire.publish('a*.b>.>c')
    assert driver.take() == b'PUB a*.b>.>c 0\r\n\r\n'


@pytest.mark.parametrize('subject', [b'a', None, 5, ['a']])
def test_wrong_types_of_subject(driver, subject):
    with pytest.raises(TypeError, match=r'^subject must be str, not'):
        driver.wire.publish(subject)
    if subject is not None:
        with pytest.raises(TypeError, match=r'^reply_to must be str, not'):
            driver.wire.publish('a', b'', subject)


def test_wrong_arguments(driver):
    with pytest.raises(TypeError):
        driver.wire.publish()
    with pytest.raises(TypeError):
        driver.wire.publish('a', b'', None, None)
    with pytest.raises(TypeError):
        driver.wire.publish('a', nonsense=1)
    with pytest.raises(TypeError):
        driver.wire.publish('a', subject='a')
    with pytest.raises(TypeError):
        driver.wire.hpublish('a')


def test_an_illegal_subject_is_not_known_as_legal_the_second_time(driver):
    for _ in range(2):
        with pytest.raises(ValueError, match='subject'):
            driver.wire.publish('a b')


def test_more_subjects_than_are_remembered(driver):
    subjects = [f's.{i}' for i in range(3 * MOST_CHECKED)]
    for subject in [*subjects, *subjects]:
        driver.wire.publish(subject, b'x')
    assert driver.take() == b''.join(b'PUB %b 1\r\nx\r\n' % s.encode() for s in subjects) * 2


def test_the_memory_for_subjects_is_bounded():
    wire = pure.Wire(print, print)
    for i in range(3 * MOST_CHECKED):
        wire.publish(f's.{i}')
        assert len(wire._checked) <= MOST_CHECKED


def test_equal_subjects_of_other_types_of_str(driver):
    mine = type('Mine', (str,), {})
    driver.wire.publish(mine('a'), b'1')
    driver.wire.publish('a', b'2')
    assert driver.take() == b'PUB a 1\r\n1\r\nPUB a 1\r\n2\r\n'


@pytest.mark.parametrize('headers', [5, 'K: v', {'K': None}, {5: 'v'}, {'K': 1.5}, [('K',)]])
def test_wrong_headers(driver, headers):
    with pytest.raises((TypeError, ValueError)):
        driver.wire.hpublish('a', headers)
    assert driver.wire.pending == 0


def test_max_payload_counts_headers(driver):
    wire = driver.wire
    wire.max_payload = 100
    wire.publish('a', b'x' * 100)
    wire.hpublish('a', {'K': 'v'}, b'x' * 82)
    with pytest.raises(MaxPayloadError) as raised:
        wire.publish('a', b'x' * 101)
    assert (raised.value.size, raised.value.limit) == (101, 100)
    with pytest.raises(MaxPayloadError) as raised:
        wire.hpublish('a', {'K': 'v'}, b'x' * 83)
    assert raised.value.size == 101
    assert wire.msgs_out == 2


def test_lines_longer_than_the_server_takes(driver):
    rest = len(' 3')
    driver.wire.publish('a' * (MAX_CONTROL_LINE - rest), b'xyz')
    with pytest.raises(ValueError, match='4096'):
        driver.wire.publish('a' * (MAX_CONTROL_LINE - rest + 1), b'xyz')
    with pytest.raises(ValueError, match='4096'):
        driver.wire.publish('a' * 2048, b'xyz', 'r' * 2047)
    with pytest.raises(ValueError, match='4096'):
        driver.wire.hpublish('a' * 4091, {}, b'xyz')
    assert driver.wire.msgs_out == 1


def test_a_server_without_headers(driver):
    driver.wire.headers = False
    with pytest.raises(NatsError, match='headers'):
        driver.wire.hpublish('a', {'K': 'v'})
    driver.wire.publish('a')
    assert driver.wire.msgs_out == 1


def test_full_buffer(driver):
    wire = driver.wire
    wire.max_output = 100
    frame = b'PUB a 30\r\n' + b'x' * 30 + b'\r\n'
    wire.publish('a', b'x' * 30)
    wire.publish('a', b'x' * 30)
    with pytest.raises(BufferFullError) as raised:
        wire.publish('a', b'x' * 30)
    assert (raised.value.pending, raised.value.limit) == (84, 100)
    wire.publish('a', b'x' * 5)  # what fits may follow: 100
    assert wire.pending == 100
    assert driver.take(50) == (frame * 2)[:50]
    wire.publish('a', b'x' * 30)
    assert wire.msgs_out == 4
    assert wire.waiting == 3


def test_refused(driver):
    wire = driver.wire
    wire.refused = DisconnectedError('closed')
    for publish in (
        lambda: wire.publish('a'),
        lambda: wire.hpublish('a', {}),
        lambda: wire.request(driver.request(print, 0), 'a'),
    ):
        with pytest.raises(DisconnectedError) as raised:
            publish()
        assert raised.value is not wire.refused
        assert str(raised.value) == 'disconnected'
    with pytest.raises(ValueError, match='subject'):
        wire.publish('a b')
    assert wire.waiting == 0
    wire.refused = None
    wire.publish('a')


def test_output_is_asked_for_when_it_becomes_non_empty(driver):
    wire = driver.wire
    wire.publish('a')
    wire.publish('a')
    wire.ping()
    assert driver.asked == 1
    driver.take(5)
    wire.publish('a')
    assert driver.asked == 1
    driver.take()
    wire.subscribe('a', print, 0)
    assert driver.asked == 2
    driver.take()
    wire.control(b'PONG\r\n')
    assert driver.asked == 3
    driver.take()
    wire.prepend(b'')
    assert driver.asked == 3
    wire.prepend(b'CONNECT {}\r\n')
    assert driver.asked == 4


def test_output_is_not_asked_for_while_away(make):
    driver = make(live=False)
    driver.wire.publish('a', b'x')
    driver.wire.ping()
    assert driver.asked == 0
    assert driver.wire.output() == []
    assert driver.wire.pending > 0


def test_output_is_not_asked_for_inside_next_event(driver):
    driver.wire.subscribe('a', lambda: driver.wire.publish('b'), 0)
    driver.take()
    asked = driver.asked
    driver.events(b'MSG a 1 0\r\n\r\n')
    assert driver.asked == asked
    assert driver.take() == b'PUB b 0\r\n\r\n'


def test_what_asking_raises_leaves_the_call(twin):
    def fails():
        raise OSError('mine')

    wire = twin.Wire(fails, print)
    wire.live = True
    with pytest.raises(OSError, match='mine'):
        wire.publish('a')
    assert wire.waiting == 1


def test_control_while_away_is_void(make):
    driver = make(live=False)
    driver.wire.control(b'PONG\r\n')
    assert driver.wire.pending == 0
    assert driver.wire.frames_appended == 0


def test_prepend(driver):
    wire = driver.wire
    wire.live = False
    wire.publish('a', b'x')
    wire.live = True
    wire.prepend(b'SUB b 1\r\n')
    wire.prepend(b'CONNECT {}\r\n')
    assert driver.take(3) == b'CON'
    assert wire.frames_sent == 0
    assert wire.pending == len(b'NECT {}\r\nSUB b 1\r\nPUB a 1\r\nx\r\n')
    assert driver.take(20) == b'NECT {}\r\nSUB b 1\r\nPU'
    assert wire.frames_sent == 0
    assert driver.take() == b'B a 1\r\nx\r\n'
    assert wire.frames_sent == 1


def test_most(driver):
    for _ in range(1000):
        driver.wire.publish('a', b'x' * 100)
    pieces = driver.wire.output(1000)
    assert 1000 <= sum(map(len, pieces)) < 1400
    pieces = driver.wire.output(most=3)
    assert 3 <= sum(map(len, pieces)) < 200


def test_no_more_pieces_than_sendmsg_takes(driver):
    payload = b'x' * LARGE
    driver.wire.max_output = 10**9
    for _ in range(2000):
        driver.wire.publish('a', payload)
    pieces = driver.wire.output(10**9)
    assert 300 < len(pieces) <= 1024
    assert len(driver.take()) == 2000 * (LARGE + len(b'PUB a 16384\r\n\r\n'))


@pytest.mark.parametrize('size', [-1, 15])
def test_more_cannot_be_sent_than_there_was(driver, size):
    driver.wire.publish('a')
    assert driver.wire.pending == len(b'PUB a 0\r\n\r\n') == 11
    with pytest.raises(ValueError, match='bytes sent, but 11 were pending'):
        driver.wire.sent(size)
    assert driver.take() == b'PUB a 0\r\n\r\n'


@pytest.mark.parametrize(
    'headers',
    [
        {},
        {'A': ''},
        {'A': 'b', 'C-D': 'e f:g', '!~': '\x00\x7f\t'},
        {'A': ['b', 'c'], 'D': 'e'},
        {'A': 5, 'B': b'\xff', 'C': 'caf\u00e9'},
        {type('Mine', (str,), {})('A'): 'b'},
        {'A': type('Mine', (str,), {})('b')},
        OrderedDict(A='b'),
        MappingProxyType({'A': 'b'}),
        [('A', 'b'), ('A', 'c')],
        Headers(b'NATS/1.0 100 x\r\nA: 1\r\nA: 2\r\n\r\n'),
        bytearray(b'NATS/1.0\r\nA: b\r\n\r\n'),
    ],
)
def test_headers_of_any_shape_are_encoded_as_elsewhere(driver, headers):
    driver.wire.hpublish('a', headers)
    block = encode_headers(headers)
    assert driver.take() == b'HPUB a %d %d\r\n%b\r\n' % (len(block), len(block), block)


@pytest.mark.parametrize(
    'headers',
    [
        {'': 'x'},
        {'a b': 'x'},
        {'a:': 'x'},
        {'a\x7f': 'x'},
        {'caf\u00e9': 'x'},
        {'A': 'x\r'},
        {'A': 'x\ny'},
        {'A': 'x', 'B': '\n'},
        {'A': None},
        {5: 'x'},
        {'A': '\ud800'},
    ],
)
def test_headers_are_refused_as_elsewhere(driver, headers):
    with pytest.raises((TypeError, ValueError)) as expected:
        encode_headers(headers)
    with pytest.raises(type(expected.value)) as raised:
        driver.wire.hpublish('a', headers)
    assert str(raised.value) == str(expected.value)
    assert driver.wire.pending == 0
