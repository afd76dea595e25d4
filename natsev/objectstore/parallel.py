"""Many steps of one operation, some of them at the same time."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TypeVar

from .operation import Operation

_T = TypeVar('_T')
_WINDOW = 32


def each(
    op: Operation,
    items: Iterable[_T],
    start: Callable[[_T, Callable[[], None]], None],
    then: Callable[[], None],
    window: int = _WINDOW,
) -> None:
    """Do something with each of *items*, then go on with ``then()``.

    Args:
        op: what it is a part of; once that is done, nothing more is begun.
        items: read as they are begun.
        start: called as ``start(item, done)``; must call ``done()`` once, at once or later.
        then: called when all are done.
        window: at most so many at the same time.
    """
    left = iter(items)
    active = 0
    at_end = running = False

    def done() -> None:
        nonlocal active
        active -= 1
        fill()

    def fill() -> None:
        nonlocal active, at_end, running
        if running:
            return  # a step was done at once: the loop below goes on
        running = True
        while not (at_end or op.done) and active < window:
            try:
                item = next(left)
            except StopIteration:
                at_end = True
                break
            active += 1
            start(item, done)
        running = False
        if at_end and not active and not op.done:
            then()

    fill()
