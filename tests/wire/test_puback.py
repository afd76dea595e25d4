from __future__ import annotations

import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

COMMON = [
    (b'{"stream":"OBJ_b","seq":9}', ('OBJ_b', 9, False)),
    (b'{"stream":"OBJ_b", "seq":9}', ('OBJ_b', 9, False)),
    (b'{"stream":"OBJ_b","seq":370,"duplicate": true}', ('OBJ_b', 370, True)),
    (b'{"stream":"S","seq":370,"duplicate":true}', ('S', 370, True)),
    (b'{"stream": "S", "seq": 1, "duplicate": false}', ('S', 1, False)),
    (b' { "stream" : "S" , "seq" : 0 , "duplicate" : true } ', ('S', 0, True)),
    (b'{"stream":"","seq":1}', ('', 1, False)),
    (b'{"stream":"S","seq":999999999999999999}', ('S', 999999999999999999, False)),
]

OTHERS = [
    b'',
    b'{}',
    b'{"stream":"S"}',
    b'{"seq":1,"stream":"S"}',
    b'{"stream":"S","seq":1,"domain":"hub"}',
    b'{"stream":"S","seq":1,"batch":"x","count":2}',
    b'{"error":{"code":503,"description":"x"},"stream":"S","seq":0}',
    b'{"stream":"S","seq":1}}',
    b'{"stream":"S","seq":1} x',
    b'{"stream":"S","seq":1',
    b'{"stream":"S","seq":-1}',
    b'{"stream":"S","seq":01}',
    b'{"stream":"S","seq":1.5}',
    b'{"stream":"S","seq":}',
    b'{"stream":"S","seq":1,}',
    b'{"stream":"S","seq":1,"duplicate":1}',
    b'{"stream":"S","seq":1,"duplicate":truex}',
    b'{"stream":"S\\n","seq":1}',
    b'{"stream":"S\x00","seq":1}',
    b'{"stream":"\xc3\xa9","seq":1}',
    b'{"stream":S,"seq":1}',
    b'{"stream":"S" "seq":1}',
    b'{"Stream":"S","seq":1}',
    b'{"stream":"S","seq":1000000000000000000}',
    b'{"stream":"S","seq":99999999999999999999999}',
    b'\n{"stream":"S","seq":1}',
]


@pytest.mark.parametrize('data,ack', COMMON)
def test_common_shapes(twin, data, ack):
    assert twin.parse_puback(data) == ack
    decoded = json.loads(data)
    assert ack == (decoded['stream'], decoded['seq'], decoded.get('duplicate', False))


@pytest.mark.parametrize('data', OTHERS)
def test_all_others_are_for_json(twin, data):
    assert twin.parse_puback(data) is None


@pytest.mark.parametrize('data', [data for data, _ in COMMON])
def test_no_part_of_one_is_one(twin, data):
    for end in range(len(data.rstrip())):
        assert twin.parse_puback(data[:end]) is None


@pytest.mark.parametrize('data', [None, 'text', 5])
def test_wrong_types(twin, data):
    with pytest.raises(TypeError):
        twin.parse_puback(data)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    base=st.sampled_from([data for data, _ in COMMON]),
    at=st.integers(0, 60),
    byte=st.sampled_from([bytes([b]) for b in b' "{}:,\\x019\x00\xff'] + [b'']),
)
def test_what_is_taken_is_what_json_says(twin, base, at, byte):
    data = base[:at] + byte + base[at + 1 :]
    ack = twin.parse_puback(data)
    if ack is not None:
        decoded = json.loads(data)
        assert decoded.pop('stream') == ack[0]
        assert decoded.pop('seq') == ack[1]
        assert decoded.pop('duplicate', False) is ack[2]
        assert decoded == {}
