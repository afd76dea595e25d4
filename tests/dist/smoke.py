"""What an installed natsev must do, with nothing else in its environment; see ``check.py``."""

from __future__ import annotations

import os
import sys
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import natsev
from natsev import JetStream, Nats, ObjectStore, ev
from natsev.server import Server


def main(wire: str) -> None:
    package = Path(natsev.__file__).parent
    assert package.parent.name == 'site-packages', package
    assert (package / 'py.typed').exists()
    assert natsev.__version__ == version('natsev')
    assert natsev.wire_implementation == wire, natsev.wire_implementation
    data, told = os.urandom(1_000_000), []
    with TemporaryDirectory() as directory, Server() as server:
        nats = Nats(servers=[server.url])
        store = ObjectStore(js=JetStream(nats=nats), bucket='files')
        into = Path(directory, 'copy')

        def created(info: Any, err: Any) -> None:
            assert err is None, err
            store.put('x', data, stored)

        def stored(info: Any, err: Any) -> None:
            assert err is None, err
            store.get('x', got, into=into)

        def got(size: Any, err: Any, meta: Any) -> None:
            told.append((size, err))
            nats.disconnect()

        store.create_bucket({}, created)
        ev.run()
        assert told == [(len(data), None)], told
        assert into.read_bytes() == data


main(sys.argv[1])
