"""How many arguments does a callback take?

A callback may be declared with fewer positional parameters than a call passes; it then gets the
leading ones. That is looked up once per call made, cached by code object, so a message costs
nothing.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from types import CodeType, FunctionType, MethodType
from typing import Any

_by_code: dict[tuple[CodeType, int, bool], tuple[int, int]] = {}
# Code objects that are made over and over (exec, notebooks) must not grow the cache without end.
_MOST_CACHED = 4096
_UNLIMITED = 1 << 16


def arity(callback: Callable[..., Any], passed: int) -> int:
    """Return how many of the *passed* leading arguments *callback* takes.

    Raises:
        TypeError: *callback* cannot be called, or requires more than *passed* arguments.
    """
    required, accepted = _range(callback)
    if required > passed:
        raise TypeError(
            f'callback {callback!r} requires {required} arguments; this call passes {passed}'
        )
    return min(accepted, passed)


def _range(callback: Callable[..., Any]) -> tuple[int, int]:
    bound = isinstance(callback, MethodType)
    function = callback.__func__ if isinstance(callback, MethodType) else callback
    if isinstance(function, FunctionType) and not hasattr(function, '__wrapped__'):
        defaults = len(function.__defaults__ or ())
        key = (function.__code__, defaults, bound)
        known = _by_code.get(key)
        # Required keyword-only parameters depend on the function, not on its code: look each time.
        if known is None or function.__code__.co_kwonlyargcount:
            known = _range_of_signature(callback)
            if len(_by_code) >= _MOST_CACHED:
                _by_code.clear()
            _by_code[key] = known
        return known
    return _range_of_signature(callback)


def _range_of_signature(callback: Callable[..., Any]) -> tuple[int, int]:
    if not callable(callback):
        raise TypeError(f'callback must be callable, not {type(callback).__name__}')
    try:
        parameters = inspect.signature(callback).parameters.values()
    except (ValueError, TypeError):  # some builtins have no signature: they get all
        return 0, _UNLIMITED
    required = accepted = 0
    for parameter in parameters:
        if parameter.kind is parameter.VAR_POSITIONAL:
            accepted = _UNLIMITED
        elif parameter.kind in (parameter.POSITIONAL_ONLY, parameter.POSITIONAL_OR_KEYWORD):
            accepted += 1
            required += parameter.default is parameter.empty
        elif parameter.kind is parameter.KEYWORD_ONLY and parameter.default is parameter.empty:
            raise TypeError(f'callback {callback!r} requires the keyword {parameter.name!r}')
    return required, accepted
