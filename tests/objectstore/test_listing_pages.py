"""Pages of a listing, items handed over as they come, names in two spellings."""

from __future__ import annotations

import json
from typing import Any

import pytest

from natsev.objectstore import listing


@pytest.fixture
def names(run, store):
    """Names of objects of the store, in their order; some others are deleted."""
    names = sorted(f'{group}/{index:03}' for group in ('a', 'b', 'ü') for index in range(40))
    left = [*names, 'a/gone', 'b/gone']
    results: list[Any] = []
    for name in reversed(left):
        store.put(name, b'x', lambda *result: results.append(result))
    run.until(lambda: len(results) == len(left))
    for name in left[-2:]:
        assert run.call(store.delete, name) == (True, None)
    return names


@pytest.fixture(params=[0, 10_000])
def slack(request, monkeypatch):
    """With a page cut at once, and never."""
    monkeypatch.setattr(listing, '_SLACK', request.param)


@pytest.mark.parametrize('limit', [1, 7, 50, 119, 120, 121])
@pytest.mark.usefixtures('slack')
def test_pages_are_the_whole(run, store, names, limit):
    found: list[str] = []
    after = None
    while True:
        page, err = run.call(store.list, limit=limit, after=after)
        assert err is None
        found += page
        if len(page) < limit:
            break
        after = page[-1]
    assert found == names


@pytest.mark.usefixtures('slack')
def test_a_page_of_a_prefix_with_details(run, store, names):
    metas, err = run.call(store.list, prefix='b/', limit=3, after='b/001', details=True)
    assert err is None
    assert [meta['name'] for meta in metas] == ['b/002', 'b/003', 'b/004']
    assert all(meta['size'] == 1 for meta in metas)


@pytest.mark.usefixtures('slack')
def test_a_page_with_deleted_ones(run, store, names):
    page, err = run.call(store.list, limit=2, after='a/039', deleted=True)
    assert (page, err) == (['a/gone', 'b/000'], None)


def test_behind_the_last(run, store, names):
    assert run.call(store.list, after=names[-1]) == ([], None)
    assert run.call(store.list, prefix='zzz') == ([], None)


def test_items_are_handed_over(run, store, names):
    items: list[str] = []
    assert run.call(store.list, on_item=items.append) == (len(names), None)
    assert sorted(items) == names
    metas: list[Any] = []
    assert run.call(store.list, on_item=metas.append, details=True, prefix='a') == (40, None)
    assert sorted(meta['name'] for meta in metas) == names[:40]
    with_deleted: list[str] = []
    assert run.call(store.list, on_item=with_deleted.append, deleted=True) == (122, None)


def test_items_wait_for_resume(run, store, names):
    items: list[str] = []
    transfer = store.list(lambda *result: run.done(result), on_item=items.append)
    run.until(lambda: items)
    transfer.pause()
    transfer.resume()
    assert run() == (len(names), None)
    assert sorted(items) == names


@pytest.mark.parametrize('options', [{'limit': 1}, {'after': 'a'}])
def test_on_item_has_no_order(store, options):
    with pytest.raises(ValueError, match='on_item'):
        store.list(print, on_item=print, **options)
    with pytest.raises(TypeError):
        store.list(print, on_item=lambda one, two: None)


# Names as other clients spell them.


def meta(name: str, **fields: Any) -> bytes:
    return json.dumps({'name': name, 'nuid': 'n', 'size': 0, 'chunks': 0, **fields}).encode()


@pytest.fixture
def spelled(run, store, inside):
    """Objects under other spellings, some of which do not count."""
    metas = f'$O.{store.bucket}.M.'
    inside.publish(metas + 'only%20there', meta('only there'))
    inside.publish(metas + 'dead%20there', meta('dead there', deleted=True))
    # Two metas, and where the name should be counts: live here, ...
    run.call(store.put, 'both', b'own')
    inside.publish(metas + 'Ym90aA', meta('both', size=9))
    # ... and deleted here, though alive there.
    run.call(store.put, 'gone', b'own')
    inside.publish(metas + 'Z29uZQ', meta('gone'))
    run.call(store.delete, 'gone')
    # A broken meta where the name should be is passed over.
    inside.publish(inside.meta_subject('bad'), b'{')
    inside.publish(metas + 'elsewhere', meta('bad other'))
    return ['bad other', 'both', 'only there']


def test_names_in_other_spellings_are_listed_once(run, store, spelled):
    assert run.call(store.list) == (spelled, None)
    metas, err = run.call(store.list, details=True)
    assert err is None
    assert [(meta['name'], meta['size']) for meta in metas] == [
        ('bad other', 0),
        ('both', 3),
        ('only there', 0),
    ]
    items: list[str] = []
    assert run.call(store.list, on_item=items.append) == (3, None)
    assert sorted(items) == spelled
    assert run.call(store.list, deleted=True)[0] == [
        'bad other',
        'both',
        'dead there',
        'gone',
        'only there',
    ]


def test_many_names_in_other_spellings(run, store, inside, monkeypatch):
    monkeypatch.setattr(listing, '_MOST_DOUBTS', 7)
    names = [f'n {index:02}' for index in range(40)]
    for name in names:
        inside.publish(f'$O.{store.bucket}.M.' + name.replace(' ', '%20'), meta(name))
    assert run.call(store.list) == (names, None)
    items: list[str] = []
    assert run.call(store.list, on_item=items.append) == (40, None)
    assert sorted(items) == names
    assert run.call(store.list, limit=3, after='n 20')[0] == names[21:24]


def test_more_names_than_one_request_brings(run, store, inside):
    """At the seams between requests no name may be missing."""
    names = [f'{index:05}' for index in range(5000)]
    left = len(names)

    def stored(reply: bytes, err: Any, headers: Any) -> None:
        nonlocal left
        assert err is None
        left -= 1

    for name in names:
        subject = inside.meta_subject(name)
        inside.js.nats.request(subject, meta(name), stored, headers={'Nats-Rollup': 'sub'})
    run.until(lambda: not left)
    assert run.call(store.list) == (names, None)
    assert run.call(store.list, on_item=lambda name: None) == (len(names), None)
    assert run.call(store.list, limit=10, after='04000')[0] == names[4001:4011]
    seen: list[str] = []
    watch = store.watch(lambda found, err: seen.append(found and found['name']))
    run.until(lambda: None in seen)
    watch.stop()
    assert seen == [*names, None]


ODD = [
    'a"b',
    'a\\b',
    'a\\u0062',
    'a\n',
    'a\u2028b',
    'ab',
    'aé',
    '{"name":"zz"}',
    'zz',
    '\U0001f600',
]


@pytest.mark.parametrize('spell', [{}, {'ensure_ascii': False}, {'separators': (',', ':')}])
@pytest.mark.usefixtures('slack')
def test_names_are_what_the_json_says_however_it_is_written(run, store, inside, spell):
    for name in ODD:
        # Names before the object's own, as only who reads loosely would take for it.
        for body in ({'name': name, 'bucket': store.bucket}, {'x': {'name': 'q'}, 'name': name}):
            payload = json.dumps({**body, 'nuid': 'n', 'size': 0, 'chunks': 0}, **spell).encode()
            inside.publish(inside.meta_subject(name), payload, {'Nats-Rollup': 'sub'})
        if ODD.index(name) % 2:
            inside.publish(inside.meta_subject(name), payload.replace(b'{', b'{ ', 1))
    whole = run.call(store.list)[0]
    assert whole == sorted(ODD)
    found: list[str] = []
    while page := run.call(store.list, limit=2, after=found[-1] if found else None)[0]:
        found += page
    assert found == whole
    assert run.call(store.list, prefix='a')[0] == [name for name in whole if name[0] == 'a']
