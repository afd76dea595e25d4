"""A backup of a bucket into a directory, and a new bucket from it."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from natsev import JetStream, Nats, NatsError, ObjectStore, ev
from natsev.server import Server

server = Server()  # started only where NATS_URL does not name one
nats = Nats(servers=[os.environ.get('NATS_URL') or server.start().url])
js = JetStream(nats=nats)
photos, restored = ObjectStore(js=js, bucket='photos'), ObjectStore(js=js, bucket='restored')
directory = tempfile.TemporaryDirectory()
backup = Path(directory.name)


def for_each(items: Any, step: Any, then: Callable[..., Any]) -> None:
    """Call ``step(number, item, next)`` for one item after the other, and then ``then()``."""
    left = list(enumerate(items))

    def go_on(result: Any = None, err: NatsError | None = None) -> None:
        if err is not None:
            print('failed:', err)
            nats.disconnect()
        elif left:
            step(*left.pop(0), go_on)
        else:
            then()

    go_on()


def fill(info: Any, err: NatsError | None) -> None:
    def put(number: int, name: str, then: Callable[..., Any]) -> None:
        photos.put(name, os.urandom(200_000), then, metadata={'by': 'Ada'})

    for_each(['beach.jpg', 'sea.jpg', 'tea.jpg'], put, lambda: photos.list(save, details=True))


def save(metas: Any, err: NatsError | None) -> None:
    def get(number: int, meta: Any, then: Callable[..., Any]) -> None:
        photos.get(meta['name'], then, into=backup / str(number))

    index = [[meta[field] for field in ('name', 'metadata', 'digest')] for meta in metas]
    (backup / 'index.json').write_text(json.dumps(index))
    for_each(metas, get, lambda: restored.create_bucket({}, restore))


def restore(info: Any, err: NatsError | None) -> None:
    def put(number: int, entry: Any, then: Callable[..., Any]) -> None:
        name, metadata, _ = entry
        restored.put(name, backup / str(number), then, metadata=metadata)

    index = json.loads((backup / 'index.json').read_text())
    for_each(
        index, put, lambda: restored.list(lambda metas, err: compare(index, metas), details=True)
    )


def compare(index: Any, metas: Any) -> None:
    same = sorted(digest for *_, digest in index) == sorted(meta['digest'] for meta in metas)
    print(f'{len(metas)} objects restored, {"all" if same else "not all"} the same')
    nats.disconnect()


photos.create_bucket({}, fill)
ev.run()
directory.cleanup()
