"""Results as a table, and as JSON."""

from __future__ import annotations

import json
import os
import platform
import sys
from collections.abc import Mapping
from dataclasses import asdict
from importlib import metadata
from pathlib import Path
from statistics import median
from typing import Any

from .clients import LIMIT, REFERENCE
from .runner import Measured, Results
from .scenarios import BY_NAME, Scenario

_PACKAGES = ('natsev', 'nats-py', 'natsrpy', 'uvloop', 'gevent')


def ratio(scenario: Scenario, ours: float, theirs: float) -> float:
    """How many times better *ours* is."""
    return theirs / ours if scenario.less_is_better else ours / theirs


def ratios(scenario: Scenario, measured: Mapping[str, Measured], to: str) -> dict[str, float]:
    """How many times better each client is than client *to*, by medians."""
    base = measured.get(to)
    if base is None or not base.values:
        return {}
    return {
        name: ratio(scenario, median(one.values), median(base.values))
        for name, one in measured.items()
        if one.values
    }


def cpu_ratio(measured: Mapping[str, Measured], one: Measured) -> float | None:
    """How many times less processor time *one* needs than the reference, by medians."""
    base = measured.get(REFERENCE)
    if base is None or not base.values:
        return None
    return median(base.cpu) / median(one.cpu)


def table(scenario: Scenario, measured: Mapping[str, Measured]) -> str:
    """Return a scenario's results for people to read."""
    cpu = 's/GiB' if scenario.unit.startswith('MiB') else 'us/op'
    lines = [
        f'{scenario.name}: {scenario.what}',
        f'  {"":16}{scenario.unit:>12}  {"spread":>7}  {"x " + REFERENCE:>9}'
        f'  {"of " + LIMIT:>7}  {"CPU " + cpu:>9}  {"x " + REFERENCE:>9}',
    ]
    to_reference = ratios(scenario, measured, REFERENCE)
    to_limit = ratios(scenario, measured, LIMIT)
    for name, one in measured.items():
        if not one.values:
            lines.append(f'  {name:16}{one.why}')
            continue
        middle = median(one.values)
        spread = (max(one.values) - min(one.values)) / 2 / middle
        lines.append(
            f'  {name:16}{middle:12,.0f}  {"±" + format(spread, ".0%"):>7}'
            f'  {_maybe(to_reference.get(name), ".2f"):>9}'
            f'  {_maybe(to_limit.get(name), ".0%"):>7}  {median(one.cpu):9,.2f}'
            f'  {_maybe(cpu_ratio(measured, one), ".2f"):>9}'
        )
        if one.why:
            lines.append(f'  {"":16}{one.why}')
    return '\n'.join(lines) + '\n'


def _maybe(value: float | None, form: str) -> str:
    return '' if value is None else format(value, form)


def to_json(results: Results, server_version: str) -> dict[str, Any]:
    """Return everything that was measured, with what it was measured on."""
    return {
        'command': ' '.join(['python -m bench', *sys.argv[1:]]),
        'machine': {
            'system': platform.system(),
            'processor': _processor(),
            'cores': os.cpu_count(),
            'python': platform.python_version(),
        },
        'versions': {'nats-server': server_version, **_versions()},
        'results': {
            name: {client: asdict(one) for client, one in measured.items()}
            for name, measured in results.items()
        },
    }


def from_json(data: Mapping[str, Any]) -> Results:
    """Return the results that ``to_json`` wrote down."""
    return {
        name: {client: Measured(**one) for client, one in measured.items()}
        for name, measured in data['results'].items()
        if name in BY_NAME
    }


def save(path: Path, data: Mapping[str, Any]) -> None:
    """Write *data* to *path*."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(data, indent=1) + '\n')


def _versions() -> dict[str, str]:
    installed = {distribution.name: distribution for distribution in metadata.distributions()}
    return {name: installed[name].version for name in _PACKAGES if name in installed}


def _processor() -> str:
    try:
        with open('/proc/cpuinfo') as info:
            names = [line.partition(':')[2] for line in info if line.startswith('model name')]
    except FileNotFoundError:
        names = []
    return names[0].strip() if names else platform.processor()
