"""A bucket of keys and values on a JetStream stream (ADR-8).

Mirrors EV::Nats::KV. https://docs.nats.io/nats-concepts/jetstream/key-value-store
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any, Protocol

from ..calls import Call
from ..codec import Codec, codec_of, decode, encode
from ..errors import (
    BucketExistsError,
    BucketNotFoundError,
    CodecError,
    DisconnectedError,
    MaxPayloadError,
    MessageNotFoundError,
    NatsError,
    StreamExistsError,
    StreamNotFoundError,
    WrongSequenceError,
)
from ..jetstream import Message
from ..jetstream.publish import with_options
from ..jetstream.types import StoredMessage
from ..subjects import check_bucket, check_key, check_key_pattern
from . import config
from .config import BucketStatus
from .entry import Entry, operation
from .watch import Collection, Watch, entry_of

if TYPE_CHECKING:
    from ..jetstream import JetStream

AnyCallback = Callable[..., Any]
Key = str

# Markers younger than this are kept by default: watchers that were away must still see them.
_MARKER_AGE = 30 * 60 * 1000
# Purges on their way at the same time.
_PURGES_AT_ONCE = 64
_BUCKET_PATTERN = '$KV.*.>'


class KeyCodec(Protocol):
    """Turns keys into what the stream's subjects hold, and back (ADR-54)."""

    def encode(self, key: str) -> str:
        """Return the key that is stored for *key*; patterns (``*``, ``>``) come here too."""

    def decode(self, stored: str) -> str:
        """Return the key that *stored* stands for."""


class KV:
    """A bucket of keys and values.

    The bucket need not exist yet: see ``create_bucket``. All methods call back from the loop, and
    return a handle with ``cancel()``.

    Args:
        js: the JetStream.
        bucket: its name: ``A-Z a-z 0-9 _ -``.
        timeout: ms to wait for each answer; default: that of *js*.
        codec: values are Python values: ``'msgpack'``, or an object with ``encode`` and
            ``decode``. Without one values are bytes (``str`` is stored as UTF-8).
        key_codec: an object with ``encode`` and ``decode`` for keys.

    Raises:
        TypeError, ValueError: an argument cannot be.
    """

    def __init__(
        self,
        *,
        js: JetStream,
        bucket: str,
        timeout: float | None = None,
        codec: str | Codec | None = None,
        key_codec: KeyCodec | None = None,
    ) -> None:
        self.bucket = check_bucket(bucket)
        self.js = js if timeout is None else js.with_timeout(timeout)
        self.nats = js.nats
        self.stream = config.stream_of(bucket)
        self._codec = codec_of(codec)
        self._key_codec = key_codec
        # Of a mirror the subjects are those of the bucket that it mirrors.
        self._prefix = f'$KV.{bucket}.'
        self._put_prefix = self._prefix
        self._allow_direct = True
        self._is_open = False

    def __repr__(self) -> str:
        return f'<KV {self.bucket}>'

    # Buckets.

    def create_bucket(self, opts: Mapping[str, Any] | None, cb: AnyCallback) -> Call:
        """Create the bucket. One with the same configuration already: its info.

        Args:
            opts: ``max_history`` (revisions kept per key, 1 to 64; default 1), ``max_bytes``,
                ``max_value_size``, ``max_age`` (ns), ``replicas``, ``storage`` (``'file'`` or
                ``'memory'``), ``description``, ``compression`` (bool), ``metadata``,
                ``placement``, ``republish``, ``limit_marker_ttl`` (ns: markers for what expired,
                server 2.11), ``per_key_ttl`` (bool: keys may have a ttl, server 2.11),
                ``mirror`` (a bucket), ``sources`` (buckets).
            cb: called once as ``cb(info, err)`` with the ``StreamInfo``.

        Errors:
            BucketExistsError: it exists with another configuration.

        Raises:
            TypeError, ValueError: an unknown option, or a value that cannot work.
        """
        return self._configure(self.js.stream_create, opts, cb)

    def update_bucket(self, opts: Mapping[str, Any] | None, cb: AnyCallback) -> Call:
        """Change the options in *opts*; what is not named there stays as it is.

        Args:
            opts: see ``create_bucket``.
            cb: called once as ``cb(info, err)``.

        Errors:
            BucketNotFoundError.
        """
        changes = config.checked(self.bucket, opts)
        call = self.nats.call(cb)

        def found(info: Any, err: NatsError | None) -> None:
            if err is not None:
                call.fail(self.translate(err) or err)
                return
            merged = {**info['config'], **changes}
            call.child = self.js.stream_update(merged, self._ends_with_info(call))

        call.child = self.js.stream_info(self.stream, found)
        return call

    def create_or_update_bucket(self, opts: Mapping[str, Any] | None, cb: AnyCallback) -> Call:
        """Create the bucket with *opts*, or give them all to the one that exists."""
        return self._configure(self.js.stream_create_or_update, opts, cb)

    def _configure(self, request: Callable[..., Call], opts: Any, cb: AnyCallback) -> Call:
        call = self.nats.call(cb)
        call.child = request(config.stream_config(self.bucket, opts), self._ends_with_info(call))
        return call

    def _ends_with_info(self, call: Call) -> AnyCallback:
        def done(info: Any, err: NatsError | None) -> None:
            if isinstance(err, StreamExistsError):
                err = BucketExistsError(err.code, err.err_code, err.description)
            if err is not None:
                call.fail(self.translate(err) or err)
                return
            self._learn(info)
            call.end(info, None)

        return done

    def delete_bucket(self, cb: AnyCallback) -> Call:
        """Delete the bucket and all that is in it.

        Args:
            cb: called once as ``cb(ok, err)``.

        Errors:
            BucketNotFoundError.
        """
        call = self.nats.call(cb)
        self._is_open = False

        def deleted(_reply: Any, err: NatsError | None) -> None:
            if err is not None:
                call.fail(self.translate(err) or err)
            else:
                call.end(True, None)

        call.child = self.js.stream_delete(self.stream, deleted)
        return call

    def status(self, cb: AnyCallback) -> Call:
        """Tell what the bucket is like.

        Args:
            cb: called once as ``cb(status, err)`` with a ``BucketStatus``.

        Errors:
            BucketNotFoundError.
        """
        call = self.nats.call(cb)

        def found(info: Any, err: NatsError | None) -> None:
            if err is not None:
                call.fail(self.translate(err) or err)
            else:
                call.end(config.status_of(info), None)

        call.child = self.js.stream_info(self.stream, found)
        return call

    @staticmethod
    def buckets(js: JetStream, cb: AnyCallback) -> Call:
        """List all buckets.

        Args:
            js: the JetStream.
            cb: called once as ``cb(statuses, err)`` with a list of ``BucketStatus``.
        """
        call = js.nats.call(cb)

        def found(infos: Any, err: NatsError | None) -> None:
            if err is not None:
                call.fail(err)
                return
            statuses = [
                config.status_of(info)
                for info in infos
                if info['config']['name'].startswith(config.PREFIX)
            ]
            call.end(statuses, None)

        # Mirrors have no subjects, so the server cannot be asked for the buckets only.
        call.child = js.stream_list(found)
        return call

    # One key.

    def get(self, key: Key, cb: AnyCallback, revision: int | None = None) -> Call:
        """Read the value of a key.

        Args:
            key: the key.
            cb: called once as ``cb(value, err)``; value is None when there is none, also when it
                was deleted.
            revision: this one, not the last.

        Errors:
            CodecError: the value is not what the bucket's codec reads.
            BucketNotFoundError.
        """
        call = self.nats.call(cb)
        self._read(call, key, revision, lambda entry: call.end(entry and entry['value'], None))
        return call

    def entry(self, key: Key, cb: AnyCallback, revision: int | None = None) -> Call:
        """Read a key with its revision and time. As ``get``, but the result is an ``Entry``."""
        call = self.nats.call(cb)
        self._read(call, key, revision, lambda entry: call.end(entry, None))
        return call

    def _read(
        self, call: Call, key: Key, revision: int | None, then: Callable[[Entry | None], None]
    ) -> None:
        stored_key = self._stored(key)
        if revision is not None:
            _check_revision(revision, 1)

        def found(message: StoredMessage | None) -> None:
            if message is None or message['subject'] != self._prefix + stored_key:
                then(None)
                return
            op = operation(message['headers'])
            if op != 'PUT':
                then(None)
                return
            try:
                value = self.decoded(key, message['payload'])
            except CodecError as err:
                call.fail(err)
                return
            then(
                {
                    'bucket': self.bucket,
                    'key': key,
                    'value': value,
                    'revision': message['seq'],
                    'created': message['time'],
                    'delta': 0,
                    'op': 'PUT',
                }
            )

        def opened() -> None:
            if revision is not None:
                self._message(call, {'seq': revision}, found)
            else:
                self._message(call, {'last_by_subj': self._prefix + stored_key}, found)

        self.open(call, opened)

    def _message(
        self,
        call: Call,
        body: dict[str, Any],
        then: Callable[[StoredMessage | None], None],
        leader: bool = False,
    ) -> None:
        def replied(message: Any, err: NatsError | None) -> None:
            if call.done:
                return
            if isinstance(err, MessageNotFoundError):
                then(None)
            elif err is not None:
                call.fail(self.translate(err) or err)
            else:
                then(message)

        if leader or not self._allow_direct:
            call.child = self.js.stream_msg_get(self.stream, body, replied)
        else:
            call.child = self.js.direct_one(self.stream, body, replied)

    def put(self, key: Key, value: Any, cb: AnyCallback, ttl: int | None = None) -> Call:
        """Set the value of a key.

        Args:
            key: the key: ``A-Z a-z 0-9 - / _ = .``
            value: bytes-like or ``str``; with a codec, what the codec takes.
            cb: called once as ``cb(revision, err)``.
            ttl: ms after which the server deletes it (a bucket with ``per_key_ttl`` or
                ``limit_marker_ttl``, which is the least that the server takes).

        Errors:
            StorageFullError, BucketNotFoundError, RequestTimeout, DisconnectedError.

        Raises:
            TypeError, ValueError, MaxPayloadError, CodecError: an illegal key or value.
        """
        call = self.nats.call(cb)
        self._publish(call, key, self._encoded(key, value), {'ttl': ttl})
        return call

    def create(self, key: Key, value: Any, cb: AnyCallback, ttl: int | None = None) -> Call:
        """Set the value of a key that has none. Arguments as for ``put``.

        Errors:
            WrongSequenceError: it has one.
        """
        call = self.nats.call(cb)
        payload = self._encoded(key, value)
        stored_key = self._stored(key)

        def failed(err: NatsError) -> None:
            if isinstance(err, WrongSequenceError):
                body = {'last_by_subj': self._prefix + stored_key}
                self._message(call, body, lambda message: look(message, err), leader=True)
            else:
                call.fail(err)

        def look(message: StoredMessage | None, err: NatsError) -> None:
            if message is not None and operation(message['headers']) != 'PUT':
                # Only a marker is there: it may be replaced, unless somebody else was faster.
                options = {'ttl': ttl, 'expected_last_subject_seq': message['seq']}
                self._publish(call, key, payload, options)
            else:
                call.fail(err)

        self._publish(call, key, payload, {'ttl': ttl, 'expected_last_subject_seq': 0}, failed)
        return call

    def update(
        self, key: Key, value: Any, revision: int, cb: AnyCallback, ttl: int | None = None
    ) -> Call:
        """Set the value of a key whose last revision is *revision*. Arguments as for ``put``.

        Errors:
            WrongSequenceError: it has another one.
        """
        _check_revision(revision, 0)
        call = self.nats.call(cb)
        options = {'ttl': ttl, 'expected_last_subject_seq': revision}
        self._publish(call, key, self._encoded(key, value), options)
        return call

    def delete(self, key: Key, cb: AnyCallback | None = None, revision: int | None = None) -> Call:
        """Delete a key: a marker becomes its last revision; older ones stay in its history.

        Args:
            key: the key; it need not exist.
            cb: called once as ``cb(ok, err)``.
            revision: only if this is its last one.

        Errors:
            WrongSequenceError.
        """
        return self._mark(key, cb, revision, [('KV-Operation', 'DEL')], {})

    def purge(
        self,
        key: Key,
        cb: AnyCallback | None = None,
        revision: int | None = None,
        ttl: int | None = None,
    ) -> Call:
        """Delete a key with all its history; only a marker stays.

        Args:
            key: the key; it need not exist.
            cb: called once as ``cb(ok, err)``.
            revision: only if this is its last one.
            ttl: ms after which the server deletes the marker too.

        Errors:
            WrongSequenceError.
        """
        headers = [('KV-Operation', 'PURGE'), ('Nats-Rollup', 'sub')]
        return self._mark(key, cb, revision, headers, {'ttl': ttl})

    def _mark(
        self,
        key: Key,
        cb: AnyCallback | None,
        revision: int | None,
        headers: list[tuple[str, str]],
        options: dict[str, Any],
    ) -> Call:
        if revision is not None:
            _check_revision(revision, 0)
        call = self.nats.call(cb if cb is not None else self._unwatched)
        options = {**options, 'expected_last_subject_seq': revision}
        self._publish(call, key, b'', options, headers=headers, result=lambda ack: True)
        return call

    def _unwatched(self, _ok: Any, err: NatsError | None) -> None:
        if err is not None:
            self.nats.report(err)

    def _publish(
        self,
        call: Call,
        key: Key,
        payload: bytes,
        options: dict[str, Any],
        failed: Callable[[NatsError], None] | None = None,
        headers: list[tuple[str, str]] | None = None,
        result: Callable[[Any], Any] = lambda ack: ack['seq'],
    ) -> None:
        stored_key = self._stored(key)
        block = with_options(headers, options)
        if len(payload) > self.nats.max_payload():
            raise MaxPayloadError(len(payload), self.nats.max_payload())

        def published(ack: Any, err: NatsError | None) -> None:
            if call.done:
                return
            if err is None:
                call.end(result(ack), None)
            elif failed is not None:
                failed(err)
            else:
                call.fail(self.translate(err) or err)

        def opened() -> None:
            try:
                call.child = self.js.js_publish(
                    self._put_prefix + stored_key, payload, published, headers=block
                )
            except NatsError as err:  # larger than the server reached meanwhile takes
                call.fail_later(err)

        self.open(call, opened)

    # Many keys.

    def keys(self, cb: AnyCallback, filters: str | Iterable[str] | None = None) -> Call:
        """List the keys that have a value.

        Args:
            cb: called once as ``cb(keys, err)``; keys are in the order of their last change.
            filters: only keys that match this pattern, or one of these.
        """
        patterns = self._patterns(filters)
        call = self.nats.call(cb)
        found: list[str] = []

        def take(message: Message) -> None:
            key = self.key(message.subject)
            if key is not None and operation(message.headers) == 'PUT':
                found.append(key)

        options = {'deliver_policy': 'last_per_subject', 'headers_only': True}
        Collection(self, call, patterns, take, lambda: found, options)
        return call

    def history(self, key: Key, cb: AnyCallback) -> Call:
        """Read all revisions of a key that are kept, markers included.

        Args:
            key: the key.
            cb: called once as ``cb(entries, err)`` with a list of ``Entry``, the oldest first;
                empty when there are none.

        Errors:
            CodecError: a value is not what the bucket's codec reads.
        """
        patterns = [self._stored(key)]
        call = self.nats.call(cb)
        found: list[Entry] = []

        def take(message: Message) -> None:
            entry = entry_of(self, message, operation(message.headers))
            if entry is not None:
                found.append(entry)

        Collection(self, call, patterns, take, lambda: found, {'deliver_policy': 'all'})
        return call

    def watch(
        self,
        pattern: str | Iterable[str],
        cb: AnyCallback,
        *,
        history: bool = False,
        updates_only: bool = False,
        ignore_deletes: bool = False,
        meta_only: bool = False,
        since: int | None = None,
        on_end: AnyCallback | None = None,
    ) -> Watch:
        """Watch keys: what they are now, then every change.

        It goes on by itself over lost connections and restarts of the server.

        Args:
            pattern: a key, or a pattern with ``*`` and ``>``; or several.
            cb: called as ``cb(key, value, op, entry)`` for each change: op is ``'PUT'``, ``'DEL'``
                or ``'PURGE'``, and entry has the revision and time. Called once as
                ``cb(None, None, None, None)`` when the present state has been delivered.
            history: begin with all revisions that are kept, not with the last ones.
            updates_only: no present state, only changes from now on.
            ignore_deletes: no markers.
            meta_only: without values.
            since: begin with this revision.
            on_end: called once as ``on_end(err)`` when the watch has ended: after ``stop()`` with
                None, else with the reason. Without it the reason goes to ``on_error``.

        Errors (to ``on_end``):
            BucketNotFoundError: also when it is deleted meanwhile.
            DisconnectedError: the client is closed.

        Returns:
            A handle with ``stop()``.
        """
        if sum((history, updates_only, since is not None)) > 1:
            raise ValueError("watch takes one of 'history', 'updates_only' and 'since'")
        deliver: dict[str, Any] = {'deliver_policy': 'last_per_subject'}
        if history:
            deliver['deliver_policy'] = 'all'
        elif updates_only:
            deliver['deliver_policy'] = 'new'
        elif since is not None:
            deliver = {'opt_start_seq': _check_revision(since, 1)}
        if meta_only:
            deliver['headers_only'] = True
        return Watch(
            self,
            self._patterns(pattern),
            cb,
            on_end=on_end,
            ignore_deletes=ignore_deletes,
            deliver=deliver,
        )

    def purge_deletes(self, cb: AnyCallback, older_than: float | timedelta = _MARKER_AGE) -> Call:
        """Remove the markers of deleted keys, with whatever history is left behind them.

        Args:
            cb: called once as ``cb(count, err)``: how many keys were cleaned up.
            older_than: ms, or a ``timedelta``; of younger markers only the history behind them
                is removed.
        """
        if isinstance(older_than, timedelta):
            older_than = older_than / timedelta(milliseconds=1)
        if isinstance(older_than, bool) or not isinstance(older_than, (int, float)):
            raise TypeError(f'older_than must be ms, not {type(older_than).__name__}')
        limit = datetime.now(timezone.utc) - timedelta(milliseconds=older_than)
        call = self.nats.call(cb)
        purges: list[dict[str, Any]] = []

        def take(message: Message) -> None:
            if operation(message.headers) != 'PUT':
                keep = {} if message.timestamp <= limit else {'keep': 1}
                purges.append({'filter': message.subject, **keep})

        def collected(_: Any, err: NatsError | None) -> None:
            if err is not None:
                call.fail(err)
            else:
                self._purge_all(call, purges)

        collection = self.nats.call(collected)
        options = {'deliver_policy': 'last_per_subject', 'headers_only': True}
        Collection(self, collection, ['>'], take, lambda: None, options)
        call.child = collection
        return call

    def _purge_all(self, call: Call, purges: list[dict[str, Any]]) -> None:
        count = len(purges)
        left = iter(purges)
        under_way = 0

        def purged(_reply: Any, err: NatsError | None) -> None:
            nonlocal under_way
            under_way -= 1
            if err is not None:
                call.fail(self.translate(err) or err)
            else:
                go_on()

        def go_on() -> None:
            nonlocal under_way
            while under_way < _PURGES_AT_ONCE and not call.done:
                body = next(left, None)
                if body is None:
                    break
                under_way += 1
                self.js.stream_purge(self.stream, body, purged)
            if not under_way:
                call.end(count, None)

        call.child = None
        go_on()

    # For the modules of this package.

    def open(self, call: Call, then: Callable[[], None]) -> None:
        """Have the bucket's configuration, then go on with *call*; at once where it is known."""
        if self._is_open:
            then()
            return

        def found(info: Any, err: NatsError | None) -> None:
            if call.done:
                return
            if isinstance(err, DisconnectedError) and not self.nats.is_closed():
                ask()  # nothing has been done yet: the next connection can be asked
            elif err is not None:
                call.fail(self.translate(err) or err)
            else:
                self._learn(info)
                then()

        def ask() -> None:
            call.child = self.js.stream_info(self.stream, found)

        ask()

    def _learn(self, info: Mapping[str, Any]) -> None:
        settings = info.get('config') or {}
        self._allow_direct = bool(settings.get('allow_direct') or settings.get('mirror_direct'))
        mirror = settings.get('mirror') or {}
        origin = str(mirror.get('name') or self.stream).removeprefix(config.PREFIX)
        self._prefix = self._put_prefix = f'$KV.{origin}.'
        external = mirror.get('external') or {}
        if external.get('api'):
            self._put_prefix = f'{external["api"]}.{self._prefix}'
        self._is_open = True

    def translate(self, err: NatsError | None) -> NatsError | None:
        """Say *err* in terms of buckets."""
        if isinstance(err, StreamNotFoundError):
            self._is_open = False
            text = f'bucket {self.bucket!r} not found'
            return BucketNotFoundError(err.code, err.err_code, text)
        return err

    def subject(self, pattern: str) -> str:
        """Return the subject of a stored key, or of a pattern of them."""
        return self._prefix + pattern

    def key(self, subject: str) -> Key | None:
        """Return the key of a message's subject; None: it is none of this bucket's.

        Raises:
            CodecError: the key codec cannot decode it.
        """
        if not subject.startswith(self._prefix):
            return None
        stored_key = subject[len(self._prefix) :]
        if self._key_codec is None:
            return stored_key
        try:
            return self._key_codec.decode(stored_key)
        except Exception as err:  # a codec is the user's: whatever it raises means the same
            raise CodecError(f'key {stored_key!r} cannot be decoded: {err}') from err

    def decoded(self, key: Key, payload: bytes) -> Any:
        """Return the value that *payload* is.

        Raises:
            CodecError: it is none that the codec reads.
        """
        if self._codec is None:
            return payload
        return decode(self._codec, payload, f'value of key {key!r}')

    def _encoded(self, key: Key, value: Any) -> bytes:
        if self._codec is not None:
            return encode(self._codec, value, f'value of key {key!r}')
        if isinstance(value, str):
            return value.encode()
        if isinstance(value, (bytes, bytearray, memoryview)):
            return bytes(value)
        raise TypeError(f'value must be bytes-like or str, not {type(value).__name__}')

    def _stored(self, key: Key) -> str:
        if self._key_codec is None:
            return check_key(key)
        return check_key(self._key_codec.encode(key))

    def _patterns(self, patterns: str | Iterable[str] | None) -> list[str]:
        if patterns is None:
            return ['>']
        several = [patterns] if isinstance(patterns, str) else list(patterns)
        if not several:
            raise ValueError('no pattern is given')
        if self._key_codec is not None:
            several = [p if p == '>' else self._key_codec.encode(p) for p in several]
        return [check_key_pattern(pattern) for pattern in several]


def _check_revision(revision: Any, least: int) -> int:
    if isinstance(revision, bool) or not isinstance(revision, int):
        raise TypeError(f'revision must be int, not {type(revision).__name__}')
    if revision < least:
        raise ValueError(f'revision must be at least {least}, not {revision}')
    return revision


__all__ = ['KV', 'BucketStatus', 'Entry', 'KeyCodec', 'Watch']
