"""Running the loop in a test, so that whatever goes wrong inside a callback fails the test."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import pytest

from natsev import ev

_NOTHING = object()


class ErrorGuard(logging.Handler):
    """Keeps what natsev logs at ERROR, and stops the loop at the first that is not expected."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.records: list[logging.LogRecord] = []
        self.expected = False
        self.stop: Callable[[], None] | None = None

    def emit(self, record: logging.LogRecord) -> None:
        self.records.append(record)
        if not self.expected and self.stop is not None:
            self.stop()

    def check(self) -> None:
        """Raise what a callback raised, or fail with what was logged, unless that is expected."""
        if self.expected or not self.records:
            return
        records, self.records = self.records, []
        exception = records[0].exc_info[1] if records[0].exc_info else None
        if exception is not None:
            raise exception
        pytest.fail('natsev logged: ' + '; '.join(record.getMessage() for record in records))


class Run:
    """Runs the loop until a test is done; see the top of ``conftest.py``."""

    def __init__(self, guard: ErrorGuard, loop: Any = None, seconds: float = 20) -> None:
        self.loop = ev.default_loop() if loop is None else loop
        # Of the real pyev's own default loop only ``ev.run()`` lets a KeyboardInterrupt out.
        self._start = ev.run if loop is None else loop.start
        self._guard = guard
        self._seconds = seconds
        self._value: Any = _NOTHING
        self._failure: BaseException | None = None

    def done(self, value: Any = None) -> None:
        """End the run that goes on (or the next one), which returns *value*."""
        if self._value is not _NOTHING:
            self._fail(AssertionError(f'done() a second time: {self._value!r}, then {value!r}'))
        self._value = value
        self._stop()

    def __call__(self, seconds: float | None = None) -> Any:
        """Run the loop until ``done(value)``; return the value.

        Fails when *seconds* pass before, when the loop ends by itself before, when a callback
        raises, or when natsev logs an error.
        """
        timed_out = self._value is _NOTHING and self._run_loop(seconds)
        value, self._value = self._value, _NOTHING
        if value is _NOTHING:
            self._give_up('done() was called', timed_out, seconds)
        return value

    def call(self, function: Callable[..., Any], *args: Any, **options: Any) -> Any:
        """Call *function* with *args* and a callback, and run until that is called.

        Returns:
            what the callback was given: the tuple, or the one value.
        """
        calls: list[tuple[Any, ...]] = []
        returned = False

        def callback(*results: Any) -> None:
            calls.append(results)
            if len(calls) > 1:
                self._fail(AssertionError(f'{function!r} called back twice: {calls!r}'))
            elif not returned:
                self._fail(AssertionError(f'{function!r} called back before it returned'))
            else:
                self.done(results if len(results) != 1 else results[0])

        function(*args, callback, **options)
        returned = True
        return self()

    def until(self, condition: Callable[[], Any], seconds: float | None = None) -> None:
        """Run the loop until *condition* holds; it is looked at once a turn of the loop."""

        watcher = ev.Prepare(self.loop, lambda *_: self._stop() if condition() else None)
        watcher.start()
        self.loop.unref()
        try:
            timed_out = self._run_loop(seconds)
        finally:
            self.loop.ref()
            watcher.stop()
        if not condition():
            self._give_up('the condition held', timed_out, seconds)

    def to_end(self, seconds: float | None = None) -> None:
        """Run the loop until it returns by itself, having nothing to wait for."""
        timed_out = self._run_loop(seconds)
        if self._value is not _NOTHING:
            pytest.fail(f'done({self._value!r}) was called')
        if timed_out:
            pytest.fail(f'the loop still had something to wait for after {self._seconds:g} s')

    def turns(self, number: int = 1) -> None:
        """Run the loop for *number* turns that do not wait."""
        for _ in range(number):
            self.loop.start(ev.EVRUN_NOWAIT)
            self._check()

    def _run_loop(self, seconds: float | None) -> bool:
        timed_out = []

        def bark(*_: Any) -> None:
            timed_out.append(True)
            self._stop()

        self._guard.stop = self._stop
        watchdog = ev.Timer(seconds or self._seconds, 0.0, self.loop, bark)
        watchdog.start()
        self.loop.unref()  # a loop without anything else returns at once
        try:
            self._start()
        finally:
            self.loop.ref()
            watchdog.stop()
            self._guard.stop = None
        self._check()
        return bool(timed_out)

    def _stop(self) -> None:
        self.loop.stop(ev.EVBREAK_ALL)

    def _give_up(self, hope: str, timed_out: bool, seconds: float | None) -> None:
        if timed_out:
            pytest.fail(f'{seconds or self._seconds:g} s passed before {hope}')
        pytest.fail(f'the loop had nothing to wait for any more before {hope}')

    def _fail(self, failure: BaseException) -> None:
        self._failure = self._failure or failure
        self._stop()

    def _check(self) -> None:
        failure, self._failure = self._failure, None
        if failure is not None:
            raise failure
        self._guard.check()
