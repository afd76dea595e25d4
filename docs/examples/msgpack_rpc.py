"""Remote calls with msgpack: any function of a module, called by name, with Python values."""

from __future__ import annotations

import os
from datetime import datetime, timedelta, timezone
from typing import Any

from natsev import Nats, NatsError, ev
from natsev.server import Server

server = Server()  # started only where NATS_URL does not name one
nats = Nats(servers=[os.environ.get('NATS_URL') or server.start().url])
values = nats.with_codec('msgpack')


# What can be called.


def add(*numbers: Any) -> Any:
    return sum(numbers)


def tomorrow(now: Any) -> Any:
    return now + timedelta(days=1)


FUNCTIONS = {function.__name__: function for function in (add, tomorrow)}


def serve(subject: str, arguments: Any, reply: str) -> None:
    try:
        result = {'result': FUNCTIONS[subject.removeprefix('rpc.')](*arguments)}
    except Exception as error:
        result = {'error': f'{type(error).__name__}: {error}'}
    values.publish(reply, result)


# Who calls.


def call(name: str, *arguments: Any, then: Any) -> None:
    def answered(answer: Any, err: NatsError | None) -> None:
        print(f'{name}{arguments} ->', err or answer.get('error') or answer['result'])
        then()

    values.request(f'rpc.{name}', arguments, answered, 2000)


def add_large() -> None:
    call('add', 2**100, 1, then=add_nonsense)


def add_nonsense() -> None:
    call('add', 1, 'one', then=ask_for_tomorrow)


def ask_for_tomorrow() -> None:
    call('tomorrow', datetime(2024, 2, 28, tzinfo=timezone.utc), then=nats.disconnect)


values.subscribe('rpc.*', serve)
add_large()
ev.run()
