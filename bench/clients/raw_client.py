"""Plain sockets: no client at all, to show what the server and this machine let through.

It writes frames made beforehand and looks at what comes only as far as it must to count it.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Iterator
from functools import partial
from itertools import islice, repeat
from pathlib import Path
from typing import Any

from ..rawsocket import RawSocket, publication
from . import raw_objects
from .measure import WARM_UP, Meter, arguments, payload, report, turns, warm

BATCH = 1000
# Bytes on their way to ourselves: the server hangs up on readers that are 64 MiB behind.
AHEAD = 4 << 20
_DELIVERY = re.compile(rb' (\$JS\.ACK\.\S+) ')


def pub(raw: RawSocket, params: Any, meter: Meter) -> int:
    frames, count = publication(b'bench.pub', bytes(params.size)) * BATCH, 0
    while not meter.look():
        raw.send(frames)
        count += BATCH
    raw.flush()
    return count


def pubsub(raw: RawSocket, params: Any, meter: Meter) -> int:
    """Every message has the same length: bytes are counted."""
    sids = range(10, 10 + params.subscriptions)
    for sid in sids:
        raw.subscribe(b'bench.pub', sid)
    raw.flush()
    frames = publication(b'bench.pub', bytes(params.size)) * BATCH
    length = len(b'MSG bench.pub 10 %d\r\n\r\n' % params.size) + params.size
    sent = received = 0
    buffer = bytearray(1 << 18)
    while not meter.look():
        raw.send(frames)
        sent += BATCH * length * len(sids)
        while sent - received > AHEAD:
            received += raw.socket.recv_into(buffer)
    while received < sent:
        received += raw.socket.recv_into(buffer)
    for sid in sids:
        raw.send(b'UNSUB %d\r\n' % sid)
    raw.flush()
    return int(sent // length)


def reqrep(raw: RawSocket, params: Any, meter: Meter) -> int:
    frame = publication(b'bench.echo', bytes(params.size), raw.inbox + b'.x')
    return _window(raw, meter, params.outstanding, repeat(frame), raw.inbox)


def jspub(raw: RawSocket, params: Any, meter: Meter) -> int:
    frame = publication(b'bench.js.x', bytes(params.size), raw.inbox + b'.x')
    return _window(raw, meter, params.outstanding, repeat(frame), b'"seq":')


def kv_put(raw: RawSocket, params: Any, meter: Meter) -> int:
    make = partial(publication, payload=bytes(params.size), reply=raw.inbox + b'.x')
    keys = (f'$KV.{params.bucket}.{key}'.encode() for key in turns('key', params.keys))
    return _window(raw, meter, params.outstanding, map(make, keys), b'"seq":')


def kv_get(raw: RawSocket, params: Any, meter: Meter) -> int:
    subjects = (f'$KV.{params.bucket}.{key}' for key in turns('key', params.keys))
    return _direct_gets(raw, params, meter, f'KV_{params.bucket}', subjects)


def _direct_gets(
    raw: RawSocket, params: Any, meter: Meter, stream: str, subjects: Iterator[str]
) -> int:
    frames = (
        publication(f'$JS.API.DIRECT.GET.{stream}.{subject}'.encode(), b'', raw.inbox + b'.x')
        for subject in subjects
    )
    return _window(raw, meter, params.outstanding, frames, b'Nats-Sequence:')


def _window(
    raw: RawSocket, meter: Meter, outstanding: int, frames: Iterator[bytes], mark: bytes
) -> int:
    """Keep so many *frames* unanswered; *mark* is once in every answer."""
    going, count, tail = outstanding, 0, b''
    raw.send(b''.join(islice(frames, outstanding)))
    while going:
        data = tail + raw.socket.recv(1 << 18)
        if b'"error"' in data or data == tail:
            raise SystemExit(f'failed: {data!r}')
        answers = data.count(mark)
        tail = data[1 - len(mark) :]
        count += answers
        if meter.look():
            going -= answers
        else:
            raw.send(b''.join(islice(frames, answers)))
    raw.flush()
    return count


def fetch(raw: RawSocket, params: Any, meter: Meter, ahead: int = 1) -> int:
    body = json.dumps({'batch': params.batch, 'expires': 5_000_000_000}).encode()
    subject = f'$JS.API.CONSUMER.MSG.NEXT.{params.stream}.{params.consumer}'.encode()
    more = publication(subject, body, raw.inbox + b'.x')
    raw.send(more * ahead)
    count, asked, tail = 0, ahead * params.batch, b''
    while count < asked:
        data = tail + raw.socket.recv(1 << 18)
        deliveries = _DELIVERY.findall(data)
        if not deliveries:
            tail = data
            continue
        tail = data[data.rfind(deliveries[-1]) + len(deliveries[-1]) :]
        count += len(deliveries)
        acks = b''.join([b'PUB %b 4\r\n+ACK\r\n' % reply for reply in deliveries])
        due = asked - count <= (ahead - 1) * params.batch
        if due and not meter.look() and asked < params.messages:
            acks += more
            asked += params.batch
        raw.send(acks)
    raw.flush()
    return count


def object_put(raw: RawSocket, params: Any, meter: Meter) -> int:
    data = payload(params.bytes)
    meter.start()
    raw_objects.put(raw, params.bucket, 'big', data)
    return len(data)


def object_get(raw: RawSocket, params: Any, meter: Meter) -> int:
    return len(raw_objects.get(raw, params.bucket, 'big'))


def small_put(raw: RawSocket, params: Any, meter: Meter) -> int:
    data = payload(params.size)
    frames = (raw_objects.pair(raw, params.bucket, name, data) for name in turns('new'))
    return _window(raw, meter, params.outstanding, frames, b'"seq":')


def small_get(raw: RawSocket, params: Any, meter: Meter) -> int:
    """The metadata, then the one chunk, whose digest is checked; two round trips."""
    names = turns('object', params.objects)
    stream = f'$JS.API.DIRECT.GET.OBJ_{params.bucket}'
    going, count = params.outstanding, 0

    def ask(subject: str, reply: bytes) -> None:
        raw.publish(f'{stream}.{subject}'.encode(), b'', raw.inbox + reply)

    for _ in range(going):
        ask(raw_objects.meta_subject(params.bucket, next(names)), b'.meta')
    for subject, _, _, _, body in raw.messages():
        if subject.endswith(b'.meta'):
            meta = json.loads(body)
            ask(f'$O.{params.bucket}.C.{meta["nuid"]}', b'.chunk')
            continue
        hashlib.sha256(body).digest()
        count += 1
        if not meter.look():
            ask(raw_objects.meta_subject(params.bucket, next(names)), b'.meta')
            continue
        going -= 1
        if not going:
            break
    return count


def object_info(raw: RawSocket, params: Any, meter: Meter) -> int:
    names = turns('object', params.objects)
    subjects = (raw_objects.meta_subject(params.bucket, name) for name in names)
    return _direct_gets(raw, params, meter, f'OBJ_{params.bucket}', subjects)


def object_list(raw: RawSocket, params: Any, meter: Meter) -> int:
    count = 0
    while not meter.look():
        count += len(raw_objects.names(raw, params.bucket))
    return count


def memory(raw: RawSocket, params: Any, meter: Meter) -> int:
    path = Path(params.path)
    raw_objects.put_file(raw, params.bucket, 'file', path)
    return raw_objects.get_file(raw, params.bucket, 'file', path.with_suffix('.got'))


SCENARIOS: dict[str, Callable[[RawSocket, Any, Meter], int]] = {
    'pub': pub,
    'pubsub': pubsub,
    'fanout': pubsub,
    'reqrep-1': reqrep,
    'reqrep-64': reqrep,
    'jspub': jspub,
    'fetch': fetch,
    'consume': partial(fetch, ahead=2),
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
    scenario, raw = SCENARIOS[name], RawSocket(url)
    if not hasattr(params, 'bytes'):
        scenario(raw, warm(params), Meter(WARM_UP))
    meter = Meter(params.seconds)
    count = scenario(raw, params, meter)
    report(meter.stop(count))


if __name__ == '__main__':
    main()
