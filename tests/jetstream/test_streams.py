"""Streams: created, changed, looked at, purged and deleted on real servers."""

from __future__ import annotations

import pytest

from natsev import (
    Cancelled,
    JetStream,
    MessageNotFoundError,
    StreamExistsError,
    StreamNotFoundError,
    UnsupportedOptionError,
)


def test_a_stream_from_creation_to_deletion(run, each_js, unique):
    js = each_js
    config = {'name': unique, 'subjects': [f'{unique}.*'], 'max_msgs': 100}
    info, err = run.call(js.stream_create, config)
    assert err is None
    assert info['config']['subjects'] == [f'{unique}.*']
    assert info['did_create'] is True

    info, err = run.call(js.stream_update, {**config, 'max_msgs': 50})
    assert err is None
    assert info['config']['max_msgs'] == 50
    info, err = run.call(js.stream_info, unique)
    assert (info['config']['max_msgs'], info['state']['messages']) == (50, 0)

    reply, err = run.call(js.stream_delete, unique)
    assert (reply['success'], err) == (True, None)
    info, err = run.call(js.stream_info, unique)
    assert info is None
    assert isinstance(err, StreamNotFoundError)
    assert (err.code, err.err_code) == (404, 10059)
    assert str(err) == 'stream not found (404/10059)'


def test_the_same_configuration_again_and_another_one(run, js, stream):
    config = {
        'name': stream, 'subjects': [f'{stream}.>'], 'allow_direct': True, 'storage': 'memory',
    }  # fmt: skip
    info, err = run.call(js.stream_create, config)
    assert (info['config']['name'], err) == (stream, None)
    info, err = run.call(js.stream_create, {**config, 'max_msgs': 7})
    assert info is None
    assert isinstance(err, StreamExistsError)
    assert err.err_code == 10058


def test_create_or_update(run, js, unique):
    config = {'name': unique, 'subjects': [unique], 'storage': 'memory'}
    info, err = run.call(js.stream_create_or_update, config)
    assert (info['did_create'], err) == (True, None)
    info, err = run.call(js.stream_create_or_update, {**config, 'max_msgs': 3})
    assert (info['config']['max_msgs'], err) == (3, None)


def test_all_of_a_configuration_is_kept(run, js, unique):
    config = {
        'name': unique,
        'description': 'everything',
        'subjects': [f'{unique}.>'],
        'retention': 'limits',
        'max_consumers': 5,
        'max_msgs': 1000,
        'max_msgs_per_subject': 3,
        'max_bytes': 1 << 20,
        'max_age': 3600_000_000_000,
        'max_msg_size': 1 << 16,
        'storage': 'memory',
        'num_replicas': 1,
        'discard': 'new',
        'discard_new_per_subject': True,
        'duplicate_window': 60_000_000_000,
        'first_seq': 10,
        'subject_transform': {'src': f'{unique}.in.>', 'dest': f'{unique}.out.>'},
        'republish': {'src': '>', 'dest': f'again.{unique}.>', 'headers_only': True},
        'deny_delete': True,
        'allow_rollup_hdrs': True,
        'allow_direct': True,
        'consumer_limits': {'inactive_threshold': 60_000_000_000, 'max_ack_pending': 10},
        'metadata': {'owner': 'tests'},
        'allow_msg_ttl': True,
        'subject_delete_marker_ttl': 60_000_000_000,
        'allow_atomic': True,
        'allow_batched': True,
    }
    info, err = run.call(js.stream_create, config)
    assert err is None
    echo = info['config']
    metadata = echo.pop('metadata')
    assert metadata['owner'] == 'tests'
    del config['metadata']
    assert {name: echo[name] for name in config} == config


def test_what_an_old_server_drops_is_told(run, connect, server_of, unique):
    js = JetStream(nats=connect(port=server_of('2.11.11').port))
    config = {'name': unique, 'subjects': [unique], 'storage': 'memory', 'allow_atomic': True}
    info, err = run.call(js.stream_create, config)
    assert info is None
    assert isinstance(err, UnsupportedOptionError)
    assert err.options == ['allow_atomic']
    assert err.info['config']['name'] == unique
    assert str(err) == 'the server does not know, and left out: allow_atomic'


def test_mirror_and_sources(run, js, stream, unique, fill):
    fill(js, f'{stream}.a', [b'1', b'2'])
    mirror = {'name': f'{unique}M', 'storage': 'memory', 'mirror': {'name': stream}}
    info, err = run.call(js.stream_create, mirror)
    assert (info['config']['mirror']['name'], err) == (stream, None)
    source = {'name': stream, 'domain': 'elsewhere'}
    info, err = run.call(
        js.stream_create, {'name': f'{unique}S', 'storage': 'memory', 'sources': [source]}
    )
    assert err is None
    assert info['config']['sources'][0]['external']['api'] == '$JS.elsewhere.API'
    assert source == {'name': stream, 'domain': 'elsewhere'}


def test_lists_go_through_every_page(run, start_server, connect):
    """1100 streams: two pages of names, five of infos."""
    server = start_server()
    js = JetStream(nats=connect(port=server.port), timeout=20000)
    names = [f's{number:04}' for number in range(1100)]
    left = []
    for name in names:
        config = {'name': name, 'subjects': [f'{name}.x'], 'storage': 'memory'}
        left.append(js.stream_create(config, lambda info, err: (left.pop(), err and run.done(err))))
    run.until(lambda: not left)
    found, err = run.call(js.stream_names)
    assert (sorted(found), err) == (names, None)
    infos, err = run.call(js.stream_list)
    assert (sorted(info['config']['name'] for info in infos), err) == (names, None)
    found, err = run.call(js.stream_names, subject='s0007.x')
    assert (found, err) == (['s0007'], None)
    infos, err = run.call(js.stream_list, subject='nobody.takes.this')
    assert (infos, err) == ([], None)


def test_subjects_with_their_counts(run, js, stream, fill):
    fill(js, f'{stream}.a', [b'', b''])
    fill(js, f'{stream}.b.c', [b''])
    info, err = run.call(js.stream_info, stream, {'subjects_filter': f'{stream}.>'})
    assert err is None
    assert info['state']['subjects'] == {f'{stream}.a': 2, f'{stream}.b.c': 1}
    info, err = run.call(js.stream_info, stream, {'subjects_filter': f'{stream}.nothing'})
    assert (info['state'].get('subjects'), err) == (None, None)


def test_purge(run, js, stream, fill):
    fill(js, f'{stream}.a', [b''] * 5)
    fill(js, f'{stream}.b', [b''] * 5)
    reply, err = run.call(js.stream_purge, stream, {'filter': f'{stream}.a', 'keep': 1})
    assert (reply['purged'], err) == (4, None)
    reply, err = run.call(js.stream_purge, stream, {'seq': 8})
    assert (reply['purged'], err) == (3, None)
    reply, err = run.call(js.stream_purge, stream)
    assert (reply['purged'], err) == (3, None)


@pytest.mark.parametrize('erase', [False, True])
def test_delete_a_message(run, js, stream, fill, erase):
    fill(js, f'{stream}.a', [b'secret', b'x'])
    reply, err = run.call(js.stream_msg_delete, stream, 1, erase=erase)
    assert (reply['success'], err) == (True, None)
    message, err = run.call(js.stream_msg_get, stream, {'seq': 1})
    assert message is None
    assert isinstance(err, MessageNotFoundError)


def test_account_info(run, js, stream):
    info, err = run.call(js.account_info)
    assert err is None
    assert info['streams'] >= 1


def test_cancel(run, js, stream):
    call = js.stream_info(stream, lambda info, err: run.done((info, err)))
    call.cancel()
    call.cancel()
    info, err = run()
    assert info is None
    assert isinstance(err, Cancelled)


@pytest.mark.parametrize('name', ['', 'a.b', 'a b', 'a*', 'a>', 'a/b', 'a\\b', 'x' * 256])
def test_illegal_names_raise(js, name):
    for call in (js.stream_info, js.stream_delete, js.stream_purge):
        with pytest.raises(ValueError, match='stream name'):
            call(name, print)
    with pytest.raises(ValueError, match='stream name'):
        js.stream_create({'name': name}, print)


def test_wrong_arguments_raise(js):
    with pytest.raises(ValueError, match="unknown stream option 'max_mesages'"):
        js.stream_create({'name': 'x', 'max_mesages': 1}, print)
    with pytest.raises(ValueError, match="unknown stream source option 'nme'"):
        js.stream_create({'name': 'x', 'mirror': {'nme': 'y'}}, print)
    with pytest.raises(ValueError, match="unknown stream_purge option 'subject'"):
        js.stream_purge('x', {'subject': 'y'}, print)
    with pytest.raises(ValueError, match='seq or keep'):
        js.stream_purge('x', {'seq': 1, 'keep': 1}, print)
    with pytest.raises(TypeError, match='stream name must be str'):
        js.stream_info(7, print)
    with pytest.raises(TypeError, match='callback'):
        js.stream_info('x', {}, None)
    with pytest.raises(ValueError, match='seq must be at least 1'):
        js.stream_msg_delete('x', 0, print)


def test_domain_and_prefix(run, connect, start_server, unique):
    server = start_server(config='jetstream { domain: hub }')
    nats = connect(port=server.port)
    hub = JetStream(nats=nats, domain='hub')
    assert hub.prefix == '$JS.hub.API'
    config = {'name': unique, 'subjects': [unique], 'storage': 'memory'}
    info, err = run.call(hub.stream_create, config)
    assert (info['config']['name'], err) == (unique, None)
    info, err = run.call(JetStream(nats=nats, prefix='$JS.hub.API').stream_info, unique)
    assert (info['config']['name'], err) == (unique, None)
    ack, err = run.call(hub.js_publish, unique, b'x')
    assert (ack['domain'], ack['seq'], err) == ('hub', 1, None)
    with pytest.raises(ValueError, match='prefix or domain'):
        JetStream(nats=nats, prefix='other', domain='hub')
