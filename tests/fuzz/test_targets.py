"""The fuzzer's targets on what it begins with, and on a few changes of that."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.fuzz.targets import SEEDS, TARGETS


@pytest.mark.parametrize('name', TARGETS)
def test_the_seeds(name):
    for seed in SEEDS[name]:
        TARGETS[name](seed)


@st.composite
def mutants(draw, seeds):
    """A seed with a piece of it replaced, perhaps by a piece of another."""
    base = draw(st.sampled_from(seeds))
    start = draw(st.integers(0, len(base)))
    end = draw(st.integers(start, min(len(base), start + 20)))
    other = draw(st.sampled_from(seeds) | st.binary(max_size=12))
    return base[:start] + other + base[end:]


@pytest.mark.parametrize('name', TARGETS)
def test_changed_seeds(name):
    target = TARGETS[name]

    @settings(deadline=None, max_examples=150)
    @given(data=mutants(SEEDS[name]))
    def check(data):
        target(data)

    check()
