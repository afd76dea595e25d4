"""What a server says that is not a message."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Final, TypeAlias


@dataclass(frozen=True)
class Info:
    """``INFO``; *data* is its JSON."""

    data: bytes


@dataclass(frozen=True)
class Err:
    """``-ERR``; *text* is what stood between the quotes."""

    text: str


@dataclass(frozen=True)
class Ping:
    """``PING``, which wants a ``PONG``."""


@dataclass(frozen=True)
class Pong:
    """``PONG``, the answer to our oldest ``PING``."""


@dataclass(frozen=True)
class Ok:
    """``+OK``, in verbose mode."""


class Yield(Enum):
    """The type of ``YIELD``."""

    YIELD = 'YIELD'


# Not the peer's word but the wire's own: enough messages for one turn, there may be more.
YIELD: Final = Yield.YIELD

Event: TypeAlias = Info | Err | Ping | Pong | Ok
