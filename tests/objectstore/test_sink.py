"""Where the bytes of a get go."""

from __future__ import annotations

import io
import os
import stat
from pathlib import Path

import pytest

from natsev.objectstore.sink import File, Handed, Memory, PathFile, sink_for, write_error


class Half(io.RawIOBase):
    """A file that takes half of what it is given."""

    def __init__(self):
        self.data = b''

    def writable(self):
        return True

    def write(self, piece):
        half = bytes(piece[: (len(piece) + 1) // 2])
        self.data += half
        return len(half)


def fill(sink, *chunks):
    sink.begin()
    for chunk in chunks:
        sink.write(chunk)
    work = sink.settle()
    if work is not None:
        work()
    return sink.result()


def test_which():
    assert isinstance(sink_for(None), Memory)
    assert isinstance(sink_for(Path('x')), PathFile)
    assert isinstance(sink_for(io.BytesIO()), File)


@pytest.mark.parametrize('into', ['path', b'path', 7, io.StringIO()])
def test_what_cannot_take_bytes(into):
    with pytest.raises(TypeError, match='into must be'):
        sink_for(into)


def test_memory():
    sink = Memory()
    assert fill(sink, b'a', b'', b'bc') == b'abc'
    assert fill(sink, b'd') == b'd'
    assert fill(Memory()) == b''


def test_file():
    file = io.BytesIO()
    sink = File(file)
    assert sink.restartable
    assert fill(sink, b'a', b'bc') == 3
    assert file.getvalue() == b'abc'
    assert not sink.restartable
    sink.discard()
    assert not file.closed


def test_a_file_that_writes_less():
    half = Half()
    assert fill(File(half), b'abcdef', b'g') == 7
    assert half.data == b'abcdefg'


def test_path(tmp_path):
    path = tmp_path / 'out'
    assert fill(PathFile(path), b'a', b'bc') == 3
    assert path.read_bytes() == b'abc'
    assert os.listdir(tmp_path) == ['out']


def test_a_path_shows_nothing_before_the_end(tmp_path):
    path = tmp_path / 'out'
    path.write_bytes(b'old')
    sink = PathFile(path)
    sink.begin()
    sink.write(b'new')
    assert path.read_bytes() == b'old'
    sink.discard()
    assert path.read_bytes() == b'old'
    assert os.listdir(tmp_path) == ['out']


def test_a_path_starts_over(tmp_path):
    sink = PathFile(tmp_path / 'out')
    sink.begin()
    sink.write(b'a longer text')
    assert fill(sink, b'short') == 5
    assert (tmp_path / 'out').read_bytes() == b'short'


def test_a_path_keeps_its_mode_and_its_link(tmp_path):
    path, link = tmp_path / 'out', tmp_path / 'link'
    path.write_bytes(b'old')
    path.chmod(0o640)
    link.symlink_to(path)
    fill(PathFile(link), b'new')
    assert link.is_symlink()
    assert path.read_bytes() == b'new'
    assert path.stat().st_mode & 0o777 == 0o640


def test_a_path_does_not_give_new_bytes_the_power_of_the_old_ones(tmp_path):
    path = tmp_path / 'out'
    path.write_bytes(b'old')
    path.chmod(0o4755)
    fill(PathFile(path), b'new')
    assert path.stat().st_mode & 0o7777 == 0o755


def test_what_was_secret_is_secret_while_it_comes(tmp_path):
    path = tmp_path / 'out'
    path.write_bytes(b'old')
    path.chmod(0o400)
    sink = PathFile(path)
    sink.begin()
    (part,) = tmp_path.glob('.*.part')
    assert part.stat().st_mode & 0o777 == 0o600
    sink.discard()


def test_a_path_that_is_no_file_stays(tmp_path):
    pipe = tmp_path / 'pipe'
    os.mkfifo(pipe)
    with pytest.raises(FileExistsError):
        PathFile(pipe).begin()
    assert stat.S_ISFIFO(pipe.stat().st_mode)
    assert os.listdir(tmp_path) == ['pipe']


def test_a_new_path_has_the_mode_that_open_gives(tmp_path):
    fill(PathFile(tmp_path / 'out'), b'x')
    (tmp_path / 'other').write_bytes(b'')
    modes = {(tmp_path / name).stat().st_mode for name in ('out', 'other')}
    assert len(modes) == 1


def test_paths_that_cannot_be_written(tmp_path):
    with pytest.raises(IsADirectoryError):
        PathFile(tmp_path).begin()
    with pytest.raises(FileNotFoundError):
        PathFile(tmp_path / 'no' / 'out').begin()
    assert os.listdir(tmp_path) == []


def test_discard_after_the_end_leaves_the_file(tmp_path):
    sink = PathFile(tmp_path / 'out')
    fill(sink, b'x')
    sink.discard()
    assert (tmp_path / 'out').read_bytes() == b'x'


def test_handed():
    got = []
    sink = Handed(got.append)
    assert sink.restartable
    assert fill(sink, b'', b'a', b'b') is None
    assert got == [b'a', b'b']
    assert not sink.restartable


def test_error():
    cause = OSError(28, 'No space left on device')
    err = write_error(cause)
    assert str(err) == 'cannot write: [Errno 28] No space left on device'
    assert err.__cause__ is cause
