"""One bucket as a stream: its configuration, and the requests that are made of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from time import monotonic
from typing import TYPE_CHECKING, Any, NamedTuple

from ..errors import (
    BucketNotFoundError,
    JetStreamError,
    MessageNotFoundError,
    NatsError,
    NoResponders,
    ObjectStoreError,
    SealedError,
    StreamNotFoundError,
    WrongSequenceError,
)
from ..jetstream.api import Reply, to_json
from ..jetstream.stored import from_leader
from ..jetstream.types import StoredMessage
from ..nuid import next_nuid
from ..subjects import check_bucket
from . import names
from .codecs.chain import Chain
from .operation import Operation
from .question import DirectQuestion, Question
from .transfer import Transfers

if TYPE_CHECKING:
    from ..jetstream import JetStream

NS = 1_000_000_000
_DEFAULT_DUPLICATE_WINDOW = 120 * NS
# Names whose present metadata is remembered, to save a round trip when they are put again.
_MOST_KNOWN = 4096
# What the stream's API may be asked twice.
_HARMLESS = frozenset({'STREAM.INFO', 'STREAM.MSG.GET', 'STREAM.MSG.DELETE', 'STREAM.PURGE'})

Then = Callable[[Any], None]
Catch = Callable[[NatsError], bool]


class Known(NamedTuple):
    """What the last meta on a subject is.

    Attributes:
        seq: its sequence; 0: there is none.
        nuid: the chunks it names.
        live: it is not a tombstone.
        versions: how many earlier versions are to be kept.
    """

    seq: int
    nuid: str | None
    live: bool
    versions: int = 0


NOTHING = Known(0, None, False)


class Bucket:
    """A bucket and the client that reaches it.

    Args:
        js: the JetStream client.
        name: the bucket.
        timeout: ms to wait for a reply, and for progress of a transfer.
        dialect: how names and digests are written.
        codec: what is done to objects' bytes before they are stored.

    Attributes:
        replicated: a direct get may be answered by a server that lags behind.
        allow_direct: messages can be read without the leader.
    """

    replicated: bool
    allow_direct: bool
    _several: bool  # the stream has replicas, which may be about to elect a leader

    def __init__(
        self,
        js: JetStream,
        name: str,
        timeout: float,
        dialect: names.Dialect = 'adr20',
        codec: Chain | None = None,
    ) -> None:
        self.js = js if js.timeout == timeout else js.with_timeout(timeout)
        self.nats = js.nats
        self.name = name
        self.stream = names.stream(name)
        self.subjects = names.Subjects(name, dialect)
        self.dialect = dialect
        self.codec = codec or Chain()
        self.timeout = timeout
        self.transfers = Transfers(self.nats, timeout)
        # Seconds of a round trip: the quickest reply of all.
        self.rtt: float | None = None
        # Does the server answer a direct get with many messages (2.11)?
        self.batches = True
        self.config = None
        self._known: dict[str, Known] = {}
        # Sequences that lists and watches have told of, where no more is known.
        self._seen: dict[str, int] = {}
        self._others: dict[str, Bucket] = {}
        # Names that a rename which has broken off may leave two of for one object.
        self._unsettled: list[tuple[str, ...]] = []
        self._waiting: list[tuple[tuple[str, ...], Callable[[], None]]] = []

    # The configuration.

    @property
    def config(self) -> dict[str, Any]:
        """The stream's configuration as last seen; empty before ``open``."""
        return self._config or {}

    @config.setter
    def config(self, config: dict[str, Any] | None) -> None:
        self._config = config
        seen = config or {}
        self._several = seen.get('num_replicas', 1) > 1
        self.replicated = self._several or 'mirror' in seen
        self.allow_direct = bool(seen.get('allow_direct') or seen.get('mirror_direct'))

    @property
    def duplicate_window(self) -> float:
        """Seconds for which the stream knows message ids again."""
        window = self.config.get('duplicate_window') or _DEFAULT_DUPLICATE_WINDOW
        return float(window) / NS

    def open(self, op: Operation, then: Callable[[], None]) -> None:
        """Have the configuration; ``then()`` may be called at once."""
        if self._config is not None:
            then()
        else:
            self.reopen(op, then)

    def reopen(self, op: Operation, then: Callable[[], None]) -> None:
        """Have the configuration as it is now."""

        def replied(info: Mapping[str, Any]) -> None:
            self.config = dict(info.get('config') or {})
            then()

        self.api(op, 'STREAM.INFO', None, replied)

    def writable(self, op: Operation, then: Callable[[], None]) -> None:
        """Have the configuration, and see to it that the bucket takes changes."""

        def opened() -> None:
            refusal = self.refusal()
            if refusal is None:
                then()
            else:
                op.fail(refusal)

        self.open(op, opened)

    def refusal(self) -> NatsError | None:
        """Return why the bucket, as it is configured, takes no changes; None: it does."""
        if self.config.get('sealed'):
            return SealedError(400, 10109, f'bucket {self.name!r} is sealed')
        if 'mirror' in self.config:
            return ObjectStoreError(
                f'bucket {self.name!r} is a mirror: it can only be read', bucket=self.name
            )
        return None

    # Requests.

    def _subject(self, endpoint: str) -> str:
        return f'{self.js.prefix}.{endpoint}'

    def api(
        self,
        op: Operation,
        endpoint: str,
        body: Mapping[str, Any] | None,
        then: Then,
        catch: Catch | None = None,
    ) -> None:
        """Make a request to the stream's API as a step of *op*.

        Args:
            op: what it is a step of; an error ends it.
            endpoint: such as ``STREAM.INFO``; the stream's name is added.
            body: sent as JSON.
            then: called as ``then(reply)``; not once *op* is done.
            catch: called as ``catch(err)`` before an error ends *op*; True: it has dealt with it.
        """

        asked = self._asked()

        def replied(reply: Reply | NatsError) -> None:
            self.measure(asked)
            if isinstance(reply, NatsError):
                self.failed(op, reply, catch)
            else:
                then(reply)

        subject = self._subject(f'{endpoint}.{self.stream}')
        request = subject, b'' if body is None else to_json(body), None
        harmless, patient = endpoint in _HARMLESS, self._several
        question = Question(self.nats, op, request, replied, twice=harmless, patient=patient)
        op.child = question
        question.ask()

    def _asked(self) -> float | None:
        return monotonic() if self.nats.is_connected() else None

    def measure(self, asked: float | None) -> None:
        """A reply is here to what was asked at *asked*: has a round trip ever been quicker?"""
        if asked is not None:
            took = monotonic() - asked
            self.rtt = took if self.rtt is None else min(self.rtt, took)

    def failed(self, op: Operation, err: NatsError, catch: Catch | None = None) -> None:
        """Deal with an error of a step of *op*."""
        if isinstance(err, StreamNotFoundError):
            self.config = None
            err = self.not_found(err)
        if catch is None or not catch(err):
            op.fail(err)

    def not_found(self, err: StreamNotFoundError) -> BucketNotFoundError:
        """Return the error that says that there is no such bucket."""
        return BucketNotFoundError(err.code, err.err_code, f'bucket {self.name!r} not found')

    def publish(
        self,
        op: Operation,
        subject: str,
        payload: bytes,
        headers: bytes,
        then: Then,
        catch: Catch | None = None,
        *,
        msg_id: str | None = None,
    ) -> None:
        """Publish a message and await its acknowledgement. Arguments as for ``api``.

        A silence is not waited out: it is sent again under the same message id.
        """
        msg_id = msg_id or next_nuid()

        def replied(ack: Reply | NatsError) -> None:
            if isinstance(ack, WrongSequenceError) and question.asked > 1:
                # A server of 2.15 checks the sequence before the message id.
                self.leader(op, {'last_by_subj': subject}, lambda last: compare(last, ack))
            elif isinstance(ack, NatsError):
                self.failed(op, ack, catch)
            else:
                then(ack)

        def compare(last: StoredMessage | None, err: NatsError) -> None:
            stored = None if last is None or last['headers'] is None else last['headers']
            if last is not None and stored is not None and stored.get('Nats-Msg-Id') == msg_id:
                then({'stream': self.stream, 'seq': last['seq'], 'duplicate': True})
            else:
                self.failed(op, err, catch)

        headers = b'%bNats-Msg-Id: %b\r\n\r\n' % (headers[:-2], msg_id.encode())
        request = subject, payload, headers
        question = Question(self.nats, op, request, replied, twice=True, patient=self._several)
        op.child = question
        try:
            question.ask()
        except NatsError as err:  # larger than the server takes
            op.fail(err)

    # Single messages.

    def last(
        self, op: Operation, subject: str, then: Callable[[StoredMessage | None], None]
    ) -> None:
        """Read the last message on *subject*, None where there is none. See ``get``."""
        self.get(op, {'last_by_subj': subject}, then)

    def get(
        self, op: Operation, body: Mapping[str, Any], then: Callable[[StoredMessage | None], None]
    ) -> None:
        """Read a message, None where there is none.

        From the nearest server, which may lag behind; what it does not have is asked of the leader.
        """
        if self.allow_direct:
            self._direct(op, body, then)
        else:
            self.leader(op, body, then)

    def leader(
        self, op: Operation, body: Mapping[str, Any], then: Callable[[StoredMessage | None], None]
    ) -> None:
        """Read a message from the leader: what was acknowledged before is seen."""
        subject = body.get('last_by_subj', '')
        seen = self._seq_of(subject)

        def replied(reply: dict[str, Any]) -> None:
            message = from_leader(self.stream, reply)
            if isinstance(message, NatsError):
                op.fail(message)
            else:
                told(message)

        def told(message: StoredMessage | None) -> None:
            if seen > (0 if message is None else message['seq']):
                self.unlearn(subject, seen)
            then(message)

        def catch(err: NatsError) -> bool:
            if isinstance(err, MessageNotFoundError):
                told(None)
                return True
            return False

        self.api(op, 'STREAM.MSG.GET', body, replied, catch)

    def _direct(
        self, op: Operation, body: Mapping[str, Any], then: Callable[[StoredMessage | None], None]
    ) -> None:
        asked = self._asked()

        def replied(message: StoredMessage | NatsError) -> None:
            self.measure(asked)
            if isinstance(message, NoResponders):  # no direct gets any more, or no such stream
                self.leader(op, body, then)
            elif isinstance(message, MessageNotFoundError):
                if self.replicated:
                    self.leader(op, body, then)
                else:
                    then(None)
            elif isinstance(message, NatsError):
                op.fail(message)
            elif 'last_by_subj' in body and self.lags(message):
                self.leader(op, body, then)
            else:
                then(message)

        twice = self.replicated
        question = DirectQuestion(self.js, op, self.stream, body, replied, twice=twice)
        op.child = question
        question.ask()

    # What is known of the present metas.

    def known(self, subject: str) -> Known | None:
        """Return what was last seen on *subject*, the subject of a meta."""
        return self._known.get(subject)

    def learn(self, subject: str, known: Known) -> None:
        """Remember what is on *subject*, unless something newer is known: answers overtake."""
        if self._seq_of(subject) > known.seq:
            return
        self._known.pop(subject, None)
        self._known[subject] = known
        if len(self._known) > _MOST_KNOWN:
            del self._known[next(iter(self._known))]

    def saw(self, subject: str, seq: int) -> None:
        """Remember that *seq* is on *subject*: who has been told of it must not read an older one.

        Only a server that lags behind would give that.
        """
        if self._seq_of(subject) < seq:
            self._seen.pop(subject, None)
            self._seen[subject] = seq
            if len(self._seen) > _MOST_KNOWN:
                del self._seen[next(iter(self._seen))]

    def unlearn(self, subject: str, seq: int) -> None:
        """What has been seen on *subject*, up to *seq*, is gone: the bucket is another one, say."""
        if self._seq_of(subject) == seq:
            self._known.pop(subject, None)
            self._seen.pop(subject, None)

    def _seq_of(self, subject: str) -> int:
        known = self._known.get(subject)
        return max(0 if known is None else known.seq, self._seen.get(subject, 0))

    def lags(self, message: StoredMessage) -> bool:
        """Is *message*, read as the last of its subject, older than what was seen there before?"""
        return self.replicated and message['seq'] < self._seq_of(message['subject'])

    def forget(self) -> None:
        """Forget all that is known: the bucket is another one now."""
        self.config = None
        self._known.clear()
        self._seen.clear()

    # Names.

    def unsettled(self, *names: str) -> Callable[[], None]:
        """Let what would change *names* wait until the function returned is called."""
        self._unsettled.append(names)

        def settled() -> None:
            self._unsettled.remove(names)
            waiting, self._waiting = self._waiting, []
            for entry in waiting:
                self.when_settled(*entry)

        return settled

    def when_settled(self, names: tuple[str, ...], then: Callable[[], None]) -> None:
        """Call *then*, at once unless one of *names* is unsettled."""
        if any(name in unsettled for unsettled in self._unsettled for name in names):
            self._waiting.append((names, then))
        else:
            then()

    # Chunks.

    def fence(
        self, op: Operation, nuid: str, then: Callable[[Reply], None], msg_id: str | None = None
    ) -> None:
        """Publish an empty chunk of *nuid*: ``then(ack)``, when all sent before is dealt with.

        Requests to the API take another way than messages, and may overtake them. A fence has one
        message id, however often it is sent: none arrives behind its purge.
        """

        def refused(_err: NatsError) -> bool:
            then({})  # a full bucket, say: that is an answer too
            return True

        subject, block = self.subjects.chunk(nuid), b'NATS/1.0\r\n\r\n'
        self.publish(op, subject, b'', block, then, refused, msg_id=msg_id or f'{nuid}.fence')

    def count(self, op: Operation, nuid: str, then: Callable[[int], None]) -> None:
        """Ask how many chunks of *nuid* there are."""
        subject = self.subjects.chunk(nuid)

        def counted(info: dict[str, Any]) -> None:
            subjects = (info.get('state') or {}).get('subjects') or {}
            then(subjects.get(subject, 0))

        self.api(op, 'STREAM.INFO', {'subjects_filter': subject}, counted)

    def delete(self, op: Operation, seq: int, then: Then) -> None:
        """Delete the message *seq*, if it is there."""

        def gone(err: NatsError) -> bool:
            if isinstance(err, JetStreamError) and err.code in (400, 404):
                then(None)
                return True
            return False

        self.api(op, 'STREAM.MSG.DELETE', {'seq': seq, 'no_erase': True}, then, gone)

    def purge(self, op: Operation, nuid: str, then: Then, catch: Catch | None = None) -> None:
        """Purge the chunks of the object *nuid*."""
        self.api(op, 'STREAM.PURGE', {'filter': self.subjects.chunk(nuid)}, then, catch)

    # Other buckets.

    def other(self, name: str) -> Bucket:
        """Return another bucket of the same account, reached in the same way.

        Raises:
            ValueError: *name* is not the name of a bucket.
        """
        if name not in self._others:
            check_bucket(name)
            self._others[name] = Bucket(self.js, name, self.timeout, self.dialect, self.codec)
        return self._others[name]
