"""A program on a pyev loop of its own that follows a log, with a shipper to a stream beside it.

The program had the watcher on the pipe before; natsev adds its own to the same loop.
"""

from __future__ import annotations

import os
import threading
from typing import Any

from natsev import JetStream, Nats, NatsError, ev
from natsev.server import Server

server = Server()  # started only where NATS_URL does not name one
loop = ev.default_loop()
nats = Nats(servers=[os.environ.get('NATS_URL') or server.start().url], loop=loop)
js = JetStream(nats=nats)
reading, writing = os.pipe()
begun = bytearray()  # of a line, whose end has not come yet


def write_log() -> None:
    with os.fdopen(writing, 'w') as log:
        for number in range(1, 2001):
            log.write(f'request {number} served\n')


def on_readable(watcher: Any, revents: int) -> None:
    data = os.read(reading, 65536)
    if not data:
        watcher.stop()
        publisher.done(shipped)
        return
    *lines, begun[:] = (begun + data).split(b'\n')
    for line in lines:
        room = publisher.publish('log.web', line)
    if lines and not room:
        watcher.stop()  # the log waits in the pipe, and its writer with it


log_watcher = ev.Io(reading, ev.EV_READ, loop, on_readable)
publisher = js.publisher(max_pending=500, on_drain=log_watcher.start)


def created(info: Any, err: NatsError | None) -> None:
    threading.Thread(target=write_log).start()
    log_watcher.start()


def shipped(totals: Any, err: NatsError | None) -> None:
    print(f'{totals["published"]} lines are in the stream, {totals["failed"]} failed')
    nats.disconnect()


js.stream_create({'name': 'LOG', 'subjects': ['log.>']}, created)
ev.run()
os.close(reading)
