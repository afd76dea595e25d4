"""JetStream: streams, consumers, acknowledged publishing, and reading.

Mirrors EV::Nats::JetStream. https://docs.nats.io/nats-concepts/jetstream
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from ..codec import Codec, codec_of
from ..coded import CodedNats
from ..subjects import check_subject
from .api import Api
from .atomic import AtomicBatch
from .consumers import Consumers
from .consumption import Consumption
from .direct import Direct
from .fast import FastBatch
from .message import Message
from .publish import Publisher, Publishing
from .reading import Reading
from .streams import Streams

if TYPE_CHECKING:
    from ..nats import Nats


class JetStream(Streams, Consumers, Publishing, Direct, Reading):
    """JetStream as one client sees it. All methods call back from the loop.

    Args:
        nats: the client.
        prefix: of the API's subjects, where an import maps it.
        timeout: ms to wait for each answer.
        domain: use the API of this domain; not together with *prefix*.
        codec: ``'msgpack'``, or an object with ``encode`` and ``decode``: what is published is then
            a Python value, and ``message.value`` gives it. A ``nats.with_codec()`` brings its own.

    Attributes:
        nats: the client, without a codec.
        prefix: of the API's subjects.
        timeout: ms to wait for each answer.

    Raises:
        TypeError, ValueError: an argument cannot be.
    """

    def __init__(
        self,
        *,
        nats: Nats | CodedNats,
        prefix: str = '$JS.API',
        timeout: float = 5000,
        domain: str | None = None,
        codec: str | Codec | None = None,
    ) -> None:
        if domain is not None:
            if prefix != '$JS.API':
                raise ValueError('JetStream takes prefix or domain, not both')
            prefix = f'$JS.{check_subject(domain, "domain")}.API'
        if isinstance(timeout, bool) or not isinstance(timeout, (int, float)):
            raise TypeError(f'timeout must be a number of ms, not {type(timeout).__name__}')
        if timeout <= 0:
            raise ValueError(f'timeout must be more than 0 ms, not {timeout}')
        if isinstance(nats, CodedNats):
            codec = codec if codec is not None else nats.codec
            self.nats: Nats = nats.nats
        else:
            self.nats = nats
        self.prefix = check_subject(prefix, 'prefix')
        self.timeout = timeout
        self._api = Api(self.nats, self.prefix, timeout, codec_of(codec))

    def __repr__(self) -> str:
        return f'<JetStream {self.prefix}>'

    def atomic_batch(self, stream: str | None = None) -> AtomicBatch:
        """Return a batch of messages that are stored together or not at all (ADR-50, server 2.12).

        Args:
            stream: the stream, which must have ``allow_atomic``; None: whichever takes the first
                message's subject.
        """
        return AtomicBatch(self, stream)

    def fast_batch(
        self, stream: str, flow: int = 100, on_drain: Callable[[], Any] | None = None
    ) -> FastBatch:
        """Return a batch of messages that are stored as fast as the stream takes them (ADR-50).

        With few acknowledgements; not atomic: when it fails, what came before the failure stays.

        Args:
            stream: the stream, which must have ``allow_batched`` (server 2.14).
            flow: at most so many messages per acknowledgement.
            on_drain: called without arguments when there is room again after ``add`` said False.
        """
        return FastBatch(self, stream, flow, on_drain)

    def with_timeout(self, timeout: float) -> JetStream:
        """Return the same with another timeout in ms."""
        codec = self._api.codec
        return JetStream(nats=self.nats, prefix=self.prefix, timeout=timeout, codec=codec)


__all__ = ['AtomicBatch', 'Consumption', 'FastBatch', 'JetStream', 'Message', 'Publisher']
