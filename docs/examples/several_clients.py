"""Two clients on one loop, and one that runs on a loop of its own, in a thread."""

from __future__ import annotations

import os
import threading
from typing import Any

from natsev import Nats, NatsError, ev

url = os.environ.get('NATS_URL', 'nats://127.0.0.1:4222')


class Worker:
    """Answers requests from a thread with a second loop."""

    def __init__(self) -> None:
        self._loop = ev.Loop()
        self._nats = Nats(servers=[url], name='worker', loop=self._loop)
        self._nats.subscribe('upper', self._upper)
        self._thread = threading.Thread(target=self._loop.start)

    def _upper(self, subject: str, payload: bytes, reply: str) -> None:
        self._nats.publish(reply, payload.upper())

    def start(self, started: Any) -> None:
        """Start the thread; *started* is called in it when the subscription stands."""
        self._nats.flush(started)
        self._thread.start()

    def stop(self) -> None:
        """End the thread. The only way into another thread's client is call_soon_threadsafe()."""
        self._nats.call_soon_threadsafe(self._nats.disconnect)
        self._thread.join()


first = Nats(servers=[url], name='first')
second = Nats(servers=[url], name='second')
worker = Worker()


def worker_started(err: NatsError | None) -> None:
    # In the worker's thread; first belongs to the main one.
    first.call_soon_threadsafe(first.request, 'upper', b'from the first client', answered, 5000)


def answered(response: Any, err: NatsError | None) -> None:
    print(response.decode() if err is None else err)
    second.request('upper', b'from the second client', answered_too, 5000)


def answered_too(response: Any, err: NatsError | None) -> None:
    print(response.decode() if err is None else err)
    first.disconnect()
    second.disconnect()


worker.start(worker_started)
ev.run()
worker.stop()
