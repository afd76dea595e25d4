"""What a callback may do: raise anything, and end or begin anything, wherever it is called from."""

from __future__ import annotations

import pytest

from natsev import Cancelled, DisconnectedError, Nats, NoResponders, RequestTimeout, ev

AGAIN = {'reconnect': True, 'reconnect_delay': 10, 'max_reconnect_delay': 20}


class Scene:
    """A client on a server of its own, for which *act* is done in the callback named *place*."""

    def __init__(self, run, connect, server, subject, place, act):
        self.run = run
        self.server = server
        self.subject = subject
        self.calls = []  # of every callback, in order
        self.acted = False
        self.act = act
        self.place = place
        options = {
            name: self.callback(name)
            for name in ('on_connect', 'on_disconnect', 'on_reconnect', 'on_error', 'on_close')
        }
        self.nats = connect(port=server.port, **AGAIN, **options)

    def callback(self, name):
        def called(*args):
            self.calls.append(name)
            if name == self.place and not self.acted:
                self.acted = True
                self.act(self.nats)

        # Callbacks that take no argument and those that take one.
        return (lambda: called()) if name in ('on_connect', 'on_reconnect', 'on_close') else called

    def echo(self, subject, payload, reply):
        if not self.nats.is_closed():
            self.nats.publish(reply, payload)

    def play(self):
        """Do what makes every place be reached."""
        nats = self.nats
        nats.subscribe(self.subject, self.echo)
        nats.subscribe(f'{self.subject}.silent', lambda: None)
        nats.subscribe(f'{self.subject}.in', self.callback('message'))
        nats.publish(f'{self.subject}.in')
        nats.request(self.subject, b'', self.callback('answered'))
        nats.request(f'{self.subject}.nobody', b'', self.callback('no responders'))
        nats.request(f'{self.subject}.silent', b'', self.callback('timed out'), timeout=20)
        nats.request(f'{self.subject}.silent', b'', self.callback('cancelled')).cancel()
        nats.request(f'{self.subject}.silent', b'', self.callback('lost'))
        nats.flush(self.callback('flushed'))
        nats.rtt(self.callback('measured'))


def interrupt(nats):
    raise KeyboardInterrupt


def leave(nats):
    raise SystemExit(3)


PLACES = [
    'message',
    'answered',
    'no responders',
    'timed out',
    'cancelled',
    'lost',
    'flushed',
    'measured',
    'on_connect',
    'on_disconnect',
    'on_reconnect',
]
CALLS = {
    'answered', 'no responders', 'timed out', 'cancelled', 'lost', 'flushed', 'measured',
}  # fmt: skip


def run_until(run, condition, kind, raised):
    """``run.until(condition)``, again after each *kind* that leaves the loop, kept in *raised*."""
    try:
        run.until(condition)
    except kind as exc:
        raised.append(type(exc))
        run_until(run, condition, kind, raised)


@pytest.mark.parametrize('place', PLACES)
@pytest.mark.parametrize('act, kind', [(interrupt, KeyboardInterrupt), (leave, SystemExit)])
def test_what_leaves_the_loop_breaks_nothing(run, connect, own_server, unique, place, act, kind):
    scene = Scene(run, connect, own_server, unique, place, act)
    scene.play()
    raised = []

    def until(condition):
        run_until(run, condition, kind, raised)

    until(lambda: {'measured', 'timed out', 'message'} <= set(scene.calls))
    own_server.kill()
    until(lambda: 'on_disconnect' in scene.calls)
    own_server.start()
    until(lambda: 'on_reconnect' in scene.calls)
    until(lambda: raised)
    assert raised == [kind]
    assert all(scene.calls.count(name) == 1 for name in CALLS)
    assert scene.nats.is_connected()
    assert run.call(scene.nats.flush) is None


@pytest.mark.parametrize('place', PLACES)
def test_an_exception_breaks_nothing(run, connect, own_server, unique, place, expected_errors):
    raised = []

    def act(nats):
        raise ZeroDivisionError

    scene = Scene(run, connect, own_server, unique, place, act)
    scene.nats.on_exception(raised.append)
    scene.play()
    run.until(lambda: {'measured', 'timed out', 'message'} <= set(scene.calls))
    own_server.restart()
    run.until(lambda: 'on_reconnect' in scene.calls)
    assert [type(exc) for exc in raised] == [ZeroDivisionError]
    assert all(scene.calls.count(name) == 1 for name in CALLS)
    assert run.call(scene.nats.flush) is None


@pytest.mark.parametrize('place', PLACES)
def test_disconnecting_anywhere_ends_every_call_once(run, connect, own_server, unique, place):
    scene = Scene(run, connect, own_server, unique, place, lambda nats: nats.disconnect())
    scene.play()
    if place in ('on_disconnect', 'on_reconnect', 'lost'):
        run.until(lambda: {'measured', 'timed out', 'message'} <= set(scene.calls))
        own_server.kill()
        own_server.start()
    run.until(lambda: 'on_close' in scene.calls)
    run.to_end()
    assert all(scene.calls.count(name) == 1 for name in CALLS)
    assert scene.calls.count('on_close') == 1
    assert scene.calls[-1] == 'on_close'


@pytest.mark.parametrize('place', PLACES)
def test_reconnecting_anywhere_ends_every_call_once(run, connect, own_server, unique, place):
    scene = Scene(run, connect, own_server, unique, place, lambda nats: nats.reconnect_now())
    scene.play()
    if place in ('on_disconnect', 'on_reconnect', 'lost'):
        run.until(lambda: {'measured', 'timed out', 'message'} <= set(scene.calls))
        own_server.kill()
        own_server.start()
    run.until(lambda: scene.acted and scene.nats.is_connected())
    assert run.call(scene.nats.flush) is None
    scene.nats.disconnect()
    run.to_end()
    assert all(scene.calls.count(name) == 1 for name in CALLS)


@pytest.mark.parametrize('place', ['lost', 'on_disconnect', 'on_close'])
def test_connecting_again_while_closing(run, connect, own_server, unique, place):
    """In a callback of the close the client may be connected again, and works as a new one."""

    def connect_again(nats):
        nats.connect('127.0.0.1', own_server.port)
        nats.request(f'{unique}.silent', b'', ends.append, timeout=30)
        nats.call_soon_threadsafe(threads.append, 1)

    ends, threads = [], []
    scene = Scene(run, connect, own_server, unique, place, connect_again)
    scene.play()
    run.until(lambda: {'measured', 'timed out', 'message'} <= set(scene.calls))
    scene.nats.disconnect()
    run.until(lambda: ends and threads)
    assert scene.calls.count('on_connect') == 2
    assert 'on_reconnect' not in scene.calls
    assert scene.calls.count('on_close') == (place == 'on_close')
    assert all(scene.calls.count(name) == 1 for name in CALLS)
    assert run.call(scene.nats.flush) is None


@pytest.mark.parametrize('subject', ['answered', 'silent', 'nobody'])
@pytest.mark.parametrize('turns', range(8))
def test_cancelling_at_every_moment(run, connect, unique, subject, turns):
    nats = connect()
    other = connect()
    other.subscribe(f'{unique}.answered', lambda s, p, reply: other.publish(reply, p))
    other.subscribe(f'{unique}.silent', lambda: None)
    assert run.call(other.flush) is None
    ends = []
    handle = nats.request(f'{unique}.{subject}', b'x', lambda response, err: ends.append(err), 9000)
    run.turns(turns)
    before = len(ends)
    handle.cancel()
    assert len(ends) == before, 'not inside the call'
    run.until(lambda: ends)
    handle.cancel()
    run.turns(3)
    assert len(ends) == 1
    assert ends[0] is None or isinstance(ends[0], Cancelled | NoResponders)
    assert not nats._wire.requests
    assert run.call(other.flush) is None


def test_ends_of_a_client_that_never_connects(run):
    calls = []
    nats = Nats(
        host='127.0.0.1', port=1, retry_on_failed_connect=True, on_error=calls.append, **AGAIN
    )
    nats.request('a', b'', lambda response, err: calls.append(type(err)), timeout=50)
    nats.request('a', b'', lambda response, err: calls.append(type(err)))
    nats.flush(lambda err: calls.append(type(err)), timeout=50)
    nats.on_close(lambda: calls.append('close'))
    run.until(lambda: len(calls) == 2)
    assert calls == [RequestTimeout] * 2
    nats.connect_timeout(50)
    nats.disconnect()
    run.to_end()
    assert calls[2:] == [DisconnectedError, 'close']


def test_interrupt_before_anything(run, connect):
    nats = connect()
    nats.call_soon(interrupt, nats)
    with pytest.raises(KeyboardInterrupt):
        ev.run()
    assert run.call(nats.flush) is None
