"""What holds for every file of the repository."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PLACES = ['natsev', 'tests', 'docs', 'bench', '.ci']
FILES = [path for path in ROOT.iterdir() if path.is_file() and path.name[0] != '.']
FILES += [
    path
    for place in PLACES
    for path in (ROOT / place).rglob('*')
    if path.is_file() and '__pycache__' not in path.parts and path.suffix != '.so'
]
TEXTS = [path for path in FILES if b'\0' not in path.read_bytes()]
# Somebody's own directories; /tmp too, since tests have tmp_path.
MACHINE_PATH = re.compile(r'(?<![\w.:/])/(?:root|work|home|Users|tmp)/\w+')
MOST_LINES = 900


def name(path: Path) -> str:
    return str(path.relative_to(ROOT))


@pytest.mark.parametrize('path', TEXTS, ids=name)
def test_names_no_path_of_one_machine(path):
    assert not MACHINE_PATH.findall(path.read_text())


@pytest.mark.parametrize(
    'path', [path for path in TEXTS if path.suffix in ('.py', '.c', '.h')], ids=name
)
def test_has_one_subject_and_so_is_not_long(path):
    assert len(path.read_text().splitlines()) <= MOST_LINES
