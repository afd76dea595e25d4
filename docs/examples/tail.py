"""The last lines of a stream, and then every new one, as ``tail -f`` shows a file."""

from __future__ import annotations

import os
from typing import Any

from natsev import JetStream, Nats, NatsError, ev
from natsev.jetstream import Consumption, Message
from natsev.server import Server

server = Server()  # started only where NATS_URL does not name one
nats = Nats(servers=[os.environ.get('NATS_URL') or server.start().url], reconnect=True)
js = JetStream(nats=nats)

LAST = 5
following: Consumption  # made when the stream is there


def created(info: Any, err: NatsError | None) -> None:
    publisher = js.publisher()
    for number in range(1, 101):
        publisher.publish('log.app', f'line {number}')
    publisher.done(lambda totals, err: js.stream_info('LOG', tail))


def tail(info: Any, err: NatsError | None) -> None:
    global following
    start = max(1, info['state']['last_seq'] - LAST + 1)
    # ordered() goes on by itself over lost connections; on_end tells when it cannot.
    following = js.ordered('LOG', show, opt_start_seq=start, on_caught_up=caught_up, on_end=ended)


def show(message: Message) -> None:
    print(f'{message.seq:4}  {message.payload.decode()}')
    if message.payload == b'the end':
        following.stop()


def caught_up() -> None:
    print('      (that was all; new lines follow)')
    for line in ('a new line', 'the end'):
        js.js_publish('log.app', line)


def ended(err: NatsError | None) -> None:
    print(f'      ({err or "stopped"})')
    nats.disconnect()


js.stream_create({'name': 'LOG', 'subjects': ['log.>'], 'storage': 'memory'}, created)
ev.run()
