"""A bucket's configuration: options to stream and back (ADR-8, ADR-48)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypedDict

from ..errors import (
    BucketExistsError,
    BucketNotFoundError,
    JetStreamError,
    NatsError,
    StreamExistsError,
    StreamNotFoundError,
)
from ..subjects import check_bucket

STREAM_PREFIX = 'KV_'
_MOST_HISTORY = 64
_DUPLICATE_WINDOW = 120_000_000_000


class BucketOptions(TypedDict, total=False):
    """Options of ``create_bucket`` and ``update_bucket``. Sizes in bytes, durations in ns."""

    description: str
    max_history: int  # revisions kept per key, 1 to 64
    max_bytes: int
    max_age: int
    max_value_size: int
    replicas: int
    storage: str  # 'file' or 'memory'
    compression: bool  # server 2.10
    placement: Mapping[str, Any]
    republish: Mapping[str, Any]
    metadata: Mapping[str, str]  # server 2.10
    mirror: Mapping[str, Any] | str  # a copy of this bucket
    sources: list[Mapping[str, Any] | str]  # fed from these buckets
    limit_marker_ttl: int  # marks of what aged out, and TTLs of keys; server 2.11


class Status(TypedDict):
    """What ``status`` tells of a bucket."""

    bucket: str
    values: int
    bytes: int
    history: int
    ttl: int
    limit_marker_ttl: int
    description: str
    replicas: int
    storage: str
    compressed: bool
    metadata: dict[str, str]
    mirror: str | None
    stream: str
    backing_store: str
    stream_info: dict[str, Any]


_DIRECT = {
    'description': 'description',
    'max_bytes': 'max_bytes',
    'max_age': 'max_age',
    'max_value_size': 'max_msg_size',
    'replicas': 'num_replicas',
    'storage': 'storage',
    'placement': 'placement',
    'republish': 'republish',
    'metadata': 'metadata',
}


def stream_name(bucket: str) -> str:
    """Return the stream that holds *bucket*."""
    return STREAM_PREFIX + check_bucket(bucket)


def subject_prefix(bucket: str) -> str:
    """Return what stands before a key in its subject."""
    return f'$KV.{bucket}.'


def checked(given: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return the options *given*, checked; those that are None are left out.

    Raises:
        TypeError, ValueError: an unknown option, or a value that cannot be.
    """
    given = given if given is not None else {}
    if not isinstance(given, Mapping):
        raise TypeError(f'bucket options must be a mapping, not {type(given).__name__}')
    for name in given:
        if name not in BucketOptions.__annotations__:
            raise ValueError(f'unknown bucket option {name!r}')
    opts = {name: value for name, value in given.items() if value is not None}
    history = opts.get('max_history', 1)
    if isinstance(history, bool) or not isinstance(history, int):
        raise TypeError(f'max_history must be int, not {type(history).__name__}')
    if not 1 <= history <= _MOST_HISTORY:
        raise ValueError(f'max_history must be 1 to {_MOST_HISTORY}, not {history}')
    if opts.get('storage', 'file') not in ('file', 'memory'):
        raise ValueError(f"storage must be 'file' or 'memory', not {opts['storage']!r}")
    if 'mirror' in opts and 'sources' in opts:
        raise ValueError('a bucket takes mirror or sources, not both')
    return opts


def changes(opts: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields of a stream that *opts* ask for, and no others."""
    config = {_DIRECT[name]: value for name, value in opts.items() if name in _DIRECT}
    if 'max_history' in opts:
        config['max_msgs_per_subject'] = opts['max_history']
    if 'compression' in opts:
        config['compression'] = 's2' if opts['compression'] else 'none'
    if 0 < opts.get('max_age', 0) < _DUPLICATE_WINDOW:
        config['duplicate_window'] = opts['max_age']
    if opts.get('limit_marker_ttl'):
        config['allow_msg_ttl'] = True
        config['subject_delete_marker_ttl'] = opts['limit_marker_ttl']
    return config


def creation(bucket: str, opts: Mapping[str, Any]) -> dict[str, Any]:
    """Return the whole configuration of the stream of a new *bucket*."""
    config = {
        'name': stream_name(bucket),
        'retention': 'limits',
        'max_msgs_per_subject': 1,
        'storage': 'file',
        'num_replicas': 1,
        'discard': 'new',
        'allow_rollup_hdrs': True,
        'deny_delete': True,
        'deny_purge': False,
        'allow_direct': True,
        **changes(opts),
    }
    if 'mirror' in opts:
        config['mirror'] = _origin(opts['mirror'])
        config['mirror_direct'] = True
        return config
    config['subjects'] = [f'{subject_prefix(bucket)}>']
    if 'sources' in opts:
        config['sources'] = [_source(source, bucket) for source in opts['sources']]
    return config


def _origin(origin: Mapping[str, Any] | str) -> dict[str, Any]:
    source = {'name': origin} if isinstance(origin, str) else dict(origin)
    name = source.get('name')
    if not isinstance(name, str):
        raise TypeError('a mirror or source must be a bucket, or a mapping with its name')
    if not name.startswith(STREAM_PREFIX):
        source['name'] = stream_name(name)
    return source


def _source(given: Mapping[str, Any] | str, bucket: str) -> dict[str, Any]:
    source = _origin(given)
    origin = source['name'][len(STREAM_PREFIX) :]
    if 'subject_transforms' not in source and origin != bucket:
        # Keys of the other bucket become keys of this one (ADR-8, aggregates).
        source['subject_transforms'] = [
            {'src': f'{subject_prefix(origin)}>', 'dest': f'{subject_prefix(bucket)}>'}
        ]
    return source


def status_of(info: Mapping[str, Any]) -> Status:
    """Return the status that a stream's *info* tells."""
    config, state = info.get('config') or {}, info.get('state') or {}
    stream = config.get('name', '')
    mirror = (config.get('mirror') or {}).get('name')
    return {
        'bucket': stream[len(STREAM_PREFIX) :],
        'values': state.get('messages', 0),
        'bytes': state.get('bytes', 0),
        'history': config.get('max_msgs_per_subject', 1),
        'ttl': config.get('max_age', 0),
        'limit_marker_ttl': config.get('subject_delete_marker_ttl', 0),
        'description': config.get('description', ''),
        'replicas': config.get('num_replicas', 1),
        'storage': config.get('storage', 'file'),
        'compressed': config.get('compression', 'none') != 'none',
        # What the server adds of its own is no part of what the user gave.
        'metadata': {
            name: text
            for name, text in (config.get('metadata') or {}).items()
            if not name.startswith('_nats.')
        },
        'mirror': mirror[len(STREAM_PREFIX) :] if mirror else None,
        'stream': stream,
        'backing_store': 'JetStream',
        'stream_info': dict(info),
    }


def bucket_error(err: NatsError, bucket: str) -> NatsError:
    """Return *err* as one about the *bucket*."""
    if isinstance(err, JetStreamError):
        kinds = ((StreamNotFoundError, BucketNotFoundError), (StreamExistsError, BucketExistsError))
        for kind, of_bucket in kinds:
            if isinstance(err, kind) and not isinstance(err, of_bucket):
                text = f'bucket {bucket!r}: {err.description}'
                error = of_bucket(err.code, err.err_code, text)
                error.__cause__ = err
                return error
    return err
