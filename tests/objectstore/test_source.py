"""Where the bytes of a put come from."""

from __future__ import annotations

import io
import os

import pytest

from natsev import ObjectStoreError
from natsev.objectstore.source import Fed, source_of


class Trickle(io.RawIOBase):
    """A file whose reads are always short."""

    def __init__(self, data):
        self._data = io.BytesIO(data)

    def readable(self):
        return True

    def readinto(self, buffer):
        piece = self._data.read(min(3, len(buffer)))
        buffer[: len(piece)] = piece
        return len(piece)


def pieces(source, size):
    source.open()
    found = []
    while piece := source.read(size):
        found.append(bytes(piece))
        if len(piece) < size:
            break
    source.close()
    return found


DATA = bytes(range(25))
CHUNKS = [DATA[:10], DATA[10:20], DATA[20:]]


@pytest.mark.parametrize(
    'make',
    [
        lambda path: DATA,
        lambda path: bytearray(DATA),
        lambda path: memoryview(DATA),
        lambda path: memoryview(bytearray(DATA)),
        lambda path: memoryview(bytes(range(25)) * 2)[:25],
        lambda path: memoryview(bytes(b for b in DATA for _ in 'xy'))[::2],
        lambda path: DATA.decode(),
        lambda path: path,
        lambda path: io.BytesIO(DATA),
        lambda path: Trickle(DATA),
        lambda path: [DATA[:1], b'', DATA[1:4], DATA[4:23], DATA[23:]],
        lambda path: iter([bytearray(DATA), memoryview(b'')]),
        lambda path: (DATA[i : i + 1] for i in range(25)),
    ],
)
def test_full_chunks_whatever_the_source(make, tmp_path):
    path = tmp_path / 'data'
    path.write_bytes(DATA)
    assert pieces(source_of(make(path)), 10) == CHUNKS


@pytest.mark.parametrize('data', [b'', '', io.BytesIO(), [], iter([b'', b''])])
def test_nothing(data):
    assert pieces(source_of(data), 10) == []


def test_multiples_of_the_chunk_size():
    assert pieces(source_of(b'x' * 20), 10) == [b'x' * 10, b'x' * 10]
    assert pieces(source_of(iter([b'x' * 7, b'x' * 13])), 10) == [b'x' * 10, b'x' * 10]


def test_sizes_that_are_known(tmp_path):
    path = tmp_path / 'data'
    path.write_bytes(DATA)
    source = source_of(path)
    source.open()
    assert source.size == 25
    source.close()
    assert source_of('ä').size == 2
    assert source_of([b'x']).size is None
    assert source_of(memoryview(b'abcdefgh').cast('H')).size == 8


@pytest.mark.parametrize('data', [None, 7, {'a': b'b'}, io.StringIO('text'), object()])
def test_what_has_no_bytes(data):
    with pytest.raises(TypeError, match='data must be'):
        source_of(data)


@pytest.mark.parametrize('data', [['text'], [1, 2], [[b'x']], [None]])
def test_iterables_of_something_else(data):
    source = source_of(data)
    source.open()
    with pytest.raises(TypeError, match='not bytes'):
        source.read(10)


def test_bytes_are_not_copied():
    data = b'x' * 100
    piece = source_of(data).read(50)
    assert isinstance(piece, memoryview)
    assert piece.obj is data


def test_what_can_change_is_copied():
    data = bytearray(b'x' * 100)
    piece = source_of(data).read(50)
    data[0] = 0
    assert piece == b'x' * 50


def test_a_file_is_read_from_where_it_stands_and_left_open():
    file = io.BytesIO(DATA)
    file.seek(20)
    assert pieces(source_of(file), 10) == [DATA[20:]]
    assert not file.closed


def test_a_path_that_changes_under_the_put(tmp_path):
    path = tmp_path / 'data'
    path.write_bytes(b'x' * 20)
    source = source_of(path)
    source.open()
    source.read(10)
    with path.open('ab') as file:
        file.write(b'more')
    assert len(source.read(10)) == 10
    with pytest.raises(ObjectStoreError, match='changed while it was read'):
        source.read(10)
    source.close()


def test_a_path_is_closed(tmp_path):
    path = tmp_path / 'data'
    path.write_bytes(b'x')
    before = os.listdir('/dev/fd')
    assert pieces(source_of(path), 10) == [b'x']
    assert os.listdir('/dev/fd') == before


def test_a_generator_is_closed():
    closed = []

    def generate():
        try:
            yield b'x'
            yield b'y'
        finally:
            closed.append(True)

    source = source_of(generate())
    source.open()
    source.read(1)
    source.close()
    assert closed == [True]


def test_fed():
    reads = []
    source = Fed(lambda: reads.append(source.waiting))
    assert source.read(10) is None
    source.add(b'x' * 15)
    assert source.waiting == 15
    assert source.read(10) == b'x' * 10
    assert source.read(10) is None
    source.add(b'y' * 2)
    source.ended = True
    assert source.read(10) == b'x' * 5 + b'y' * 2
    assert source.read(10) == b''
    assert reads == [5, 0, 0]
