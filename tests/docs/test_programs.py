"""The programs in the documentation do what their pages say."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
PAGES = [ROOT / 'README.md', *sorted((ROOT / 'docs').glob('**/*.md'))]
EXAMPLES = sorted((ROOT / 'docs' / 'examples').glob('*.py'))
# A block is a whole program when it runs the loop; what it prints may stand in a block after it.
_BLOCK = re.compile(
    r'^```python\n(.*?)^```\n(?:\n*(?:[^\n`]+\n)?\n*^```text\n(.*?)^```\n)?', re.M | re.S
)
# Theirs need a program around them, and are in docs/examples.
_NO_FRAGMENTS = {'design.md', 'embedding.md'}
_HOST = "host='127.0.0.1'"


def programs() -> list[object]:
    found: list[object] = []
    for page in PAGES:
        blocks = [match for match in _BLOCK.finditer(page.read_text()) if 'ev.run()' in match[1]]
        for number, match in enumerate(blocks, 1):
            name = f'{page.relative_to(ROOT)}-{number}'
            found.append(pytest.param(match[1], match[2], id=name))
    return found


def run_program(program: list[str], directory: Path, url: str = '') -> str:
    environment = {**os.environ, 'NATS_URL': url, 'PYTHONPATH': str(ROOT)}
    done = subprocess.run(
        [sys.executable, '-W', 'error', *program],
        cwd=directory,
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, ''), done.stdout + done.stderr
    return done.stdout


@pytest.mark.parametrize('program, output', programs())
def test_a_program_of_a_page(program, output, own_server, tmp_path):
    path = tmp_path / 'program.py'
    path.write_text(program.replace(_HOST, f'{_HOST}, port={own_server.port}'))
    printed = run_program([str(path)], tmp_path, own_server.url)
    if output is not None:
        assert printed == output


@pytest.mark.parametrize('path', EXAMPLES, ids=lambda path: path.name)
def test_an_example(path, own_server, tmp_path):
    assert run_program([str(path)], tmp_path, own_server.url)


def pages_with_fragments() -> list[Path]:
    return [
        page
        for page in PAGES
        if page.name not in _NO_FRAGMENTS
        and any('ev.run()' not in match[1] for match in _BLOCK.finditer(page.read_text()))
    ]


@pytest.mark.parametrize('page', pages_with_fragments(), ids=lambda page: page.name)
def test_the_fragments_of_a_page(page, own_server, tmp_path):
    run_program([str(Path(__file__).parent / 'fragments.py'), str(page), own_server.url], tmp_path)
