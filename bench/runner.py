"""Runs the clients' programs, taking turns, against one server."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from .clients import ROOT, Client
from .fixtures import FIXTURES
from .scenarios import MIB, Scenario

_TIMEOUT = 120  # seconds that a program may take
_ASIDE = (' ', 'note: ', 'Node.js v', '}')  # what may follow the line that names an error


@dataclass
class Measured:
    """What one client did in one scenario.

    Attributes:
        values: one figure for each round, in the scenario's unit.
        cpu: seconds of processor time for a million messages, calls or names, or for a GiB.
        why: why there are no values.
    """

    values: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)
    why: str | None = None


Results = dict[str, dict[str, Measured]]


def run(
    url: str,
    scenarios: Sequence[Scenario],
    clients: Sequence[Client],
    *,
    rounds: int,
    seconds: float,
    quick: bool,
    progress: Callable[[str], None],
    done: Callable[[Scenario, dict[str, Measured]], None],
) -> Results:
    """Measure every client in every scenario; *done* is told of each scenario at its end."""
    results: Results = {}
    lacking = {client.name: client.lacking() for client in clients}
    for scenario in scenarios:
        params = {**scenario.params, **((quick and scenario.quick) or {}), 'seconds': seconds}
        measured: dict[str, Measured] = defaultdict(Measured)
        for client in clients:
            measured[client.name].why = lacking[client.name]
        fixture = FIXTURES[scenario.fixture](url, params)
        with contextlib.closing(fixture), _way(url, scenario.delay) as way:
            for number in range(rounds):
                # Another one begins each time: nobody is always the first, or behind the same.
                start = number % len(clients)
                for client in [*clients[start:], *clients[:start]]:
                    if measured[client.name].why is None:
                        progress(f'{scenario.name}, round {number + 1}: {client.name}')
                        told = {**params, **next(fixture)}
                        _measure(measured[client.name], scenario, client, way, told)
        results[scenario.name] = dict(measured)
        done(scenario, results[scenario.name])
    return results


@contextlib.contextmanager
def _way(url: str, delay: float) -> Iterator[str]:
    """Give the URL of the server with *delay* ms of a round trip between."""
    if not delay:
        yield url
        return
    command = [sys.executable, '-m', 'bench.far', url, str(delay)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT) as far:
        assert far.stdout is not None
        try:
            yield f'nats://127.0.0.1:{int(far.stdout.readline())}'
        finally:
            far.kill()


def _measure(
    measured: Measured, scenario: Scenario, client: Client, url: str, params: dict[str, Any]
) -> None:
    said = _program(client, scenario, url, params)
    if 'unsupported' in said:
        measured.why = said['unsupported']
        return
    count, unit = said['count'], scenario.unit
    if unit == 'MiB':
        value = said['memory'] / MIB
    elif unit == 'MiB/s':
        value = count / MIB / said['seconds']
    else:
        value = count / said['seconds']
    measured.values.append(value)
    measured.cpu.append(said['cpu'] / count * ((1 << 30) if unit.startswith('MiB') else 1e6))


def _program(client: Client, scenario: Scenario, url: str, params: dict[str, Any]) -> Any:
    command = [*client.command, scenario.like or scenario.name, url, json.dumps(params)]
    try:
        ended = subprocess.run(
            command,
            capture_output=True,
            text=True,
            timeout=_TIMEOUT,
            cwd=ROOT,
            env={**os.environ, **client.environ},
        )
    except subprocess.TimeoutExpired:
        return {'unsupported': f'FAILED: not done after {_TIMEOUT} s'}
    if ended.returncode or not ended.stdout:
        return {'unsupported': f'FAILED: {_complaint(ended.stderr) or ended.returncode}'}
    return json.loads(ended.stdout.splitlines()[-1])


def _complaint(text: str) -> str:
    """Return the line that names the error: the last one of Python's, not so of others."""
    lines = [line for line in text.splitlines() if line.strip() and not line.startswith(_ASIDE)]
    return lines[-1] if lines else ''
