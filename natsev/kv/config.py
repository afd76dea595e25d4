"""Options of a bucket as the configuration of its stream, and back (ADR-8)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypedDict

from ..subjects import check_bucket

PREFIX = 'KV_'
_MOST_HISTORY = 64
# Ids are remembered for this long, or for as long as the messages live, if that is shorter.
_DUPLICATE_WINDOW = 120_000_000_000
_LEAST_MARKER_TTL = 1_000_000_000


class BucketStatus(TypedDict):
    """What ``status`` tells of a bucket.

    ``values``: messages in it, old revisions and markers included; ``bytes``: what it takes;
    ``history``: revisions kept per key; ``ttl``: ``max_age`` in nanoseconds; ``stream``: the
    server's own ``StreamInfo``.
    """

    bucket: str
    values: int
    bytes: int
    history: int
    ttl: int
    replicas: int
    storage: str
    compressed: bool
    description: str
    metadata: dict[str, str]
    limit_marker_ttl: int
    mirror: str | None
    stream: dict[str, Any]
    backing_store: str


def stream_of(bucket: str) -> str:
    """Return the name of the bucket's stream."""
    return PREFIX + bucket


def stream_config(bucket: str, options: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return the stream's configuration for a bucket with *options*.

    Raises:
        TypeError, ValueError: an option is unknown, or its value cannot work.
    """
    given = checked(bucket, options)
    config: dict[str, Any] = {
        'name': stream_of(bucket),
        'subjects': [f'$KV.{bucket}.>'],
        'retention': 'limits',
        'max_msgs_per_subject': 1,
        'max_bytes': -1,
        'max_age': 0,
        'max_msg_size': -1,
        'storage': 'file',
        'num_replicas': 1,
        'discard': 'new',
        'allow_rollup_hdrs': True,
        'deny_delete': True,
        'allow_direct': True,
        **given,
    }
    age = config['max_age']
    config['duplicate_window'] = min(age, _DUPLICATE_WINDOW) if age else _DUPLICATE_WINDOW
    if 'mirror' in config:
        # A mirror listens on no subject of its own.
        del config['subjects'], config['duplicate_window']
        config['mirror_direct'] = True
    return config


def status_of(info: Mapping[str, Any]) -> BucketStatus:
    """Return the status of the bucket that is the stream of *info*."""
    config, state = info.get('config') or {}, info.get('state') or {}
    mirror = config.get('mirror') or {}
    return {
        'bucket': str(config.get('name', '')).removeprefix(PREFIX),
        'values': state.get('messages', 0),
        'bytes': state.get('bytes', 0),
        'history': config.get('max_msgs_per_subject', 1),
        'ttl': config.get('max_age', 0),
        'replicas': config.get('num_replicas', 1),
        'storage': config.get('storage', 'file'),
        'compressed': config.get('compression', 'none') != 'none',
        'description': config.get('description', ''),
        'metadata': {
            name: text
            for name, text in (config.get('metadata') or {}).items()
            if not name.startswith('_nats.')
        },
        'limit_marker_ttl': config.get('subject_delete_marker_ttl', 0),
        'mirror': str(mirror['name']).removeprefix(PREFIX) if mirror else None,
        'stream': dict(info),
        'backing_store': 'JetStream',
    }


def checked(bucket: str, options: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return *options* as fields of a stream's configuration.

    Raises:
        TypeError, ValueError: an option is unknown, or its value cannot work.
    """
    if options is None:
        return {}
    if not isinstance(options, Mapping):
        raise TypeError(f'bucket options must be a mapping, not {type(options).__name__}')
    config: dict[str, Any] = {}
    for name, value in options.items():
        try:
            check = _CHECKS[name]
        except KeyError:
            raise ValueError(f'unknown bucket option {name!r}') from None
        if value is not None:
            config.update(check(bucket, name, value))
    if 'mirror' in config and 'sources' in config:
        raise ValueError('a bucket is a mirror, or it has sources; not both')
    return config


Check = Callable[[str, str, Any], dict[str, Any]]


def _number(field: str, least: int, most: int | None = None) -> Check:
    def check(bucket: str, name: str, value: Any) -> dict[str, Any]:
        if isinstance(value, bool) or not isinstance(value, int):
            raise TypeError(f'{name} must be int, not {type(value).__name__}')
        if value < least or (most is not None and value > most):
            bounds = f'at least {least}' if most is None else f'from {least} to {most}'
            raise ValueError(f'{name} must be {bounds}, not {value}')
        return {field: value}

    return check


def _limit(field: str) -> Check:
    number = _number(field, -1)

    def check(bucket: str, name: str, value: Any) -> dict[str, Any]:
        # The original leaves 0 out, which means no limit; the server writes that as -1.
        return {field: number(bucket, name, value)[field] or -1}

    return check


def _text(bucket: str, name: str, value: Any) -> dict[str, Any]:
    if not isinstance(value, str):
        raise TypeError(f'{name} must be str, not {type(value).__name__}')
    return {name: value}


def _storage(bucket: str, name: str, value: Any) -> dict[str, Any]:
    if value not in ('file', 'memory'):
        raise ValueError(f"storage must be 'file' or 'memory', not {value!r}")
    return {name: value}


def _compression(bucket: str, name: str, value: Any) -> dict[str, Any]:
    if value in (False, 'none'):
        return {}
    if value in (True, 's2'):
        return {name: 's2'}
    raise ValueError(f"compression must be True, False, 's2' or 'none', not {value!r}")


def _mapping(bucket: str, name: str, value: Any) -> dict[str, Any]:
    if not isinstance(value, Mapping):
        raise TypeError(f'{name} must be a mapping, not {type(value).__name__}')
    return {name: dict(value)}


def _markers(bucket: str, name: str, value: Any) -> dict[str, Any]:
    ttl = _number('subject_delete_marker_ttl', _LEAST_MARKER_TTL)(bucket, name, value)
    return {'allow_msg_ttl': True, **ttl}


def _flag(field: str) -> Check:
    def check(bucket: str, name: str, value: Any) -> dict[str, Any]:
        if not isinstance(value, bool):
            raise TypeError(f'{name} must be bool, not {type(value).__name__}')
        return {field: True} if value else {}

    return check


def _mirror(bucket: str, name: str, value: Any) -> dict[str, Any]:
    return {name: _origin(name, value)}


def _sources(bucket: str, name: str, value: Any) -> dict[str, Any]:
    if isinstance(value, (str, Mapping)) or not hasattr(value, '__iter__'):
        raise TypeError(f'sources must be a list, not {type(value).__name__}')
    sources = []
    for one in value:
        source = _origin(name, one)
        other = source['name'].removeprefix(PREFIX)
        if other != bucket and not {'subject_transforms', 'filter_subject'} & source.keys():
            transform = {'src': f'$KV.{other}.>', 'dest': f'$KV.{bucket}.>'}
            source['subject_transforms'] = [transform]
        sources.append(source)
    return {name: sources}


def _origin(what: str, value: Any) -> dict[str, Any]:
    """Return the stream source for another bucket."""
    source = {'bucket': value} if isinstance(value, str) else value
    if not isinstance(source, Mapping):
        raise TypeError(f'{what} must be a bucket name or a mapping, not {type(value).__name__}')
    origin = dict(source)
    if 'bucket' in origin:
        origin['name'] = stream_of(check_bucket(origin.pop('bucket')))
    name = origin.get('name')
    if not isinstance(name, str):
        raise ValueError(f'{what} needs the name of a bucket')
    origin['name'] = name if name.startswith(PREFIX) else stream_of(check_bucket(name))
    domain = origin.pop('domain', None)
    if domain is not None:
        origin['external'] = {'api': f'$JS.{domain}.API'}
    return origin


_CHECKS: dict[str, Check] = {
    'description': _text,
    'max_history': _number('max_msgs_per_subject', 1, _MOST_HISTORY),
    'history': _number('max_msgs_per_subject', 1, _MOST_HISTORY),
    'max_bytes': _limit('max_bytes'),
    'max_value_size': _limit('max_msg_size'),
    'max_age': _number('max_age', 0),
    'replicas': _number('num_replicas', 1),
    'storage': _storage,
    'compression': _compression,
    'placement': _mapping,
    'metadata': _mapping,
    'republish': _mapping,
    'limit_marker_ttl': _markers,
    'per_key_ttl': _flag('allow_msg_ttl'),
    'mirror': _mirror,
    'sources': _sources,
}
