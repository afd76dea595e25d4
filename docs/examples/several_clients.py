"""Two clients on one loop, and one that runs on a loop of its own, in a thread."""

from __future__ import annotations

import os
import threading

from natsev import Nats, ev

url = os.environ.get('NATS_URL', 'nats://127.0.0.1:4222')


class Worker:
    """Answers requests from a thread with a second loop."""

    def __init__(self):
        self._loop = ev.Loop()
        self._nats = Nats(servers=[url], name='worker', loop=self._loop)
        self._nats.subscribe('upper', self._upper)
        self._thread = threading.Thread(target=self._loop.start)

    def _upper(self, subject, payload, reply):
        self._nats.publish(reply, payload.upper())

    def start(self, started):
        """Start the thread; *started* is called in it when the subscription stands."""
        self._nats.flush(started)
        self._thread.start()

    def stop(self):
        """End the thread. The only way into another thread's client is call_soon_threadsafe()."""
        self._nats.call_soon_threadsafe(self._nats.disconnect)
        self._thread.join()


first = Nats(servers=[url], name='first')
second = Nats(servers=[url], name='second')
worker = Worker()


def worker_started(err):
    # In the worker's thread; first belongs to the main one.
    first.call_soon_threadsafe(first.request, 'upper', b'from the first client', answered, 5000)


def answered(response, err):
    print(response.decode() if err is None else err)
    second.request('upper', b'from the second client', answered_too, 5000)


def answered_too(response, err):
    print(response.decode() if err is None else err)
    first.disconnect()
    second.disconnect()


worker.start(worker_started)
ev.run()
worker.stop()
