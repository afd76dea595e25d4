"""Buckets for the tests of the object store, and a look at what lies in them."""

from __future__ import annotations

import json
from base64 import urlsafe_b64encode
from collections.abc import Callable
from time import monotonic
from typing import Any

import pytest

from natsev import JetStream, ObjectStore


class Inside:
    """What the stream of a bucket really holds, whatever the store says."""

    def __init__(self, run: Any, js: JetStream, bucket: str) -> None:
        self.run = run
        self.js = js
        self.bucket = bucket
        self.stream = f'OBJ_{bucket}'

    def call(self, function: Callable[..., Any], *args: Any, **options: Any) -> Any:
        result, err = self.run.call(function, *args, **options)
        assert err is None, err
        return result

    def _subjects(self, group: str) -> dict[str, int]:
        prefix = f'$O.{self.bucket}.{group}.'
        info = self.call(self.js.stream_info, self.stream, {'subjects_filter': f'{prefix}>'})
        subjects = info['state'].get('subjects') or {}
        return {subject.removeprefix(prefix): count for subject, count in subjects.items()}

    def chunks(self) -> dict[str, int]:
        """How many chunks there are, by nuid."""
        return self._subjects('C')

    def await_chunks(self, expected: dict[str, int]) -> None:
        """Look until these are all the chunks: nobody waits for the purge of what was replaced."""
        deadline = monotonic() + 10
        while self.chunks() != expected and monotonic() < deadline:
            pass
        assert self.chunks() == expected

    def await_only(self, info: dict[str, Any]) -> None:
        """Look until there are no chunks but those of *info*."""
        self.await_chunks({info['nuid']: info['chunks']} if info['chunks'] else {})

    def metas(self) -> dict[str, int]:
        """How many metas there are, by the name's token."""
        return self._subjects('M')

    def message(self, name: str) -> dict[str, Any]:
        """The last meta message of *name*, as the stream holds it."""
        return self.call(
            self.js.stream_msg_get, self.stream, {'last_by_subj': self.meta_subject(name)}
        )

    def body(self, name: str) -> dict[str, Any]:
        """The JSON of the last meta of *name*."""
        return json.loads(self.message(name)['payload'])

    def meta_subject(self, name: str) -> str:
        return f'$O.{self.bucket}.M.{urlsafe_b64encode(name.encode()).decode()}'

    def chunk_subject(self, nuid: str) -> str:
        return f'$O.{self.bucket}.C.{nuid}'

    def publish(self, subject: str, payload: bytes, headers: Any = None) -> int:
        """Store a message by hand; return its sequence."""
        return self.call(self.js.js_publish, subject, payload, headers=headers)['seq']

    def write_meta(self, name: str, **fields: Any) -> int:
        """Store a meta by hand, as another client might."""
        body = {'name': name, 'bucket': self.bucket, 'nuid': 'n' + name, **fields}
        payload = json.dumps({k: v for k, v in body.items() if v is not ...}).encode()
        return self.publish(self.meta_subject(name), payload, {'Nats-Rollup': 'sub'})

    def write_chunks(self, nuid: str, *payloads: bytes) -> list[int]:
        """Store chunks by hand; return their sequences."""
        return [self.publish(self.chunk_subject(nuid), payload) for payload in payloads]

    def delete_message(self, seq: int) -> None:
        self.call(self.js.stream_msg_delete, self.stream, seq)

    def chunk_seqs(self, nuid: str) -> list[int]:
        """The sequences of the chunks of *nuid*."""
        found = self.call(
            self.js.direct_get,
            self.stream,
            {'next_by_subj': self.chunk_subject(nuid), 'batch': 10000},
        )
        return [message['seq'] for message in found]


@pytest.fixture
def inside(run: Any, js: JetStream, store: ObjectStore) -> Inside:
    """What the bucket of ``store`` holds."""
    return Inside(run, js, store.bucket)


@pytest.fixture
def make_store(run: Any, connect: Callable[..., Any], unique: str) -> Callable[..., ObjectStore]:
    """``make_store(server, options, **store options)``: a bucket of its own on *server*."""

    def make_store(server: Any, options: Any = None, **store_options: Any) -> ObjectStore:
        client = store_options.pop('client', {})
        js = JetStream(nats=connect(port=server.port, **client))
        store = ObjectStore(js=js, bucket=unique, **store_options)
        _, err = run.call(store.create_bucket, options or {})
        assert err is None, err
        return store

    return make_store


@pytest.fixture
def inside_of(run: Any) -> Callable[[ObjectStore], Inside]:
    """``inside_of(store)``: what its bucket holds."""

    def inside_of(store: ObjectStore) -> Inside:
        return Inside(run, store._bucket.js, store.bucket)

    return inside_of
