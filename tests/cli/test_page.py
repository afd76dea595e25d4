"""The commands of the command's page, typed as they stand there."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from natsev.server import Server
from tests.cli.conftest import ROOT, Cli

BLOCK = re.compile(r'^```\n(.*?)^```\n', re.M | re.S)
# These run until Ctrl-C.
LASTING = re.compile(r'natsev (sub|reply|(kv|object) watch|consumer sub|stream view .*--follow)\b')
# Not natsev's own, or for a shell that is not here.
FOREIGN = re.compile(r'pip install|_NATSEV_COMPLETE')


@pytest.fixture
def page(tmp_path, own_server: Server):
    """A directory as the page takes it to be."""
    cli = Cli(tmp_path, own_server.url)
    cli.env['PATH'] = f'{Path(sys.executable).parent}:{cli.env["PATH"]}'
    (tmp_path / 'cat.jpg').write_bytes(b'a cat')
    (tmp_path / 'monday.txt').write_text('it rained')
    (tmp_path / 'public').mkdir()
    (tmp_path / 'public' / 'index.html').write_text('<html>')
    for bucket in ('site', 'diary'):
        cli('object', 'add', bucket)
    yield cli
    cli.close()


@pytest.mark.slow
def test_the_commands_of_the_page(page):
    typed = 0
    for block in BLOCK.findall((ROOT / 'docs' / 'cli.md').read_text()):
        lasting = []
        for line in block.splitlines():
            if FOREIGN.search(line):
                continue
            typed += 1
            if LASTING.match(line):
                lasting.append(page.start(*shlex.split(line)[1:]))
                lasting[-1].wait_for('Ctrl-C ends')
                continue
            done = subprocess.run(
                line, shell=True, cwd=page.directory, env=page.env, capture_output=True, timeout=120
            )
            assert done.returncode == 0, f'{line}\n{done.stderr.decode()}'
        for running in lasting:
            running.interrupt()
            running.finish()
    assert typed > 30
