"""Storing bytes as they come: the user pushes them, ``write`` tells when that is too fast."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from ..source import Fed

if TYPE_CHECKING:
    from .put import Put

# Bytes written and not yet sent: from the first on the user shall wait, until the second.
_HIGH, _LOW = 4 * 1024 * 1024, 1024 * 1024


class Writer:
    """What ``put_stream`` returns: a put that the user feeds.

    Attributes:
        on_drain: called without arguments when, after ``write`` returned False, more can be
            written; set it, or give it to ``put_stream``.
        transfer: the put itself, with ``bytes_done``, ``pause()``, ``cancel()``.
    """

    def __init__(self, on_drain: Callable[[], Any] | None = None) -> None:
        self.on_drain = on_drain
        self.transfer: Put
        self.source = Fed(self._read)
        self._full = False

    def write(self, data: bytes | bytearray | memoryview | str) -> bool:
        """Store *data* next.

        Returns:
            False when more waits to be sent than is good: wait for ``on_drain``. What was written
            is taken all the same.

        Raises:
            TypeError: *data* is not bytes-like or ``str``.
            ValueError: the writer has ended.
        """
        if self.source.ended:
            raise ValueError('the writer has ended')
        if isinstance(data, str):
            data = data.encode()
        if not isinstance(data, (bytes, bytearray, memoryview)):
            raise TypeError(f'data must be bytes-like or str, not {type(data).__name__}')
        if self.transfer.done:
            return False
        self.source.add(bytes(data))
        self.transfer.wake()
        self._full = self.source.waiting >= _HIGH
        return not self._full

    def end(self) -> None:
        """All has been written: the metadata follows, then the callback."""
        self.source.ended = True
        self.transfer.wake()

    def abort(self) -> None:
        """Store nothing after all: what was sent is purged; the callback gets ``Cancelled``."""
        self.source.ended = True
        self.transfer.cancel()

    cancel = abort

    def _read(self) -> None:
        if self._full and self.source.waiting <= _LOW:
            self._full = False
            if self.on_drain is not None:
                nats = self.transfer._nats
                nats.call_soon(nats.run_callback, self.on_drain)
