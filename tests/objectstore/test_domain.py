"""A store that is reached through the API prefix of a domain."""

from __future__ import annotations

import os

import pytest

from natsev import JetStream, ObjectStore

DATA = os.urandom(1_000_000) * 12


@pytest.mark.parametrize('reached', [{'domain': 'hub'}, {'prefix': '$JS.hub.API'}])
@pytest.mark.parametrize('batches', [True, False])
def test_everything(run, start_server, connect, tmp_path, reached, batches):
    server = start_server(config={'jetstream': {'domain': 'hub'}})
    store = ObjectStore(js=JetStream(nats=connect(port=server.port), **reached), bucket='b')
    assert run.call(store.create_bucket, {})[1] is None
    store._bucket.batches = batches
    seen = []
    watch = store.watch(lambda meta, err: seen.append(meta and meta['name']))
    for name, data in (('large', DATA), ('small', b'x')):
        info, err = run.call(store.put, name, data)
        assert err is None
        assert run.call(store.get, name)[:2] == (data, None)
        assert run.call(store.info, name)[0]['seq'] == info['seq']
    assert run.call(store.get, 'large', offset=1000, length=9_000_000)[0] == DATA[1000:9_001_000]
    reader, _ = run.call(store.open, 'large')
    assert run.call(reader.read_at, 5_000_000, 10) == (DATA[5_000_000:5_000_010], None)
    assert run.call(store.list) == (['large', 'small'], None)
    assert [meta['size'] for meta in run.call(store.infos, ['small', 'large'])[0]] == [1, len(DATA)]
    assert run.call(store.update_meta, 'small', {'name': 'little'})[1] is None
    assert run.call(store.link, 'link', 'little')[1] is None
    assert run.call(store.get, 'link')[0] == b'x'
    assert run.call(store.export_bucket, tmp_path / 'archive')[0]['objects'] == 3
    assert run.call(store.delete, 'large') == (True, None)
    assert run.call(store.sweep)[1] is None
    assert run.call(store.list)[0] == ['link', 'little']
    run.until(lambda: seen.count('large') == 2)
    watch.stop()
    assert run.call(store.delete_bucket) == (True, None)
