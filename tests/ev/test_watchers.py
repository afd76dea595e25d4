"""pyev's watchers, the same on both implementations."""

from __future__ import annotations

import gc
import os
import signal
import socket
import threading
import weakref

import pytest

from natsev import ev


@pytest.fixture
def loop():
    return ev.default_loop()


@pytest.fixture
def sockets():
    pair = socket.socketpair()
    for end in pair:
        end.setblocking(False)
    yield pair
    for end in pair:
        end.close()


class Calls(list):
    """A callback that keeps what it was called with."""

    def __call__(self, watcher, revents):
        self.append((watcher, revents))


def test_io_tells_what_is_ready(loop, sockets):
    calls = Calls()
    io = ev.Io(sockets[0], ev.EV_READ | ev.EV_WRITE, loop, calls)
    assert (io.fd, io.events & 0x03) == (sockets[0].fileno(), ev.EV_READ | ev.EV_WRITE)
    io.start()
    loop.start(ev.EVRUN_ONCE)
    sockets[1].send(b'x')
    loop.start(ev.EVRUN_ONCE)
    io.stop()
    assert calls == [(io, ev.EV_WRITE), (io, ev.EV_READ | ev.EV_WRITE)]


def test_io_goes_on_until_stopped(loop, sockets):
    received = []

    def readable(watcher, revents):
        received.append(sockets[0].recv(1))
        if len(received) == 3:
            watcher.stop()

    io = loop.io(sockets[0].fileno(), ev.EV_READ, readable)
    sockets[1].send(b'abc')
    io.start()
    io.start()  # a second start changes nothing
    loop.start()
    assert received == [b'a', b'b', b'c']
    assert not io.active


def test_io_set_takes_another_descriptor(loop, sockets):
    calls = Calls()
    io = ev.Io(sockets[0], ev.EV_READ, loop, calls)
    io.start()
    with pytest.raises(ev.Error):
        io.set(sockets[1], ev.EV_WRITE)
    io.stop()
    io.set(sockets[1], ev.EV_WRITE)
    assert (io.fd, io.events & 0x03) == (sockets[1].fileno(), ev.EV_WRITE)
    io.start()
    loop.start(ev.EVRUN_ONCE)
    io.stop()
    assert calls == [(io, ev.EV_WRITE)]


def test_io_refuses_other_events(loop, sockets):
    with pytest.raises(ev.Error):
        ev.Io(sockets[0], ev.EV_TIMER, loop, Calls())


def test_timer_calls_once(loop):
    calls = Calls()
    timer = ev.Timer(0.001, 0.0, loop, calls)
    assert not timer.active
    timer.start()
    assert timer.active
    loop.start()
    assert calls == [(timer, ev.EV_TIMER)]
    assert not timer.active


def test_timer_repeats(loop):
    calls = []

    def due(timer, revents):
        calls.append(revents)
        if len(calls) == 3:
            timer.stop()

    timer = loop.timer(0.0, 0.001, due)
    assert timer.repeat == 0.001
    timer.start()
    loop.start()
    assert calls == [ev.EV_TIMER] * 3


def test_timers_are_called_in_the_order_they_are_due(loop):
    order = []
    timers = [
        loop.timer(after, 0.0, lambda w, _: order.append(w.data), after)
        for after in (0.02, 0.01, 0.0)
    ]
    for timer in timers:
        timer.start()
    loop.start()
    assert order == [0.0, 0.01, 0.02]


def test_timer_set_and_again(loop):
    calls = Calls()
    timer = ev.Timer(1000.0, 0.0, loop, calls)
    timer.start()
    with pytest.raises(ev.Error):
        timer.set(0.0, 0.0)
    timer.stop()
    timer.set(0.001, 0.0)
    timer.start()
    loop.start()
    timer.set(0.001, 0.0)
    timer.start()
    loop.start()
    assert calls == [(timer, ev.EV_TIMER)] * 2


def test_timer_reset_starts_over_with_repeat(loop):
    fired = []
    timer = ev.Timer(1000.0, 0.001, loop, lambda w, _: (fired.append(1), w.stop()))
    timer.start()
    timer.reset()
    loop.start()
    assert fired == [1]
    timer.repeat = 0.0
    timer.start()
    timer.reset()
    assert not timer.active


def test_timer_repeat_can_change_while_it_runs(loop):
    fired = []

    def due(watcher, revents):
        fired.append(watcher.repeat)
        if len(fired) == 3:
            watcher.stop()

    timer = ev.Timer(0.0, 1000.0, loop, due)
    timer.start()
    timer.repeat = 0.001
    loop.start()
    assert fired == [0.001] * 3
    with pytest.raises(ValueError, match='positive'):
        timer.repeat = -1.0


def test_timer_remaining(loop):
    timer = ev.Timer(100.0, 0.0, loop, Calls())
    timer.start()
    assert 0.0 < timer.remaining() <= 100.0
    timer.stop()
    assert 0.0 < timer.remaining() <= 100.0


def test_timer_refuses_a_negative_repeat(loop):
    with pytest.raises(ValueError, match='positive'):
        ev.Timer(0.0, -1.0, loop, Calls())


def test_async_wakes_the_loop_from_a_thread(loop):
    calls = []
    sender = ev.Async(loop, lambda w, revents: (calls.append(revents), w.stop()))
    sender.start()
    assert not sender.sent
    thread = threading.Thread(target=sender.send)
    watch = loop.timer(0.0, 0.0, lambda *_: thread.start())
    watch.start()
    loop.start()
    thread.join()
    assert calls == [ev.EV_ASYNC]


def test_async_sent_is_true_until_it_is_called(loop):
    sender = ev.Async(loop, Calls())
    sender.start()
    sender.send()
    sender.send()
    assert sender.sent
    loop.start(ev.EVRUN_NOWAIT)
    assert not sender.sent
    sender.stop()
    assert len(sender.callback) == 1


def test_prepare_and_check_surround_the_wait(loop):
    order = []
    prepare = loop.prepare(lambda w, revents: order.append(revents))
    check = loop.check(lambda w, revents: order.append(revents))
    prepare.start()
    check.start()
    loop.start(ev.EVRUN_NOWAIT)
    prepare.stop()
    check.stop()
    assert order == [ev.EV_PREPARE, ev.EV_CHECK]


def test_idle_runs_while_nothing_else_is_to_be_done(loop):
    seen = []
    idle = loop.idle(lambda w, revents: (seen.append(revents), w.stop()))
    idle.start()
    loop.start()
    assert seen == [ev.EV_IDLE]


def test_signal(loop):
    seen = []
    before = signal.getsignal(signal.SIGUSR1)
    watcher = loop.signal(signal.SIGUSR1, lambda w, revents: (seen.append(w.signum), w.stop()))
    watcher.start()
    os.kill(os.getpid(), signal.SIGUSR1)
    loop.start()
    signal.signal(signal.SIGUSR1, before)
    assert seen == [signal.SIGUSR1]
    with pytest.raises(ev.Error):
        ev.Signal(0, loop, Calls())


def test_stat_sees_a_file_appear(loop, tmp_path):
    path = tmp_path / 'file'
    stat = loop.stat(str(path), 0.01, lambda w, _: w.stop())
    assert stat.path == str(path)
    stat.start()
    writer = loop.timer(0.0, 0.0, lambda *_: path.write_bytes(b'four'))
    writer.start()
    loop.start()
    assert stat.previous.nlink == 0
    assert (stat.current.nlink, stat.current.size) == (1, 4)


def test_callback_data_and_priority(loop):
    first, second = Calls(), Calls()
    timer = ev.Timer(0.0, 0.0, loop, first, data='mine', priority=1)
    assert (timer.data, timer.priority, timer.callback) == ('mine', 1, first)
    assert timer.loop is loop or timer.loop == loop
    timer.callback = second
    timer.data = None
    timer.priority = ev.EV_MAXPRI
    timer.start()
    loop.start()
    assert (len(first), len(second), timer.data) == (0, 1, None)
    with pytest.raises(TypeError):
        timer.callback = 'no function'
    with pytest.raises(TypeError):
        ev.Timer(0.0, 0.0, loop, None)


def test_higher_priority_is_called_first(loop):
    order = []
    watchers = [
        loop.timer(0.0, 0.0, lambda w, _: order.append(w.priority), None, priority)
        for priority in (-2, 0, 2, 1, -1)
    ]
    for watcher in watchers:
        watcher.start()
    loop.start()
    assert order == [2, 1, 0, -1, -2]


def test_priority_cannot_change_while_active(loop):
    timer = loop.timer(1.0, 0.0, Calls())
    timer.start()
    with pytest.raises(ev.Error):
        timer.priority = 1
    timer.stop()


def test_invoke_and_feed(loop):
    calls = Calls()
    timer = loop.timer(1000.0, 0.0, calls)
    timer.invoke(ev.EV_CUSTOM)
    assert calls == [(timer, ev.EV_CUSTOM)]
    timer.feed(ev.EV_TIMER)
    assert timer.pending
    loop.start(ev.EVRUN_NOWAIT)
    assert calls[1:] == [(timer, ev.EV_TIMER)]


def test_clear_forgets_what_is_pending(loop):
    calls = Calls()
    timer = loop.timer(1000.0, 0.0, calls)
    assert timer.clear() == 0
    timer.feed(ev.EV_TIMER)
    assert timer.clear() == ev.EV_TIMER
    loop.start(ev.EVRUN_NOWAIT)
    assert calls == []


def test_a_stopped_watcher_forgets_what_is_pending(loop):
    calls = Calls()
    late = loop.timer(0.0, 0.0, calls, None, -1)
    early = loop.timer(0.0, 0.0, lambda *_: late.stop(), None, 1)
    late.start()
    early.start()
    loop.start()
    assert calls == []


def test_a_watcher_nobody_refers_to_is_stopped(loop):
    calls = Calls()
    loop.timer(0.0, 0.0, calls).start()
    ev.Timer(0.0, 0.0, loop, calls).start()
    gc.collect()
    loop.start(ev.EVRUN_NOWAIT)
    assert calls == []


def test_a_dropped_watcher_lets_go_of_its_callback(loop):
    calls = Calls()
    gone = weakref.ref(calls)
    timer = loop.timer(1.0, 1.0, calls)
    timer.start()
    del timer, calls
    gc.collect()
    assert gone() is None


def test_a_watcher_in_a_cycle_is_stopped_when_the_cycle_goes(loop):
    class Owner:
        def __init__(self):
            self.timer = loop.timer(1.0, 1.0, self.due)
            self.timer.start()

        def due(self, watcher, revents):
            pass

    gone = weakref.ref(Owner())
    gc.collect()
    assert gone() is None
    loop.start()


def test_a_watcher_can_be_dropped_in_another_thread(loop):
    """As the garbage collector does."""
    ours, theirs = socket.socketpair()
    watchers = [loop.io(ours, ev.EV_READ, lambda *_: None)]
    watchers[0].start()

    def drop():
        watchers.clear()
        done.send()

    thread = threading.Thread(target=drop)
    done = ev.Async(loop, lambda w, _: w.stop())
    done.start()
    start = loop.timer(0.0, 0.0, lambda *_: thread.start())
    start.start()
    loop.start()  # returns, since the watcher has been stopped
    thread.join()
    ours.close()
    theirs.close()


def test_a_watcher_can_drop_itself_in_its_callback(loop):
    watchers = {}
    fired = []

    def due(watcher, revents):
        fired.append(revents)
        watchers.clear()

    watchers['timer'] = loop.timer(0.0, 0.001, due)
    watchers['timer'].start()
    loop.start()
    assert fired == [ev.EV_TIMER]


@pytest.mark.skipif(ev.implementation != 'gevent', reason='pyev has them')
def test_what_gevent_lacks_says_so(loop):
    for make in (ev.Periodic, ev.Scheduler, ev.Embed, loop.periodic, loop.scheduler, loop.embed):
        with pytest.raises(NotImplementedError, match='the real pyev has it'):
            make()
    for method in (loop.suspend, loop.resume, loop.invoke):
        with pytest.raises(NotImplementedError, match='the real pyev has it'):
            method()
    with pytest.raises(NotImplementedError, match='callback'):
        ev.Loop(callback=print)
