"""The lab, and the table of its figures."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest

from tests.chaos.lab import Lab, Means
from tests.cluster import Cluster

_HEAD = 'scenario', 'runs', 'failed', 'calls', 'reconnects', 'MiB put', 'sent', 'seconds', 'errors'
_ROW = '{:14} {:>4} {:>6} {:>7} {:>10} {:>8} {:>8} {:>7}  {}'


@pytest.fixture(scope='module')
def the_cluster() -> Iterator[Any]:
    """``the_cluster()``: three nodes, started when first asked for."""
    started: list[Cluster] = []

    def the_cluster() -> Cluster:
        if not started:
            started.append(Cluster())
            started[0].start()
        return started[0]

    yield the_cluster
    for cluster in started:
        cluster.stop()


@pytest.fixture
def lab(
    run: Any,
    unique: str,
    chaos_seed: int,
    start_any_server: Any,
    proxy: Any,
    the_cluster: Any,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Lab]:
    """A ``Lab`` for one run."""
    means = Means(start_any_server, proxy, the_cluster, lambda: tmp_path_factory.mktemp('lab'))
    lab = Lab(run, unique, chaos_seed, means)
    yield lab
    lab.close()


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Print a line for each scenario: what its runs did, and what it took."""
    runs: dict[str, list[dict[str, Any]]] = {}
    failed: Counter[str] = Counter()
    for outcome in ('passed', 'failed'):
        for report in terminalreporter.stats.get(outcome, []):
            found = dict(report.user_properties).get('figures')
            if found is not None and report.when == 'call':
                runs.setdefault(found['scenario'], []).append(found)
                failed[found['scenario']] += outcome == 'failed'
    if not runs:
        return
    terminalreporter.section('chaos')
    terminalreporter.line(_ROW.format(*_HEAD))
    for name, figures in runs.items():
        calls, errors = (
            sum((Counter(one[what]) for one in figures), Counter()) for what in ('calls', 'errors')
        )
        terminalreporter.line(
            _ROW.format(
                name,
                len(figures),
                failed[name],
                calls.total(),
                *(
                    f'{sum(one[what] for one in figures):,.0f}'
                    for what in ('reconnects', 'mib_put', 'mib_sent', 'seconds')
                ),
                ', '.join(f'{number} {what}' for what, number in errors.most_common()) or 'none',
            )
        )
