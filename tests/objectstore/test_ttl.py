"""Objects that go by themselves."""

from __future__ import annotations

import os

import pytest

from natsev import ObjectStoreError

BIG = os.urandom(500_000)


@pytest.fixture(params=['2.11.11', 'newest'])
def mortal(request, server_of, make_store):
    """A bucket whose objects may have a ttl."""
    return make_store(server_of(request.param), {'object_ttl': True})


def wait_until_gone(run, store, name):
    while run.call(store.get, name)[0] is not None:
        assert run.call(store.get, name)[1] is None  # never metadata without its chunks


@pytest.mark.parametrize('data', [b'', b'x', BIG])
def test_an_object_goes(run, mortal, inside_of, data):
    inside = inside_of(mortal)
    kept, _ = run.call(mortal.put, 'kept', BIG)
    _info, err = run.call(mortal.put, 'a', data, ttl=2000)
    assert err is None
    assert run.call(mortal.get, 'a')[0] == data
    wait_until_gone(run, mortal, 'a')
    assert run.call(mortal.list)[0] == ['kept']
    inside.await_only(kept)
    assert run.call(mortal.put, 'a', b'new')[1] is None


def test_metadata_does_not_outlive_chunks(run, mortal, inside_of):
    inside = inside_of(mortal)
    info, _ = run.call(mortal.put, 'a', BIG, ttl=10_000)
    seconds = int(inside.message('a')['headers']['Nats-TTL'].rstrip('s'))
    assert 5 <= seconds <= 10
    chunk = inside.call(
        inside.js.stream_msg_get,
        inside.stream,
        {'last_by_subj': inside.chunk_subject(info['nuid'])},
    )
    assert int(chunk['headers']['Nats-TTL'].rstrip('s')) > seconds


def test_a_bucket_that_does_not_allow_it(run, store, inside):
    info, err = run.call(store.put, 'a', b'x', ttl=2000)
    assert info is None
    assert isinstance(err, ObjectStoreError)
    assert 'object_ttl=True' in str(err)
    assert inside.chunks() == {}


def test_atomic(run, server, make_store):
    store = make_store(server, {'object_ttl': True, 'atomic': True})
    assert run.call(store.commit, [('a', b'x', {'ttl': 1000}), ('b', b'y')])[1] is None
    wait_until_gone(run, store, 'a')
    assert run.call(store.list)[0] == ['b']


def test_wrong_values(store):
    with pytest.raises(ValueError, match='ttl must be at least 1000'):
        store.put('a', b'x', print, ttl=999)
    with pytest.raises(TypeError):
        store.put('a', b'x', print, ttl='1s')
