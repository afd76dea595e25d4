"""How many arguments does a callback take?

A callback may be declared with fewer positional parameters than a call passes; it then gets the
leading ones. That is looked up once per call made, not per message. For functions and methods it
is in their code object; a cache by code object would cost more than it spares, since every look-up
hashes the whole code.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import partial
from inspect import CO_VARARGS
from types import FunctionType, MethodType
from typing import Any

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
    return accepted if accepted < passed else passed


def _range(callback: Callable[..., Any]) -> tuple[int, int]:
    bound = type(callback) is MethodType
    function = callback.__func__ if type(callback) is MethodType else callback
    if type(function) is FunctionType and not hasattr(function, '__wrapped__'):
        code = function.__code__
        accepted = code.co_argcount - bound
        if not code.co_kwonlyargcount:
            defaults = function.__defaults__
            required = accepted if defaults is None else max(0, accepted - len(defaults))
            if code.co_flags & CO_VARARGS:
                return max(0, required), _UNLIMITED
            if accepted >= 0:
                return required, accepted
    if isinstance(callback, partial) and not callback.keywords:
        given = len(callback.args)
        required, accepted = _range(callback.func)
        if accepted >= given:
            return max(0, required - given), accepted - given
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
