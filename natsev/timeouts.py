"""Timeouts of many requests with one libev timer.

Requests with the same timeout expire in the order in which they were made, so each length of time
has its own queue, and adding one costs an append. What was answered stays in its queue until its
turn comes, or until the queue is mostly of that kind.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Container
from time import monotonic

from .loop import Port

# Queues shorter than this are not worth tidying.
_TIDY_FROM = 1024


class Timeouts:
    """Calls *expire(token)* for each token that is still in *alive* when its time is up."""

    def __init__(
        self, port: Port, alive: Container[str], expire: Callable[[list[str]], None]
    ) -> None:
        self._alive = alive
        self._expire = expire
        self._timer = port.timer(self._fire)
        self._armed = float('inf')
        self._queues: dict[float, deque[tuple[float, str]]] = {}
        self._tidy_at: dict[float, int] = {}

    def add(self, token: str, ms: float) -> None:
        """Let *token* expire after *ms* milliseconds."""
        queue = self._queues.get(ms)
        if queue is None:
            queue = self._queues[ms] = deque()
            self._tidy_at[ms] = _TIDY_FROM
        now = monotonic()
        deadline = now + ms / 1000
        queue.append((deadline, token))
        if deadline < self._armed:
            self._arm(deadline, now)
        if len(queue) > self._tidy_at[ms]:
            self._tidy(ms, queue)

    def close(self) -> None:
        """Forget everything and leave the loop."""
        self._queues.clear()
        self._disarm()

    def _tidy(self, ms: float, queue: deque[tuple[float, str]]) -> None:
        alive = self._alive
        living = deque(entry for entry in queue if entry[1] in alive)
        self._queues[ms] = living
        self._tidy_at[ms] = max(_TIDY_FROM, 2 * len(living))

    def _arm(self, deadline: float, now: float) -> None:
        self._armed = deadline
        self._timer.start(max(0.0, deadline - now))

    def _disarm(self) -> None:
        self._armed = float('inf')
        self._timer.stop()

    def _fire(self) -> None:
        self._disarm()
        now = monotonic()
        expired = []
        for queue in self._queues.values():
            while queue and (queue[0][0] <= now or queue[0][1] not in self._alive):
                _, token = queue.popleft()
                if token in self._alive:
                    expired.append(token)
        for ms in [ms for ms, queue in self._queues.items() if not queue]:
            del self._queues[ms]
        earliest = min((queue[0][0] for queue in self._queues.values()), default=None)
        if earliest is not None:
            self._arm(earliest, now)
        if expired:
            self._expire(expired)
