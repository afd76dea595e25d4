"""sweep, purge_deletes, delete_many."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest

from natsev import BucketNotFoundError, ObjectStore, ObjectStoreError


def put(run: Any, store: ObjectStore, name: str, data: Any = b'x', **options: Any) -> Any:
    info, err = run.call(store.put, name, data, **options)
    assert err is None, err
    return info


def sweep(run: Any, store: ObjectStore, **options: Any) -> Any:
    report, err = run.call(store.sweep, **{'older_than': 0, **options})
    assert err is None, err
    return report


def test_a_clean_bucket(run, store):
    put(run, store, 'a', b'x' * 300_000)
    put(run, store, 'b', b'')
    run.call(store.link, 'l', 'a')
    put(run, store, 'c')
    run.call(store.delete, 'c')
    assert sweep(run, store) == {
        'objects': 2,
        'orphans': [],
        'short': [],
        'broken': [],
        'duplicates': [],
        'purged': 0,
        'dry_run': False,
    }


def test_an_empty_bucket(run, store):
    assert sweep(run, store)['objects'] == 0


def test_orphans_are_purged(run, store, inside):
    kept = put(run, store, 'a', b'abc')
    inside.write_chunks('lost1', b'1', b'2')
    inside.write_chunks('lost2', b'3')
    report = sweep(run, store, dry_run=True)
    assert [(o['nuid'], o['chunks'], o['purged']) for o in report['orphans']] == [
        ('lost1', 2, False),
        ('lost2', 1, False),
    ]
    assert (report['dry_run'], report['purged'], len(inside.chunks())) == (True, 0, 3)
    report = sweep(run, store)
    assert [o['purged'] for o in report['orphans']] == [True, True]
    assert report['purged'] == 3
    assert inside.chunks() == {kept['nuid']: 1}
    assert run.call(store.get, 'a')[0] == b'abc'
    assert sweep(run, store)['orphans'] == []


def test_two_names_of_one_object(run, store, inside):
    """As when a client dies in the midst of a rename."""
    info = put(run, store, 'a', b'abc')
    body = {**inside.body('a'), 'name': 'b'}
    inside.publish(inside.meta_subject('b'), json.dumps(body).encode())
    report = sweep(run, store)
    shared = [(b['name'], b['problem'], b['repaired']) for b in report['broken']]
    assert shared == [('a', 'shared', False), ('b', 'shared', False)]
    assert report['duplicates'] == []
    assert run.call(store.update_meta, 'a', {'name': 'b'})[1] is None
    assert sweep(run, store)['broken'] == []
    assert run.call(store.list)[0] == ['b']
    assert run.call(store.get, 'b')[0] == b'abc'
    inside.await_only(info)


def test_what_is_young_is_left_alone(run, store, inside):
    inside.write_chunks('lost', b'1')
    inside.publish(f'$O.{store.bucket}.M.YQ', b'{"name":"a","nuid":"n"}')
    for older_than in (60_000, timedelta(minutes=1)):
        report = sweep(run, store, older_than=older_than)
        assert report['orphans'] == []
        assert [b['repaired'] for b in report['broken']] == [False]
    assert run.call(store.sweep)[0]['orphans'] == []
    assert inside.chunks() == {'lost': 1}


def test_objects_being_stored_are_left_alone(run, store, inside):
    """Sweeping again and again while objects come and go harms none of them."""
    results: list[Any] = []
    for number in range(30):
        store.put(f'{number % 5}', f'{number}' * 300_000, lambda *result: results.append(result))
    while len(results) < 30:
        report = sweep(run, store, older_than=10_000)
        assert report['orphans'] == []
        assert report['short'] == []
    assert all(err is None for _, err in results)
    for name in run.call(store.list)[0]:
        assert run.call(store.get, name)[1] is None


def test_short_objects_are_told(run, store, inside):
    info = put(run, store, 'a', b'x' * 300, chunk_size=100)
    whole = put(run, store, 'b', b'x' * 300, chunk_size=100)
    inside.delete_message(inside.chunk_seqs(info['nuid'])[1])
    inside.write_chunks(whole['nuid'], b'')  # the .NET client's empty one does not hurt
    assert sweep(run, store)['short'] == [
        {'name': 'a', 'nuid': info['nuid'], 'seq': info['seq'], 'chunks': 3, 'found': 2}
    ]
    assert run.call(store.get, 'b')[0] == b'x' * 300


@pytest.mark.parametrize('token', ['YSBiPw', 'a%20b%3F'])
def test_names_in_wrong_spellings_are_moved(run, store, inside, token, peer_of):
    inside.write_chunks('n1', b'abc')
    digest = 'SHA-256=ungWv48Bz-pBQUDeXa4iI7ADYaOWF3qctBD_YfIAFa0='
    body = {'name': 'a b?', 'nuid': 'n1', 'size': 3, 'chunks': 1, 'digest': digest, 'x': {'y': 1}}
    inside.publish(f'$O.{store.bucket}.M.{token}', json.dumps(body).encode())
    (broken,) = sweep(run, store)['broken']
    assert (broken['name'], broken['problem'], broken['repaired']) == ('a b?', 'spelling', True)
    assert inside.metas() == {'YSBiPw==': 1}
    assert inside.body('a b?')['x'] == {'y': 1}
    assert peer_of('nats-py').get(store.bucket, 'a b?') == b'abc'
    assert sweep(run, store)['broken'] == []


def test_standard_base64_is_moved(run, store, inside):
    inside.publish(f'$O.{store.bucket}.M.cGhvdG9+MT8uanBn', b'{"name":"photo~1?.jpg","nuid":"n"}')
    (broken,) = sweep(run, store)['broken']
    assert (broken['problem'], broken['repaired']) == ('spelling', True)
    assert run.call(store.info, 'photo~1?.jpg')[0]['nuid'] == 'n'


def test_where_a_name_belongs_nothing_is_overwritten(run, store, inside):
    put(run, store, 'a', b'own')
    inside.publish(f'$O.{store.bucket}.M.YQ', b'{"name":"a","nuid":"n","size":9}')
    report = sweep(run, store)
    (broken,) = report['broken']
    assert (broken['problem'], broken['repaired']) == ('spelling', False)
    assert report['duplicates'] == [
        {'name': 'a', 'subjects': [inside.meta_subject('a'), f'$O.{store.bucket}.M.YQ']}
    ]
    assert run.call(store.get, 'a')[0] == b'own'
    assert len(inside.metas()) == 2


def test_the_original_s_names_are_right_in_its_dialect(run, store, js, inside):
    inside.publish(f'$O.{store.bucket}.M.a%20b', b'{"name":"a b","nuid":"n","size":0}')
    original = ObjectStore(js=js, bucket=store.bucket, dialect='ev-nats')
    assert sweep(run, original)['broken'] == []
    assert 'a%20b' in inside.metas()


@pytest.mark.parametrize(
    'payload, headers',
    [
        (b'{"name":"a","nuid":"n","deleted":true,"mtime":"","digest":""}', {}),
        (b'', {'KV-Operation': 'PURGE'}),
    ],
)
def test_broken_tombstones_are_written_anew(run, store, inside, payload, headers):
    inside.publish(inside.meta_subject('a'), payload, {'Nats-Rollup': 'sub', **headers})
    (broken,) = sweep(run, store)['broken']
    assert (broken['name'], broken['problem'], broken['repaired']) == ('a', 'tombstone', True)
    body = inside.body('a')
    assert body['deleted'] is True
    assert body['mtime'] == '0001-01-01T00:00:00Z'
    assert body['nuid']
    assert inside.metas() == {'YQ==': 1}
    assert sweep(run, store)['broken'] == []
    assert run.call(store.info, 'a') == (None, None)


def test_an_empty_time_is_mended(run, store, inside):
    inside.write_meta('a', size=0, chunks=0, mtime='', x=1)
    (broken,) = sweep(run, store)['broken']
    assert (broken['problem'], broken['repaired']) == ('mtime', True)
    assert inside.body('a')['mtime'] == '0001-01-01T00:00:00Z'
    assert inside.body('a')['x'] == 1


def test_what_nobody_can_read_is_told_and_its_chunks_stay(run, store, inside):
    inside.write_chunks('n1', b'abc')
    inside.publish(inside.meta_subject('a'), b'{"nuid": "n1", "size": "many"}')
    inside.publish(inside.meta_subject('b'), b'\xff{"nuid":"n2')
    report = sweep(run, store)
    assert [(b['name'], b['problem'], b['repaired']) for b in report['broken']] == [
        ('a', 'invalid', False),
        ('b', 'invalid', False),
    ]
    assert inside.chunks() == {'n1': 1}


def test_metas_without_a_rollup(run, store, inside):
    """What the last meta does not name any more is an orphan; what both name is not."""
    for nuid in ('n1', 'n2', 'n3'):
        inside.write_chunks(nuid, b'x')
    subject = inside.meta_subject('a')
    for nuid in ('n1', 'n2'):
        inside.publish(subject, json.dumps({'name': 'a', 'nuid': nuid, 'size': 1}).encode())
    for _ in range(2):
        inside.publish(inside.meta_subject('b'), b'{"name":"b","nuid":"n3","size":1}')
    assert [orphan['nuid'] for orphan in sweep(run, store)['orphans']] == ['n1']
    assert inside.chunks() == {'n2': 1, 'n3': 1}


def test_sweep_of_what_cannot_be_changed(run, store, js, unique, inside):
    inside.write_chunks('lost', b'1')
    run.call(store.seal)
    assert 'sealed' in str(run.call(store.sweep, older_than=0)[1])
    assert len(sweep(run, store, dry_run=True)['orphans']) == 1
    other = ObjectStore(js=js, bucket=unique + 'x')
    assert isinstance(run.call(other.sweep)[1], BucketNotFoundError)


def test_sweep_on_every_server(run, each_server, make_store, inside_of):
    store = make_store(each_server)
    inside = inside_of(store)
    put(run, store, 'a', b'abc')
    inside.write_chunks('lost', b'1')
    assert sweep(run, store)['purged'] == 1
    assert len(inside.chunks()) == 1


# Tombstones.


def test_purge_deletes(run, store, inside):
    for name in ('a', 'b', 'c'):
        put(run, store, name)
    for name in ('a', 'b'):
        run.call(store.delete, name)
    assert run.call(store.purge_deletes) == ({'purged': 0, 'kept': 2}, None)
    assert run.call(store.purge_deletes, older_than=0) == ({'purged': 2, 'kept': 0}, None)
    assert inside.metas() == {'Yw==': 1}
    assert run.call(store.list, deleted=True)[0] == ['c']
    # A handle that remembers the tombstone can put the name again.
    assert put(run, store, 'a')['name'] == 'a'
    assert run.call(store.purge_deletes, older_than=0) == ({'purged': 0, 'kept': 0}, None)


def test_purge_deletes_of_other_clients(run, store, inside):
    inside.publish(f'$O.{store.bucket}.M.a%20b', b'', {'KV-Operation': 'PURGE'})
    inside.publish(inside.meta_subject('bad'), b'{')
    assert run.call(store.purge_deletes, older_than=0) == ({'purged': 1, 'kept': 0}, None)
    assert list(inside.metas()) == ['YmFk']


# Many at once.


def test_delete_many_by_prefix(run, store, inside):
    for name in ('a/1', 'a/2', 'b/1', 'c'):
        put(run, store, name)
    report, err = run.call(store.delete_many, prefix='a/', dry_run=True)
    assert (report, err) == ({'deleted': ['a/1', 'a/2'], 'changed': [], 'dry_run': True}, None)
    assert len(run.call(store.list)[0]) == 4
    report, err = run.call(store.delete_many, prefix='a/')
    assert (report['deleted'], err) == (['a/1', 'a/2'], None)
    assert run.call(store.list)[0] == ['b/1', 'c']
    assert len(inside.chunks()) == 2
    assert run.call(store.delete_many, prefix='')[0]['deleted'] == ['b/1', 'c']
    assert run.call(store.delete_many, prefix='')[0]['deleted'] == []


def test_delete_many_by_age(run, store):
    put(run, store, 'a')
    assert run.call(store.delete_many, older_than=60_000)[0]['deleted'] == []
    assert run.call(store.delete_many, older_than=timedelta(0), prefix='b')[0]['deleted'] == []
    assert run.call(store.delete_many, older_than=0)[0]['deleted'] == ['a']


def test_delete_many_leaves_what_is_replaced(run, store, monkeypatch):
    from natsev.objectstore.tidying.pruning import DeleteMany

    for name in ('a', 'b'):
        put(run, store, name, b'old')
    listed = DeleteMany._listed

    def later(deletion, *args):
        store.put('a', b'new', lambda *_: listed(deletion, *args))

    monkeypatch.setattr(DeleteMany, '_listed', later)
    report, err = run.call(store.delete_many, prefix='')
    assert err is None
    assert (report['deleted'], report['changed']) == (['b'], ['a'])
    assert run.call(store.get, 'a')[0] == b'new'


def test_delete_many_of_many(run, store, inside):
    results: list[Any] = []
    for number in range(200):
        store.put(f'{number}', b'x', lambda *result: results.append(result))
    run.until(lambda: len(results) == 200)
    report, err = run.call(store.delete_many, prefix='')
    assert err is None
    assert len(report['deleted']) == 200
    assert inside.chunks() == {}


def test_read_only_buckets(run, store, js, unique):
    mirror = ObjectStore(js=js, bucket=unique + 'm')
    assert run.call(mirror.create_bucket, {'mirror': store.bucket})[1] is None
    for method, options in (
        (mirror.sweep, {}),
        (mirror.purge_deletes, {}),
        (mirror.delete_many, {'prefix': ''}),
    ):
        assert isinstance(run.call(method, **options)[1], ObjectStoreError)
    assert sweep(run, mirror, dry_run=True)['objects'] == 0
    run.call(mirror.delete_bucket)


def test_wrong_arguments(store):
    for older_than in (-1, '1', True, timedelta(seconds=-1)):
        for method in (store.sweep, store.purge_deletes, store.delete_many):
            with pytest.raises((TypeError, ValueError)):
                method(print, older_than=older_than)
    with pytest.raises(ValueError, match='prefix or older_than'):
        store.delete_many(print)
    with pytest.raises(TypeError):
        store.delete_many(print, prefix=b'a')
