"""The metadata of an object as ADR-20 writes it, and as other clients have written it.

Written strictly: field for field as the official Go client does, with a zero ``mtime`` (the time of
an object is the time of its message) and a padded base64url digest. Read tolerantly: what another
client wrote may be wrong in any field, and is never trusted with sizes or subjects.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any, TypedDict, cast

from ..errors import InvalidMetaError
from ..headers import Headers
from ..jetstream.types import StoredMessage
from .names import Dialect, is_nuid, name_of

_DIGEST = 'SHA-256='
_MOST = 1 << 63
# How many earlier versions of the object are kept, see ``versions``.
VERSIONS = 'Natsev-Versions'
_VERSIONS = VERSIONS.encode()
_LEADING_NAME = re.compile(rb'\{"name": ?"([^"\\\x00-\x1f]+)"')
# The metadata of an object that is there, field for field as the official Go and Python clients
# write it, with nothing unusual: neither escapes, nor a link, nor text of the user's but the name.
# Sets that are spelled out are quicker than ``\w``.
_OPTIONS = rb'(?:,"options":\{"max_chunk_size":[1-9][0-9]{0,17}\})?'
_COUNT = rb'(?:0|[1-9][0-9]{0,17})'
_LIVE = (
    rb'\{"name":"([\x20!#-\[\]-\xff]+)"%b'
    rb',"bucket":"[0-9A-Za-z_-]+","nuid":"[0-9A-Za-z_=-]{1,128}","size":%b'
    rb',"mtime":"[0-9TZ:.+-]*","chunks":%b(?:,"digest":"[0-9A-Za-z_=-]*")?(?:,"deleted":false)?%b\}'
) % (_OPTIONS, _COUNT, _COUNT, _OPTIONS)
_COMPACT = re.compile(_LIVE)
_SPACED = re.compile(_LIVE.replace(b',"', b', "').replace(b'":', b'": '))
_NUID = re.compile(rb'"nuid"\s*:\s*"([A-Za-z0-9_=-]{1,128})"')
_ZERO_TIME = '0001-01-01T00:00:00Z'
_from_json = json.JSONDecoder().decode
_to_json = json.JSONEncoder(ensure_ascii=False, separators=(',', ':')).encode


class Link(TypedDict, total=False):
    """Where a link leads: an object, or without ``name`` a whole bucket."""

    bucket: str
    name: str


class ObjectOptions(TypedDict, total=False):
    """How an object is stored."""

    max_chunk_size: int
    link: Link


class ObjectMeta(TypedDict):
    """An object's metadata.

    ``headers`` values are lists; ``digest`` is as stored, or None; ``mtime`` is when the server
    stored the metadata, in UTC; ``seq`` is the sequence of the metadata, its revision.
    """

    name: str
    description: str | None
    headers: dict[str, list[str]]
    metadata: dict[str, str]
    options: ObjectOptions
    bucket: str
    nuid: str
    size: int
    chunks: int
    digest: str | None
    deleted: bool
    mtime: datetime | None
    seq: int


def new(
    name: str,
    bucket: str,
    nuid: str,
    *,
    description: str | None = None,
    headers: dict[str, list[str]] | None = None,
    metadata: dict[str, str] | None = None,
    options: ObjectOptions | None = None,
) -> ObjectMeta:
    """Return the metadata of a new, still empty object."""
    return {
        'name': name,
        'description': description or None,
        'headers': headers or {},
        'metadata': metadata or {},
        'options': options or {},
        'bucket': bucket,
        'nuid': nuid,
        'size': 0,
        'chunks': 0,
        'digest': None,
        'deleted': False,
        'mtime': None,
        'seq': 0,
    }


def to_json(meta: ObjectMeta, unknown: Mapping[str, Any] | None = None) -> bytes:
    """Return the body of a meta message, as the official Go client orders it.

    Args:
        meta: what to write; empty fields are left out.
        unknown: further fields, kept for the client that wrote them.
    """
    body: dict[str, Any] = {'name': meta['name']}
    for key in ('description', 'headers', 'metadata', 'options'):
        if meta[key]:
            body[key] = meta[key]
    body['bucket'] = meta['bucket']
    body['nuid'] = meta['nuid']
    body['size'] = meta['size']
    body['mtime'] = _ZERO_TIME
    body['chunks'] = meta['chunks']
    if meta['digest']:
        body['digest'] = meta['digest']
    if meta['deleted']:
        body['deleted'] = True
    if unknown:
        body.update((key, value) for key, value in unknown.items() if key not in meta)
    text = _to_json(body)
    try:
        return text.encode()
    except UnicodeEncodeError:  # another client's text, read from an escaped lone surrogate
        return json.dumps(body, separators=(',', ':')).encode()


def rewrite(payload: bytes, fields: Mapping[str, Any]) -> bytes:
    """Return the body of a meta message with other *fields*, and all else as it was written.

    Args:
        payload: the body; a JSON object, as ``parse`` has found.
        fields: what is different; None: the field is left out.
    """
    body = {**raw(payload), **fields, 'mtime': _ZERO_TIME}
    return _to_json({key: value for key, value in body.items() if value is not None}).encode()


def tombstone(meta: ObjectMeta) -> ObjectMeta:
    """Return the metadata that says that *meta* is deleted."""
    return {**meta, 'size': 0, 'chunks': 0, 'digest': None, 'deleted': True}


def parse(message: StoredMessage, bucket: str) -> ObjectMeta:
    """Return the metadata in a meta message. Tombstones of every client have ``deleted`` set.

    Args:
        message: as the stream holds it.
        bucket: the bucket it is in.

    Raises:
        InvalidMetaError: it cannot be understood as ADR-20.
    """
    payload, subject = message['payload'], message['subject']
    dead = not payload or _is_marker(message['headers'])
    meta = new('', bucket, '')
    meta['seq'] = message['seq']
    meta['mtime'] = message['time']
    meta['deleted'] = dead
    try:
        _fill(meta, raw(payload))
    except (ValueError, RecursionError) as exc:
        meta['name'] = name_of(subject)
        if not dead:
            raise InvalidMetaError(
                f'invalid object metadata on {subject}: {exc}', bucket=bucket, name=meta['name']
            ) from None
    if not meta['name']:
        meta['name'] = name_of(subject)
    return meta


def leading_name(payload: bytes) -> str | None:
    """Return the name with which the body of a meta begins, as all clients write it, or None.

    Much quicker than ``parse``, for who passes over most metas.
    """
    found = _LEADING_NAME.match(payload)
    if found is None:
        return None
    try:
        return found[1].decode()
    except ValueError:
        return None


def live_name(payload: bytes, headers: Headers | None) -> str | None:
    """Return the name in a meta that is beyond doubt that of a live object; None: look closer.

    Much quicker than ``parse``, for who needs no more than the name.
    """
    found = _COMPACT.fullmatch(payload) or _SPACED.fullmatch(payload)
    if found is None or _is_marker(headers):
        return None
    try:
        return found[1].decode()
    except ValueError:
        return None


def versions_kept(message: StoredMessage) -> int:
    """Return how many earlier versions are to be kept, as this meta says."""
    headers = message['headers']
    if headers is None or headers.raw.find(_VERSIONS) < 0:  # as in ``_is_marker``
        return 0
    text = headers.get(VERSIONS) or ''
    return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else 0


def nuid_in(payload: bytes) -> str | None:
    """Return the nuid that *payload*, which is no valid metadata, seems to name."""
    found = _NUID.search(payload)
    return None if found is None else found[1].decode()


def _fill(meta: ObjectMeta, body: dict[str, Any]) -> None:
    get = body.get
    name = meta['name'] = _text(get('name'))
    if not name.isascii():
        name.encode()  # a lone surrogate is no name: nobody could ask for it
    meta['description'] = _text(get('description')) or None
    if 'headers' in body:
        meta['headers'] = _headers(body['headers'])
    if 'metadata' in body:
        meta['metadata'] = _strings(body['metadata'])
    meta['options'] = _options(get('options'))
    meta['deleted'] = meta['deleted'] or get('deleted') is True
    nuid = _text(get('nuid'))
    if is_nuid(nuid):
        meta['nuid'] = nuid
    if meta['deleted']:
        return
    meta['size'] = _count(get('size'), 'size')
    meta['chunks'] = _count(get('chunks'), 'chunks')
    meta['digest'] = _text(get('digest')) or None
    if meta['size'] and not meta['nuid'] and 'link' not in meta['options']:
        raise ValueError('no usable nuid')


def raw(payload: bytes) -> dict[str, Any]:
    """Return the body of a meta message as it stands; an empty one as an empty dict.

    Raises:
        ValueError, RecursionError: it is not a JSON object.
    """
    if not payload:
        return {}
    body = _from_json(payload.decode())
    if not isinstance(body, dict):
        raise ValueError('not a JSON object')
    return body


def _is_marker(headers: Headers | None) -> bool:
    # Looked for first as it is always spelled: parsing headers takes longer than all the rest.
    if headers is None or headers.raw.find(b'KV-Operation') < 0:  # twice as quick as ``in``
        return False
    return headers.get('KV-Operation') in ('PURGE', 'DEL')


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ''


def _count(value: Any, what: str) -> int:
    if value is None:
        return 0
    if type(value) is not int or not 0 <= value < _MOST:
        raise ValueError(f'{what} is not a count')
    return value


def _headers(value: Any) -> dict[str, list[str]]:
    """Tolerates single strings, which Go does not."""
    if not isinstance(value, dict):
        return {}
    found = {}
    for key, entry in value.items():
        entries = entry if isinstance(entry, list) else [entry]
        texts = [text for text in entries if isinstance(text, str)]
        if texts:
            found[key] = texts
    return found


def _strings(value: Any) -> dict[str, str]:
    if not isinstance(value, dict):
        return {}
    return {key: text for key, text in value.items() if isinstance(text, str)}


def _options(value: Any) -> ObjectOptions:
    options: ObjectOptions = {}
    if not isinstance(value, dict):
        return options
    size = value.get('max_chunk_size')
    if isinstance(size, int) and not isinstance(size, bool) and size > 0:
        options['max_chunk_size'] = size
    link = value.get('link')
    if isinstance(link, dict) and isinstance(link.get('bucket'), str):
        options['link'] = {'bucket': link['bucket']}
        if link.get('name') and isinstance(link['name'], str):
            options['link']['name'] = link['name']
    return options


# Digests.


def digest_text(digest: bytes, dialect: Dialect = 'adr20') -> str:
    """Return a SHA-256 digest as it is written in metadata."""
    if dialect == 'ev-nats':
        return _DIGEST + digest.hex()
    return _DIGEST + base64.urlsafe_b64encode(digest).decode()


def digest_bytes(text: str | None) -> bytes | None:
    """Return the digest in *text*, in any client's spelling; None where there is none.

    What is not a SHA-256 digest gives empty bytes, which match nothing.
    """
    if not text:
        return None
    scheme, equals, value = text.partition('=')
    if not equals or scheme.upper() != 'SHA-256':
        return b''
    try:
        if len(value) == 64:
            return bytes.fromhex(value)
        standard = value.rstrip('=').replace('-', '+').replace('_', '/')
        digest = base64.b64decode(standard + '=' * (-len(standard) % 4), validate=True)
    except (binascii.Error, ValueError):
        return b''
    return digest if len(digest) == 32 else b''


def has_digest(meta: ObjectMeta, digest: bytes) -> bool:
    """Is *digest* that of the object, in any client's spelling? One without a digest has any."""
    text = meta['digest']
    return text == digest_text(digest) or digest_bytes(text) in (None, digest)


# What a user gives.


def check_description(value: Any) -> str | None:
    """Return *value*, an object's description."""
    return None if value is None else _checked_text(value, 'description') or None


def check_headers(value: Any) -> dict[str, list[str]]:
    """Return *value*, an object's headers: texts, or lists of texts, by name."""
    checked = {}
    for key, entry in _items(value, 'headers'):
        entries = [entry] if isinstance(entry, str) else entry
        if not isinstance(entries, Iterable) or isinstance(entries, (bytes, bytearray, Mapping)):
            raise TypeError(f'header {key!r} must be str or a list of str')
        checked[key] = [_checked_text(text, f'header {key!r}') for text in entries]
    return checked


def check_metadata(value: Any) -> dict[str, str]:
    """Return *value*, an object's metadata: texts by name."""
    return {
        key: _checked_text(text, f'metadata {key!r}') for key, text in _items(value, 'metadata')
    }


def _items(value: Any, what: str) -> Iterable[tuple[str, Any]]:
    if value is None:
        return ()
    if not isinstance(value, Mapping):
        raise TypeError(f'{what} must be a mapping, not {type(value).__name__}')
    for key in value:
        if not isinstance(key, str):
            raise TypeError(f'names of {what} must be str, not {type(key).__name__}')
    return cast('Iterable[tuple[str, Any]]', value.items())


def _checked_text(value: Any, what: str) -> str:
    if not isinstance(value, str):
        raise TypeError(f'{what} must be str, not {type(value).__name__}')
    value.encode()  # a lone surrogate is a ValueError here, not later
    return value
