"""How many bytes may be on their way to one client at once, whatever asked for them.

A server hangs up on a client for which more than 64 MiB wait. All gets of a client share half of
that; who finds nothing left waits for its turn.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

if TYPE_CHECKING:
    from ...nats import Nats

MOST = 32 * 1024 * 1024


class Budget:
    """Bytes that may still be requested. What is too much for it alone may be requested alone."""

    def __init__(self) -> None:
        self._used = 0
        self._waiting: deque[Callable[[], None]] = deque()
        self._turn: Callable[[], None] | None = None  # who waited and may take now

    @property
    def free(self) -> int:
        """How many bytes may be requested now; less than 0 where one has more than all."""
        return MOST - self._used

    def take(self, size: int, again: Callable[[], None]) -> bool:
        """Take *size* bytes if they are there; else have *again* called when some are.

        Nobody overtakes who waits: small ones would leave a large one nothing.
        """
        first = again == self._turn
        if self._used and (self._used + size > MOST or (self._waiting and not first)):
            if first:
                self._waiting.appendleft(again)
            elif again not in self._waiting:
                self._waiting.append(again)
            return False
        if first:
            self._turn = None
        self._used += size
        return True

    def give_back(self, size: int) -> None:
        """Give back what was taken."""
        self._used -= size
        while self._waiting and self._used < MOST:
            again = self._waiting.popleft()
            before, self._turn = self._turn, again
            again()
            taken = self._turn is not again
            self._turn = before
            if again in self._waiting and not taken:
                return  # it needs more than there is

    def forget(self, again: Callable[[], None]) -> None:
        """Do not call *again* any more."""
        if again in self._waiting:
            self._waiting.remove(again)


_budgets: WeakKeyDictionary[Nats, Budget] = WeakKeyDictionary()


def budget_of(nats: Nats) -> Budget:
    """Return the budget of the client *nats*."""
    budget = _budgets.get(nats)
    if budget is None:
        budget = _budgets[nats] = Budget()
    return budget
