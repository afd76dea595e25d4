"""A user's program that type checkers must accept: see ``test_typed.py``."""

from __future__ import annotations

from pathlib import Path

from natsev import KV, Headers, JetStream, Nats, NatsError, ObjectStore, ev
from natsev.jetstream import Message
from natsev.kv import Entry
from natsev.objectstore import Encryption, ObjectMeta, Transfer
from natsev.server import Server

server: Server = Server()
nats = Nats(host='127.0.0.1', reconnect=True)
js = JetStream(nats=nats, timeout=1000)
store = ObjectStore(js=js, bucket='files', codec=Encryption({'a': bytes(32)}))
kv = KV(js=js, bucket='config')


def on_message(subject: str, payload: bytes, reply: str | None, headers: Headers | None) -> None:
    if reply is not None and headers is not None:
        nats.publish(reply, headers['Question'])


def got(size: int | None, err: NatsError | None, meta: ObjectMeta | None) -> None:
    if meta is not None:
        print(meta['name'], meta['size'] + 1, meta['options'].get('max_chunk_size'))


def took(message: Message) -> None:
    print(message.seq, message.payload.decode())
    message.ack()


def told(key: str, value: bytes, op: str, entry: Entry) -> None:
    print(entry['revision'])


sid: int = nats.subscribe('questions', on_message, 'workers')
transfer: Transfer = store.get('x', got, into=Path('x'))
transfer.pause()
done: int = transfer.bytes_done
js.consume('ORDERS', 'worker', took).stop()
kv.watch('>', told).stop()
ev.run()
