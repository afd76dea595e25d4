"""A web server on gevent that streams objects to its callers, a chunk at a time."""

from __future__ import annotations

import os
import urllib.request
from collections.abc import Iterator
from typing import Any

import gevent
from gevent.pywsgi import WSGIServer
from gevent.queue import Queue

from natsev import JetStream, Nats, ObjectStore
from natsev.gevent import wait
from natsev.server import Server

server = Server()  # started only where NATS_URL does not name one
url = os.environ.get('NATS_URL') or server.start().url
nats = Nats(servers=[url], loop=gevent.get_hub().loop)
store = ObjectStore(js=JetStream(nats=nats), bucket='downloads')


def download(environ: Any, start_response: Any) -> Any:
    name = environ['PATH_INFO'].removeprefix('/')
    meta = wait(store.info, name)
    if meta is None:
        start_response('404 Not Found', [])
        return [b'no such file\n']
    start_response('200 OK', [('Content-Length', str(meta['size']))])
    return stream(name)


def stream(name: str) -> Iterator[bytes]:
    """Yield the chunks of an object as its caller takes them."""
    chunks: Queue[bytes | None] = Queue()
    transfer = store.get_stream(name, chunks.put_nowait, lambda meta, err: chunks.put_nowait(None))
    try:
        while (chunk := chunks.get()) is not None:
            transfer.pause()  # while a slow caller reads, the store waits
            yield chunk
            transfer.resume()
    finally:
        transfer.cancel()  # the caller has gone: nothing, where all was read


def fetch(address: Any) -> Any:
    with urllib.request.urlopen(address) as answer:
        return answer.read()


wait(store.create_bucket, {})
data = os.urandom(5_000_000)
wait(store.put, 'random.bin', data)

web = WSGIServer(('127.0.0.1', 0), download, log=None)
web.start()
# urllib blocks, so it is given a thread: the greenlets go on.
address = f'http://127.0.0.1:{web.server_port}/random.bin'
answer = gevent.get_hub().threadpool.apply(fetch, (address,))
print(f'{len(answer)} bytes came', 'unharmed' if answer == data else 'broken')

web.stop()
wait(nats.drain)
