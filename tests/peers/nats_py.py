"""The peer that is nats-py, the official client for Python."""

from __future__ import annotations

import asyncio
import json
import sys
from typing import Any

import nats
from nats.js.api import KeyValueConfig, ObjectMeta, ObjectMetaOptions
from nats.js.errors import KeyNotFoundError, NoKeysError, NotFoundError
from nats.micro import Request, ServiceConfig, add_service
from nats.micro.request import ServiceError
from nats.micro.service import ServiceInfo, ServicePing, ServiceStats

from .serving import Watches, decode, encode, serve


class Operations:
    """One method for each operation of ``Peer``."""

    def __init__(self, client: nats.NATS) -> None:
        self._client = client
        self._js = client.jetstream()
        self._watches = Watches()

    async def create_bucket(self, bucket: str, **options: Any) -> None:
        await self._js.create_object_store(bucket, **options)

    async def delete_bucket(self, bucket: str) -> None:
        await self._js.delete_object_store(bucket)

    async def put(
        self,
        bucket: str,
        name: str,
        data: str,
        description: str | None = None,
        headers: dict[str, list[str]] | None = None,
        chunk_size: int | None = None,
    ) -> dict[str, Any]:
        store = await self._js.object_store(bucket)
        options = ObjectMetaOptions(max_chunk_size=chunk_size) if chunk_size else None
        meta = ObjectMeta(name=name, description=description, headers=headers, options=options)
        return _plain(await store.put(name, decode(data), meta))

    async def get(self, bucket: str, name: str) -> str | None:
        store = await self._js.object_store(bucket)
        try:
            return encode((await store.get(name)).data or b'')
        except NotFoundError:
            return None

    async def info(self, bucket: str, name: str) -> dict[str, Any] | None:
        store = await self._js.object_store(bucket)
        try:
            return _plain(await store.get_info(name))
        except NotFoundError:
            return None

    async def list(self, bucket: str) -> list[dict[str, Any]]:
        store = await self._js.object_store(bucket)
        try:
            return [_plain(info) for info in await store.list(ignore_deletes=True)]
        except NotFoundError:
            return []

    async def delete(self, bucket: str, name: str) -> None:
        store = await self._js.object_store(bucket)
        await store.delete(name)

    async def update_meta(
        self,
        bucket: str,
        name: str,
        description: str | None = None,
        headers: dict[str, list[str]] | None = None,
    ) -> None:
        store = await self._js.object_store(bucket)
        await store.update_meta(name, ObjectMeta(name, description, headers))

    async def seal(self, bucket: str) -> None:
        store = await self._js.object_store(bucket)
        await store.seal()

    async def watch(self, bucket: str) -> int:
        store = await self._js.object_store(bucket)
        watcher = await store.watch()
        return self._watches.add(_plain(info) async for info in watcher if info is not None)

    async def kv_create_bucket(
        self, bucket: str, history: int = 1, marker_ttl: int | None = None
    ) -> None:
        config = KeyValueConfig(bucket, history=history, limit_marker_ttl=marker_ttl)
        await self._js.create_key_value(config)

    async def kv_put(self, bucket: str, key: str, value: str) -> int:
        return await (await self._js.key_value(bucket)).put(key, decode(value))

    async def kv_create(self, bucket: str, key: str, value: str, ttl: int | None = None) -> int:
        store = await self._js.key_value(bucket)
        return await store.create(key, decode(value), msg_ttl=ttl)

    async def kv_update(self, bucket: str, key: str, value: str, revision: int) -> None:
        await (await self._js.key_value(bucket)).update(key, decode(value), revision)

    async def kv_get(self, bucket: str, key: str, revision: int | None = None) -> str | None:
        store = await self._js.key_value(bucket)
        try:
            return encode((await store.get(key, revision)).value or b'')
        except KeyNotFoundError:  # a deleted key too
            return None

    async def kv_delete(self, bucket: str, key: str, revision: int | None = None) -> None:
        await (await self._js.key_value(bucket)).delete(key, revision)

    async def kv_purge(self, bucket: str, key: str, ttl: int | None = None) -> None:
        await (await self._js.key_value(bucket)).purge(key, ttl)

    async def kv_purge_deletes(self, bucket: str) -> None:
        await (await self._js.key_value(bucket)).purge_deletes(0)

    async def kv_keys(self, bucket: str) -> list[str]:
        try:
            return await (await self._js.key_value(bucket)).keys()
        except NoKeysError:
            return []

    async def kv_history(self, bucket: str, key: str) -> list[dict[str, Any]]:
        store = await self._js.key_value(bucket)
        return [_plain_entry(entry) for entry in await store.history(key)]

    async def kv_watch(self, bucket: str, pattern: str) -> int:
        watcher = await (await self._js.key_value(bucket)).watch(pattern)
        return self._watches.add(_plain_entry(entry) async for entry in watcher if entry)

    async def service_start(self, name: str, subject: str) -> None:
        config = ServiceConfig(name=name, version='0.0.1', metadata={'made': 'elsewhere'})
        self._service = await add_service(self._client, config)
        await self._service.add_endpoint(name='double', subject=subject, handler=_double)

    async def service_stop(self) -> None:
        await self._service.stop()

    async def service_find(self, what: str, name: str) -> list[dict[str, Any]]:
        answer = await self._client.request(f'$SRV.{what.upper()}.{name}')
        kind = {'ping': ServicePing, 'info': ServiceInfo, 'stats': ServiceStats}[what]
        return [kind.from_dict(json.loads(answer.data)).to_dict()]

    async def service_call(self, subject: str, payload: str) -> dict[str, Any]:
        answer = await self._client.request(subject, payload.encode())
        headers = answer.headers or {}
        return {
            'payload': answer.data.decode(),
            'code': headers.get('Nats-Service-Error-Code'),
            'description': headers.get('Nats-Service-Error'),
        }

    async def fetch(self, stream: str, consumer: str, number: int) -> list[dict[str, Any]]:
        subscription = await self._js.pull_subscribe_bind(consumer, stream=stream)
        found = []
        while len(found) < number:
            for message in await subscription.fetch(number - len(found), 10):
                await message.ack_sync()
                found.append(_plain_message(message))
        await subscription.unsubscribe()
        return found

    async def next(self, watch: int, seconds: float) -> Any:
        return await self._watches.next(watch, seconds)

    async def stop(self, watch: int) -> None:
        await self._watches.stop(watch)


async def _double(request: Request) -> None:
    try:
        number = int(request.data)
    except ValueError:
        raise ServiceError('400', 'not a number') from None
    await request.respond(str(2 * number).encode())


def _plain(info: Any) -> dict[str, Any]:
    return info.as_dict()


def _plain_entry(entry: Any) -> dict[str, Any]:
    return {
        'key': entry.key,
        'value': encode(entry.value or b''),
        'revision': entry.revision,
        'op': entry.operation or 'PUT',
    }


def _plain_message(message: Any) -> dict[str, Any]:
    return {
        'subject': message.subject,
        'value': encode(message.data),
        'seq': message.metadata.sequence.stream,
    }


async def main(url: str) -> None:
    client = await nats.connect(url)
    operations = Operations(client)
    names = [name for name in dir(operations) if not name.startswith('_')]
    await serve({name: getattr(operations, name) for name in names})
    await client.close()


if __name__ == '__main__':
    asyncio.run(main(sys.argv[1]))
