"""Every scenario with every seed: afterwards the bucket is whole, each call was told of once."""

from __future__ import annotations

import pytest

from tests.chaos.scenarios import SCENARIOS

pytestmark = pytest.mark.slow


@pytest.mark.parametrize('scenario', SCENARIOS, ids=lambda scenario: scenario.__name__)
def test_nothing_is_lost_or_left(scenario, lab, record_property):
    try:
        scenario(lab)
        lab.verify()
    finally:
        record_property('figures', {'scenario': scenario.__name__, **lab.figures()})
