"""The public names: which they are, and that each is documented."""

from __future__ import annotations

import inspect
import os
from pathlib import Path

import pytest

import natsev

NAMES = """
    AuthenticationError BucketExistsError BucketNotFoundError BufferFullError Cancelled CodecError
    ConnectError ConsumerExistsError ConsumerNotFoundError ConsumptionEnded DigestMismatch
    DisconnectedError ForkedError InvalidMetaError JetStreamError JetStreamNotEnabledError LinkError
    MaxPayloadError MessageNotFoundError MissingChunks MissingExtraError NatsError NoResponders
    NotModified ObjectChanged ObjectStoreError PermissionsError ProtocolError RequestTimeout
    SealedError ServerError ServiceError SlowConsumerError StaleConnectionError
    StorageFullError
    StreamExistsError StreamNotFoundError TooManyRequestsError UnsupportedOptionError
    WrongSequenceError
    Headers JetStream KV Nats ObjectStore __version__ ev wire_implementation
"""
CLASSES = [
    value for value in (getattr(natsev, name) for name in natsev.__all__) if inspect.isclass(value)
]


def test_the_names_are_these():
    assert sorted(natsev.__all__) == sorted(NAMES.split())


def test_all_are_there_once():
    assert len(set(natsev.__all__)) == len(natsev.__all__)
    assert all(hasattr(natsev, name) for name in natsev.__all__)


def test_every_error_is_public():
    errors = {
        name
        for name, value in vars(natsev.errors).items()
        if inspect.isclass(value) and issubclass(value, natsev.NatsError)
    }
    assert errors <= set(NAMES.split())


@pytest.mark.parametrize('public', CLASSES, ids=lambda public: public.__name__)
def test_every_class_and_method_is_documented(public):
    assert public.__doc__
    for name, member in inspect.getmembers(public):
        ours = getattr(member, '__module__', '') or ''
        if name.startswith('_') or not ours.startswith('natsev'):
            continue
        if inspect.isroutine(member):
            assert inspect.getdoc(member), f'{public.__name__}.{name} has no docstring'
    for name, member in vars(public).items():
        if isinstance(member, property) and not name.startswith('_'):
            assert member.__doc__, f'{public.__name__}.{name} has no docstring'


def test_the_version_is_the_installed_one():
    from importlib.metadata import version

    assert natsev.__version__ == version('natsev')


def test_the_wire_is_the_one_asked_for():
    sources = list(Path(natsev.__file__).parent.glob('wire/_speedups*.c'))
    if os.environ.get('NATSEV_PUREPYTHON'):
        assert natsev.wire_implementation == 'python'
    elif os.environ.get('NATSEV_BUILD_EXT') == 'yes' and sources:
        assert natsev.wire_implementation == 'compiled'
    else:
        assert natsev.wire_implementation in ('compiled', 'python')
