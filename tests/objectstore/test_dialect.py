"""The dialect of the Perl original, both ways."""

from __future__ import annotations

import hashlib
import json
import os

import pytest

from natsev import ObjectStore

DATA = os.urandom(300_000)


@pytest.fixture
def original(js, store):
    """The same bucket, written as the original does."""
    return ObjectStore(js=js, bucket=store.bucket, dialect='ev-nats')


def read_as_the_original(inside, name):
    """What EV::Nats::ObjectStore 0.02 makes of *name*: its own steps, no more."""
    encoded = ''.join(c if c.isalnum() or c in '._-' else f'%{ord(c):02X}' for c in name)
    subject = f'$O.{inside.bucket}.M.{encoded}'
    message = inside.call(inside.js.stream_msg_get, inside.stream, {'last_by_subj': subject})
    if message['headers'] is not None and message['headers'].get('KV-Operation') == 'PURGE':
        return None
    meta = json.loads(message['payload'])
    data, seq = b'', 1
    for _ in range(meta['chunks']):
        subject = f'$O.{inside.bucket}.C.{meta["nuid"]}'
        chunk = inside.call(
            inside.js.stream_msg_get, inside.stream, {'next_by_subj': subject, 'seq': seq}
        )
        data += chunk['payload']
        seq = chunk['seq'] + 1
    assert meta['digest'] == 'SHA-256=' + hashlib.sha256(data).hexdigest()
    assert meta['size'] == len(data)
    return data


@pytest.mark.parametrize('name', ['a', 'report.pdf', 'with space', 'a/b~c*'])
@pytest.mark.parametrize('data', [b'', b'x', DATA])
def test_the_original_reads_it(run, original, inside, name, data):
    assert run.call(original.put, name, data)[1] is None
    assert read_as_the_original(inside, name) == data
    assert run.call(original.get, name)[:2] == (data, None)
    assert run.call(original.delete, name) == (True, None)
    assert read_as_the_original(inside, name) is None
    assert inside.chunks() == {}


def test_each_reads_the_others(run, store, original):
    run.call(store.put, 'official name', DATA)
    run.call(original.put, "the original's", DATA)
    for one in (store, original):
        assert run.call(one.list)[0] == ['official name', "the original's"]
        for name in ('official name', "the original's"):
            assert run.call(one.get, name)[:2] == (DATA, None)
            assert run.call(one.info, name)[0]['size'] == len(DATA)


def test_each_deletes_the_others(run, store, original, inside):
    run.call(store.put, 'a b', DATA)
    run.call(original.put, 'c d', DATA)
    assert run.call(store.delete, 'c d') == (True, None)
    assert run.call(original.delete, 'a b') == (True, None)
    assert inside.chunks() == {}
    for one in (store, original):
        assert run.call(one.list)[0] == []
        assert run.call(one.get, 'a b') == (None, None, None)
        assert run.call(one.get, 'c d') == (None, None, None)


def test_what_the_original_wrote(run, store, inside):
    """An object and a tombstone of EV::Nats 0.02, byte for byte in its way."""
    inside.write_chunks('AbC', b'hel', b'lo')
    digest = hashlib.sha256(b'hello').hexdigest()
    meta = {'digest': f'SHA-256={digest}', 'name': 'x y', 'size': 5, 'chunks': 2, 'nuid': 'AbC'}
    subject = f'$O.{inside.bucket}.M.x%20y'
    inside.publish(subject, json.dumps({**meta, 'bucket': inside.bucket}).encode())
    assert run.call(store.get, 'x y')[:2] == (b'hello', None)
    inside.publish(subject, b'', {'KV-Operation': 'PURGE', 'Nats-Rollup': 'sub'})
    assert run.call(store.get, 'x y') == (None, None, None)
    assert run.call(store.list)[0] == []


def test_names_that_it_cannot_write(original):
    for name in ('.a', 'a..b', ''):
        with pytest.raises(ValueError, match='object name'):
            original.put(name, b'x', print)
