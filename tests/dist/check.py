"""Installs what ``make dist`` built into clean environments, and looks whether it works there.

    python tests/dist/check.py dist python3.10 python3.13

For each Python that is here: the source archive built with its C extension, and without; then the
smoke test with only the extra ``server``, and the command with the extra ``cli``.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

HERE = Path(__file__).parent


def run(*command: object, fails: bool = False, **env: str) -> str:
    """Run a command outside of the repository; return what it printed."""
    variables = {name: value for name, value in os.environ.items() if name != 'PYTHONPATH'}
    with TemporaryDirectory() as directory:
        done = subprocess.run(
            list(map(str, command)),
            cwd=directory,
            env={**variables, 'XDG_DATA_HOME': directory, **env},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
    assert bool(done.returncode) == fails, f'{command}\n{done.stdout}'
    return done.stdout


def is_here(python: str) -> bool:
    """Is there such a Python, and can it make environments?"""
    try:
        return not subprocess.run([python, '-c', 'import venv'], capture_output=True).returncode
    except FileNotFoundError:
        return False


def check(python: str, archive: Path, compiled: bool) -> None:
    """Install *archive* for *python* and try it."""
    with TemporaryDirectory() as directory:
        run(python, '-m', 'venv', directory)
        bin_ = Path(directory, 'bin')
        install = [bin_ / 'pip', 'install', '--quiet', '--disable-pip-version-check']
        run(*install, f'{archive}[server]', NATSEV_BUILD_EXT='yes' if compiled else 'no')
        run(bin_ / 'python', '-W', 'error', HERE / 'smoke.py', 'compiled' if compiled else 'python')
        said = run(bin_ / 'natsev', 'rtt', fails=True)
        assert said == "natsev: the command needs an extra: pip install 'natsev[cli]'\n", said
        run(*install, f'{archive}[cli]', NATSEV_BUILD_EXT='yes' if compiled else 'no')
        script = f'{bin_}/natsev object add b && {bin_}/natsev object put b - -n x <{archive}'
        script += f' && {bin_}/natsev object get b x -O - | cmp - {archive}'
        run('sh', '-c', script)


def main(directory: str, *pythons: str) -> None:
    (archive,) = Path(directory).resolve().glob('*.tar.gz')
    here = [python for python in pythons if is_here(python)]
    for python in here:
        for compiled in (True, False):
            check(python, archive, compiled)
            print(f'{archive.name} on {python}, {"compiled" if compiled else "pure"}: works')
    print('not here:', ', '.join(sorted(set(pythons) - set(here))) or 'none')
    assert here, 'no Python to try it on'


main(*sys.argv[1:])
