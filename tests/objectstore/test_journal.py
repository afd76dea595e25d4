"""Journals, and files that one transfer at a time writes."""

from __future__ import annotations

import fcntl
import os

import pytest

from natsev.objectstore.journal import Journal
from natsev.objectstore.locked import open_locked


@pytest.fixture
def path(tmp_path):
    return tmp_path / 'journal'


def test_what_was_written_is_read(path):
    journal = Journal(path)
    journal.open()
    assert journal.read() == {}
    journal.write({'name': 'a' * 1000})
    journal.write({'name': 'b'})
    journal.open()
    assert journal.read() == {'name': 'b'}
    journal.close()
    again = Journal(path)
    again.open()
    assert again.read() == {'name': 'b'}
    again.remove()
    again.remove()
    assert not path.exists()


def test_one_at_a_time(path):
    journal, other = Journal(path), Journal(path)
    journal.open()
    with pytest.raises(BlockingIOError, match='another transfer is under way'):
        other.open()
    other.close()
    other.remove()
    assert path.exists()
    journal.close()
    other.open()
    other.close()


def test_one_that_is_removed_while_it_is_opened(path, monkeypatch):
    """What was opened then is nobody's any more."""
    first = Journal(path)
    first.open()
    flock = fcntl.flock

    def remove_and_lock(file, how):
        first.remove()
        flock(file, how)

    monkeypatch.setattr(fcntl, 'flock', remove_and_lock)
    second = Journal(path)
    second.open()
    monkeypatch.undo()
    assert path.exists()
    with pytest.raises(BlockingIOError):
        Journal(path).open()
    second.close()


def test_a_forked_process_does_not_keep_it(path):
    journal = Journal(path)
    journal.open()
    forked = os.dup(journal._file)
    journal.close()
    os.close(open_locked(path))
    os.close(forked)


def test_what_is_no_file(path, tmp_path):
    os.mkfifo(path)
    with pytest.raises(FileExistsError):
        open_locked(path)
    link = tmp_path / 'link'
    link.symlink_to(tmp_path / 'elsewhere')
    with pytest.raises(OSError, match='symbolic'):
        open_locked(link)
    assert not (tmp_path / 'elsewhere').exists()
