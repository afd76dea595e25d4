"""Objects (ADR-20) on a raw socket, with the same work as a client does: chunks, digest, metadata.

A put keeps a window of bytes unacknowledged and hashes while they travel. A get asks for batches by
direct get, the next ones before the present one ends, since the chunks lie one behind the other;
they are received where they belong. Windows and batches are those that measured best, near and far.
"""

from __future__ import annotations

import base64
import hashlib
import itertools
import json
import math
import re
import time
from pathlib import Path
from typing import Any

from ..rawsocket import RawSocket, block, publication
from .measure import CHUNK

# By the seconds of a round trip: chunks not yet acknowledged; chunks of a batch, batches at once.
_WINDOWS = ((0.002, 64), (0.02, 128), (math.inf, 256))
_BATCHES = ((0.002, 64, 2), (math.inf, 32, 8))
# What lies between two chunks is shorter.
_HEAD = 512
_FRAME = re.compile(rb'HMSG [^\r\n]+ (\d+) (\d+)\r\n')
_SEQUENCE = re.compile(rb'Nats-Sequence: (\d+)')
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
    window = next(most for rtt, most in _WINDOWS if raw.round_trip() < rtt)
    head = f'PUB $O.{bucket}.C.{nuid} {raw.inbox.decode()}.c'.encode()
    acks = _Acks(raw)
    for chunk in chunks:
        if count - acks.count >= window:
            acks.receive()
        send_all(raw, [b'%b %d\r\n' % (head, len(chunk)), chunk, b'\r\n'])
        digest.update(chunk)
        count += 1
        size += len(chunk)
    while acks.count < count:
        acks.receive()
    raw.send(_publication(raw, bucket, name, nuid, size, count, digest.digest()))
    acks.receive()


class _Acks:
    """Counts acknowledgements."""

    def __init__(self, raw: RawSocket) -> None:
        self.count = 0
        self._socket = raw.socket
        self._tail = b''

    def receive(self) -> None:
        """Wait for some."""
        before = self.count
        while self.count == before:
            data = self._tail + self._socket.recv(1 << 16)
            if b'"error"' in data or data == self._tail:
                raise RuntimeError(data.decode())
            self.count += data.count(b'"seq":')
            self._tail = data[-5:]


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
    # Not below the inbox: for a push the server wants interest in the very subject.
    place = raw.inbox + b'-list'
    raw.subscribe(place, 2)
    config = {
        'name': next(_ids),
        'deliver_policy': 'last_per_subject',
        'deliver_subject': place.decode(),
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
    raw.send(b'UNSUB 2\r\n')
    raw.api(f'CONSUMER.DELETE.OBJ_{bucket}.{config["name"]}')
    return found


def get(raw: RawSocket, bucket: str, name: str) -> bytearray:
    """Return an object from its bucket."""
    meta, at, digest = _meta(raw, bucket, name), 0, hashlib.sha256()
    data = bytearray(meta['size'] + _HEAD)
    view, chunks = memoryview(data), _Chunks(raw, bucket, meta)
    while at < meta['size']:
        size = chunks.receive(view[at:])
        digest.update(view[at : at + size])
        at += size
    _check_digest(meta, digest)
    view.release()
    del data[at:]
    return data


def get_file(raw: RawSocket, bucket: str, name: str, path: Path) -> int:
    """Get an object into a file; return its size."""
    meta, size, digest = _meta(raw, bucket, name), 0, hashlib.sha256()
    place, chunks = memoryview(bytearray(CHUNK + _HEAD)), _Chunks(raw, bucket, meta)
    with path.open('wb', buffering=0) as file:
        while size < meta['size']:
            chunk = place[: chunks.receive(place)]
            digest.update(chunk)
            size += file.write(chunk)
    _check_digest(meta, digest)
    return size


def _meta(raw: RawSocket, bucket: str, name: str) -> Any:
    subject = f'$JS.API.DIRECT.GET.OBJ_{bucket}.{meta_subject(bucket, name)}'
    return json.loads(raw.request(subject))


def _check_digest(meta: Any, digest: Any) -> None:
    if meta['digest'] != _digest(digest.digest()):
        raise RuntimeError('digest mismatch')


class _Chunks:
    """The chunks of an object, in order, from batches that are asked for ahead."""

    def __init__(self, raw: RawSocket, bucket: str, meta: Any) -> None:
        self._raw = raw
        self._each, self._at_once = next(row[1:] for row in _BATCHES if raw.round_trip() < row[0])
        self._left = meta['chunks']  # not yet asked for
        self._asked = {'next_by_subj': f'$O.{bucket}.C.{meta["nuid"]}'}
        self._endpoint = f'$JS.API.DIRECT.GET.OBJ_{bucket}'.encode()
        self._over = b''  # what came behind the last chunk
        self._sequence = 0  # of the next chunk; the first one tells
        self._ask(1)

    def _ask(self, sequence: int) -> None:
        count = min(self._each, self._left)
        if count:
            self._left -= count
            self._next = sequence + count
            body = json.dumps({**self._asked, 'seq': sequence, 'batch': count}).encode()
            self._raw.publish(self._endpoint, body, self._raw.inbox + b'.x')

    def receive(self, place: memoryview) -> int:
        """Receive the next chunk into *place*, which has room for a head more; return its size."""
        start, end = self._head(place)
        over, size = self._over, end - start
        have = min(len(over) - start, size)
        place[:have] = over[start : start + have]
        over = over[start + have :]
        while have < size:
            have += self._receive(place[have : size + _HEAD])
        self._over = over + place[size:have]
        return size

    def _head(self, place: memoryview) -> tuple[int, int]:
        """Return where the next chunk begins and ends, counted from what is over."""
        while True:
            frame = _FRAME.search(self._over)
            if frame is None or len(self._over) < frame.end() + int(frame[1]):
                self._over += place[: self._receive(place[:_HEAD])]
                continue
            start, end = (frame.end() + int(size) for size in frame.groups())
            if start < end:
                self._check_sequence(int(_SEQUENCE.search(self._over, frame.end(), start)[1]))
                return start, end
            self._over = self._over[end:]  # the end of a batch
            self._ask(self._next)

    def _check_sequence(self, sequence: int) -> None:
        if not self._sequence:
            self._sequence = sequence
            self._next += sequence - 1
            for _ in range(self._at_once - 1):
                self._ask(self._next)
        if sequence != self._sequence:
            raise RuntimeError(f'sequence {sequence} came, not {self._sequence}')
        self._sequence += 1

    def _receive(self, place: memoryview) -> int:
        size = self._raw.socket.recv_into(place)
        if not size:
            raise ConnectionError('the server hung up')
        return size


def send_all(raw: RawSocket, buffers: list[Any]) -> None:
    """Send *buffers* without joining them."""
    total = sum(map(len, buffers))
    sent = raw.socket.sendmsg(buffers)
    if sent < total:
        raw.send(b''.join(buffers)[sent:])
