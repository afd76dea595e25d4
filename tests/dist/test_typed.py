"""A user's program is checked against the types of the installed package (``py.typed``)."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.dist.typing_check import check_types

ROOT = Path(__file__).parent.parent.parent


@pytest.fixture(scope='module')
def python(tmp_path_factory):
    """The Python of an environment with the package as it is, and nothing else."""
    directory = tmp_path_factory.mktemp('environment')
    subprocess.run([sys.executable, '-m', 'venv', '--without-pip', directory], check=True)
    (packages,) = directory.glob('lib/python*/site-packages')
    shutil.copytree(ROOT / 'natsev', packages / 'natsev')
    return directory / 'bin' / 'python'


def test_what_is_right_is_accepted_and_what_is_wrong_is_not(python):
    check_types(python)


def test_without_the_marker_nothing_would_be_checked(python):
    (marker,) = python.parent.parent.glob('lib/python*/site-packages/natsev/py.typed')
    marker.unlink()
    with pytest.raises(AssertionError, match='py.typed'):
        check_types(python)
