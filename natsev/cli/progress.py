"""A bar with rate and time left, on a terminal; elsewhere nothing is drawn."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from time import monotonic
from typing import Any, Protocol

from .values import show_size

# Drawn by us between two turns of the loop, not by a thread of rich's.
_DRAW_SECONDS = 0.1


class Progress(Protocol):
    """What is called with how much is done, and how much there is (None: nobody knows)."""

    def __call__(self, done: int, total: int | None) -> None: ...


@contextmanager
def bar(label: str, *, of_bytes: bool, shown: bool = True) -> Iterator[Progress]:
    """Draw a bar on stderr while the block runs; it is gone afterwards."""
    if not shown or not sys.stderr.isatty():
        yield lambda done, total: None
        return
    from rich import progress
    from rich.console import Console

    columns = [
        progress.TextColumn('{task.description}', markup=False),
        progress.BarColumn(),
        _column(_done_bytes if of_bytes else _done),
        _column(_rate_bytes if of_bytes else _rate),
        progress.TimeRemainingColumn(),
        progress.TextColumn('left'),
    ]
    with progress.Progress(
        *columns, console=Console(stderr=True), auto_refresh=False, transient=True
    ) as drawing:
        task = drawing.add_task(label, total=None)
        drawn = 0.0

        def show(done: int, total: int | None) -> None:
            nonlocal drawn
            drawing.update(task, completed=done, total=total)
            now = monotonic()
            if now - drawn >= _DRAW_SECONDS or done == total:
                drawn = now
                drawing.refresh()

        yield show


def _column(text: Callable[[Any], str]) -> Any:
    from rich import progress
    from rich.text import Text

    class Column(progress.ProgressColumn):
        """Shows what *text* says of a task."""

        def render(self, task: progress.Task) -> Text:
            return Text(text(task))

    return Column()


def _done(task: Any) -> str:
    total = '?' if task.total is None else f'{task.total:,.0f}'
    return f'{task.completed:,.0f}/{total}'


def _done_bytes(task: Any) -> str:
    total = '?' if task.total is None else show_size(task.total)
    return f'{show_size(task.completed)}/{total}'


def _rate(task: Any) -> str:
    return f'{task.finished_speed or task.speed or 0:,.0f}/s'


def _rate_bytes(task: Any) -> str:
    return f'{show_size(task.finished_speed or task.speed or 0)}/s'
