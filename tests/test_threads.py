"""Other threads: the one method they may call, and what they are told about the rest."""

from __future__ import annotations

import threading

import pytest

from natsev import DisconnectedError


def in_thread(function):
    """Call *function* in a thread; return what it raised, or None."""
    raised = []

    def body():
        try:
            function()
        except BaseException as exc:
            raised.append(exc)

    thread = threading.Thread(target=body)
    thread.start()
    thread.join()
    return raised[0] if raised else None


def test_call_soon_threadsafe(run, connect, unique):
    nats = connect()
    got = []
    nats.subscribe(unique, lambda s, p: got.append(p))

    def flood():
        for i in range(1000):
            nats.call_soon_threadsafe(nats.publish, unique, str(i))

    threads = [threading.Thread(target=flood) for _ in range(4)]
    for thread in threads:
        thread.start()
    run.until(lambda: len(got) == 4000)
    for thread in threads:
        thread.join()
    assert sorted(map(int, got)) == sorted(list(range(1000)) * 4)


def test_what_a_thread_asked_for_is_called_also_when_the_client_closes(run, connect):
    nats = connect()
    assert run.call(nats.flush) is None
    called = []
    nats.on_close(lambda: called.append('close'))
    nats.disconnect()
    nats._link._close_now()  # the close comes first
    assert in_thread(lambda: nats.call_soon_threadsafe(print)).__class__ is DisconnectedError
    other = connect()
    other.on_close(lambda: called.append('close'))
    assert in_thread(lambda: other.call_soon_threadsafe(called.append, 'thread')) is None
    other.disconnect()
    run.to_end()
    assert sorted(called) == ['close', 'close', 'thread']


def test_debug_mode_tells_who_calls_from_another_thread(run, connect, unique, monkeypatch):
    monkeypatch.setenv('NATSEV_DEBUG', '1')
    nats = connect()
    assert in_thread(lambda: nats.publish(unique)) is None  # the loop has not run yet
    assert run.call(nats.flush) is None
    error = in_thread(lambda: nats.publish(unique))
    assert isinstance(error, RuntimeError)
    assert 'Nats.publish() was called from another thread' in str(error)
    assert isinstance(in_thread(nats.disconnect), RuntimeError)
    assert in_thread(lambda: nats.call_soon_threadsafe(nats.publish, unique)) is None
    with pytest.raises(ValueError, match='subject'):
        nats.publish('a b')
    assert run.call(nats.flush) is None
