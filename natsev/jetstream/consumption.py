"""What goes on until it is stopped: messages of a consumer, one callback each."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol

from ..callbacks import arity
from ..calls import Handle
from ..errors import DisconnectedError, JetStreamError, JetStreamNotEnabledError, NatsError
from ..headers import Headers
from .api import Api, Then
from .asking import Asking
from .later import Later
from .status import Kind

if TYPE_CHECKING:
    from ..nats import Nats

_log = logging.getLogger('natsev')
# Seconds before each try in a row. A consumption that never stood ends after the first three
# (ADR-22), one that has stood goes on for about a minute.
_DELAYS = (0.0, 0.25, 0.25, 0.5, 1.0, 2.0, 4.0) + (5.0,) * 10
_TRIES_AT_FIRST = 3

AnyCallback = Callable[..., Any]


class Source(Protocol):
    """What brings the messages."""

    @property
    def active(self) -> bool:
        """Has it been started, and not stopped?"""

    def stop(self) -> None:
        """Bring no more, until it is started again."""

    def close(self) -> None:
        """Stop for good."""

    def pause(self) -> None:
        """Bring no more for now."""

    def resume(self) -> None:
        """Go on."""


class Consumption:
    """Delivers messages until ``stop()``, or until it cannot go on: ``on_end`` tells the reason.

    It goes on by itself over lost connections, restarts of the server and changes of the leader.

    Attributes:
        ended: it has ended.
    """

    def __init__(
        self, api: Api, source: Source, on_message: AnyCallback, on_end: AnyCallback | None
    ) -> None:
        arity(on_message, 1)
        self._on_end_nargs = arity(on_end, 1) if on_end is not None else 0
        self._api = api
        self._nats: Nats = api.nats
        self._deliver = on_message
        self._on_end = on_end
        self._source = source
        self._step: Handle | None = None  # what is to come before messages can
        self._tries = 0
        self._stood = False
        self._away = False
        self.ended = False

    def stop(self) -> None:
        """End it now; ``on_end(None)`` follows. No message is delivered any more."""
        if not self.ended:
            self._close()
            self._nats.call_soon(self._tell_end, None)

    cancel = stop

    def pause(self) -> None:
        """Have no more messages come for now; those on their way (at most the window) still do."""
        self._source.pause()

    def resume(self) -> None:
        """Have messages come again."""
        self._source.resume()

    def _start(self) -> None:
        if self._nats.is_closed():
            self._nats.call_soon(self._end, DisconnectedError('closed'))
        else:
            self._nats.add_listener(self)
            self._begin()

    # For those who know how to begin.

    def _begin(self) -> None:
        """Set about making messages come: called at first, and again after any trouble."""
        raise NotImplementedError

    def _standing(self) -> None:
        """Messages come (or would): the next trouble is a new one."""
        self._tries = 0
        self._stood = True

    def _begin_later(self, err: NatsError) -> None:
        """Begin again after *err*, at once or, when that fails again and again, later or never."""
        if self.ended:
            return
        most = len(_DELAYS) if self._stood else _TRIES_AT_FIRST
        if self._tries >= most:
            self._end(err)
            return
        delay = _DELAYS[self._tries]
        self._tries += 1
        _log.warning('%r: %s; tried again in %g s', self, err, delay)
        self._next(Later(self._nats.port, delay, self._begin))

    def _ask(self, endpoint: str, body: dict[str, Any] | None, then: Then) -> None:
        """Make a request; ``then(reply, err)`` follows unless something else comes first.

        A lost connection is something else: ``connected`` begins again.
        """

        def replied(reply: Any, err: NatsError | None) -> None:
            if self._step is step:
                self._step = None
                if not isinstance(err, DisconnectedError):
                    then(reply, err)

        step = Asking(self._api, endpoint, body, replied)
        self._next(step)

    def _next(self, step: Handle | None) -> None:
        """Give up the step that was outstanding for this one."""
        if self._step is not None:
            self._step.cancel()
        self._step = step

    def _end(self, err: NatsError | None) -> None:
        if not self.ended:
            self._close()
            self._tell_end(err)

    def _close(self) -> None:
        self.ended = True
        self._deliver = _nothing  # whom it told may lead back here, and hold much
        self._nats.remove_listener(self)
        self._source.close()
        self._next(None)

    def _tell_end(self, err: NatsError | None) -> None:
        on_end, self._on_end = self._on_end, None
        if on_end is not None:
            self._nats.run_callback(on_end, *(err,)[: self._on_end_nargs])
        elif err is not None and not isinstance(err, DisconnectedError):
            self._nats.report(err)  # that the client was closed it tells itself

    # Of the source.

    def on_message(
        self, subject: str, payload: bytes, reply: str | None, headers: Headers | None
    ) -> None:
        raise NotImplementedError

    def on_alive(self) -> None:
        self._standing()

    def on_trouble(self, kind: Kind, err: NatsError) -> None:
        if not self.ended and not self._away and not self._source.active:
            self._recover(kind, err)

    def _recover(self, kind: Kind, err: NatsError) -> None:
        raise NotImplementedError

    # Of the connection.

    def connected(self) -> None:
        # What was begun before the first connection has been written by now: that goes on.
        if self._away and not self.ended:
            self._away = False
            self._tries = 0
            self._begin()

    def disconnected(self, err: NatsError) -> None:
        self._away = True
        self._source.stop()
        self._next(None)

    def closed(self, err: NatsError) -> None:
        self._end(DisconnectedError(str(err)))


def _nothing(_message: Any) -> None:
    """No message is delivered any more."""


def passes(err: NatsError) -> bool:
    """Is *err* of a kind that may pass: the server, the stream's leader or the network is away?"""
    if isinstance(err, JetStreamNotEnabledError):
        return False
    if isinstance(err, JetStreamError):
        return err.code >= 500
    return True
