"""Threads that work, and hand what they have done to the loop."""

from __future__ import annotations

import hashlib
import os
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from natsev import Nats, NatsError, ev
from natsev.server import Server

server = Server()  # started only where NATS_URL does not name one
nats = Nats(servers=[os.environ.get('NATS_URL') or server.start().url])
pool = ThreadPoolExecutor(4)
results: dict[str, Any] = {}


def on_job(subject: str, payload: bytes, reply: str | None) -> None:
    # A callback must not take long: the loop, and all that lives on it, would stand still.
    pool.submit(work, payload, reply)


def work(password: Any, reply: str | None) -> None:
    """Runs in a thread: it may compute, or wait, as long as it likes."""
    digest = hashlib.pbkdf2_hmac('sha256', password, b'salt', 50_000).hex()
    # The only method that another thread may call. It runs publish() in the loop's thread.
    nats.call_soon_threadsafe(nats.publish, reply, digest)


def ask(password: Any) -> None:
    def answered(response: Any, err: NatsError | None) -> None:
        results[password] = err or response.decode()
        if len(results) == 8:
            nats.disconnect()

    nats.request('hash', password, answered, 30_000)


nats.subscribe('hash', on_job)
for number in range(8):
    ask(f'password {number}')
ev.run()
pool.shutdown()

for password, digest in sorted(results.items()):
    print(f'{password}: {digest[:16]}...')
