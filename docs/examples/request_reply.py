"""Request and reply: a service that divides, and what its callers get back."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

from natsev import Headers, Nats, NatsError, ev
from natsev.server import Server

server = Server()  # started only where NATS_URL does not name one
nats = Nats(servers=[os.environ.get('NATS_URL') or server.start().url])


def divide(subject: str, payload: bytes, reply: str) -> None:
    dividend, divisor = map(int, payload.split())
    if divisor == 0:
        nats.hpublish(reply, {'Error': 'division by zero'})
    else:
        nats.publish(reply, str(dividend / divisor))


def show(question: str, response: Any, err: NatsError | None, headers: Headers | None) -> None:
    if err is not None:
        print(f'{question}: {err}')
    elif headers is not None:
        print(f'{question}: refused, {headers["Error"]}')
    else:
        print(f'{question} = {response.decode()}')


def ask(subject: str, question: str, then: Callable[..., Any]) -> None:
    def answered(response: Any, err: NatsError | None, headers: Headers | None) -> None:
        show(question, response, err, headers)
        then()

    nats.request(subject, question, answered, 2000)


nats.subscribe('math.divide', divide)
ask('math.divide', '84 2', lambda: ask('math.divide', '1 0', last))


def last() -> None:
    ask('math.multiply', '6 7', nats.disconnect)


ev.run()
