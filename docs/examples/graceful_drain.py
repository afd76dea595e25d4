"""A service that is asked to end: it takes no new work, finishes what it has, and goes."""

from __future__ import annotations

import os
import signal
from typing import Any

from natsev import Nats, NatsError, ev
from natsev.server import Server

server = Server()  # started only where NATS_URL does not name one
url = os.environ.get('NATS_URL') or server.start().url

REQUESTS = 20
loop = ev.default_loop()
service = Nats(servers=[url], name='service')
client = Nats(servers=[url], name='client')
answers: list[bytes] = []


def serve(subject: str, payload: bytes, reply: str) -> None:
    service.publish(reply, payload.upper())
    if payload == b'request 5':
        os.kill(os.getpid(), signal.SIGTERM)  # somebody stops the service, amid its work


def on_term(watcher: Any, revents: int) -> None:
    print('asked to end: draining')
    watcher.stop()
    # Unsubscribes; delivers what has come already; writes the answers; disconnects; calls back.
    service.drain(drained, 5000)


def drained(err: NatsError | None) -> None:
    print('drained' if err is None else f'not drained: {err}')


def answered(response: Any, err: NatsError | None) -> None:
    answers.append(response)
    if len(answers) == REQUESTS:
        client.disconnect()


def ready(err: NatsError | None) -> None:
    for number in range(REQUESTS):
        client.request('shout', f'request {number}', answered, 5000)


term = ev.Signal(signal.SIGTERM, loop, on_term)
term.start()
service.subscribe('shout', serve)
service.flush(ready)
ev.run()
print(f'{sum(answer is not None for answer in answers)} of {REQUESTS} requests were answered')
