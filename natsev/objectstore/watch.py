"""Watching a bucket: one callback for each change of an object's metadata."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..callbacks import arity
from ..errors import InvalidMetaError, NatsError, StreamNotFoundError
from ..jetstream import Consumption, Message
from . import record
from .bucket import Bucket
from .listing import stored


class Watch:
    """A watch; ``stop()`` ends it. It goes on by itself over lost connections and restarts.

    Args:
        bucket: the bucket.
        callback: the user's, called as ``callback(meta, err)``.
        name: only this object.
        prefix: only names that begin so.
        ignore_deletes: no tombstones.
        deliver: where to begin: options of ``JetStream.ordered``.
    """

    def __init__(
        self,
        bucket: Bucket,
        callback: Callable[..., Any],
        *,
        name: str | None,
        prefix: str,
        ignore_deletes: bool,
        deliver: dict[str, Any],
    ) -> None:
        self._bucket = bucket
        self._callback = callback
        self._nargs = arity(callback, 2)
        self._name = name
        self._prefix = prefix
        self._ignore_deletes = ignore_deletes
        subjects = bucket.subjects
        if name is None:
            filters: str | list[str] = subjects.metas + '>'
        else:
            filters = [subjects.meta(name), *subjects.other_metas(name)]
        self._consumption: Consumption = bucket.js.ordered(
            bucket.stream,
            self._message,
            filter_subjects=filters,
            on_caught_up=self._caught_up,
            on_end=self._ended,
            **deliver,
        )

    def stop(self) -> None:
        """End it: no callback comes any more."""
        self._consumption.stop()

    cancel = stop

    def _message(self, message: Message) -> None:
        self._bucket.saw(message.subject, message.seq)
        try:
            meta = record.parse(stored(message), self._bucket.name)
        except InvalidMetaError as err:
            if self._is_wanted(err.name or ''):
                self._tell(None, err)
            return
        if meta['deleted'] and self._ignore_deletes:
            return
        if self._is_wanted(meta['name']):
            self._tell(meta, None)

    def _is_wanted(self, name: str) -> bool:
        return name.startswith(self._prefix) and self._name in (None, name)

    def _caught_up(self) -> None:
        self._tell(None, None)

    def _ended(self, err: NatsError | None) -> None:
        if isinstance(err, StreamNotFoundError):
            err = self._bucket.not_found(err)
        if err is not None:
            self._tell(None, err)

    def _tell(self, *args: Any) -> None:
        self._bucket.nats.run_callback(self._callback, *args[: self._nargs])
