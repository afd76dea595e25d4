"""Objects (ADR-20) on a raw socket, with the same work as a client does: chunks, digest, metadata.

A put keeps 64 chunks unacknowledged (8 MiB) and hashes while they travel; a get asks for the whole
object in batched direct gets of 8 MiB. That is what measured best on loopback.
"""

from __future__ import annotations

import base64
import hashlib
import itertools
import json
import re
import time
from pathlib import Path
from typing import Any

from ..rawsocket import RawSocket, block, publication
from .measure import CHUNK

_WINDOW = 64
_BATCH = 8 * 1024 * 1024
_ids = map(f'raw{time.time_ns():x}{{:06d}}'.format, itertools.count())


def put(raw: RawSocket, bucket: str, name: str, data: bytes) -> None:
    """Put an object from memory."""
    view = memoryview(data)
    put_chunks(raw, bucket, name, (view[at : at + CHUNK] for at in range(0, len(data), CHUNK)))


def put_file(raw: RawSocket, bucket: str, name: str, path: Path) -> None:
    """Put a file."""
    with path.open('rb') as file:
        put_chunks(raw, bucket, name, iter(lambda: file.read(CHUNK), b''))


def put_chunks(raw: RawSocket, bucket: str, name: str, chunks: Any) -> None:
    """Put an object."""
    nuid, digest, count, size = next(_ids), hashlib.sha256(), 0, 0
    subject = f'$O.{bucket}.C.{nuid}'.encode()
    replies = raw.messages()
    for chunk in chunks:
        if count >= _WINDOW:
            _check(next(replies)[4])
        head = b'PUB %b %b.%d %d\r\n' % (subject, raw.inbox, count, len(chunk))
        send_all(raw, [head, chunk, b'\r\n'])
        digest.update(chunk)
        count += 1
        size += len(chunk)
    for _ in range(min(count, _WINDOW)):
        _check(next(replies)[4])
    raw.send(_publication(raw, bucket, name, nuid, size, count, digest.digest()))
    _check(next(replies)[4])


def pair(raw: RawSocket, bucket: str, name: str, data: bytes) -> bytes:
    """Return the two frames that put an object of one chunk; one answer comes.

    The metadata are refused when the chunk was not stored.
    """
    nuid = next(_ids)
    headers = block((b'Nats-Msg-Id', nuid.encode()))
    chunk = publication(f'$O.{bucket}.C.{nuid}'.encode(), data, headers=headers)
    guard = (b'Nats-Expected-Last-Msg-Id', nuid.encode())
    digest = hashlib.sha256(data).digest()
    return chunk + _publication(raw, bucket, name, nuid, len(data), 1, digest, guard)


def _publication(
    raw: RawSocket,
    bucket: str,
    name: str,
    nuid: str,
    size: int,
    chunks: int,
    digest: bytes,
    *headers: tuple[bytes, bytes],
) -> bytes:
    meta = {
        'name': name,
        'options': {'max_chunk_size': CHUNK},
        'bucket': bucket,
        'nuid': nuid,
        'size': size,
        'mtime': '0001-01-01T00:00:00Z',
        'chunks': chunks,
        'digest': _digest(digest),
    }
    body = json.dumps(meta, separators=(',', ':')).encode()
    subject = meta_subject(bucket, name).encode()
    rollup = (b'Nats-Rollup', b'sub')
    return publication(subject, body, raw.inbox + b'.meta', block(rollup, *headers))


def _digest(digest: bytes) -> str:
    return 'SHA-256=' + base64.urlsafe_b64encode(digest).decode()


def meta_subject(bucket: str, name: str) -> str:
    """Return the subject of an object's metadata."""
    return f'$O.{bucket}.M.{base64.urlsafe_b64encode(name.encode()).decode()}'


def names(raw: RawSocket, bucket: str) -> list[str]:
    """List a bucket, by a consumer of the last message of every subject."""
    config = {
        'name': next(_ids),
        'deliver_policy': 'last_per_subject',
        'deliver_subject': raw.inbox.decode() + '.list',
        'filter_subject': f'$O.{bucket}.M.>',
        'ack_policy': 'none',
        'mem_storage': True,
        'num_replicas': 1,
    }
    asked = json.dumps({'stream_name': f'OBJ_{bucket}', 'config': config}).encode()
    endpoint = f'CONSUMER.CREATE.OBJ_{bucket}.{config["name"]}.{config["filter_subject"]}'
    raw.publish(f'$JS.API.{endpoint}'.encode(), asked, raw.inbox + b'.create')
    found: list[str] = []
    pending = None
    for subject, _, _, _, body in raw.messages():
        if subject == raw.inbox + b'.create':
            pending = json.loads(body)['num_pending']
        else:
            found.append(json.loads(body)['name'])
        if len(found) == pending:
            break
    raw.api(f'CONSUMER.DELETE.OBJ_{bucket}.{config["name"]}')
    return found


def get(raw: RawSocket, bucket: str, name: str, into: Any) -> int:
    """Get an object; ``into(chunk)`` takes it. Return its size."""
    answer = raw.request(f'$JS.API.DIRECT.GET.OBJ_{bucket}.{meta_subject(bucket, name)}')
    meta, digest, size = json.loads(answer), hashlib.sha256(), 0
    asked = {'next_by_subj': f'$O.{bucket}.C.{meta["nuid"]}', 'batch': 1 << 20}
    sequence, count = 1, 0
    while count < meta['chunks']:
        body = json.dumps({**asked, 'seq': sequence, 'max_bytes': _BATCH}).encode()
        raw.publish(f'$JS.API.DIRECT.GET.OBJ_{bucket}'.encode(), body, raw.inbox + b'.x')
        for _, _, _, headers, chunk in raw.messages():
            if not chunk:
                sequence = 1 + int(_last_sequence(headers))
                break
            digest.update(chunk)
            into(chunk)
            count += 1
            size += len(chunk)
    if meta['digest'] != _digest(digest.digest()):
        raise RuntimeError('digest mismatch')
    return size


def _last_sequence(headers: bytes) -> bytes:
    found = re.search(rb'Nats-Last-Sequence: (\d+)', headers)
    if found is None:
        raise RuntimeError(f'the batch ended with {headers!r}')
    return found[1]


def send_all(raw: RawSocket, buffers: list[Any]) -> None:
    """Send *buffers* without joining them."""
    total = sum(map(len, buffers))
    sent = raw.socket.sendmsg(buffers)
    if sent < total:
        raw.send(b''.join(buffers)[sent:])


def _check(ack: bytes) -> None:
    if b'"error"' in ack:
        raise RuntimeError(ack.decode())
