"""Requests whose reply is a stream's acknowledgement."""

from __future__ import annotations

import pytest

from natsev import Headers, NoResponders
from natsev.wire import ACK, NOTHING, SEQUENCE, parse_puback
from tests.wire.test_puback import COMMON, OTHERS


@pytest.fixture
def ask(driver, twin):
    """Send such a request; return it and what its callback, and its ``end``, got."""

    class Publication(twin.Request):
        __slots__ = ('ended',)

        def end(self, payload, err, headers):
            self.ended.append((payload, err, headers))

    def ask(reads, nargs=2, multi=False):
        got = []
        request = Publication(lambda *args: got.append(args), nargs, multi, reads)
        request.ended = []
        driver.wire.request(request, 'service', b'what')
        return request, got

    return ask


def reply(request, payload, block=b''):
    subject = b'_INBOX.me.' + request.token.encode()
    if block:
        sizes = len(block), len(block) + len(payload)
        return b'HMSG %b 1 %d %d\r\n%b%b\r\n' % (subject, *sizes, block, payload)
    return b'MSG %b 1 %d\r\n%b\r\n' % (subject, len(payload), payload)


@pytest.mark.parametrize('payload', [payload for payload, _ in COMMON])
def test_an_acknowledgement(driver, ask, payload):
    stream, seq, duplicate = parse_puback(payload)
    (first, acks), (second, sequences) = ask(ACK), ask(SEQUENCE)
    driver.events(reply(first, payload), reply(second, payload))
    expected = {'stream': stream, 'seq': seq} | ({'duplicate': True} if duplicate else {})
    assert acks == [(expected, None)]
    assert sequences == [(seq, None)]
    assert first.ended == second.ended == []
    assert driver.wire.requests == {}
    assert driver.raised == []


@pytest.mark.parametrize('nargs', range(3))
@pytest.mark.parametrize('reads', [ACK, SEQUENCE])
def test_with_fewer_arguments(driver, ask, reads, nargs):
    request, got = ask(reads, nargs)
    driver.events(reply(request, b'{"stream":"S","seq":7}'))
    result = {'stream': 'S', 'seq': 7} if reads == ACK else 7
    assert got == [(result, None)[:nargs]]


@pytest.mark.parametrize('payload', OTHERS)
def test_other_replies_go_to_end(driver, ask, payload):
    request, got = ask(ACK)
    driver.events(reply(request, payload), reply(request, payload))
    assert request.ended == [(payload, None, None)]
    assert got == []
    assert driver.wire.requests == {}


def test_no_responders_and_headers_go_to_end(driver, ask):
    (first, _), (second, _) = ask(ACK), ask(SEQUENCE, 0)
    driver.events(
        reply(first, b'', b'NATS/1.0 503\r\n\r\n'), reply(second, b'x', b'NATS/1.0\r\nA: b\r\n\r\n')
    )
    [(payload, err, headers)] = first.ended
    assert payload is None
    assert type(err) is NoResponders
    assert headers.status == 503
    [(payload, err, headers)] = second.ended
    assert (payload, err) == (b'x', None)
    assert type(headers) is Headers
    assert headers['A'] == 'b'


def test_all_replies_may_go_to_end(driver, ask):
    request, got = ask(NOTHING)
    driver.events(reply(request, b'{"stream":"S","seq":1}'))
    assert request.ended == [(b'{"stream":"S","seq":1}', None, None)]
    assert got == []


def test_many_acknowledgements(driver, ask):
    request, got = ask(SEQUENCE, multi=True)
    for seq in range(1, 4):
        driver.events(reply(request, b'{"stream":"S","seq":%d}' % seq))
    driver.events(reply(request, b'other'))
    assert got == [(1, None), (2, None), (3, None)]
    assert request.ended == [(b'other', None, None)]
    assert driver.wire.forget(request)


def test_what_end_raises(driver, twin):
    class Fails(twin.Request):
        def end(self, payload, err, headers):
            raise KeyError(payload)

    class Quits(twin.Request):
        def end(self, payload, err, headers):
            raise SystemExit

    first, second = Fails(print, 2, False, ACK), Quits(print, 2, False, ACK)
    driver.wire.request(first, 'a')
    driver.wire.request(second, 'a')
    driver.events(reply(first, b'other'))
    assert [type(exc) for exc in driver.raised] == [KeyError]
    driver.receive(reply(second, b'other'))
    with pytest.raises(SystemExit):
        driver.wire.next_event()
    assert driver.wire.requests == {}


@pytest.mark.parametrize('nargs', range(4))
def test_end_tells_the_callback(twin, nargs):
    got = []
    request = twin.Request(lambda *args: got.append(args), nargs)
    err = NoResponders()
    request.end(None, err, None)
    assert got == [(None, err, None)[:nargs]]


def test_requests_take_positions_only(twin):
    request = twin.Request(print, 1, True, SEQUENCE)
    assert (request.nargs, request.multi, request.reads) == (1, True, SEQUENCE)
    assert request.callback is print
    for wrong in ((), (print,), (print, 1, True, 0, 0)):
        with pytest.raises(TypeError):
            twin.Request(*wrong)
    with pytest.raises(TypeError):
        twin.Request(callback=print, nargs=1)
    with pytest.raises(TypeError):
        request.end(None)
