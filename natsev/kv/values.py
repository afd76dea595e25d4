"""One key at a time: get, put, create, update, delete, purge (ADR-8)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from ..calls import Call, Handle
from ..errors import (
    CodecError,
    MessageNotFoundError,
    NatsError,
    NoResponders,
    WrongSequenceError,
)
from ..headers import Headers
from ..jetstream.publish import Publication
from ..jetstream.stored import direct_error, is_plainly_on, is_status
from ..nats import PendingRequest
from ..wire import NOTHING, SEQUENCE, arity
from .bucket import bucket_error
from .entry import OPERATION, Entry, operation_of
from .management import Management

if TYPE_CHECKING:
    from ..jetstream.types import StoredMessage

AnyCallback = Callable[..., Any]
Refused = Callable[[NatsError], None]
_NO_OPTIONS: Mapping[str, Any] = {}


class Values(Management):
    """The part of ``KV`` that reads and writes single keys."""

    def get(self, key: str, cb: AnyCallback, revision: int | None = None) -> Handle:
        """Get the value of a key.

        Args:
            key: the key.
            cb: called once as ``cb(value, err)``; value is None when there is none, or when it was
                deleted.
            revision: of this revision instead of the last.

        Errors:
            BucketNotFoundError, CodecError.

        Raises:
            TypeError, ValueError: an illegal key or revision.
        """
        if revision is not None:
            call = self.js.nats.call(cb)
            self._get(call, key, revision)
            return call

        get = _Get(cb, arity(cb, 2), False, NOTHING)
        get.values = self
        get.key = key
        get.on = self._place.subject(key)
        get.call = None
        self.js.ask_last(get, self._place.stream, get.on)
        return get

    def _read(
        self, key: str, payload: bytes, headers: Headers | None
    ) -> tuple[Any, NatsError | None]:
        if operation_of(headers) != 'PUT':
            return None, None
        try:
            return self._place.decode(key, payload), None
        except CodecError as err:
            return None, err

    def _not_got(self, get: _Get, payload: Any, err: NatsError | None, headers: Any) -> Call:
        call = self.js.nats.call(get.callback)
        if err is None and self._place.known and is_status(payload, headers):
            err = direct_error(headers)
        if isinstance(err, MessageNotFoundError):
            call.end(None, None)
        elif err is None or isinstance(err, NoResponders):
            with fails(call):
                self._get(call, get.key, None)
        else:
            call.fail(err)
        return call

    def _get(self, call: Call, key: str, revision: int | None) -> None:
        def got(message: StoredMessage | None) -> None:
            if message is None:
                call.end(None, None)
            else:
                call.end(*self._read(key, message['payload'], message['headers']))

        self._look_up(call, key, revision, got)

    def entry(self, key: str, cb: AnyCallback, revision: int | None = None) -> Call:
        """Get the value of a key with its revision and time.

        Args:
            key: the key.
            cb: called once as ``cb(entry, err)`` with an ``Entry``, or None as for ``get``.
            revision: of this revision instead of the last.

        Errors:
            BucketNotFoundError, CodecError.

        Raises:
            TypeError, ValueError: an illegal key or revision.
        """
        call = self.js.nats.call(cb)

        def got(message: StoredMessage | None) -> None:
            if message is None or operation_of(message['headers']) != 'PUT':
                call.end(None, None)
                return
            try:
                call.end(self._entry(key, message), None)
            except CodecError as err:
                call.fail(err)

        self._look_up(call, key, revision, got)
        return call

    def _entry(self, key: str, message: StoredMessage) -> Entry:
        return {
            'bucket': self.bucket,
            'key': key,
            'value': self._place.decode(key, message['payload']),
            'revision': message['seq'],
            'time': message['time'],
            'created': message['time'],
            'delta': 0,
            'operation': 'PUT',
            'raw': message['payload'],
            'error': None,
        }

    def _look_up(
        self,
        call: Call,
        key: str,
        revision: int | None,
        then: Callable[[StoredMessage | None], None],
    ) -> None:
        subject = self._place.subject(key)
        body: dict[str, Any] = {'last_by_subj': subject}
        if revision is not None:
            body = {'seq': _revision(revision)}

        def got(message: StoredMessage | None, err: NatsError | None) -> None:
            if message is not None and message['subject'] == subject:
                then(message)
            elif message is None and not isinstance(err, MessageNotFoundError):
                call.fail(bucket_error(err or NatsError(), self.bucket))
            elif self._place.known:
                then(None)
            else:  # perhaps the bucket is a mirror
                self._info(call, again)

        def again(info: dict[str, Any]) -> None:
            if self._place.subject(key) == subject:
                then(None)
            else:
                self._look_up(call, key, revision, then)

        call.child = self.js.direct_one(self._place.stream, body, got)

    def put(self, key: str, value: Any, cb: AnyCallback | None = None) -> Handle:
        """Set a key to a value.

        Args:
            key: the key.
            value: bytes-like or ``str``; with a codec any value that it takes.
            cb: called once as ``cb(revision, err)``; None: an error goes to ``on_error``.

        Errors:
            BucketNotFoundError, StorageFullError.

        Raises:
            TypeError, ValueError, MaxPayloadError: an illegal key or value.
        """
        return self._write(key, value, cb, _NO_OPTIONS)

    def create(
        self, key: str, value: Any, cb: AnyCallback | None = None, ttl: int | None = None
    ) -> Call:
        """Set a key that has no value, or had one that was deleted.

        Args:
            key: the key.
            value: see ``put``.
            cb: called once as ``cb(revision, err)``; None: an error goes to ``on_error``.
            ttl: ms after which the key is gone (buckets with ``limit_marker_ttl``; ADR-48).

        Errors:
            WrongSequenceError: the key has a value.
            BucketNotFoundError, StorageFullError.

        Raises:
            TypeError, ValueError, MaxPayloadError: an illegal key or value.
        """
        payload = self._place.encode(key, value)
        call = self.js.nats.call(cb if cb is not None else self._unwatched)

        def stored(ack: dict[str, Any]) -> None:
            call.end(ack['seq'], None)

        def attempt(seq: int, refused: Refused | None = None) -> None:
            options = {'expected_last_subject_seq': seq, 'ttl': ttl}
            self._publish(call, key, payload, None, options, stored, refused)

        def refused(err: NatsError) -> None:
            if isinstance(err, WrongSequenceError):
                self._last_mark(call, key, err, attempt)
            else:
                call.fail(bucket_error(err, self.bucket))

        attempt(0, refused)
        return call

    def _last_mark(self, call: Call, key: str, err: NatsError, then: Callable[[int], None]) -> None:
        """Go on with the revision of the mark that *key* is deleted; if there is none, fail."""

        def looked(message: Any, failure: NatsError | None) -> None:
            if isinstance(failure, MessageNotFoundError):
                retry(0)  # purged meanwhile
            elif failure is not None:
                call.fail(bucket_error(failure, self.bucket))
            elif operation_of(message['headers']) == 'PUT':
                call.fail(err)
            else:
                retry(message['seq'])

        def retry(seq: int) -> None:
            with fails(call):
                then(seq)

        # From the leader: a replica may not have the mark yet.
        body = {'last_by_subj': self._place.subject(key)}
        with fails(call):
            call.child = self.js.stream_msg_get(self._place.stream, body, looked)

    def update(
        self,
        key: str,
        value: Any,
        revision: int,
        cb: AnyCallback | None = None,
        ttl: int | None = None,
    ) -> Handle:
        """Set a key whose last revision is *revision*.

        Args:
            key: the key.
            value: see ``put``.
            revision: what is there; 0: nothing, not even a mark of deletion.
            cb: called once as ``cb(revision, err)``; None: an error goes to ``on_error``.
            ttl: see ``create``.

        Errors:
            WrongSequenceError: another revision is there.
            BucketNotFoundError, StorageFullError.

        Raises:
            TypeError, ValueError, MaxPayloadError: an illegal key, value or revision.
        """
        options = {'expected_last_subject_seq': _revision(revision, 0), 'ttl': ttl}
        return self._write(key, value, cb, options)

    def delete(self, key: str, cb: AnyCallback | None = None, revision: int | None = None) -> Call:
        """Mark a key as deleted; earlier revisions stay as far as the bucket keeps them.

        Args:
            key: the key; it need not have a value.
            cb: called once as ``cb(True, err)``; None: an error goes to ``on_error``.
            revision: only if this is its last revision.

        Errors:
            WrongSequenceError: another revision is there.
            BucketNotFoundError, StorageFullError.

        Raises:
            TypeError, ValueError: an illegal key or revision.
        """
        return self._mark(key, {OPERATION: 'DEL'}, cb, revision)

    def purge(
        self,
        key: str,
        cb: AnyCallback | None = None,
        revision: int | None = None,
        ttl: int | None = None,
    ) -> Call:
        """Remove all revisions of a key, and leave a mark of that.

        Args:
            key: the key; it need not have a value.
            cb: called once as ``cb(True, err)``; None: an error goes to ``on_error``.
            revision: only if this is its last revision.
            ttl: ms after which the mark is gone too (buckets with ``limit_marker_ttl``; ADR-48).

        Errors:
            WrongSequenceError: another revision is there.
            BucketNotFoundError, StorageFullError.

        Raises:
            TypeError, ValueError: an illegal key, revision or time.
        """
        return self._mark(key, {OPERATION: 'PURGE'}, cb, revision, rollup='sub', ttl=ttl)

    def _write(
        self, key: str, value: Any, cb: AnyCallback | None, options: Mapping[str, Any]
    ) -> Handle:
        place = self._place
        payload = place.encode(key, value) if place.coded else value
        if cb is None:
            cb = self._unwatched
        put = _Put(cb, arity(cb, 2), False, SEQUENCE)
        put.values = self
        put.key = key
        put.options = options
        put.call = None
        self.js.publish_as(put, place.put_subject(key), payload, options)
        return put

    def _not_put(self, put: _Put, err: NatsError) -> Call:
        call = self.js.nats.call(put.callback)

        def stored(ack: dict[str, Any]) -> None:
            call.end(ack['seq'], None)

        def again() -> None:
            self._publish(call, put.key, put.payload, None, put.options, stored)

        self._not_stored(call, put.key, put.subject, err, again)
        return call

    def _mark(
        self,
        key: str,
        headers: Mapping[str, str],
        cb: AnyCallback | None,
        revision: int | None,
        **options: Any,
    ) -> Call:
        if revision is not None:
            options['expected_last_subject_seq'] = _revision(revision, 0)
        call = self.js.nats.call(cb if cb is not None else self._unwatched)
        self._publish(call, key, b'', headers, options, lambda ack: call.end(True, None))
        return call

    def _unwatched(self, result: Any, err: NatsError | None) -> None:
        if err is not None:
            self.js.nats.report(err)

    def _publish(
        self,
        call: Call,
        key: str,
        payload: Any,
        headers: Mapping[str, str] | None,
        options: Mapping[str, Any],
        then: Callable[[dict[str, Any]], None],
        refused: Refused | None = None,
    ) -> None:
        """Publish a revision of *key*: ``then(ack)``, or ``refused(err)`` (else *call* fails)."""
        subject = self._place.put_subject(key)

        def acked(ack: Any, err: NatsError | None) -> None:
            if err is None:
                then(ack)
            else:
                self._not_stored(call, key, subject, err, again, refused)

        def again() -> None:
            self._publish(call, key, payload, headers, options, then, refused)

        call.child = self.js.publication(subject, payload, headers, options, acked)

    def _not_stored(
        self,
        call: Call,
        key: str,
        subject: str,
        err: NatsError,
        again: Callable[[], None],
        refused: Refused | None = None,
    ) -> None:
        def looked(info: dict[str, Any]) -> None:
            if self._place.put_subject(key) == subject:
                call.fail(err)
            else:
                with fails(call):
                    again()

        if isinstance(err, NoResponders) and not self._place.known:
            # No such bucket, or a mirror, which is written at its origin.
            self._info(call, looked)
        elif refused is not None:
            refused(err)
        else:
            call.fail(bucket_error(err, self.bucket))


class _GoesOn:
    """A request that goes on as a ``call`` where its first reply is not the end."""

    __slots__ = ()

    call: Call | None

    def cancel(self) -> None:
        """Give up. The callback still comes once, with ``Cancelled``."""
        if self.call is not None:
            self.call.cancel()
        else:
            super().cancel()  # type: ignore[misc]


class _Get(_GoesOn, PendingRequest):
    """The question for the last value of a key; ``callback(value, err)`` is called once."""

    __slots__ = ('call', 'key', 'on', 'values')

    values: Values
    key: str
    on: str  # its subject

    def end(self, payload: bytes | None, err: NatsError | None, headers: Headers | None, /) -> None:
        if err is None and is_plainly_on(self.on, headers):
            self.callback(*self.values._read(self.key, payload or b'', headers)[: self.nargs])
        else:
            self.call = self.values._not_got(self, payload, err, headers)


class _Put(_GoesOn, Publication):
    """A value on its way into a bucket; ``callback(revision, err)`` is called once."""

    __slots__ = ('call', 'key', 'options', 'values')

    values: Values
    key: str
    options: Mapping[str, Any]

    def tell(self, ack: dict[str, Any] | None, err: NatsError | None) -> None:
        if err is not None:
            self.call = self.values._not_put(self, err)
        else:
            assert ack is not None
            self.callback(*(ack['seq'], None)[: self.nargs])


@contextmanager
def fails(call: Call) -> Iterator[None]:
    """What is raised inside, in a later step of *call*, ends it."""
    try:
        yield
    except NatsError as err:
        call.fail(err)


def _revision(value: int, least: int = 1) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f'revision must be int, not {type(value).__name__}')
    if value < least:
        raise ValueError(f'revision must be at least {least}, not {value}')
    return value
