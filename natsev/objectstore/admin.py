"""Buckets as a whole: created, changed, looked at, sealed, deleted, listed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, TypedDict

from ..calls import Call
from ..errors import BucketExistsError, NatsError, StreamExistsError
from ..jetstream.types import StreamInfo
from . import config
from .bucket import Bucket
from .operation import StoreCall

if TYPE_CHECKING:
    from ..jetstream import JetStream

AnyCallback = Callable[..., Any]
_PREFIX = 'OBJ_'


class BucketStatus(TypedDict):
    """What ``status`` tells of a bucket.

    ``bytes``: what it takes in the server; ``sealed``: 0 or 1; ``ttl``: ``max_age`` in nanoseconds;
    ``mirror`` and ``sources``: the buckets it takes its objects from; ``read_only``: it takes no
    changes, being sealed or a mirror; ``stream``: the server's own ``StreamInfo``.
    """

    bucket: str
    bytes: int
    sealed: int
    description: str
    ttl: int
    replicas: int
    storage: str
    compressed: bool
    metadata: dict[str, str]
    mirror: str | None
    sources: list[str]
    read_only: bool
    stream: StreamInfo
    backing_store: str


def status_of(info: Mapping[str, Any]) -> BucketStatus:
    """Return the status of the bucket that is the stream of *info*."""
    settings = info.get('config') or {}
    state = info.get('state') or {}
    metadata = settings.get('metadata') or {}
    mirror = settings.get('mirror') or {}
    return {
        'bucket': str(settings.get('name', '')).removeprefix(_PREFIX),
        'bytes': state.get('bytes', 0),
        'sealed': int(bool(settings.get('sealed'))),
        'description': settings.get('description', ''),
        'ttl': settings.get('max_age', 0),
        'replicas': settings.get('num_replicas', 1),
        'storage': settings.get('storage', 'file'),
        'compressed': settings.get('compression', 'none') != 'none',
        # What the server adds of its own is no part of what the user gave.
        'metadata': {key: metadata[key] for key in metadata if not key.startswith('_nats.')},
        'mirror': str(mirror['name']).removeprefix(_PREFIX) if 'name' in mirror else None,
        'sources': [
            str(source.get('name', '')).removeprefix(_PREFIX)
            for source in settings.get('sources') or ()
        ],
        'read_only': bool(settings.get('sealed') or mirror),
        'stream': dict(info),  # type: ignore[typeddict-item]
        'backing_store': 'JetStream',
    }


def create(bucket: Bucket, options: Mapping[str, Any] | None, callback: AnyCallback) -> Call:
    """Create the bucket, or open one with the same configuration."""
    stream = config.new_stream(bucket.name, options)
    call = bucket.nats.call(callback)

    def created(info: Any, err: NatsError | None) -> None:
        if isinstance(err, StreamExistsError):
            text = f'bucket {bucket.name!r} exists with another configuration'
            err = BucketExistsError(err.code, err.err_code, text)
        if err is not None:
            call.fail(err)
        else:
            bucket.forget()
            bucket.config = info['config']
            call.end(info, None)

    call.child = bucket.js.stream_create(stream, created)
    return call


def create_or_update(
    bucket: Bucket, options: Mapping[str, Any] | None, callback: AnyCallback
) -> Call:
    """Create the bucket, or change the *options* given of the one that is there."""
    changes = config.check(bucket.name, options)
    call = StoreCall(bucket, callback)

    def created(info: Any, err: NatsError | None) -> None:
        if isinstance(err, BucketExistsError):
            change(bucket, call, changes, lambda changed: call.end(changed, None))
        else:
            call.end(info, err)

    call.child = create(bucket, options, created)
    return call


def update(bucket: Bucket, options: Mapping[str, Any] | None, callback: AnyCallback) -> StoreCall:
    """Change options of the bucket; the others stay as they are."""
    changes = config.check(bucket.name, options)
    call = StoreCall(bucket, callback)
    change(bucket, call, changes, lambda info: call.end(info, None))
    return call


def change(
    bucket: Bucket, call: StoreCall, changes: Mapping[str, Any], then: Callable[[Any], None]
) -> None:
    """Change fields of the stream's configuration."""

    def opened() -> None:
        # What the server adds to metadata it takes back, but not from us.
        bucket.api(call, 'STREAM.UPDATE', {**bucket.config, **changes}, updated)

    def updated(info: dict[str, Any]) -> None:
        bucket.config = info.get('config')
        then(info)

    bucket.reopen(call, opened)


def delete(bucket: Bucket, callback: AnyCallback) -> StoreCall:
    """Delete the bucket and all it holds."""
    call = StoreCall(bucket, callback)

    def deleted(_reply: Any) -> None:
        bucket.forget()
        call.end(True, None)

    bucket.api(call, 'STREAM.DELETE', None, deleted)
    return call


def status(bucket: Bucket, callback: AnyCallback) -> StoreCall:
    """Look at the bucket."""
    call = StoreCall(bucket, callback)

    def replied(info: dict[str, Any]) -> None:
        bucket.config = info.get('config')
        call.end(status_of(info), None)

    bucket.api(call, 'STREAM.INFO', None, replied)
    return call


def seal(bucket: Bucket, callback: AnyCallback) -> StoreCall:
    """Make the bucket take no changes any more, for ever."""
    call = StoreCall(bucket, callback)
    change(bucket, call, {'sealed': True}, lambda info: call.end(status_of(info), None))
    return call


def buckets(js: JetStream, callback: AnyCallback) -> Call:
    """Look at all buckets of the account."""
    call = js.nats.call(callback)

    def listed(infos: list[StreamInfo] | None, err: NatsError | None) -> None:
        if err is not None:
            call.fail(err)
            return
        found = [status_of(info) for info in infos or () if _is_bucket(info)]
        call.end(sorted(found, key=lambda one: one['bucket']), None)

    # Mirrors have no subjects: the filter by subject would leave them out.
    call.child = js.stream_list(listed)
    return call


def _is_bucket(info: StreamInfo) -> bool:
    settings = info.get('config') or {}
    name = settings.get('name', '')
    if not name.startswith(_PREFIX):
        return False
    subjects = settings.get('subjects') or []
    origin = (settings.get('mirror') or {}).get('name', '')
    return f'$O.{name.removeprefix(_PREFIX)}.C.>' in subjects or origin.startswith(_PREFIX)
