"""One request, many replies (ADR-47)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol, TypedDict

from .callbacks import arity
from .calls import Call, Core
from .errors import Cancelled, NatsError
from .headers import Headers
from .loop import Port, Timer
from .wire import Request

Sentinel = Callable[[bytes, Headers | None], object]


class Reply(TypedDict):
    """One of the replies to ``request_many``."""

    payload: bytes
    headers: Headers | None


class GatheringClient(Core, Protocol):
    """What gathering needs of the client."""

    @property
    def port(self) -> Port:
        """The loop."""

    def forget(self, request: Request) -> bool:
        """Wait no longer for *request*."""


class Gathering(Request):
    """A request that takes replies until something says that it was the last.

    Args:
        client: the client.
        callback: called once as ``callback(replies, err)``.
        on_message: called as ``on_message(payload, headers)`` for each reply, which then is not
            kept; or None.
        max_msgs: so many replies are all, or None.
        stall: ms after a reply in which another must come, or None.
        timeout: ms in which all must come, or None.
        sentinel: tells of a reply, as ``sentinel(payload, headers)``, that it marks the end; it is
            not a reply then. True: an empty reply does.

    Raises:
        TypeError: a callback takes more arguments than it is given.
    """

    __slots__ = (
        '_call', '_client', '_count', '_max_msgs', '_nargs', '_on_message', '_replies',
        '_sentinel', '_stall', '_stalled', '_timer',
    )  # fmt: skip

    def __init__(
        self,
        client: GatheringClient,
        callback: Callable[..., Any],
        on_message: Callable[..., Any] | None,
        max_msgs: int | None,
        stall: float | None,
        timeout: float | None,
        sentinel: Sentinel | bool,
    ) -> None:
        super().__init__(self._replied, 3, True)
        self._client = client
        self._call = Call(client, callback)
        self._on_message = on_message
        self._nargs = arity(on_message, 2) if on_message is not None else 0
        self._max_msgs = max_msgs
        self._stall = stall
        self._sentinel: Sentinel | None = _is_empty if sentinel is True else sentinel or None
        self._replies: list[Reply] = []
        self._count = 0
        self._stalled: Timer = client.port.timer(self._end)
        self._timer: Timer = client.port.timer(self._end)
        if timeout is not None:
            self._timer.start(timeout / 1000)

    def cancel(self) -> None:
        """Give up. The callback still comes once, with ``Cancelled``."""
        if not self._call.done and self._let_go():
            self._call.fail_later(Cancelled())

    def fail_later(self, err: NatsError) -> None:
        """It could not be sent."""
        self._let_go()
        self._call.fail_later(err)

    def _replied(self, payload: bytes, err: NatsError | None, headers: Headers | None) -> None:
        if err is not None:
            self._let_go()
            self._call.fail(err)
            return
        if self._sentinel is not None and self._marks_the_end(payload, headers):
            self._end()
            return
        self._count += 1
        if self._stall is not None:
            self._stalled.start(self._stall / 1000)
        if self._on_message is None:
            self._replies.append({'payload': payload, 'headers': headers})
        else:
            self._client.run_callback(self._on_message, *(payload, headers)[: self._nargs])
        if self._count == self._max_msgs:
            self._end()

    def _marks_the_end(self, payload: bytes, headers: Headers | None) -> bool:
        assert self._sentinel is not None
        marked = False

        def ask() -> None:
            nonlocal marked
            marked = bool(self._sentinel(payload, headers))  # type: ignore[misc]

        self._client.run_callback(ask)
        return marked

    def _end(self) -> None:
        self._let_go()
        self._call.end(self._replies, None)

    def _let_go(self) -> bool:
        self._timer.close()
        self._stalled.close()
        return self._client.forget(self)


def _is_empty(payload: bytes, headers: Headers | None) -> bool:
    return not payload
