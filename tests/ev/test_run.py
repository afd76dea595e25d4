"""Running loops: starts, stops, nesting, threads, and what leaves a callback."""

from __future__ import annotations

import gc
import importlib
import socket
import threading

import pytest

from natsev import ev
from tests.programs import Program, check_program, run_program


@pytest.fixture
def loop():
    return ev.default_loop()


def test_constants_have_libevs_values():
    assert (ev.EV_READ, ev.EV_WRITE, ev.EV_TIMER, ev.EV_ASYNC) == (1, 2, 0x100, 0x80000)
    assert (ev.EVRUN_NOWAIT, ev.EVRUN_ONCE, ev.EVBREAK_ONE, ev.EVBREAK_ALL) == (1, 2, 1, 2)
    assert (ev.EV_MINPRI, ev.EV_MAXPRI, ev.EVFLAG_AUTO) == (-2, 2, 0)
    assert ev.EV_ERROR == -0x80000000
    for name in ev.__all__:
        assert getattr(ev, name) is not None


@pytest.mark.skipif(ev.implementation != 'pyev', reason='compares with the real pyev')
def test_every_constant_is_pyevs():
    pyev = importlib.import_module('pyev')
    for name in dir(pyev):
        if name.startswith('EV'):
            assert getattr(ev, name) == getattr(pyev, name), name


def test_facts_about_libev(loop):
    assert ev.abi_version() >= (4, 0)
    assert ev.recommended_backends() & ev.supported_backends() == ev.recommended_backends()
    assert loop.backend & ev.supported_backends()
    assert loop.default
    assert isinstance(ev.version(), str)
    assert ev.embeddable_backends() >= 0
    assert abs(ev.time() - loop.now()) < 1e6


def test_there_is_one_default_loop(loop):
    assert ev.default_loop() is loop


def test_run_returns_when_nothing_is_active():
    ev.run()
    ev.run(ev.EVRUN_ONCE)
    ev.run(ev.EVRUN_NOWAIT)


def test_run_nowait_does_not_wait(loop):
    timer = loop.timer(1000.0, 0.0, lambda *_: None)
    timer.start()
    ev.run(ev.EVRUN_NOWAIT)
    assert timer.active
    timer.stop()


def test_run_once_waits_for_one_event(loop):
    fired = []
    timer = loop.timer(0.001, 0.001, lambda *_: fired.append(1))
    timer.start()
    while not fired:
        ev.run(ev.EVRUN_ONCE)
    timer.stop()
    assert fired == [1]


def test_break_ends_run(loop):
    fired = []

    def due(*_):
        fired.append(1)
        if len(fired) == 3:
            ev.break_()

    timer = loop.timer(0.0, 0.001, due)
    timer.start()
    ev.run()
    assert (fired, timer.active) == ([1, 1, 1], True)
    ev.break_()  # between runs: nothing to end
    timer.stop()
    ev.run()


def test_nested_runs_end_one_by_one_or_all(loop):
    order = []

    def outer(*_):
        order.append('outer')
        inner.start()
        ev.run()
        order.append(loop.depth)
        inner_all.start()
        ev.run()
        order.append('after')

    first = loop.timer(0.0, 0.0, outer)
    inner = loop.timer(0.0, 0.0, lambda *_: ev.break_(ev.EVBREAK_ONE))
    inner_all = loop.timer(0.0, 0.0, lambda *_: ev.break_(ev.EVBREAK_ALL))
    keeper = loop.timer(1000.0, 0.0, lambda *_: None)
    keeper.start()
    first.start()
    ev.run()
    keeper.stop()
    assert order == ['outer', 1, 'after']


def test_unref_lets_run_return(loop):
    timer = loop.timer(1000.0, 0.0, lambda *_: None)
    timer.start()
    loop.unref()
    ev.run()
    loop.ref()
    timer.stop()


def test_now_and_update(loop):
    before = loop.now()
    assert loop.now() == before
    loop.update()
    assert loop.now() >= before
    iteration = loop.iteration
    loop.start(ev.EVRUN_NOWAIT)
    assert loop.iteration > iteration
    assert (loop.pending, loop.depth) == (0, 0)
    loop.verify()


def test_loop_data():
    loop = ev.Loop(data={'a': 1})
    assert (loop.data, loop.default, loop.debug) == ({'a': 1}, False, False)
    assert (loop.io_interval, loop.timeout_interval) == (0.0, 0.0)
    loop.data = None
    assert loop.data is None


def test_loop_refuses_bad_flags():
    with pytest.raises(ev.Error, match='flags'):
        ev.Loop(ev.EVBACKEND_PORT)


def test_loops_do_not_mix(loop):
    second = ev.Loop()
    order = []
    there = second.timer(0.0, 0.0, lambda *_: order.append('second'))
    here = loop.timer(0.0, 0.0, lambda *_: order.append('default'))
    there.start()
    here.start()
    ev.run()
    assert order == ['default']
    second.start()
    assert order == ['default', 'second']


def test_a_loop_inside_a_callback_of_another(loop):
    second = ev.Loop()
    order = []
    inner = second.timer(0.0, 0.0, lambda *_: order.append('inner'))

    def outer(*_):
        inner.start()
        second.start()
        order.append('outer')

    timer = loop.timer(0.0, 0.0, outer)
    timer.start()
    ev.run()
    assert order == ['inner', 'outer']


def test_loops_in_threads():
    """Each thread runs a loop of its own and talks to the others by Async."""
    got = []

    def work(number):
        loop = ev.Loop()
        receiver = ev.Async(loop, lambda w, _: (got.append(number), w.stop()))
        receiver.start()
        sender = threading.Thread(target=receiver.send)
        timer = loop.timer(0.0, 0.0, lambda *_: sender.start())
        timer.start()
        loop.start()
        sender.join()

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(got) == [0, 1, 2, 3]


@pytest.mark.skipif(ev.implementation != 'gevent', reason='pyev does not look')
def test_a_loop_that_another_thread_runs_is_refused():
    loop = ev.Loop()
    refused = []

    def intrude():
        try:
            loop.start()
        except RuntimeError as error:
            refused.append(str(error))
        end.send()

    thread = threading.Thread(target=intrude)
    end = ev.Async(loop, lambda w, _: w.stop())
    end.start()
    begin = loop.timer(0.0, 0.0, lambda *_: thread.start())
    begin.start()
    loop.start()
    thread.join()
    assert refused == ['this loop is run by another thread']


def test_loops_and_watchers_can_be_freed_in_any_order():
    for _ in range(50):
        loop = ev.Loop()
        timer = loop.timer(1000.0, 1.0, lambda *_: None)
        sender = ev.Async(loop, lambda *_: None)
        timer.start()
        sender.start()
        loop.start(ev.EVRUN_NOWAIT)
        loop.data = [timer, loop]  # a cycle through everything
        timer.data = loop
        del loop, sender, timer
    gc.collect()


@pytest.mark.parametrize('error', ['SystemExit(7)', 'KeyboardInterrupt()', 'GeneratorExit()'])
def test_what_is_no_exception_leaves_run(error):
    check_program(
        f"""
        from natsev import ev
        loop = ev.default_loop()
        def due(watcher, revents):
            raise {error}
        first = loop.timer(0.0, 0.0, due)
        later = loop.timer(0.001, 0.0, lambda *_: print('later'))
        first.start()
        later.start()
        try:
            ev.run()
        except BaseException as error:
            print(repr(error), error.__traceback__ is not None)
        ev.run()                 # and the loop can be run again
        print('end')
        """,
        f'{error} True',
        'later',
        'end',
    )


def test_sys_exit_in_a_callback_ends_the_program():
    check_program(
        """
        import sys
        from natsev import ev
        def due(watcher, revents):
            watcher.loop.timer(0.0, 0.0, print)
            sys.exit()
        timer = ev.default_loop().timer(0.0, 1.0, due)
        timer.start()
        print('running')
        ev.run()
        print('not reached')
        """,
        'running',
    )


def test_an_exception_is_shown_and_the_loop_goes_on():
    output, errors = run_program(
        """
        import socket
        from natsev import ev
        ours, theirs = socket.socketpair()
        theirs.send(b'ab')
        loop = ev.default_loop()
        def readable(watcher, revents):
            data = ours.recv(1)
            print(data)
            if data == b'b':
                watcher.stop()
            raise ZeroDivisionError('in ' + repr(data))
        io = loop.io(ours, ev.EV_READ, readable)
        io.start()
        ev.run()
        print('end')
        """
    )
    assert output == ["b'a'", "b'b'", 'end']
    assert errors.count('Traceback') == 2
    assert "ZeroDivisionError: in b'a'" in errors
    assert "ZeroDivisionError: in b'b'" in errors


def test_exits_pass_through_nested_runs():
    check_program(
        """
        from natsev import ev
        loop = ev.default_loop()
        def inner(*_):
            raise SystemExit('inner')
        def outer(*_):
            timer = loop.timer(0.0, 0.0, inner)
            timer.start()
            try:
                ev.run()
            except SystemExit as error:
                print('inner run:', error)
                raise
        timer = loop.timer(0.0, 0.0, outer)
        timer.start()
        try:
            ev.run()
        except SystemExit as error:
            print('outer run:', error)
        ev.run()
        print('end')
        """,
        'inner run: inner',
        'outer run: inner',
        'end',
    )


def test_an_exit_leaves_the_loop_it_happened_in():
    check_program(
        """
        from natsev import ev
        first, second = ev.default_loop(), ev.Loop()
        def inner(*_):
            raise SystemExit('inner')
        def outer(*_):
            timer = second.timer(0.0, 0.0, inner)
            timer.start()
            try:
                second.start()
            except SystemExit as error:
                print('second:', error)
        timer = first.timer(0.0, 0.0, outer)
        timer.start()
        ev.run()
        print('end')
        """,
        'second: inner',
        'end',
    )


def test_exits_in_threads_leave_their_own_loops():
    check_program(
        """
        import threading
        from natsev import ev
        results = {}
        def work(number):
            loop = ev.Loop()
            def due(*_):
                raise SystemExit(number)
            timer = loop.timer(0.001 * number, 0.0, due)
            timer.start()
            try:
                loop.start()
            except SystemExit as error:
                results[number] = error.code
        threads = [threading.Thread(target=work, args=(n,)) for n in range(5)]
        for thread in threads: thread.start()
        for thread in threads: thread.join()
        print(sorted(results.items()))
        """,
        '[(0, 0), (1, 1), (2, 2), (3, 3), (4, 4)]',
    )


def test_a_debug_loop_lets_exceptions_out():
    loop = ev.Loop(debug=True)
    assert loop.debug

    def due(watcher, revents):
        raise ValueError('out')

    timer = loop.timer(0.0, 0.0, due)
    timer.start()
    with pytest.raises(ValueError, match='out'):
        loop.start()


IDLE = """
    import signal, socket
    from natsev import ev
    {setup}
    quiet, _other = socket.socketpair()
    io = loop.io(quiet, ev.EV_READ, print)
    io.start()
    announce = loop.timer(0.0, 0.0, lambda *_: print('ready', flush=True))
    announce.start()
    try:
        {run}
    except KeyboardInterrupt:
        print('KeyboardInterrupt')
    io.stop()
    {run}
    print('end')
    """


@pytest.mark.parametrize(
    'setup, run',
    [
        ('loop = ev.default_loop()', 'ev.run()'),
        ('loop = ev.Loop()', 'loop.start()'),
    ],
    ids=['default', 'second'],
)
def test_ctrl_c_ends_a_run_that_sits_in_poll(setup, run):
    program = Program(IDLE.format(setup=setup, run=run))
    program.wait_for('ready')
    program.interrupt()
    assert program.finish() == (['KeyboardInterrupt', 'end'], '')


def test_ctrl_c_ends_a_run_that_is_busy():
    program = Program(
        """
        from natsev import ev
        loop = ev.default_loop()
        def idle(watcher, revents):
            for _ in range(1000):
                pass
        watchers = [loop.idle(idle) for _ in range(10)]
        for watcher in watchers:
            watcher.start()
        announce = loop.timer(0.0, 0.0, lambda *_: print('ready', flush=True))
        announce.start()
        try:
            ev.run()
        except KeyboardInterrupt:
            print('KeyboardInterrupt')
        for watcher in watchers:
            watcher.stop()
        ev.run()
        print('end')
        """
    )
    program.wait_for('ready')
    program.interrupt()
    assert program.finish() == (['KeyboardInterrupt', 'end'], '')


def test_ctrl_c_in_an_io_callback_does_not_stop_its_watcher():
    program = Program(
        """
        import socket
        from natsev import ev
        ours, theirs = socket.socketpair()
        theirs.send(b'x')
        loop = ev.Loop()
        def readable(watcher, revents):     # all the time, so that the signal finds it
            pass
        io = loop.io(ours, ev.EV_READ, readable)
        io.start()
        announce = loop.timer(0.0, 0.0, lambda *_: print('ready', flush=True))
        announce.start()
        try:
            loop.start()
        except KeyboardInterrupt:
            print('KeyboardInterrupt')
        loop.start(ev.EVRUN_NOWAIT)
        io.callback = lambda w, _: (print('readable'), w.stop())
        loop.start()
        print('end')
        """
    )
    program.wait_for('ready')
    program.interrupt()
    assert program.finish() == (['KeyboardInterrupt', 'readable', 'end'], '')


@pytest.mark.parametrize('make', ['ev.default_loop()', 'ev.Loop()'])
@pytest.mark.parametrize('watch', ['port', 'ev'])
def test_a_signal_between_the_loop_and_a_callback_loses_nothing(make, watch):
    """The handler of a signal may run at the entry of any function, before its first line."""
    check_program(
        f"""
        import socket, sys
        from natsev import ev
        from natsev.loop import READ, WRITE, port_for
        loop = {make}
        def run():
            loop.start() if loop is not ev.default_loop() else ev.run()
        ours, theirs = socket.socketpair()
        def ready(*args):
            print(ours.recv(1), *args[1:])
            io.stop()
        if {watch!r} == 'port':
            io = port_for(loop).io(ours.fileno(), READ | WRITE, ready)
        else:
            io = loop.io(ours, ev.EV_READ | ev.EV_WRITE, ready)
        io.start()
        def entered(frame, event, arg):
            if event == 'call' and loop.depth:
                sys.setprofile(None)
                raise KeyboardInterrupt
        sys.setprofile(entered)
        try:
            run()
        except KeyboardInterrupt:
            print('KeyboardInterrupt')
        theirs.send(b'x')
        run()
        print('end')
        """,
        'KeyboardInterrupt',
        "b'x'" if watch == 'port' else "b'x' 3",
        'end',
    )


def test_a_users_own_sigint_handler_stays():
    program = Program(
        IDLE.format(
            setup="""loop = ev.default_loop()
    def handler(number, frame):
        print('handler')
        io.stop()
    signal.signal(signal.SIGINT, handler)""",
            run='ev.run()',
        )
    )
    program.wait_for('ready')
    program.interrupt()
    assert program.finish() == (['handler', 'end'], '')


def test_a_signal_watcher_gets_ctrl_c():
    program = Program(
        IDLE.format(
            setup="""loop = ev.default_loop()
    got = loop.signal(signal.SIGINT, lambda w, _: (print('watcher'), io.stop(), w.stop()))
    got.start()""",
            run='ev.run()',
        )
    )
    program.wait_for('ready')
    program.interrupt()
    assert program.finish() == (['watcher', 'end'], '')


def test_the_wakeup_descriptor_of_others_gets_its_signals():
    program = Program(
        """
        import signal, socket
        from natsev import ev
        reader, writer = socket.socketpair()
        writer.setblocking(False)
        signal.set_wakeup_fd(writer.fileno())
        signal.signal(signal.SIGINT, lambda *_: None)
        loop = ev.default_loop()
        def readable(watcher, revents):
            print(reader.recv(1) == bytes([signal.SIGINT]))
            watcher.stop()
        io = loop.io(reader, ev.EV_READ, readable)
        io.start()
        announce = loop.timer(0.0, 0.0, lambda *_: print('ready', flush=True))
        announce.start()
        ev.run()
        print(signal.set_wakeup_fd(-1) == writer.fileno())
        """
    )
    program.wait_for('ready')
    program.interrupt()
    assert program.finish() == (['True', 'True'], '')


def test_a_run_leaves_the_interpreter_as_it_was():
    import signal
    import sys

    hook = sys.unraisablehook
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ev.run(ev.EVRUN_ONCE)
        assert sys.unraisablehook is hook
        assert signal.set_wakeup_fd(-1) == -1
