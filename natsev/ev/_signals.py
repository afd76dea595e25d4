"""Ctrl-C while a loop sits in poll.

A Python signal handler runs in the main thread, between two bytecodes: never, while libev waits for
events. Python can be told to write a byte somewhere when a signal arrives; a watcher on the other
end brings the loop back into Python, whose own handler (by default the one that raises
KeyboardInterrupt) then runs as usual. No handler is replaced.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from .. import native


class _Pipe:
    """A pipe, open as long as the process; and what Python wrote to before it (-1: nothing)."""

    def __init__(self) -> None:
        self.reader, self.writer = os.pipe()
        os.set_blocking(self.reader, False)
        os.set_blocking(self.writer, False)
        self.others = -1


_pipe: _Pipe | None = None


def _forget() -> None:
    global _pipe
    _pipe = None


os.register_at_fork(after_in_child=_forget)  # a child must not read its parent's signals


def _opened() -> _Pipe:
    global _pipe
    if _pipe is None:
        _pipe = _Pipe()
    return _pipe


def in_main_thread() -> bool:
    """Tell whether this is the thread that Python's signal handlers run in."""
    return native.thread_id() == threading.main_thread().ident


def fd() -> int:
    """Return the descriptor that becomes readable when a signal arrives during ``awaited()``."""
    return _opened().reader


@contextmanager
def awaited() -> Iterator[None]:
    """Have signals make ``fd()`` readable. For the main thread only."""
    pipe = _opened()
    ours = pipe.writer
    before = signal.set_wakeup_fd(ours, warn_on_full_buffer=False)
    if before != ours:
        pipe.others = before
    try:
        yield
    finally:
        found = signal.set_wakeup_fd(before, warn_on_full_buffer=False)
        if found != ours:  # somebody else took it meanwhile: theirs stays
            signal.set_wakeup_fd(found, warn_on_full_buffer=False)


def drain() -> None:
    """Take what signals wrote, and pass it on to where it would have gone without us."""
    pipe = _opened()
    with suppress(BlockingIOError):
        data = os.read(pipe.reader, 4096)
        if pipe.others != -1:
            with suppress(OSError):
                os.write(pipe.others, data)
