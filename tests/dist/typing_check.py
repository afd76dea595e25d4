"""Checks ``typed.py`` and ``wrongly_typed.py`` against the natsev that another Python has."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

HERE = Path(__file__).parent
_FOUND = re.compile(r'^[^\n:]+:(\d+): error:', re.M)


def mypy(python: Path, program: Path) -> str:
    """Return what mypy says of *program*, run outside of the repository."""
    with TemporaryDirectory() as directory:
        command = [sys.executable, '-m', 'mypy', '--strict', '--python-executable', str(python)]
        return subprocess.run(
            [*command, str(program)], cwd=directory, capture_output=True, text=True, check=False
        ).stdout


def check_types(python: Path) -> None:
    """Nothing is wrong with the one program, and with the other all that it says."""
    said = mypy(python, HERE / 'typed.py')
    assert said.startswith('Success'), said
    program = HERE / 'wrongly_typed.py'
    said = mypy(python, program)
    lines = program.read_text().splitlines()
    wrong = {number for number, line in enumerate(lines, 1) if line.endswith('# wrong')}
    assert {int(number) for number in _FOUND.findall(said)} == wrong, said
