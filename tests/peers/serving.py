"""What the Python peers share: requests in on standard input, answers out on standard output."""

from __future__ import annotations

import asyncio
import base64
import json
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import Any


async def serve(operations: Mapping[str, Callable[..., Awaitable[Any]]]) -> None:
    """Answer one JSON line with one JSON line, until standard input ends."""
    while line := await asyncio.to_thread(sys.stdin.readline):
        request = json.loads(line)
        try:
            answer = {'result': await operations[request.pop('op')](**request)}
        except Exception as error:
            answer = {'error': f'{type(error).__name__}: {error}'}
        print(json.dumps(answer), flush=True)


class Watches:
    """Watches in progress: their events are gathered until somebody asks for them."""

    def __init__(self) -> None:
        self._queues: list[asyncio.Queue[Any]] = []
        self._tasks: list[asyncio.Task[None]] = []

    def add(self, events: AsyncIterator[Any]) -> int:
        """Start gathering *events*; return the number to ask by."""
        queue: asyncio.Queue[Any] = asyncio.Queue()

        async def gather() -> None:
            async for event in events:
                queue.put_nowait(event)

        self._queues.append(queue)
        self._tasks.append(asyncio.create_task(gather()))
        return len(self._queues) - 1

    async def next(self, watch: int, seconds: float) -> Any:
        """Return the next event."""
        return await asyncio.wait_for(self._queues[watch].get(), seconds)

    async def stop(self, watch: int) -> None:
        """Gather no more."""
        self._tasks[watch].cancel()


def encode(data: bytes) -> str:
    """Bytes as JSON can carry them."""
    return base64.b64encode(data).decode()


decode = base64.b64decode
