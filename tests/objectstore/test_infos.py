from __future__ import annotations

from typing import Any

import pytest

from natsev import BucketNotFoundError, InvalidMetaError, JetStream, Nats, ObjectStore


def put(run: Any, store: ObjectStore, name: str, data: Any = b'x', **options: Any) -> Any:
    info, err = run.call(store.put, name, data, **options)
    assert err is None, err
    return info


def test_infos_in_the_order_asked_for(run, store):
    for name in ('a', 'b', 'ü/c'):
        put(run, store, name, name.encode())
    assert run.call(store.delete, 'b') == (True, None)
    metas, err = run.call(store.infos, ['ü/c', 'none', 'b', 'a', 'a'])
    assert err is None
    assert [meta and meta['name'] for meta in metas] == ['ü/c', None, None, 'a', 'a']
    assert metas[0]['size'] == 4
    assert metas[0] == run.call(store.info, 'ü/c')[0]


def test_infos_on_every_server(run, each_server, make_store):
    store = make_store(each_server)
    put(run, store, 'a')
    metas, err = run.call(store.infos, ['none', 'a'])
    assert err is None
    assert [meta and meta['name'] for meta in metas] == [None, 'a']


def test_infos_of_more_than_one_request_takes(run, store):
    names = [f'{index:04}' + 'x' * 600 for index in range(1100)]
    for name in names[::100]:
        put(run, store, name)
    metas, err = run.call(store.infos, names)
    assert err is None
    assert [meta['name'] for meta in metas if meta] == names[::100]
    assert all((meta is None) == bool(index % 100) for index, meta in enumerate(metas))


def test_infos_of_names_that_others_spelled(run, store, inside):
    inside.publish(f'$O.{store.bucket}.M.a%20b', b'{"name":"a b","nuid":"n1","size":1,"chunks":1}')
    inside.publish(f'$O.{store.bucket}.M.YQ', b'{"name":"a","nuid":"n2","size":1,"chunks":1}')
    metas, err = run.call(store.infos, ['a', 'a b'])
    assert err is None
    assert [meta['nuid'] for meta in metas] == ['n2', 'n1']


def test_infos_of_nothing(run, store):
    assert run.call(store.infos, []) == ([], None)


def test_infos_says_what_cannot_be_understood(run, store, inside):
    inside.publish(inside.meta_subject('bad'), b'{"size":"many"}')
    put(run, store, 'good')
    metas, err = run.call(store.infos, ['good', 'bad'])
    assert metas is None
    assert isinstance(err, InvalidMetaError)
    assert err.name == 'bad'


def test_infos_of_no_bucket(run, js, unique):
    store = ObjectStore(js=js, bucket=unique)
    metas, err = run.call(store.infos, ['a'])
    assert metas is None
    assert isinstance(err, BucketNotFoundError)


@pytest.mark.parametrize('names', ['abc', [''], [1], None])
def test_infos_of_what_is_no_names(store, names):
    with pytest.raises((TypeError, ValueError)):
        store.infos(names, print)


def test_infos_cancelled(run, js: JetStream, store):
    call = store.infos(['a'], lambda *results: run.done(results))
    call.cancel()
    metas, err = run()
    assert (metas, str(err)) == (None, 'cancelled')


def test_infos_of_a_closed_client(run, store, server):
    nats = Nats(host=server.host, port=server.port)
    other = ObjectStore(js=JetStream(nats=nats), bucket=store.bucket)
    nats.disconnect()
    metas, err = run.call(other.infos, ['a'])
    assert (metas, str(err)) == (None, 'disconnected')
