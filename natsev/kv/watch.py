"""Reading many entries: a watch, and lists that end when all that was there has come."""

from __future__ import annotations

from collections.abc import Callable
from time import monotonic
from typing import TYPE_CHECKING, Any

from ..callbacks import arity
from ..calls import Call
from ..errors import CodecError, DisconnectedError, NatsError, RequestTimeout
from ..jetstream import Consumption, Message
from .entry import Entry, operation

if TYPE_CHECKING:
    from . import KV

# How often a list looks whether it makes progress, within one timeout.
_LOOKS = 4


class Watch:
    """A watch in progress; ``stop()`` ends it.

    It goes on by itself over lost connections and restarts of the server, without a change missed
    or told twice.

    Args:
        kv: the bucket.
        patterns: keys, or patterns of keys.
        callback: the user's, called as ``callback(key, value, op, entry)``.
        on_end: the user's, called once as ``on_end(err)``.
        ignore_deletes: no markers.
        deliver: where to begin: options of ``JetStream.ordered``.
    """

    def __init__(
        self,
        kv: KV,
        patterns: list[str],
        callback: Callable[..., Any],
        *,
        on_end: Callable[..., Any] | None,
        ignore_deletes: bool,
        deliver: dict[str, Any],
    ) -> None:
        self._kv = kv
        self._callback = callback
        self._nargs = arity(callback, 4)
        self._on_end = on_end
        self._on_end_nargs = arity(on_end, 1) if on_end is not None else 0
        self._ignore_deletes = ignore_deletes
        self._deliver = deliver
        self._patterns = patterns
        self._consumption: Consumption | None = None
        self._stopped = False
        call = kv.nats.call(self._opened)
        kv.open(call, lambda: call.end(None, None))

    def stop(self) -> None:
        """End it: the callback is not called any more, ``on_end(None)`` is."""
        if self._stopped:
            return
        if self._consumption is not None:
            self._consumption.stop()
        else:
            self._stopped = True
            self._kv.nats.call_soon(self._end, None)

    cancel = stop

    def _opened(self, _result: Any, err: NatsError | None) -> None:
        if self._stopped:
            return
        if err is not None:
            self._ended(err)
            return
        self._consumption = self._kv.js.ordered(
            self._kv.stream,
            self._message,
            filter_subjects=[self._kv.subject(pattern) for pattern in self._patterns],
            on_caught_up=self._caught_up,
            on_end=self._ended,
            **self._deliver,
        )

    def _message(self, message: Message) -> None:
        op = operation(message.headers)
        if self._ignore_deletes and op != 'PUT':
            return
        try:
            entry = entry_of(self._kv, message, op)
        except CodecError as err:
            self._kv.nats.report(err)  # one value that cannot be read does not end a watch
            return
        if entry is not None:
            self._callback(*(entry['key'], entry['value'], op, entry)[: self._nargs])

    def _caught_up(self) -> None:
        self._callback(*(None,) * self._nargs)

    def _ended(self, err: NatsError | None) -> None:
        if not self._stopped:
            self._stopped = True
            self._end(self._kv.translate(err))

    def _end(self, err: NatsError | None) -> None:
        if self._on_end is not None:
            self._kv.nats.run_callback(self._on_end, *(err,)[: self._on_end_nargs])
        elif err is not None and not isinstance(err, DisconnectedError):
            self._kv.nats.report(err)  # that the client was closed it tells itself


def entry_of(kv: KV, message: Message, op: Any) -> Entry | None:
    """Return the entry that a consumer's message is; None: it is none of this bucket's.

    Raises:
        CodecError: key or value cannot be decoded.
    """
    key = kv.key(message.subject)
    if key is None:
        return None
    return {
        'bucket': kv.bucket,
        'key': key,
        'value': kv.decoded(key, message.payload) if op == 'PUT' else None,
        'revision': message.seq,
        'created': message.timestamp,
        'delta': message.pending,
        'op': op,
    }


class Collection:
    """Reads what is there now: each message goes to *take*, then *call* ends with *result*.

    Args:
        kv: the bucket.
        call: the user's call.
        patterns: keys, or patterns of keys.
        take: called with each message; what it raises of ``NatsError`` ends the call.
        result: called at the end.
        options: of ``JetStream.ordered``.
    """

    def __init__(
        self,
        kv: KV,
        call: Call,
        patterns: list[str],
        take: Callable[[Message], None],
        result: Callable[[], Any],
        options: dict[str, Any],
    ) -> None:
        self._kv = kv
        self._call = call
        self._patterns = patterns
        self._take = take
        self._result = result
        self._options = options
        self._consumption: Consumption | None = None
        self._timeout = kv.js.timeout / 1000
        self._progress_at = monotonic()
        self._timer = kv.nats.port.timer(self._look)
        call.cleanup = self._close
        kv.open(call, self._start)

    def _start(self) -> None:
        self._progress_at = monotonic()
        self._timer.start(self._timeout / _LOOKS, self._timeout / _LOOKS)
        self._consumption = self._kv.js.ordered(
            self._kv.stream,
            self._message,
            filter_subjects=[self._kv.subject(pattern) for pattern in self._patterns],
            on_caught_up=lambda: self._call.end(self._result(), None),
            on_end=self._ended,
            **self._options,
        )

    def _message(self, message: Message) -> None:
        self._progress_at = monotonic()
        try:
            self._take(message)
        except NatsError as err:
            self._call.fail(err)

    def _ended(self, err: NatsError | None) -> None:
        if err is not None:
            self._call.fail(self._kv.translate(err) or err)

    def _look(self) -> None:
        # Time spent without a connection does not count.
        if not self._kv.nats.is_connected():
            self._progress_at = monotonic()
        elif monotonic() - self._progress_at > self._timeout:
            self._call.fail(RequestTimeout())

    def _close(self) -> None:
        self._timer.close()
        if self._consumption is not None:
            self._consumption.stop()
