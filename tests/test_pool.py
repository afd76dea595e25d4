"""Which server next: the order, who is given up, and what servers tell about each other."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from natsev.address import parse
from natsev.pool import Pool


def pool_of(*urls, shuffle=False):
    return Pool([parse(url) for url in urls], shuffle)


def hosts(pool, n):
    return [pool.next(0).address.host for _ in range(n)]


def test_servers_take_turns():
    pool = pool_of('a', 'b', 'c')
    assert hosts(pool, 5) == ['a', 'b', 'c', 'a', 'b']


def test_shuffled():
    urls = [f'h{i}' for i in range(50)]
    order = hosts(pool_of(*urls, shuffle=True), 50)
    assert sorted(order) == sorted(urls)
    assert order != urls


def test_given_up_after_failures_or_two_refusals():
    pool = pool_of('a', 'b')
    a = pool.next(3)
    a.failures = 3
    b = pool.next(3)
    assert [pool.next(3) for _ in range(2)] == [b, b]
    b.refusals = 2
    assert pool.next(3) is None
    assert len(pool) == 0


def test_delay_is_doubled_and_varies():
    pool = pool_of('a')
    member = pool.next(0)
    assert 0 <= pool.delay(member, 1000, 4000) <= 50
    for failures, around in ((1, 1000), (2, 2000), (3, 4000), (9, 4000), (10_000, 4000)):
        member.failures = failures
        delays = [pool.delay(member, 1000, 4000) for _ in range(20)]
        assert all(around * 0.9 <= delay <= around * 1.1 for delay in delays)
        assert len(set(delays)) > 1


def test_discovered_servers_come_and_go():
    pool = pool_of('nats://me:pw@a.example:4222')
    teller = pool.next(0)
    new = pool.discover(['a.example:4222', '10.0.0.2:4222', '[::1]:4223'], teller)
    assert new == ['nats://10.0.0.2:4222', 'nats://[::1]:4223']
    assert pool.discover(['a.example:4222', '10.0.0.2:4222'], teller) == []
    other = pool.next(0)
    if other is teller:
        other = pool.next(0)
    assert len(pool) == 2
    assert other.address.host == '10.0.0.2'
    assert other.address.tls_name == 'a.example', 'an IP address is not in the certificate'
    assert other.address.password == teller.address.password
    # Who tells may itself have been discovered, and not be named: it is still where we are.
    assert pool.discover([], other) == []
    assert len(pool) == 2


def test_a_server_that_is_left_comes_last():
    pool = pool_of('a')
    a = pool.next(0)
    pool.discover(['b:1', 'c:1'], a)
    pool.put_last(a)
    assert hosts(pool, 3) == ['b', 'c', 'a']


@given(st.lists(st.text() | st.integers() | st.none() | st.lists(st.text())))
def test_odd_words_about_others_do_no_harm(urls):
    pool = pool_of('a')
    for url in pool.discover(urls, pool.next(0)):
        parse(url)


@pytest.mark.parametrize('scheme', ['tls', 'ws', 'wss'])
def test_discovered_like_the_teller(scheme):
    pool = pool_of(f'{scheme}://a:1')
    assert pool.discover(['b:2'], pool.next(0)) == [f'{scheme}://b:2']
