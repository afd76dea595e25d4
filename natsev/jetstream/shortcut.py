"""The short way for calls that one request nearly always settles."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from ..calls import Call, Handle
from ..errors import Cancelled, NatsError
from ..headers import Headers
from ..wire import arity

if TYPE_CHECKING:
    from ..nats import HeadersOut, Nats, Payload

# read(payload, headers): what to tell the callback; None: that takes more than a look.
Read = Callable[[Any, Headers | None], tuple[Any, NatsError | None] | None]
# otherwise(call, payload, err, headers): goes on with a reply that *read* does not settle.
Otherwise = Callable[[Call, Any, NatsError | None, Headers | None], None]


class Shortcut:
    """A request whose usual reply is the whole result. Any other goes on as a ``Call``.

    Args:
        nats: the client.
        callback: the user's, called once as ``callback(result, err)``.
        read: looks at the reply; must not raise.
        otherwise: goes on where that is not enough. It ends the call.
    """

    __slots__ = ('_callback', '_nargs', '_nats', '_otherwise', '_outstanding', '_read')

    def __init__(
        self, nats: Nats, callback: Callable[..., Any], read: Read, otherwise: Otherwise
    ) -> None:
        self._nargs = arity(callback, 2)
        self._nats = nats
        self._callback = callback
        self._read = read
        self._otherwise = otherwise
        self._outstanding: Handle | None = None

    def send(
        self, subject: str, payload: Payload, timeout: float, headers: HeadersOut | None = None
    ) -> None:
        """Make the request. Raises what is wrong with it."""
        self._outstanding = self._nats.request(subject, payload, self._replied, timeout, headers)

    def cancel(self) -> None:
        """Give up. The callback still comes once, with ``Cancelled``."""
        if self._outstanding is not None:
            self._outstanding.cancel()

    def _replied(self, payload: Any, err: NatsError | None, headers: Headers | None) -> None:
        self._outstanding = None
        if err is None:
            results = self._read(payload, headers)
            if results is not None:
                self._callback(*results[: self._nargs])
                return
        call = self._nats.call(self._callback)
        self._outstanding = call
        if isinstance(err, Cancelled):
            call.fail(err)
        else:
            self._otherwise(call, payload, err, headers)
