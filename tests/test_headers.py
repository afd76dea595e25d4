from __future__ import annotations

import copy
import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from natsev import Headers
from natsev.headers import encode_headers


def block(*lines):
    return b'\r\n'.join((b'NATS/1.0', *lines, b'', b''))


def test_a_mapping_of_first_values():
    headers = Headers(block(b'A: 1', b'B: 2', b'A: 3'))
    assert headers['A'] == '1'
    assert dict(headers) == {'A': '1', 'B': '2'}
    assert list(headers) == ['A', 'B']
    assert list(headers.items()) == [('A', '1'), ('B', '2')]
    assert len(headers) == 2
    assert headers.pairs() == [('A', '1'), ('B', '2'), ('A', '3')]
    assert headers.get_all('A') == ['1', '3']
    assert headers.get_all('C') == []
    assert headers == {'A': '1', 'B': '2'}
    assert headers.raw == block(b'A: 1', b'B: 2', b'A: 3')


def test_the_last_value():
    headers = Headers(block(b'Nats-Sequence: 999', b'Nats-Sequence: 7'))
    assert headers.last('Nats-Sequence') == '7'
    assert headers.last('nats-sequence') == '7'
    assert headers.last('Missing') is None
    assert headers.last('Missing', 'default') == 'default'


def test_names_differ_in_case():
    headers = Headers(block(b'key: lower', b'KEY: upper', b'Other: x'))
    assert headers['key'] == 'lower'
    assert headers['KEY'] == 'upper'
    assert headers['Key'] == 'lower'  # no such name: the first that differs only in case
    assert headers.get_all('KEY') == ['upper']
    assert headers.get_all('Key') == ['lower']
    assert headers['OTHER'] == 'x'
    assert 'other' in headers
    assert 'none' not in headers
    assert 5 not in headers
    assert headers.get('none') is None
    assert list(headers) == ['key', 'KEY', 'Other']


def test_missing_names():
    with pytest.raises(KeyError, match='Missing'):
        Headers(block(b'A: 1'))['Missing']


@pytest.mark.parametrize(
    'line,status,description',
    [
        (b'NATS/1.0', None, ''),
        (b'NATS/1.0 503', 503, ''),
        (b'NATS/1.0 404 No Messages', 404, 'No Messages'),
        (b'NATS/1.0  100   Idle Heartbeat', 100, 'Idle Heartbeat'),
        (b'NATS/1.0\t408\tcaf\xc3\xa9', 408, 'caf\u00e9'),
        (b'NATS/1.0 5030', None, ''),
        (b'NATS/1.0 50', None, ''),
        (b'NATS/1.0 abc', None, ''),
        (b'NATS/2.0 503', None, ''),
        (b'', None, ''),
    ],
)
def test_status(line, status, description):
    headers = Headers(line + b'\r\nA: 1\r\n\r\n')
    assert headers.status == status
    assert headers.description == description
    assert headers['A'] == '1'


@pytest.mark.parametrize(
    'line,pairs',
    [
        (b'A:1', [('A', '1')]),
        (b'A:', [('A', '')]),
        (b'A: \t 1 2 \t', [('A', '1 2')]),
        (b'A: b: c', [('A', 'b: c')]),
        (b'A: caf\xc3\xa9', [('A', 'caf\u00e9')]),
        (b'A: \xff', [('A', '\udcff')]),
        (b'\xff: 1', [('\udcff', '1')]),
        (b'no colon', []),
        (b': no name', []),
        (b'', []),
        (b'A: line\nbreak', [('A', 'line\nbreak')]),
    ],
)
def test_odd_lines(line, pairs):
    headers = Headers(block(line, b'Next: x'))
    assert headers.pairs() == [*pairs, ('Next', 'x')]


@pytest.mark.parametrize('raw', [b'', b'\r\n', b'NATS/1.0', b'NATS/1.0\r\n\r\n', b'garbage'])
def test_blocks_with_nothing_in_them(raw):
    headers = Headers(raw)
    assert headers.pairs() == []
    assert len(headers) == 0
    assert headers.status is None
    assert not headers


def test_repr_and_copies():
    headers = Headers(b'NATS/1.0 404 Gone\r\nA: 1\r\n\r\n')
    assert repr(headers) == "<Headers status=404 [('A', '1')]>"
    assert repr(Headers(block())) == '<Headers []>'
    assert pickle.loads(pickle.dumps(headers)).raw == headers.raw
    assert copy.deepcopy(headers) == headers


@pytest.mark.parametrize(
    'given_headers,lines',
    [
        ({}, []),
        ([], []),
        ({'A': '1'}, [b'A: 1']),
        ({'A': ['1', 2, b'3'], 'B': ()}, [b'A: 1', b'A: 2', b'A: 3']),
        ([('A', '1'), ('B', '2'), ('A', '3')], [b'A: 1', b'B: 2', b'A: 3']),
        (iter([('A', '1')]), [b'A: 1']),
        ({'A': 'caf\u00e9'}, [b'A: caf\xc3\xa9']),
        ({'A': '\udcff'}, [b'A: \xff']),
        ({'A': b'\xff'}, [b'A: \xff']),
        ({'A': -5}, [b'A: -5']),
        ({'A': ''}, [b'A: ']),
        ({"!#$%&'*+-.^_`|~09azAZ": 'x'}, [b"!#$%&'*+-.^_`|~09azAZ: x"]),
        (Headers(block(b'A: 1', b'A: 2')), [b'A: 1', b'A: 2']),
        (Headers(b'NATS/1.0 503\r\nA: 1\r\n\r\n'), [b'A: 1']),
    ],
)
def test_encoding(given_headers, lines):
    assert encode_headers(given_headers) == block(*lines)


@pytest.mark.parametrize('kind', [bytes, bytearray, memoryview])
def test_whole_blocks(kind):
    for raw in (block(b'A: 1'), b'NATS/1.0 503 Text\r\n\r\n'):
        assert encode_headers(kind(raw)) == raw
        assert type(encode_headers(kind(raw))) is bytes


@pytest.mark.parametrize(
    'raw',
    [
        b'',
        b'A: 1\r\n\r\n',
        b'NATS/1.0',
        b'NATS/1.0\r\n',
        b'NATS/1.0x\r\n\r\n',
        b'NATS/1.0\r\nA: 1',
    ],
)
def test_broken_blocks(raw):
    with pytest.raises(ValueError, match='header block'):
        encode_headers(raw)


@pytest.mark.parametrize('name', ['', 'a b', 'a:', 'a\r\n', 'caf\u00e9', 'a\x7f', '\ud800', 'a\n'])
def test_illegal_names(name):
    with pytest.raises(ValueError, match='header name'):
        encode_headers({name: 'x'})


@pytest.mark.parametrize('value', ['a\r\nB: 2', 'a\n', '\r', b'a\r', ['ok', 'a\n']])
def test_values_do_not_break_the_line(value):
    with pytest.raises(ValueError, match="value of header 'A' contains a line break"):
        encode_headers({'A': value})


@pytest.mark.parametrize('value', [None, 1.5, True, ['x', None], {'x': 1}, [['x']]])
def test_wrong_types_of_values(value):
    with pytest.raises(TypeError, match="value of header 'A' must be"):
        encode_headers({'A': value})


@pytest.mark.parametrize('headers', [None, 5, 'A: 1'])
def test_wrong_types_of_headers(headers):
    with pytest.raises(TypeError, match='headers must be'):
        encode_headers(headers)


def test_wrong_types_of_names():
    with pytest.raises(TypeError, match='header name must be str, not int'):
        encode_headers({5: 'x'})


names = st.text(
    st.characters(min_codepoint=33, max_codepoint=126, exclude_characters=':'), min_size=1
)
values = st.text(st.characters(exclude_characters='\r\n', exclude_categories=['Cs']))


@given(st.lists(st.tuples(names, values)))
def test_there_and_back(pairs):
    expected = [(name, value.strip(' \t')) for name, value in pairs]
    assert Headers(encode_headers(pairs)).pairs() == expected


@given(st.binary())
def test_any_bytes_can_be_looked_at(data):
    headers = Headers(b'NATS/1.0' + data)
    assert len(headers) <= len(headers.pairs())
    for name in headers:
        assert headers[name] == headers.get_all(name)[0]
        assert headers[name.upper()] is not None
    assert (headers.status is None) or 0 <= headers.status <= 999
    assert isinstance(headers.description, str)
