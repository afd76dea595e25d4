"""Running the real command: piped, and on a terminal.

- ``cli('stream', 'ls')`` runs it piped against the session's server and returns what it printed;
  ``code=3`` says which exit code it must have, ``cli.json(...)`` adds ``--json`` and parses it.
- ``cli.start('sub', subject)`` is a command that runs on: ``wait_for(text)``, ``interrupt()``,
  ``finish()``.
- ``cli.terminal('stream', 'ls')`` is the same on a pseudo-terminal, where ``keys('\\x03')`` types.

Every command has directories of its own for settings and data.
"""

from __future__ import annotations

import fcntl
import json
import os
import pty
import re
import signal
import struct
import subprocess
import sys
import termios
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from natsev.server import Server

ROOT = Path(__file__).parent.parent.parent
SECONDS = 60
# Makes the pseudo-terminal its own first, so that Ctrl-C typed there reaches it.
_ON_TERMINAL = """
import fcntl, termios
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
from natsev.cli import main
main()
"""
_ESCAPES = re.compile(r'\x1b\[[0-9;?]*[A-Za-z]')


class Running:
    """A command that runs, and what it has printed so far."""

    def __init__(self, process: subprocess.Popen[bytes], reading: int) -> None:
        self._process = process
        self._fd = reading
        self._text = ''
        self._grown = threading.Condition()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        while True:
            try:
                data = os.read(self._fd, 65536)
            except OSError:  # a terminal's end
                data = b''
            with self._grown:
                self._text += data.decode(errors='replace')
                self._grown.notify_all()
            if not data:
                return

    @property
    def text(self) -> str:
        """What was printed, without what moves the cursor and colours."""
        return _ESCAPES.sub('', self._text).replace('\r\n', '\n')

    @property
    def raw(self) -> str:
        return self._text

    def wait_for(self, text: str) -> None:
        """Wait until *text* has been printed."""
        with self._grown:
            self._grown.wait_for(lambda: text in self.text or not self._reader.is_alive(), SECONDS)
        assert text in self.text

    def interrupt(self, number: int = signal.SIGINT) -> None:
        self._process.send_signal(number)

    def finish(self, code: int = 0) -> str:
        """Wait for the end, check the exit code, return all that was printed."""
        assert self._process.wait(SECONDS) == code, self.text
        self._reader.join(SECONDS)
        return self.text

    def close(self) -> None:
        if self._process.poll() is None:
            self._process.kill()
        self._process.wait()
        self._reader.join()
        os.close(self._fd)


class OnTerminal(Running):
    """The same on a terminal: ``keys`` types."""

    def keys(self, text: str) -> None:
        os.write(self._fd, text.encode())


class Cli:
    """Runs the command; see the top."""

    def __init__(self, directory: Path, url: str | None) -> None:
        self.directory = directory
        self.env = {
            **{name: value for name, value in os.environ.items() if name[:5] != 'NATS_'},
            'PYTHONPATH': str(ROOT),
            'HOME': str(directory),
            'XDG_CONFIG_HOME': str(directory / 'config'),
            'XDG_DATA_HOME': str(directory / 'data'),
            'COLUMNS': '120',
        }
        if url is not None:
            self.env['NATS_URL'] = url
        self._running: list[Running] = []

    def run(
        self, *args: object, input: bytes = b'', **env: str
    ) -> subprocess.CompletedProcess[bytes]:
        return subprocess.run(
            [sys.executable, '-W', 'error', '-m', 'natsev', *map(str, args)],
            input=input,
            capture_output=True,
            cwd=self.directory,
            env={**self.env, **env},
            timeout=SECONDS,
            check=False,
        )

    def __call__(self, *args: object, input: bytes = b'', code: int = 0, **env: str) -> str:
        done = self.run(*args, input=input, **env)
        assert done.returncode == code, done.stderr.decode()
        return (done.stderr if code else done.stdout).decode()

    def json(self, *args: object, **options: Any) -> Any:
        return json.loads(self(*args, '--json', **options))

    def start(self, *args: object, stdin: int = subprocess.DEVNULL) -> Running:
        reading, writing = os.pipe()
        process = subprocess.Popen(
            [sys.executable, '-W', 'error', '-m', 'natsev', *map(str, args)],
            stdin=stdin,
            stdout=writing,
            stderr=writing,
            cwd=self.directory,
            env=self.env,
        )
        os.close(writing)
        self._running.append(Running(process, reading))
        return self._running[-1]

    def terminal(self, *args: object) -> OnTerminal:
        ours, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack('HHHH', 40, 120, 0, 0))
        process = subprocess.Popen(
            [sys.executable, '-W', 'error', '-c', _ON_TERMINAL, *map(str, args)],
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            cwd=self.directory,
            env={**self.env, 'TERM': 'xterm-256color'},
            start_new_session=True,
        )
        os.close(theirs)
        running = OnTerminal(process, ours)
        self._running.append(running)
        return running

    def close(self) -> None:
        for running in self._running:
            running.close()


@pytest.fixture
def cli(tmp_path: Path, server: Server) -> Iterator[Cli]:
    """The command, with the session's server as NATS_URL."""
    cli = Cli(tmp_path, server.url)
    yield cli
    cli.close()


@pytest.fixture
def cli_alone(tmp_path: Path) -> Iterator[Cli]:
    """The command with no server named."""
    cli = Cli(tmp_path, None)
    yield cli
    cli.close()
