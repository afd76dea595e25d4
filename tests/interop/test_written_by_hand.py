"""What other clients have written at some time, each in its own way, read by natsev.

The bytes are published by hand: the clients in question are old, or written in languages that
tests do not run. Every variation is one that a real client has been seen to write or to accept.
"""

from __future__ import annotations

import base64
import hashlib
from datetime import datetime, timedelta, timezone
from itertools import pairwise

import pytest

from natsev import DigestMismatch, InvalidMetaError, LinkError, MissingChunks, ObjectStore
from tests.by_hand import ROLLUP, digest, token

DATA = hashlib.shake_128(b'some bytes').digest(2500)
PIECES = [DATA[:1000], DATA[1000:2000], DATA[2000:]]
# Its digest contains what differs between the base64s: - and _, or + and /.
ODD_DATA = next(
    data
    for data in (b'%d' % number for number in range(1000))
    if {'-', '_'} <= set(digest(data).partition('=')[2])
)
SHA256 = hashlib.sha256(ODD_DATA).digest()
NAME = '~~~???>>>'


def standard(data: bytes) -> str:
    return base64.b64encode(data).decode()


def url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode()


SPELLINGS = {
    'unpadded': token('a~?').rstrip('='),  # old nats.deno, old nats.c
    'unpadded, two': token('a~').rstrip('='),
    'standard base64': standard(NAME.encode()),  # nats.java
    'standard base64, unpadded': standard(b'?>a~').rstrip('='),
    'percent-encoded': 'a%20name%2F%C3%BC',  # the Perl original
    'Latin-1': url('nämé'.encode('latin-1')),  # the JavaScript client
}
NAMES = {
    'unpadded': 'a~?',
    'unpadded, two': 'a~',
    'standard base64': NAME,
    'standard base64, unpadded': '?>a~',
    'percent-encoded': 'a name/ü',
    'Latin-1': 'nämé',
}


@pytest.fixture
def check(run, do, store, by_hand):
    """``check(name, data)``: all ways to read it give *data*; then it is deleted."""

    def check(name, data, spelling=None):
        got, err, meta = run.call(store.get, name)
        assert (got, err) == (data, None)
        assert meta['name'] == name
        assert do(store.info, name)['size'] == len(data)
        assert do(store.list) == [name]
        parts = []
        assert do(store.get_stream, name, parts.append)['nuid'] == meta['nuid']
        assert b''.join(parts) == data
        assert do(store.delete, name) is True
        assert do(store.get, name) is None
        assert do(store.list) == []
        assert by_hand.stored_chunks() == {}

    return check


# Names.


@pytest.mark.parametrize('kind', SPELLINGS)
def test_spellings_of_names(by_hand, check, kind):
    by_hand.object(NAMES[kind], PIECES, spelling=SPELLINGS[kind])
    check(NAMES[kind], DATA)


@pytest.mark.parametrize('kind', SPELLINGS)
def test_overwriting_another_spelling(do, store, by_hand, kind):
    """The newer one is read from then on, whichever it is."""
    name, spelling = NAMES[kind], SPELLINGS[kind]
    by_hand.object(name, PIECES, spelling=spelling)
    do(store.put, name, b'ours')
    assert do(store.get, name) == b'ours'
    assert do(store.list) == [name]
    assert do(store.delete, name) is True
    assert do(store.get, name) is None
    assert do(store.list) == []


@pytest.mark.parametrize('kind', SPELLINGS)
def test_watching_another_spelling(run, store, by_hand, kind):
    name = NAMES[kind]
    events = []
    watch = store.watch(lambda meta, err: events.append((meta and meta['name'], err)), name=name)
    run.until(lambda: events)
    by_hand.object('another', PIECES)
    by_hand.object(name, PIECES, spelling=SPELLINGS[kind])
    run.until(lambda: len(events) > 1)
    watch.stop()
    assert events == [(None, None), (name, None)]


def test_a_name_that_is_another_ones_spelling(do, store, by_hand):
    """The original's ``YQ==`` stands where others look for ``a``."""
    by_hand.object('YQ==', [b'theirs'], spelling='YQ==')
    assert do(store.get, 'a') is None
    do(store.put, 'a', b'ours')
    assert do(store.get, 'a') == b'ours'


# Digests.


@pytest.mark.parametrize(
    'text',
    [
        'SHA-256=' + url(SHA256),
        'SHA-256=' + url(SHA256).rstrip('='),
        'SHA-256=' + standard(SHA256),
        'SHA-256=' + standard(SHA256).rstrip('='),
        'SHA-256=' + SHA256.hex(),
        'SHA-256=' + SHA256.hex().upper(),
        'sha-256=' + url(SHA256),
        'Sha-256=' + standard(SHA256).rstrip('='),
        None,
        '',
        ...,
    ],
)
def test_digests(by_hand, check, text):
    by_hand.object('a', [ODD_DATA], digest=text)
    check('a', ODD_DATA)


@pytest.mark.parametrize(
    'text',
    [
        digest(b'other'),
        'SHA-256=' + hashlib.sha256(b'other').hexdigest(),
        'SHA-256=',
        'SHA-256=!!!',
        'SHA-256=' + url(SHA256[:16]),
        'MD5=' + url(SHA256),
        url(SHA256),
        'x' * 10_000,
    ],
)
@pytest.mark.parametrize('pieces', [[DATA], PIECES], ids=['one', 'three'])
def test_wrong_digests(run, store, by_hand, tmp_path, text, pieces):
    by_hand.object('a', pieces, digest=text)
    data, err, meta = run.call(store.get, 'a')
    assert data is None
    assert isinstance(err, DigestMismatch)
    assert str(err) == 'digest mismatch'
    assert meta['digest'] == text
    (tmp_path / 'file').write_bytes(b'as it was')
    data, err, _ = run.call(store.get, 'a', into=tmp_path / 'file')
    assert isinstance(err, DigestMismatch)
    assert (tmp_path / 'file').read_bytes() == b'as it was'
    assert [path.name for path in tmp_path.iterdir()] == ['file']


# Other fields.


@pytest.mark.parametrize(
    'mtime',
    [..., None, '', '0001-01-01T00:00:00Z', '2020-02-30T99:00:00+02:00', 'yesterday', 12, {}],
)
def test_times(do, store, by_hand, mtime):
    """Whatever a client has written: an object's time is when the server stored its metadata."""
    by_hand.object('a', [DATA], mtime=mtime)
    assert do(store.get, 'a') == DATA
    stored_at = do(store.info, 'a')['mtime']
    assert abs(datetime.now(timezone.utc) - stored_at) < timedelta(minutes=5)
    assert stored_at == by_hand.last('a')['time']


@pytest.mark.parametrize('bucket', [..., None, '', 'another', 7])
def test_buckets(do, store, by_hand, check, bucket):
    by_hand.object('a', PIECES, bucket=bucket)
    assert do(store.info, 'a')['bucket'] == store.bucket
    check('a', DATA)


@pytest.mark.parametrize(
    'headers, read',
    [
        (..., {}),
        (None, {}),
        ({'A': 'b'}, {'A': ['b']}),
        ({'A': ['b', 'c']}, {'A': ['b', 'c']}),
        ({'A': [], 'B': None, 'C': 3, 'D': ['x', 4]}, {'D': ['x']}),
        ('A: b', {}),
    ],
)
def test_headers(do, store, by_hand, check, headers, read):
    by_hand.object('a', PIECES, headers=headers)
    assert do(store.info, 'a')['headers'] == read
    check('a', DATA)


@pytest.mark.parametrize('options', [..., None, {}, {'max_chunk_size': 0}, {'link': None}, [], 5])
def test_options(do, store, by_hand, check, options):
    by_hand.object('a', PIECES, options=options)
    assert do(store.info, 'a')['options'] == {}
    check('a', DATA)


@pytest.mark.parametrize('metadata', [..., None, {}, {'k': 'v'}, {'k': 1}, 'k=v'])
def test_metadata(do, store, by_hand, check, metadata):
    by_hand.object('a', PIECES, metadata=metadata)
    assert do(store.info, 'a')['metadata'] == ({'k': 'v'} if metadata == {'k': 'v'} else {})
    check('a', DATA)


@pytest.mark.parametrize('description', [..., None, '', 5, 'what it is'])
def test_descriptions(do, store, by_hand, check, description):
    by_hand.object('a', PIECES, description=description)
    expected = 'what it is' if description == 'what it is' else None
    assert do(store.info, 'a')['description'] == expected
    check('a', DATA)


def test_unknown_fields(by_hand, check):
    by_hand.object('a', PIECES, compression='none', extra={'deep': [1, 2, {'x': None}]})
    check('a', DATA)


@pytest.mark.parametrize('deleted', [..., None, False, 0, 'no'])
def test_not_deleted(by_hand, check, deleted):
    by_hand.object('a', PIECES, deleted=deleted)
    check('a', DATA)


def test_a_name_that_only_the_subject_tells(by_hand, check):
    by_hand.chunks('n', PIECES)
    fields = b'{"nuid":"n","size":2500,"chunks":3,"digest":"%b"}' % digest(DATA).encode()
    by_hand.raw_meta('a name', fields)
    check('a name', DATA)


# Chunks.


@pytest.mark.parametrize(
    'sizes',
    [
        [2500],
        [1, 2499],
        [2499, 1],
        [500, 1, 999, 1000],  # Go: whatever one read of the source gave
        [0, 1000, 1500],
        [1000, 0, 1500],
        [1000, 1000, 500, 0],  # nats.net ends with an empty one
    ],
    ids=str,
)
def test_sizes_of_chunks(by_hand, check, sizes):
    starts = [sum(sizes[:index]) for index in range(len(sizes))]
    pieces = [DATA[start : start + size] for start, size in zip(starts, sizes, strict=True)]
    by_hand.object('a', pieces, options={'max_chunk_size': 1000})
    check('a', DATA)


def test_an_empty_object_of_one_empty_chunk(by_hand, check):
    """The original's, and that of nats.net."""
    by_hand.object('a', [b''])
    check('a', b'')


def test_an_empty_object_without_a_nuid(by_hand, check):
    by_hand.object('a', [], nuid='')
    check('a', b'')


@pytest.mark.parametrize('chunks', [..., None, 0, 1, 2, 4, 1_000_000])
def test_wrong_number_of_chunks(by_hand, check, chunks):
    """The official clients do not look at it; size and digest tell what is right."""
    by_hand.object('a', PIECES, chunks=chunks)
    check('a', DATA)


@pytest.mark.parametrize('pieces', [[DATA], PIECES], ids=['one', 'three'])
@pytest.mark.parametrize('size', [1, 2499, 2501, 1 << 40])
def test_wrong_size(run, store, by_hand, pieces, size):
    by_hand.object('a', pieces, size=size)
    data, err, _ = run.call(store.get, 'a')
    assert data is None
    assert isinstance(err, (DigestMismatch, MissingChunks))


def test_chunks_with_headers_of_the_servers_names(by_hand, check):
    """The server adds its own behind them, and those count."""
    headers = {
        'Nats-Sequence': '999',
        'Nats-Stream': 'another',
        'Nats-Subject': 'another',
        'Nats-Num-Pending': '0',
        'Nats-Last-Sequence': '7',
        'Nats-Time-Stamp': 'never',
        'Status': '404',
    }
    by_hand.object('three', PIECES, chunk_headers=headers)
    check('three', DATA)
    by_hand.object('one', [DATA], chunk_headers=headers)
    check('one', DATA)


def test_a_meta_with_headers_of_the_servers_names(do, store, by_hand, check):
    headers = {**ROLLUP, 'Nats-Sequence': '999', 'Nats-Subject': '$O.x.M.YQ=='}
    by_hand.object('a', PIECES, message_headers=headers)
    assert do(store.info, 'a')['seq'] == by_hand.last('a')['seq'] == 4
    check('a', DATA)


def test_chunks_that_lie_apart(by_hand, check, do, store):
    """Two objects whose chunks were written in turn."""
    for index, piece in enumerate(PIECES):
        by_hand.chunks('one', [piece])
        by_hand.chunks('other', [b'%d' % index])
    by_hand.meta('a', nuid='one', size=2500, chunks=3, digest=digest(DATA))
    by_hand.meta('b', nuid='other', size=3, chunks=3, digest=digest(b'012'))
    assert do(store.get, 'b') == b'012'
    do(store.delete, 'b')
    check('a', DATA)


@pytest.mark.parametrize('lost', [0, 1, 2])
def test_a_chunk_is_missing(run, store, by_hand, lost):
    by_hand.object('a', PIECES)
    by_hand.delete(lost + 1)
    data, err, meta = run.call(store.get, 'a')
    assert data is None
    assert isinstance(err, MissingChunks)
    assert meta['name'] == 'a'


@pytest.mark.parametrize('pieces', [[DATA], PIECES], ids=['one', 'three'])
def test_all_chunks_are_missing(run, store, by_hand, pieces):
    by_hand.object('a', pieces)
    by_hand.purge('nuid-of-YQ')
    data, err, _ = run.call(store.get, 'a')
    assert data is None
    assert isinstance(err, MissingChunks)


def test_a_chunk_too_many(run, store, by_hand):
    by_hand.object('a', PIECES)
    by_hand.chunks('nuid-of-YQ', [b'more'])
    data, err, _ = run.call(store.get, 'a')
    assert (data, err) == (DATA, None) or isinstance(err, DigestMismatch)


# Deleted objects.

TOMBSTONES = {
    'Go': ({'size': 0, 'chunks': 0, 'deleted': True}, ROLLUP),
    'nats-py': (
        {'size': 0, 'chunks': 0, 'deleted': True, 'mtime': '', 'digest': ''},
        ROLLUP,
    ),
    'size kept': ({'size': 2500, 'chunks': 3, 'deleted': True, 'digest': digest(DATA)}, ROLLUP),
    'without nuid': ({'deleted': True, 'nuid': ...}, ROLLUP),
    'without rollup': ({'size': 0, 'chunks': 0, 'deleted': True}, None),
    'natsev': (
        {'size': 0, 'chunks': 0, 'deleted': True},
        {**ROLLUP, 'KV-Operation': 'PURGE'},
    ),
    'marker, not deleted': ({'size': 0, 'chunks': 0}, {**ROLLUP, 'KV-Operation': 'DEL'}),
}


@pytest.fixture
def check_deleted(run, do, store, by_hand):
    """``check_deleted(name)``: it counts as deleted, for good, and can be put again."""

    def check_deleted(name):
        events = []
        assert run.call(store.get, name) == (None, None, None)
        assert do(store.info, name) is None
        assert do(store.info, name, deleted=True)['deleted'] is True
        assert do(store.list) == []
        assert do(store.list, deleted=True) == [name]
        assert do(store.delete, name) is False
        watch = store.watch(lambda meta, err: events.append((meta, err)))
        run.until(lambda: (None, None) in events)
        watch.stop()
        assert [(m['name'], m['deleted'], e) for m, e in events if m] == [(name, True, None)]
        do(store.put, name, b'back')
        assert do(store.get, name) == b'back'
        assert do(store.list) == [name]
        do(store.delete, name)
        assert by_hand.stored_chunks() == {}

    return check_deleted


@pytest.mark.parametrize('kind', TOMBSTONES)
def test_tombstones(by_hand, check_deleted, kind):
    fields, headers = TOMBSTONES[kind]
    by_hand.object('a', PIECES)
    by_hand.meta('a', **fields, message_headers=headers)
    by_hand.purge('nuid-of-YQ')
    check_deleted('a')


@pytest.mark.parametrize('spelling', ['a%20name', token('a name')], ids=['percent', 'base64'])
def test_tombstones_of_the_original(by_hand, check_deleted, spelling):
    by_hand.object('a name', PIECES, spelling=spelling)
    by_hand.purge('nuid-of-' + token('a name').rstrip('='))
    headers = {**ROLLUP, 'KV-Operation': 'PURGE'}
    by_hand.raw_meta('a name', b'', headers, spelling=spelling)
    check_deleted('a name')


def test_a_tombstone_of_nothing_but_an_empty_body(by_hand, check_deleted):
    by_hand.raw_meta('a', b'')
    check_deleted('a')


def test_only_tombstones(do, store, by_hand):
    """They end lists of other clients too early, or hang them."""
    for name in 'abc':
        by_hand.object(name, PIECES)
        by_hand.raw_meta(name, b'', {'KV-Operation': 'PURGE', 'Nats-Rollup': 'sub'})
    assert do(store.list) == []
    assert do(store.list, deleted=True) == ['a', 'b', 'c']


# The dialect of the Perl original.


@pytest.fixture
def write_original(by_hand):
    """Writes as EV::Nats 0.02 does: no rollup, a hex digest, names in percent-encoding."""

    def write_original(name, spelling, pieces):
        return by_hand.object(
            name,
            pieces,
            spelling=spelling,
            message_headers=None,
            mtime=...,
            digest='SHA-256=' + hashlib.sha256(b''.join(pieces)).hexdigest(),
        )

    return write_original


@pytest.mark.parametrize('dialect', ['adr20', 'ev-nats'])
def test_reading_the_original(run, do, js, store, write_original, dialect):
    reader = ObjectStore(js=js, bucket=store.bucket, dialect=dialect)
    data = write_original('dir/a name.txt', 'dir%2Fa%20name.txt', PIECES)
    write_original('empty', 'empty', [b''])
    assert do(reader.get, 'dir/a name.txt') == data
    assert do(reader.get, 'empty') == b''
    assert do(reader.list) == ['dir/a name.txt', 'empty']
    assert do(reader.info, 'empty')['size'] == 0


def test_the_original_overwrites_without_rollup(do, store, by_hand, write_original):
    """Older metas stay in the stream: the last one counts."""
    write_original('a', 'a', PIECES)
    write_original('a', 'a', [b'newer'])
    assert by_hand.stored_metas() == {'a': 2}
    assert do(store.list) == ['a']
    assert do(store.info, 'a')['size'] == 5


def test_writing_for_the_original(do, js, store, by_hand):
    """What the original's page says of its wire, and what its tests read."""
    writer = ObjectStore(js=js, bucket=store.bucket, dialect='ev-nats')
    do(writer.put, 'dir/a name.txt', DATA, chunk_size=1000)
    body = by_hand.body('', 'dir%2Fa%20name.txt')
    assert body['name'] == 'dir/a name.txt'
    assert body['digest'] == 'SHA-256=' + hashlib.sha256(DATA).hexdigest()
    assert (body['size'], body['chunks'], body['bucket']) == (2500, 3, store.bucket)
    assert by_hand.stored_chunks() == {body['nuid']: 3}
    do(writer.delete, 'dir/a name.txt')
    assert by_hand.last('', 'dir%2Fa%20name.txt')['headers']['KV-Operation'] == 'PURGE'
    assert by_hand.stored_chunks() == {}


# What cannot be understood at all.


@pytest.mark.parametrize(
    'payload',
    [
        b'no JSON',
        b'{"name":"a",',
        b'[]',
        b'"a"',
        b'7',
        b'null',
        b'\xff\xfe',
        b'[' * 50_000,
        b'{"a":' * 50_000,
        b'{"name":"a","nuid":"n","size":-1,"chunks":1}',
        b'{"name":"a","nuid":"n","size":1,"chunks":-1}',
        b'{"name":"a","nuid":"n","size":1e3,"chunks":1}',
        b'{"name":"a","nuid":"n","size":"1","chunks":1}',
        b'{"name":"a","nuid":"n","size":true,"chunks":1}',
        b'{"name":"a","nuid":"n","size":NaN,"chunks":1}',
        b'{"name":"a","nuid":"n","size":[1],"chunks":{}}',
        b'{"name":"a","nuid":"n","size":%d,"chunks":1}' % (1 << 80),
        b'{"name":"a","nuid":"n","size":%b,"chunks":1}' % (b'9' * 5000),
        b'{"name":"a","size":5,"chunks":1}',
        b'{"name":"a","nuid":"","size":5,"chunks":1}',
        b'{"name":"a","nuid":"x.>","size":5,"chunks":1}',
        b'{"name":"a","nuid":"*","size":5,"chunks":1}',
        b'{"name":"a","nuid":"a b","size":5,"chunks":1}',
        b'{"name":"a","nuid":"a\\r\\nPUB x 0","size":5,"chunks":1}',
        b'{"name":"a","nuid":7,"size":5,"chunks":1}',
        b'{"name":"a","nuid":"%b","size":5,"chunks":1}' % (b'n' * 100_000),
    ],
    ids=lambda payload: payload[:40].decode(errors='replace') + f'({len(payload)})',
)
def test_metas_that_cannot_be(run, do, store, by_hand, payload):
    by_hand.object('good', PIECES)
    by_hand.raw_meta('a', payload)
    for results in (run.call(store.get, 'a'), run.call(store.info, 'a')):
        assert results[0] is None
        assert isinstance(results[1], InvalidMetaError)
    events = []
    watch = store.watch(lambda meta, err: events.append((meta, err)))
    run.until(lambda: (None, None) in events)
    watch.stop()
    assert [type(err) for _, err in events] == [type(None), InvalidMetaError, type(None)]
    assert do(store.list) == ['good']
    # The name is not lost: it can be put again, or deleted.
    do(store.put, 'a', b'new')
    assert do(store.get, 'a') == b'new'
    assert do(store.get, 'good') == DATA


def test_deleting_a_meta_that_cannot_be(run, do, store, by_hand):
    by_hand.raw_meta('a', b'no JSON')
    _, err = run.call(store.delete, 'a')
    assert isinstance(err, InvalidMetaError)
    do(store.put, 'a', b'new')
    assert do(store.delete, 'a') is True


@pytest.mark.parametrize('chunks', [1, 3, 1 << 62])
def test_a_size_that_no_memory_holds(run, store, by_hand, chunks):
    by_hand.object('a', PIECES, size=1 << 62, chunks=chunks)
    _, err, _ = run.call(store.get, 'a')
    assert isinstance(err, MissingChunks)


# Links.


def link(by_hand, name, target, bucket=None):
    options = {'link': {'bucket': bucket or by_hand.bucket, 'name': target}}
    by_hand.meta(name, size=0, chunks=0, options=options)


def test_links(do, store, by_hand):
    by_hand.object('target', PIECES)
    link(by_hand, 'one', 'target')
    link(by_hand, 'two', 'one')
    assert do(store.get, 'two') == DATA
    assert do(store.info, 'two')['options']['link']['name'] == 'one'
    assert do(store.list) == ['one', 'target', 'two']


def test_a_link_to_another_bucket(run, do, js, store, by_hand, unique):
    other = ObjectStore(js=js, bucket=unique + '-other')
    do(other.create_bucket, {})
    do(other.put, 'target', DATA)
    link(by_hand, 'a', 'target', other.bucket)
    data, err, meta = run.call(store.get, 'a')
    assert (data, err) == (DATA, None)
    assert (meta['bucket'], meta['name']) == (other.bucket, 'target')
    do(other.delete_bucket)
    _, err, _ = run.call(store.get, 'a')
    assert err is not None


@pytest.mark.parametrize(
    'chain', ['aa', 'aba', 'abca', ''.join(map(chr, range(0x4E00, 0x4E64)))], ids=ascii
)
def test_links_that_lead_nowhere(run, store, by_hand, chain):
    for name, target in pairwise(chain):
        link(by_hand, name, target)
    _, err, _ = run.call(store.get, chain[0])
    assert isinstance(err, LinkError)


@pytest.mark.parametrize(
    'target',
    [
        {'bucket': 'no such', 'name': 'x'},
        {'bucket': '>', 'name': 'x'},
        {'bucket': '', 'name': 'x'},
        {'bucket': 'b', 'name': 'x' * 5000},
        {'bucket': 'b', 'name': ''},
        {'bucket': 'b'},
    ],
    ids=lambda target: str(target)[:40],
)
def test_links_that_cannot_be(run, store, by_hand, target):
    by_hand.meta('a', size=0, chunks=0, options={'link': target})
    data, err, _ = run.call(store.get, 'a')
    assert data is None
    assert isinstance(err, LinkError)


def test_a_link_to_nothing(run, store, by_hand):
    link(by_hand, 'a', 'nothing')
    assert run.call(store.get, 'a') == (None, None, None)
