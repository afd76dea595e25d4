"""Puts that store nothing when it is there already."""

from __future__ import annotations

import io
import os

import pytest

from natsev import JetStream, ObjectStore, RequestTimeout, WrongSequenceError

BIG = os.urandom(10_000_000)


@pytest.mark.parametrize(
    'make',
    [
        lambda data, path: data,
        lambda data, path: bytearray(data),
        lambda data, path: path,
        lambda data, path: io.BytesIO(data),
    ],
)
@pytest.mark.parametrize('size', [0, 10, 10_000_000])
def test_the_same(run, store, inside, tmp_path, make, size):
    data = BIG[:size]
    path = tmp_path / 'data'
    path.write_bytes(data)
    first, _ = run.call(store.put, 'a', data)
    info, err = run.call(store.put, 'a', make(data, path), skip_same=True, description='other')
    assert err is None
    assert (info['seq'], info['nuid']) == (first['seq'], first['nuid'])
    assert inside.message('a')['seq'] == first['seq']


@pytest.mark.parametrize('other', [b'y' * 300_000, b'x' * 299_999 + b'y', b''])
def test_another(run, store, inside, tmp_path, other):
    path = tmp_path / 'data'
    path.write_bytes(other)
    for source in (other, path, io.BytesIO(other)):
        first, _ = run.call(store.put, 'a', b'x' * 300_000)
        info, err = run.call(store.put, 'a', source, skip_same=True)
        assert err is None
        assert info['seq'] > first['seq']
        assert run.call(store.get, 'a')[0] == other
        inside.await_only(info)


def test_nothing_there(run, store):
    assert run.call(store.put, 'a', BIG, skip_same=True)[1] is None
    assert run.call(store.get, 'a')[0] == BIG
    run.call(store.delete, 'a')
    assert run.call(store.put, 'a', BIG, skip_same=True)[1] is None
    assert run.call(store.get, 'a')[0] == BIG


def test_links_and_what_cannot_be_read_are_replaced(run, store, inside):
    inside.write_meta('a', size=0, chunks=0, options={'link': {'bucket': 'b', 'name': 'c'}})
    inside.publish(inside.meta_subject('b'), b'rubbish')
    for name in 'ab':
        assert run.call(store.put, name, b'', skip_same=True)[1] is None
        assert run.call(store.get, name)[0] == b''


def test_with_a_condition(run, store):
    first, _ = run.call(store.put, 'a', BIG)
    assert run.call(store.put, 'a', BIG, skip_same=True, expected_seq=first['seq'])[1] is None
    _, err = run.call(store.put, 'a', BIG, skip_same=True, expected_seq=first['seq'] + 1)
    assert isinstance(err, WrongSequenceError)


def test_a_file_from_where_it_stands(run, store):
    file = io.BytesIO(b'before' + BIG)
    file.seek(6)
    run.call(store.put, 'a', BIG)
    info, _ = run.call(store.info, 'a')
    assert run.call(store.put, 'a', file, skip_same=True)[0]['seq'] == info['seq']
    file.seek(5)
    assert run.call(store.put, 'a', file, skip_same=True)[0]['size'] == len(BIG) + 1


def test_what_cannot_be_read_twice(store):
    with pytest.raises(TypeError, match='read twice'):
        store.put('a', iter([b'x']), print, skip_same=True)


def test_a_server_that_does_not_answer(run, server, store, proxy, connect):
    run.call(store.put, 'a', b'x')
    between = proxy(server)
    js = JetStream(nats=connect(port=between.port))
    far = ObjectStore(js=js, bucket=store.bucket, timeout=500)
    assert run.call(far.info, 'a')[1] is None
    between.stall()
    _, err = run.call(far.put, 'a', b'x', skip_same=True)
    between.flow()
    assert isinstance(err, RequestTimeout)
    js.nats.disconnect()
    run.until(js.nats.is_closed)
