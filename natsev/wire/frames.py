"""The output of the pure wire: frames in order, until the kernel has taken them.

A frame is one protocol message to the server. It is ``bytes`` or, where its payload is large,
``(head, payload)``, so that the payload is not copied. Frames are numbered from 1 in the order they
were appended; one that is given up becomes zero-length and so keeps its number. What kind of frame
it is its own first bytes tell.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from typing import TypeAlias

from .shared import LARGE, MOST_PIECES

Buffer: TypeAlias = bytes | memoryview
Frame: TypeAlias = bytes | tuple[bytes, Buffer]

_CRLF = b'\r\n'
_MESSAGES = (b'PUB ', b'HPUB ')
_PING = b'PING'


def length(frame: Frame) -> int:
    """Return the bytes of *frame*."""
    if isinstance(frame, bytes):
        return len(frame)
    return len(frame[0]) + len(frame[1]) + len(_CRLF)


def _head(frame: Frame) -> bytes:
    return frame if isinstance(frame, bytes) else frame[0]


def _is_message(frame: Frame) -> bool:
    return _head(frame).startswith(_MESSAGES)


def _message_size(frame: Frame) -> int:
    """Return headers and payload, in bytes: the last number of the first line."""
    return int(_head(frame).partition(_CRLF)[0].rpartition(b' ')[2])


class Frames:
    """Frames not yet taken by the kernel.

    Attributes:
        appended: frames ever appended.
        pending: bytes waiting, without what has been taken of the first frame.
    """

    __slots__ = ('_frames', '_prefix', '_taken', 'appended', 'pending')

    def __init__(self) -> None:
        self._frames: deque[Frame] = deque()
        self._taken = 0  # of the first frame (of the prefix, while there is one)
        self._prefix = b''  # goes before the frames and is no frame itself
        self.appended = 0
        self.pending = 0

    @property
    def sent(self) -> int:
        """Frames wholly taken, or given up, of those appended."""
        return self.appended - len(self._frames)

    @property
    def waiting(self) -> int:
        """Messages among the frames."""
        return sum(map(_is_message, self._frames))

    def append(self, frame: Frame, size: int) -> None:
        """Append *frame* of *size* bytes."""
        self._frames.append(frame)
        self.appended += 1
        self.pending += size

    def prepend(self, data: bytes) -> None:
        """Put *data* before everything that waits. Not while the first frame is half taken."""
        self._prefix = data + self._prefix
        self.pending += len(data)

    def pieces(self, most: int) -> list[Buffer]:
        """Return about the first *most* bytes: small frames joined, large payloads as they are."""
        pieces: list[Buffer] = []
        small: list[bytes] = []
        gathered = 0
        for part in self._parts():
            if gathered >= most or len(pieces) >= MOST_PIECES - 1:
                break
            gathered += len(part)
            if isinstance(part, bytes) and len(part) < LARGE:
                small.append(part)
                continue
            if small:
                pieces.append(b''.join(small))
                small.clear()
            pieces.append(part)
        if small:
            pieces.append(b''.join(small))
        return pieces

    def _parts(self) -> Iterator[Buffer]:
        skip = self._taken
        for part in self._all_parts():
            if skip >= len(part):
                skip -= len(part)
            elif skip:
                yield memoryview(part)[skip:]
                skip = 0
            else:
                yield part

    def _all_parts(self) -> Iterator[Buffer]:
        if self._prefix:
            yield self._prefix
        for frame in self._frames:
            if isinstance(frame, bytes):
                yield frame
            else:
                yield from (*frame, _CRLF)

    def take(self, size: int) -> None:
        """Forget the first *size* bytes: the kernel has them."""
        self.pending -= size
        size += self._taken
        if self._prefix:
            if size < len(self._prefix):
                self._taken = size
                return
            size -= len(self._prefix)
            self._prefix = b''
        frames = self._frames
        while frames and (first := length(frames[0])) <= size:
            size -= first
            frames.popleft()
        self._taken = size

    def rewind(self) -> None:
        """The connection is gone: keep messages and pings, the half-taken one whole."""
        self._prefix = b''
        self._taken = 0
        self._replace(lambda frame: _is_message(frame) or _head(frame).startswith(_PING))

    def clear(self) -> None:
        """Give up everything."""
        self._prefix = b''
        self._taken = 0
        self._frames.clear()
        self.pending = 0

    def drop_messages(self, larger_than: int = -1) -> list[tuple[int, int]]:
        """Give up messages of more than *larger_than* bytes; return their frame numbers and sizes.

        A message that is half taken stays.
        """
        dropped = []
        half_taken = self._taken and not self._prefix
        first = self.sent + 1
        for number, frame in enumerate(self._frames, first):
            if _is_message(frame) and not (half_taken and number == first):
                size = _message_size(frame)
                if size > larger_than:
                    dropped.append((number, size))
        gone = {number for number, _ in dropped}
        numbers = iter(range(first, self.appended + 1))
        self._replace(lambda _: next(numbers) not in gone)
        return dropped

    def drop(self, number: int) -> None:
        """Give up frame *number*, unless the kernel has some of it."""
        at = number - self.sent - 1
        untouched = at > 0 or (at == 0 and (self._prefix or not self._taken))
        if untouched and at < len(self._frames):
            self.pending -= length(self._frames[at])
            self._frames[at] = b''
            self._skip_empty()

    def _replace(self, keep: Callable[[Frame], bool]) -> None:
        """Make every frame that is not to be kept zero-length."""
        self._frames = deque(frame if keep(frame) else b'' for frame in self._frames)
        self.pending = sum(map(length, self._frames)) + len(self._prefix) - self._taken
        self._skip_empty()

    def _skip_empty(self) -> None:
        while self._frames and not self._frames[0]:
            self._frames.popleft()
