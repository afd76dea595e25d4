"""A queue of jobs that survives: each is done until somebody says that it is done."""

from __future__ import annotations

import os
from typing import Any

from natsev import JetStream, Nats, NatsError, ev
from natsev.jetstream import Message
from natsev.server import Server

server = Server()  # started only where NATS_URL does not name one
nats = Nats(servers=[os.environ.get('NATS_URL') or server.start().url], reconnect=True)
js = JetStream(nats=nats, codec='msgpack')

SECOND = 1_000_000_000  # durations that go to the server are in nanoseconds
JOBS = [{'add': [1, 2]}, {'add': [3, 'x']}, {'flaky': True}, {'add': [4, 5]}]


def created(info: Any, err: NatsError | None) -> None:
    config = {'durable_name': 'worker', 'ack_policy': 'explicit', 'ack_wait': 30 * SECOND}
    js.consumer_create('JOBS', config, ready)


def ready(info: Any, err: NatsError | None) -> None:
    js.consume('JOBS', 'worker', work)
    for job in JOBS:
        js.js_publish('jobs.new', job)


def work(message: Message) -> None:
    job = message.value
    if 'flaky' in job and message.delivered == 1:
        print(f'{job}: not now, again in a moment')
        message.nak(delay=SECOND // 20)
        return
    try:
        print(f'{job}: {sum(job["add"]) if "add" in job else "done at last"}')
    except TypeError as error:
        print(f'{job}: hopeless, {error}')
        message.term('no numbers')
        return
    message.ack(acked)


def acked(ok: Any, err: NatsError | None) -> None:
    js.consumer_info('JOBS', 'worker', look)


def look(info: Any, err: NatsError | None) -> None:
    if info['num_pending'] == info['num_ack_pending'] == 0:
        print('nothing is left to do')
        nats.disconnect()


js.stream_create({'name': 'JOBS', 'subjects': ['jobs.>'], 'retention': 'workqueue'}, created)
ev.run()
