"""Request and reply: a service that divides, and what its callers get back."""

from __future__ import annotations

import os

from natsev import Nats, ev
from natsev.server import Server

server = Server()  # started only where NATS_URL does not name one
nats = Nats(servers=[os.environ.get('NATS_URL') or server.start().url])


def divide(subject, payload, reply):
    dividend, divisor = map(int, payload.split())
    if divisor == 0:
        nats.hpublish(reply, {'Error': 'division by zero'})
    else:
        nats.publish(reply, str(dividend / divisor))


def show(question, response, err, headers):
    if err is not None:
        print(f'{question}: {err}')
    elif headers is not None:
        print(f'{question}: refused, {headers["Error"]}')
    else:
        print(f'{question} = {response.decode()}')


def ask(subject, question, then):
    def answered(response, err, headers):
        show(question, response, err, headers)
        then()

    nats.request(subject, question, answered, 2000)


nats.subscribe('math.divide', divide)
ask('math.divide', '84 2', lambda: ask('math.divide', '1 0', last))


def last():
    ask('math.multiply', '6 7', nats.disconnect)


ev.run()
