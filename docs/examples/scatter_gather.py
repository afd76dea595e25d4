"""Scatter and gather: ask every shop for its price, and take the best that comes in time."""

from __future__ import annotations

import os
from typing import Any

from natsev import Nats, NatsError, ev
from natsev.server import Server

server = Server()  # started only where NATS_URL does not name one
nats = Nats(servers=[os.environ.get('NATS_URL') or server.start().url])
values = nats.with_codec('msgpack')  # payloads are Python values

PRICES = {'Ada': 42, 'Bob': 39, 'Cleo': 45}


def open_shop(owner: Any, price: Any) -> None:
    def quote(subject: str, article: Any, reply: str) -> None:
        values.publish(reply, {'shop': owner, 'article': article, 'price': price})

    values.subscribe('prices', quote)


def gathered(replies: Any, err: NatsError | None) -> None:
    offers = [reply['payload'] for reply in replies]
    for offer in sorted(offers, key=lambda offer: offer['price']):
        print(f'{offer["shop"]:5} sells {offer["article"]} for {offer["price"]}')
    best = min(offers, key=lambda offer: offer['price'])
    print(f'we buy from {best["shop"]}')
    nats.disconnect()


for owner, price in PRICES.items():
    open_shop(owner, price)
# Nobody knows how many will answer: 100 ms after the last answer we stop waiting.
values.request_many('prices', 'a kettle', gathered, timeout=2000, stall=100)
ev.run()
