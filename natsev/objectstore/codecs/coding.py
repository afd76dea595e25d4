"""What a codec is."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple, Protocol


class Coder(Protocol):
    """Turns a stream of bytes into another; the pieces may be cut anywhere."""

    def update(self, data: bytes | memoryview) -> Iterator[bytes]:
        """Give what comes of *data*."""

    def finish(self) -> bytes:
        """Return the rest.

        Raises:
            CodecError: the stream is not complete.
        """


class Codec(Protocol):
    """A way to encode objects.

    Attributes:
        name: what it is called in metadata.
    """

    name: str

    def encoder(self) -> Coder:
        """Return an encoder for one object."""

    def decoder(self) -> Coder:
        """Return a decoder for one object."""

    def metadata(self) -> dict[str, str]:
        """Return what else the metadata of an object tells."""


class Entry(NamedTuple):
    """Where to enter encoded bytes, and where to leave them.

    Attributes:
        decoder: decodes the bytes from ``start`` up to ``stop``.
        start: where they begin.
        stop: where they end.
        begins: the offset of the first decoded byte.
    """

    decoder: Coder
    start: int
    stop: int
    begins: int


class Seekable(Protocol):
    """What a codec has beside, whose encoded bytes can be entered in the middle: see ``seeking``.

    Its encoders have a method ``seek(before)``, which returns the seek once all has gone in; the
    argument is what the encoders before it noted. They return '' where only the beginning can be
    entered.
    """

    def decoded_size(self, seek: str, size: int) -> int:
        """Return how many bytes come of *size* encoded ones.

        Raises:
            CodecError: that cannot be.
        """

    def enter(self, seek: str, before: str, size: int, begin: int, end: int) -> Entry:
        """Return how to decode the bytes from *begin* up to *end*, of which there is at least one.

        Args:
            seek: what the encoder noted.
            before: what the encoders before it noted.
            size: of all encoded bytes.
            begin: of the decoded bytes.
            end: of the decoded bytes.

        Raises:
            CodecError: *seek* or *before* are not what was noted.
        """
