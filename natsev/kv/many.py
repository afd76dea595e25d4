"""Many keys: lists, histories and watches (ADR-8)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from ..callbacks import arity
from ..calls import Call
from ..errors import CodecError, DisconnectedError, NatsError
from ..jetstream import Message
from .deletes import PurgeDeletes
from .entry import Entry, operation_of
from .management import Management
from .reading import Watch, entry_of, patterns_of, read

AnyCallback = Callable[..., Any]
_HALF_AN_HOUR = 1_800_000


class Many(Management):
    """The part of ``KV`` that reads many keys."""

    def keys(
        self,
        cb: AnyCallback,
        filters: str | Sequence[str] | None = None,
        on_key: AnyCallback | None = None,
    ) -> Call:
        """List the keys that have a value.

        Args:
            cb: called once as ``cb(keys, err)``; with *on_key* as ``cb(number, err)``.
            filters: only keys that match one of these patterns (several: server 2.10).
            on_key: called as ``on_key(key)`` with each key as it comes, so that they need not all
                be held; a key that is written meanwhile may come twice.

        Errors:
            BucketNotFoundError.

        Raises:
            TypeError, ValueError: an illegal pattern.
        """
        if on_key is not None:
            arity(on_key, 1)
        found: dict[str, None] = {}
        number = 0

        def on_message(message: Message) -> None:
            nonlocal number
            try:
                key = self._place.key_of(message.subject)
            except CodecError as err:
                self.js.nats.report(err)
                return
            if operation_of(message.headers) != 'PUT':
                found.pop(key, None)
            elif on_key is None:
                found[key] = None
            else:
                number += 1
                on_key(key)

        call = self.js.nats.call(cb)
        self._collect(
            call,
            patterns_of(filters),
            on_message,
            lambda: call.end(list(found) if on_key is None else number, None),
            deliver_policy='last_per_subject',
            headers_only=True,
        )
        return call

    def history(self, key: str, cb: AnyCallback) -> Call:
        """Get all revisions of a key that the bucket keeps, marks of deletion too.

        Args:
            key: the key, or a pattern.
            cb: called once as ``cb(entries, err)`` with a list of ``Entry``, oldest first; empty
                for a key that never was. What cannot be decoded is told in its entry's ``error``.

        Errors:
            BucketNotFoundError.

        Raises:
            TypeError, ValueError: an illegal key.
        """
        entries: list[Entry] = []
        call = self.js.nats.call(cb)
        self._collect(
            call,
            [key],
            lambda message: entries.append(entry_of(self._place, message)),
            lambda: call.end(entries, None),
        )
        return call

    def _collect(
        self,
        call: Call,
        patterns: Sequence[str],
        on_message: Callable[[Message], None],
        done: Callable[[], None],
        **deliver: Any,
    ) -> None:
        """Read what there is; then ``done()`` ends *call*."""

        def caught_up() -> None:
            consumption.stop()
            done()

        def ended(err: NatsError | None) -> None:
            if err is not None:  # else it was stopped, by us or by cancel()
                call.fail(err)

        consumption = read(self.js, self._place, patterns, on_message, caught_up, ended, **deliver)
        call.child = consumption

    def watch(
        self,
        pattern: str | Sequence[str] | None,
        cb: AnyCallback,
        *,
        history: bool = False,
        ignore_deletes: bool = False,
        meta_only: bool = False,
        updates_only: bool = False,
        since: int | None = None,
        on_end: AnyCallback | None = None,
    ) -> Watch:
        """Follow the keys that match a pattern: first what is there, then every change.

        It goes on by itself over lost connections and restarts of the server: no revision is left
        out and none comes twice.

        Args:
            pattern: a key, a pattern with ``*`` for a token or ``>`` for all that follow, a list of
                them (server 2.10), or None for all keys.
            cb: called as ``cb(key, value, op, entry)`` with op ``'PUT'``, ``'DEL'`` or ``'PURGE'``
                and an ``Entry`` (revision, time); value is None for the latter two. Once, when all
                that was there has been delivered, ``cb(None, None, None, None)`` comes. What cannot
                be decoded comes with value None, its entry's ``error`` says why, and ``on_error``
                is told.
            history: begin with all revisions that are kept, not with the last of each key.
            ignore_deletes: leave ``DEL`` and ``PURGE`` out.
            meta_only: without values.
            updates_only: leave out what is there already.
            since: begin after this revision, to go on with an earlier watch.
            on_end: called once as ``on_end(err)``: with None after ``stop()``, else with the
                reason. Without it the reason goes to the client's ``on_error``.

        Errors (to ``on_end``):
            BucketNotFoundError: also when the bucket is deleted meanwhile.
            ConsumptionEnded: the bucket was deleted and created again.
            DisconnectedError: the client is closed.

        Raises:
            TypeError, ValueError: an illegal pattern, or options that exclude each other.

        Returns:
            A handle with ``stop()``.
        """
        if (history, updates_only, since is not None).count(True) > 1:
            raise ValueError('watch takes one of history, updates_only and since')
        deliver: dict[str, Any] = {'headers_only': True} if meta_only else {}
        if since is not None:
            deliver['opt_start_seq'] = since + 1
        elif updates_only:
            deliver['deliver_policy'] = 'new'
        elif not history:
            deliver['deliver_policy'] = 'last_per_subject'
        nats, place, nargs = self.js.nats, self._place, arity(cb, 4)

        def on_message(message: Message) -> None:
            entry = entry_of(place, message, not meta_only)
            if ignore_deletes and entry['operation'] != 'PUT':
                return
            if entry['error'] is not None:
                nats.report(entry['error'])
            cb(*(entry['key'], entry['value'], entry['operation'], entry)[:nargs])

        def caught_up() -> None:
            cb(*(None, None, None, None)[:nargs])

        def ended(err: NatsError | None) -> None:
            if on_end is not None:
                on_end(*(err,)[:end_nargs])
            elif err is not None and not isinstance(err, DisconnectedError):
                nats.report(err)  # that the client was closed it tells itself

        end_nargs = arity(on_end, 1) if on_end is not None else 0
        patterns = patterns_of(pattern)
        return Watch(read(self.js, place, patterns, on_message, caught_up, ended, **deliver))

    def purge_deletes(self, cb: AnyCallback, older_than: int = _HALF_AN_HOUR) -> Call:
        """Remove what is left of keys that were deleted.

        Args:
            cb: called once as ``cb({'keys': n, 'purged': m}, err)``: keys that are gone without a
                trace, and messages removed.
            older_than: ms; of keys that were deleted later than that the mark stays, so that
                watches still learn of it, and only earlier revisions are removed. 0: no mark stays.

        Errors:
            BucketNotFoundError.
        """
        if isinstance(older_than, bool) or not isinstance(older_than, int):
            raise TypeError(f'older_than must be int, not {type(older_than).__name__}')
        call = self.js.nats.call(cb)
        purge = PurgeDeletes(self.js, self._place, call, older_than)
        self._collect(
            call,
            ['>'],
            purge.add,
            purge.start,
            deliver_policy='last_per_subject',
            headers_only=True,
        )
        return call
