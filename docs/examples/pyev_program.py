"""A program on a libev loop, written against pyev's API, with natsev beside its own watchers."""

from __future__ import annotations

import os
import signal
from typing import Any

from natsev import Nats, ev

loop = ev.default_loop()
nats = Nats(servers=[os.environ.get('NATS_URL', 'nats://127.0.0.1:4222')], loop=loop)


def on_beat(timer: Any, revents: int) -> None:
    timer.data += 1
    nats.publish('beats', f'beat {timer.data}')


def on_message(subject: str, payload: bytes) -> None:
    print(payload.decode())
    if payload == b'beat 3':
        stop()


def on_term(watcher: Any, revents: int) -> None:
    print('asked to end')
    stop()


def stop() -> None:
    beats.stop()
    term.stop()
    nats.disconnect()


# pyev stops a watcher that nobody refers to: keep it.
beats = ev.Timer(0.05, 0.05, loop, on_beat, data=0)
term = ev.Signal(signal.SIGTERM, loop, on_term)
beats.start()
term.start()

nats.subscribe('beats', on_message)
ev.run()  # returns when neither the program nor natsev has anything active on the loop
