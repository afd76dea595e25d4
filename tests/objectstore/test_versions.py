"""All of it on every version of the server, on both storages, with direct gets and without."""

from __future__ import annotations

import os

import pytest

DATA = os.urandom(3_000_000)


@pytest.fixture(params=['file', 'memory'])
def each_store(request, each_server, make_store):
    return make_store(each_server, {'storage': request.param})


def test_all_of_it(run, each_store, inside_of, tmp_path):
    store, inside = each_store, inside_of(each_store)
    for size in (0, 10, 131072, len(DATA)):
        for _ in range(2):
            info, err = run.call(store.put, f'{size}', DATA[:size])
            assert err is None
        assert run.call(store.get, f'{size}')[:2] == (DATA[:size], None)
        assert run.call(store.info, f'{size}')[0]['seq'] == info['seq']
    assert run.call(store.get, '3000000', into=tmp_path / 'out')[0] == len(DATA)
    assert (tmp_path / 'out').read_bytes() == DATA
    assert run.call(store.list)[0] == ['0', '10', '131072', '3000000']
    assert run.call(store.delete, '10') == (True, None)
    assert run.call(store.list)[0] == ['0', '131072', '3000000']
    assert run.call(store.put, '10', b'new', if_absent=True)[1] is None
    assert run.call(store.delete, '10') == (True, None)
    inside.await_chunks(
        {
            run.call(store.info, '131072')[0]['nuid']: 1,
            run.call(store.info, '3000000')[0]['nuid']: 23,
        }
    )
    assert run.call(store.status)[0]['bytes'] > len(DATA)


def test_without_direct_gets(run, each_server, make_store, inside_of):
    store = make_store(each_server)
    config = run.call(store.status)[0]['stream']['config']
    _, err = run.call(store._bucket.js.stream_update, {**config, 'allow_direct': False})
    assert err is None
    # Once as if the client had not heard of it, once as it is.
    for _ in range(2):
        for size in (10, len(DATA)):
            run.call(store.put, 'a', DATA[:size])
            transfer = store.get('a', lambda *result: run.done(result))
            assert run()[:2] == (DATA[:size], None)
        assert transfer.strategy == 'ordered consumer'
        run.call(store.status)
    assert run.call(store.list)[0] == ['a']
    assert run.call(store.delete, 'a') == (True, None)
    assert run.call(store.get, 'a') == (None, None, None)
