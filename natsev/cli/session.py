"""One command's connection, and the loop, run until the answers are there."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any

from .. import (
    DisconnectedError,
    JetStream,
    JetStreamNotEnabledError,
    Nats,
    NatsError,
    NoResponders,
    ev,
)
from . import output
from .settings import Settings


class Timer:
    """Is it ``over``?"""

    def __init__(self, seconds: float, then: Callable[[], None]) -> None:
        self.over = False
        self._then = then
        self._watcher = ev.default_loop().timer(seconds, 0.0, self._fire)
        self._watcher.start()

    def _fire(self, watcher: Any, events: int) -> None:
        self.over = True
        self._then()

    def stop(self) -> None:
        """Stop it, so that it does not keep the loop going."""
        self._watcher.stop()


class Session:
    """A connection for the time of one command. Ctrl-C cancels what is outstanding.

    ``with Session(settings) as session:`` connects, and at the end closes in good order.

    Raises:
        NatsError: the connection does not come to stand.
    """

    def __init__(self, settings: Settings, **options: Any) -> None:
        self.settings = settings
        self._failure: BaseException | None = None
        self._closed = False
        self.nats = Nats(
            **{
                **settings.nats_options(),
                # A connection that stood is made again; one that never did is an error at once.
                'reconnect': True,
                'retry_on_failed_connect': False,
                'on_connect': self._wake,
                'on_disconnect': self._disconnected,
                'on_reconnect': self._reconnected,
                'on_error': self._error,
                'on_exception': self._raised,
                'on_close': self._end,
                **options,
            }
        )
        self.js = JetStream(nats=self.nats, **settings.js_options())

    def __enter__(self) -> Session:
        try:
            while not self.nats.is_connected():
                self._run()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def close(self) -> None:
        """Write what is buffered, and close."""
        self._failure = None
        if not self._closed:
            self.nats.disconnect()
        while not self._closed:
            ev.run()

    def call(self, function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """Call *function* with a callback, run the loop until that is called, return its result.

        Raises:
            NatsError: what the callback was told.
            KeyboardInterrupt: Ctrl-C; the call has been cancelled, and has cleaned up.
        """
        return self.results(function, *args, **kwargs)[0]

    def results(self, function: Callable[..., Any], *args: Any, **kwargs: Any) -> tuple[Any, ...]:
        """Do the same, and return everything that the callback was told."""
        told: list[tuple[Any, ...]] = []

        def callback(*results: Any) -> None:
            told.append(results)
            self._wake()

        handle = function(*args, callback, **kwargs)
        try:
            self.run(lambda: bool(told))
        except KeyboardInterrupt:
            handle.cancel()
            with suppress(DisconnectedError):  # then nothing can be cleaned up
                self.run(lambda: bool(told))  # it cleans up; a second Ctrl-C leaves at once
            raise
        for result in told[0]:
            if isinstance(result, NatsError):
                plain = getattr(function, '__self__', None) is self.nats
                raise self._explained(result, plain)
        return told[0]

    def run(self, done: Callable[[], bool] = lambda: False) -> None:
        """Run the loop until *done*, which is looked at after each ``wake()``, or Ctrl-C."""
        while not done():
            self._run()

    def wake(self) -> None:
        """Have ``run`` look whether it is done."""
        self._wake()

    def timer(self, ms: float) -> Timer:
        """Return a timer that wakes ``run`` after *ms* milliseconds."""
        return Timer(ms / 1000, self._wake)

    def _run(self) -> None:
        if not self._closed:
            ev.run()
        failure, self._failure = self._failure, None
        if failure is not None:
            raise failure
        if self._closed:
            raise DisconnectedError('closed')

    def _wake(self) -> None:
        ev.break_()

    def _explained(self, err: NatsError, plain: bool) -> BaseException:
        """Return what is behind *err*, of a *plain* request or of one to JetStream."""
        if isinstance(err, DisconnectedError) and self._failure is not None:
            return self._failure
        if (
            isinstance(err, NoResponders)
            and not plain
            and not self.nats.server_info().get('jetstream')
        ):
            return JetStreamNotEnabledError(503, 10076, 'JetStream is not enabled here')
        return err

    # What the connection tells.

    def _error(self, err: NatsError) -> None:
        self._failure = err
        self._wake()

    def _raised(self, error: BaseException) -> None:
        self._failure = error
        self._wake()

    def _disconnected(self, err: NatsError | None) -> None:
        if err is not None and self.nats.reconnect_enabled():
            output.note(f'{err}; connecting again')

    def _reconnected(self) -> None:
        output.note('connected again')

    def _end(self) -> None:
        self._closed = True
        self._wake()
