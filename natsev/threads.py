"""Who calls from the wrong thread is told, in debug mode.

Only ``call_soon_threadsafe`` may be called from another thread than the loop's. Whether that is
kept costs time to check, so it is done where ``NATSEV_DEBUG=1`` is in the environment, or in
Python's development mode (``python -X dev``).
"""

from __future__ import annotations

import functools
import os
import sys
from collections.abc import Callable
from typing import Any

from . import native

_FROM_ANY_THREAD = frozenset({'call_soon_threadsafe'})


def debugging() -> bool:
    """Is debug mode on?"""
    return bool(os.environ.get('NATSEV_DEBUG')) or sys.flags.dev_mode


class ThreadGuard:
    """Has the public methods of *client* check who calls, from the loop's first turn on."""

    def __init__(self, client: Any) -> None:
        self._loop_thread: int | None = None
        client.port.call_soon(self._remember)
        for name in dir(type(client)):
            method = getattr(client, name)
            if not (name.startswith('_') or name in _FROM_ANY_THREAD) and callable(method):
                setattr(client, name, self._checked(name, method))

    def _remember(self) -> None:
        self._loop_thread = native.thread_id()

    def _checked(self, name: str, method: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(method)
        def checked(*args: Any, **keywords: Any) -> Any:
            if self._loop_thread not in (None, native.thread_id()):
                raise RuntimeError(
                    f'Nats.{name}() was called from another thread than that of the loop: '
                    f'use call_soon_threadsafe()'
                )
            return method(*args, **keywords)

        return checked
