"""Work that would hold up the loop, in a thread of its own."""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, TypeVar

from . import native
from .loop import Port

_T = TypeVar('_T')


class Job(Generic[_T]):
    """Runs *work* in a thread and brings its outcome to the loop.

    Args:
        port: the loop.
        work: called in the thread.
        done: called from the loop as ``done(result, exception)``, one of them None, unless
            the job was cancelled before.
    """

    def __init__(
        self,
        port: Port,
        work: Callable[[], _T],
        done: Callable[[_T | None, Exception | None], None],
    ) -> None:
        self._done: Callable[[_T | None, Exception | None], None] | None = done
        self._result: _T | None = None
        self._exception: Exception | None = None
        self._wakeup = port.wakeup(self._finish)
        native.spawn_thread(self._run, work)

    def cancel(self) -> None:
        """Do not call back. The thread ends by itself when the work does."""
        self._done = None
        self._wakeup.close()

    def _run(self, work: Callable[[], _T]) -> None:
        try:
            self._result = work()
        except Exception as exc:
            self._exception = exc
        self._wakeup.send()

    def _finish(self) -> None:
        self._wakeup.close()
        done, self._done = self._done, None
        if done is not None:
            done(self._result, self._exception)
