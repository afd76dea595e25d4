"""What another process needs to go on with a transfer: a small msgpack file beside the user's.

A journal says which transfer a part belongs to, not how far it came: that is read from the part
itself, so a process may be killed at any moment. A journal that does not match is as good as none.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgpack

from .locked import close_locked, open_locked

_VERSION = 1
# More would be no journal of ours.
_MOST_BYTES = 64 * 1024


class Journal:
    """One journal, which one transfer at a time has open.

    Args:
        path: where it is.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file: int | None = None

    def open(self) -> None:
        """Have it for this transfer alone; harmless when it is open.

        Raises:
            BlockingIOError: another transfer has it.
            OSError: it cannot be written.
        """
        if self._file is None:
            self._file = open_locked(self.path)

    def read(self) -> dict[str, Any]:
        """Return what was written; empty where there is nothing that can be read."""
        assert self._file is not None
        try:
            facts = msgpack.unpackb(os.pread(self._file, _MOST_BYTES, 0))
        except (ValueError, msgpack.UnpackException):
            return {}
        if not isinstance(facts, dict) or facts.pop('version', None) != _VERSION:
            return {}
        return facts

    def write(self, facts: Mapping[str, Any]) -> None:
        """Write *facts*."""
        assert self._file is not None
        data = msgpack.packb({'version': _VERSION, **facts})
        if os.pwrite(self._file, data, 0) < len(data):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(self.path))
        os.ftruncate(self._file, len(data))

    def remove(self) -> None:
        """Remove it, if it is open."""
        if self._file is not None:
            self.path.unlink(missing_ok=True)
            self.close()

    def close(self) -> None:
        """Leave it to others; does nothing when it is not open."""
        file, self._file = self._file, None
        if file is not None:
            close_locked(file)
