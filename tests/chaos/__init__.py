"""The fault laboratory: a bucket is used while everything breaks, and must come out whole.

``scenarios.py`` is the table of what is done; ``history.py`` is what must hold afterwards.
``make chaos`` plays every scenario with many seeds and prints its figures; ``make test`` plays each
once. The seed stands in a test's name: ``pytest tests/chaos -k 'kill_in_a_put' --chaos-seed 7``
plays it again.
"""

from __future__ import annotations
