"""Storing an object: the chunks, then the metadata, then the old chunks' purge (ADR-20).

The metadata is published with compare-and-set. A put whose guess is wrong, or that another writer
overtakes, reads what is there now and tries again, so that what is replaced is always known and
purged: writers that race for a name leak nothing. It has a message id too: sent again after a lost
connection, it is found to have been stored even if another writer has replaced it since. An object
of one chunk goes out together with its metadata in one write, the metadata guarded by the chunk's
id.
"""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Callable, Mapping
from datetime import datetime, timezone
from enum import Enum, auto
from functools import partial
from math import ceil
from time import monotonic
from typing import Any, NamedTuple

from ...calls import Call, Handle
from ...errors import (
    Cancelled,
    DisconnectedError,
    NatsError,
    ObjectChanged,
    ObjectStoreError,
    RequestTimeout,
    WrongSequenceError,
)
from ...headers import Headers
from ...jetstream.api import parse_reply
from ...jetstream.types import StoredMessage
from ...nuid import next_nuid
from .. import metas, record
from ..aftermath import Aftermath
from ..bucket import NOTHING, Bucket, Known
from ..codecs import chain
from ..codecs.coded import codec_of, plain
from ..lookup import known_of, meta_of
from ..purge import Purge
from ..record import ObjectMeta
from ..source import Buffer, Source
from ..transfer import Transfer
from ..versions import save, trim_in_background
from .chunks import SAFE_PART, Chunks, may_pass

# Room in a message for the headers beside its payload.
_HEADROOM = 1024
# Bytes hashed at once, and how often in one turn of the loop: some two milliseconds.
_HASHED, _HASHED_PER_TURN = 256 * 1024, 8
_WRONG_LAST_MSG_ID = 10070
_PAUSE = 0.25


class Condition(NamedTuple):
    """What must hold for an object to be stored; ``ANY``: nothing."""

    expected_seq: int | None = None
    if_absent: bool = False


ANY = Condition()


class _Stage(Enum):
    OPENING = auto()  # the bucket's configuration is asked for
    PREPARING = auto()
    COMPARING = auto()  # the source is hashed, to see whether it is there already
    STARTING = auto()  # the first bytes are awaited
    SENDING = auto()
    COMMITTING = auto()  # the metadata is on its way


class Put(Transfer):
    """One object being stored.

    Args:
        bucket: where.
        call: the user's call; its result is the metadata.
        meta: the new metadata, as far as it is known.
        source: the bytes.
        chunk_size: as asked for; what the server takes may be less.
        condition: what must hold.
        progress: the user's, called as ``progress(done, total)``.
        skip_same: store nothing when the object there has the same bytes.
        ttl: ms after which the object goes; None: never.
        keep_versions: how many earlier versions shall be kept; None: as many as before.
        unknown: further fields of the metadata, of other clients.
    """

    def __init__(
        self,
        bucket: Bucket,
        call: Call,
        meta: ObjectMeta,
        source: Source,
        *,
        chunk_size: int,
        condition: Condition = ANY,
        progress: Callable[..., Any] | None = None,
        skip_same: bool = False,
        ttl: float | None = None,
        keep_versions: int | None = None,
        unknown: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(bucket, call, progress)
        self._keep_versions = keep_versions
        self._unknown = unknown
        self.bytes_total = source.size
        self._meta = meta
        self._subject = bucket.subjects.meta(meta['name'])
        self._source = source
        self._chunk_size = chunk_size
        self._condition = condition
        self._stage = _Stage.OPENING
        self._hash = hashlib.sha256()
        self._size = 0
        self._at_end = False
        self._ahead: deque[Buffer] = deque()  # read, but not yet taken by the chunks
        self._skip_same = skip_same
        # What is there, and the hash of the source so far, while they are compared.
        self._compared: tuple[ObjectMeta, Any] | None = None
        self._hash_soon = False
        self._ttl = ttl
        self._begin_chunks()
        self._started_over = False
        # Is it one chunk, which goes out together with the metadata?
        self._pair = False
        # The meta to replace: its sequence, and what else there is to know of it.
        self._expected: int | None = None
        self._present = NOTHING
        # Its message, where it is to be kept as a version; and is it being saved as one?
        self._current: StoredMessage | None = None
        self._saving = False
        # The same of every attempt; and since when it is not known what became of one.
        self._attempts: dict[int, Known] = {}
        self._unsure_since: float | None = None
        self._cancelled_late = False  # it counts only if the metadata is not stored
        # The metadata's publish, and the reply to it.
        self._request: Handle | None = None
        self._reply: dict[str, Any] | NatsError | None = None
        self._guarded = False
        self._was_lost = False
        self._counted = True  # False: what a lost connection had sent makes the count uncertain
        self._purging = False
        self._began_at = 0.0  # when the first chunk was sent

    # The stages.

    def _go_on(self) -> None:
        if self._stage is _Stage.OPENING:
            names = (self._meta['name'],)
            self._bucket.when_settled(names, partial(self._open, self.epoch))
        elif self._stage is _Stage.PREPARING:
            self._prepare()
        elif self._stage is _Stage.COMPARING:
            self._compare_again()
        elif self._stage is _Stage.STARTING:
            self._look()
        elif self._chunks.settled and self._stage is _Stage.COMMITTING:
            self._commit()
        else:
            self._stage = _Stage.SENDING
            if self._expected is None:
                self._read_current()
            self._chunks.recover()

    def _open(self, epoch: int) -> None:
        if epoch == self.epoch and not self.done:
            self._bucket.open(self, self._opened)

    def _opened(self) -> None:
        refusal = self._bucket.refusal()
        if refusal is not None:
            self.fail(refusal)
            return
        if self._ttl is not None and not self._bucket.config.get('allow_msg_ttl'):
            text = 'the bucket takes no ttl: create it with object_ttl=True'
            self.fail(ObjectStoreError(text, bucket=self._bucket.name))
            return
        self._chunk_size = chunk_size_for(self._bucket, self._chunk_size)
        self._meta['options']['max_chunk_size'] = self._chunk_size
        try:
            self._source.open()
        except Exception as exc:  # whatever the user's path or file raises
            self._source_failed(exc)
            return
        self.bytes_total = self._source.size
        self._stage = _Stage.PREPARING
        self._prepare()

    def _prepare(self) -> None:
        """The source is open; called again after a lost connection."""
        if self._skip_same:
            self._stage = _Stage.COMPARING
            self._compare()
        else:
            self._stage = _Stage.STARTING
            self._look()

    # Is it the same object that is there?

    def _compare(self) -> None:
        self._bucket.leader(self, {'last_by_subj': self._subject}, self._compare_with)

    def _compare_again(self) -> None:
        self._compared = None
        try:
            if not self._source.rewind():
                raise OSError('it cannot be read twice')
        except Exception as exc:  # whatever the user's file raises
            self._source_failed(exc)
        else:
            self._compare()

    def _compare_with(self, message: StoredMessage | None) -> None:
        if not self._take_current(message):
            return
        meta = meta_of(message, self._bucket.name)
        size = self._source.size
        if (
            meta is None
            or not meta['digest']
            or size not in (None, meta['size'])
            or meta['metadata'].get(chain.CODEC) != codec_of(self._source)
        ):
            self._differs()
        else:
            self._compared = meta, hashlib.sha256()
            self._hash_on()

    def _hash_on(self) -> None:
        """Hash the source, a part in each turn of the loop."""
        if self._compared is None or not self.running:
            return  # begins again with the next connection, or when it is resumed
        meta, digest = self._compared
        try:
            for _ in range(_HASHED_PER_TURN):
                piece = plain(self._source).read(_HASHED)
                if piece is None:
                    return  # goes on when there is something to read
                digest.update(piece)
                if len(piece) < _HASHED:
                    break
            else:
                self._hash_soon = True
                self._nats.call_soon(self._hash_next)
                return
            self._compared = None
            if digest.digest() == chain.plain_digest(meta):
                self._end(meta, None)
            elif not self._source.rewind():
                raise OSError('it cannot be read twice')
            else:
                self._differs()
        except Exception as exc:  # whatever the user's file raises
            self._source_failed(exc)

    def _hash_next(self) -> None:
        self._hash_soon = False
        self._hash_on()

    def _differs(self) -> None:
        self._stage = _Stage.STARTING
        self._look()

    def _look(self) -> None:
        """Look at the first bytes: are they all?"""
        if not self.running:
            return
        while len(self._ahead) < 2 and not self._at_end:
            piece = self._read()
            if piece is None:
                break
            self._ahead.append(piece)
        if self.done or not (self._ahead or self._at_end):
            return  # failed, or there is nothing yet
        all_here = self._at_end and len(self._ahead) < 2 and not self._chunks.count
        self._pair = all_here and len(self._ahead) == 1
        self._stage = _Stage.SENDING
        self._began_at = self._began_at or monotonic()
        if not (all_here and self._guess()):
            self._read_current()
        # With a condition it is better to know first than to send in vain.
        if self._expected is not None or self._condition == ANY:
            self._chunks.pump()

    def _resumed(self) -> None:
        if not self.running:
            return
        if self._stage is _Stage.COMPARING:
            if not self._hash_soon:
                self._hash_on()
        elif self._stage is _Stage.STARTING:
            self._look()
        elif self._stage is _Stage.SENDING and self._chunks.refusal is None:
            self._chunks.pump()

    def wake(self) -> None:
        """The source has something to read again."""
        self._nats.call_soon(self._resumed)

    def cancel(self) -> None:
        """Give up: what was stored is purged, then the callback comes with ``Cancelled``.

        Once the metadata is on its way it is too late: the callback tells what became of it.
        """
        if self._request is None and self._unsure_since is None:
            super().cancel()
        else:
            self._cancelled_late = True

    # Reading.

    def _read(self) -> Buffer | None:
        """Read one chunk; None: there is none now, or the source is at its end, or it failed."""
        try:
            piece = self._source.read(self._chunk_size)
        except NatsError as err:
            self.fail(err)
            return None
        except Exception as exc:  # whatever the user's file or iterable raises
            self._source_failed(exc)
            return None
        if piece is None:
            return None
        self._at_end = len(piece) < self._chunk_size
        if not piece:
            return None
        self._hash.update(piece)
        self._size += len(piece)
        return piece

    def _source_failed(self, exc: Exception) -> None:
        err = ObjectStoreError(
            f'cannot read the source: {exc}', bucket=self._bucket.name, name=self._meta['name']
        )
        err.__cause__ = exc
        self.fail(err)

    # What the chunks ask for and tell.

    def next_piece(self) -> Buffer | None:
        if self._ahead:
            return self._ahead.popleft()
        return None if self._at_end else self._read()

    def stored(self, size: int) -> None:
        if not self.done:
            self._advance(size)

    def wait(self, seconds: float, then: Callable[[], Any]) -> None:
        self._wait(seconds, then)

    def refused(self) -> None:
        self._reply = None
        if self._cancelled_late and self._request is None and self._unsure_since is None:
            self.fail(Cancelled())  # the metadata hung on a chunk that is not stored

    def pumped(self) -> None:
        if self.done:
            self._clean()
        elif self._at_end and not self._ahead and self.running and self._expected is not None:
            if self._reply is not None:
                self._settle()
            elif (
                self._request is None and not self._saving and (self._pair or self._chunks.settled)
            ):
                self._commit()

    # The metadata that is there now.

    def _guess(self) -> bool:
        """Expect what was last seen, or that there is nothing; False: that is not enough."""
        known = self._bucket.known(self._subject)
        if self._keep_versions or (known is not None and known.versions):
            return False  # what is there is to be kept: it must be read
        if self._condition.expected_seq is not None:
            if known is None or known.seq != self._condition.expected_seq:
                return False
        elif known is None or (self._condition.if_absent and known.live):
            known = NOTHING
        self._expected, self._present = known.seq, known
        return True

    def _read_current(self) -> None:
        # A wrong guess is found out later, but for a condition a server that lags will not do.
        read = self._bucket.get if self._condition == ANY else self._bucket.leader
        read(self, {'last_by_subj': self._subject}, self._current_read)

    def _current_read(self, message: StoredMessage | None) -> None:
        if self._take_current(message):
            self._chunks.pump()

    def _take_current(self, message: StoredMessage | None) -> bool:
        """Expect to replace *message*, unless a condition forbids it."""
        current = known_of(message, self._bucket.name)
        condition = self._condition
        if (condition.if_absent and current.live) or condition.expected_seq not in (
            None,
            current.seq,
        ):
            self.fail(WrongSequenceError(400, 10071, f'wrong last sequence: {current.seq}'))
            return False
        self._expected, self._present, self._current = current.seq, current, message
        return True

    # Publishing the metadata.

    def _commit(self) -> None:
        assert self._expected is not None
        self._stage = _Stage.COMMITTING
        if not self._counted and self._chunks.settled:
            self._chunks.count_stored(self._commit_if_whole)
            return
        current = self._current
        if current is not None and self._present.live and self._kept(self._present):
            self._saving = True
            save(self._bucket, self, self._meta['name'], current, self._saved)
            return
        self._attempts[self._expected] = self._present
        self._reply = None
        self._guarded = not self._chunks.settled
        meta = self._meta
        meta['size'], meta['chunks'] = self._size, self._chunks.count
        meta['digest'] = record.digest_text(self._hash.digest(), self._bucket.dialect)
        ttl = '' if self._ttl is None else f'Nats-TTL: {self._ttl_left()}s\r\n'
        guard = f'Nats-Expected-Last-Msg-Id: {self._chunks.first_id()}\r\n' if self._guarded else ''
        block = (
            f'NATS/1.0\r\nNats-Rollup: sub\r\nNats-Msg-Id: {meta["nuid"]}.meta\r\n{ttl}'
            f'{metas.versions_header(self._kept(self._present))}'
            f'Nats-Expected-Last-Subject-Sequence: {self._expected}\r\n{guard}\r\n'
        )
        try:
            self._request = self._nats.request(
                self._subject, self._body(), self._published, headers=block.encode()
            )
        except NatsError as err:  # the metadata is larger than the server takes
            self.fail(err)

    def _commit_if_whole(self, stored: int) -> None:
        """After a lost connection: is each chunk there, and there once?"""
        self._counted = stored == self._chunks.count
        if self._counted:
            self._commit()
        else:
            self.not_whole(f'{stored} chunks are stored, not {self._chunks.count}')

    def not_whole(self, text: str) -> None:
        if not self._start_over():
            self.fail(ObjectStoreError(text, bucket=self._bucket.name, name=self._meta['name']))

    def _start_over(self) -> bool:
        """Store all of it again, as another object, if it can be read again; once."""
        again = not (self._started_over or codec_of(self._source))
        try:
            again = again and self._source.rewind()
        except Exception as exc:  # whatever the user's file raises
            self._source_failed(exc)
            return True
        if again:
            self._started_over = True
            Purge(self._bucket, self._meta['nuid'], again=True).start(now=True)
            self._meta['nuid'] = next_nuid()
            self._begin_chunks()
            self._hash, self._size, self._at_end = hashlib.sha256(), 0, False
            self._ahead.clear()
            self.bytes_done = 0
            self._began_at = 0.0
            self._counted = True
            self._reply = None
            self._stage = _Stage.STARTING
            self._look()
        return again

    def _begin_chunks(self) -> None:
        self._chunks = Chunks(self, self._bucket, self._meta['nuid'], ttl_of_chunks(self._ttl))

    def _ttl_left(self) -> int:
        """Return seconds: the metadata must not outlive the chunks, which were stored before."""
        assert self._ttl is not None
        spent = monotonic() - self._began_at
        return max(1, int(self._ttl / 1000 - spent))

    def _body(self) -> bytes:
        return record.to_json(self._meta, self._unknown)

    def _saved(self, _ack: Any) -> None:
        self._saving = False
        self._current = None
        self._commit()

    def _published(
        self, payload: bytes | None, err: NatsError | None, headers: Headers | None
    ) -> None:
        if self._request is None or isinstance(err, (Cancelled, DisconnectedError)):
            return
        self._request = None
        self._reply = err or parse_reply(payload, headers)
        if not self.done:
            self._settle()
        elif not self._ended:
            if isinstance(self._reply, dict):
                self._unsure_since = monotonic()  # though a chunk was refused
            self._clean()

    def _settle(self) -> None:
        """The metadata's reply is here; the chunk that guards it may still lack its own."""
        reply = self._reply
        if isinstance(reply, dict):
            self._finish(int(reply.get('seq') or 0))
        elif not self._chunks.settled:
            return
        elif self._cancelled_late:
            self._bucket.leader(self, {'last_by_subj': self._subject}, self._finish_or_cancel)
        elif isinstance(reply, WrongSequenceError):
            self._touch()
            if self._guarded and reply.err_code == _WRONG_LAST_MSG_ID:
                self._commit()  # another message came between; the chunk itself is stored
            else:
                self._bucket.leader(self, {'last_by_subj': self._subject}, self._overtaken)
        elif reply is not None and may_pass(reply):
            self._wait(_PAUSE, self._commit)
        elif reply is not None:
            self.fail(reply)

    def _finish_or_cancel(self, message: StoredMessage | None) -> None:
        """This attempt was refused; an earlier one may have been stored."""
        current = known_of(message, self._bucket.name)
        if self._is_ours(current):
            self._finish(current.seq)
        else:
            self.fail(Cancelled())

    def _is_ours(self, known: Known) -> bool:
        return known.live and known.nuid == self._meta['nuid']

    def _overtaken(self, message: StoredMessage | None) -> None:
        """The present metadata is another one than expected: perhaps it is ours."""
        current = known_of(message, self._bucket.name)
        if self._is_ours(current):
            self._finish(current.seq)
        elif self._take_current(message):
            window = SAFE_PART * self._bucket.duplicate_window
            if self._unsure_since is None or monotonic() - self._unsure_since < window:
                self._commit()
            else:
                # It may have been stored and replaced, and nobody knows its id any more.
                self._chunks.count_stored(self._commit_if_there)

    def _commit_if_there(self, stored: int) -> None:
        if stored == self._chunks.count:
            self._commit()
        else:
            self.fail(ObjectChanged(bucket=self._bucket.name, name=self._meta['name']))

    def _finish(self, seq: int) -> None:
        """The metadata is stored, as *seq*: by the last attempt, or by one whose reply was lost."""
        self._meta['seq'] = seq
        self._meta['mtime'] = datetime.now(timezone.utc)
        self._replace(seq)
        self._end(self._meta, None)

    def _replace(self, seq: int) -> None:
        """The metadata is stored, as *seq*."""
        replaced = self._replaced_before(seq)
        known = Known(seq, self._meta['nuid'], True, self._kept(replaced))
        self._bucket.learn(self._subject, known)
        self._drop(replaced)

    def _replaced_before(self, seq: int) -> Known:
        """Return what was replaced, where the metadata was stored before *seq*, or as that."""
        before = max((expected for expected in self._attempts if expected < seq), default=-1)
        return self._attempts.get(before, NOTHING)

    def _drop(self, replaced: Known) -> None:
        """Have what was replaced purged, or kept as a version."""
        kept = self._kept(replaced)
        if kept or replaced.versions:
            trim_in_background(self._bucket, self._meta['name'], kept)
        if not kept and replaced.nuid is not None and replaced.nuid != self._meta['nuid']:
            Purge(self._bucket, replaced.nuid).start(now=True)

    def _kept(self, present: Known) -> int:
        """Return how many versions are to be kept where *present* is replaced."""
        return present.versions if self._keep_versions is None else self._keep_versions

    # Trouble.

    def _lost(self) -> None:
        self._was_lost = True
        self._saving = False
        self._chunks.lost()
        self._give_up_request()
        self._doubt()

    def _doubt(self) -> None:
        """What was sent twice is to be counted, but not once the metadata may be stored.

        Whoever replaces the object then purges its chunks.
        """
        if self._unsure_since is None:
            self._counted = False

    def _give_up_request(self) -> None:
        request, self._request = self._request, None
        if request is not None:
            request.cancel()
            self._unsure_since = self._unsure_since or monotonic()

    def _expecting(self) -> bool:
        if self._stage is _Stage.SENDING and not self.done:
            return self._expected is None or not self._chunks.settled
        if self._stage is _Stage.COMPARING and not self.done:
            return self._compared is None
        return self._stage is not _Stage.STARTING or self.done

    def check_progress(self, now: float, timeout: float) -> None:
        self._chunks.look()
        super().check_progress(now, timeout)

    def _ask_again(self) -> None:
        if self.done:
            return
        resent = self._chunks.ask_again()
        if self._request is not None:
            # Was it stored? The same again tells: one of the two finds the other there.
            self._give_up_request()
            self._commit()
        elif resent:
            self._doubt()

    def _idle(self) -> None:
        if self._request is not None and self.done:
            self._learn_later()
        elif self.done:
            self._leave_purge_behind()
        else:
            self.fail(self._chunks.refusal or RequestTimeout())

    def _clean(self) -> None:
        """Purge what was stored, once no chunk is on its way any more."""
        if self._request is not None and not isinstance(self._err, RequestTimeout):
            return  # its reply comes next
        if self._request is not None or self._unsure_since is not None:
            self._learn_later()
        elif not self._chunks.count:
            self._end_failed()
        elif isinstance(self._err, RequestTimeout):
            self._leave_purge_behind()
        elif not (self._away or self._chunks.unanswered or self._purging or self._ended):
            self._purging = True
            self._purge(self._was_lost, self._bucket.nats.call(self._end_failed))

    def _learn_later(self) -> None:
        """End now, though the metadata may be stored, or may yet be: its chunks stay until then."""
        self._give_up_request()

        def look(known: Known | None) -> None:
            if known is not None and self._is_ours(known):
                self._replace(known.seq)
            elif known is not None:
                if aftermath.stored_as:  # and replaced since
                    self._drop(self._replaced_before(aftermath.stored_as))
                self._purge(self._was_lost)

        aftermath = Aftermath(self._bucket, self._subject, look, f'{self._meta["nuid"]}.meta')
        if not (self._ended or self._nats.is_closed()):
            aftermath.start(now=True)
        self._end_failed()

    def _leave_purge_behind(self) -> None:
        """End now: the server does not answer, and the purge can wait for it alone."""
        if not self._purging:
            self._purging = True
            self._purge(True)
        self._end_failed()

    def _purge(self, again: bool, call: Call | None = None) -> None:
        Purge(self._bucket, self._meta['nuid'], call=call, again=again).start(now=True)

    def _release(self) -> None:
        self._chunks.close()
        self._source.close()


def chunk_size_for(bucket: Bucket, wanted: int) -> int:
    """Return *wanted*, or the most that server and stream let through."""
    most = bucket.nats.max_payload()
    limit = bucket.config.get('max_msg_size', -1)
    if limit > 0:
        most = min(most, limit)
    return min(wanted, max(most - _HEADROOM, most // 2))


def ttl_of_chunks(ttl: float | None) -> bytes:
    """Return the header of chunks that live for *ttl* ms, and a little longer than metadata."""
    return b'' if ttl is None else b'Nats-TTL: %ds\r\n' % (ceil(ttl / 1000) + 1)
