"""A bucket's options, as the configuration of its stream (ADR-20)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypedDict

from ..subjects import check_bucket
from . import names


class BucketOptions(TypedDict, total=False):
    """Options of ``create_bucket`` and ``update_bucket``.

    ``description``; ``max_bytes`` the bucket may take (-1: no limit); ``max_age`` of every object
    in nanoseconds (0: no limit); ``replicas``; ``storage``, ``'file'`` or ``'memory'``;
    ``compression``, True or ``'s2'``; ``placement``, a dict with ``cluster`` and ``tags``;
    ``metadata``, texts by name; ``mirror``, the name of a bucket, or a dict with ``bucket`` (and
    ``domain``) and what else a stream source has; ``sources``, a list of such; ``atomic``: let
    several objects be committed at once (nats-server 2.12); ``batched``: let the server acknowledge
    in batches (2.14); ``object_ttl``: let objects have a ``ttl`` of their own (2.11);
    ``duplicate_window`` in nanoseconds.
    """

    description: str
    max_bytes: int
    max_age: int
    replicas: int
    storage: str
    compression: bool | str
    placement: dict[str, Any]
    metadata: dict[str, str]
    mirror: str | dict[str, Any]
    sources: list[str | dict[str, Any]]
    atomic: bool
    batched: bool
    object_ttl: bool
    duplicate_window: int


# What an older server drops without a word, or refuses as unknown.
FLAGS = {'atomic': 'allow_atomic', 'batched': 'allow_batched', 'object_ttl': 'allow_msg_ttl'}


def new_stream(bucket: str, options: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return the configuration of the stream of a new *bucket*.

    Raises:
        TypeError, ValueError: an option is unknown, or its value cannot work.
    """
    checked = check(bucket, options)
    config: dict[str, Any] = {
        'name': names.stream(bucket),
        'subjects': [f'$O.{bucket}.C.>', f'$O.{bucket}.M.>'],
        'retention': 'limits',
        'max_bytes': -1,
        'max_age': 0,
        'storage': 'file',
        'num_replicas': 1,
        'discard': 'new',
        'allow_rollup_hdrs': True,
        'allow_direct': True,
        **checked,
    }
    if 'mirror' in config:
        # A mirror takes its messages from elsewhere: it listens on no subject of its own.
        del config['subjects']
        config['mirror_direct'] = True
    return config


def check(bucket: str, options: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return *options*, checked, as fields of a stream's configuration.

    Raises:
        TypeError, ValueError: an option is unknown, or its value cannot work.
    """
    if options is None:
        return {}
    if not isinstance(options, Mapping):
        raise TypeError(f'bucket options must be a mapping, not {type(options).__name__}')
    config: dict[str, Any] = {}
    for key, value in options.items():
        try:
            checker = _CHECKS[key]
        except KeyError:
            raise ValueError(f'unknown bucket option {key!r}') from None
        if value is not None:
            config.update(checker(bucket, key, value))
    if 'mirror' in config and 'sources' in config:
        raise ValueError('a bucket is a mirror, or it has sources; not both')
    return config


def _text(bucket: str, key: str, value: Any) -> dict[str, Any]:
    if not isinstance(value, str):
        raise TypeError(f'{key} must be str, not {type(value).__name__}')
    return {key: value}


def _number(least: int, field: str | None = None) -> Callable[..., dict[str, Any]]:
    def check(bucket: str, key: str, value: Any) -> dict[str, Any]:
        if isinstance(value, bool) or not isinstance(value, int):
            raise TypeError(f'{key} must be int, not {type(value).__name__}')
        if value < least:
            raise ValueError(f'{key} must be at least {least}, not {value}')
        return {field or key: value}

    return check


def _max_bytes(bucket: str, key: str, value: Any) -> dict[str, Any]:
    checked = _number(-1)(bucket, key, value)
    # The original leaves 0 out, which means no limit; the server writes that as -1.
    return {key: checked[key] or -1}


def _storage(bucket: str, key: str, value: Any) -> dict[str, Any]:
    if value not in ('file', 'memory'):
        raise ValueError(f"storage must be 'file' or 'memory', not {value!r}")
    return {key: value}


def _compression(bucket: str, key: str, value: Any) -> dict[str, Any]:
    if value in (False, 'none'):
        return {}
    if value in (True, 's2'):
        return {key: 's2'}
    raise ValueError(f"compression must be True, False, 's2' or 'none', not {value!r}")


def _placement(bucket: str, key: str, value: Any) -> dict[str, Any]:
    if not isinstance(value, Mapping):
        raise TypeError(f'placement must be a mapping, not {type(value).__name__}')
    if unknown := value.keys() - {'cluster', 'tags', 'preferred'}:
        raise ValueError(f'unknown placement {sorted(unknown)}')
    return {key: dict(value)}


def _metadata(bucket: str, key: str, value: Any) -> dict[str, Any]:
    if not isinstance(value, Mapping):
        raise TypeError(f'metadata must be a mapping, not {type(value).__name__}')
    for name, text in value.items():
        if not isinstance(name, str) or not isinstance(text, str):
            raise TypeError('metadata must map str to str')
    return {key: dict(value)}


def _flag(bucket: str, key: str, value: Any) -> dict[str, Any]:
    if not isinstance(value, bool):
        raise TypeError(f'{key} must be bool, not {type(value).__name__}')
    return {FLAGS[key]: True} if value else {}


def _mirror(bucket: str, key: str, value: Any) -> dict[str, Any]:
    # A mirror has no subjects of its own, but the messages it takes must have those of this bucket.
    return {key: _origin(bucket, value, key)}


def _sources(bucket: str, key: str, value: Any) -> dict[str, Any]:
    if not isinstance(value, (list, tuple)):
        raise TypeError(f'sources must be a list, not {type(value).__name__}')
    return {key: [_origin(bucket, one, key) for one in value]}


def _origin(bucket: str, value: Any, what: str) -> dict[str, Any]:
    """Return the stream source for another bucket, its subjects turned into this one's."""
    source = {'bucket': value} if isinstance(value, str) else value
    if not isinstance(source, Mapping):
        raise TypeError(f'{what} must be a bucket name or a mapping, not {type(value).__name__}')
    origin = dict(source)
    if 'bucket' in origin:
        origin['name'] = names.stream(check_bucket(origin.pop('bucket')))
    name = origin.get('name')
    if not isinstance(name, str) or not name.startswith('OBJ_'):
        raise ValueError(f'{what} needs the name of a bucket')
    other = name.removeprefix('OBJ_')
    domain = origin.pop('domain', None)
    if domain is not None:
        origin['external'] = {'api': f'$JS.{domain}.API'}
    if other != bucket and 'subject_transforms' not in origin and 'filter_subject' not in origin:
        origin['subject_transforms'] = [
            {'src': f'$O.{other}.{group}.>', 'dest': f'$O.{bucket}.{group}.>'} for group in 'CM'
        ]
    return origin


_CHECKS: dict[str, Callable[..., dict[str, Any]]] = {
    'description': _text,
    'max_bytes': _max_bytes,
    'max_age': _number(0),
    'replicas': _number(1, 'num_replicas'),
    'storage': _storage,
    'compression': _compression,
    'placement': _placement,
    'metadata': _metadata,
    'mirror': _mirror,
    'sources': _sources,
    'atomic': _flag,
    'batched': _flag,
    'object_ttl': _flag,
    'duplicate_window': _number(0),
}
