"""Installs what ``make dist`` built into clean environments, and looks whether it works there.

    python -m tests.dist.check dist python3.10 python3.13

For each Python: the source archive built with its C extension, and without; the wheel, where there
is one for it. Each with the smoke test with only the extra ``server``, a user's program checked by
mypy, and the command with the extra ``cli``. A Python is looked for on PATH and among pyenv's; one
that is not here is told, loudly.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.dist.typing_check import check_types

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


def find(name: str) -> str | None:
    """Return such a Python that can make environments; None: it is not here.

    What stands on PATH may be a shim of pyenv's, which only works for the version chosen there.
    """
    pyenv = Path(os.environ.get('PYENV_ROOT') or Path.home() / '.pyenv')
    for python in (name, *sorted(map(str, pyenv.glob(f'versions/*/bin/{name}')), reverse=True)):
        try:
            done = subprocess.run([python, '-c', 'import venv, ensurepip'], capture_output=True)
        except FileNotFoundError:
            continue
        if done.returncode == 0:
            return python
    return None


def check(python: str, archive: Path, compiled: bool) -> None:
    """Install *archive* for *python* and try it."""
    with TemporaryDirectory() as directory:
        run(python, '-m', 'venv', directory)
        bin_ = Path(directory, 'bin')
        install = [bin_ / 'pip', 'install', '--quiet', '--disable-pip-version-check']
        run(*install, f'{archive}[server]', NATSEV_BUILD_EXT='yes' if compiled else 'no')
        run(bin_ / 'python', '-W', 'error', HERE / 'smoke.py', 'compiled' if compiled else 'python')
        check_types(bin_ / 'python')
        said = run(bin_ / 'natsev', 'rtt', fails=True)
        assert said == "natsev: the command needs an extra: pip install 'natsev[cli]'\n", said
        run(*install, f'{archive}[cli]', NATSEV_BUILD_EXT='yes' if compiled else 'no')
        script = f'{bin_}/natsev object add b && {bin_}/natsev object put b - -n x <{archive}'
        script += f' && {bin_}/natsev object get b x -O - | cmp - {archive}'
        run('sh', '-c', script)


def main(directory: str, *names: str) -> None:
    (archive,) = Path(directory).resolve().glob('*.tar.gz')
    wheels = list(Path(directory).resolve().glob('*.whl'))
    here = {name: python for name in names if (python := find(name)) is not None}
    for name, python in here.items():
        tag = f'-{name.replace("python", "cp").replace(".", "")}-'
        builds = [(archive, True), (archive, False)]
        builds += [(wheel, True) for wheel in wheels if tag in wheel.name]
        for build, compiled in builds:
            check(python, build, compiled)
            print(f'{name}, {"compiled" if compiled else "pure"}: {build.name} works', flush=True)
    for name in names:
        if name not in here:
            print(f'NOT CHECKED: {name} is not here.', file=sys.stderr)
    if not here:
        sys.exit('NOTHING CHECKED: name a Python with PYTHONS=')


main(*sys.argv[1:])
