"""The peer that is natsrpy: async-nats, the official client for Rust, with Python around it."""

from __future__ import annotations

import asyncio
import io
import sys
from typing import Any

from natsrpy import Nats
from natsrpy.exceptions import NatsrpyBaseError
from natsrpy.js import KVConfig, KVOperation, ObjectStoreConfig, StorageType

from .serving import Watches, decode, encode, serve

_CHUNK_SIZE = 128 * 1024
_STORAGES = {'file': StorageType.FILE, 'memory': StorageType.MEMORY}


class Operations:
    """One method for each operation of ``Peer``."""

    def __init__(self, js: Any) -> None:
        self._js = js
        self._watches = Watches()

    async def create_bucket(self, bucket: str, storage: str = 'file', **options: Any) -> None:
        if 'replicas' in options:
            options['num_replicas'] = options.pop('replicas')
        config = ObjectStoreConfig(bucket, storage=_STORAGES[storage], **options)
        await self._js.object_store.create(config)

    async def delete_bucket(self, bucket: str) -> None:
        await self._js.object_store.delete(bucket)

    async def put(
        self,
        bucket: str,
        name: str,
        data: str,
        description: str | None = None,
        headers: dict[str, list[str]] | None = None,
        metadata: dict[str, str] | None = None,
        chunk_size: int | None = None,
    ) -> dict[str, Any]:
        store = await self._js.object_store.get(bucket)
        await store.put(
            name,
            decode(data),
            chunk_size=chunk_size or _CHUNK_SIZE,
            description=description,
            headers=headers,
            metadata=metadata,
        )
        return _plain(await store.get_info(name))

    async def get(self, bucket: str, name: str) -> str | None:
        store = await self._js.object_store.get(bucket)
        if await self.info(bucket, name) is None:
            return None
        into = io.BytesIO()
        await store.get(name, into)
        return encode(into.getvalue())

    async def info(self, bucket: str, name: str) -> dict[str, Any] | None:
        store = await self._js.object_store.get(bucket)
        try:
            info = await store.get_info(name)
        except NatsrpyBaseError as error:
            if 'not found' in str(error):  # it has no class for it
                return None
            raise
        return None if info.deleted else _plain(info)

    async def list(self, bucket: str) -> list[dict[str, Any]]:
        store = await self._js.object_store.get(bucket)
        return [_plain(info) async for info in await store.list()]

    async def delete(self, bucket: str, name: str) -> None:
        store = await self._js.object_store.get(bucket)
        await store.delete(name)

    async def update_meta(self, bucket: str, name: str, **changes: Any) -> None:
        store = await self._js.object_store.get(bucket)
        await store.update_metadata(name, **changes)

    async def link(self, bucket: str, name: str, target: str) -> None:
        store = await self._js.object_store.get(bucket)
        await store.link_object(target, name)

    async def seal(self, bucket: str) -> None:
        store = await self._js.object_store.get(bucket)
        await store.seal()

    async def watch(self, bucket: str) -> int:
        store = await self._js.object_store.get(bucket)
        events = await store.watch(with_history=True)
        return self._watches.add(_plain(info) async for info in events)

    async def kv_create_bucket(
        self, bucket: str, history: int = 1, marker_ttl: int | None = None
    ) -> None:
        await self._js.kv.create(KVConfig(bucket, history=history, limit_markers=marker_ttl))

    async def kv_put(self, bucket: str, key: str, value: str) -> int:
        return await (await self._js.kv.get(bucket)).put(key, decode(value))

    async def kv_create(self, bucket: str, key: str, value: str, ttl: int | None = None) -> int:
        return await (await self._js.kv.get(bucket)).create(key, decode(value), ttl)

    async def kv_update(self, bucket: str, key: str, value: str, revision: int) -> None:
        await (await self._js.kv.get(bucket)).update(key, decode(value), revision)

    async def kv_get(self, bucket: str, key: str, revision: int | None = None) -> str | None:
        entry = await (await self._js.kv.get(bucket)).entry(key, revision)
        if entry is None or entry.operation != KVOperation.Put:
            return None
        return encode(entry.value)

    async def kv_delete(self, bucket: str, key: str, revision: int | None = None) -> None:
        await (await self._js.kv.get(bucket)).delete(key, revision)

    async def kv_purge(self, bucket: str, key: str, ttl: int | None = None) -> None:
        await (await self._js.kv.get(bucket)).purge(key, ttl)

    async def kv_keys(self, bucket: str) -> list[str]:
        store = await self._js.kv.get(bucket)
        return [key async for key in await store.keys()]

    async def kv_history(self, bucket: str, key: str) -> list[dict[str, Any]]:
        store = await self._js.kv.get(bucket)
        return [_plain_entry(entry) async for entry in await store.history(key)]

    async def kv_watch(self, bucket: str, pattern: str) -> int:
        events = await (await self._js.kv.get(bucket)).watch_with_history(pattern)
        return self._watches.add(_plain_entry(entry) async for entry in events)

    async def fetch(self, stream: str, consumer: str, number: int) -> list[dict[str, Any]]:
        durable = await (await self._js.streams.get(stream)).consumers.get_pull(consumer)
        found = []
        while len(found) < number:
            for message in await durable.fetch(number - len(found), expires=10):
                await message.ack(double=True)
                found.append(_plain_message(message))
        return found

    async def count(self, stream: str, subject: str, by: int) -> int:
        return await (await self._js.counters.get(stream)).add(subject, by)

    async def next(self, watch: int, seconds: float) -> Any:
        return await self._watches.next(watch, seconds)

    async def stop(self, watch: int) -> None:
        await self._watches.stop(watch)


def _plain(info: Any) -> dict[str, Any]:
    names = ('name', 'description', 'metadata', 'headers', 'bucket', 'nuid', 'size', 'chunks')
    plain = {name: getattr(info, name) for name in (*names, 'digest', 'deleted')}
    plain['headers'] = {
        name: values if isinstance(values, list) else [values]
        for name, values in info.headers.items()
    }
    plain['options'] = {'max_chunk_size': info.max_chunk_size}
    if info.link is not None:
        plain['options']['link'] = {'bucket': info.link.bucket, 'name': info.link.name}
    return plain


def _plain_entry(entry: Any) -> dict[str, Any]:
    operations = {'Put': 'PUT', 'Delete': 'DEL', 'Purge': 'PURGE'}
    return {
        'key': entry.key,
        'value': encode(entry.value),
        'revision': entry.revision,
        'op': operations[str(entry.operation).rpartition('.')[2]],
    }


def _plain_message(message: Any) -> dict[str, Any]:
    return {
        'subject': message.subject,
        'value': encode(message.payload),
        'seq': message.stream_sequence,
    }


async def main(url: str) -> None:
    client = Nats([url])
    await client.startup()
    operations = Operations(await client.jetstream())
    names = [name for name in dir(operations) if not name.startswith('_')]
    await serve({name: getattr(operations, name) for name in names})
    await client.shutdown()


if __name__ == '__main__':
    asyncio.run(main(sys.argv[1]))
