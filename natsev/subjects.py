"""What legal subjects and names are, and how names become subjects.

Every ``check_`` function returns its argument, or raises ``TypeError`` or ``ValueError`` with one
sentence that shows the value.
"""

from __future__ import annotations

import base64
import re
from binascii import b2a_base64
from urllib.parse import quote_from_bytes, unquote_to_bytes

# Whitespace and control characters would end a token, or the line, of the protocol.
_SUBJECT = re.compile(r'[^\x00-\x20\x7f.]+(?:\.[^\x00-\x20\x7f.]+)*')
_WILDCARD = re.compile(r'(?:^|\.)[*>](?:\.|$)')
_MISPLACED = re.compile(r'(?:^|\.)>\.')
_QUEUE_GROUP = re.compile(r'[^\x00-\x20\x7f]+')
_NAME = re.compile(r'[^\x00-\x20\x7f.*>/\\]+')
_BUCKET = re.compile(r'[A-Za-z0-9_-]+')
_KEY = re.compile(r'[-/_=a-zA-Z0-9]+(?:\.[-/_=a-zA-Z0-9]+)*')
_KEY_PATTERN = re.compile(r'(?:(?:\*|[-/_=a-zA-Z0-9]+)\.)*(?:[*>]|[-/_=a-zA-Z0-9]+)')
_RESERVED_KEYS = '_kv'  # ADR-8 keeps keys that begin so for itself

_MOST_NAME = 255  # JetStream's own limit: names are names of directories
# A control line takes 4096 bytes, with base64 and the rest of the subject: 3040 is too long, and
# this leaves a margin.
_MOST_OBJECT_NAME = 2900
_SHOWN = 64
_URL_SAFE = bytes.maketrans(b'+/', b'-_')


def _shown(value: str) -> str:
    return repr(value) if len(value) <= _SHOWN else f'{value[:_SHOWN]!r}...'


def _check(kind: str, value: object, pattern: re.Pattern[str], rule: str) -> str:
    if not isinstance(value, str):
        raise TypeError(f'{kind} must be str, not {type(value).__name__}')
    if not value:
        raise ValueError(f'{kind} is empty')
    if not pattern.fullmatch(value):
        raise ValueError(f'{kind} {_shown(value)} {rule}')
    if not value.isascii():
        _encoded(kind, value)
    return value


def _encoded(kind: str, value: str) -> bytes:
    try:
        return value.encode()
    except UnicodeEncodeError:
        raise ValueError(f'{kind} {_shown(value)} cannot be encoded as UTF-8') from None


def _check_subject(kind: str, subject: object) -> str:
    return _check(
        kind, subject, _SUBJECT, 'contains whitespace, a control character or an empty token'
    )


def check_subject(subject: object, kind: str = 'subject') -> str:
    """Return *subject* if one can publish to it: whole tokens, no wildcards."""
    checked = _check_subject(kind, subject)
    if _WILDCARD.search(checked):
        raise ValueError(f'{kind} {_shown(checked)} contains a wildcard')
    return checked


def check_subscription(subject: object) -> str:
    """Return *subject* if one can subscribe to it: ``*`` for a token, ``>`` for all that follow."""
    checked = _check_subject('subject', subject)
    if _MISPLACED.search(checked):
        raise ValueError(f"subject {_shown(checked)} has a '>' that is not its last token")
    return checked


def check_queue_group(name: object) -> str:
    """Return *name* if it is a legal queue group."""
    return _check('queue group', name, _QUEUE_GROUP, 'contains whitespace or a control character')


def check_stream(name: object) -> str:
    """Return *name* if it is a legal name of a stream."""
    return _check_name('stream name', name)


def check_consumer(name: object) -> str:
    """Return *name* if it is a legal name of a consumer."""
    return _check_name('consumer name', name)


def _check_name(kind: str, name: object) -> str:
    checked = _check(kind, name, _NAME, 'contains whitespace, a control character or one of .*>/\\')
    if len(checked.encode()) > _MOST_NAME:
        raise ValueError(f'{kind} {_shown(checked)} is longer than {_MOST_NAME} bytes')
    return checked


def check_bucket(name: object) -> str:
    """Return *name* if it is a legal name of a bucket."""
    return _check('bucket name', name, _BUCKET, 'may contain only A-Z a-z 0-9 _ and -')


def check_key(key: object) -> str:
    """Return *key* if a KV bucket can hold it (ADR-8)."""
    if isinstance(key, str) and _KEY.fullmatch(key) and not key.startswith(_RESERVED_KEYS):
        return key
    checked = _check(
        'key', key, _KEY, 'may contain only A-Z a-z 0-9 - / _ = and single dots between them'
    )
    raise ValueError(f'key {_shown(checked)} begins with {_RESERVED_KEYS!r}, which is reserved')


def check_key_pattern(pattern: object) -> str:
    """Return *pattern* if it is a key with wildcards: ``*`` for a token, ``>`` for the rest."""
    return _check('key pattern', pattern, _KEY_PATTERN, 'is not a key with wildcards')


def _object_name(name: object) -> bytes:
    if not isinstance(name, str):
        raise TypeError(f'object name must be str, not {type(name).__name__}')
    if not name:
        raise ValueError('object name is empty')
    data = _encoded('object name', name)
    if len(data) > _MOST_OBJECT_NAME:
        raise ValueError(
            f'object name {_shown(name)} is {len(data)} bytes long; at most {_MOST_OBJECT_NAME} fit'
        )
    return data


def encode_object_name(name: object) -> str:
    """Return the subject token of an object name: padded base64url of its UTF-8 (ADR-20)."""
    return b2a_base64(_object_name(name), newline=False).translate(_URL_SAFE).decode()


def decode_object_name(token: str) -> str | None:
    """Return the object name of a subject token, or None if the token is not one."""
    try:
        data = base64.urlsafe_b64decode(token)
        name = data.decode()
    except ValueError:
        return None
    # Other spellings of the same bytes are other subjects.
    return name if base64.urlsafe_b64encode(data).decode() == token else None


def percent_encode_name(name: object) -> str:
    """Return the subject tokens that the Perl original uses for an object name.

    It keeps dots, so a name with a leading, trailing or double dot has no subject there:
    ``ValueError``.
    """
    # quote() leaves '~' as it is, the original does not.
    encoded = quote_from_bytes(_object_name(name), safe='').replace('~', '%7E')
    return _check('object name', encoded, _SUBJECT, 'has an empty token')


def percent_decode_name(tokens: str) -> str | None:
    """Return the object name of the Perl original's subject tokens, or None if they are not one."""
    try:
        return unquote_to_bytes(tokens).decode()
    except ValueError:
        return None
