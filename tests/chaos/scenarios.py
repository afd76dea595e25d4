"""What is done to a bucket. A scenario is a function of a ``Lab``; it says what breaks."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from natsev import (
    Cancelled,
    DisconnectedError,
    MissingChunks,
    NatsError,
    StorageFullError,
    WrongSequenceError,
)
from tests.chaos.history import MIB, content
from tests.chaos.lab import KINDS, LARGE, SMALL, Lab
from tests.programs import Program

# These are calls, not transfers: one whose connection is lost says so.
CUT = dict.fromkeys(('delete', 'update', 'info', 'status'), (DisconnectedError,))


def kill_in_a_put(lab: Lab) -> None:
    """kill -9 of the server in a put, which replaces an object."""
    lab.on_server()
    size = lab.random.choice((100, 1_000_000, 24 * MIB))
    lab.put('a', 300_000)
    lab.settle()
    transfer = lab.put('a', size)
    lab.at_random(transfer, size, lab.crash)


def kill_in_a_get(lab: Lab) -> None:
    """kill -9 of the server in a get, in batches or by a consumer."""
    lab.on_server()
    lab.store._bucket.batches = lab.random.random() < 0.6
    size = lab.random.choice((100, 1_000_000, 24 * MIB))
    lab.put('a', size)
    lab.settle()
    lab.at_random(lab.get('a'), size, lab.crash)


def kills(lab: Lab) -> None:
    """kill -9 of the server, four times, under traffic."""
    lab.on_server()
    lab.allowed = CUT
    lab.traffic()
    for _ in range(4):
        lab.pause(0.02, 0.4)
        lab.crash()


def cuts(lab: Lab) -> None:
    """Connections cut, at once or after some bytes, and refused for a while."""
    lab.behind_proxy()
    lab.allowed = CUT
    lab.traffic()
    for _ in range(20):
        lab.pause(0.01, 0.15)
        lab.random.choice((lab.proxy.cut, lambda: lab.proxy.cut_after(lab.random.randrange(MIB))))()
        lab.proxy.refusing = lab.random.random() < 0.3
    lab.proxy.refusing = False
    lab.proxy.cut_after(None)


def cancels(lab: Lab) -> None:
    """Puts and gets that are cancelled at any moment, and a connection that is cut now and then."""
    lab.behind_proxy()
    lab.allowed = {**CUT, 'put': (Cancelled,), 'get': (Cancelled,)}
    lab.traffic()
    for _ in range(60):
        lab.pause(0, 0.05)
        name, size = lab.random.choice('abcdef'), lab.random.choice(SMALL + LARGE)
        transfer = lab.put(name, size) if lab.random.random() < 0.7 else lab.get(name)
        lab.pause(0, 0.02)
        transfer.cancel()
        if lab.random.random() < 0.2:
            lab.proxy.cut()


def stalls(lab: Lab) -> None:
    """A network that stalls, for longer than pings wait, too, and that delays."""
    lab.behind_proxy()
    lab.allowed = CUT
    lab.traffic()
    for _ in range(4):
        lab.proxy.delay = lab.random.choice((0, 0.001, 0.01))
        lab.pause(0.1, 0.5)
        lab.stall(lab.random.choice((0.1, 0.1, 4)))
    lab.proxy.delay = 0


def step_downs(lab: Lab) -> None:
    """The leader of three replicas steps down, five times."""
    lab.on_cluster()
    lab.allowed = CUT
    lab.traffic()
    for _ in range(5):
        lab.pause(0.1, 1)
        lab.step_down()


def node_kills(lab: Lab) -> None:
    """kill -9 of any one of three nodes, twice."""
    lab.on_cluster()
    lab.allowed = CUT
    lab.traffic()
    for _ in range(2):
        lab.pause(0.1, 1)
        lab.crash_node()


def full_bucket(lab: Lab) -> None:
    """A bucket at its max_bytes: puts, overwrites and deletes go on."""
    lab.on_server({'max_bytes': 12 * MIB})
    _in_little_room(lab)


def full_server(lab: Lab) -> None:
    """A server at its max_file_store."""
    lab.on_server(config={'jetstream': {'max_file_store': 12 * MIB}})
    _in_little_room(lab)


def _in_little_room(lab: Lab) -> None:
    # A delete that finds no room for its tombstone purges first: a get may come between the two.
    lab.allowed = {
        'put': (StorageFullError,),
        'delete': (StorageFullError,),
        'update': (StorageFullError,),
        'get': (MissingChunks,),
    }
    lab.traffic('abcdefghijkl')
    lab.run.until(lambda: len(lab.history.failures()) >= 5 and len(lab.history.calls) > 200)
    lab.settle()
    # There is room again, for those who come after.
    lab.allowed['delete'] = ()
    for name in 'abcdefghijkl':
        lab.delete(name)
    lab.settle()
    lab.put('a', 4_000_000)


def full_disk(lab: Lab) -> None:
    """A disk without room; then there is some, and the server is started again."""
    grow, place = lab.small_disk(48)
    lab.timeout = 3000
    lab.on_server(store_dir=place)
    lab.allowed = dict.fromkeys(KINDS, (NatsError,))
    lab.leaves_orphans = True  # out of room, the server does not purge either
    lab.traffic('abcdefghijkl', LARGE)
    lab.run.until(lambda: len(lab.history.failures()) >= 5, 60)
    lab.settle()
    grow(480)
    lab.background(lab.server.restart)
    lab.put('after', 4_000_000)
    lab.settle()
    assert lab.history.calls[-1].seq


def race(lab: Lab) -> None:
    """200 writers on one name, with four clients; some on condition that there is nothing."""
    lab.on_server()
    lab.allowed = {'put': (WrongSequenceError,)}
    lab.watch()
    stores = [lab.client([lab.server.url]) for _ in range(4)]
    for number in range(200):
        size = lab.random.choice((*SMALL, 300_000))
        lab.put('a', size, stores[number % 4], if_absent=lab.random.random() < 0.1)
    lab.settle()
    won = [made for made in lab.history.calls if not made.err]
    assert len(won) >= 150


def readers(lab: Lab) -> None:
    """Gets, whole and in parts, of two objects that are overwritten and deleted all the time."""
    lab.on_server()
    others = [lab.client([lab.server.url]) for _ in range(4)]
    others[0]._bucket.batches = False
    lab.traffic('ab', LARGE)
    for _ in range(60):
        for other in others:
            lab.get(lab.random.choice('ab'), other)
        enough = len(lab.history.calls) + 4
        lab.run.until(lambda n=enough: len(lab.history.calls) > n)


def versions(lab: Lab) -> None:
    """Puts that keep two earlier versions, while connections are cut."""
    lab.behind_proxy()
    lab.allowed = CUT
    lab.keeps = 2
    lab.traffic('abc')
    for _ in range(20):
        lab.pause(0.01, 0.1)
        lab.proxy.cut()


def commits(lab: Lab) -> None:
    """Two objects in one commit, all or nothing, while connections are cut."""
    lab.behind_proxy({'atomic': True}, binary=None)  # the newest: old ones cannot
    for number in range(1, 30):
        data, ends = content(number, lab.random.choice(SMALL + LARGE[:1])), []
        lab.store.commit([('x', data), ('y', data)], lambda *end, ends=ends: ends.append(end))
        lab.pause(0, 0.02)
        if lab.random.random() < 0.7:
            lab.proxy.cut()
        lab.run.until(lambda ends=ends: ends)
        assert ends[0][1] is None
        assert lab.ask(lab.witness.get, 'x') == lab.ask(lab.witness.get, 'y') == data
    for name in 'xy':
        lab.ask(lab.store.delete, name)


def renames(lab: Lab) -> None:
    """An object that is renamed again and again while connections are cut."""
    lab.behind_proxy()
    data = content(0, 1_000_000)
    lab.ask(lab.store.put, 'a', data)
    for _ in range(15):
        ends: list[object] = []
        old, new = lab.random.sample('abc', 2)
        lab.store.update_meta(old, {'name': new}, lambda *end, ends=ends: ends.append(end))
        lab.pause(0, 0.01)
        lab.proxy.cut()
        lab.run.until(lambda ends=ends: ends)
    for name in 'abc':  # a rename that broke off goes on by itself: another change waits for it
        lab.ask(lab.store.update_meta, name, {'description': 'settled'})
    # Whatever names there are: to delete one takes nothing from another.
    assert lab.ask(lab.witness.list)
    while names := lab.ask(lab.witness.list):
        for name in names:
            assert lab.ask(lab.witness.get, name) == data
        lab.ask(lab.witness.delete, lab.random.choice(names))


def renamed_by_two(lab: Lab) -> None:
    """The same, by two clients at once."""
    lab.behind_proxy()
    data = content(0, 1_000_000)
    lab.ask(lab.store.put, 'a', data)
    other = lab.client([f'nats://127.0.0.1:{lab.proxy.port}'])
    for _ in range(15):
        ends: list[object] = []
        for store in (lab.store, other):
            old, new = lab.random.sample('abc', 2)
            store.update_meta(old, {'name': new}, lambda *end, ends=ends: ends.append(end))
            lab.pause(0, 0.003)
        if lab.random.random() < 0.5:
            lab.pause(0, 0.005)
            lab.proxy.cut()
        lab.run.until(lambda ends=ends: len(ends) == 2)
    for store in (lab.store, other):  # a rename that broke off goes on by itself
        lab.run.until(lambda bucket=store._bucket: not bucket._unsettled)
    names = lab.ask(lab.witness.list)
    assert len(names) == 1, names
    assert lab.ask(lab.witness.get, names[0]) == data
    lab.ask(lab.witness.delete, names[0])


def resumed(lab: Lab) -> None:
    """kill -9 of clients in a put, then in a get, that others go on with: put(resume=True)."""
    lab.on_server()
    directory, data = lab.directory(), content(0, 24 * MIB)
    source, copy = directory / 'source', directory / 'copy'
    source.write_bytes(data)
    settings = {'URL': lab.server.url, 'BUCKET': lab.bucket}
    for call in (
        f'put("a", Path({str(source)!r}), done, resume=True)',
        f'get("a", done, into=Path({str(copy)!r}), resume=True)',
    ):
        for _ in range(3):
            program = Program(_RESUMER, CALL=call, **settings)
            program.wait_for('begun')
            lab.pause(0, 0.15)
            program.kill()
        program = Program(_RESUMER, CALL=call, **settings)
        assert program.finish() == (['begun', 'None'], '')
    assert copy.read_bytes() == data
    assert sorted(path.name for path in directory.iterdir()) == ['copy', 'source']
    assert sum(lab.chunks().values()) == lab.ask(lab.store.info, 'a')['chunks']
    lab.ask(lab.store.delete, 'a')


_RESUMER = """
    import os
    from pathlib import Path
    from natsev import JetStream, Nats, ObjectStore, ev

    def done(_result, err, *_):
        print(err)
        nats.disconnect()

    nats = Nats(servers=[os.environ['URL']])
    store = ObjectStore(js=JetStream(nats=nats), bucket=os.environ['BUCKET'])
    print('begun', flush=True)
    eval('store.' + os.environ['CALL'])
    ev.run()
"""


def killed_client(lab: Lab) -> None:
    """kill -9 of the client's process in the middle of a put: the next sweep finds what it left."""
    lab.on_server()
    lab.put('a', 300_000)
    lab.settle()
    program = Program(_PUTTER, URL=lab.server.url, BUCKET=lab.bucket)
    program.wait_for('sending')
    enough = lab.random.randrange(4, 100)
    while sum(lab.chunks().values()) < enough:
        pass
    program.kill()
    # What it had sent may still be arriving, and what is just written is let alone.
    orphans: list[Any] = []
    for _ in range(1000):
        orphans += lab.run.call(lab.store.sweep, older_than=0)[0]['orphans']
        if orphans and len(lab.chunks()) == 1:
            break
    assert len(lab.chunks()) == 1
    assert all(orphan['purged'] for orphan in orphans)


_PUTTER = """
    import os
    from natsev import JetStream, Nats, ObjectStore, ev

    js = JetStream(nats=Nats(servers=[os.environ['URL']]))
    store = ObjectStore(js=js, bucket=os.environ['BUCKET'])
    store.put('a', iter(lambda: os.urandom(1 << 16), b''), lambda info, err: print(info, err))
    print('sending', flush=True)
    ev.run()
"""

SCENARIOS: tuple[Callable[[Lab], None], ...] = (
    kill_in_a_put,
    kill_in_a_get,
    kills,
    cuts,
    cancels,
    stalls,
    step_downs,
    node_kills,
    full_bucket,
    full_server,
    full_disk,
    race,
    readers,
    versions,
    commits,
    renames,
    renamed_by_two,
    resumed,
    killed_client,
)
