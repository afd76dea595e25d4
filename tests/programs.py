"""Small programs that run in an interpreter of their own: for what would spoil the test's.

A signal, a gevent hub, monkey patching, another ``NATSEV_LOOP``: each needs a fresh process. What a
program prints is what its test looks at: its exit status may be lost, since the default loop of the
real pyev reaps all children of the process.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

ROOT = Path(__file__).parent.parent
# Far beyond what any of them needs; one that hangs must not hang the tests.
SECONDS = 60


class Program:
    """A running program.

    Args:
        source: its text, which may be indented.
        env: variables added to the environment; one that is None is removed.
    """

    def __init__(self, source: str, **env: str | None) -> None:
        variables: dict[str, str | None] = {**os.environ, 'PYTHONPATH': str(ROOT), **env}
        self._process = subprocess.Popen(
            [sys.executable, '-c', textwrap.dedent(source)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={name: value for name, value in variables.items() if value is not None},
        )

    def wait_for(self, line: str) -> None:
        """Wait until the program has printed *line*, which must be the next."""
        assert self._process.stdout is not None
        found = self._process.stdout.readline().rstrip()
        if found != line:
            output, errors = self.finish()
            raise AssertionError(f'not {line!r} but {found!r}, then {output}\n{errors}')

    def interrupt(self) -> None:
        """Press Ctrl-C."""
        self._process.send_signal(signal.SIGINT)

    def kill(self) -> None:
        """End it like a crash."""
        self._process.kill()
        self.finish()

    def finish(self) -> tuple[list[str], str]:
        """Wait for the end. Return the lines printed since, and what went to stderr."""
        try:
            output, errors = self._process.communicate(timeout=SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            output, errors = self._process.communicate()
            errors += f'\nkilled: not done after {SECONDS} s'
        return output.splitlines(), errors


def run_program(source: str, **env: str | None) -> tuple[list[str], str]:
    """Run a program to its end. Return the lines it printed, and what went to stderr."""
    return Program(source, **env).finish()


def check_program(source: str, *lines: str, **env: str | None) -> None:
    """Run a program that must print *lines* and nothing to stderr."""
    output, errors = run_program(source, **env)
    if (output, errors) != (list(lines), ''):
        raise AssertionError(f'printed {output}, not {list(lines)}\n{errors}')
