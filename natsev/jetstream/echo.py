"""Did the server take the whole configuration? Before 2.12 it drops fields it does not know."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from ..calls import Call
from ..errors import UnsupportedOptionError
from .api import Reply

# What an absent field means; zero, false and empty do too.
_DEFAULTS = ('none', 'default')


def refuse_dropped(call: Call, sent: Mapping[str, Any]) -> Callable[[Reply], None]:
    """Return a function that ends *call* with the info replied, if its config has all of *sent*."""

    def replied(info: Reply) -> None:
        lost = list(dropped(sent, info.get('config')))
        if lost:
            call.fail(UnsupportedOptionError(lost, info))
        else:
            call.end(info, None)

    return replied


def dropped(sent: Any, echo: Any, path: str = '') -> Iterator[str]:
    """Yield the paths of all fields in *sent* that say something and are not in *echo*."""
    if isinstance(sent, Mapping):
        echo = echo if isinstance(echo, Mapping) else {}
        for key, value in sent.items():
            if key in echo:
                yield from dropped(value, echo[key], f'{path}{key}.')
            elif value and value not in _DEFAULTS:
                yield path + key
    elif isinstance(sent, list) and isinstance(echo, list):
        for index, (one, other) in enumerate(zip(sent, echo, strict=False)):
            yield from dropped(one, other, f'{path}{index}.')
