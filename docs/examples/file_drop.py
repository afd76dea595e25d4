"""A drop box: files put into a bucket appear, verified, in somebody else's directory."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import Any

from natsev import JetStream, Nats, NatsError, ObjectStore, ev
from natsev.server import Server

server = Server()  # started only where NATS_URL does not name one
url = os.environ.get('NATS_URL') or server.start().url

inbox = tempfile.TemporaryDirectory()
FILES = {'hello.txt': b'Hello!\n', 'empty': b'', 'large.bin': os.urandom(3_000_000)}


class Program:
    """One that puts files into the bucket, or takes them out."""

    def __init__(self, name: str) -> None:
        self.nats = Nats(servers=[url], name=name)
        self.store = ObjectStore(js=JetStream(nats=self.nats), bucket='drop')
        self.left = set(FILES)

    def finished(self, name: str) -> None:
        self.left.remove(name)
        if not self.left:
            self.nats.disconnect()


sender, receiver = Program('sender'), Program('receiver')


def created(info: Any, err: NatsError | None) -> None:
    receiver.store.watch(arrived, ignore_deletes=True)


def arrived(meta: Any, err: NatsError | None) -> None:
    if meta is not None:
        # Written under another name, verified, and renamed: nobody sees half a file.
        receiver.store.get(meta['name'], got, into=Path(inbox.name) / meta['name'])
    elif err is None:  # all that was there before has been told: now somebody drops files
        for name, data in FILES.items():
            sender.store.put(name, data, dropped)


def dropped(info: Any, err: NatsError | None) -> None:
    sender.finished(info['name'])


def got(size: int, err: NatsError | None, meta: Any) -> None:
    receiver.finished(meta['name'])


receiver.store.create_bucket({}, created)
ev.run()

for path in sorted(Path(inbox.name).iterdir()):
    print(f'{path.name}: {path.stat().st_size} bytes')
same = all((Path(inbox.name) / name).read_bytes() == data for name, data in FILES.items())
print('all files are the same' if same else 'a file is different')
inbox.cleanup()
