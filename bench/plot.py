"""Draws how many times faster than the reference each client is; needs matplotlib."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from . import report
from .clients import BY_NAME as CLIENTS
from .clients import LIMIT, REFERENCE
from .scenarios import BY_NAME as SCENARIOS

_BAR = 0.11  # inches


def draw(data: Mapping[str, Any], path: Path) -> None:
    """Draw the results that ``report.to_json`` gave."""
    import matplotlib

    matplotlib.use('agg')
    from matplotlib import pyplot

    results = report.from_json(data)
    ratios = {
        name: report.ratios(SCENARIOS[name], measured, REFERENCE)
        for name, measured in results.items()
    }
    names = [name for name in ratios if ratios[name]]
    clients = [client for client in CLIENTS if any(client in ratios[name] for name in names)]
    height = 1 / (len(clients) + 1)
    figure, axes = pyplot.subplots(figsize=(9, 1 + _BAR * len(names) * (len(clients) + 1)))
    for number, client in enumerate(clients):
        places = [at for at, name in enumerate(names) if client in ratios[name]]
        axes.barh(
            [at + (number - len(clients) / 2 + 0.5) * height for at in places],
            [ratios[names[at]][client] for at in places],
            height,
            label=client,
            color='0.8' if client == LIMIT else None,
        )
    axes.set_yticks(range(len(names)), names)
    axes.invert_yaxis()
    axes.set_xscale('log')
    axes.xaxis.set_major_formatter('{x:g}')
    axes.axvline(1, color='black', linewidth=0.8)
    axes.set_xlabel(f'times {REFERENCE}, in the same run (more is better)')
    axes.legend(loc='lower right', fontsize='small')
    figure.tight_layout()
    figure.savefig(path)
