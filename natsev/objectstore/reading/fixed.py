"""Reading the bytes of metadata that is at hand, whatever the present metadata of the name says."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ...calls import Call
from ..bucket import Bucket
from ..lookup import Resolved
from ..record import ObjectMeta
from ..sink import Sink
from .get import Get


class FixedGet(Get):
    """A get of just the chunks that *meta* names, as they are stored.

    Args:
        bucket: where.
        call: the call; its results are data, error and metadata.
        meta: of the object.
        sink: where its bytes go.
        progress: called as ``progress(done, total)``.
    """

    def __init__(
        self,
        bucket: Bucket,
        call: Call,
        meta: ObjectMeta,
        sink: Sink,
        progress: Callable[..., Any] | None = None,
    ) -> None:
        super().__init__(
            bucket,
            call,
            meta['name'],
            sink,
            results=lambda *all: all,
            progress=progress,
            decode=False,
        )
        self._fixed = meta

    def _resolve(self, then: Resolved, leader: bool) -> None:
        then(self._bucket, self._fixed)
