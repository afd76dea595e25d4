"""What another process needs to go on with a transfer: a small msgpack file beside the user's.

A journal says which transfer a part belongs to, not how far it came: that is read from the part
itself, so a process may be killed at any moment. A journal that does not match is as good as none.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgpack

_VERSION = 1
# More would be no journal of ours.
_MOST_BYTES = 64 * 1024


class Journal:
    """One journal.

    Args:
        path: where it is.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def read(self) -> dict[str, Any]:
        """Return what was written; empty where there is nothing that can be read."""
        try:
            with self.path.open('rb') as file:
                data = file.read(_MOST_BYTES)
            facts = msgpack.unpackb(data)
        except (OSError, ValueError, msgpack.UnpackException):
            return {}
        if not isinstance(facts, dict) or facts.pop('version', None) != _VERSION:
            return {}
        return facts

    def write(self, facts: Mapping[str, Any]) -> None:
        """Write *facts*, all at once."""
        data = msgpack.packb({'version': _VERSION, **facts})
        temporary = self.path.with_name(self.path.name + '.new')
        temporary.write_bytes(data)
        os.replace(temporary, self.path)

    def remove(self) -> None:
        """Remove it, where it is."""
        self.path.unlink(missing_ok=True)
