"""Asking again where nobody answers, and still taking the first answer."""

from __future__ import annotations

from typing import Any

from ..calls import Handle
from ..errors import NatsError
from ..loop import Timer
from .api import Api, Then

# Seconds of silence before it is asked again; doubled each time.
_PATIENCE = 1.0


class Asking:
    """A request that may be carried out twice, made again and again until there is an answer.

    While a leader is elected, a request is forgotten: what is asked again is answered soon. But a
    server may just be slow, as in making a consumer for a million subjects: then the first answer
    still comes. It is a ``Handle``.

    Args:
        api: the API.
        endpoint, body: of the request.
        then: called once as ``then(reply, err)``: an answer, or an error once the API's timeout has
            passed; not from inside this call, and not after ``cancel()``.
    """

    def __init__(self, api: Api, endpoint: str, body: dict[str, Any] | None, then: Then) -> None:
        self._api = api
        self._endpoint = endpoint
        self._body = body
        self._then = then
        self._patience = _PATIENCE
        self._left = api.timeout  # ms
        self._requests: list[Handle] = []
        self._over = False
        self._timer: Timer = api.nats.port.timer(self._again)
        self._ask()

    def cancel(self) -> None:
        """Do not wait for an answer any more."""
        self._over = True
        self._timer.close()
        requests, self._requests = self._requests, []
        for request in requests:
            request.cancel()

    def _ask(self) -> None:
        request = self._api.ask(self._endpoint, self._body, self._replied, self._left)
        self._requests.append(request)
        self._timer.start(self._patience)

    def _again(self) -> None:
        self._left -= self._patience * 1000
        self._patience *= 2
        if self._left > 0:
            self._ask()

    def _replied(self, reply: Any, err: NatsError | None) -> None:
        if not self._over:
            self.cancel()
            self._then(reply, err)
