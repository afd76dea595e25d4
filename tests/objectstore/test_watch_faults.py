"""Watching over whatever breaks: no event twice, none missing."""

from __future__ import annotations

from typing import Any

import pytest

from natsev import InvalidMetaError, JetStream, NoResponders, ObjectStore


class Seen:
    """What a watch told: names in order; None where the present state had been delivered."""

    def __init__(self, store: ObjectStore, **options: Any) -> None:
        self.names: list[str | None] = []
        self.errors: list[Any] = []
        self.seqs: list[int] = []
        self.handle = store.watch(self._changed, **options)

    def _changed(self, meta: Any, err: Any) -> None:
        if err is not None:
            self.errors.append(err)
        elif meta is None:
            self.names.append(None)
        else:
            self.names.append(meta['name'])
            self.seqs.append(meta['seq'])


def put_all(run: Any, store: ObjectStore, names: list[str]) -> None:
    for name in names:
        _, err = run.call(store.put, name, b'x')
        assert err is None, err


def test_a_consumer_that_is_lost(run, store, js, inside):
    put_all(run, store, ['a', 'b'])
    seen = Seen(store)
    run.until(lambda: None in seen.names)
    for number in range(5):
        names, err = run.call(js.consumer_names, inside.stream)
        assert err is None
        for consumer in names:
            run.call(js.consumer_delete, inside.stream, consumer)
        put_all(run, store, [f'{number}'])
        run.until(lambda wanted=number: str(wanted) in seen.names)
    assert seen.names == ['a', 'b', None, '0', '1', '2', '3', '4']
    assert not seen.errors
    seen.handle.stop()


def test_a_server_that_restarts(run, own_server, connect, unique):
    nats = connect(port=own_server.port, reconnect=True, reconnect_delay=10)
    store = ObjectStore(js=JetStream(nats=nats), bucket=unique)
    assert run.call(store.create_bucket, {})[1] is None
    put_all(run, store, ['a', 'b'])
    seen = Seen(store)
    run.until(lambda: None in seen.names)
    for number in range(3):
        own_server.restart()
        put_all(run, store, [f'{number}x', f'{number}y'])
    run.until(lambda: '2y' in seen.names)
    assert seen.names == ['a', 'b', None, '0x', '0y', '1x', '1y', '2x', '2y']
    assert seen.seqs == sorted(set(seen.seqs))
    assert not seen.errors
    seen.handle.stop()


@pytest.mark.parametrize('size', [500, 5_000, 20_000])
def test_cut_while_the_present_state_comes(run, server, proxy, unique, js, connect, size):
    """The last of each name is sent from the start again, and yet told once."""
    store = ObjectStore(js=js, bucket=unique)
    run.call(store.create_bucket, {})
    names = [f'{index:02}' for index in range(60)]
    put_all(run, store, names)
    put_all(run, store, names[:5])  # these are the newest now
    between = proxy(server)
    nats = connect(port=between.port, reconnect=True, reconnect_delay=10)
    far = ObjectStore(js=JetStream(nats=nats), bucket=unique)
    run.until(nats.is_connected)
    between.cut_after(size)
    seen = Seen(far)
    run.until(lambda: None in seen.names)
    put_all(run, store, ['new'])
    run.until(lambda: 'new' in seen.names)
    assert seen.names == [*names[5:], *names[:5], None, 'new']
    assert seen.seqs == sorted(set(seen.seqs))
    assert run.call(store.delete_bucket) == (True, None)
    run.until(lambda: seen.errors)


def test_going_on_in_another_process(run, store):
    """``since`` the last event that was seen: nothing is missing, and nothing comes again."""
    put_all(run, store, ['a', 'b', 'c'])
    first = Seen(store)
    run.until(lambda: None in first.names)
    first.handle.stop()
    put_all(run, store, ['d'])
    run.call(store.delete, 'a')
    second = Seen(store, since=first.seqs[-1])
    run.until(lambda: None in second.names)
    put_all(run, store, ['e'])
    run.until(lambda: 'e' in second.names)
    assert second.names == ['d', 'a', None, 'e']
    second.handle.stop()
    third = Seen(store, since=second.seqs[-1])
    run.until(lambda: None in third.names)
    assert third.names == [None]
    third.handle.stop()


def test_one_name_is_not_told_of_what_is_broken_elsewhere(run, store, inside):
    inside.publish(inside.meta_subject('bad'), b'{')
    one, some, broken = Seen(store, name='a'), Seen(store, prefix='a'), Seen(store, prefix='b')
    put_all(run, store, ['a'])
    run.until(lambda: 'a' in one.names and 'a' in some.names and broken.errors)
    assert not one.errors
    assert not some.errors
    assert isinstance(broken.errors[0], InvalidMetaError)
    for seen in (one, some, broken):
        seen.handle.stop()


@pytest.mark.slow
def test_a_leader_that_changes(run, start_cluster, connect, unique):
    cluster = start_cluster()
    nats = connect(servers=cluster.urls, reconnect=True, reconnect_delay=10)
    js = JetStream(nats=nats)
    store = ObjectStore(js=js, bucket=unique)
    assert run.call(store.create_bucket, {'replicas': 3})[1] is None
    seen = Seen(store)
    run.until(lambda: None in seen.names)
    wanted: list[str | None] = [None]
    for number in range(3):
        stepdown = f'$JS.API.STREAM.LEADER.STEPDOWN.OBJ_{unique}'
        _, err, _ = run.call(nats.request, stepdown, b'')
        assert err is None
        for suffix in 'xy':
            wanted.append(f'{number}{suffix}')
            while isinstance(run.call(store.put, wanted[-1], b'x')[1], NoResponders):
                pass  # there is no leader yet
    run.until(lambda: wanted[-1] in seen.names, seconds=60)
    assert seen.names == wanted
    assert not seen.errors
    seen.handle.stop()
