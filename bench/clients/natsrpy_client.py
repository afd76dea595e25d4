"""natsrpy: async-nats, the official client for Rust, with Python around it.

A publish is a future of a thread pool: it is fastest to gather some hundreds.
"""

from __future__ import annotations

import asyncio
import io
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from natsrpy import Message, Nats

from .measure import CHUNK, WARM_UP, Meter, arguments, payload, report, turns, unsupported, warm

BATCH = 500


class Run:
    """One measurement: the client, what it is to do, and for how long."""

    def __init__(self, client: Nats, js: Any, params: Any, seconds: float) -> None:
        self.client = client
        self.js = js
        self.params = params
        self.meter = Meter(seconds)
        asyncio.get_running_loop().call_later(seconds, self.meter.expire)

    async def window(self, call: Callable[[], Awaitable[Any]]) -> int:
        """Keep ``params.outstanding`` of *call()* going until time is over."""
        meter, count = self.meter, 0

        async def work() -> None:
            nonlocal count
            while not meter.over:
                await call()
                count += 1

        await asyncio.gather(*(work() for _ in range(self.params.outstanding)))
        return count

    async def bucket(self) -> Any:
        return await self.js.object_store.get(self.params.bucket)


async def pub(run: Run) -> int:
    publish, data, count = run.client.publish, bytes(run.params.size), 0
    while not run.meter.over:
        await asyncio.gather(*(publish('bench.pub', data) for _ in range(BATCH)))
        count += BATCH
    await run.client.flush()
    return count


async def pubsub(run: Run) -> int:
    count, expected = 0, -1
    complete = asyncio.Event()

    async def got(_message: Message) -> None:
        nonlocal count
        count += 1
        if count == expected:
            complete.set()

    subscriptions = [
        await run.client.subscribe('bench.pub', got).detatch()
        for _ in range(run.params.subscriptions)
    ]
    expected = await pub(run) * run.params.subscriptions
    if count != expected:
        await asyncio.wait_for(complete.wait(), 60)
    for subscription in subscriptions:
        await subscription.unsubscribe()
    return count


async def reqrep(run: Run) -> int:
    request, data = run.client.request, bytes(run.params.size)
    return await run.window(lambda: request('bench.echo', data, timeout=5))


async def jspub(run: Run) -> int:
    publish, data = run.js.publish, bytes(run.params.size)
    return await run.window(lambda: publish('bench.js.x', data, wait=True))


async def fetch(run: Run) -> int:
    params, count = run.params, 0
    consumer = await _consumer(run)
    while True:
        messages = await consumer.fetch(max_messages=params.batch, expires=5)
        count += len(messages)
        over = run.meter.over or count >= params.messages
        acks = [message.ack() for message in messages[:-1]]
        await asyncio.gather(*acks, messages[-1].ack(double=over))
        if over:
            return count


async def consume(run: Run) -> int:
    params, count = run.params, 0
    async with (await _consumer(run)).consume() as messages:
        async for message in messages:
            count += 1
            over = run.meter.over or count >= params.messages
            await message.ack(double=over)
            if over:
                break
    return count


async def _consumer(run: Run) -> Any:
    stream = await run.js.streams.get(run.params.stream)
    return await stream.consumers.get_pull(run.params.consumer)


async def kv_put(run: Run) -> int:
    store = await run.js.kv.get(run.params.bucket)
    value, keys = bytes(run.params.size), turns('key', run.params.keys)
    return await run.window(lambda: store.put(next(keys), value))


async def kv_get(run: Run) -> int:
    store = await run.js.kv.get(run.params.bucket)
    keys = turns('key', run.params.keys)
    return await run.window(lambda: store.get(next(keys)))


async def object_put(run: Run) -> int:
    store, data = await run.bucket(), payload(run.params.bytes)
    run.meter.start()
    await store.put('big', data, chunk_size=CHUNK)
    return len(data)


async def object_get(run: Run) -> int:
    store, into = await run.bucket(), io.BytesIO()
    await store.get('big', into)
    return len(into.getvalue())


async def small_put(run: Run) -> int:
    store, data, names = await run.bucket(), payload(run.params.size), turns('new')
    return await run.window(lambda: store.put(next(names), data, chunk_size=CHUNK))


async def small_get(run: Run) -> int:
    store, names = await run.bucket(), turns('object', run.params.objects)
    return await run.window(lambda: store.get(next(names), io.BytesIO()))


async def object_info(run: Run) -> int:
    store, names = await run.bucket(), turns('object', run.params.objects)
    return await run.window(lambda: store.get_info(next(names)))


async def object_list(run: Run) -> int:
    store, count = await run.bucket(), 0
    while not run.meter.over:
        count += len([info async for info in await store.list()])
    return count


async def memory(run: Run) -> int:
    store, path = await run.bucket(), Path(run.params.path)
    await store.put_file('file', path, chunk_size=CHUNK)
    with path.with_suffix('.got').open('wb') as into:
        await store.get('file', into)
    return int(run.params.bytes)


SCENARIOS: dict[str, Callable[[Run], Awaitable[int]]] = {
    'pub': pub,
    'pubsub': pubsub,
    'fanout': pubsub,
    'reqrep-1': reqrep,
    'reqrep-64': reqrep,
    'jspub': jspub,
    'fetch': fetch,
    'consume': consume,
    'kv-put': kv_put,
    'kv-get': kv_get,
    'object-put': object_put,
    'object-get': object_get,
    'small-put-1': small_put,
    'small-put-64': small_put,
    'small-get-1': small_get,
    'small-get-64': small_get,
    'object-info': object_info,
    'object-list': object_list,
    'memory': memory,
}


async def main() -> None:
    name, url, params = arguments()
    if name not in SCENARIOS:
        unsupported('the client has no such call')
        return
    client = Nats([url])
    await client.startup()
    js = await client.jetstream()
    if not hasattr(params, 'bytes'):
        await SCENARIOS[name](Run(client, js, warm(params), WARM_UP))
    run = Run(client, js, params, params.seconds)
    count = await SCENARIOS[name](run)
    report(run.meter.stop(count))
    await client.shutdown()


if __name__ == '__main__':
    asyncio.run(main())
