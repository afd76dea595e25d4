"""Clients of other makers, each run as a program of its own that does what a test says.

A peer's program takes one JSON line for each operation and answers with one: see ``serving.py``.
Objects' bytes travel in base64. What one of them cannot do at all ends as a ``PeerError``.
"""

from __future__ import annotations

import base64
import contextlib
import json
import os
import queue
import shutil
import subprocess
import sys
import tempfile
import threading
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent.parent
NODE = Path(os.environ.get('NATSEV_NODE', ROOT / '.cache' / 'node'))
_SECONDS = 30

COMMANDS = {
    'nats-py': [sys.executable, '-m', 'tests.peers.nats_py'],
    'nats-js': ['node', str(ROOT / 'tests' / 'peers' / 'nats_js.mjs')],
    'natsrpy': [sys.executable, '-m', 'tests.peers.natsrpy_peer'],
}


def lacking(name: str) -> str | None:
    """What the peer *name* needs and this machine lacks, if anything."""
    if name != 'nats-js':
        return None
    if shutil.which('node') is None:
        return 'node, for the JavaScript client'
    if not (NODE / 'node_modules' / '@nats-io' / 'obj').exists():
        return f'the JavaScript client in {NODE} (make installs it where there is npm)'
    return None


class PeerError(Exception):
    """The other client failed; the text begins with the name of its error."""


class PeerEnded(PeerError):
    """The other client's program ended."""


class Peer:
    """A client of another maker, connected to *url*.

    ``info`` dicts have the keys of ADR-20's JSON, as far as that client tells them.
    """

    def __init__(self, name: str, url: str) -> None:
        self.name = name
        self._url = url
        self._start()

    def _start(self) -> None:
        self._log = tempfile.TemporaryFile()  # noqa: SIM115 (closed by close())
        self._process = subprocess.Popen(
            [*COMMANDS[self.name], self._url],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            text=True,
            cwd=ROOT,
            env={**os.environ, 'NATSEV_NODE': str(NODE)},
        )
        self._answers: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    @property
    def running(self) -> bool:
        """Has the program not ended?"""
        return self._process.poll() is None

    def create_bucket(self, bucket: str, **options: Any) -> None:
        """Options: ``description``, ``max_bytes``, ``replicas``, ``storage``."""
        self.ask('create_bucket', bucket=bucket, **options)

    def delete_bucket(self, bucket: str) -> None:
        self.ask('delete_bucket', bucket=bucket)

    def put(self, bucket: str, name: str, data: bytes, **options: Any) -> dict[str, Any]:
        """Options: ``description``, ``headers`` (lists of values), ``metadata``, ``chunk_size``."""
        return self.ask('put', bucket=bucket, name=name, data=_encode(data), **options)

    def get(self, bucket: str, name: str) -> bytes | None:
        return _decode(self.ask('get', bucket=bucket, name=name))

    def info(self, bucket: str, name: str) -> dict[str, Any] | None:
        return self.ask('info', bucket=bucket, name=name)

    def list(self, bucket: str) -> list[dict[str, Any]]:
        """The live objects."""
        return self.ask('list', bucket=bucket)

    def delete(self, bucket: str, name: str) -> None:
        self.ask('delete', bucket=bucket, name=name)

    def update_meta(self, bucket: str, name: str, **changes: Any) -> None:
        """Changes: ``description``, ``headers``, ``metadata``, ``new_name``."""
        self.ask('update_meta', bucket=bucket, name=name, **changes)

    def link(self, bucket: str, name: str, target: str) -> None:
        """Not nats-py."""
        self.ask('link', bucket=bucket, name=name, target=target)

    def seal(self, bucket: str) -> None:
        self.ask('seal', bucket=bucket)

    def watch(self, bucket: str) -> Watch:
        """The objects there are, then every change."""
        return Watch(self, self.ask('watch', bucket=bucket))

    def kv_create_bucket(self, bucket: str, **options: int) -> None:
        """Options: ``history``; ``marker_ttl``, in seconds."""
        self.ask('kv_create_bucket', bucket=bucket, **options)

    def kv_put(self, bucket: str, key: str, value: bytes) -> int:
        return self.ask('kv_put', bucket=bucket, key=key, value=_encode(value))

    def kv_create(self, bucket: str, key: str, value: bytes, **options: int) -> int:
        """Options: ``ttl``, in seconds."""
        return self.ask('kv_create', bucket=bucket, key=key, value=_encode(value), **options)

    def kv_update(self, bucket: str, key: str, value: bytes, revision: int) -> None:
        self.ask('kv_update', bucket=bucket, key=key, value=_encode(value), revision=revision)

    def kv_get(self, bucket: str, key: str, **options: int) -> bytes | None:
        """Options: ``revision``."""
        return _decode(self.ask('kv_get', bucket=bucket, key=key, **options))

    def kv_delete(self, bucket: str, key: str, **options: int) -> None:
        """Options: ``revision``."""
        self.ask('kv_delete', bucket=bucket, key=key, **options)

    def kv_purge(self, bucket: str, key: str, **options: int) -> None:
        """Options: ``ttl``, in seconds."""
        self.ask('kv_purge', bucket=bucket, key=key, **options)

    def kv_purge_deletes(self, bucket: str) -> None:
        """All of them, however young. Not natsrpy."""
        self.ask('kv_purge_deletes', bucket=bucket)

    def kv_keys(self, bucket: str) -> list[str]:
        return self.ask('kv_keys', bucket=bucket)

    def kv_history(self, bucket: str, key: str) -> list[dict[str, Any]]:
        """Entries: ``key``, ``value``, ``revision``, ``op`` (``PUT``, ``DEL``, ``PURGE``)."""
        try:
            found = self.ask('kv_history', bucket=bucket, key=key)
        except PeerEnded:
            # natsrpy 0.1.4 panics now and then as it lets go of what it has read.
            self.close()
            self._start()
            found = self.ask('kv_history', bucket=bucket, key=key)
        return [_entry(entry) for entry in found]

    def kv_watch(self, bucket: str, pattern: str = '>') -> Watch:
        """The last value of each key, then every change; natsrpy: all history first."""
        return Watch(self, self.ask('kv_watch', bucket=bucket, pattern=pattern))

    def service_start(self, name: str, subject: str) -> None:
        """A service with the endpoint ``double``, which refuses what is no number; not natsrpy."""
        self.ask('service_start', name=name, subject=subject)

    def service_stop(self) -> None:
        self.ask('service_stop')

    def service_find(self, what: str, name: str) -> list[dict[str, Any]]:
        """What that client understands of the answers to ``ping``, ``info`` or ``stats``."""
        return self.ask('service_find', what=what, name=name)

    def service_call(self, subject: str, payload: str) -> dict[str, Any]:
        """The answer's ``payload``, ``code`` and ``description``."""
        return self.ask('service_call', subject=subject, payload=payload)

    def fetch(self, stream: str, consumer: str, number: int) -> list[dict[str, Any]]:
        """Fetch messages of a durable and acknowledge them: ``subject``, ``value``, ``seq``."""
        found = self.ask('fetch', stream=stream, consumer=consumer, number=number)
        return [_entry(message) for message in found]

    def count(self, stream: str, subject: str, by: int) -> int:
        """Add to a counter and return what it is then. Only natsrpy."""
        return self.ask('count', stream=stream, subject=subject, by=by)

    def schedule(self, subject: str, value: bytes, target: str) -> None:
        """Have the server publish *value* to *target* a moment later. Only nats-js."""
        self.ask('schedule', subject=subject, value=_encode(value), target=target)

    def ask(self, op: str, **args: Any) -> Any:
        """Have the program do *op*; return its result."""
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(json.dumps({'op': op, **args}) + '\n')
            self._process.stdin.flush()
            line = self._answers.get(timeout=_SECONDS)
        except (BrokenPipeError, queue.Empty) as error:
            raise PeerError(f'{self.name} does not answer {op}: {self._said()}') from error
        if line is None:
            raise PeerEnded(f'{self.name} ended at {op}: {self._said()}')
        answer = json.loads(line)
        if 'error' in answer:
            raise PeerError(answer['error'])
        return answer['result']

    def close(self) -> None:
        """End the program."""
        self._process.kill()
        self._process.wait()
        self._reader.join()
        self._log.close()
        for stream in (self._process.stdin, self._process.stdout):
            assert stream is not None
            with contextlib.suppress(BrokenPipeError):  # what it never read
                stream.close()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self._answers.put(line)
        self._answers.put(None)

    def _said(self) -> str:
        self._log.seek(0)
        return self._log.read().decode(errors='replace')[-4000:]


class Watch:
    """A watch in progress in a peer."""

    def __init__(self, peer: Peer, number: int) -> None:
        self._peer = peer
        self._number = number

    def next(self, seconds: float = 10) -> dict[str, Any]:
        """Return the next event, waiting for it."""
        return _entry(self._peer.ask('next', watch=self._number, seconds=seconds))

    def stop(self) -> None:
        """End the watch."""
        self._peer.ask('stop', watch=self._number)


def _encode(data: bytes) -> str:
    return base64.b64encode(data).decode()


def _decode(text: str | None) -> bytes | None:
    return None if text is None else base64.b64decode(text)


def _entry(event: dict[str, Any]) -> dict[str, Any]:
    return {**event, 'value': _decode(event['value'])} if 'value' in event else event
