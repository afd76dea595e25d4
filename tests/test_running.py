"""The tests' own ``run``: whatever goes wrong in a callback fails the test, and soon."""

from __future__ import annotations

import logging

import pytest
from _pytest.outcomes import Failed

from natsev import ev
from tests.running import ErrorGuard, Run


@pytest.fixture
def timers(run):
    """``timers(function, *args)`` calls it in a later turn of the loop."""
    alive = []

    def later(function, *args, after=0.0):
        timer = ev.Timer(after, 0.0, run.loop, lambda *_: function(*args))
        alive.append(timer)
        timer.start()

    yield later
    for timer in alive:
        timer.stop()


@pytest.fixture
def log():
    """natsev's logger, with a guard of its own, so that this test need not expect errors."""
    logger = logging.getLogger('natsev')
    guard = ErrorGuard()
    others = logger.handlers
    logger.handlers = [guard]
    yield logger, guard
    logger.handlers = others


def test_returns_what_done_is_given(run, timers):
    timers(run.done, 7)
    assert run() == 7


def test_done_before_the_run(run):
    run.done('early')
    assert run() == 'early'


def test_runs_again(run, timers):
    timers(run.done, 1)
    assert run() == 1
    timers(run.done)
    assert run() is None


def test_done_twice_is_a_failure(run, timers):
    timers(lambda: (run.done(1), run.done(2)))
    with pytest.raises(AssertionError, match='a second time: 1, then 2'):
        run()


def test_the_watchdog_bites(run, timers):
    timers(run.done, after=60)
    with pytest.raises(Failed, match=r'0\.01 s passed before done'):
        run(seconds=0.01)


def test_a_loop_that_has_nothing_to_do_is_not_waited_for(run):
    with pytest.raises(Failed, match='nothing to wait for any more'):
        run(seconds=60)


def test_a_logged_error_ends_the_run(timers, log):
    logger, guard = log
    run = Run(guard)
    timers(logger.error, 'it %s', 'broke')
    timers(run.done, after=60)
    with pytest.raises(Failed, match='natsev logged: it broke'):
        run(seconds=60)


def test_a_logged_exception_is_raised_as_itself(timers, log):
    logger, guard = log
    run = Run(guard)

    def callback():
        try:
            assert 1 == 2, 'in a callback'
        except AssertionError:
            logger.exception('callback raised')

    timers(callback)
    timers(run.done, after=60)
    with pytest.raises(AssertionError, match='in a callback'):
        run(seconds=60)


def test_an_error_outside_a_run_fails_at_the_end(log):
    logger, guard = log
    logger.error('too late')
    with pytest.raises(Failed, match='too late'):
        guard.check()
    guard.check()


def test_expected_errors(run, timers, expected_errors):
    timers(logging.getLogger('natsev').error, 'as expected')
    timers(run.done, after=0.001)
    run()
    assert [record.getMessage() for record in expected_errors] == ['as expected']


def test_warnings_are_none_of_its_business(run):
    logging.getLogger('natsev').warning('just so')


class TestCall:
    def test_returns_what_the_callback_is_given(self, run, timers):
        def operation(one, callback, *, two):
            timers(callback, one, two)

        assert run.call(operation, 1, two=2) == (1, 2)

    def test_one_result_comes_alone(self, run, timers):
        assert run.call(lambda callback: timers(callback, None)) is None

    def test_none_at_all(self, run, timers):
        assert run.call(timers) == ()

    def test_twice(self, run, timers):
        def operation(callback):
            timers(lambda: (callback(1), callback(2)))

        with pytest.raises(AssertionError, match='called back twice'):
            run.call(operation)

    def test_at_once(self, run):
        with pytest.raises(AssertionError, match='before it returned'):
            run.call(lambda callback: callback(1))


def test_until(run, timers):
    seen = []
    timers(seen.append, 1)
    timers(seen.append, 2, after=0.002)
    run.until(lambda: len(seen) == 2)
    assert seen == [1, 2]
    run.until(lambda: True)
    with pytest.raises(Failed, match='nothing to wait for any more before the condition'):
        run.until(lambda: False)


def test_until_bites(run, timers):
    timers(run.done, after=60)
    with pytest.raises(Failed, match='passed before the condition held'):
        run.until(lambda: False, seconds=0.01)


def test_to_end(run, timers):
    seen = []
    timers(seen.append, 1, after=0.001)
    run.to_end()
    assert seen == [1]


def test_to_end_bites(run, timers):
    timers(list, after=60)
    with pytest.raises(Failed, match='something to wait for'):
        run.to_end(seconds=0.01)


def test_turns(run, timers):
    seen = []
    timers(seen.append, 1)
    timers(seen.append, 2, after=60)
    run.turns(3)
    assert seen == [1]
