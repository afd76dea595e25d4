"""Consumers: created, changed, looked at, paused and deleted on real servers."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

import pytest

from natsev import ConsumerExistsError, ConsumerNotFoundError, JetStreamError, StreamNotFoundError


def test_a_consumer_from_creation_to_deletion(run, each_js, make_stream):
    js, stream = each_js, make_stream(each_js)
    config = {'durable_name': 'C', 'ack_policy': 'explicit', 'filter_subject': f'{stream}.a.>'}
    info, err = run.call(js.consumer_create, stream, config)
    assert err is None
    assert (info['name'], info['config']['filter_subject']) == ('C', f'{stream}.a.>')

    info, err = run.call(js.consumer_create, stream, config)  # the same again
    assert (info['name'], err) == ('C', None)
    info, err = run.call(js.consumer_create, stream, {**config, 'max_deliver': 3})
    assert info is None
    assert isinstance(err, ConsumerExistsError)

    info, err = run.call(js.consumer_update, stream, {**config, 'max_deliver': 3})
    assert (info['config']['max_deliver'], err) == (3, None)
    info, err = run.call(js.consumer_info, stream, 'C')
    assert (info['config']['max_deliver'], err) == (3, None)

    reply, err = run.call(js.consumer_delete, stream, 'C')
    assert (reply['success'], err) == (True, None)
    info, err = run.call(js.consumer_info, stream, 'C')
    assert info is None
    assert isinstance(err, ConsumerNotFoundError)


def test_update_of_one_that_is_not_there(run, js, stream):
    info, err = run.call(js.consumer_update, stream, {'durable_name': 'C'})
    assert info is None
    assert isinstance(err, ConsumerNotFoundError)
    info, err = run.call(js.consumer_create_or_update, stream, {'durable_name': 'C'})
    assert (info['name'], err) == ('C', None)
    with pytest.raises(ValueError, match='needs the name'):
        js.consumer_update(stream, {}, print)


def test_an_ephemeral_one_gets_a_name(run, js, stream):
    info, err = run.call(js.consumer_create, stream, {'ack_policy': 'none'})
    assert err is None
    assert info['name']
    assert 'durable_name' not in info['config']


def test_a_stream_that_is_not_there(run, js, unique):
    for call in (js.consumer_list, js.consumer_names):
        assert isinstance(run.call(call, unique)[1], StreamNotFoundError)
    assert isinstance(run.call(js.consumer_create, unique, {})[1], StreamNotFoundError)
    assert isinstance(run.call(js.consumer_delete, unique, 'C')[1], StreamNotFoundError)


def test_lists_go_through_every_page(run, js, stream):
    names = [f'c{number:03}' for number in range(300)]
    left = []
    for name in names:
        config = {'name': name, 'mem_storage': True}
        call = js.consumer_create(
            stream, config, lambda info, err: (left.pop(), err and run.done(err))
        )
        left.append(call)
    run.until(lambda: not left)
    found, err = run.call(js.consumer_names, stream)
    assert (sorted(found), err) == (names, None)
    infos, err = run.call(js.consumer_list, stream)
    assert (sorted(info['name'] for info in infos), err) == (names, None)


def test_pause_and_resume(run, js, stream, fill):
    fill(js, f'{stream}.a', [b'x'])
    run.call(js.consumer_create, stream, {'durable_name': 'C'})
    until = datetime.now(timezone.utc) + timedelta(hours=1)
    info, err = run.call(js.consumer_pause, stream, 'C', until)
    assert (info['paused'], err) == (True, None)
    assert run.call(js.fetch, stream, 'C', {'no_wait': True}) == ([], None)
    info, err = run.call(js.consumer_resume, stream, 'C')
    assert (info['paused'], err) == (False, None)
    messages, err = run.call(js.fetch, stream, 'C', {})
    assert ([m.payload for m in messages], err) == ([b'x'], None)
    with pytest.raises(ValueError, match='aware'):
        js.consumer_pause(stream, 'C', datetime.now(), print)


def test_reset(run, js, stream, fill):
    fill(js, f'{stream}.a', [b'1', b'2', b'3'])
    run.call(js.consumer_create, stream, {'durable_name': 'C', 'ack_policy': 'explicit'})
    messages, _ = run.call(js.fetch, stream, 'C', {'batch': 3})
    run.call(messages[-1].ack)
    info, err = run.call(js.consumer_reset, stream, 'C', seq=2)
    assert (info['reset_seq'], err) == (2, None)
    messages, err = run.call(js.fetch, stream, 'C', {'batch': 3, 'expires': 200_000_000})
    assert ([m.payload for m in messages], err) == ([b'2', b'3'], None)


def test_unpin(run, js, stream, fill):
    fill(js, f'{stream}.a', [b'1', b'2', b'3'])
    config = {
        'durable_name': 'C',
        'ack_policy': 'explicit',
        'priority_groups': ['jobs'],
        'priority_policy': 'pinned_client',
        'priority_timeout': 60_000_000_000,
    }
    run.call(js.consumer_create, stream, config)
    messages, err = run.call(js.fetch, stream, 'C', {'group': 'jobs'})
    assert err is None
    pin = messages[0].headers['Nats-Pin-Id']
    _reply, err = run.call(js.consumer_unpin, stream, 'C', 'jobs')
    assert err is None
    # The old id is refused, and a request without one is pinned anew.
    messages, err = run.call(js.fetch, stream, 'C', {'group': 'jobs'})
    assert err is None
    assert messages[0].headers['Nats-Pin-Id'] != pin
    messages, err = run.call(js.fetch, stream, 'C', {'group': 'jobs', 'id': pin})
    assert messages is None
    assert isinstance(err, JetStreamError)
    assert err.code == 423


def test_wrong_arguments_raise(js):
    with pytest.raises(ValueError, match="unknown consumer option 'ackpolicy'"):
        js.consumer_create('S', {'ackpolicy': 'none'}, print)
    with pytest.raises(ValueError, match='consumer name'):
        js.consumer_create('S', {'durable_name': 'a.b'}, print)
    with pytest.raises(ValueError, match='stream name'):
        js.consumer_create('a.b', {}, print)
    with pytest.raises(ValueError, match='consumer name'):
        js.consumer_info('S', 'a b', print)
