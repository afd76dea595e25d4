"""Several messages of a stream as one result: batch after batch, or one by one where need be."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from ..calls import Call
from ..errors import JetStreamError, MessageNotFoundError, NatsError, NoResponders
from ..headers import Headers
from .api import Reply
from .stored import from_direct
from .types import StoredMessage

if TYPE_CHECKING:
    from .direct import BatchEnd, Direct

# Without a limit a server sends up to 64 MiB, and closes the connection if we take it too slowly.
_MOST_BYTES = 8 * 1024 * 1024
_MOST_MESSAGES = 1_000_000
# Single gets on their way at the same time.
_WINDOW = 64


class Collection:
    """Batched direct gets until *call* has all that *body* asks for."""

    def __init__(self, js: Direct, call: Call, stream: str, body: dict[str, Any]) -> None:
        self._js = js
        self._call = call
        self._stream = stream
        self._body = body
        self._multi = 'multi_last' in body
        self._wanted: int = body.get('batch', _MOST_MESSAGES)
        self._one_request = 'max_bytes' in body
        self._found: list[StoredMessage] = []
        self._bytes = 0

    def start(self) -> None:
        """Ask for the next batch."""
        body = {'max_bytes': _MOST_BYTES, **self._body}
        if not self._multi or 'batch' in body:
            body['batch'] = self._wanted - len(self._found)
        self._bytes = 0
        self._call.child = self._js.direct_batch(self._stream, body, self._on_message, self._on_end)

    def _on_message(self, payload: bytes, headers: Headers) -> None:
        message = from_direct(payload, headers)
        if isinstance(message, NatsError):
            if self._call.child is not None:
                self._call.child.cancel()
            self._call.fail(message)
            return
        self._found.append(message)
        self._bytes += len(message['subject']) + len(headers.raw) + len(payload)

    def _on_end(self, end: BatchEnd | None, err: NatsError | None) -> None:
        if self._unable(end, err):
            self._one_by_one()
        elif err is not None or end is None:
            self._call.fail(err or NatsError())
        elif self._is_last(end):
            self._call.end(self._found, None)
        else:
            self._body['seq'] = end.last_seq + 1
            self._body.pop('start_time', None)
            if end.up_to_seq:
                self._body.pop('up_to_time', None)
                self._body['up_to_seq'] = end.up_to_seq
            try:
                self.start()
            except NatsError as error:
                self._call.fail(error)

    def _is_last(self, end: BatchEnd) -> bool:
        if end.status == 404 or self._one_request or len(self._found) >= self._wanted:
            return True
        # 2.11 counts one too few after a cut multi_last: a batch that was cut is not the last.
        return end.pending == 0 and not (self._multi and self._bytes >= _MOST_BYTES)

    def _unable(self, end: BatchEnd | None, err: NatsError | None) -> bool:
        """Does the stream allow no direct gets, or its server know no batches (before 2.11)?"""
        if self._multi and isinstance(err, JetStreamError) and err.code == 408:
            return True
        return isinstance(err, NoResponders) or (end is not None and end.status == 0)

    def _one_by_one(self) -> None:
        if self._multi:
            LastOfEach(self._js, self._call, self._stream, self._body).start()
        else:
            OneByOne(self._js, self._call, self._stream, self._body, self._found).ask()


class OneByOne:
    """The messages that a batch would have brought, each got by itself."""

    def __init__(
        self, js: Direct, call: Call, stream: str, body: dict[str, Any], found: list[StoredMessage]
    ) -> None:
        self._js = js
        self._call = call
        self._stream = stream
        self._found = found
        self._wanted: int = body.get('batch', _MOST_MESSAGES)
        self._bytes_left: float = body.get('max_bytes', float('inf'))
        self._next = {'next_by_subj': '>', **body}
        self._next.pop('batch', None)
        self._next.pop('max_bytes', None)
        for message in found:
            self._take(message)

    def ask(self) -> None:
        """Get the next one, if more are wanted."""
        if self._call.done:
            return
        if len(self._found) >= self._wanted or self._bytes_left <= 0:
            self._call.end(self._found, None)
            return
        try:
            self._call.child = self._js.direct_one(self._stream, self._next, self._got)
        except NatsError as err:
            self._call.fail(err)

    def _got(self, message: StoredMessage | None, err: NatsError | None) -> None:
        if message is not None:
            self._found.append(message)
            self._take(message)
            self.ask()
        elif isinstance(err, MessageNotFoundError):
            self._call.end(self._found, None)
        else:
            self._call.fail(err or NatsError())

    def _take(self, message: StoredMessage) -> None:
        self._bytes_left -= len(message['subject']) + len(message['payload'])
        self._next.pop('start_time', None)
        self._next['seq'] = message['seq'] + 1


class LastOfEach:
    """The messages that a ``multi_last`` would have brought, a few at a time."""

    def __init__(self, js: Direct, call: Call, stream: str, body: dict[str, Any]) -> None:
        self._js = js
        self._call = call
        self._stream = stream
        self._body = body
        self._patterns = [subject for subject in body['multi_last'] if _is_pattern(subject)]
        self._subjects = dict.fromkeys(s for s in body['multi_last'] if not _is_pattern(s))
        self._left: Iterator[str] = iter(())
        self._under_way = 0
        self._found: dict[int, StoredMessage] = {}

    def start(self) -> None:
        """Get them all, or end with what makes that impossible."""
        if {'up_to_seq', 'up_to_time'} & self._body.keys():
            text = 'this server, or this stream, cannot read the past of several subjects'
            self._call.fail(JetStreamError(408, 0, text))
            return
        self._expand()

    def _expand(self) -> None:
        if not self._patterns:
            self._left = iter(self._subjects)
            self._get()
            return
        endpoint = f'STREAM.INFO.{self._stream}'
        body = {'subjects_filter': self._patterns.pop()}
        self._js._api.step(self._call, endpoint, body, self._expanded)

    def _expanded(self, info: Reply) -> None:
        self._subjects.update(dict.fromkeys(info.get('state', {}).get('subjects') or {}))
        self._expand()

    def _get(self) -> None:
        while self._under_way < _WINDOW and not self._call.done:
            subject = next(self._left, None)
            if subject is None:
                break
            self._under_way += 1
            self._js.direct_one(self._stream, {'last_by_subj': subject}, self._got)
        if not self._under_way:
            self._end()

    def _got(self, message: StoredMessage | None, err: NatsError | None) -> None:
        self._under_way -= 1
        if message is not None:
            self._found[message['seq']] = message
        elif not isinstance(err, MessageNotFoundError):
            self._call.fail(err or NatsError())
            return
        self._get()

    def _end(self) -> None:
        messages = [self._found[seq] for seq in sorted(self._found)]
        first, most = self._body.get('seq', 0), self._body.get('batch', _MOST_MESSAGES)
        self._call.end([m for m in messages if m['seq'] >= first][:most], None)


def _is_pattern(subject: str) -> bool:
    return '*' in subject or '>' in subject
