"""A bar with rate and time left, on a terminal; elsewhere nothing is drawn."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from time import monotonic
from typing import Any, Protocol

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

    columns: list[Any] = [progress.TextColumn('{task.description}', markup=False)]
    columns += [progress.BarColumn()]
    if of_bytes:
        columns += [progress.DownloadColumn(binary_units=True), progress.TransferSpeedColumn()]
    else:
        columns += [progress.MofNCompleteColumn(), _rate_column()]
    columns += [progress.TimeRemainingColumn()]
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


def _rate_column() -> Any:
    from rich.progress import ProgressColumn, Task
    from rich.text import Text

    class Rate(ProgressColumn):
        """Messages a second."""

        def render(self, task: Task) -> Text:
            speed = task.finished_speed or task.speed
            return Text('?/s' if speed is None else f'{speed:,.0f}/s')

    return Rate()
