"""When the time of requests is up: a heap of (when, token of the request).

What was answered stays in it until its time comes, or until the heap is full: a request costs the
same however many there are.
"""

from __future__ import annotations

import heapq
from collections.abc import Container

_LEAST_CAPACITY = 1024
NEVER = float('inf')


class Deadlines:
    """The deadlines of the requests in a table.

    Args:
        requests: the tokens that wait for a reply.

    Attributes:
        told: the earliest that somebody was told of, or ``NEVER``.
    """

    def __init__(self, requests: Container[str]) -> None:
        self.told = NEVER
        self._requests = requests
        self._heap: list[tuple[float, str]] = []
        self._capacity = _LEAST_CAPACITY

    def push(self, at: float, token: str) -> None:
        """Add the deadline of *token*."""
        if len(self._heap) == self._capacity:
            self._drop_answered()
        heapq.heappush(self._heap, (at, token))

    def _drop_answered(self) -> None:
        self._heap = [entry for entry in self._heap if entry[1] in self._requests]
        heapq.heapify(self._heap)
        if 2 * len(self._heap) >= self._capacity:
            self._capacity *= 2

    def pop(self, now: float) -> str | None:
        """Take out a token whose time is up and that waits; None: there is none now."""
        while self._heap:
            at, token = self._heap[0]
            waits = token in self._requests
            if waits and at > now:
                break
            heapq.heappop(self._heap)
            if waits:
                return token
        self.told = self._heap[0][0] if self._heap else NEVER
        return None

    def clear(self) -> None:
        """Forget all."""
        self.told = NEVER
        self._heap = []
        self._capacity = _LEAST_CAPACITY
