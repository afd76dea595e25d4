"""Every call on a bucket, and whether what came of them all can be."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import count
from random import Random
from typing import Any

from natsev import Cancelled, NatsError

MIB = 1 << 20
LARGEST = 24 * MIB
_NOISE = Random(0).randbytes(LARGEST + 8 * MIB)


def content(number: int, size: int) -> bytes:
    """Return the *size* bytes of put *number*: no two puts store the same, nor two chunks."""
    start = number * 7919 % (len(_NOISE) - LARGEST)
    head = b'%d:' % number
    return (head + _NOISE[start : start + size])[:size]


@dataclass
class Made:
    """A call that was made.

    Attributes:
        began, ended: when, in turns of a clock that counts beginnings and ends; 0: not yet.
        told: how often its callback was called.
        seq, nuid: of the metadata that a put stored.
        did: what a delete says it did.
    """

    number: int
    kind: str
    name: str
    size: int
    began: int
    ended: int = 0
    told: int = 0
    err: NatsError | None = None
    seq: int = 0
    nuid: str = ''
    did: bool = False


class History:
    """The calls on one bucket.

    Attributes:
        calls: all of them.
        pending: how many have not ended.
    """

    def __init__(self) -> None:
        self.calls: list[Made] = []
        self.pending = 0
        self._clock = count(1)
        self._newest: dict[str, int] = defaultdict(int)  # the last acknowledged put, by name
        self._watched: dict[str, int] = {}

    def begin(
        self, kind: str, name: str, then: Callable[..., Any], size: int = 0
    ) -> tuple[Made, Callable[..., None]]:
        """Note a call; return it and its callback, which goes on with ``then(made, *results)``."""
        made = Made(len(self.calls), kind, name, size, next(self._clock))
        self.calls.append(made)
        self.pending += 1

        def told(result: Any, err: NatsError | None, *more: Any) -> None:
            made.told += 1
            assert made.told == 1, f'{made} was told twice'
            made.ended = next(self._clock)
            made.err = err
            self.pending -= 1
            then(made, result, err, *more)

        return made, told

    def stored(self, made: Made, info: Any) -> None:
        """A put was acknowledged."""
        assert info['size'] == made.size
        made.seq, made.nuid = info['seq'], info['nuid']
        self._newest[made.name] = max(self._newest[made.name], made.seq)

    def updated(self, meta: Any) -> None:
        """The metadata of what a put stored was changed: it has another sequence now."""
        put = self._put(meta)
        put.seq = max(put.seq, meta['seq'])
        self._newest[put.name] = max(self._newest[put.name], meta['seq'])

    def floor(self, name: str) -> int:
        """Return the least sequence that who reads *name* from now on may see."""
        return self._newest[name]

    def read(self, made: Made, data: bytes, meta: Any, offset: int, floor: int) -> None:
        """A get from *offset* on has ended: are these bytes some put's, and not too old ones?"""
        assert meta['seq'] >= floor, f'{made} read an older one than was acknowledged'
        put = self._put(meta)
        assert put.name == made.name
        assert data == content(put.number, put.size)[offset:]

    def read_nothing(self, made: Made) -> None:
        """A get has found nothing: then nothing was there, or it was deleted."""
        before = [put for put in self._of('put', made.name) if put.seq and put.ended < made.began]
        assert not before or self._of('delete', made.name), f'{made} found nothing'

    def watched(self, meta: Any) -> None:
        """A watch has told of a change."""
        name, seq, before = meta['name'], meta['seq'], self._watched.get(meta['name'], 0)
        assert seq > before, f'the watch told of {name} {seq} after {before}'
        self._watched[name] = seq

    def saw_all(self, found: dict[str, Any]) -> bool:
        """Has the watch told of all that is there?"""
        return all(self._watched.get(name) == meta['seq'] for name, meta in found.items())

    def check(self, found: dict[str, Any], read: Callable[[str], bytes]) -> None:
        """Check what there is at the end against what was done.

        Args:
            found: the metadata that is there, tombstones too, by name.
            read: ``read(name)`` returns the bytes of an object.
        """
        assert [made for made in self.calls if made.told != 1] == [], 'each is told once'
        for name in {made.name for made in self._writes()} | found.keys():
            self._check_object(name, found.get(name), read)

    def _check_object(self, name: str, meta: Any, read: Callable[[str], bytes]) -> None:
        puts, deletes = self._of('put', name), self._of('delete', name)
        if meta is None or meta['deleted']:
            acknowledged = [put for put in puts if put.seq]
            assert deletes or not acknowledged, f'{name} is lost'
            assert meta is None or meta['seq'] > self._newest[name]
            return
        assert meta['seq'] >= self._newest[name], f'{name} is an older one than acknowledged'
        put = self._put(meta)
        # Where nobody knows what became of it, it may be there; a cancelled one has left nothing.
        unsure = put.err and not isinstance(put.err, Cancelled)
        changed = put.seq and any(update.err for update in self._of('update', name))
        assert put.seq == meta['seq'] or unsure or changed, put
        assert read(name) == content(put.number, put.size), f'{name} was altered'
        for delete in deletes:
            behind = all(put.ended < delete.began for put in puts)
            assert not (behind and delete.did), f'{name} was deleted, and is there'

    def _put(self, meta: Any) -> Made:
        put = self.calls[int(meta['description'])]
        assert (put.kind, put.size) == ('put', meta['size'])
        return put

    def _of(self, kind: str, name: str) -> list[Made]:
        return [made for made in self.calls if (made.kind, made.name) == (kind, name)]

    def _writes(self) -> Iterable[Made]:
        return (made for made in self.calls if made.kind in ('put', 'delete'))

    def failures(self) -> list[Made]:
        """Return the calls that failed."""
        return [made for made in self.calls if made.err is not None]

    def figures(self) -> dict[str, Any]:
        """Return numbers of calls and errors by kind, and the MiB given to puts."""
        errors = Counter(f'{made.kind} {type(made.err).__name__}' for made in self.failures())
        return {
            'calls': dict(Counter(made.kind for made in self.calls)),
            'errors': dict(errors),
            'mib_put': sum(made.size for made in self.calls) / MIB,
        }
