"""The tests' own cluster."""

from __future__ import annotations

import pytest

from tests.cluster import Cluster


@pytest.mark.slow
def test_a_cluster_elects_and_recovers():
    with Cluster() as cluster:
        assert len(set(cluster.urls)) == 3
        first = cluster.leader()
        first.kill()
        second = cluster.leader()
        assert second is not first
        first.start()
        cluster.await_health(first)
        assert cluster.leader() is second
