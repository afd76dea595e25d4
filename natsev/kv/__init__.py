"""Key-value buckets over JetStream (ADR-8).

Mirrors EV::Nats::KV.
"""

from __future__ import annotations

from ..codec import Codec, codec_of
from ..jetstream import JetStream
from .bucket import BucketOptions, Status
from .entry import Entry
from .keys import Base64Keys, KeyChain, KeyCodec, PathKeys
from .many import Many
from .place import Place
from .reading import Watch
from .values import Values


class KV(Values, Many):
    """A bucket of values by key.

    Keys are made of ``A-Z a-z 0-9 - / _ =`` and single dots between them (ADR-8), unless a
    *key_codec* turns other ones into such.

    Args:
        js: the ``JetStream``.
        bucket: the bucket's name.
        timeout: ms to wait for each answer; default: that of *js*.
        codec: ``'msgpack'``, or an object with ``encode`` and ``decode``: values are then Python
            values instead of bytes.
        key_codec: an object with ``encode`` and ``decode`` for keys (ADR-54), such as
            ``Base64Keys()``.

    Attributes:
        js: the ``JetStream``.
        bucket: the bucket's name.

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
        self.js = js if timeout is None else js.with_timeout(timeout)
        self.bucket = bucket
        self._place = Place(js, bucket, codec_of(codec), key_codec)

    def __repr__(self) -> str:
        return f'<KV {self.bucket}>'


__all__ = [
    'KV',
    'Base64Keys',
    'BucketOptions',
    'Entry',
    'KeyChain',
    'KeyCodec',
    'PathKeys',
    'Status',
    'Watch',
]
