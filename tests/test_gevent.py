"""natsev in gevent programs: on the hub's loop, beside monkey patching, and ``wait``.

Each test is a program of its own: a hub belongs to its thread for good.
"""

from __future__ import annotations

import pytest

from natsev import ev
from tests.programs import Program, check_program, run_program


def test_the_default_loop_is_the_hubs_where_there_is_a_hub():
    check_program(
        """
        import gevent
        hub = gevent.get_hub()
        from natsev import ev
        from natsev.loop import port_for
        loop = ev.default_loop()
        print(loop is ev.default_loop(), loop.native is hub.loop)
        port = port_for()
        print(port is port_for(loop), port is port_for(hub.loop))
        print(loop.now() > 0, loop.default, loop.depth)
        port.call_soon(print, 'soon')
        main = gevent.getcurrent()
        def due(watcher, revents):
            print('due', revents == ev.EV_TIMER)
            port.call_soon(main.switch)
        timer = loop.timer(0.001, 0.0, due)
        timer.start()
        hub.switch()
        """,
        'True True',
        'True True',
        'True True 0',
        'soon',
        'due True',
    )


@pytest.mark.parametrize('how', ['ev.run()', 'ev.default_loop().start()', 'ev.break_()'])
def test_a_loop_that_gevent_runs_cannot_be_run(how):
    check_program(
        f"""
        import gevent
        from natsev import ev
        gevent.get_hub()
        try:
            {how}
        except RuntimeError as error:
            print(str(error)[:32], 'natsev.gevent.wait' in str(error))
        """,
        'this loop is run by gevent: do n True',
    )


def test_no_hub_is_made_by_accident():
    check_program(
        """
        import natsev
        from natsev import ev
        from natsev.gevent import wait
        from natsev.loop import port_for
        from gevent._hub_local import get_hub_if_exists
        port_for().call_soon(print, 'soon')
        ev.run()
        print(get_hub_if_exists())
        """,
        'soon',
        'None',
    )


def test_a_hub_made_later_runs_the_default_loop_too():
    check_program(
        """
        import gevent
        from natsev import ev
        from natsev.loop import port_for
        port = port_for()
        port.call_soon(print, 'soon')
        def leave():
            raise SystemExit('left')
        port.call_soon(leave)
        try:
            gevent.sleep(60)
        except SystemExit as error:
            print('main greenlet:', error)
        print(port_for(gevent.get_hub().loop) is port)
        try:
            ev.run()
        except RuntimeError as error:
            print('RuntimeError')
        """,
        'soon',
        'main greenlet: left',
        'True',
        'RuntimeError',
        NATSEV_LOOP='gevent',
    )


@pytest.mark.parametrize('use', ['ev.default_loop()', 'port_for()', 'port_for(hub.loop)'])
def test_a_hub_on_libuv_is_refused_at_once(use):
    check_program(
        f"""
        import gevent
        hub = gevent.get_hub()
        from natsev import ev
        from natsev.loop import port_for
        try:
            {use}
        except RuntimeError as error:
            print('libev' in str(error), 'gevent.libuv' in str(error))
        """,
        'True True',
        GEVENT_LOOP='libuv-cffi',
    )


def test_another_threads_hub_is_not_ours():
    check_program(
        """
        import threading, gevent
        from natsev import ev
        from natsev.loop import port_for
        gevent.get_hub()
        def work():
            loop = ev.Loop()
            port_for(loop).call_soon(print, 'in the thread')
            loop.start()
            gevent.get_hub()
            print(ev.default_loop().default)
        thread = threading.Thread(target=work)
        thread.start()
        thread.join()
        """,
        'in the thread',
        'False',
    )


@pytest.mark.parametrize('error', ['KeyboardInterrupt()', 'SystemExit(3)'])
def test_an_exit_goes_to_the_main_greenlet(error):
    output, _ = run_program(
        f"""
        import gevent
        from natsev import ev
        from natsev.loop import port_for
        gevent.get_hub()
        port = port_for()
        def leave():
            raise {error}
        def leave_watcher(watcher, revents):
            leave()
        port.call_soon(leave)
        port.call_soon(print, 'not lost')
        for _ in range(2):
            try:
                gevent.sleep(60)
            except BaseException as error:
                print(repr(error))
            timer = ev.default_loop().timer(0.001, 0.0, leave_watcher)
            timer.start()
        """
    )
    assert output == [error, 'not lost', error]


def test_an_exception_in_a_callback_on_the_hub_is_logged():
    output, errors = run_program(
        """
        import gevent, gevent.event
        from natsev.loop import port_for
        gevent.get_hub()
        port_for().call_soon(lambda: 1 / 0)
        done = gevent.event.Event()
        port_for().call_soon(print, 'next')
        port_for().call_soon(done.set)
        done.wait()
        """
    )
    assert output == ['next']
    assert errors.count('ZeroDivisionError') == 1


def test_ctrl_c_on_a_hub():
    program = Program(
        """
        import gevent, socket
        from natsev.loop import port_for, READ
        gevent.get_hub()
        quiet, _other = socket.socketpair()
        io = port_for().io(quiet.fileno(), READ, print)
        io.start()
        port_for().call_soon(lambda: print('ready', flush=True))
        try:
            gevent.sleep(1000)
        except KeyboardInterrupt:
            print('KeyboardInterrupt')
        """
    )
    program.wait_for('ready')
    program.interrupt()
    assert program.finish()[0] == ['KeyboardInterrupt']


SERVICE = """
    import gevent
    from gevent.timeout import Timeout
    from natsev import NatsError, RequestTimeout, ev
    from natsev.calls import Call
    from natsev.gevent import wait
    from natsev.loop import port_for
    gevent.get_hub()
    port = port_for()

    class Core:
        call_soon = port.call_soon
        def run_callback(self, callback, *args):
            callback(*args)

    def answer(value, cb, err=None):
        call = Call(Core(), cb)
        call.later(value, err)
        return call

    def never(cb):
        call = Call(Core(), cb)
        def cancelled(call):
            print('cancelled')
            call.fail_later(NatsError('cancelled'))
        call.on_cancel = cancelled
        return call
    """


def test_wait_returns_the_result_or_raises_the_error():
    check_program(
        SERVICE
        + """
    print(wait(answer, 'value'))
    try:
        wait(answer, None, err=NatsError('no luck'))
    except NatsError as error:
        print(error)
    def both(cb):
        port.call_soon(cb, b'data', None, {'meta': 1})
    print(wait(both))
    def flush(cb=None):
        port.call_soon(cb, None)
    print(wait(flush))
    def failing(cb=None):
        port.call_soon(cb, NatsError('flush failed'))
    try:
        wait(failing)
    except NatsError as error:
        print(error)
    """,
        'value',
        'no luck',
        "b'data'",
        'None',
        'flush failed',
    )


def test_wait_puts_the_callback_where_it_belongs():
    check_program(
        SERVICE
        + """
    def positional(a, cb, b=None):
        port.call_soon(cb, (a, b), None)
    def skipping(a, b=None, cb=None):
        port.call_soon(cb, (a, b), None)
    def keyword(a, *, callback):
        port.call_soon(callback, a, None)
    def overloaded(a, b, cb=None):
        if cb is None:
            b, cb = None, b
        port.call_soon(cb, (a, b), None)
    print(wait(positional, 1), wait(positional, 1, b=2))
    print(wait(skipping, 1), wait(skipping, 1, 2))
    print(wait(keyword, 1))
    print(wait(overloaded, 1), wait(overloaded, 1, 2))
    """,
        '(1, None) (1, 2)',
        '(1, None) (1, 2)',
        '1',
        '(1, None) (1, 2)',
    )


def test_waits_go_on_side_by_side():
    check_program(
        SERVICE
        + """
    jobs = [gevent.spawn(wait, answer, number) for number in range(100)]
    gevent.joinall(jobs)
    print(sum(job.value for job in jobs))
    """,
        '4950',
    )


def test_wait_times_out_and_cancels():
    check_program(
        SERVICE
        + """
    for kind in (NatsError, RequestTimeout, Timeout):
        try:
            wait(never, timeout=0.001)
        except kind as error:
            print(error, error.seconds)
    try:
        with Timeout(0.001) as mine:
            wait(never)
    except Timeout as error:
        print(error is mine)
    gevent.sleep(0)
    """,
        'cancelled',
        'request timeout 0.001',
        'cancelled',
        'request timeout 0.001',
        'cancelled',
        'request timeout 0.001',
        'cancelled',
        'True',
    )


def test_killing_the_greenlet_cancels_the_call():
    check_program(
        SERVICE
        + """
    job = gevent.spawn(wait, never)
    gevent.sleep(0)
    job.kill()
    print(repr(job.value))
    """,
        'cancelled',
        'GreenletExit()',
    )


def test_wait_without_a_hub():
    """A hub of the main thread takes the default loop over, but not pyev's."""
    program = """
        import gevent, threading
        from natsev import ev
        from natsev.gevent import wait
        from natsev.loop import port_for
        def work():
            port = port_for()
            try:
                print(wait(lambda cb: port.call_soon(cb, 'result', None)))
            except RuntimeError as error:
                print('gevent.get_hub() first' in str(error))
        """
    here = program + 'work()'
    thread = program + 'threading.Thread(target=work).start()'
    check_program(here, 'result', NATSEV_LOOP='gevent')
    check_program(thread, 'True', NATSEV_LOOP='gevent')
    if ev.implementation == 'pyev':
        check_program(here, 'True')


def test_wait_in_a_callback_is_refused():
    check_program(
        SERVICE
        + """
    def callback():
        try:
            wait(answer, 1)
        except RuntimeError as error:
            print(error)
    jobs = []
    def spawning():
        jobs.append(gevent.spawn(wait, answer, 'in a greenlet'))
    port.call_soon(callback)
    port.call_soon(spawning)
    def empty(cb):
        port.call_soon(cb, None)
    wait(empty)
    print(jobs[0].get())
    """,
        'wait() in a callback would block the loop: spawn a greenlet for it',
        'in a greenlet',
    )


PATCHED = """
    from gevent import monkey
    {before}
    import gevent
    from natsev import Nats, native
    from natsev.gevent import wait
    {after}
    gevent.get_hub()
    import socket
    print(socket.socket is native.original('socket', 'socket'))
    nats = Nats(host='localhost', port={port})      # the name is looked up in a thread
    nats.subscribe('{subject}', lambda subject, payload, reply: nats.publish(reply, payload))
    jobs = [gevent.spawn(wait, nats.request, '{subject}', str(n), timeout=20) for n in range(10)]
    gevent.joinall(jobs, raise_error=True)
    print(sorted(int(job.value) for job in jobs))
    wait(nats.drain)
    """


@pytest.mark.parametrize(
    'before, after',
    [('monkey.patch_all()', ''), ('', 'monkey.patch_all()')],
    ids=['before', 'after'],
)
def test_a_patched_program(server, unique, before, after):
    """natsev's sockets and threads stay real, whenever the program is patched."""
    check_program(
        PATCHED.format(before=before, after=after, port=server.port, subject=unique),
        'False',
        str(list(range(10))),
    )


def test_a_client_beside_a_busy_gevent_server(server, unique):
    """The hub serves gevent's own watchers and natsev's side by side."""
    check_program(
        f"""
        import gevent
        from gevent.server import StreamServer
        from gevent.socket import create_connection
        gevent.get_hub()
        from natsev import Nats
        from natsev.gevent import wait
        nats = Nats(host='127.0.0.1', port={server.port})
        nats.subscribe('{unique}', lambda s, payload, reply: nats.publish(reply, payload[::-1]))
        def serve(sock, address):
            sock.sendall(wait(nats.request, '{unique}', sock.recv(100)))
            sock.close()
        front = StreamServer(('127.0.0.1', 0), serve)
        front.start()
        def ask(text):
            with create_connection(front.address) as sock:
                sock.sendall(text)
                return sock.recv(100)
        jobs = [gevent.spawn(ask, b'%d!' % number) for number in range(20)]
        gevent.joinall(jobs, raise_error=True)
        print(b' '.join(job.value for job in jobs).decode())
        front.stop()
        wait(nats.drain)
        """,
        ' '.join('!' + str(number)[::-1] for number in range(20)),
    )


def test_waiting_for_jetstream(server, unique):
    check_program(
        f"""
        import gevent
        gevent.get_hub()
        from natsev import JetStream, Nats, StreamNotFoundError
        from natsev.gevent import wait
        nats = Nats(host='127.0.0.1', port={server.port})
        js = JetStream(nats=nats)
        try:
            wait(js.stream_info, '{unique}')
        except StreamNotFoundError as error:
            print(error.code)
        wait(js.stream_create, {{'name': '{unique}', 'storage': 'memory'}})
        print(wait(js.js_publish, '{unique}', b'one')['seq'])
        print(wait(js.stream_info, '{unique}')['state']['messages'])
        print(wait(js.stream_info, '{unique}', {{'subjects_filter': '>'}})['state']['num_subjects'])
        print(wait(js.stream_delete, '{unique}')['success'])
        wait(nats.drain)
        """,
        '404',
        '1',
        '1',
        '1',
        'True',
    )
