from __future__ import annotations

import os
from collections.abc import Callable
from types import ModuleType

import pytest

from natsev.wire import pure
from tests.wire.driver import Driver

try:
    from natsev.wire import _speedups
except ImportError:
    _speedups = None

# Where the compiled twin is expected (NATSEV_BUILD_EXT=yes), its absence is a failure, not a skip.
_without_c = pytest.mark.skipif(
    _speedups is None and os.environ.get('NATSEV_BUILD_EXT') != 'yes', reason='built without C'
)


@pytest.fixture(params=[pytest.param('py'), pytest.param('c', marks=_without_c)])
def twin(request: pytest.FixtureRequest) -> ModuleType:
    """Each implementation of the wire."""
    found = pure if request.param == 'py' else _speedups
    assert found is not None, 'the compiled wire was to be built'
    return found


@pytest.fixture(params=[pytest.param('c', marks=_without_c)])
def compiled() -> ModuleType:
    """The compiled wire, for what only it can get wrong."""
    assert _speedups is not None, 'the compiled wire was to be built'
    return _speedups


@pytest.fixture
def make(twin: ModuleType) -> Callable[..., Driver]:
    return lambda **options: Driver(twin, **options)


@pytest.fixture
def driver(twin: ModuleType) -> Driver:
    return Driver(twin)
