"""A wire without a socket: what a test feeds in, and what came out."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from types import ModuleType
from typing import Any

from natsev.errors import ProtocolError
from natsev.wire import YIELD


class Driver:
    """A wire, and lists of all it called.

    Attributes:
        wire: the ``Wire``.
        asked: how often it asked for its output to be fetched.
        raised: what callbacks raised.
    """

    def __init__(self, twin: ModuleType, live: bool = True) -> None:
        self.twin = twin
        self.asked = 0
        self.raised: list[BaseException] = []
        self.wire = twin.Wire(self._ask, self.raised.append)
        self.wire.inbox = '_INBOX.me.'
        self.wire.live = live

    def _ask(self) -> None:
        self.asked += 1

    def request(self, callback: Callable[..., object], nargs: int = 3, multi: bool = False) -> Any:
        return self.twin.Request(callback, nargs, multi)

    def collect(self, *subjects: str, nargs: int = 4) -> list[tuple[Any, ...]]:
        """Subscribe to *subjects*; return the list that their messages will be in."""
        got: list[tuple[Any, ...]] = []
        for subject in subjects:
            self.wire.subscribe(subject, lambda *args: got.append(args), nargs)
        return got

    def receive(self, data: bytes) -> None:
        """Write *data* to the wire's buffer as a socket would."""
        while data:
            room = self.wire.buffer()
            size = min(len(room), len(data))
            room[:size] = data[:size]
            self.wire.received(size)
            data = data[size:]

    def events(self, *chunks: bytes) -> list[Any]:
        """Return the events of *chunks*; the last is ``ProtocolError`` if there is one."""
        events: list[Any] = []
        try:
            for chunk in chunks:
                self.receive(chunk)
                while (event := self.wire.next_event()) is not None:
                    if event is not YIELD:
                        events.append(event)
        except ProtocolError:
            events.append(ProtocolError)
        return events

    def take(self, most: int | None = None) -> bytes:
        """Take all output, or its first *most* bytes, as the kernel would."""
        taken = b''
        while pieces := self.wire.output():
            data = b''.join(bytes(piece) for piece in pieces)
            if most is not None:
                data = data[: most - len(taken)]
            if not data:
                break
            self.wire.sent(len(data))
            taken += data
        return taken


def bytewise(data: bytes) -> Iterable[bytes]:
    return (data[i : i + 1] for i in range(len(data)))
