"""A bucket, who uses it, and what breaks it; see ``Lab``."""

from __future__ import annotations

import subprocess
import threading
from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack
from pathlib import Path
from random import Random
from time import monotonic
from typing import Any, NamedTuple

import pytest

from natsev import JetStream, Nats, NatsError, ObjectStore, ObjectStoreError, ev
from natsev.server import Server
from tests.chaos.history import MIB, History, Made, content
from tests.cluster import Cluster
from tests.proxy import Proxy

# Seconds: to wait for the end of what goes on, and for what the store tidies up by itself.
_SETTLE, _TIDY = 60, 30
_BEAT = 0.005
SMALL, LARGE = (0, 100, 100_000), (300_000, 1_000_000, 4_000_000)
# What traffic does, and how often; how many calls it keeps going.
_AT_ONCE = 6
KINDS = {'put': 12, 'get': 12, 'delete': 4, 'update': 3, 'list': 1, 'status': 1, 'info': 1}
_AGAIN = {
    'reconnect': True,
    'reconnect_delay': 10,
    'max_reconnect_delay': 100,
    'max_reconnect_attempts': 0,
    'connect_timeout': 1000,
    'ping_interval': 1000,
}


class Means(NamedTuple):
    """What makes the parts of a lab; what it makes is taken away after the test."""

    server: Callable[..., Server]
    proxy: Callable[[Server], Proxy]
    cluster: Callable[[], Cluster]
    directory: Callable[[], Path]


class Lab:
    """One run of a scenario: it sets up (``on_...``), uses the bucket and breaks things, in turn.

    A call that fails is a failure of the run unless its kind's errors are ``allowed``.

    Attributes:
        bucket: the bucket's name.
        store: the bucket as its user reaches it.
        witness: the same on a way that does not break.
        history: what was called, and what is known of it.
        random: the seed's: decides all that is left to chance.
        timeout: of the store, in ms.
        allowed: the errors that a call may end with, by kind.
        keeps: how many earlier versions puts keep.
        leaves_orphans: a sweep has to tidy up: no store could do it by itself.
    """

    def __init__(self, run: Any, bucket: str, seed: int, means: Means) -> None:
        self.run = run
        self.bucket = bucket
        self.random = Random(seed)
        self.history = History()
        self.allowed: dict[str, tuple[type[NatsError], ...]] = {}
        self.timeout = 20_000
        self.leaves_orphans = False
        self.keeps = 0
        self.server: Server
        self.proxy: Proxy
        self.cluster: Cluster
        self.store: ObjectStore
        self.witness: ObjectStore
        self._means = means
        self._clients: list[Nats] = []
        self._cleaning = ExitStack()
        self._watch: Any = None
        self._goes_on = False
        self._crashes = 0
        self._timers: list[Any] = []
        self._began = monotonic()
        # So that run.until() looks at what no watcher of the loop tells.
        self.every(_BEAT, lambda: None)

    # Where it takes place.

    def on_server(self, options: dict[str, Any] | None = None, **server_options: Any) -> None:
        """Take place on a server of its own."""
        self.server = self._means.server(**server_options)
        self._open([self.server.url], [self.server.url], options)

    def behind_proxy(self, options: dict[str, Any] | None = None, **server_options: Any) -> None:
        """Take place on a server of its own, which the user reaches through a proxy."""
        self.server = self._means.server(**server_options)
        self.proxy = self._means.proxy(self.server)
        self._open([f'nats://127.0.0.1:{self.proxy.port}'], [self.server.url], options)

    def on_cluster(self) -> None:
        """Take place on three replicas, of a cluster that others use after us."""
        self.cluster = self._means.cluster()
        self._open(self.cluster.urls, self.cluster.urls, {'replicas': 3})
        self._cleaning.callback(self.run.call, self.witness.delete_bucket)

    def _open(self, urls: list[str], safe_urls: list[str], options: Any) -> None:
        self.witness = self.client(safe_urls)
        self.ask(self.witness.create_bucket, options or {})
        self.store = self.client(urls)

    def client(self, urls: list[str]) -> ObjectStore:
        """Return the bucket as one more client of its own sees it."""
        nats = Nats(servers=urls, on_error=lambda err: None, **_AGAIN)
        self._clients.append(nats)
        return ObjectStore(js=JetStream(nats=nats), bucket=self.bucket, timeout=self.timeout)

    def close(self) -> None:
        """Let go of everything; the loop must then end by itself."""
        self._goes_on = False
        if self._watch is not None:
            self._watch.stop()
        for timer in self._timers:
            timer.stop()
        self._cleaning.close()
        for nats in self._clients:
            nats.disconnect()
        self.run.to_end()

    def directory(self) -> Path:
        """Return a new directory."""
        return self._means.directory()

    def small_disk(self, mib: int) -> tuple[Callable[[int], None], Path]:
        """Return a place on a disk of so many MiB of its own, and what makes the disk larger."""
        disk = self.directory()
        command = ['mount', '-t', 'tmpfs', '-o', f'size={mib}m', 'tmpfs', str(disk)]
        if subprocess.run(command, capture_output=True).returncode:
            pytest.skip('mounting is not allowed here: full_server has to do')
        self._cleaning.callback(subprocess.run, ['umount', '-l', str(disk)], check=True)

        def grow(mib: int) -> None:
            subprocess.run(['mount', '-o', f'remount,size={mib}m', str(disk)], check=True)

        return grow, disk

    # Who uses it.

    def put(self, name: str, size: int, store: ObjectStore | None = None, **options: Any) -> Any:
        """Put bytes that nobody else puts."""

        def stored(made: Made, info: Any, err: NatsError | None) -> None:
            if err is None:
                self.history.stored(made, info)
            self._next()

        made, told = self.history.begin('put', name, stored, size)
        data, text = content(made.number, size), str(made.number)
        if self.keeps:
            options['keep_versions'] = self.keeps
        return (store or self.store).put(name, data, told, description=text, **options)

    def get(self, name: str, store: ObjectStore | None = None) -> Any:
        """Get an object, or a part of it."""
        offset = self.random.choice((0, 0, 200_000))
        floor = self.history.floor(name)

        def got(made: Made, data: bytes | None, err: NatsError | None, meta: Any) -> None:
            if err is None and data is None:
                self.history.read_nothing(made)
            elif data is not None:
                self.history.read(made, data, meta, offset, floor)
            self._next()

        _, told = self.history.begin('get', name, got)
        return (store or self.store).get(name, told, offset=offset)

    def delete(self, name: str) -> Any:
        """Delete an object."""

        def deleted(made: Made, did: bool, err: NatsError | None) -> None:
            made.did = bool(did)
            self._next()

        return self.store.delete(name, self.history.begin('delete', name, deleted)[1])

    def update(self, name: str) -> Any:
        """Change an object's metadata."""

        def updated(made: Made, meta: Any, err: NatsError | None) -> None:
            if meta is not None:
                self.history.updated(meta)
            self._next()

        made, told = self.history.begin('update', name, updated)
        return self.store.update_meta(name, {'metadata': {'by': str(made.number)}}, told)

    def look(self, kind: str) -> Any:
        """Ask what changes nothing: ``list``, ``status``, or ``info`` of an object."""
        name = [self.random.choice(self._names)] if kind == 'info' else []
        _, told = self.history.begin(kind, ''.join(name), lambda *_: self._next())
        return getattr(self.store, kind)(*name, told)

    def watch(self) -> None:
        """Watch the bucket from now on."""

        def changed(meta: Any, err: NatsError | None) -> None:
            assert err is None
            if meta is not None:
                self.history.watched(meta)

        self._watch = self.store.watch(changed)

    def traffic(self, names: str = 'abcdef', sizes: Sequence[int] = SMALL + LARGE) -> None:
        """Keep some calls of all kinds going, and a watch, until ``verify``."""
        self._goes_on = True
        self._names, self._sizes = names, sizes
        self.watch()
        for _ in range(_AT_ONCE):
            self._next()

    def _next(self) -> None:
        if not self._goes_on or self.history.pending >= _AT_ONCE:
            return
        kind = self.random.choices(list(KINDS), list(KINDS.values()))[0]
        name = self.random.choice(self._names)
        call: Callable[..., Any]
        if kind == 'put':
            call, args = self.put, (name, self.random.choice(self._sizes))
        elif kind in ('get', 'delete', 'update'):
            call, args = getattr(self, kind), (name,)
        else:
            call, args = self.look, (kind,)
        self.store._bucket.nats.call_soon(call, *args)

    # Time.

    def every(self, seconds: float, function: Callable[[], Any], first: float | None = None) -> Any:
        """Call *function* again and again; return what has ``stop()``."""
        after = seconds if first is None else first
        timer = ev.Timer(after, seconds, ev.default_loop(), lambda *_: function())
        timer.start()
        self._timers.append(timer)
        return timer

    def later(self, seconds: float, function: Callable[[], Any]) -> None:
        """Call *function* once."""
        self.every(0.0, function, seconds)

    def pause(self, least: float, most: float) -> None:
        """Let the loop run for a while."""
        over: list[None] = []
        self.later(self.random.uniform(least, most), lambda: over.append(None))
        self.run.until(lambda: over)

    def at_random(self, transfer: Any, size: int, action: Callable[[], Any]) -> None:
        """Do *action* at some moment of *transfer*, or some turns of the loop after its bytes."""
        bytes_done = self.random.choice((self.random.randrange(size), size))
        turns = self.random.randrange(4)
        self.run.until(lambda: transfer.bytes_done >= bytes_done or not self.history.pending)
        self.run.turns(turns)
        action()

    def settle(self) -> None:
        """Wait until every call has ended."""
        self._goes_on = False
        try:
            self.run.until(lambda: not self.history.pending, _SETTLE)
        finally:
            left = [made for made in self.history.calls if not made.told]
            assert not left, 'every call ends'

    # What breaks.

    def background(self, work: Callable[[], Any]) -> None:
        """Do in a thread what takes a while, the loop going on; return when it is done."""
        failures: list[Exception] = []

        def guarded() -> None:
            try:
                work()
            except Exception as exc:  # raised again below
                failures.append(exc)

        thread = threading.Thread(target=guarded)
        thread.start()
        self.run.until(lambda: not thread.is_alive(), _SETTLE)
        for failure in failures:
            raise failure

    def crash(self) -> None:
        """Kill the server; start it again a little later."""
        # One that is killed a second time brings back what it had acknowledged to have purged; 2.10
        # does so at once. 2.11 forgets message ids: a put may find chunks stored twice, and fail.
        self._crashes += 1
        version = self.server.version
        self.leaves_orphans |= self._crashes > 1 or version.startswith('2.10.')
        if version.startswith('2.11.'):
            self.allowed = {**self.allowed, 'put': (ObjectStoreError,)}
        self.server.kill()
        self.pause(0, 0.2)
        self.background(self.server.start)

    def crash_node(self) -> None:
        """Kill a node, often the user's own; start it again, and wait until it has caught up."""
        nodes = self.cluster.nodes
        port = self.store._bucket.nats.server_info()['port']
        node = self.random.choice([*nodes, *(node for node in nodes if node.port == port)])

        def again() -> None:
            node.start()
            self.cluster.await_health(node)

        node.kill()
        try:
            self.pause(0, 3)
        except BaseException:
            again()  # the cluster is others' too
            raise
        self.background(again)

    def step_down(self) -> None:
        """Let the leader of the bucket's stream step down."""
        nats = self.witness._bucket.nats
        subject = f'$JS.API.STREAM.LEADER.STEPDOWN.OBJ_{self.bucket}'
        reply, deadline = None, monotonic() + _SETTLE
        while not reply or b'"success":true' not in reply:  # nobody leads yet
            assert monotonic() < deadline, f'the stream has no leader any more: {reply}'
            reply, _, _ = self.run.call(nats.request, subject, b'', timeout=500)

    def stall(self, seconds: float) -> None:
        """Let nothing through for so long."""
        self.proxy.stall()
        self.pause(0, seconds)
        self.proxy.flow()

    # What must hold.

    def verify(self) -> None:
        """Wait for the end of all that goes on, and check what is there then."""
        self.settle()
        unexpected = [
            made
            for made in self.history.failures()
            if not isinstance(made.err, self.allowed.get(made.kind, ()))
        ]
        assert not unexpected, f'calls that failed: {unexpected}'
        found = self._found()
        self.history.check(found, self._read)
        if self._watch is not None:
            self.run.until(lambda: self.history.saw_all(found))
        if self.leaves_orphans:
            self.ask(self.witness.sweep, older_than=0)
        self._await_chunks(found)
        self._check_versions(found)
        report = self.ask(self.witness.sweep, older_than=0, dry_run=True)
        for what in ('orphans', 'short', 'broken', 'duplicates'):
            assert report[what] == []

    def ask(self, function: Callable[..., Any], *args: Any, **options: Any) -> Any:
        """Make a call that must succeed; return its result."""
        result, err = self.run.call(function, *args, **options)[:2]
        assert err is None, f'{function.__name__}: {err!r}'
        return result

    def _found(self) -> dict[str, Any]:
        metas = self.ask(self.witness.list, deleted=True, details=True)
        assert len({meta['name'] for meta in metas}) == len(metas)
        return {meta['name']: meta for meta in metas}

    def _versions(self, names: Iterable[str]) -> list[Any]:
        if not self.keeps:
            return []
        return [meta for name in names for meta in self.ask(self.witness.versions, name)]

    def _check_versions(self, names: Iterable[str]) -> None:
        for meta in self._versions(names):
            data = self.ask(self.witness.get, meta['name'], version=meta['seq'])
            # One too many may have been trimmed since.
            assert data in (None, content(int(meta['description']), meta['size'])), meta

    def _read(self, name: str) -> bytes:
        data: bytes = self.ask(self.witness.get, name)
        return data

    def chunks(self) -> dict[str, int]:
        """Return how many chunks there are, by nuid."""
        prefix = f'$O.{self.bucket}.C.'
        js = self.witness._bucket.js
        options = {'subjects_filter': f'{prefix}>'}
        info = self.ask(js.stream_info, f'OBJ_{self.bucket}', options)
        subjects = info['state'].get('subjects') or {}
        numbers = {subject.removeprefix(prefix): number for subject, number in subjects.items()}
        # Where metadata of earlier versions are kept.
        return {nuid: n for nuid, n in numbers.items() if not nuid.startswith('versions.')}

    def _await_chunks(self, found: dict[str, Any]) -> None:
        """Wait until there are no chunks but those that metadata names."""
        deadline = monotonic() + _TIDY
        while True:
            metas = [*found.values(), *self._versions(found)]
            named = {meta['nuid']: meta['chunks'] for meta in metas if meta['chunks']}
            chunks = self.chunks()
            if chunks == named or monotonic() > deadline:
                break
            self.pause(0.1, 0.1)
        lacking = {nuid: n for nuid, n in named.items() if chunks.get(nuid) != n}
        left = {nuid: n for nuid, n in chunks.items() if nuid not in named and self._has(nuid)}
        whose = [made for made in self.history.calls if made.nuid in left]
        assert (lacking, left) == ({}, {}), f'{lacking} lack, {left} are left; those of {whose}'

    def _has(self, nuid: str) -> bool:
        """Is there a chunk? A server that was killed may count some that it does not have."""
        js, body = self.witness._bucket.js, {'last_by_subj': f'$O.{self.bucket}.C.{nuid}'}
        message, _ = self.run.call(js.stream_msg_get, f'OBJ_{self.bucket}', body)
        return message is not None

    def figures(self) -> dict[str, Any]:
        """Return what it took: calls, errors, reconnects, MiB given and MiB sent, seconds."""
        stats = [nats.stats() for nats in self._clients]
        return {
            **self.history.figures(),
            'reconnects': sum(one['reconnects'] for one in stats),
            'mib_sent': sum(one['bytes_out'] for one in stats) / MIB,
            'seconds': monotonic() - self._began,
        }
