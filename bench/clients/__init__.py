"""The clients that are compared: how each program is started, and what it lacks here."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent
NODE = Path(os.environ.get('NATSEV_NODE', ROOT / '.cache' / 'node'))

PYEV = ROOT / '.venv-pyev' / 'bin' / 'python'  # where make builds the real pyev

REFERENCE = 'nats-py'  # what ratios are given to
LIMIT = 'raw'


@dataclass(frozen=True)
class Client:
    """A program that speaks to the server with one client.

    Attributes:
        name: what the table calls it.
        command: its command line, but for ``SCENARIO URL PARAMS``.
        environ: what it needs in its environment.
        modules: Python modules without which it cannot run.
        compiled: whether it needs the compiled wire.
    """

    name: str
    command: list[str]
    environ: dict[str, str] = field(default_factory=dict)
    modules: tuple[str, ...] = ()
    compiled: bool = False

    def lacking(self) -> str | None:
        """What the client needs and this machine lacks, if anything."""
        for module in self.modules:
            if not self._has(module):
                return f'{module} is not installed'
        if self.compiled and not _compiled():
            return 'the compiled wire is not built'
        if self.name == 'nats-js':
            if shutil.which('node') is None:
                return 'node is not installed'
            if not (NODE / 'node_modules' / '@nats-io' / 'obj').exists():
                return f'the JavaScript client is not in {NODE}'
        return None

    def _has(self, module: str) -> bool:
        python = self.command[0]
        if python == sys.executable:
            return importlib.util.find_spec(module) is not None
        return not subprocess.run(
            [python, '-c', f'import {module}'], capture_output=True
        ).returncode


def _compiled() -> bool:
    said = subprocess.run(
        [sys.executable, '-c', 'import natsev; print(natsev.wire_implementation)'],
        capture_output=True,
        text=True,
        check=True,
        env={name: value for name, value in os.environ.items() if name != 'NATSEV_PUREPYTHON'},
    )
    return said.stdout.strip() == 'compiled'


def _python(module: str, *args: str) -> list[str]:
    return [sys.executable, '-m', f'bench.clients.{module}', *args]


CLIENTS = [
    Client('natsev', _python('natsev_client'), {'NATSEV_LOOP': 'gevent'}, compiled=True),
    Client(
        'natsev-pure',
        _python('natsev_client'),
        {'NATSEV_LOOP': 'gevent', 'NATSEV_PUREPYTHON': '1'},
    ),
    Client(
        'natsev-pyev',
        [str(PYEV) if PYEV.exists() else sys.executable, *_python('natsev_client')[1:]],
        {'NATSEV_LOOP': 'pyev'},
        ('pyev',),
    ),
    Client('nats-py', _python('natspy_client'), modules=('nats',)),
    Client('nats-py-uvloop', _python('natspy_client', '--uvloop'), modules=('nats', 'uvloop')),
    Client('natsrpy', _python('natsrpy_client'), modules=('natsrpy',)),
    Client(
        'nats-js',
        ['node', str(Path(__file__).with_name('js_client.mjs'))],
        {'NATSEV_NODE': str(NODE)},
    ),
    Client('raw', _python('raw_client')),
]

BY_NAME = {client.name: client for client in CLIENTS}
