"""Only what setup.cfg cannot say: the optional C extension.

NATSEV_BUILD_EXT=no leaves it out; =yes makes a failed build an error; unset, it is built where that
is possible, and natsev uses its pure Python twin where it is not.
"""

from __future__ import annotations

import os
from glob import glob

from setuptools import Extension, setup

wanted = os.environ.get('NATSEV_BUILD_EXT', '')
sources = sorted(glob('natsev/wire/_speedups*.c'))

speedups = Extension(
    'natsev.wire._speedups',
    sources,
    depends=glob('natsev/wire/_speedups*.h'),
    # Its files share functions that are nobody else's.
    extra_compile_args=['-fvisibility=hidden'],
    optional=wanted != 'yes',
)

setup(ext_modules=[speedups] if sources and wanted != 'no' else [])
