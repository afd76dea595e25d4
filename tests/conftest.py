"""What every test may use. How to write one:

    def test_put_then_get(run, store):
        def stored(info, err):
            assert err is None                      # a failing assertion fails the test, at once
            store.get('greeting', fetched)

        def fetched(data, err):
            assert err is None
            run.done(data)

        store.put('greeting', b'hello', stored)
        assert run() == b'hello'                    # runs the loop until run.done(value)

or, where one call follows another:

    def test_put_then_get(run, store):
        info, err = run.call(store.put, 'greeting', b'hello')     # adds the callback, runs
        assert err is None and info['size'] == 5
        assert run.call(store.get, 'greeting')[:2] == (b'hello', None)

- ``run.until(lambda: len(got) == 3)`` runs until a condition holds; ``run.to_end()`` until nothing
  is active on the loop any more. A watchdog fails what takes too long. Never sleep, never assert on
  time.
- ``connect(**options)`` makes a ``Nats`` (to the session's server where nothing else is said) and
  disconnects it after the test; the loop must then end by itself: no watcher may be left.
- An exception in a callback, and an error that natsev logs, fail the test. A test that wants one
  names the fixture ``expected_errors``: the list of the log's records, not empty at the end.
- ``server`` is shared by all tests: use ``unique`` for subjects and names. ``each_server`` is the
  same for each version of nats-server that natsev supports. ``own_server`` is the test's own, to
  kill and start again; ``start_server(config=..., ...)`` starts one as you want it.
- ``peer`` is each other maker's client in turn (nats-py, the JavaScript client, natsrpy):
  ``peer.put(bucket, name, data)``, ``peer.get(bucket, name)``, ...; see ``tests/peers``.
- ``proxy(server)`` and ``unix_proxy(server)`` forward bytes to a server; cut them, stall them.

``make test`` runs all of it on real servers. In CI (``CI=true``) nothing may be missing: what would
be skipped elsewhere fails there.
"""

from __future__ import annotations

import contextlib
import logging
import os
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import hypothesis
import pytest

from natsev import BucketNotFoundError, DisconnectedError, Nats, ev, wire_implementation
from natsev.nuid import next_nuid
from natsev.server import Server, find_server
from tests.cluster import Cluster
from tests.peers import COMMANDS, Peer, lacking
from tests.ports import free_ports
from tests.proxy import Proxy
from tests.running import ErrorGuard, Run

ROOT = Path(__file__).parent.parent
SERVERS = Path(os.environ.get('NATSEV_SERVERS', ROOT / '.cache' / 'servers'))
# A machine that is busy with something else is slow at making examples, too: that is no fault.
hypothesis.settings.register_profile(
    'natsev', suppress_health_check=[hypothesis.HealthCheck.too_slow], deadline=None
)
hypothesis.settings.load_profile('natsev')
VERSIONS = [*(ROOT / 'tests' / 'server_versions.txt').read_text().split(), 'newest']


def pytest_addoption(parser: pytest.Parser) -> None:
    add = parser.addoption
    add('--chaos-seed', type=int, default=1, help='the first seed of tests/chaos')
    add('--chaos-runs', type=int, default=1, help='how many seeds, from the first one on')


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if 'chaos_seed' in metafunc.fixturenames:
        first, runs = metafunc.config.option.chaos_seed, metafunc.config.option.chaos_runs
        metafunc.parametrize('chaos_seed', range(first, first + runs))


def missing(what: str) -> None:
    """Skip for lack of *what*; in CI nothing may be lacking."""
    if os.environ.get('CI') == 'true':
        pytest.fail(f'{what} is missing, and CI must have it')
    pytest.skip(f'not run: {what} is missing')


def server_binary(version: str) -> Path:
    if version == 'newest':
        return find_server()
    return SERVERS / version / 'bin' / 'nats-server'


def present_binary(version: str) -> Path:
    """Return the nats-server of *version*; where it is not here, the test cannot run."""
    binary = server_binary(version)
    if not binary.exists():
        missing(f'nats-server {version} ({binary})')
    return binary


def pytest_report_header() -> str:
    found = [version for version in VERSIONS if server_binary(version).exists()]
    newest = Server(binary=server_binary('newest')).version
    servers = ', '.join(found).replace('newest', newest)
    return f'natsev: loop {ev.implementation}, wire {wire_implementation}, servers {servers}'


@pytest.fixture(scope='session')
def server() -> Iterator[Server]:
    """One server with JetStream for the whole session, of the newest version."""
    with Server() as server:
        yield server


@pytest.fixture(scope='session')
def server_of() -> Iterator[Callable[[str], Server]]:
    """``server_of(version)``: the session's server of that version."""
    servers: dict[str, Server] = {}

    def server_of(version: str) -> Server:
        if version not in servers:
            servers[version] = Server(binary=present_binary(version)).start()
        return servers[version]

    yield server_of
    for server in servers.values():
        server.stop()


@pytest.fixture(params=VERSIONS)
def each_server(request: pytest.FixtureRequest, server_of: Callable[[str], Server]) -> Server:
    """The session's server of each version in turn."""
    return server_of(request.param)


@pytest.fixture
def start_server() -> Iterator[Callable[..., Server]]:
    """``start_server(**options)``: a started ``Server`` of this test's own."""
    servers: list[Server] = []

    def start_server(**options: Any) -> Server:
        servers.append(Server(**{'port': free_ports(1)[0], **options}))
        return servers[-1].start()

    yield start_server
    for server in servers:
        server.stop()


@pytest.fixture
def start_any_server(start_server: Callable[..., Server], chaos_seed: int) -> Callable[..., Server]:
    """The same of a version that the seed decides: of the first seed the newest one."""

    def start_any_server(**options: Any) -> Server:
        version = VERSIONS[-chaos_seed % len(VERSIONS)]
        return start_server(**{'binary': present_binary(version), **options})

    return start_any_server


@pytest.fixture
def own_server(start_server: Callable[..., Server]) -> Server:
    """A server of this test's own: ``kill()``, ``restart()`` and ``stop()`` as you like."""
    return start_server()


@pytest.fixture
def start_cluster() -> Iterator[Callable[..., Cluster]]:
    """``start_cluster(**options)``: a started ``Cluster`` of this test's own."""
    clusters: list[Cluster] = []

    def start_cluster(**options: Any) -> Cluster:
        clusters.append(Cluster(**options))
        return clusters[-1].start()

    yield start_cluster
    for cluster in clusters:
        cluster.stop()


@pytest.fixture
def proxy() -> Iterator[Callable[..., Proxy]]:
    """``proxy(server)``: a ``Proxy`` on a TCP port of its own; *port*: to another listener."""
    proxies: list[Proxy] = []

    def proxy(server: Server, path: Path | None = None, port: int | None = None) -> Proxy:
        proxies.append(Proxy((server.host, port or server.port), path))
        return proxies[-1]

    yield proxy
    for made in proxies:
        made.close()


@pytest.fixture
def unix_proxy(
    proxy: Callable[..., Proxy], tmp_path_factory: pytest.TempPathFactory
) -> Callable[[Server], Proxy]:
    """``unix_proxy(server)``: a ``Proxy`` on a Unix socket (``.path``), which nats-server lacks."""

    def unix_proxy(server: Server) -> Proxy:
        # Not tmp_path: with the test's name in it, it can be too long for a Unix socket.
        return proxy(server, tmp_path_factory.mktemp('u') / 's')

    return unix_proxy


@pytest.fixture
def peer_that_says() -> Iterator[Callable[[bytes], int]]:
    """``peer_that_says(data)``: a port whose connections get *data* at once, and then an end."""
    listeners: list[socket.socket] = []

    def serve(listener: socket.socket, data: bytes) -> None:
        with contextlib.suppress(OSError):  # the listener is closed
            while True:
                end, _ = listener.accept()
                with end:
                    end.sendall(data)
                    end.shutdown(socket.SHUT_WR)
                    while end.recv(4096):
                        pass

    def peer_that_says(data: bytes) -> int:
        listeners.append(socket.create_server(('127.0.0.1', 0)))
        threading.Thread(target=serve, args=(listeners[-1], data), daemon=True).start()
        return int(listeners[-1].getsockname()[1])

    yield peer_that_says
    for listener in listeners:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()


@pytest.fixture(scope='session')
def peer_of(server: Server) -> Iterator[Callable[[str], Peer]]:
    """``peer_of(name)``: the other maker's client *name*, on the session's server."""
    peers: dict[str, Peer] = {}

    def peer_of(name: str) -> Peer:
        lack = lacking(name)
        if lack:
            missing(lack)
        if name in peers and not peers[name].running:  # a crash fails one test, not all
            peers.pop(name).close()
        if name not in peers:
            peers[name] = Peer(name, server.url)
        return peers[name]

    yield peer_of
    for peer in peers.values():
        peer.close()


@pytest.fixture(params=COMMANDS)
def peer(request: pytest.FixtureRequest, peer_of: Callable[[str], Peer]) -> Peer:
    """Each other maker's client in turn, on the session's server."""
    return peer_of(request.param)


@pytest.fixture(autouse=True)
def error_guard() -> Iterator[ErrorGuard]:
    """Fails a test in which natsev logged an error."""
    guard = ErrorGuard()
    logger = logging.getLogger('natsev')
    logger.addHandler(guard)
    yield guard
    logger.removeHandler(guard)
    guard.check()


@pytest.fixture
def expected_errors(error_guard: ErrorGuard) -> Iterator[list[logging.LogRecord]]:
    """The errors natsev logged, as records, in a test that expects at least one."""
    error_guard.expected = True
    yield error_guard.records
    assert error_guard.records, 'natsev logged no error, and this test expects one'


@pytest.fixture
def run(error_guard: ErrorGuard) -> Run:
    """Runs the default loop."""
    return Run(error_guard)


@pytest.fixture
def unique() -> str:
    """A name that no other test uses, legal as a subject, a stream and a bucket."""
    return 't' + next_nuid()


@pytest.fixture
def connect(run: Run, request: pytest.FixtureRequest) -> Iterator[Callable[..., Nats]]:
    """``connect(**options)``: a ``Nats``, to the session's server unless they say where."""
    clients: list[Nats] = []

    def connect(**options: Any) -> Nats:
        if not {'host', 'path', 'servers', 'port'} & options.keys():
            server = request.getfixturevalue('server')
            options.update(host=server.host, port=server.port)
        elif 'port' in options:
            options.setdefault('host', '127.0.0.1')
        clients.append(Nats(**options))
        return clients[-1]

    yield connect
    for nats in clients:
        nats.disconnect()
    run.to_end()


@pytest.fixture
def js(connect: Callable[..., Nats]) -> Any:
    """A ``JetStream`` on the session's server."""
    from natsev import JetStream

    return JetStream(nats=connect())


@pytest.fixture
def store(run: Run, js: Any, unique: str) -> Iterator[Any]:
    """An ``ObjectStore`` on the session's server, with a bucket of its own."""
    from natsev import ObjectStore

    store = ObjectStore(js=js, bucket=unique)
    _, err = run.call(store.create_bucket, {})
    assert err is None
    yield store
    _, err = run.call(store.delete_bucket)
    # The test may have deleted it, or closed the connection.
    assert err is None or isinstance(err, BucketNotFoundError | DisconnectedError)
