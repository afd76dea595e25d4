"""Orders that are stored once, however often they are sent: each has an id."""

from __future__ import annotations

import os
from typing import Any

from natsev import JetStream, Nats, NatsError, ev
from natsev.server import Server

server = Server()  # started only where NATS_URL does not name one
nats = Nats(servers=[os.environ.get('NATS_URL') or server.start().url])
js = JetStream(nats=nats, codec='msgpack')
publisher = js.publisher()

ORDERS = [{'id': 'A1', 'tea': 2}, {'id': 'B2', 'tea': 1}, {'id': 'A1', 'tea': 2}]


def created(info: Any, err: NatsError | None) -> None:
    for order in ORDERS:
        send(order)
    publisher.done(all_stored)


def send(order: Any) -> None:
    def stored(ack: Any, err: NatsError | None) -> None:
        print(f'order {order["id"]} is message {ack["seq"]}', end='')
        print(', and was there already' if 'duplicate' in ack else '')

    publisher.publish('orders.new', order, stored, msg_id=order['id'])


def all_stored(totals: Any, err: NatsError | None) -> None:
    js.stream_info('ORDERS', counted)


def counted(info: Any, err: NatsError | None) -> None:
    print(f'{len(ORDERS)} were sent, {info["state"]["messages"]} are there')
    nats.disconnect()


js.stream_create({'name': 'ORDERS', 'subjects': ['orders.>']}, created)
ev.run()
