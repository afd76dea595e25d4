"""Gets the source of the real pyev and installs it for the Python that runs this.

pyev's last release, kept on PyPI as ``pyev-static``, has a ``setup.py`` for Python 2, so pip cannot
even download it. Its C is right but for one function, whose name Python has taken since.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

_PYEV = """
#include <Python.h>
#define PyModule_AddType pyev_AddType
#include "src/pyev.c"
"""
_LIBEV = """
#define EV_STANDALONE 1
#include "bundled/libev/ev.c"
"""
_SETUP = """
from setuptools import Extension, setup

pyev = Extension(
    'pyev',
    ['shim_pyev.c', 'shim_libev.c'],
    include_dirs=['.', 'src', 'bundled/libev'],
    define_macros=[('PYEV_VERSION', '"0.9.0"')],
    extra_compile_args=['-w'],  # an old libev, which nobody here will change
)
setup(name='pyev', version='0.9.0', packages=[], ext_modules=[pyev])
"""


def run(*command: str) -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def index() -> list[str]:
    """The option that names pip's own index, where pip was told one: unearth does not ask it."""
    settings = run(sys.executable, '-m', 'pip', 'config', 'list')
    urls = [
        line.partition('=')[2].strip("'") for line in settings.splitlines() if '.index-url' in line
    ]
    return ['--index-url', urls[0]] if urls else []


def source(directory: Path) -> Path:
    """Download and unpack pyev into *directory*, without running anything of it."""
    found = run(
        *(sys.executable, '-m', 'unearth', '--no-binary', *index()),
        *('--download', str(directory), 'pyev-static'),
    )
    with tarfile.open(directory / json.loads(found)['local_path']) as archive:
        archive.extractall(directory, filter='data')
    return next(path for path in directory.iterdir() if path.is_dir())


def main() -> None:
    if not (3, 10) <= sys.version_info < (3, 12):
        sys.exit('the real pyev works on CPython 3.10 and 3.11 only')
    with tempfile.TemporaryDirectory() as directory:
        place = source(Path(directory))
        (place / 'shim_pyev.c').write_text(_PYEV)
        (place / 'shim_libev.c').write_text(_LIBEV)
        (place / 'setup.py').write_text(_SETUP)
        (place / 'setup.cfg').unlink()
        pip = (sys.executable, '-m', 'pip', 'install', '--quiet', '--disable-pip-version-check')
        subprocess.run([*pip, str(place)], check=True)


if __name__ == '__main__':
    main()
