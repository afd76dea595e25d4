"""What puts and gets have in common: the user's handle, the idle clock, and lost connections.

A transfer goes through three phases. *Running*, it does its work; when the connection is lost it
stands still (``away``) and goes on from where it was. It is *done* when its outcome is settled;
what it began may still have to be cleaned up. Then it *ends*: ``_leave`` sees to it that the
callback is told once.

Replies are awaited without a time limit of their own. One timer for all transfers of a bucket looks
whether each has made progress within the store's ``timeout``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from time import monotonic
from typing import TYPE_CHECKING, Any

from ..callbacks import arity
from ..calls import Call, Handle
from ..errors import Cancelled, DisconnectedError, NatsError, RequestTimeout
from ..loop import Timer

if TYPE_CHECKING:
    from ..nats import Nats
    from .bucket import Bucket

# How often progress is looked for within one timeout.
_LOOKS = 4
_LONGEST_TICK = 1.0
# Seconds, and part of the timeout, of the first silence that makes it ask again; then doubled.
_PATIENCE, _PATIENT_PART = 1.0, 0.25
# Without an answer for so many timeouts, and with the connection standing, none will come.
_MOST_IDLE = 6


class Transfer:
    """A put or a get in progress.

    Attributes:
        bytes_done: bytes that have arrived where they should, so far.
        bytes_total: the size of the object, or None where it is not known yet.
        strategy: how the chunks travel, for debugging; '' before that is known.
    """

    def __init__(
        self, bucket: Bucket, call: Call, progress: Callable[..., Any] | None = None
    ) -> None:
        self.bytes_done = 0
        self.bytes_total: int | None = None
        self.strategy = ''
        # An Operation:
        self.child: Handle | None = None
        self.request_timeout: float | None = None
        self.epoch = 0
        self.done = False
        self._bucket = bucket
        self._nats: Nats = bucket.nats
        self._call = call
        self._progress = progress
        self._progress_nargs = arity(progress, 2) if progress is not None else 0
        self._away = False
        self._paused = False
        self._cancelled = False
        self._begun = False
        self._ended = False
        self._err: NatsError | None = None
        self._progress_at = 0.0
        self._late = False
        self._asked_again = 0
        self._timer: Timer | None = None

    # What the user does.

    def cancel(self) -> None:
        """Give up. The callback still comes once, with ``Cancelled``, when all is cleaned up."""
        if not (self.done or self._cancelled):
            self._cancelled = True
            self._nats.call_soon(self.fail, Cancelled())

    def pause(self) -> None:
        """Stand still until ``resume()``; what is on its way still arrives."""
        self._paused = True

    def resume(self) -> None:
        """Go on after ``pause()``."""
        if self._paused:
            self._paused = False
            self._touch()
            self._nats.call_soon(self._begin if not self._begun else self._resumed)

    # Phases.

    def start(self, *, now: bool = False) -> None:
        """Begin, in the next turn of the loop or *now*; while away, when the connection stands."""
        if self._nats.is_closed():
            self._call.fail_later(DisconnectedError('closed'))
            return
        self._bucket.transfers.add(self)
        self._touch()
        self._away = not self._nats.is_connected()
        if now:
            self._begin()
        else:
            self._nats.call_soon(self._begin)

    @property
    def running(self) -> bool:
        """May it go on now?"""
        return not (self.done or self._away or self._paused or self._cancelled)

    def _begin(self) -> None:
        if self.running and not self._begun:
            self._begun = True
            self._go_on()

    def fail(self, err: NatsError) -> None:
        """Settle on *err*, clean up, then end with it."""
        if self.done:
            return
        if isinstance(err, DisconnectedError) and not self._nats.is_closed():
            return  # the connection's listeners are told next, and know whether it comes back
        self.done = True
        self._err = err
        self._stop_waiting()
        self._clean()

    def _end(self, *results: Any) -> None:
        """Leave the loop, then tell the callback *results*."""
        if self._leave():
            self._call.end(*results)

    def _end_failed(self) -> None:
        """Leave the loop, then tell the callback the error."""
        if self._leave():
            assert self._err is not None
            self._call.fail(self._err)

    def _leave(self) -> bool:
        if self._ended:
            return False
        self._ended = self.done = True
        self.child = None  # it leads back here: a cycle is left to the collector
        self._stop_waiting()
        self._bucket.transfers.remove(self)
        try:
            self._release()
        except Exception as exc:  # of the user's file or iterable, when it is closed
            self._tell_of(exc)
        return True

    def _tell_of(self, exc: Exception) -> None:
        """Treat *exc* as if a callback of the user's had raised it."""

        def reraise() -> None:
            raise exc

        self._nats.run_callback(reraise)

    # What each kind of transfer does in its own way.

    def _go_on(self) -> None:
        """Begin, or go on after a lost connection, from the present state."""
        raise NotImplementedError

    def _resumed(self) -> None:
        """The user has resumed it."""

    def _lost(self) -> None:
        """The connection is lost: nothing outstanding will be answered."""

    def _clean(self) -> None:
        """Clean up after a failure, then call ``_end_failed``. Called again after a reconnect."""
        self._end_failed()

    def _ask_again(self) -> None:
        """There was no progress for a while: something may have been dropped without a word."""

    def _idle(self) -> None:
        """There was no progress for the length of the timeout."""
        self.fail(RequestTimeout())

    def _expecting(self) -> bool:
        """Is there anything that the server has to do? Else it cannot be late."""
        return True

    def _release(self) -> None:
        """Close files and the like; called once, at the end."""

    # The clock.

    def _touch(self) -> None:
        self._progress_at = monotonic()
        self._late = False
        self._asked_again = 0

    def check_progress(self, now: float, timeout: float) -> None:
        """Look whether there was progress within *timeout* seconds."""
        if self._away or (self._paused and not self.done) or not self._expecting():
            self._progress_at = now
            return
        silence = now - self._progress_at
        if silence > timeout:
            # The loop may have been held up: let it read what has come before giving up.
            if self._late:
                self._touch()
                self._idle()
            self._late = True
        elif silence > min(_PATIENCE, timeout * _PATIENT_PART) * 2**self._asked_again:
            self._asked_again += 1
            self._ask_again()

    def _advance(self, size: int) -> None:
        """Count *size* more bytes, and tell the user."""
        self.bytes_done += size
        self._touch()
        if self._progress is not None:
            args = (self.bytes_done, self.bytes_total)[: self._progress_nargs]
            self._nats.run_callback(self._progress, *args)

    def _wait(self, seconds: float, then: Callable[[], Any]) -> None:
        """Call *then* after *seconds*, unless the connection is lost or the phase ends before."""
        self._stop_waiting()
        self._timer = self._nats.port.timer(then)
        self._timer.start(seconds)

    def _stop_waiting(self) -> None:
        timer, self._timer = self._timer, None
        if timer is not None:
            timer.close()

    # The connection.

    def connected(self) -> None:
        self._away = False
        self._touch()
        if self.done:
            self._clean()
        elif self._begun:
            self._go_on()
        else:
            self._begin()

    def disconnected(self) -> None:
        self._away = True
        # What is still queued goes out with the next connection, and is asked for again then.
        self.epoch += 1
        self._stop_waiting()
        self._lost()

    def closed(self, err: NatsError) -> None:
        self._away = True
        self._lost()
        self._err = self._err or DisconnectedError(str(err))
        self._end_failed()


class Background(Transfer):
    """What goes on though the call that began it may have ended: more patient than a user is."""

    _idles = 0

    def _idle(self) -> None:
        self._idles += 1
        if self._idles >= _MOST_IDLE:
            self.fail(RequestTimeout())


class Transfers:
    """The transfers of a bucket that are under way: told of the connection, and of the time.

    Args:
        nats: the client.
        timeout: ms without progress that end a transfer.
    """

    def __init__(self, nats: Nats, timeout: float) -> None:
        self._nats = nats
        self._timeout = timeout / 1000
        self._tick = min(self._timeout / _LOOKS, _LONGEST_TICK)
        self._active: dict[Transfer, None] = {}
        self._timer: Timer | None = None

    def add(self, transfer: Transfer) -> None:
        """Look after *transfer* until it is removed."""
        self._active[transfer] = None
        if self._timer is None:
            self._nats.add_listener(self)
            self._timer = self._nats.port.timer(self._look)
            self._timer.start(self._tick, self._tick)

    def remove(self, transfer: Transfer) -> None:
        """Do not look after *transfer* any more."""
        # The timer goes on until its next turn: small objects come one after the other.
        self._active.pop(transfer, None)

    def _look(self) -> None:
        if not self._active:
            self._stop()
            return
        now = monotonic()
        for transfer in self._all():
            transfer.check_progress(now, self._timeout)

    def _all(self) -> Iterator[Transfer]:
        """Yield those that are active, though one may end another."""
        return (transfer for transfer in list(self._active) if transfer in self._active)

    def _stop(self) -> None:
        timer, self._timer = self._timer, None
        if timer is not None:
            timer.close()
            self._nats.remove_listener(self)

    def connected(self) -> None:
        for transfer in self._all():
            transfer.connected()

    def disconnected(self, err: NatsError) -> None:
        for transfer in self._all():
            transfer.disconnected()

    def closed(self, err: NatsError) -> None:
        for transfer in self._all():
            transfer.closed(err)
        self._stop()
