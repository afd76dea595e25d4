"""natsev, by its public names only.

A scenario is a function of ``(run, done)``; it calls ``done(count)`` when all is confirmed.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import natsev
from natsev import Nats, ev

from .measure import CHUNK, WARM_UP, Meter, arguments, payload, report, turns, warm

# Messages between two flushes, and flushes outstanding: enough that the server never waits.
BATCH = 1000
BATCHES = 16

Done = Callable[[int], None]


class Run:
    """One measurement: the client, what it is to do, and for how long."""

    def __init__(self, nats: Nats, params: Any, seconds: float) -> None:
        self.nats = nats
        self.params = params
        self.meter = Meter(seconds)
        # Whoever keeps the run keeps the timer going.
        self._timer = ev.default_loop().timer(seconds, 0, self.meter.expire)
        self._timer.start()

    def window(self, call: Callable[..., Any], done: Done) -> None:
        """Keep ``params.outstanding`` of *call(callback)* going until time is over."""
        going, count = self.params.outstanding, 0

        def ended(_result: Any, err: Exception | None) -> None:
            nonlocal going, count
            if err is not None:
                raise SystemExit(f'failed: {err}')
            count += 1
            if not self.meter.over:
                call(ended)
                return
            going -= 1
            if not going:
                done(count)

        for _ in range(going):
            call(ended)


def pub(run: Run, done: Done) -> None:
    payload, publish, flush = bytes(run.params.size), run.nats.publish, run.nats.flush
    going, count = BATCHES, 0

    def batch(_err: Exception | None = None) -> None:
        nonlocal going, count
        if run.meter.over:
            going -= 1
            if not going:
                done(count)
            return
        for _ in range(BATCH):
            publish('bench.pub', payload)
        count += BATCH
        flush(batch)

    for _ in range(BATCHES):
        batch()


def pubsub(run: Run, done: Done) -> None:
    nats, subscriptions = run.nats, run.params.subscriptions
    count = 0

    def got(_subject: str, _payload: bytes) -> None:
        nonlocal count
        count += 1

    sids = [nats.subscribe('bench.pub', got) for _ in range(subscriptions)]

    def published(sent: int) -> None:
        # Every PONG came behind the messages published before its PING.
        if count != sent * subscriptions:
            raise SystemExit(f'{count} of {sent * subscriptions} messages came')
        for sid in sids:
            nats.unsubscribe(sid)
        done(count)

    pub(run, published)


def reqrep(run: Run, done: Done) -> None:
    payload = bytes(run.params.size)
    request = partial(run.nats.request, 'bench.echo', payload, timeout=5000)
    run.window(lambda ended: request(ended), done)


def jspub(run: Run, done: Done) -> None:
    js, payload = natsev.JetStream(nats=run.nats), bytes(run.params.size)
    run.window(lambda ended: js.js_publish('bench.js.x', payload, ended), done)


def fetch(run: Run, done: Done) -> None:
    js, params = natsev.JetStream(nats=run.nats), run.params
    options = {'batch': params.batch, 'expires': 5_000_000_000}
    count = 0

    def more() -> None:
        js.fetch(params.stream, params.consumer, options, got)

    def got(messages: list[Any], err: Exception | None) -> None:
        nonlocal count
        if err is not None or not messages:
            raise SystemExit(f'failed: {err}')
        count += len(messages)
        for message in messages[:-1]:
            message.ack()
        if run.meter.over or count >= params.messages:
            messages[-1].ack(lambda _ok, err: done(count))
        else:
            messages[-1].ack()
            more()

    more()


def consume(run: Run, done: Done) -> None:
    js, params = natsev.JetStream(nats=run.nats), run.params
    count = 0

    def got(message: Any) -> None:
        nonlocal count
        count += 1
        if run.meter.over or count >= params.messages:
            consumption.stop()
            message.ack(lambda _ok, err: done(count))
        else:
            message.ack()

    consumption = js.consume(params.stream, params.consumer, got)


def kv_put(run: Run, done: Done) -> None:
    kv = natsev.KV(js=natsev.JetStream(nats=run.nats), bucket=run.params.bucket)
    value, keys = bytes(run.params.size), turns('key', run.params.keys)
    run.window(lambda ended: kv.put(next(keys), value, ended), done)


def kv_get(run: Run, done: Done) -> None:
    kv = natsev.KV(js=natsev.JetStream(nats=run.nats), bucket=run.params.bucket)
    keys = turns('key', run.params.keys)
    run.window(lambda ended: kv.get(next(keys), ended), done)


def object_put(run: Run, done: Done) -> None:
    data = payload(run.params.bytes)
    run.meter.start()
    _store(run).put('big', data, _counted(len(data), done))


def object_get(run: Run, done: Done) -> None:
    def got(data: bytes | None, err: Exception | None) -> None:
        if data is None:
            raise SystemExit(f'failed: {err}')
        done(len(data))

    _store(run).get('big', got)


def small_put(run: Run, done: Done) -> None:
    store, data, names = _store(run), payload(run.params.size), turns('new')
    run.window(lambda ended: store.put(next(names), data, ended), done)


def small_get(run: Run, done: Done) -> None:
    store, names = _store(run), turns('object', run.params.objects)
    run.window(lambda ended: store.get(next(names), ended), done)


def object_info(run: Run, done: Done) -> None:
    store, names = _store(run), turns('object', run.params.objects)
    run.window(lambda ended: store.info(next(names), ended), done)


def object_list(run: Run, done: Done) -> None:
    store, count = _store(run), 0

    def listed(names: list[str], err: Exception | None) -> None:
        nonlocal count
        if err is not None or len(names) != run.params.objects:
            raise SystemExit(f'failed: {err or len(names)}')
        count += len(names)
        if run.meter.over:
            done(count)
        else:
            store.list(listed)

    store.list(listed)


def memory(run: Run, done: Done) -> None:
    store, path = _store(run), Path(run.params.path)

    def put(_info: Any, err: Exception | None) -> None:
        if err is not None:
            raise SystemExit(f'failed: {err}')
        store.get('file', _counted(run.params.bytes, done), into=path.with_suffix('.got'))

    store.put('file', path, put)


def _store(run: Run) -> natsev.ObjectStore:
    js = natsev.JetStream(nats=run.nats)
    return natsev.ObjectStore(js=js, bucket=run.params.bucket, chunk_size=CHUNK)


def _counted(count: int, done: Done) -> Callable[[Any, Exception | None], None]:
    def ended(_result: Any, err: Exception | None) -> None:
        if err is not None:
            raise SystemExit(f'failed: {err}')
        done(count)

    return ended


SCENARIOS: dict[str, Callable[[Run, Done], None]] = {
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


def main() -> None:
    name, url, params = arguments()
    scenario = SCENARIOS[name]

    def warmed_up(_count: int) -> None:
        run = Run(nats, params, params.seconds)

        def measured(count: int) -> None:
            report(run.meter.stop(count))
            nats.disconnect()

        scenario(run, measured)

    def connected() -> None:
        if hasattr(params, 'bytes'):
            warmed_up(0)
        else:
            scenario(Run(nats, warm(params), WARM_UP), warmed_up)

    nats = Nats(servers=[url], on_connect=connected, on_error=_fail, on_exception=_fail)
    ev.run()


def _fail(err: BaseException) -> None:
    raise SystemExit(f'{type(err).__name__}: {err}')


if __name__ == '__main__':
    main()
