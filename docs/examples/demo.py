"""The whole store in one minute: files go into a bucket of a real server, and come back verified.

Starts a nats-server on loopback, stores a text, an archive and 64 MiB of random bytes, shows
progress, reads everything back into files, compares, lists, deletes one, shows the bucket's
status, and ends.
"""

from __future__ import annotations

import hashlib
import os
import sys
import tarfile
import tempfile
from pathlib import Path
from typing import Any

import natsev
from natsev import JetStream, Nats, ObjectStore, ev
from natsev.server import Server

MIB = 1024 * 1024
TEXT = 'You can put anything into an object store: it is bytes to it, verified on their way back.\n'


def make_files(directory: Path) -> list[Path]:
    """Make the files that are stored: a text, an archive of some MiB, and one of 64 MiB."""
    text, archive, big = (directory / name for name in ('hello.txt', 'natsev.tar', 'random.bin'))
    text.write_text(TEXT * 20)
    with tarfile.open(archive, 'w') as tar:
        tar.add(Path(natsev.__file__).parent, 'natsev')
        noise = directory / 'noise'
        noise.write_bytes(os.urandom(3 * MIB))
        tar.add(noise, 'noise')
        noise.unlink()
    with big.open('wb') as file:
        for _ in range(64):
            file.write(os.urandom(MIB))
    return [text, archive, big]


def sha256(path: Path) -> str:
    """Return the SHA-256 of a file, to compare with what the store says."""
    with path.open('rb') as file:
        digest = hashlib.sha256()
        while block := file.read(MIB):
            digest.update(block)
    return digest.hexdigest()


def show_progress(label: str) -> Any:
    """Return a progress callback that draws a bar on a terminal, and nothing elsewhere."""

    def progress(done: int, total: int | None) -> None:
        if total and sys.stdout.isatty():
            filled = 30 * done // total
            bar = '#' * filled + '.' * (30 - filled)
            print(f'\r  {label:<26} [{bar}] {done / MIB:6.1f} MiB', end='', flush=True)
            if done == total:
                print('\r\x1b[K', end='')

    return progress


class Demo:
    """The steps, each the callback of the one before."""

    def __init__(self, url: str, directory: Path) -> None:
        self.files = make_files(directory)
        self.back = directory / 'back'
        self.back.mkdir()
        self.failed: str | None = None
        self.nats = Nats(servers=[url], on_error=self.fail)
        self.store = ObjectStore(js=JetStream(nats=self.nats), bucket='files')

    def fail(self, err: Any) -> None:
        self.failed = str(err)
        self.nats.disconnect()

    def run(self) -> None:
        self.store.create_bucket({'description': 'natsev demo'}, self.created)
        ev.run()

    def created(self, info: Any, err: Any) -> None:
        if err:
            return self.fail(err)
        print("bucket 'files' created")
        return self.put_next(list(self.files))

    def put_next(self, left: list[Path]) -> None:
        if not left:
            self.get_next(list(self.files))
            return
        path = left.pop(0)

        def stored(info: Any, err: Any) -> None:
            if err:
                return self.fail(err)
            print(f'stored   {info["name"]:<12} {info["size"]:>9} bytes in {info["chunks"]} chunks')
            return self.put_next(left)

        self.store.put(path.name, path, stored, progress=show_progress(f'storing {path.name}'))

    def get_next(self, left: list[Path]) -> None:
        if not left:
            self.store.list(self.listed)
            return
        path = left.pop(0)
        into = self.back / path.name

        def got(size: Any, err: Any, meta: Any) -> None:
            if err:
                return self.fail(err)
            if size != path.stat().st_size or sha256(into) != sha256(path):
                return self.fail(f'{path.name} came back different')
            print(
                f'got back {meta["name"]:<12} {size:>9} bytes,'
                f' size and SHA-256 digest verified ({sha256(path)[:16]}...)'
            )
            return self.get_next(left)

        progress = show_progress(f'getting {path.name}')
        self.store.get(path.name, got, into=into, progress=progress)

    def listed(self, names: Any, err: Any) -> None:
        if err:
            return self.fail(err)
        print('listed  ', ', '.join(sorted(names)))
        self.store.delete(self.files[0].name, self.deleted)
        return None

    def deleted(self, ok: Any, err: Any) -> None:
        if err:
            return self.fail(err)
        print('deleted ', self.files[0].name)
        self.store.list(self.listed_again)
        return None

    def listed_again(self, names: Any, err: Any) -> None:
        if err:
            return self.fail(err)
        print('listed  ', ', '.join(sorted(names)))
        self.store.status(self.status)
        return None

    def status(self, status: Any, err: Any) -> None:
        if err:
            return self.fail(err)
        print(f'status   {status["bytes"]} bytes, {status["storage"]}, sealed: {status["sealed"]}')
        self.nats.disconnect()
        return None


def main() -> int:
    with tempfile.TemporaryDirectory() as directory, Server() as server:
        print(f'nats-server {server.version} at {server.url}; natsev on {ev.implementation}')
        demo = Demo(server.url, Path(directory))
        demo.run()
        if demo.failed:
            print('failed:', demo.failed, file=sys.stderr)
            return 1
    print('done')
    return 0


if __name__ == '__main__':
    sys.exit(main())
