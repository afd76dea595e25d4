"""Unique ids for inboxes and chunks: a random prefix and a counter, 22 characters of base 62."""

from __future__ import annotations

import os
import secrets

_DIGITS = '0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz'
_PREFIX_LENGTH = 12
_COUNTER_LENGTH = 10
_COUNTER_END = 62**_COUNTER_LENGTH
# A random step hides how many ids were made; the range is the one official clients use.
_LEAST_STEP, _MOST_STEP = 33, 333


class Nuid:
    """Makes ids that are unique to this process; a forked child starts a prefix of its own."""

    def __init__(self) -> None:
        self._renew()

    def _renew(self) -> None:
        self._pid = os.getpid()
        self._prefix = ''.join(secrets.choice(_DIGITS) for _ in range(_PREFIX_LENGTH))
        self._counter = secrets.randbelow(_COUNTER_END)
        self._step = _LEAST_STEP + secrets.randbelow(_MOST_STEP - _LEAST_STEP)

    def next(self) -> str:
        """Return the next id: 22 characters of ``[0-9A-Za-z]``."""
        self._counter += self._step
        if self._counter >= _COUNTER_END or self._pid != os.getpid():
            self._renew()
        return self._prefix + _base62(self._counter)


def _base62(number: int) -> str:
    digits = []
    for _ in range(_COUNTER_LENGTH):
        number, digit = divmod(number, 62)
        digits.append(_DIGITS[digit])
    return ''.join(reversed(digits))


next_nuid = Nuid().next
