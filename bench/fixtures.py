"""What stands on the server before a client is measured: made by a raw socket, for all alike.

A fixture is a generator function of ``(url, params)``. It yields once for each run what the
client's program is told in addition, and takes everything away when it is closed.
"""

from __future__ import annotations

import contextlib
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any

from .clients import ROOT, raw_objects
from .clients.measure import payload
from .rawsocket import RawSocket, publication

Params = dict[str, Any]
Fixture = Generator[Params, None, None]

STREAM = 'BENCH'
BUCKET = 'bench'
_MESSAGES = 400_000
_QUEUE = 50_000
_CONSUMER = {
    'ack_policy': 'explicit',
    'ack_wait': 60_000_000_000,
    'max_ack_pending': 100_000,
    'max_waiting': 512,
}


def nothing(url: str, params: Params) -> Fixture:
    while True:
        yield {}


def responder(url: str, params: Params) -> Fixture:
    command = [sys.executable, '-m', 'bench.clients.responder', url]
    with subprocess.Popen(command, stdout=subprocess.PIPE, cwd=ROOT) as process:
        try:
            assert process.stdout is not None
            process.stdout.readline()
            while True:
                yield {}
        finally:
            process.kill()


def stream(url: str, params: Params) -> Fixture:
    """An empty stream for each run."""
    with _stream(url, STREAM, ['bench.js.>']) as raw:
        while True:
            raw.api(f'STREAM.PURGE.{STREAM}')
            yield {'stream': STREAM}


def filled_stream(url: str, params: Params) -> Fixture:
    """Messages enough for a second or two, and new consumers for each run."""
    with _stream(url, STREAM, ['bench.js.>']) as raw:
        _fill(raw, [publication(b'bench.js.x', bytes(params['size']))] * _MESSAGES)
        while True:
            names = ['warm', 'run']
            for name in names:
                body = {'stream_name': STREAM, 'config': {**_CONSUMER, 'durable_name': name}}
                raw.api(f'CONSUMER.DURABLE.CREATE.{STREAM}.{name}', body)
            yield {
                'stream': STREAM,
                'warm_consumer': names[0],
                'consumer': names[1],
                'messages': _MESSAGES,
            }
            for name in names:
                raw.api(f'CONSUMER.DELETE.{STREAM}.{name}')


def kv(url: str, params: Params) -> Fixture:
    with _kv(url):
        while True:
            yield {'bucket': BUCKET}


def filled_kv(url: str, params: Params) -> Fixture:
    with _kv(url) as raw:
        prefix, value = f'$KV.{BUCKET}.key-', bytes(params['size'])
        _fill(raw, [publication(f'{prefix}{n}'.encode(), value) for n in range(params['keys'])])
        while True:
            yield {'bucket': BUCKET}


def bucket(url: str, params: Params) -> Fixture:
    """An empty bucket for each run."""
    with _bucket(url) as raw:
        while True:
            raw.api(f'STREAM.PURGE.OBJ_{BUCKET}')
            yield {'bucket': BUCKET}


def big_object(url: str, params: Params) -> Fixture:
    with _bucket(url) as raw:
        raw_objects.put(raw, BUCKET, 'big', payload(params['bytes']))
        while True:
            yield {'bucket': BUCKET}


def small_objects(url: str, params: Params) -> Fixture:
    with _bucket(url) as raw:
        for n in range(params['objects']):
            raw_objects.put(raw, BUCKET, f'object-{n}', payload(params['size']))
        while True:
            yield {'bucket': BUCKET}
            # Some clients leave a consumer behind for each get, and a stream has a limit of them.
            while left := raw.api(f'CONSUMER.NAMES.OBJ_{BUCKET}')['consumers']:
                for name in left:
                    with contextlib.suppress(RuntimeError):  # it has gone by itself
                        raw.api(f'CONSUMER.DELETE.OBJ_{BUCKET}.{name}')


def big_file(url: str, params: Params) -> Fixture:
    """A file of so many bytes, and an empty bucket for each run."""
    with tempfile.TemporaryDirectory(prefix='natsev-bench-') as directory, _bucket(url) as raw:
        path = Path(directory, 'file')
        with path.open('wb') as file:
            for _ in range(params['bytes'] >> 20):
                file.write(payload(1 << 20))
        while True:
            raw.api(f'STREAM.PURGE.OBJ_{BUCKET}')
            yield {'bucket': BUCKET, 'path': str(path)}


def _fill(raw: RawSocket, frames: list[bytes]) -> None:
    """Send *frames* without acknowledgements; no more than the server queues for a stream."""
    stored = 0
    while stored < len(frames):
        raw.send(b''.join(frames[stored : stored + _QUEUE]))
        stored = min(len(frames), stored + _QUEUE)
        raw.flush()
        while _messages(raw) < stored:
            time.sleep(0.001)


def _messages(raw: RawSocket) -> int:
    """Return how many messages the one stream holds."""
    streams = raw.api('STREAM.LIST')['streams']
    return sum(stream['state']['messages'] for stream in streams)


@contextlib.contextmanager
def _stream(
    url: str, name: str, subjects: list[str], **more: Any
) -> Generator[RawSocket, None, None]:
    raw = RawSocket(url)
    config = {'name': name, 'subjects': subjects, 'storage': 'file', 'num_replicas': 1, **more}
    raw.api(f'STREAM.CREATE.{name}', config)
    try:
        yield raw
    finally:
        raw.api(f'STREAM.DELETE.{name}')
        raw.close()


def _kv(url: str) -> contextlib.AbstractContextManager[RawSocket]:
    return _stream(
        url,
        f'KV_{BUCKET}',
        [f'$KV.{BUCKET}.>'],
        max_msgs_per_subject=1,
        discard='new',
        allow_rollup_hdrs=True,
        allow_direct=True,
        deny_delete=True,
    )


def _bucket(url: str) -> contextlib.AbstractContextManager[RawSocket]:
    subjects = [f'$O.{BUCKET}.C.>', f'$O.{BUCKET}.M.>']
    return _stream(
        url,
        f'OBJ_{BUCKET}',
        subjects,
        discard='new',
        allow_rollup_hdrs=True,
        allow_direct=True,
    )


FIXTURES: dict[str, Callable[[str, Params], Fixture]] = {
    fixture.__name__: fixture
    for fixture in (
        nothing,
        responder,
        stream,
        filled_stream,
        kv,
        filled_kv,
        bucket,
        big_object,
        small_objects,
        big_file,
    )
}
