"""ADR-20 metadata: written strictly, read tolerantly."""

from __future__ import annotations

import hashlib
import json
from datetime import datetime, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from natsev import Headers, InvalidMetaError
from natsev.objectstore import record

TIME = datetime(2026, 1, 2, 3, 4, 5, tzinfo=timezone.utc)
DIGEST = hashlib.sha256(b'hello').digest()
GO_DIGEST = 'SHA-256=LPJNul-wow4m6DsqxbninhsWHlwfp0JecwQzYpOLmCQ='


def parse(body, headers=None, subject='$O.b.M.YQ=='):
    payload = body if isinstance(body, bytes) else json.dumps(body).encode()
    message = {
        'stream': 'OBJ_b',
        'subject': subject,
        'seq': 7,
        'time': TIME,
        'headers': headers,
        'payload': payload,
    }
    return record.parse(message, 'b')


GOOD = {'name': 'a', 'bucket': 'b', 'nuid': 'n', 'size': 5, 'chunks': 1, 'digest': GO_DIGEST}


def test_written_as_go_writes_it():
    meta = record.new(
        'f.txt',
        'b',
        'dvUg22uRXSPacSOT2AXlbY',
        description='desc',
        headers={'A': ['b', 'c']},
        metadata={'k': 'v'},
        options={'max_chunk_size': 131072},
    )
    meta.update(size=300000, chunks=3, digest='SHA-256=x')
    assert record.to_json(meta) == (
        b'{"name":"f.txt","description":"desc","headers":{"A":["b","c"]},"metadata":{"k":"v"},'
        b'"options":{"max_chunk_size":131072},"bucket":"b","nuid":"dvUg22uRXSPacSOT2AXlbY",'
        b'"size":300000,"mtime":"0001-01-01T00:00:00Z","chunks":3,"digest":"SHA-256=x"}'
    )


def test_empty_fields_are_left_out():
    assert (
        record.to_json(record.new('ä', 'b', 'n'))
        == (
            '{"name":"ä","bucket":"b","nuid":"n","size":0,"mtime":"0001-01-01T00:00:00Z","chunks":0}'
        ).encode()
    )


def test_unknown_fields_are_kept():
    body = json.loads(record.to_json(record.new('a', 'b', 'n'), {'name': 'z', 'future': [1]}))
    assert body['future'] == [1]
    assert body['name'] == 'a'


def test_read_back():
    meta = record.new('a', 'b', 'n', description='d', headers={'H': ['1']}, metadata={'k': 'v'})
    meta.update(size=5, chunks=1, digest=GO_DIGEST)
    assert parse(record.to_json(meta)) == {**meta, 'seq': 7, 'mtime': TIME}


def test_a_tombstone_is_one_for_everybody():
    meta = parse(GOOD)
    dead = record.tombstone(meta)
    body = json.loads(record.to_json(dead))
    assert body['deleted'] is True
    assert 'digest' not in body
    assert (body['size'], body['chunks'], body['nuid']) == (0, 0, 'n')
    assert body['mtime'] == '0001-01-01T00:00:00Z'
    assert parse(record.to_json(dead))['deleted']


@pytest.mark.parametrize(
    'change',
    [
        {'mtime': ''},
        {'mtime': '2020-01-01T00:00:00+02:00'},
        {'mtime': None},
        {'options': None},
        {'bucket': ...},
        {'headers': {'A': 'b'}},
        {'headers': []},
        {'metadata': 7},
        {'future': {'x': 1}},
        {'digest': None},
        {'chunks': None},
        {'description': 3},
        {'name': ...},
        {'deleted': False},
        {'deleted': None},
        {'options': {'max_chunk_size': 'many', 'link': 'none'}},
    ],
)
def test_tolerated(change):
    body = {key: value for key, value in {**GOOD, **change}.items() if value is not ...}
    meta = parse(body)
    assert (meta['name'], meta['bucket'], meta['size'], meta['nuid']) == ('a', 'b', 5, 'n')
    assert meta['mtime'] == TIME
    assert not meta['deleted']


def test_single_header_values_become_lists():
    assert parse({**GOOD, 'headers': {'A': 'b', 'C': ['d', 3]}})['headers'] == {
        'A': ['b'],
        'C': ['d'],
    }


@pytest.mark.parametrize(
    'body',
    [
        b'not json',
        b'[]',
        b'\xff\xfe',
        b'[' * 100000,
        {**GOOD, 'size': -1},
        {**GOOD, 'size': '5'},
        {**GOOD, 'size': 1.5},
        {**GOOD, 'size': True},
        {**GOOD, 'size': 1 << 63},
        {**GOOD, 'chunks': -3},
        {**GOOD, 'nuid': '>'},
        {**GOOD, 'nuid': 'a.b'},
        {**GOOD, 'nuid': ''},
        b'{"size":' + b'9' * 5000 + b'}',
    ],
)
def test_not_usable(body):
    with pytest.raises(InvalidMetaError, match='invalid object metadata') as caught:
        parse(body)
    assert caught.value.bucket == 'b'
    assert caught.value.name == 'a'


@given(st.binary(max_size=200))
def test_any_bytes_give_metadata_or_the_documented_error(payload):
    try:
        meta = parse(payload)
    except InvalidMetaError:
        return
    assert meta['size'] >= 0


SIMPLE = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5)
JSON = SIMPLE | st.lists(SIMPLE, max_size=3) | st.dictionaries(st.text(max_size=5), SIMPLE)


@given(st.fixed_dictionaries({}, optional=dict.fromkeys([*GOOD, 'deleted', 'options'], JSON)))
def test_any_fields_give_metadata_or_the_documented_error(body):
    try:
        meta = parse(body)
    except InvalidMetaError:
        return
    assert meta['size'] >= 0
    assert isinstance(meta['name'], str)
    json.loads(record.to_json(meta))


OF_GO = (
    '{"name":"ä b","options":{"max_chunk_size":131072},"bucket":"b",'
    '"nuid":"dvUg22uRXSPacSOT2AXlbY","size":300000,"mtime":"0001-01-01T00:00:00Z",'
    f'"chunks":3,"digest":"{GO_DIGEST}"}}'
).encode()
OF_NATS_PY = (
    '{"name": "ä b", "bucket": "b", "nuid": "dvUg22uRXSPacSOT2AXlbY", "size": 300000, '
    '"mtime": "2026-01-02T03:04:05.000006+00:00", "chunks": 3, "digest": "' + GO_DIGEST + '", '
    '"deleted": false, "options": {"max_chunk_size": 131072}}'
).encode()
EMPTY = record.to_json(record.new('ä b', 'b', 'n'))
BRIEF = [OF_GO, OF_NATS_PY, EMPTY]


@pytest.mark.parametrize('payload', BRIEF, ids=['Go', 'nats-py', 'empty'])
def test_the_name_alone(payload):
    assert record.live_name(payload, None) == 'ä b'
    assert record.live_name(payload, Headers(b'NATS/1.0\r\nNats-Rollup: sub\r\n\r\n')) == 'ä b'
    assert record.live_name(payload, Headers(b'NATS/1.0\r\nKV-Operation: PURGE\r\n\r\n')) is None


@given(
    st.sampled_from(BRIEF),
    st.integers(0, len(OF_NATS_PY)),
    st.integers(0, 20),
    st.sampled_from(
        [b'', b'"', b'\\', b'0', b'-', b'x', b',', b'}', b'\0', b'\xff', b'true', b'.5']
    ),
)
def test_the_name_alone_is_that_of_a_live_object(base, at, left_out, put):
    payload = base[:at] + put + base[at + left_out :]
    name = record.live_name(payload, None)
    if name is not None:
        meta = parse(payload)
        assert (meta['name'], meta['deleted'], 'link' in meta['options']) == (name, False, False)


@pytest.mark.parametrize(
    'change',
    [
        {'deleted': True},
        {'options': {'link': {'bucket': 'b'}}},
        {'name': ''},
        {'size': -1},
        {'size': 1 << 63},
        {'nuid': ''},
        {'nuid': 'a.b'},
        {'headers': {}},
    ],
)
def test_what_is_to_be_looked_at_closer(change):
    body = {**json.loads(OF_GO), **change}
    assert record.live_name(json.dumps(body, ensure_ascii=False).encode(), None) is None
    assert record.live_name(OF_GO[:-1] + json.dumps(change)[1:].encode(), None) is None


@pytest.mark.parametrize('operation', ['PURGE', 'DEL'])
def test_the_originals_tombstone(operation):
    headers = Headers(f'NATS/1.0\r\nKV-Operation: {operation}\r\n\r\n'.encode())
    assert parse(b'', headers)['deleted']
    assert parse(b'rubbish', headers)['deleted']
    assert parse(GOOD, headers)['deleted']
    assert parse(b'')['deleted']


def test_tombstone_of_nats_py():
    meta = parse({**GOOD, 'size': 0, 'chunks': 0, 'mtime': '', 'digest': '', 'deleted': True})
    assert meta['deleted']
    assert meta['nuid'] == 'n'


def test_name_from_the_subject_where_the_body_lacks_it():
    assert parse(b'', subject='$O.b.M.a%20b.M.c')['name'] == 'a b.M.c'


def test_text_of_others_that_utf8_lacks():
    meta = parse(b'{"name":"a","nuid":"n","size":1,"chunks":1,"description":"\\ud800"}')
    assert b'"description":"\\ud800"' in record.to_json(record.tombstone(meta))
    with pytest.raises(InvalidMetaError):
        parse(b'{"name":"\\ud800","nuid":"n"}')


def test_links():
    link = parse({'name': 'a', 'nuid': 'n', 'options': {'link': {'bucket': 'c', 'name': 'd'}}})
    assert link['options'] == {'link': {'bucket': 'c', 'name': 'd'}}
    # The JavaScript client's links have no nuid.
    bare = parse({'name': 'a', 'options': {'link': {'bucket': 'c'}}})
    assert bare['options'] == {'link': {'bucket': 'c'}}


@pytest.mark.parametrize(
    'text',
    [
        GO_DIGEST,
        GO_DIGEST.rstrip('='),
        'sha-256=LPJNul-wow4m6DsqxbninhsWHlwfp0JecwQzYpOLmCQ=',
        'SHA-256=LPJNul+wow4m6DsqxbninhsWHlwfp0JecwQzYpOLmCQ=',
        'SHA-256=' + DIGEST.hex(),
        'SHA-256=' + DIGEST.hex().upper(),
    ],
)
def test_digests_of_every_client(text):
    assert record.digest_bytes(text) == DIGEST


def test_digests_as_written():
    assert record.digest_text(DIGEST) == GO_DIGEST
    assert record.digest_text(DIGEST, 'ev-nats') == 'SHA-256=' + DIGEST.hex()


@pytest.mark.parametrize('text', ['SHA-256=', 'SHA-256=!!', 'MD5=abcd', 'x', 'SHA-256=' + 'g' * 64])
def test_what_is_no_digest_matches_nothing(text):
    assert record.digest_bytes(text) == b''


def test_no_digest():
    assert record.digest_bytes(None) is None
    assert record.digest_bytes('') is None


@pytest.mark.parametrize(
    'check, value',
    [
        (record.check_description, 3),
        (record.check_headers, 'text'),
        (record.check_headers, {1: 'a'}),
        (record.check_headers, {'a': 1}),
        (record.check_headers, {'a': b'x'}),
        (record.check_headers, {'a': ['x', 2]}),
        (record.check_metadata, {'a': ['x']}),
        (record.check_metadata, [('a', 'b')]),
    ],
)
def test_wrong_types(check, value):
    with pytest.raises(TypeError):
        check(value)


def test_text_that_utf8_lacks():
    with pytest.raises(ValueError, match='surrogates'):
        record.check_metadata({'a': '\ud800'})
    with pytest.raises(ValueError, match='surrogates'):
        record.check_description('\ud800')


def test_checked():
    assert record.check_headers({'a': 'x', 'b': ('y', 'z')}) == {'a': ['x'], 'b': ['y', 'z']}
    assert record.check_headers(None) == {}
    assert record.check_metadata({'a': 'b'}) == {'a': 'b'}
    assert record.check_description('') is None
