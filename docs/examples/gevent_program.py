"""A gevent program: greenlets that wait for natsev's calls."""

from __future__ import annotations

import os
from typing import Any

import gevent
from gevent.pool import Pool

from natsev import Nats, NoResponders, RequestTimeout
from natsev.gevent import wait

# The hub's loop is natsev's: nothing more is to be run.
loop = gevent.get_hub().loop
nats = Nats(servers=[os.environ.get('NATS_URL', 'nats://127.0.0.1:4222')], loop=loop)


def square(subject: str, payload: bytes, reply: str) -> None:
    # A callback runs in the hub and must not wait. What has to, is a greenlet.
    gevent.spawn(slowly, int(payload), reply)


def slowly(number: int, reply: str) -> None:
    gevent.sleep(0.01)
    nats.publish(reply, str(number * number))


def ask(number: int) -> Any:
    return int(wait(nats.request, 'square', str(number), timeout=5))


nats.subscribe('square', square)
nats.subscribe('silence', lambda subject, payload, reply: None)
print(Pool(10).map(ask, range(10)))

try:
    wait(nats.request, 'nobody.there', b'?')
except NoResponders as err:
    print('no answer:', err)

try:
    wait(nats.request, 'silence', b'?', timeout=0.05)
except RequestTimeout as err:  # also a gevent.Timeout; the request is cancelled
    print('no answer:', err)

wait(nats.drain)
