"""Gets the source of the real pyev and installs it for the Python that runs this.

pyev's last release, kept on PyPI as ``pyev-static``, has a ``setup.py`` for Python 2, so pip cannot
even download it: unearth does. Its C is right but for one function, whose name Python has taken
since. The libev that it brings is compiled into it, without its configure script.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

_VERSION = '0.9.5'
_SHA256 = '9af03ce89d99fd00eb8d034ad8eeed580104298d92b5bc98abd6e5ebca3fd4ad'
_PYEV = """
#include <Python.h>
#define PyModule_AddType pyev_AddType
#include "src/pyev.c"
"""
_LIBEV = """
#define EV_STANDALONE 1
#ifdef __APPLE__
#define EV_USE_KQUEUE 1
#endif
#include "bundled/libev/ev.c"
"""
_SETUP = f"""
from setuptools import Extension, setup

pyev = Extension(
    'pyev',
    ['shim_pyev.c', 'shim_libev.c'],
    include_dirs=['.', 'src', 'bundled/libev'],
    define_macros=[('PYEV_VERSION', '"{_VERSION}"')],
    # An old libev, which nobody here will change.
    extra_compile_args=['-w', '-fno-strict-aliasing'],
)
setup(name='pyev', version='{_VERSION}', packages=[], ext_modules=[pyev])
"""
_TRIAL = """
import pyev
fired = []
timer = pyev.default_loop().timer(0.0, 0.0, lambda watcher, revents: fired.append(revents))
timer.start()
pyev.default_loop().start()
assert fired == [pyev.EV_TIMER]
"""


def give_up(reason: str) -> None:
    sys.exit(f'NOT BUILT: the real pyev. {reason}')


def run(*command: str, otherwise: str) -> str:
    """Run *command* and return what it printed; *otherwise* says what its failure means."""
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        print(done.stdout, done.stderr, sep='', file=sys.stderr)
        give_up(otherwise)
    return done.stdout


def check_this_machine() -> None:
    """Say what is missing before anything is downloaded."""
    if not (3, 10) <= sys.version_info < (3, 12):
        give_up('It works on CPython 3.10 and 3.11 only; on later ones it crashes.')
    compiler = os.environ.get('CC', 'cc').split()[0]
    if shutil.which(compiler) is None:
        give_up(f'It is in C, and there is no C compiler: {compiler} is not on the PATH.')


def index() -> list[str]:
    """The option that names pip's own index, where pip was told one: unearth does not ask it."""
    settings = run(sys.executable, '-m', 'pip', 'config', 'list', otherwise='pip does not work.')
    urls = [
        line.partition('=')[2].strip("'") for line in settings.splitlines() if '.index-url' in line
    ]
    return ['--index-url', urls[0]] if urls else []


def source(directory: Path) -> Path:
    """Download and unpack pyev into *directory*, without running anything of it."""
    found = run(
        *(sys.executable, '-m', 'unearth', '--no-binary', *index()),
        *('--download', str(directory), f'pyev-static=={_VERSION}'),
        otherwise=f'pyev-static {_VERSION} cannot be downloaded from PyPI.',
    )
    archive = directory / json.loads(found)['local_path']
    if hashlib.sha256(archive.read_bytes()).hexdigest() != _SHA256:
        give_up(f'{archive.name} is not the archive that this was written for.')
    with tarfile.open(archive) as members:
        members.extractall(directory, filter='data')
    return directory / f'pyev-static-{_VERSION}'


def main() -> None:
    check_this_machine()
    with tempfile.TemporaryDirectory() as directory:
        place = source(Path(directory))
        (place / 'shim_pyev.c').write_text(_PYEV)
        (place / 'shim_libev.c').write_text(_LIBEV)
        (place / 'setup.py').write_text(_SETUP)
        (place / 'setup.cfg').unlink()
        run(
            *(sys.executable, '-m', 'pip', 'install', '--quiet', '--disable-pip-version-check'),
            *('--force-reinstall', str(place)),
            otherwise='It does not compile.',
        )
    run(sys.executable, '-c', _TRIAL, otherwise='It compiled, and does not work.')


if __name__ == '__main__':
    main()
