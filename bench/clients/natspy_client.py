"""nats-py, the official client for Python; on uvloop where ``--uvloop`` is given.

Publishing yields to the loop every hundred messages, as its own benchmark does.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import nats
from nats.aio.client import Client
from nats.aio.msg import Msg

from .measure import WARM_UP, Meter, arguments, payload, report, turns, unsupported, warm

BATCH = 100


class Run:
    """One measurement: the client, what it is to do, and for how long."""

    def __init__(self, client: Client, params: Any, seconds: float) -> None:
        self.client = client
        self.js = client.jetstream()
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


async def pub(run: Run) -> int:
    publish, data, count = run.client.publish, bytes(run.params.size), 0
    while not run.meter.over:
        for _ in range(BATCH):
            await publish('bench.pub', data)
        count += BATCH
        await asyncio.sleep(0)
    await run.client.flush()
    return count


async def pubsub(run: Run) -> int:
    count, subscriptions = 0, []

    async def got(_msg: Msg) -> None:
        nonlocal count
        count += 1

    for _ in range(run.params.subscriptions):
        subscription = await run.client.subscribe('bench.pub', cb=got)
        subscriptions.append(subscription)
    sent = await pub(run)
    for subscription in subscriptions:
        await subscription.drain()
    if count != sent * run.params.subscriptions:
        raise SystemExit(f'{count} of {sent * run.params.subscriptions} messages came')
    return count


async def reqrep(run: Run) -> int:
    request, data = run.client.request, bytes(run.params.size)
    return await run.window(lambda: request('bench.echo', data, timeout=5))


async def jspub(run: Run) -> int:
    publish, data = run.js.publish, bytes(run.params.size)
    return await run.window(lambda: publish('bench.js.x', data))


async def fetch(run: Run) -> int:
    params, count = run.params, 0
    subscription = await run.js.pull_subscribe_bind(
        consumer=params.consumer, stream=params.stream, pending_bytes_limit=-1
    )
    while True:
        messages = await subscription.fetch(params.batch, timeout=5)
        count += len(messages)
        for message in messages[:-1]:
            await message.ack()
        if run.meter.over or count >= params.messages:
            await messages[-1].ack_sync(timeout=5)
            return count
        await messages[-1].ack()


async def kv_put(run: Run) -> int:
    store = await run.js.key_value(run.params.bucket)
    value, keys = bytes(run.params.size), turns('key', run.params.keys)
    return await run.window(lambda: store.put(next(keys), value))


async def kv_get(run: Run) -> int:
    store = await run.js.key_value(run.params.bucket)
    keys = turns('key', run.params.keys)
    return await run.window(lambda: store.get(next(keys)))


async def object_put(run: Run) -> int:
    store = await run.js.object_store(run.params.bucket)
    data = payload(run.params.bytes)
    run.meter.start()
    await store.put('big', data)
    return len(data)


async def object_get(run: Run) -> int:
    store = await run.js.object_store(run.params.bucket)
    run.meter.start()
    return len((await store.get('big')).data or b'')


async def small_put(run: Run) -> int:
    store = await run.js.object_store(run.params.bucket)
    data, names = payload(run.params.size), turns('new')
    return await run.window(lambda: store.put(next(names), data))


async def small_get(run: Run) -> int:
    store = await run.js.object_store(run.params.bucket)
    names = turns('object', run.params.objects)
    return await run.window(lambda: store.get(next(names)))


async def object_info(run: Run) -> int:
    store = await run.js.object_store(run.params.bucket)
    names = turns('object', run.params.objects)
    return await run.window(lambda: store.get_info(next(names)))


async def object_list(run: Run) -> int:
    store, count = await run.js.object_store(run.params.bucket), 0
    while not run.meter.over:
        count += len(await store.list(ignore_deletes=True))
    return count


async def memory(run: Run) -> int:
    store = await run.js.object_store(run.params.bucket)
    path = Path(run.params.path)
    with path.open('rb') as source:
        await store.put('file', source)
    with path.with_suffix('.got').open('wb') as into:
        await store.get('file', writeinto=into)
    return int(run.params.bytes)


SCENARIOS: dict[str, Callable[[Run], Awaitable[int]]] = {
    'pub': pub,
    'pubsub': pubsub,
    'fanout': pubsub,
    'reqrep-1': reqrep,
    'reqrep-64': reqrep,
    'jspub': jspub,
    'fetch': fetch,
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
    client = await nats.connect(url)
    if not hasattr(params, 'bytes'):
        await SCENARIOS[name](Run(client, warm(params), WARM_UP))
    run = Run(client, params, params.seconds)
    count = await SCENARIOS[name](run)
    report(run.meter.stop(count))
    await client.close()


if __name__ == '__main__':
    if '--uvloop' in sys.argv:
        import uvloop

        uvloop.run(main())
    else:
        asyncio.run(main())
