"""A chat: rooms are subjects, and wildcards listen to all of them."""

from __future__ import annotations

import os
from collections.abc import Callable

from natsev import Headers, Nats, NatsError, ev
from natsev.server import Server

server = Server()  # started only where NATS_URL does not name one
url = os.environ.get('NATS_URL') or server.start().url

Then = Callable[..., object]


class Guest:
    """Somebody in the chat, with a connection of their own."""

    def __init__(self, name: str) -> None:
        self.name = name
        # echo=False: the server does not send us what we said ourselves.
        self.nats = Nats(servers=[url], name=name, echo=False)

    def join(self, room: str) -> None:
        self.nats.subscribe(f'chat.{room}', self.hear)

    def say(self, room: str, text: str, then: Then) -> None:
        self.nats.hpublish(f'chat.{room}', {'From': self.name}, text)
        self.nats.flush(then)

    def hear(self, subject: str, payload: bytes, reply: None, headers: Headers) -> None:
        room = subject.removeprefix('chat.')
        print(f'{self.name:5} hears {headers["From"]} in {room}: {payload.decode()}')


ada, bob, log = Guest('Ada'), Guest('Bob'), Guest('log')
ada.join('tea')
bob.join('tea')
log.join('>')

# A flush comes back when the server has seen everything before it, subscriptions too.
SCRIPT: list[Callable[[Then], object]] = [
    lambda then: ada.nats.flush(then),
    lambda then: bob.nats.flush(then),
    lambda then: log.nats.flush(then),
    lambda then: ada.say('tea', 'one lump or two?', then),
    lambda then: bob.say('tea', 'two, please', then),
    lambda then: bob.say('garden', 'anybody here?', then),
    lambda then: ada.nats.drain(then),
    lambda then: bob.nats.drain(then),
    lambda then: log.nats.drain(then),
]


def go_on(err: NatsError | None = None) -> None:
    if SCRIPT:
        SCRIPT.pop(0)(go_on)


go_on()
ev.run()
