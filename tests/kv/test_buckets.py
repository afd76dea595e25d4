"""Buckets: their options, their status, and what other buckets they are made of."""

from __future__ import annotations

import pytest

from natsev import KV, BucketExistsError, BucketNotFoundError, JetStream


def test_a_bucket_as_the_official_clients_make_it(run, each_server, connect, unique):
    kv = KV(js=JetStream(nats=connect(port=each_server.port)), bucket=unique)
    info, err = run.call(kv.create_bucket, {})
    assert err is None
    config = info['config']
    assert {name: config[name] for name in (
        'name', 'subjects', 'retention', 'max_msgs_per_subject', 'max_bytes', 'max_age', 'storage',
        'discard', 'num_replicas', 'duplicate_window', 'deny_delete', 'deny_purge',
        'allow_rollup_hdrs', 'allow_direct',
    )} == {
        'name': f'KV_{unique}',
        'subjects': [f'$KV.{unique}.>'],
        'retention': 'limits',
        'max_msgs_per_subject': 1,
        'max_bytes': -1,
        'max_age': 0,
        'storage': 'file',
        'discard': 'new',
        'num_replicas': 1,
        'duplicate_window': 120_000_000_000,
        'deny_delete': True,
        'deny_purge': False,
        'allow_rollup_hdrs': True,
        'allow_direct': True,
    }  # fmt: skip
    assert run.call(kv.create_bucket, None)[1] is None  # the same again
    info, err = run.call(kv.create_bucket, {'max_history': 2})
    assert info is None
    assert isinstance(err, BucketExistsError)
    reply, err = run.call(kv.delete_bucket)
    assert (reply['success'], err) == (True, None)
    assert isinstance(run.call(kv.status)[1], BucketNotFoundError)


def test_every_option(run, js, unique):
    kv = KV(js=js, bucket=unique)
    options = {
        'description': 'all of it',
        'max_history': 3,
        'max_bytes': 1 << 20,
        'max_age': 60_000_000_000,
        'max_value_size': 1000,
        'replicas': 1,
        'storage': 'memory',
        'compression': True,
        'republish': {'src': '>', 'dest': f'again.{unique}.>'},
        'metadata': {'owner': 'tests'},
        'limit_marker_ttl': 5_000_000_000,
    }
    info, err = run.call(kv.create_bucket, options)
    assert err is None
    assert info['config']['duplicate_window'] == 60_000_000_000
    assert info['config']['max_msg_size'] == 1000
    assert info['config']['republish'] == {'src': '>', 'dest': f'again.{unique}.>'}
    run.call(kv.put, 'a', b'1')
    run.call(kv.put, 'a', b'2')
    status, err = run.call(kv.status)
    assert err is None
    assert status['metadata'].pop('owner') == 'tests'
    assert status['bytes'] > 0
    assert status['stream_info']['state']['messages'] == 2
    for name in ('bytes', 'metadata', 'stream_info'):
        del status[name]
    assert status == {
        'bucket': unique,
        'values': 2,
        'history': 3,
        'ttl': 60_000_000_000,
        'limit_marker_ttl': 5_000_000_000,
        'description': 'all of it',
        'replicas': 1,
        'storage': 'memory',
        'compressed': True,
        'mirror': None,
        'stream': f'KV_{unique}',
        'backing_store': 'JetStream',
    }


def test_update(run, kv):
    assert run.call(kv.update_bucket, {'description': 'new', 'max_bytes': 1 << 20})[1] is None
    status, _ = run.call(kv.status)
    assert (status['description'], status['history']) == ('new', 5)
    assert run.call(kv.update_bucket, {'max_history': 9})[1] is None
    status, _ = run.call(kv.status)
    assert (status['description'], status['history']) == ('new', 9)


def test_create_or_update(run, js, unique):
    kv = KV(js=js, bucket=unique)
    info, err = run.call(kv.create_or_update_bucket, {'storage': 'memory', 'max_history': 2})
    assert (info['config']['max_msgs_per_subject'], err) == (2, None)
    info, err = run.call(kv.create_or_update_bucket, {'max_history': 3})
    assert (info['config']['max_msgs_per_subject'], err) == (3, None)
    assert info['config']['storage'] == 'memory'


def test_list_of_buckets(run, start_server, connect):
    js = JetStream(nats=connect(port=start_server().port))
    assert run.call(KV.buckets, js) == ([], None)
    for name in ('one', 'two'):
        run.call(KV(js=js, bucket=name).create_bucket, {'storage': 'memory'})
    run.call(KV(js=js, bucket='copy').create_bucket, {'mirror': 'one', 'storage': 'memory'})
    run.call(js.stream_create, {'name': 'OTHER', 'subjects': ['x'], 'storage': 'memory'})
    statuses, err = run.call(KV.buckets, js)
    assert err is None
    assert {status['bucket']: status['mirror'] for status in statuses} == {
        'one': None, 'two': None, 'copy': 'one',
    }  # fmt: skip


@pytest.mark.parametrize('known', ['created here', 'opened'])
def test_a_mirror(run, js, kv, unique, known):
    run.call(kv.put, 'a', b'1')
    copy = KV(js=js, bucket=f'{unique}C')
    assert run.call(copy.create_bucket, {'mirror': kv.bucket, 'storage': 'memory'})[1] is None
    while run.call(copy.status)[0]['values'] == 0:
        pass  # it comes by itself
    if known == 'opened':
        copy = KV(js=js, bucket=f'{unique}C')
    assert run.call(copy.get, 'a') == (b'1', None)
    entry, err = run.call(copy.entry, 'a')
    assert (entry['key'], err) == ('a', None)


@pytest.mark.parametrize('first', ['keys', 'put', 'watch', 'history', 'delete'])
def test_a_mirror_that_is_met_first_by(run, js, kv, unique, first):
    """Nobody said that it is one: it is found out."""
    run.call(kv.put, 'a', b'1')
    run.call(
        KV(js=js, bucket=f'{unique}C').create_bucket, {'mirror': kv.bucket, 'storage': 'memory'}
    )
    copy = KV(js=js, bucket=f'{unique}C')
    while run.call(KV(js=js, bucket=f'{unique}C').status)[0]['values'] == 0:
        pass
    if first == 'keys':
        assert run.call(copy.keys) == (['a'], None)
    elif first == 'history':
        entries, err = run.call(copy.history, 'a')
        assert ([entry['value'] for entry in entries], err) == ([b'1'], None)
    elif first == 'put':  # goes to the origin
        assert run.call(copy.put, 'b', b'2') == (2, None)
        assert run.call(kv.get, 'b') == (b'2', None)
    elif first == 'delete':
        assert run.call(copy.delete, 'a') == (True, None)
        assert run.call(kv.get, 'a') == (None, None)
    else:
        told = []
        copy.watch('a', lambda *args: told.append(args[:3]))
        run.until(lambda: len(told) == 2)
        assert told == [('a', b'1', 'PUT'), (None, None, None)]


def test_sources(run, js, kv, unique):
    run.call(kv.put, 'a', b'1')
    other = KV(js=js, bucket=f'{unique}S')
    options = {'sources': [kv.bucket], 'storage': 'memory'}
    assert run.call(other.create_bucket, options)[1] is None
    while run.call(other.status)[0]['values'] == 0:
        pass
    assert run.call(other.get, 'a') == (b'1', None)
    assert run.call(other.put, 'b', b'2') == (2, None)
    assert run.call(kv.get, 'b') == (None, None)


def test_without_direct_gets(run, js, kv):
    info, _ = run.call(js.stream_info, f'KV_{kv.bucket}')
    config = {**info['config'], 'allow_direct': False, 'max_msgs_per_subject': -1}
    _, err = run.call(js.stream_update, config)
    assert err is None
    run.call(kv.put, 'a', b'1')
    assert run.call(kv.get, 'a') == (b'1', None)
    assert run.call(kv.get, 'b') == (None, None)


def test_in_another_domain(run, start_server, connect):
    js = JetStream(nats=connect(port=start_server(config='jetstream { domain: hub }').port))
    kv = KV(js=JetStream(nats=js.nats, domain='hub'), bucket='b')
    run.call(kv.create_bucket, {'storage': 'memory'})
    assert run.call(kv.put, 'a', b'1') == (1, None)
    assert run.call(kv.get, 'a') == (b'1', None)
    assert run.call(kv.keys) == (['a'], None)


def test_wrong_options_raise(js):
    kv = KV(js=js, bucket='x')
    for options, words in (
        ({'history': 1}, "unknown bucket option 'history'"),
        ({'max_history': 0}, 'max_history must be 1 to 64'),
        ({'max_history': 65}, 'max_history must be 1 to 64'),
        ({'storage': 'disk'}, 'storage must be'),
        ({'mirror': 'a', 'sources': ['b']}, 'mirror or sources'),
        ({'mirror': 'a.b'}, 'bucket name'),
    ):
        with pytest.raises(ValueError, match=words):
            kv.create_bucket(options, print)
    with pytest.raises(TypeError, match='mapping'):
        kv.create_bucket(['max_history'], print)
    with pytest.raises(TypeError, match='max_history must be int'):
        kv.create_bucket({'max_history': '1'}, print)
    with pytest.raises(ValueError, match='mirror cannot be changed'):
        kv.update_bucket({'mirror': 'a'}, print)
