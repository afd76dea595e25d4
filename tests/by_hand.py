"""A bucket as its stream holds it: messages looked at, and written, without the object store."""

from __future__ import annotations

import hashlib
import json
from base64 import urlsafe_b64encode
from collections.abc import Callable, Iterable, Mapping
from time import monotonic
from typing import Any

from natsev import JetStream
from tests.running import Run

ROLLUP = {'Nats-Rollup': 'sub'}
_SECONDS = 10


def token(name: str) -> str:
    """Return *name* as ADR-20 has it in a meta's subject."""
    return urlsafe_b64encode(name.encode()).decode()


def digest(data: bytes) -> str:
    """Return the digest of *data* as ADR-20 has it in a meta."""
    return 'SHA-256=' + urlsafe_b64encode(hashlib.sha256(data).digest()).decode()


class ByHand:
    """The bucket *bucket*, which is there already."""

    def __init__(self, run: Run, js: JetStream, bucket: str) -> None:
        self._run = run
        self._js = js
        self.bucket = bucket
        self.stream = f'OBJ_{bucket}'

    def publish(self, subject: str, payload: bytes, headers: Any = None) -> int:
        """Store a message; return its sequence."""
        return self._call(self._js.js_publish, subject, payload, headers=headers)['seq']

    def chunks(
        self, nuid: str, payloads: Iterable[bytes], headers: Mapping[str, str] | None = None
    ) -> list[int]:
        """Store chunks; return their sequences."""
        subject = f'$O.{self.bucket}.C.{nuid}'
        return [self.publish(subject, payload, headers) for payload in payloads]

    def meta(
        self,
        name: str,
        *,
        spelling: str | None = None,
        message_headers: Mapping[str, str] | None = ROLLUP,
        **fields: Any,
    ) -> int:
        """Store a meta of *fields*; one that is ``...`` is left out. Return its sequence.

        Args:
            name: the object.
            spelling: the name in the subject, where that is not ADR-20's.
            message_headers: of the message, not of the object.
            **fields: of the meta, beside ``name``, ``bucket``, ``nuid`` and ``mtime``.
        """
        body = {
            'name': name,
            'bucket': self.bucket,
            'nuid': 'nuid-of-' + token(name).rstrip('='),
            'mtime': '0001-01-01T00:00:00Z',
            **fields,
        }
        payload = json.dumps({key: value for key, value in body.items() if value is not ...})
        return self.raw_meta(name, payload.encode(), message_headers, spelling=spelling)

    def raw_meta(
        self,
        name: str,
        payload: bytes,
        headers: Mapping[str, str] | None = ROLLUP,
        *,
        spelling: str | None = None,
    ) -> int:
        """Store any meta message at all."""
        subject = f'$O.{self.bucket}.M.{spelling or token(name)}'
        return self.publish(subject, payload, headers)

    def object(
        self,
        name: str,
        payloads: Iterable[bytes],
        *,
        chunk_headers: Mapping[str, str] | None = None,
        **fields: Any,
    ) -> bytes:
        """Store chunks and a meta that is right, but for *fields*; return the object's bytes."""
        payloads = list(payloads)
        data = b''.join(payloads)
        nuid = 'nuid-of-' + token(name).rstrip('=')
        self.chunks(nuid, payloads, chunk_headers)
        right = {'size': len(data), 'chunks': len(payloads), 'digest': digest(data)}
        self.meta(name, **{'nuid': nuid, **right, **fields})
        return data

    def last(self, name: str, spelling: str | None = None) -> Any:
        """Return the last meta message of *name*."""
        subject = f'$O.{self.bucket}.M.{spelling or token(name)}'
        return self._call(self._js.stream_msg_get, self.stream, {'last_by_subj': subject})

    def body(self, name: str, spelling: str | None = None) -> dict[str, Any]:
        """Return the JSON of the last meta of *name*."""
        return json.loads(self.last(name, spelling)['payload'])

    def delete(self, seq: int) -> None:
        """Delete one message."""
        self._call(self._js.stream_msg_delete, self.stream, seq)

    def purge(self, nuid: str) -> None:
        """Purge the chunks of *nuid*."""
        opts = {'filter': f'$O.{self.bucket}.C.{nuid}'}
        self._call(self._js.stream_purge, self.stream, opts)

    def stored_chunks(self) -> dict[str, int]:
        """How many chunks there are, by nuid."""
        return self._subjects('C')

    def stored_metas(self) -> dict[str, int]:
        """How many metas there are, by the name's spelling."""
        return self._subjects('M')

    def check_no_orphans(self) -> None:
        """Fail where there are chunks that no meta names, or a meta without all its chunks.

        Nobody waits for the purge of what was replaced, so it may be a moment until all is right.
        """
        deadline = monotonic() + _SECONDS
        stored, named = self.stored_chunks(), self._named_chunks()
        while stored != named and monotonic() < deadline:
            stored, named = self.stored_chunks(), self._named_chunks()
        assert stored == named, f'stored: {stored}, named: {named}'

    def _named_chunks(self) -> dict[str, int]:
        named = {}
        for spelling in self.stored_metas():
            body = self.body('', spelling)
            if not body.get('deleted') and body['chunks']:
                named[body['nuid']] = body['chunks']
        return named

    def _subjects(self, group: str) -> dict[str, int]:
        prefix = f'$O.{self.bucket}.{group}.'
        info = self._call(self._js.stream_info, self.stream, {'subjects_filter': f'{prefix}>'})
        subjects = info['state'].get('subjects') or {}
        return {subject.removeprefix(prefix): count for subject, count in subjects.items()}

    def _call(self, function: Callable[..., Any], *args: Any, **options: Any) -> Any:
        result, err = self._run.call(function, *args, **options)
        assert err is None, err
        return result
