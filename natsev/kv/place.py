"""Where a bucket's keys are: their subjects, which in a mirror are those of the origin (ADR-8)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..codec import Codec, decode, encode
from ..errors import CodecError
from ..jetstream import JetStream
from ..subjects import check_key, check_key_pattern
from .bucket import STREAM_PREFIX, stream_name, subject_prefix
from .keys import KeyCodec, encode_filter

_DEFAULT_API = '$JS.API'
# Keys found legal; when so many are known, they are forgotten and checked again.
_MOST_KNOWN = 1024


class Place:
    """The subjects of one bucket, and the codecs of its keys and values.

    Attributes:
        bucket: the bucket.
        stream: its stream.
        known: the stream has been looked at. Until then the bucket is taken to be no mirror.
        coded: values have a codec.
    """

    def __init__(
        self, js: JetStream, bucket: str, codec: Codec | None, key_codec: KeyCodec | None
    ) -> None:
        self.bucket = bucket
        self.stream = stream_name(bucket)
        self.known = False
        self.coded = codec is not None
        self._codec = codec
        self._key_codec = key_codec
        # Another domain's bucket is written through its API (the server maps this back).
        self._through = '' if js.prefix == _DEFAULT_API else f'{js.prefix}.'
        self._prefix = subject_prefix(bucket)
        self._put_prefix = self._through + self._prefix
        self._legal: set[str] = set()  # keys found so

    def learn(self, info: Mapping[str, Any]) -> None:
        """Take note of the stream's *info*: is the bucket a mirror?"""
        self.known = True
        mirror = (info.get('config') or {}).get('mirror')
        if mirror:
            self._prefix = subject_prefix(str(mirror.get('name'))[len(STREAM_PREFIX) :])
            api = (mirror.get('external') or {}).get('api')
            self._put_prefix = f'{api}.{self._prefix}' if api else self._through + self._prefix

    def subject(self, key: str) -> str:
        """Return the subject that *key* is read from.

        Raises:
            TypeError, ValueError: an illegal key.
        """
        return self._prefix + self.stored_key(key)

    def put_subject(self, key: str) -> str:
        """Return the subject that *key* is written to."""
        return self._put_prefix + self.stored_key(key)

    def filter(self, pattern: str) -> str:
        """Return the subject that the keys of *pattern* have, whether in a mirror or not.

        Raises:
            TypeError, ValueError: an illegal pattern.
        """
        if self._key_codec is not None:
            pattern = encode_filter(self._key_codec, pattern)
        # A stream holds the keys of one bucket, so until we know which, any will do.
        return (self._prefix if self.known else '$KV.*.') + check_key_pattern(pattern)

    def key_of(self, subject: str) -> str:
        """Return the key of *subject*.

        Raises:
            CodecError: the key codec refuses it.
        """
        stored = self.stored_key_of(subject)
        if self._key_codec is None:
            return stored
        try:
            return self._key_codec.decode(stored)
        except CodecError:
            raise
        except Exception as err:  # a codec is the user's: whatever it raises means the same
            raise CodecError(f'key {stored!r} cannot be decoded: {err}') from err

    def stored_key_of(self, subject: str) -> str:
        """Return the key of *subject* as it is in the bucket."""
        return subject.split('.', 2)[2]

    def stored_key(self, key: str) -> str:
        """Return *key* as it is in the bucket."""
        if self._key_codec is None:
            if type(key) is not str or key not in self._legal:
                self._check(key)
            return key
        if not isinstance(key, str):
            raise TypeError(f'key must be str, not {type(key).__name__}')
        return check_key(self._key_codec.encode(key))

    def _check(self, key: str) -> None:
        check_key(key)
        if len(self._legal) >= _MOST_KNOWN:
            self._legal.clear()
        self._legal.add(key)

    def encode(self, key: str, value: Any) -> Any:
        """Return *value* as a payload.

        Raises:
            CodecError: the codec refuses it.
        """
        if self._codec is None:
            return value
        return encode(self._codec, value, f'value of key {key!r}')

    def decode(self, key: str, payload: bytes) -> Any:
        """Return the value of *payload*.

        Raises:
            CodecError: the codec refuses it.
        """
        if self._codec is None:
            return payload
        return decode(self._codec, payload, f'value of key {key!r}')
