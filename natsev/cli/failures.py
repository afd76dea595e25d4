"""How a command fails: one line that says what to do, and an exit code that says which kind."""

from __future__ import annotations

import json
from typing import Any

import click

from .. import errors
from .output import note

FAILED = 1
USAGE = 2
NOT_FOUND = 3
NO_CONNECTION = 4
NO_ANSWER = 5
CONFLICT = 6
DAMAGED = 7
INTERRUPTED = 130


class NotFound(errors.NatsError):
    """What was asked for is not there."""


# The first that fits counts.
_KINDS: list[tuple[type[BaseException], int, str]] = [
    (NotFound, NOT_FOUND, ''),
    (errors.AuthenticationError, NO_CONNECTION, 'see --user, --token, --creds, --nkey, --context'),
    (errors.PermissionsError, FAILED, 'ask whoever sets the permissions of this account'),
    (
        errors.ConnectError,
        NO_CONNECTION,
        'name one with --server, or start one: natsev server',
    ),
    (errors.ProtocolError, NO_CONNECTION, "is that the port of a NATS server's clients?"),
    (errors.DisconnectedError, NO_CONNECTION, 'it may or may not have been done: look, try again'),
    (errors.NoResponders, NO_ANSWER, 'nobody listens there'),
    (errors.RequestTimeout, NO_ANSWER, 'wait longer with --timeout'),
    (errors.BucketNotFoundError, NOT_FOUND, 'see the buckets with ls, make one with add'),
    (errors.StreamNotFoundError, NOT_FOUND, 'see the streams: natsev stream ls'),
    (errors.ConsumerNotFoundError, NOT_FOUND, 'see the consumers: natsev consumer ls STREAM'),
    (errors.MessageNotFoundError, NOT_FOUND, ''),
    (errors.LinkError, NOT_FOUND, ''),
    (errors.BucketExistsError, CONFLICT, 'it is there, with other options'),
    (errors.StreamExistsError, CONFLICT, 'change it with edit, or take another name'),
    (errors.ConsumerExistsError, CONFLICT, 'take another name'),
    (errors.WrongSequenceError, CONFLICT, 'somebody else was first: look, try again'),
    (errors.ObjectChanged, CONFLICT, 'try again'),
    (errors.NotModified, CONFLICT, ''),
    (errors.DigestMismatch, DAMAGED, 'fetch it again; if that does not help, put it anew'),
    (errors.MissingChunks, DAMAGED, 'put it anew'),
    (errors.InvalidMetaError, DAMAGED, 'put it anew'),
    (errors.CodecError, FAILED, ''),
    (errors.JetStreamNotEnabledError, FAILED, 'start the server with JetStream'),
    (errors.StorageFullError, FAILED, 'delete something, or raise the limit'),
]


# What the library says of its arguments, in the command's words.
_WORDS = {
    'create it with atomic=True': 'make it with object add --atomic',
    'create it with object_ttl=True': 'make it with object add --object-ttl',
    'give the store its codec': 'it needs its --key-file',
}


def exit_code(error: BaseException) -> int:
    """Return the exit code for *error*."""
    return _kind(error)[0]


def _kind(error: BaseException) -> tuple[int, str]:
    for kind, code, advice in _KINDS:
        if isinstance(error, kind):
            return code, advice
    return (USAGE, '') if isinstance(error, (ValueError, TypeError)) else (FAILED, '')


def report(error: BaseException, as_json: bool) -> int:
    """Print *error* on stderr, in one line or as JSON, and return the exit code."""
    code, advice = _kind(error)
    text = _text(error)
    for said, meant in _WORDS.items():
        text = text.replace(said, meant)
    facts: dict[str, Any] = {}
    if isinstance(error, errors.JetStreamError):
        facts.update(code=error.code, err_code=error.err_code)
    show(type(error).__name__, text, advice, as_json, **facts)
    return code


def show(kind: str, text: str, advice: str, as_json: bool, **facts: Any) -> None:
    """Print what went wrong on stderr."""
    text = ' '.join(text.split())
    if as_json:
        error = {'type': kind, 'message': text, **facts}
        click.echo(json.dumps({'error': error}, ensure_ascii=False), err=True)
    else:
        note(text + (f' ({advice})' if advice else ''))


def _text(error: BaseException) -> str:
    cause = error.__cause__ if isinstance(error, errors.ObjectStoreError) else error
    if isinstance(cause, OSError) and cause.strerror and not isinstance(cause, errors.NatsError):
        return f'{cause.filename}: {cause.strerror}' if cause.filename else cause.strerror
    if isinstance(error, errors.JetStreamError) and type(error) is not errors.JetStreamError:
        return error.description or str(error)  # its class says what the server's numbers say
    return str(error) or type(error).__name__
