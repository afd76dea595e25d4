"""Requests and their replies."""

from __future__ import annotations

import pytest

from natsev import BufferFullError, Headers, MaxPayloadError, NoResponders

INBOX = '_INBOX.me.'


def reply_to(request, payload=b'yes', headers=None):
    subject = (INBOX + request.token).encode()
    if headers is None:
        return b'MSG %b 1 %d\r\n%b\r\n' % (subject, len(payload), payload)
    sizes = len(headers), len(headers) + len(payload)
    return b'HMSG %b 1 %d %d\r\n%b%b\r\n' % (subject, *sizes, headers, payload)


@pytest.fixture
def ask(driver):
    """Send a request; return it and the list of what its callback got."""

    def ask(nargs=3, multi=False, headers=None):
        got = []
        request = driver.request(lambda *args: got.append(args), nargs, multi)
        driver.wire.request(request, 'service', b'what', headers)
        return request, got

    return ask


def test_one_subscription_serves_all_requests(driver, ask):
    first, _ = ask()
    second, _ = ask(headers={'A': 'b'})
    assert first.token != second.token
    assert driver.take() == (
        b'SUB _INBOX.me.* 1\r\n'
        b'PUB service _INBOX.me.%b 4\r\nwhat\r\n'
        b'HPUB service _INBOX.me.%b 18 22\r\nNATS/1.0\r\nA: b\r\n\r\nwhat\r\n'
        % (first.token.encode(), second.token.encode())
    )
    assert driver.wire.requests == {first.token: first, second.token: second}
    assert driver.wire.subscription_count == 0
    assert driver.wire.sids() == []
    assert driver.wire.restore() == b'SUB _INBOX.me.* 1\r\n'


def test_the_inbox_is_not_the_users_to_end(driver, ask):
    request, got = ask()
    driver.wire.unsubscribe(1)
    driver.wire.replace(1, print, 0)
    assert driver.wire.callback(1) is None
    driver.events(reply_to(request))
    assert len(got) == 1


@pytest.mark.parametrize('nargs', range(4))
def test_a_reply_is_delivered_once(driver, ask, nargs):
    request, got = ask(nargs)
    driver.events(reply_to(request), reply_to(request))
    assert got == [(b'yes', None, None)[:nargs]]
    assert driver.wire.requests == {}


def test_headers_of_a_reply(driver, ask):
    request, got = ask()
    driver.events(reply_to(request, b'', b'NATS/1.0 503 No Stream\r\nA: b\r\n\r\n'))
    (payload, err, headers) = got[0]
    assert payload is None
    assert type(err) is NoResponders
    assert type(headers) is Headers
    assert headers.status == 503


@pytest.mark.parametrize(
    'payload,block',
    [
        (b'x', b'NATS/1.0 503\r\n\r\n'),  # with a payload it is somebody's answer
        (b'', b'NATS/1.0 404 Not Found\r\n\r\n'),
        (b'', b'NATS/1.0\r\nStatus: 503\r\n\r\n'),
        (b'', b'NATS/1.0 5030\r\n\r\n'),
    ],
)
def test_other_statuses_are_not_errors(driver, ask, payload, block):
    request, got = ask()
    driver.events(reply_to(request, payload, block))
    assert got[0][:2] == (payload, None)
    assert got[0][2].raw == block


@pytest.mark.parametrize('nargs', range(3))
def test_no_responders_with_fewer_arguments(driver, ask, nargs):
    request, got = ask(nargs)
    driver.events(reply_to(request, b'', b'NATS/1.0 503\r\n\r\n'))
    assert [type(arg) for arg in got[0]] == [type(None), NoResponders][:nargs]


def test_many_replies(driver, ask):
    request, got = ask(multi=True)
    driver.events(reply_to(request) * 3)
    assert len(got) == 3
    assert driver.wire.requests == {request.token: request}
    assert driver.wire.forget(request)
    driver.events(reply_to(request))
    assert len(got) == 3


@pytest.mark.parametrize('subject', ['_INBOX.me.zzz', '_INBOX.me.', 'nodots', '_INBOX.me.\xff'])
def test_replies_to_nobody_are_dropped(driver, ask, subject):
    _, got = ask()
    driver.events(b'MSG %b 1 1\r\nx\r\n' % subject.encode('latin-1'))
    assert got == []
    assert driver.wire.msgs_in == 1


def test_an_answered_request_is_out_of_the_table_before_its_callback(driver):
    seen = []
    request = driver.request(lambda: seen.append(dict(driver.wire.requests)), 0)
    driver.wire.request(request, 'a')
    driver.events(reply_to(request))
    assert seen == [{}]


def test_exceptions_of_callbacks(driver):
    error = ValueError('mine')

    def fails():
        raise error

    requests = [driver.request(fails, 0) for _ in range(2)]
    for request in requests:
        driver.wire.request(request, 'a')
    driver.events(*map(reply_to, requests))
    assert driver.raised == [error, error]


def test_expect_gives_a_reply_subject_to_publish_with(driver):
    got = []
    request = driver.request(lambda *args: got.append(args), 1)
    subject = driver.wire.expect(request)
    assert subject == INBOX + request.token
    driver.wire.publish('a', b'x', subject)
    assert driver.take().endswith(b'PUB a %b 1\r\nx\r\n' % subject.encode())
    assert request.frame == driver.wire.frames_appended
    driver.events(reply_to(request))
    assert got == [(b'yes',)]


def test_what_cannot_be_sent_leaves_no_request_behind(driver):
    wire = driver.wire
    with pytest.raises(ValueError, match='subject'):
        wire.request(driver.request(print, 0), 'a b')
    with pytest.raises(TypeError):
        wire.request(driver.request(print, 0), 'a', 5)
    with pytest.raises(ValueError, match='header'):
        wire.request(driver.request(print, 0), 'a', b'', {'': 'x'})
    with pytest.raises(MaxPayloadError):
        wire.request(driver.request(print, 0), 'a', bytes(wire.max_payload + 1))
    wire.max_output = 100
    with pytest.raises(BufferFullError):
        wire.request(driver.request(print, 0), 'a', bytes(101))
    assert wire.requests == {}
    assert wire.waiting == 0


def test_requests_can_be_subclassed(driver, twin):
    class Mine(twin.Request):
        __slots__ = ('extra',)

        def __init__(self, extra):
            super().__init__(self.done, 2)
            self.extra = extra

        def done(self, payload, err):
            self.extra.append((payload, err))

    request = Mine([])
    assert (request.token, request.frame, request.multi, request.nargs) == ('', 0, False, 2)
    driver.wire.request(request, 'a')
    driver.events(reply_to(request))
    assert request.extra == [(b'yes', None)]


def test_tokens_are_short_and_never_repeat(driver, ask):
    tokens = [ask()[0].token for _ in range(5000)]
    assert len(set(tokens)) == 5000
    assert all(token.isalnum() and len(token) < 6 for token in tokens)


def test_frames_of_requests(driver, ask):
    request, _ = ask()
    assert request.frame == 2  # the SUB was the first
    assert driver.wire.frames_sent == 0
    driver.take()
    assert driver.wire.frames_sent == 2


def test_lost_returns_what_was_sent(driver, ask):
    sent, _ = ask()
    many, _ = ask(multi=True)
    driver.take()
    queued, _ = ask()
    assert driver.wire.lost() == [sent, many]
    assert driver.wire.requests == {queued.token: queued}
    driver.wire.live = True
    assert driver.take() == b'PUB service _INBOX.me.%b 4\r\nwhat\r\n' % queued.token.encode()
    assert driver.wire.lost() == [queued]


def test_lost_keeps_what_was_half_sent(driver, ask):
    driver.collect('a')
    request, _ = ask()
    driver.take(40)
    assert driver.wire.frames_sent < request.frame
    assert driver.wire.lost() == []
    assert driver.take() == b'PUB service _INBOX.me.%b 4\r\nwhat\r\n' % request.token.encode()


def test_forget(driver, ask):
    sent, _ = ask()
    driver.take()
    half, _ = ask()
    queued, got = ask()
    driver.take(4)
    wire = driver.wire
    assert wire.forget(sent)
    assert not wire.forget(sent)
    assert wire.forget(half)
    assert wire.forget(queued)
    assert wire.requests == {}
    assert driver.take() == b'service _INBOX.me.%b 4\r\nwhat\r\n' % half.token.encode()
    assert wire.pending == 0
    assert wire.frames_sent == wire.frames_appended == 4
    driver.events(reply_to(queued))
    assert got == []


def test_forget_one_large_request_among_others(driver):
    requests = [driver.request(print, 0) for _ in range(3)]
    for i, request in enumerate(requests):
        driver.wire.request(request, 'a', b'%d' % i * 20_000)
    assert driver.wire.forget(requests[1])
    sent = driver.take()
    assert b'0' * 20_000 in sent
    assert b'1' * 100 not in sent
    assert b'2' * 20_000 in sent


def test_forget_keeps_what_many_requests_share(driver):
    many = driver.request(print, 0, multi=True)
    subject = driver.wire.expect(many)
    driver.wire.publish('a', b'', subject)
    assert driver.wire.forget(many)
    assert b'PUB a ' in driver.take()


def test_forget_before_anything_was_published(driver):
    for _ in range(10):
        driver.wire.publish('a', b'before')
    driver.take()
    request = driver.request(print, 0)
    driver.wire.expect(request)
    assert driver.wire.forget(request)
    assert driver.wire.pending == len(b'SUB _INBOX.me.* 1\r\n')
    assert driver.take() == b'SUB _INBOX.me.* 1\r\n'


def test_skip(driver, ask):
    wire = driver.wire
    sent, _ = ask()
    driver.take()
    half, _ = ask()
    driver.take(5)
    queued, _ = ask()
    wire.publish('a', b'x')
    wire.ping()
    assert wire.waiting == 3
    assert wire.skip() == [queued]
    assert wire.waiting == 1
    assert list(wire.requests.values()) == [sent, half]
    assert driver.take().endswith(b' 4\r\nwhat\r\nPING\r\n')
    assert wire.frames_sent == wire.frames_appended


def test_clear(driver, ask):
    sent, _ = ask()
    driver.take()
    queued, _ = ask()
    driver.wire.ping()
    driver.collect('a')
    assert driver.wire.clear() == [sent, queued]
    assert driver.wire.requests == {}
    assert driver.wire.pending == 0
    assert driver.wire.waiting == 0
    assert driver.wire.frames_sent == driver.wire.frames_appended
    assert driver.take() == b''
    assert driver.wire.restore() == b'SUB _INBOX.me.* 1\r\nSUB a 2\r\n'


def test_drop_larger(make):
    driver = make(live=False)
    wire = driver.wire
    large = driver.request(print, 0)
    small = driver.request(print, 0)
    wire.publish('a', b'x' * 101)
    wire.request(large, 'b', b'x' * 50_000)
    wire.request(small, 'c', b'x' * 100)
    wire.hpublish('d', {'A': 'b'}, b'x' * 90)
    wire.publish('e', b'x' * 100)
    assert wire.drop_larger(100) == [(101, None), (50_000, large), (108, None)]
    assert list(wire.requests.values()) == [small]
    wire.live = True
    subjects = [line.split()[1] for line in driver.take().split(b'\r\n') if line[:3] == b'PUB']
    assert subjects == [b'c', b'e']
    assert wire.frames_sent == 5


def test_one_request_that_waits_for_two_replies(driver, twin):
    got = []
    request = twin.Request(lambda payload: got.append(payload), 1)
    other = twin.Wire(print, print)
    other.inbox = INBOX
    other.request(request, 'elsewhere')
    tokens = []
    for _ in range(2):
        driver.wire.request(request, 'service')
        tokens.append(request.token)
    other.request(request, 'elsewhere')
    for answer, token in zip((b'one', b'two', b'none'), (*tokens, tokens[0]), strict=True):
        subject = (INBOX + token).encode()
        driver.events(b'MSG %b 1 %d\r\n%b\r\n' % (subject, len(answer), answer))
    assert got == [b'one', b'two']
    assert driver.wire.requests == {}
    assert len(other.clear()) == 2
    driver.wire.request(request, 'service')
    driver.wire.request(request, 'service')
    driver.take()
    assert driver.wire.lost() == [request, request]
    assert driver.wire.requests == {}
