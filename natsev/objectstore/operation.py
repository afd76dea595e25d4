"""One call of the store, as a chain of steps with one end."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol

from ..calls import Call, Handle
from ..errors import NatsError

if TYPE_CHECKING:
    from .bucket import Bucket


class Operation(Protocol):
    """What a step is a part of: a call, or a transfer."""

    # What is outstanding now.
    child: Handle | None
    # ms to wait for each reply; None: somebody else watches the time.
    request_timeout: float | None
    # Changes when everything outstanding is given up: replies to it must not count any more.
    epoch: int

    @property
    def done(self) -> bool:
        """Has it come to its end? Then no step goes on."""

    def fail(self, err: NatsError) -> None:
        """End with *err*."""


class StoreCall(Call):
    """A call whose steps each wait for one reply, for as long as the store's ``timeout``."""

    __slots__ = ('epoch', 'request_timeout')

    def __init__(
        self,
        bucket: Bucket,
        callback: Callable[..., Any] | None,
        passed: int = 2,
        err_at: int = 1,
    ) -> None:
        super().__init__(bucket.nats, callback, passed, err_at)
        self.request_timeout: float | None = bucket.timeout
        self.epoch = 0
