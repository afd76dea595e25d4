"""A backup of a bucket into a directory, and a new bucket from it."""

from __future__ import annotations

import json
import os
import tempfile
from pathlib import Path

from natsev import JetStream, Nats, ObjectStore, ev
from natsev.server import Server

server = Server()  # started only where NATS_URL does not name one
nats = Nats(servers=[os.environ.get('NATS_URL') or server.start().url])
js = JetStream(nats=nats)
photos, restored = ObjectStore(js=js, bucket='photos'), ObjectStore(js=js, bucket='restored')
directory = tempfile.TemporaryDirectory()
backup = Path(directory.name)


def for_each(items, step, then):
    """Call ``step(number, item, next)`` for one item after the other, and then ``then()``."""
    left = list(enumerate(items))

    def go_on(result=None, err=None):
        if err is not None:
            print('failed:', err)
            nats.disconnect()
        elif left:
            step(*left.pop(0), go_on)
        else:
            then()

    go_on()


def fill(info, err):
    def put(number, name, then):
        photos.put(name, os.urandom(200_000), then, metadata={'by': 'Ada'})

    for_each(['beach.jpg', 'sea.jpg', 'tea.jpg'], put, lambda: photos.list(save, details=True))


def save(metas, err):
    def get(number, meta, then):
        photos.get(meta['name'], then, into=backup / str(number))

    index = [[meta[field] for field in ('name', 'metadata', 'digest')] for meta in metas]
    (backup / 'index.json').write_text(json.dumps(index))
    for_each(metas, get, lambda: restored.create_bucket({}, restore))


def restore(info, err):
    def put(number, entry, then):
        name, metadata, _ = entry
        restored.put(name, backup / str(number), then, metadata=metadata)

    index = json.loads((backup / 'index.json').read_text())
    for_each(
        index, put, lambda: restored.list(lambda metas, err: compare(index, metas), details=True)
    )


def compare(index, metas):
    same = sorted(digest for *_, digest in index) == sorted(meta['digest'] for meta in metas)
    print(f'{len(metas)} objects restored, {"all" if same else "not all"} the same')
    nats.disconnect()


photos.create_bucket({}, fill)
ev.run()
directory.cleanup()
