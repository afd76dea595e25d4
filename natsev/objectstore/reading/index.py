"""Which chunk holds which byte: for reading a part of an object.

Chunks have no number and other clients cut them as they like, so nothing is taken for granted. When
the first and the last chunk prove, by their sequences and sizes and the object's count and size,
that all chunks lie one behind the other and are equal, that is the index: one round trip. Otherwise
the stream lists them, without their bytes.
"""

from __future__ import annotations

from array import array
from bisect import bisect_right
from collections.abc import Callable
from typing import NamedTuple, Protocol

from ...errors import NatsError, StreamNotFoundError
from ...jetstream import Consumption, Message
from ...jetstream.types import StoredMessage
from ..bucket import Bucket
from ..operation import Operation
from ..record import ObjectMeta


class Place(NamedTuple):
    """Where a chunk is.

    Attributes:
        number: counted from 0.
        seq: its sequence in the stream.
        start: the offset of its first byte in the object.
    """

    number: int
    seq: int
    start: int


class Index(Protocol):
    """The chunks of one object."""

    def find(self, offset: int) -> Place:
        """Return the chunk that holds the byte at *offset*, which the object has."""

    def agrees(self, number: int, seq: int, size: int) -> bool:
        """Is this what the chunk *number* must be?"""


class Even:
    """Chunks of one size, but perhaps the last, one behind the other in the stream."""

    def __init__(self, first_seq: int, chunk_size: int, size: int) -> None:
        self._first_seq = first_seq
        self._chunk_size = chunk_size
        self._size = size

    def find(self, offset: int) -> Place:
        number = offset // self._chunk_size
        return Place(number, self._first_seq + number, number * self._chunk_size)

    def agrees(self, number: int, seq: int, size: int) -> bool:
        left = self._size - number * self._chunk_size
        return seq == self._first_seq + number and size == min(self._chunk_size, left)


class Table:
    """Chunks of any sizes, anywhere in the stream. ``add`` them in order."""

    def __init__(self) -> None:
        self._seqs = array('Q')
        self._starts = array('Q')
        self.size = 0

    def __len__(self) -> int:
        return len(self._seqs)

    def add(self, seq: int, size: int) -> None:
        self._seqs.append(seq)
        self._starts.append(self.size)
        self.size += size

    def find(self, offset: int) -> Place:
        # Behind empty chunks, which begin where the next one does.
        number = bisect_right(self._starts, offset) - 1
        return Place(number, self._seqs[number], self._starts[number])

    def agrees(self, number: int, seq: int, size: int) -> bool:
        return number < len(self._seqs) and seq == self._seqs[number]


def index_of(
    bucket: Bucket,
    op: Operation,
    meta: ObjectMeta,
    then: Callable[[Index], None],
    missing: Callable[[], None],
    listed: Callable[[], None],
) -> None:
    """Make the index of the object *meta*.

    Args:
        bucket: where its chunks are.
        op: what this is a step of.
        meta: the object, which is not empty.
        then: called with the index.
        missing: called instead when there are not as many bytes as there should be.
        listed: called for each chunk that is listed, which may take long.
    """
    subject = bucket.subjects.chunk(meta['nuid'])
    ends: dict[str, StoredMessage | None] = {}

    def got(which: str) -> Callable[[StoredMessage | None], None]:
        def got_one(message: StoredMessage | None) -> None:
            ends[which] = message
            if len(ends) == 2:
                compare(ends['first'], ends['last'])

        return got_one

    def compare(first: StoredMessage | None, last: StoredMessage | None) -> None:
        if first is not None and last is not None and _even(meta, first, last):
            then(Even(first['seq'], len(first['payload']), meta['size']))
        else:
            _Scan(bucket, op, meta, then, missing, listed).start()

    bucket.get(op, {'next_by_subj': subject, 'seq': 1}, got('first'))
    bucket.get(op, {'last_by_subj': subject}, got('last'))


def _even(meta: ObjectMeta, first: StoredMessage, last: StoredMessage) -> bool:
    """Do the ends prove that all chunks between them are of one size, and adjacent?

    They are adjacent if there are as many sequences as chunks. None is larger than the declared
    largest size; if the first has it, and the sum of all leaves no room for a smaller one before
    the last, all have it.
    """
    each, count = len(first['payload']), meta['chunks']
    return (
        each > 0
        and each == meta['options'].get('max_chunk_size')
        and last['seq'] - first['seq'] == count - 1
        and (count - 1) * each + len(last['payload']) == meta['size']
    )


class _Scan:
    """Lists the chunks, without their bytes."""

    def __init__(
        self,
        bucket: Bucket,
        op: Operation,
        meta: ObjectMeta,
        then: Callable[[Index], None],
        missing: Callable[[], None],
        listed: Callable[[], None],
    ) -> None:
        self._bucket = bucket
        self._op = op
        self._meta = meta
        self._then = then
        self._missing = missing
        self._listed = listed
        self._epoch = op.epoch
        self._table = Table()
        self._consumption: Consumption | None = None

    def start(self) -> None:
        self._consumption = self._bucket.js.ordered(
            self._bucket.stream,
            self._message,
            filter_subjects=self._bucket.subjects.chunk(self._meta['nuid']),
            headers_only=True,
            on_caught_up=self._complete,
            on_end=self._ended,
        )

    def _stop(self) -> bool:
        """Stop; is the result still wanted?"""
        if self._consumption is not None:
            self._consumption.stop()
            self._consumption = None
        return not self._op.done and self._op.epoch == self._epoch

    def _message(self, message: Message) -> None:
        if self._op.done or self._op.epoch != self._epoch:
            self._stop()
            return
        self._listed()
        # The server's own header comes after those that were stored.
        size = message.headers.last('Nats-Msg-Size', '') if message.headers is not None else ''
        self._table.add(message.seq, int(size) if size and size.isascii() and size.isdigit() else 0)

    def _complete(self) -> None:
        if not self._stop():
            return
        if self._table.size < self._meta['size']:
            self._missing()
        else:
            self._then(self._table)

    def _ended(self, err: NatsError | None) -> None:
        if err is not None and self._stop():
            if isinstance(err, StreamNotFoundError):
                err = self._bucket.not_found(err)
            self._op.fail(err)
