"""The port: what the core asks of a loop, the same on every kind of loop."""

from __future__ import annotations

import gc
import importlib
import socket
import threading
import weakref

import pytest

from natsev import ev
from natsev.loop import READ, WRITE, port_for
from tests.programs import check_program, run_program


def _corecext_loop():
    return importlib.import_module('gevent.libev.corecext').loop(default=False)


def _start(loop, flags=0):
    """Run a loop of any kind."""
    if hasattr(loop, 'start'):
        loop.start(flags)
    else:
        loop.run(bool(flags & ev.EVRUN_NOWAIT), bool(flags & ev.EVRUN_ONCE))


@pytest.fixture(params=['default', 'second', 'bare gevent'])
def loop(request):
    """Each kind of loop that this process can run itself."""
    if request.param == 'bare gevent':
        return _corecext_loop()
    return ev.default_loop() if request.param == 'default' else ev.Loop()


@pytest.fixture
def port(loop):
    return port_for(loop)


@pytest.fixture
def sockets():
    pair = socket.socketpair()
    for end in pair:
        end.setblocking(False)
    yield pair
    for end in pair:
        end.close()


def test_one_loop_has_one_port():
    assert port_for() is port_for(ev.default_loop())
    loop = ev.Loop()
    port = port_for(loop)
    assert port is port_for(loop)
    assert port is not port_for()


@pytest.mark.parametrize('thing', [object(), 'loop', 7, socket])
def test_what_is_no_loop_is_refused(thing):
    with pytest.raises(TypeError, match=r'natsev\.ev loop'):
        port_for(thing)


def test_a_port_that_nobody_uses_is_freed():
    # Of the default loop the clients of other tests may still have it.
    gone = weakref.ref(port_for(ev.Loop()))
    gc.collect()
    assert gone() is None


def test_times(port):
    before = port.now()
    port.update()
    assert port.now() >= before
    assert port.now() == pytest.approx(ev.time(), abs=3600)


def test_io(loop, port, sockets):
    got = []

    def readable():
        got.append(sockets[0].recv(1))
        if len(got) == 2:
            io.stop()

    io = port.io(sockets[0].fileno(), READ, readable)
    assert not io.active
    io.start()
    io.start()
    assert io.active
    sockets[1].send(b'abc')
    _start(loop)
    assert (got, io.active) == ([b'a', b'b'], False)
    io.start()  # and on again
    _start(loop, ev.EVRUN_ONCE)
    assert got == [b'a', b'b', b'c']
    io.close()
    _start(loop)


def test_io_write_and_priority(loop, port, sockets):
    order = []
    watchers = [
        port.io(sockets[0].fileno(), WRITE, lambda n=n: order.append(n), priority=n)
        for n in (0, 2, -2)
    ]
    for watcher in watchers:
        watcher.start()
    _start(loop, ev.EVRUN_ONCE)
    for watcher in watchers:
        watcher.close()
    assert order == [2, 0, -2]


def test_timer(loop, port):
    fired = []
    timer = port.timer(lambda: fired.append(timer.active))
    assert not timer.active
    timer.start(0.001)
    assert timer.active
    _start(loop)
    assert (fired, timer.active) == ([False], False)
    timer.start(1000)
    timer.start(0.001)  # starts over
    _start(loop)
    assert fired == [False, False]
    timer.start(1000)
    timer.stop()
    timer.stop()
    _start(loop)
    assert fired == [False, False]
    timer.close()


def test_timer_repeats_until_stopped(loop, port):
    fired = []

    def due():
        fired.append(timer.active)
        if len(fired) == 3:
            timer.stop()

    timer = port.timer(due)
    timer.start(0.0, 0.001)
    _start(loop)
    assert fired == [True] * 3


def test_timer_can_start_over_in_its_callback(loop, port):
    fired = []

    def due():
        fired.append(1)
        if len(fired) < 3:
            timer.start(0.001)

    timer = port.timer(due)
    timer.start(0.001)
    _start(loop)
    assert fired == [1, 1, 1]
    assert not timer.active


def test_a_timer_counts_from_its_start_not_from_the_loops_last_turn(loop, port):
    """A program may work for long before it runs the loop, or in a callback."""
    order = []
    early, late = (
        port.timer(lambda: order.append('early')),
        port.timer(lambda: order.append('late')),
    )

    def spin(seconds):
        until = ev.time() + seconds
        while ev.time() < until:
            pass

    def busy():
        early.start(0.01)
        spin(0.03)
        late.start(0.02)
        port.call_soon(order.append, 'next turn')

    port.call_soon(busy)
    spin(0.03)
    _start(loop)
    # Counted from the turn's beginning, 'late' would be due already in the next turn, too.
    assert order.index('late') > order.index('next turn')
    assert order[-1] == 'late'


def test_call_soon_is_never_at_once_and_in_order(loop, port):
    order = []
    for number in range(5):
        port.call_soon(order.append, number)
    assert order == []
    _start(loop)
    assert order == [0, 1, 2, 3, 4]


def test_what_a_batch_queues_runs_in_the_next_turn(loop, port):
    order = []

    def first():
        order.append('first')
        port.call_soon(order.append, 'third')

    port.call_soon(first)
    port.call_soon(order.append, 'second')
    while len(order) < 2:
        _start(loop, ev.EVRUN_NOWAIT)
    assert order == ['first', 'second']
    _start(loop)
    assert order == ['first', 'second', 'third']


@pytest.mark.parametrize('phase', ['prepare', 'check', 'io', 'timer'])
def test_call_soon_never_waits_behind_a_poll(phase, sockets):
    """Nothing else happens on the loop: what is left behind the poll would hang the test."""
    loop = ev.Loop()
    port = port_for(loop)
    keeper = port.io(sockets[1].fileno(), READ, lambda: None)  # makes the poll block
    keeper.start()

    def phased(watcher, revents):
        watcher.stop()
        port.call_soon(loop.stop)

    watchers = {
        'prepare': lambda: loop.prepare(phased),
        'check': lambda: loop.check(phased),
        'io': lambda: loop.io(sockets[0], ev.EV_WRITE, phased),
        'timer': lambda: loop.timer(0.0, 0.0, phased),
    }
    watcher = watchers[phase]()
    watcher.start()
    if phase == 'check':  # the first poll would block
        port.call_soon(lambda: None)
    loop.start()
    keeper.close()


def test_a_nested_run_runs_the_rest_of_the_batch(loop, port):
    order = []

    def first():
        order.append('first')
        _start(loop)  # nothing but the rest of the batch keeps it
        order.append('first ends')

    port.call_soon(first)
    port.call_soon(order.append, 'second')
    port.call_soon(order.append, 'third')
    _start(loop)
    assert order == ['first', 'second', 'third', 'first ends']


def test_an_exception_is_logged_and_the_loop_goes_on(loop, port, sockets, expected_errors):
    calls = []

    def fail(what):
        calls.append(what)
        raise ValueError(what)

    def readable():
        sockets[0].recv(1)
        if sockets[0].fileno() != -1 and calls.count('io') == 1:
            io.stop()
        fail('io')

    sockets[1].send(b'ab')
    io = port.io(sockets[0].fileno(), READ, readable)
    io.start()
    timer = port.timer(lambda: fail('timer'))
    timer.start(0.0)
    port.call_soon(fail, 'soon')
    port.call_soon(fail, 'soon too')
    _start(loop)
    assert sorted(calls) == ['io', 'io', 'soon', 'soon too', 'timer']
    assert sorted(str(record.exc_info[1]) for record in expected_errors) == sorted(calls)


@pytest.mark.parametrize('second', [False, True])
def test_an_exit_leaves_the_run_and_nothing_queued_is_lost(second):
    loop = ev.Loop() if second else ev.default_loop()
    port = port_for(loop)
    order = []

    def leave():
        raise SystemExit('left')

    port.call_soon(order.append, 1)
    port.call_soon(leave)
    port.call_soon(order.append, 2)
    with pytest.raises(SystemExit, match='left'):
        loop.start() if second else ev.run()
    port.call_soon(order.append, 3)
    loop.start()
    assert order == [1, 2, 3]


def test_an_exit_does_not_stop_an_io_watcher(sockets):
    port = port_for()
    got = []

    def readable():
        got.append(sockets[0].recv(1))
        if len(got) == 1:
            raise GeneratorExit
        io.close()

    io = port.io(sockets[0].fileno(), READ, readable)
    io.start()
    sockets[1].send(b'ab')
    with pytest.raises(GeneratorExit):
        ev.run()
    assert io.active
    ev.run()
    assert got == [b'a', b'b']


def test_wakeup_from_a_thread(loop, port):
    woken = []

    def woke():
        woken.append(threading.get_ident())
        wakeup.close()

    wakeup = port.wakeup(woke)
    thread = threading.Thread(target=wakeup.send)
    port.call_soon(thread.start)
    _start(loop)  # kept running by the wakeup alone
    thread.join()
    assert woken == [threading.get_ident()]
    wakeup.send()  # nobody there any more
    _start(loop)
    assert len(woken) == 1


def test_a_wakeup_that_does_not_keep_the_loop(loop, port):
    woken = []
    wakeup = port.wakeup(lambda: woken.append(1), keep=False)
    _start(loop)
    wakeup.send()
    _start(loop, ev.EVRUN_NOWAIT)
    assert woken == [1]
    wakeup.close()
    wakeup.close()
    keeper = port.wakeup(lambda: None)  # the loop's count of what keeps it is right again
    port.call_soon(keeper.close)
    _start(loop)


def test_started_watchers_need_no_reference(loop, port, sockets):
    """A client that its user keeps no reference to goes on."""
    got = []

    class Owner:
        def __init__(self):
            self.io = port.io(sockets[0].fileno(), READ, self.readable)
            self.io.start()
            self.timer = port.timer(self.due)
            self.timer.start(0.0)

        def readable(self):
            got.append(sockets[0].recv(1))
            self.io.close()

        def due(self):
            got.append('due')

    owner = weakref.ref(Owner())
    sockets[1].send(b'x')
    gc.collect()
    _start(loop)
    assert sorted(map(str, got)) == ["b'x'", 'due']
    gc.collect()
    assert owner() is None


def test_closed_watchers_let_go(loop, port, sockets):
    class Owner:
        def called(self):
            pass

    owner = Owner()
    gone = weakref.ref(owner)
    watchers = [
        port.io(sockets[0].fileno(), READ, owner.called),
        port.timer(owner.called),
        port.wakeup(owner.called),
    ]
    watchers[0].start()
    watchers[1].start(1.0)
    for watcher in watchers:
        watcher.close()
    del owner
    gc.collect()
    assert gone() is None
    _start(loop)


def test_any_loop_whatever_the_implementation():
    """gevent's own loop beside the real pyev, and pyev's beside gevent."""
    check_program(
        """
        from natsev import ev
        from natsev.loop import port_for
        from gevent.libev import corecext
        loop = corecext.loop(default=False)
        port = port_for(loop)
        port.call_soon(print, 'soon')
        loop.run()
        """,
        'soon',
    )


@pytest.mark.skipif(ev.implementation != 'pyev', reason='needs the real pyev')
def test_a_pyev_loop_where_natsev_stands_on_gevent():
    check_program(
        """
        import pyev
        from natsev import ev
        from natsev.loop import port_for
        print(ev.implementation)
        loop = pyev.default_loop()
        assert port_for(loop) is port_for(loop)
        port_for(loop).call_soon(print, 'soon')
        timer = port_for(loop).timer(lambda: print('due'))
        timer.start(0.001)
        loop.start()
        """,
        'gevent',
        'soon',
        'due',
        NATSEV_LOOP='gevent',
    )


@pytest.mark.skipif(ev.implementation != 'pyev', reason='needs the real pyev')
def test_pyev_needs_no_gevent():
    check_program(
        """
        import sys
        sys.modules['gevent'] = None
        from natsev import Nats, ev
        from natsev.loop import port_for
        port_for().call_soon(print, ev.implementation)
        ev.run()
        """,
        'pyev',
    )


def test_the_choice_of_the_implementation():
    show = 'from natsev import ev; print(ev.implementation)'
    check_program(show, 'gevent', NATSEV_LOOP='gevent')
    check_program(show, ev.implementation, NATSEV_LOOP=ev.implementation)
    _, errors = run_program(show, NATSEV_LOOP='twisted')
    assert "ValueError: NATSEV_LOOP must be 'pyev' or 'gevent', not 'twisted'" in errors


def test_pyev_asked_for_and_not_there():
    program = """
        import sys
        sys.modules['pyev'] = None
        from natsev import ev
        print(ev.implementation)
        """
    _, errors = run_program(program, NATSEV_LOOP='pyev')
    assert 'ImportError: NATSEV_LOOP is pyev, and pyev cannot be imported' in errors
    check_program(program, 'gevent', NATSEV_LOOP=None)
