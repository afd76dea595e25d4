"""Earlier versions of objects."""

from __future__ import annotations

from typing import Any

import pytest

from natsev import JetStream, MissingChunks, ObjectStore
from natsev.objectstore import versions as versions_module


def put(run: Any, store: ObjectStore, name: str, data: Any = b'x', **options: Any) -> Any:
    info, err = run.call(store.put, name, data, **options)
    assert err is None, err
    return info


def stored(inside: Any) -> dict[str, int]:
    """The chunks of objects, without the logs of versions."""
    return {nuid: count for nuid, count in inside.chunks().items() if '.' not in nuid}


def settle(run: Any, store: ObjectStore, inside: Any, chunks: int) -> None:
    """Wait until what goes on in the background is done: only so many objects have chunks."""
    for _ in range(1000):
        if len(stored(inside)) == chunks:
            return
    raise AssertionError(stored(inside))


@pytest.fixture
def three(run, store):
    """Three versions of 'a', the last one the present."""
    return [put(run, store, 'a', f'v{n}' * 100, keep_versions=3) for n in (1, 2, 3)]


def test_versions_are_listed_the_newest_first(run, store, three):
    metas, err = run.call(store.versions, 'a')
    assert err is None
    assert [meta['seq'] for meta in metas] == [three[1]['seq'], three[0]['seq']]
    assert metas[0]['digest'] == three[1]['digest']
    assert run.call(store.list) == (['a'], None)
    assert run.call(store.get, 'a')[0] == b'v3' * 100


def test_versions_are_got(run, store, three):
    for number, info in enumerate(three, 1):
        data, err, meta = run.call(store.get, 'a', version=info['seq'])
        assert (data, err) == (f'v{number}'.encode() * 100, None)
        assert meta['seq'] == info['seq']
    assert run.call(store.get, 'a', version=999_999) == (None, None, None)
    put(run, store, 'b')
    assert run.call(store.get, 'b', version=three[0]['seq']) == (None, None, None)


def test_no_more_are_kept_than_wanted(run, store, inside):
    for number in range(6):
        put(run, store, 'a', f'{number}', keep_versions=2)
    settle(run, store, inside, 3)
    assert [meta['size'] for meta in run.call(store.versions, 'a')[0]] == [1, 1]
    assert inside.metas() == {'YQ==': 1}
    assert run.call(store.get, 'a', version=run.call(store.versions, 'a')[0][-1]['seq'])[0] == b'3'


def test_a_put_that_says_nothing_keeps_as_many(run, store, inside):
    put(run, store, 'a', b'1', keep_versions=1)
    put(run, store, 'a', b'2')
    put(run, store, 'a', b'3')
    settle(run, store, inside, 2)
    (version,) = run.call(store.versions, 'a')[0]
    assert run.call(store.get, 'a', version=version['seq'])[0] == b'2'
    # And another handle too, that has to look.
    other = ObjectStore(js=store._bucket.js, bucket=store.bucket)
    put(run, other, 'a', b'4')
    settle(run, store, inside, 2)
    (version,) = run.call(store.versions, 'a')[0]
    assert run.call(store.get, 'a', version=version['seq'])[0] == b'3'


def test_no_more_versions(run, store, inside, three):
    put(run, store, 'a', b'alone', keep_versions=0)
    settle(run, store, inside, 1)
    assert run.call(store.versions, 'a') == ([], None)
    put(run, store, 'a', b'new')
    settle(run, store, inside, 1)
    assert run.call(store.versions, 'a') == ([], None)


def test_a_deleted_object_is_a_version(run, store, three, inside):
    assert run.call(store.delete, 'a') == (True, None)
    assert run.call(store.get, 'a') == (None, None, None)
    assert run.call(store.list) == ([], None)
    metas, err = run.call(store.versions, 'a')
    assert err is None
    assert [meta['seq'] for meta in metas] == [info['seq'] for info in three[::-1]]
    meta, err = run.call(store.restore, 'a', three[2]['seq'])
    assert err is None
    assert run.call(store.get, 'a')[0] == b'v3' * 100
    assert meta['seq'] > three[2]['seq']
    assert len(stored(inside)) == 3


def test_restore(run, store, three, inside):
    meta, err = run.call(store.restore, 'a', three[0]['seq'])
    assert err is None
    assert meta['nuid'] == three[0]['nuid']
    assert run.call(store.get, 'a')[0] == b'v1' * 100
    metas, _ = run.call(store.versions, 'a')
    assert [meta['nuid'] for meta in metas] == [three[2]['nuid'], three[1]['nuid']]
    assert run.call(store.restore, 'a', 999_999) == (None, None)
    again, err = run.call(store.restore, 'a', meta['seq'])
    assert (err, again['seq']) == (None, meta['seq'])
    assert len(stored(inside)) == 3


def test_restore_of_none(run, store):
    assert run.call(store.restore, 'none', 1) == (None, None)
    info = put(run, store, 'a')
    assert run.call(store.restore, 'b', info['seq']) == (None, None)


def test_a_restore_whose_chunks_go_is_taken_back(run, store, three, inside, monkeypatch):
    check = versions_module.Restore._check

    def later(restore, *args):
        store._bucket.purge(restore._call, three[0]['nuid'], lambda _: check(restore, *args))

    monkeypatch.setattr(versions_module.Restore, '_check', later)
    meta, err = run.call(store.restore, 'a', three[0]['seq'])
    assert meta is None
    assert isinstance(err, MissingChunks)
    assert run.call(store.get, 'a')[0] == b'v3' * 100


def test_changed_metadata_is_no_version(run, store, three, inside):
    for number in range(5):
        _, err = run.call(store.update_meta, 'a', {'description': f'{number}'})
        assert err is None
    metas, _ = run.call(store.versions, 'a')
    assert [meta['nuid'] for meta in metas] == [three[1]['nuid'], three[0]['nuid']]
    put(run, store, 'a', b'v4')
    put(run, store, 'a', b'v5')
    settle(run, store, inside, 4)
    metas, _ = run.call(store.versions, 'a')
    assert [meta['size'] for meta in metas] == [2, 200, 200]
    assert metas[1]['description'] == '4'


def test_versions_go_with_a_new_name(run, store, three, inside):
    _, err = run.call(store.update_meta, 'a', {'name': 'b', 'description': 'd'})
    assert err is None
    metas, _ = run.call(store.versions, 'b')
    assert [meta['nuid'] for meta in metas] == [three[1]['nuid'], three[0]['nuid']]
    assert all(meta['name'] == 'b' for meta in metas)
    assert run.call(store.get, 'b', version=metas[1]['seq'])[0] == b'v1' * 100
    assert run.call(store.get, 'b')[2]['description'] == 'd'
    assert run.call(store.versions, 'a') == ([], None)
    put(run, store, 'a', b'new')
    assert len(stored(inside)) == 4
    # As many are kept as before.
    put(run, store, 'b', b'v4')
    assert len(run.call(store.versions, 'b')[0]) == 3


def test_purge_versions(run, store, three, inside):
    assert run.call(store.purge_versions, 'a', keep=1) == (1, None)
    assert len(stored(inside)) == 2
    assert run.call(store.purge_versions, 'a') == (1, None)
    assert stored(inside) == {three[2]['nuid']: 1}
    assert run.call(store.purge_versions, 'a') == (0, None)
    assert run.call(store.purge_versions, 'none') == (0, None)
    assert run.call(store.get, 'a')[0] == b'v3' * 100


def test_purge_deletes_ends_versions(run, store, three, inside):
    run.call(store.delete, 'a')
    assert run.call(store.purge_deletes) == ({'purged': 0, 'kept': 1}, None)
    assert run.call(store.purge_deletes, older_than=0) == ({'purged': 1, 'kept': 0}, None)
    assert inside.chunks() == inside.metas() == {}
    assert run.call(store.versions, 'a') == ([], None)


def test_sweep_leaves_versions_alone(run, store, three, inside):
    run.call(store.delete, 'a')
    report, err = run.call(store.sweep, older_than=0)
    assert err is None
    assert report['orphans'] == report['broken'] == report['short'] == []
    assert len(stored(inside)) == 3


def test_what_another_client_replaces_is_lost_but_not_what_was_before(
    run, store, three, inside, peer_of
):
    peer_of('nats-py').put(store.bucket, 'a', b'other')
    run.until(lambda: True)
    metas, err = run.call(store.versions, 'a')
    assert err is None
    assert [meta['nuid'] for meta in metas] == [three[1]['nuid'], three[0]['nuid']]
    assert run.call(store.sweep, older_than=0)[0]['orphans'] == []
    assert run.call(store.get, 'a')[0] == b'other'
    assert run.call(store.restore, 'a', three[0]['seq'])[1] is None
    assert run.call(store.get, 'a')[0] == b'v1' * 100
    assert run.call(store.versions, 'a')[0][0]['size'] == 5


def test_a_put_over_a_lost_connection(run, server, proxy, connect, store, inside, three):
    between = proxy(server)
    nats = connect(port=between.port, reconnect=True, reconnect_delay=10)
    far = ObjectStore(js=JetStream(nats=nats), bucket=store.bucket)
    run.until(nats.is_connected)
    for size in range(100, 2000, 150):
        between.cut_after(size)
        put(run, far, 'a', f'{size}')
    # What could not be purged then is purged now.
    put(run, store, 'a', b'last')
    settle(run, store, inside, 4)
    metas, _ = run.call(store.versions, 'a')
    got = [run.call(store.get, 'a', version=meta['seq'])[0] for meta in metas]
    assert got == [b'1900', b'1750', b'1600']


def test_peers_read_the_present_one(run, store, three, peer):
    assert peer.get(store.bucket, 'a') == b'v3' * 100
    assert [info['name'] for info in peer.list(store.bucket)] == ['a']
    run.call(store.delete, 'a')
    if peer.name != 'natsrpy':  # which lists what is deleted too
        assert peer.list(store.bucket) == []


@pytest.mark.parametrize('keep', [-1, True, '2'])
def test_wrong_numbers(store, keep):
    with pytest.raises((TypeError, ValueError)):
        store.put('a', b'', print, keep_versions=keep)
    with pytest.raises((TypeError, ValueError)):
        store.get('a', print, version=keep)
    with pytest.raises((TypeError, ValueError)):
        store.purge_versions('a', print, keep=keep)
    with pytest.raises((TypeError, ValueError)):
        store.restore('a', keep, print)


@pytest.mark.parametrize('way', ['put', 'commit'])
def test_an_atomic_put_keeps_what_it_replaces(run, make_store, server, inside_of, way):
    store = make_store(server, {'atomic': True})
    old, _ = run.call(store.put, 'a', b'old', keep_versions=1)
    if way == 'put':
        newer, err = run.call(store.put, 'a', b'newer', atomic=True)
    else:
        (newer, _), err = run.call(store.commit, [('a', b'newer'), ('b', b'other')])
    assert err is None
    assert run.call(store.info, 'a')[0]['seq'] == newer['seq']
    assert [meta['seq'] for meta in run.call(store.versions, 'a')[0]] == [old['seq']]
    assert run.call(store.get, 'a', version=old['seq'])[0] == b'old'
    newest, _ = run.call(store.put, 'a', b'newest')
    other, _ = run.call(store.info, 'b') if way == 'commit' else (newest, None)
    kept = {meta['nuid']: 1 for meta in (newer, newest, other)}
    inside_of(store).await_chunks({**kept, 'versions.YQ==': 1})
    assert run.call(store.get, 'a', version=newer['seq'])[0] == b'newer'
    assert newest['seq'] > newer['seq']
