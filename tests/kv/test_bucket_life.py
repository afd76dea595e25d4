"""A bucket of keys and values on a real server (ADR-8)."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

import pytest

from natsev import (
    KV,
    BucketExistsError,
    BucketNotFoundError,
    Cancelled,
    CodecError,
    MaxPayloadError,
    WrongSequenceError,
)


@pytest.fixture
def make(run, js, unique):
    """``make(opts, **kv_options)``: a bucket of this test's own."""
    made = []

    def make(opts=None, **options):
        kv = KV(js=js, bucket=f'{unique}-{len(made)}', **options)
        info, err = run.call(kv.create_bucket, opts or {})
        assert err is None
        assert info['config']['name'] == f'KV_{kv.bucket}'
        made.append(kv)
        return kv

    yield make
    for kv in made:
        _, err = run.call(kv.delete_bucket)
        assert err is None or isinstance(err, BucketNotFoundError)


@pytest.fixture
def kv(make):
    return make()


def test_put_get_delete(run, kv):
    assert run.call(kv.get, 'a') == (None, None)
    seq, err = run.call(kv.put, 'a', b'1')
    assert (seq, err) == (1, None)
    assert run.call(kv.get, 'a') == (b'1', None)
    assert run.call(kv.put, 'a', 'ü') == (2, None)
    assert run.call(kv.get, 'a') == ('ü'.encode(), None)
    assert run.call(kv.delete, 'a') == (True, None)
    assert run.call(kv.get, 'a') == (None, None)
    assert run.call(kv.entry, 'a') == (None, None)
    assert run.call(kv.delete, 'never-there') == (True, None)


def test_entry_and_revisions(run, make):
    kv = make({'max_history': 5})
    before = datetime.now(timezone.utc) - timedelta(minutes=1)
    for value in (b'1', b'2'):
        run.call(kv.put, 'a.b', value)
    entry, err = run.call(kv.entry, 'a.b')
    assert err is None
    assert before < entry.pop('created') < before + timedelta(minutes=2)
    assert entry == {
        'bucket': kv.bucket, 'key': 'a.b', 'value': b'2', 'revision': 2, 'delta': 0, 'op': 'PUT',
    }  # fmt: skip
    assert run.call(kv.get, 'a.b', revision=1) == (b'1', None)
    assert run.call(kv.get, 'a.b', revision=9) == (None, None)
    assert run.call(kv.get, 'other', revision=1) == (None, None)


def test_create_and_create_again(run, kv):
    assert run.call(kv.create, 'a', b'1') == (1, None)
    _, err = run.call(kv.create, 'a', b'2')
    assert isinstance(err, WrongSequenceError)
    for remove in (kv.delete, kv.purge):
        assert run.call(remove, 'a') == (True, None)
        seq, err = run.call(kv.create, 'a', b'again')
        assert err is None
        assert run.call(kv.entry, 'a')[0]['revision'] == seq


def test_update_is_compare_and_set(run, kv):
    seq, _ = run.call(kv.put, 'a', b'1')
    assert run.call(kv.update, 'a', b'2', seq) == (seq + 1, None)
    _, err = run.call(kv.update, 'a', b'3', seq)
    assert isinstance(err, WrongSequenceError)
    assert run.call(kv.update, 'new', b'1', 0)[1] is None
    _, err = run.call(kv.delete, 'a', revision=seq)
    assert isinstance(err, WrongSequenceError)
    _, err = run.call(kv.purge, 'a', revision=seq)
    assert isinstance(err, WrongSequenceError)
    assert run.call(kv.get, 'a') == (b'2', None)
    assert run.call(kv.delete, 'a', revision=seq + 1) == (True, None)


def test_history_and_purge(run, make):
    kv = make({'max_history': 3})
    for value in (b'1', b'2', b'3', b'4'):
        run.call(kv.put, 'a', value)
    run.call(kv.delete, 'a')
    entries, err = run.call(kv.history, 'a')
    assert err is None
    assert [(e['op'], e['value'], e['revision']) for e in entries] == [
        ('PUT', b'3', 3), ('PUT', b'4', 4), ('DEL', None, 5),
    ]  # fmt: skip
    run.call(kv.purge, 'a')
    entries, _ = run.call(kv.history, 'a')
    assert [e['op'] for e in entries] == ['PURGE']
    assert run.call(kv.history, 'never') == ([], None)


def test_keys_are_the_live_ones(run, kv):
    assert run.call(kv.keys) == ([], None)
    for key in ('a.1', 'a.2', 'b.1', 'b.2'):
        run.call(kv.put, key, b'x')
    run.call(kv.delete, 'a.2')
    run.call(kv.purge, 'b.2')
    assert run.call(kv.keys) == (['a.1', 'b.1'], None)
    assert run.call(kv.keys, filters='a.*') == (['a.1'], None)
    assert run.call(kv.keys, filters=['a.>', 'b.1']) == (['a.1', 'b.1'], None)
    run.call(kv.delete, 'a.1')
    run.call(kv.delete, 'b.1')
    assert run.call(kv.keys) == ([], None)


def seen(watched):
    return [(key, value, op) for key, value, op, _ in watched]


def test_watch(run, kv):
    run.call(kv.put, 'a', b'1')
    run.call(kv.put, 'a', b'2')
    run.call(kv.put, 'b', b'1')
    watched, ended = [], []
    watch = kv.watch('>', lambda *args: watched.append(args), on_end=ended.append)
    run.until(lambda: len(watched) == 3)
    assert seen(watched) == [('a', b'2', 'PUT'), ('b', b'1', 'PUT'), (None, None, None)]
    assert watched[0][3]['revision'] == 2
    assert watched[2][3] is None
    run.call(kv.put, 'a', b'3')
    run.call(kv.delete, 'a')
    run.call(kv.purge, 'b')
    run.until(lambda: len(watched) == 6)
    assert seen(watched[3:]) == [('a', b'3', 'PUT'), ('a', None, 'DEL'), ('b', None, 'PURGE')]
    watch.stop()
    run.until(lambda: ended)
    run.call(kv.put, 'a', b'4')
    assert len(watched) == 6
    assert ended == [None]


@pytest.mark.parametrize(
    'options, expected',
    [
        ({}, [('a', b'3', 'PUT'), ('b', None, 'DEL'), (None, None, None)]),
        ({'ignore_deletes': True}, [('a', b'3', 'PUT'), (None, None, None)]),
        ({'meta_only': True}, [('a', b'', 'PUT'), ('b', None, 'DEL'), (None, None, None)]),
        ({'updates_only': True}, [(None, None, None)]),
        ({'since': 4}, [('a', b'3', 'PUT'), ('b', None, 'DEL'), (None, None, None)]),
        (
            {'history': True},
            [
                ('a', b'1', 'PUT'), ('a', b'2', 'PUT'), ('b', b'1', 'PUT'), ('a', b'3', 'PUT'),
                ('b', None, 'DEL'), (None, None, None),
            ],
        ),
    ],
)  # fmt: skip
def test_watch_options(run, make, options, expected):
    kv = make({'max_history': 10})
    for key, value in (('a', b'1'), ('a', b'2'), ('b', b'1'), ('a', b'3')):
        run.call(kv.put, key, value)
    run.call(kv.delete, 'b')
    watched = []
    watch = kv.watch('>', lambda *args: watched.append(args), **options)
    run.until(lambda: watched and watched[-1][0] is None)
    assert seen(watched) == expected
    watched.clear()
    run.call(kv.put, 'c', b'new')
    run.until(lambda: watched)
    assert watched[0][:3] == ('c', b'' if 'meta_only' in options else b'new', 'PUT')
    watch.stop()


def test_watch_several_patterns(run, kv):
    for key in ('a.1', 'b.1', 'c.1'):
        run.call(kv.put, key, b'x')
    watched = []
    watch = kv.watch(['a.*', 'c.1'], lambda key: watched.append(key))
    run.until(lambda: len(watched) == 3)
    assert watched == ['a.1', 'c.1', None]
    watch.stop()


def test_a_watch_survives_a_restart(run, connect, own_server, unique):
    from natsev import JetStream

    nats = connect(port=own_server.port, reconnect=True, reconnect_delay=10)
    kv = KV(js=JetStream(nats=nats), bucket=unique)
    assert run.call(kv.create_bucket, {})[1] is None
    watched = []
    kv.watch('>', lambda key, value: watched.append((key, value)))
    run.call(kv.put, 'a', b'0')
    for number in range(1, 4):
        own_server.kill()
        own_server.start()
        nats_up = nats.stats()['reconnects']
        run.until(lambda up=nats_up: nats.stats()['reconnects'] >= up and nats.is_connected())
        seq = None
        while seq is None:  # written to a connection that was about to be lost
            seq, _ = run.call(kv.put, 'a', b'%d' % number)
        run.until(lambda n=number: (('a', b'%d' % n)) in watched)
    values = [value for key, value in watched if key is not None]
    assert values == sorted(set(values))


def test_buckets_of_all_kinds(run, js, make, unique):
    kv = make({
        'max_history': 7, 'max_bytes': 1_000_000, 'max_value_size': 1000, 'max_age': 10**12,
        'storage': 'memory', 'description': 'words', 'compression': True, 'metadata': {'a': 'b'},
    })  # fmt: skip
    status, err = run.call(kv.status)
    assert err is None
    assert status['history'] == 7
    assert status['ttl'] == 10**12
    assert status['storage'] == 'memory'
    assert status['compressed'] is True
    assert status['description'] == 'words'
    assert status['metadata'] == {'a': 'b'}
    assert (status['values'], status['mirror']) == (0, None)
    _, err = run.call(KV(js=js, bucket=kv.bucket).create_bucket, {})
    assert isinstance(err, BucketExistsError)
    _, err = run.call(kv.update_bucket, {'max_history': 8, 'description': 'other'})
    assert err is None
    status, _ = run.call(kv.status)
    assert (status['history'], status['description'], status['ttl']) == (8, 'other', 10**12)
    statuses, err = run.call(KV.buckets, js)
    assert err is None
    assert kv.bucket in [status['bucket'] for status in statuses]


def test_no_such_bucket(run, js, unique):
    kv = KV(js=js, bucket=unique)
    ended = []
    for call in (
        lambda cb: kv.get('a', cb),
        lambda cb: kv.put('a', b'', cb),
        kv.keys,
        kv.status,
        kv.delete_bucket,
        lambda cb: kv.history('a', cb),
        lambda cb: kv.update_bucket({}, cb),
    ):
        _, err = run.call(call)
        assert isinstance(err, BucketNotFoundError)
    kv.watch('>', print, on_end=ended.append)
    run.until(lambda: ended)
    assert isinstance(ended[0], BucketNotFoundError)


def test_a_bucket_that_goes_away(run, make):
    kv = make()
    run.call(kv.put, 'a', b'')
    ended = []
    kv.watch('>', lambda: None, on_end=ended.append)
    assert run.call(kv.delete_bucket) == (True, None)
    _, err = run.call(kv.get, 'a')
    assert isinstance(err, BucketNotFoundError)
    run.until(lambda: ended)
    assert isinstance(ended[0], BucketNotFoundError)


@pytest.mark.parametrize('key', ['', ' ', 'a b', '.a', 'a.', 'a..b', 'a*', '>', 'ü', 7, None])
def test_illegal_keys_raise(js, key):
    kv = KV(js=js, bucket='any')
    for call in (kv.get, kv.delete, kv.history):
        with pytest.raises((TypeError, ValueError)):
            call(key, print)
    with pytest.raises((TypeError, ValueError)):
        kv.put(key, b'', print)


def test_illegal_arguments_raise(js):
    kv = KV(js=js, bucket='any')
    with pytest.raises(ValueError, match='bucket'):
        KV(js=js, bucket='a.b')
    with pytest.raises(TypeError, match='value'):
        kv.put('a', 7, print)
    with pytest.raises(MaxPayloadError):
        kv.put('a', b'x' * 2_000_000, print)
    with pytest.raises(ValueError, match='unknown bucket option'):
        kv.create_bucket({'histroy': 1}, print)
    with pytest.raises(ValueError, match='from 1 to 64'):
        kv.create_bucket({'max_history': 65}, print)
    with pytest.raises(ValueError, match='one of'):
        kv.watch('>', print, history=True, updates_only=True)
    with pytest.raises(ValueError, match='pattern'):
        kv.watch('a..b', print)
    with pytest.raises(TypeError, match='codec'):
        KV(js=js, bucket='any', codec=7)
    with pytest.raises(TypeError):
        kv.get('a', lambda a, b, c: None)


def test_purge_deletes(run, make):
    kv = make({'max_history': 5})
    for key in ('a', 'b', 'c'):
        run.call(kv.put, key, b'1')
        run.call(kv.put, key, b'2')
    run.call(kv.delete, 'a')
    run.call(kv.purge, 'b')
    assert run.call(kv.purge_deletes) == (2, None)
    entries, _ = run.call(kv.history, 'a')
    assert [e['op'] for e in entries] == ['DEL'], 'a young marker stays, its history goes'
    assert run.call(kv.purge_deletes, older_than=0) == (2, None)
    assert run.call(kv.history, 'a') == ([], None)
    assert run.call(kv.keys) == (['c'], None)
    assert len(run.call(kv.history, 'c')[0]) == 2


def test_msgpack_values(run, make):
    kv = make(codec='msgpack')
    value = {
        'n': 1, 'big': 2**200, 'text': 'ü', 'raw': b'\x00\xff', 'list': [1, None, 2.5],
        'at': datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=timezone.utc), 5: True,
    }  # fmt: skip
    assert run.call(kv.put, 'a', value)[1] is None
    assert run.call(kv.get, 'a') == (value, None)
    watched = []
    watch = kv.watch('a', lambda key, value: watched.append(value))
    run.until(lambda: len(watched) == 2)
    assert watched[0] == value
    watch.stop()
    with pytest.raises(CodecError, match=r"key 'a'.*set"):
        kv.put('a', {'x': {1, 2}}, print)
    plain = KV(js=kv.js, bucket=kv.bucket)
    assert run.call(plain.put, 'bad', b'\xc1 not msgpack')[1] is None
    value, err = run.call(kv.get, 'bad')
    assert value is None
    assert isinstance(err, CodecError)
    assert "'bad'" in str(err)


def test_key_codec(run, make):
    class Base16:
        def encode(self, key):
            return '.'.join(t if t in '*>' else t.encode().hex() for t in key.split('.'))

        def decode(self, stored):
            return '.'.join(bytes.fromhex(t).decode() for t in stored.split('.'))

    kv = make(key_codec=Base16())
    assert run.call(kv.put, 'ein Schlüssel.x', b'1')[1] is None
    assert run.call(kv.get, 'ein Schlüssel.x') == (b'1', None)
    assert run.call(kv.keys, filters='*.x') == (['ein Schlüssel.x'], None)


def test_ttl(run, make):
    kv = make({'limit_marker_ttl': 10**9, 'max_history': 3})
    assert run.call(kv.create, 'a', b'1', ttl=1000)[1] is None
    assert run.call(kv.get, 'a') == (b'1', None)
    watched = []
    watch = kv.watch('a', lambda key, value, op: watched.append(op))
    run.until(lambda: 'PURGE' in watched)  # the server's own marker
    watch.stop()
    assert run.call(kv.get, 'a') == (None, None)
    assert run.call(kv.purge, 'b', ttl=1000) == (True, None)


def test_mirror_and_sources(run, js, make, unique):
    origin = make()
    run.call(origin.put, 'a', b'1')
    mirror = make({'mirror': origin.bucket})
    sourced = make({'sources': [origin.bucket]})
    for copy in (mirror, sourced):
        keys = []
        watch = copy.watch('>', keys.append)
        run.until(lambda keys=keys: 'a' in keys)
        watch.stop()
        assert run.call(copy.get, 'a') == (b'1', None)
    assert run.call(mirror.put, 'b', b'2')[1] is None  # goes to the origin
    assert run.call(origin.get, 'b') == (b'2', None)
    assert run.call(mirror.status)[0]['mirror'] == origin.bucket


def test_cancel(run, kv):
    run.call(kv.put, 'a', b'1')
    for start in (
        lambda cb: kv.get('a', cb),
        lambda cb: kv.keys(cb),
        lambda cb: kv.history('a', cb),
    ):
        got = []
        handle = start(lambda result, err, got=got: got.append((result, err)))
        handle.cancel()
        run.until(lambda got=got: got)
        assert len(got) == 1
        assert isinstance(got[0][1], Cancelled)


@pytest.mark.parametrize('allow_direct', [True, False])
def test_on_each_server(run, connect, each_server, unique, allow_direct):
    from natsev import JetStream

    js = JetStream(nats=connect(port=each_server.port))
    kv = KV(js=js, bucket=unique)
    assert run.call(kv.create_bucket, {'max_history': 3})[1] is None
    if not allow_direct:
        info, _ = run.call(js.stream_info, kv.stream)
        _, err = run.call(js.stream_update, {**info['config'], 'allow_direct': False})
        assert err is None
        kv = KV(js=js, bucket=unique)
    assert run.call(kv.put, 'a', b'1') == (1, None)
    assert run.call(kv.create, 'b', b'1') == (2, None)
    assert run.call(kv.update, 'a', b'2', 1) == (3, None)
    assert run.call(kv.get, 'a') == (b'2', None)
    assert run.call(kv.get, 'a', revision=1) == (b'1', None)
    assert run.call(kv.get, 'c') == (None, None)
    assert run.call(kv.delete, 'b') == (True, None)
    assert run.call(kv.create, 'b', b'2')[1] is None
    assert run.call(kv.keys) == (['a', 'b'], None)
    assert [e['value'] for e in run.call(kv.history, 'a')[0]] == [b'1', b'2']
    assert run.call(kv.delete_bucket) == (True, None)
