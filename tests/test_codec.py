"""Values as msgpack: what goes through, and what is refused with which words."""

from __future__ import annotations

from contextlib import suppress
from datetime import datetime, timedelta, timezone
from decimal import Decimal

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from natsev import CodecError
from natsev.codec import BIG_INT, Msgpack, codec_of, decode, encode

CODEC = Msgpack()


@pytest.mark.parametrize('value', [
    None, True, False, 0, -1, 2**63, -(2**63), 2**64 - 1, 2**64, -(2**63) - 1, 10**100, -(10**100),
    1.5, float('inf'), '', 'ü', b'', b'\x00\xff', [], [1, [2, [3]]], {}, {'a': {'b': [None]}},
    {1: 'int', b'x': 'bytes'},
    datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=timezone.utc),
    datetime(1900, 1, 1, tzinfo=timezone.utc),
    {'when': [datetime(9999, 12, 31, 23, 59, 59, tzinfo=timezone.utc), 2**70]},
])  # fmt: skip
def test_there_and_back(value):
    again = CODEC.decode(CODEC.encode(value))
    assert again == value
    assert type(again) is type(value)


def test_what_comes_back_otherwise():
    assert CODEC.decode(CODEC.encode((1, 2))) == [1, 2]
    assert CODEC.decode(CODEC.encode(bytearray(b'x'))) == b'x'
    east = datetime(2026, 1, 1, 12, tzinfo=timezone(timedelta(hours=2)))
    again = CODEC.decode(CODEC.encode(east))
    assert again == east
    assert again.tzinfo is timezone.utc


def test_other_readers_can_read_it():
    packed = CODEC.encode({'when': datetime(2026, 1, 1, tzinfo=timezone.utc), 'big': 2**64})
    plain = msgpack.unpackb(packed)
    assert plain['when'] == msgpack.Timestamp(1767225600)
    assert plain['big'] == msgpack.ExtType(BIG_INT, b'\x01' + bytes(8))


class Thing:
    pass


def circle():
    value = []
    value.append(value)
    return value


@pytest.mark.parametrize('value,words', [
    (Thing(), 'cannot be packed: Thing'),
    ({1, 2}, 'cannot be packed: set'),
    (Decimal(1), 'cannot be packed: Decimal'),
    (datetime(2026, 1, 1), 'cannot be packed: a datetime without a time zone'),
    ({'deep': [Thing()]}, 'cannot be packed: Thing'),
    ([1 << (8 * 64 * 1024)], 'cannot be packed: an int of 65537 bytes'),
    (circle(), 'cannot be packed: '),
    ('\ud800', 'cannot be packed: '),
])  # fmt: skip
def test_what_cannot_be_packed(value, words):
    with pytest.raises(CodecError) as raised:
        CODEC.encode(value)
    assert str(raised.value).startswith(words)


@pytest.mark.parametrize('data', [
    b'',
    CODEC.encode({'a': 'whole'})[:-1],  # truncated
    CODEC.encode(1) + b'\x01',  # something after it
    b'\xc1',  # never used
    b'\xdd\xff\xff\xff\xff',  # an array of 4 billion
    b'\xdf\xff\xff\xff\xff',
    b'\xc6\xff\xff\xff\xff',
    b'\x91' * 5000 + b'\x01',  # nested too deeply
    b'\xa2\xff\xfe',  # not UTF-8
    b'\x81\x90\x01',  # a list as a key
    msgpack.packb(msgpack.ExtType(77, b'x')),
    msgpack.packb(msgpack.ExtType(BIG_INT, b'')),
    msgpack.packb(msgpack.ExtType(BIG_INT, bytes(65 * 1024))),
    msgpack.packb(msgpack.Timestamp(2**40)),  # the year 36812
    b'\xd6\xff\x00',
    b'\xc7\x03\xff\x00\x00\x00',  # a timestamp of 3 bytes
])  # fmt: skip
def test_what_cannot_be_unpacked(data):
    with pytest.raises(CodecError):
        CODEC.decode(data)


@given(st.binary(max_size=200))
def test_any_bytes_give_a_value_or_a_codec_error(data):
    with suppress(CodecError):
        CODEC.decode(data)


values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**100), 2**100) | st.floats(allow_nan=False)
    | st.text() | st.binary() | st.datetimes(timezones=st.just(timezone.utc)),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)  # fmt: skip


@given(values)
def test_any_value_comes_back(value):
    assert CODEC.decode(CODEC.encode(value)) == value


def test_which_codec():
    assert codec_of(None) is None
    assert isinstance(codec_of('msgpack'), Msgpack)
    assert codec_of(CODEC) is CODEC
    with pytest.raises(ValueError, match='json'):
        codec_of('json')
    with pytest.raises(TypeError, match='encode and decode'):
        codec_of(7)


class Odd:
    """A user's codec with faults."""

    def encode(self, value):
        return 'text' if value is None else value['missing']

    def decode(self, data):
        raise ZeroDivisionError('whatever')


def test_a_codec_of_ones_own_that_fails():
    with pytest.raises(CodecError, match=r"^value cannot be encoded: 'missing'$"):
        encode(Odd(), {}, 'value')
    with pytest.raises(CodecError, match='the codec returned str, not bytes'):
        encode(Odd(), None, 'value')
    with pytest.raises(CodecError, match=r'^value cannot be decoded: whatever$'):
        decode(Odd(), b'', 'value')
