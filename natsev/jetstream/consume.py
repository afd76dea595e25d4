"""Consuming: messages of a consumer that exists, without end (ADR-37)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..errors import NatsError
from ..headers import Headers
from .api import Api
from .consumption import AnyCallback, Consumption, passes
from .message import Message
from .pull import Pull, Window
from .status import Kind


class Consume(Consumption):
    """Messages of a consumer that exists. See ``JetStream.consume``."""

    def __init__(
        self,
        api: Api,
        target: str,
        window: Window,
        on_message: AnyCallback,
        on_end: AnyCallback | None,
    ) -> None:
        self._pull = Pull(api, window, self)
        super().__init__(api, self._pull, on_message, on_end)
        self._target = target
        self._window = window
        self._start()

    def __repr__(self) -> str:
        return f'<Consumption of {self._target}>'

    def _begin(self) -> None:
        self._pull.start(self._target)

    def on_message(
        self, subject: str, payload: bytes, reply: str | None, headers: Headers | None
    ) -> None:
        if self._tries or not self._stood:
            self._standing()
        self._deliver(Message(self._api, subject, payload, reply, headers))

    def on_idle(self) -> None:
        self._pull.wait()

    def _recover(self, kind: Kind, err: NatsError) -> None:
        if kind is Kind.FATAL:
            self._end(err)
        elif kind is Kind.UNPINNED:
            self._pull.unpin()
            self._pull.start(self._target)
        elif kind is Kind.OVER_LIMIT:
            self._look(err, self._fit)
        elif kind is Kind.ABSENT:
            self._look(err, self._found)
        else:
            self._begin_later(err)

    def _look(self, err: NatsError, then: Callable[[dict[str, Any], NatsError], None]) -> None:
        """Is the consumer there? ``then(info, err)``; else end, or try again."""

        def replied(info: Any, failure: NatsError | None) -> None:
            if failure is None:
                then(info, err)
            elif passes(failure):
                self._begin_later(failure)
            else:
                self._end(failure)

        self._ask(f'CONSUMER.INFO.{self._target}', None, replied)

    def _found(self, info: dict[str, Any], err: NatsError) -> None:
        self._begin_later(err)

    def _fit(self, info: dict[str, Any], err: NatsError) -> None:
        """Request no more than the consumer's configuration allows."""
        if self._pull.limit(info.get('config') or {}):
            self._pull.start(self._target)
        else:
            self._end(err)
