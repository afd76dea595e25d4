"""Storing what comes through standard input, without waiting for it outside of the loop."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from typing import Any

from .. import ObjectStore, ev

_MOST = 1 << 20


def put_piped(store: ObjectStore, name: str, callback: Callable[..., Any], **options: Any) -> Any:
    """Store standard input, read as it comes; otherwise like ``store.put``."""
    fd = sys.stdin.fileno()

    def readable(watcher: Any, events: int) -> None:
        data = os.read(fd, _MOST)
        if not data:
            watcher.stop()
            writer.end()
        elif not writer.write(data):
            watcher.stop()

    def ended(*results: Any) -> None:
        watcher.stop()
        callback(*results)

    watcher = ev.default_loop().io(fd, ev.EV_READ, readable)
    writer = store.put_stream(name, ended, on_drain=watcher.start, **options)
    watcher.start()
    return writer
