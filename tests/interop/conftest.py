"""A bucket that natsev and another client share."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.by_hand import ByHand


@pytest.fixture
def by_hand(run: Any, js: Any, store: Any) -> ByHand:
    """What lies in the bucket of ``store``."""
    return ByHand(run, js, store.bucket)


@pytest.fixture
def do(run: Any) -> Callable[..., Any]:
    """``do(store.put, 'a', b'x')``: call, run, and return the result; an error fails the test."""

    def do(function: Callable[..., Any], *args: Any, **options: Any) -> Any:
        results = run.call(function, *args, **options)
        assert results[1] is None, results[1]
        return results[0]

    return do
