"""One key at a time, on real servers."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from functools import partial

import pytest

from natsev import (
    KV,
    BucketNotFoundError,
    Cancelled,
    JetStream,
    JetStreamError,
    MaxPayloadError,
    WrongSequenceError,
)


def test_put_and_get(run, each_kv):
    kv = each_kv
    assert run.call(kv.get, 'a') == (None, None)
    assert run.call(kv.put, 'a', b'one') == (1, None)
    assert run.call(kv.get, 'a') == (b'one', None)
    assert run.call(kv.put, 'a', 'zwei ü') == (2, None)
    assert run.call(kv.get, 'a') == ('zwei ü'.encode(), None)
    assert run.call(kv.put, 'b.c/d=e_f-g', bytearray(b'')) == (3, None)
    assert run.call(kv.get, 'b.c/d=e_f-g') == (b'', None)


def test_past_revisions(run, each_kv):
    kv = each_kv
    for value in (b'1', b'2'):
        run.call(kv.put, 'a', value)
    run.call(kv.put, 'b', b'3')
    assert run.call(kv.get, 'a', revision=1) == (b'1', None)
    assert run.call(kv.get, 'a', revision=2) == (b'2', None)
    assert run.call(kv.get, 'a', revision=3) == (None, None)  # of another key
    assert run.call(kv.get, 'a', revision=99) == (None, None)


def test_entry(run, each_kv):
    kv = each_kv
    run.call(kv.put, 'a', b'one')
    entry, err = run.call(kv.entry, 'a')
    assert err is None
    assert (entry['bucket'], entry['key'], entry['value']) == (kv.bucket, 'a', b'one')
    assert (entry['revision'], entry['operation'], entry['delta']) == (1, 'PUT', 0)
    assert abs(entry['time'] - datetime.now(timezone.utc)) < timedelta(minutes=1)
    assert run.call(kv.entry, 'b') == (None, None)
    run.call(kv.put, 'a', b'two')
    entry, err = run.call(kv.entry, 'a', revision=1)
    assert (entry['value'], err) == (b'one', None)


def test_create_and_update(run, each_kv):
    kv = each_kv
    assert run.call(kv.create, 'a', b'1') == (1, None)
    revision, err = run.call(kv.create, 'a', b'2')
    assert revision is None
    assert isinstance(err, WrongSequenceError)
    assert run.call(kv.update, 'a', b'2', 1) == (2, None)
    revision, err = run.call(kv.update, 'a', b'3', 1)
    assert revision is None
    assert isinstance(err, WrongSequenceError)
    assert run.call(kv.get, 'a') == (b'2', None)
    assert run.call(kv.update, 'new', b'1', 0) == (3, None)


@pytest.mark.parametrize('remove', ['delete', 'purge'])
def test_create_again_after(run, each_kv, remove):
    kv = each_kv
    run.call(kv.create, 'a', b'1')
    assert run.call(getattr(kv, remove), 'a') == (True, None)
    assert run.call(kv.create, 'a', b'2') == (3, None)
    assert run.call(kv.get, 'a') == (b'2', None)


def test_delete(run, each_kv):
    kv = each_kv
    run.call(kv.put, 'a', b'1')
    assert run.call(kv.delete, 'a') == (True, None)
    assert run.call(kv.get, 'a') == (None, None)
    assert run.call(kv.entry, 'a') == (None, None)
    assert run.call(kv.get, 'a', revision=2) == (None, None)  # the mark itself
    assert run.call(kv.get, 'a', revision=1) == (b'1', None)
    assert run.call(kv.delete, 'never.was') == (True, None)


def test_purge(run, each_kv):
    kv = each_kv
    for value in (b'1', b'2', b'3'):
        run.call(kv.put, 'a', value)
    assert run.call(kv.purge, 'a') == (True, None)
    assert run.call(kv.get, 'a') == (None, None)
    assert run.call(kv.get, 'a', revision=1) == (None, None)
    status, err = run.call(kv.status)
    assert (status['values'], err) == (1, None)


@pytest.mark.parametrize('remove', ['delete', 'purge'])
def test_removing_an_expected_revision(run, each_kv, remove):
    kv = each_kv
    run.call(kv.put, 'a', b'1')
    run.call(kv.put, 'a', b'2')
    ok, err = run.call(getattr(kv, remove), 'a', revision=1)
    assert ok is None
    assert isinstance(err, WrongSequenceError)
    assert run.call(kv.get, 'a') == (b'2', None)
    assert run.call(getattr(kv, remove), 'a', revision=2) == (True, None)
    assert run.call(kv.get, 'a') == (None, None)


def test_without_callbacks(run, kv):
    kv.put('a', b'1')
    kv.put('b', b'1')
    kv.delete('a')
    kv.purge('b')
    while run.call(kv.status)[0]['values'] < 3:
        pass  # nobody told us when they are done
    assert run.call(kv.get, 'a') == (None, None)
    kv.js.nats.on_error(run.done)
    kv.create('c', b'1')
    kv.create('c', b'2')
    assert isinstance(run(), WrongSequenceError)


def test_ttl_of_a_key(run, js, make_bucket):
    kv = make_bucket(js, limit_marker_ttl=60_000_000_000)
    told = []
    kv.watch('a', lambda key, value, op: told.append(op))
    run.until(lambda: told)
    assert run.call(kv.create, 'a', b'1', ttl=1000) == (1, None)
    run.until(lambda: 'PURGE' in told)  # the server's own mark
    assert told == [None, 'PUT', 'PURGE']
    assert run.call(kv.get, 'a') == (None, None)
    assert run.call(kv.create, 'a', b'2')[1] is None


def test_ttl_of_a_mark(run, js, make_bucket):
    kv = make_bucket(js, limit_marker_ttl=60_000_000_000)
    run.call(kv.put, 'a', b'1')
    assert run.call(kv.purge, 'a', ttl=1000) == (True, None)
    (mark,), _ = run.call(kv.history, 'a')
    assert mark['operation'] == 'PURGE'
    while run.call(kv.status)[0]['values']:
        pass  # it goes by itself


def test_ttl_where_the_bucket_allows_none(run, kv):
    revision, err = run.call(kv.create, 'a', b'1', ttl=1000)
    assert revision is None
    assert isinstance(err, JetStreamError)
    assert err.err_code == 10166


@pytest.mark.parametrize('name', ['Nats-Subject', 'nats-subject', 'X', 'KV-Operations'])
def test_headers_of_the_value_are_not_the_servers(run, kv, name):
    subject = f'$KV.{kv.bucket}.a'
    for value in (f'$KV.{kv.bucket}.b', f'{subject}: Nats-Subject: {subject}'):
        assert run.call(partial(kv.js.js_publish, subject, b'1'), headers={name: value})[1] is None
        assert run.call(kv.get, 'a') == (b'1', None)
        entry, err = run.call(kv.entry, 'a')
        assert (entry['value'], err) == (b'1', None)


def test_a_value_that_looks_like_a_status(run, kv):
    block = b'NATS/1.0 404 Message Not Found\r\nA: b\r\n\r\n'
    for payload in (b'', b'1'):
        call = partial(kv.js.js_publish, f'$KV.{kv.bucket}.a', payload)
        assert run.call(call, headers=block)[1] is None
        assert run.call(kv.get, 'a') == (payload, None)


@pytest.mark.parametrize('known', [False, True])
def test_a_missing_key(run, js, kv, known):
    fresh = KV(js=js, bucket=kv.bucket)
    if known:
        assert run.call(fresh.status)[1] is None
    before = js.nats.stats()['msgs_out']
    assert run.call(fresh.get, 'nothing') == (None, None)
    assert js.nats.stats()['msgs_out'] - before == (1 if known else 3)


def test_no_such_bucket(run, js, unique):
    for timeout in (None, 2000):
        kv = KV(js=js, bucket=unique, timeout=timeout)
        for call, args in (
            (kv.get, ('a',)),
            (kv.entry, ('a',)),
            (kv.put, ('a', b'')),
            (kv.create, ('a', b'')),
            (kv.update, ('a', b'', 1)),
            (kv.delete, ('a',)),
            (kv.purge, ('a',)),
            (kv.keys, ()),
            (kv.history, ('a',)),
            (kv.status, ()),
            (kv.purge_deletes, ()),
            (kv.delete_bucket, ()),
            (kv.update_bucket, ({},)),
        ):
            result, err = run.call(call, *args)
            assert result is None
            assert isinstance(err, BucketNotFoundError), call
    assert str(err) == f"bucket '{unique}': stream not found (404/10059)"


def test_cancel(run, kv):
    for call, args in (
        (kv.get, ('a',)),
        (kv.put, ('a', b'')),
        (kv.create, ('a', b'')),
        (kv.keys, ()),
        (kv.history, ('a',)),
        (kv.status, ()),
    ):
        handle = call(*args, lambda result, err: run.done((result, err)))
        handle.cancel()
        result, err = run()
        assert result is None
        assert isinstance(err, Cancelled), call


def test_it_waits_for_the_connection(run, connect, kv):
    early = KV(js=JetStream(nats=connect()), bucket=kv.bucket)
    early.put('a', b'1', lambda revision, err: early.get('a', lambda value, err: run.done(value)))
    assert run() == b'1'


@pytest.mark.parametrize(
    'key', ['', '.a', 'a.', 'a..b', 'a b', 'a*', '>', 'ä', 'a\n', '_kv.a', 'a$b', '*']
)
def test_illegal_keys_raise(kv, key):
    for call, args in (
        (kv.get, ()),
        (kv.entry, ()),
        (kv.put, (b'',)),
        (kv.create, (b'',)),
        (kv.update, (b'', 1)),
        (kv.delete, ()),
        (kv.purge, ()),
    ):
        with pytest.raises(ValueError, match='key'):
            call(key, *args, print)


def test_wrong_arguments_raise(js, kv):
    with pytest.raises(TypeError, match='key must be str'):
        kv.get(7, print)
    with pytest.raises(TypeError, match='revision must be int'):
        kv.get('a', print, revision='1')
    with pytest.raises(ValueError, match='revision must be at least 1'):
        kv.get('a', print, revision=0)
    with pytest.raises(TypeError, match='revision must be int'):
        kv.update('a', b'', None)
    with pytest.raises(TypeError):
        kv.put('a', 7)
    with pytest.raises(TypeError):
        kv.put('a', None)
    with pytest.raises(MaxPayloadError):
        kv.put('a', bytes(js.nats.max_payload() + 1))
    with pytest.raises(ValueError, match='ttl'):
        kv.create('a', b'', ttl=1)
    with pytest.raises(ValueError, match='bucket name'):
        KV(js=js, bucket='a.b')
    with pytest.raises(ValueError, match='codec'):
        KV(js=js, bucket='a', codec='json')
    with pytest.raises(TypeError, match='callback'):
        kv.get('a', 7)
