"""natsev.server: starting, ending and starting again of a real nats-server."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

import natsev
from natsev.errors import MissingExtraError, NatsError
from natsev.server import Server, find_server
from tests.conftest import VERSIONS, missing, server_binary

ROOT = Path(__file__).parent.parent


def info(server: Server) -> dict[str, object]:
    """The INFO line that the server greets with."""
    with socket.create_connection((server.host, server.port)) as connection:
        line = connection.makefile('rb').readline()
    return json.loads(line.removeprefix(b'INFO '))


def await_end(pid: int) -> None:
    """Wait until no process has the id, or only a zombie."""
    deadline = time.monotonic() + 10
    status = Path(f'/proc/{pid}/status')
    while True:
        try:
            os.kill(pid, 0)
            if status.exists() and '\nState:\tZ' in status.read_text():
                return
        except (ProcessLookupError, FileNotFoundError):
            return
        assert time.monotonic() < deadline, f'process {pid} still runs'


def test_is_ready_when_start_returns():
    with Server() as server:
        assert server.running
        assert server.url == f'nats://127.0.0.1:{server.port}'
        assert server.urls['nats'] == [server.url]
        greeting = info(server)
        assert greeting['version'] == server.version
        assert greeting['jetstream'] is True
        assert str(server.pid) in repr(server)
    assert not server.running
    assert server.pid is None
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((server.host, server.port))


@pytest.mark.parametrize('version', VERSIONS)
def test_every_version_starts(version):
    binary = server_binary(version)
    if not binary.exists():
        missing(f'nats-server {version}')
    with Server(binary=binary) as server:
        assert info(server)['version'] == server.version
        assert version in (server.version, 'newest')


def test_without_jetstream():
    with Server(jetstream=False) as server:
        assert 'jetstream' not in info(server)


def test_starting_twice_is_starting_once(own_server):
    pid = own_server.pid
    assert own_server.start() is own_server
    assert own_server.pid == pid


@pytest.mark.parametrize('end', ['stop', 'kill'])
def test_comes_back_on_its_port(own_server, end):
    port, pid = own_server.port, own_server.pid
    getattr(own_server, end)()
    await_end(pid)
    own_server.start()
    assert own_server.port == port
    assert own_server.pid != pid
    assert info(own_server)['port'] == port


def test_a_death_is_noticed_where_the_loop_reaps_children(own_server, run):
    # The default loop of the real pyev takes the exit status of every child.
    pid = own_server.pid
    os.kill(pid, signal.SIGKILL)
    deadline = time.monotonic() + 10
    while own_server.running:
        run.turns()
        assert time.monotonic() < deadline
    own_server.start()
    assert own_server.pid != pid


def test_works_in_a_program_that_gevent_patched():
    with program('server.restart(); print(server.running); server.stop()', PATCH) as process:
        process.stdout.readline()
        assert process.stdout.readline() == 'True\n'


def test_restart_keeps_port_and_store(own_server):
    port, pid, store = own_server.port, own_server.pid, own_server.store_dir
    own_server.restart()
    assert (own_server.port, own_server.store_dir) == (port, store)
    assert own_server.pid != pid
    assert own_server.log.count('Server is ready') == 2


def test_stop_removes_the_temporary_store_and_keeps_the_log(own_server):
    store = own_server.store_dir
    assert store.exists()
    own_server.stop()
    assert not store.exists()
    assert 'Server is ready' in own_server.log


def test_kill_keeps_the_temporary_store(own_server):
    own_server.kill()
    assert own_server.store_dir.exists()
    assert own_server.log.count('Server is ready') == 1


def test_a_given_store_stays(tmp_path):
    with Server(store_dir=tmp_path / 'store') as server:
        assert server.store_dir == tmp_path / 'store'
    assert (tmp_path / 'store' / 'jetstream').is_dir()


def test_a_port_of_ones_own(own_server):
    port = own_server.port
    own_server.stop()
    with Server(port=port) as server:
        assert server.url == f'nats://127.0.0.1:{port}'


@pytest.mark.parametrize('as_what', ['dict', 'text', 'path'])
def test_config(as_what, tmp_path):
    text = 'max_payload: 4096\nserver_name: "seven"'
    path = tmp_path / 'nats.conf'
    path.write_text(text)
    config = {
        'dict': {'max_payload': 4096, 'server_name': 'seven'},
        'text': text,
        'path': path,
    }
    with Server(config=config[as_what]) as server:
        greeting = info(server)
    assert (greeting['max_payload'], greeting['server_name']) == (4096, 'seven')
    assert greeting['jetstream'] is True


def test_a_written_config_is_for_its_owner_only():
    with Server(config={'authorization': {'user': 'u', 'password': 'p'}}) as server:
        [path] = server.store_dir.parent.glob('*.conf')
        assert path.stat().st_mode & 0o077 == 0
        assert info(server)['auth_required'] is True


def test_config_is_read_again(own_server):
    own_server.stop()
    own_server.config = {'max_payload': 4096}
    own_server.start()
    assert info(own_server)['max_payload'] == 4096
    own_server.config = {'max_payload': 8192}
    own_server.send_signal(signal.SIGHUP)
    deadline = time.monotonic() + 10
    while info(own_server)['max_payload'] != 8192:
        assert time.monotonic() < deadline, own_server.log


def test_urls_of_other_listeners():
    config = {
        'websocket': {'host': '127.0.0.1', 'port': -1, 'no_tls': True},
        'http': '127.0.0.1:-1',
    }
    with Server(config=config) as server:
        assert server.urls['websocket'][0].startswith('ws://127.0.0.1:')
        assert server.urls['monitoring'][0].startswith('http://127.0.0.1:')
    assert server.urls == {}


def test_name_and_args():
    with Server(name='ned', args=['--debug']) as server:
        assert info(server)['server_name'] == 'ned'
        assert '[DBG]' in server.log


def test_a_config_that_is_wrong_is_told_with_the_servers_words():
    server = Server(config='max_payload: "many"')
    with pytest.raises(NatsError, match=r'ended at its start:\n.*string, not int64'):
        server.start()
    assert not server.running


def test_a_taken_port_is_told(own_server):
    with pytest.raises(NatsError, match='address already in use'):
        Server(port=own_server.port).start()


def test_a_failed_start_leaves_nothing(monkeypatch, tmp_path):
    monkeypatch.setattr('tempfile.tempdir', str(tmp_path))
    with pytest.raises(NatsError):
        Server(config='jetstream {').start()
    assert list(tmp_path.iterdir()) == []


def test_a_failed_start_after_a_kill_keeps_the_store(own_server):
    own_server.kill()
    own_server.config = 'jetstream {'
    with pytest.raises(NatsError):
        own_server.start()
    assert own_server.store_dir.exists()


def test_a_start_that_takes_too_long_is_given_up(tmp_path):
    sleeper = tmp_path / 'nats-server'
    sleeper.write_text('#!/bin/sh\necho half way >&2\nexec sleep 600\n')
    sleeper.chmod(0o755)
    server = Server(binary=sleeper, start_timeout=200)
    with pytest.raises(NatsError, match=r'not ready after 0\.2 s:\nhalf way'):
        server.start()
    assert not server.running


def test_a_signal_needs_a_server():
    with pytest.raises(NatsError, match='does not run'):
        Server().send_signal(signal.SIGHUP)


def test_a_frozen_server_ends_all_the_same(own_server, monkeypatch):
    monkeypatch.setattr('natsev.server._STOP_SECONDS', 0.1)
    pid = own_server.pid
    own_server.send_signal(signal.SIGSTOP)
    own_server.stop()
    await_end(pid)


class TestFindServer:
    @pytest.fixture(autouse=True)
    def nothing_chosen(self, monkeypatch):
        monkeypatch.delenv('NATSEV_SERVER', raising=False)

    @pytest.fixture
    def no_wheel(self, monkeypatch):
        monkeypatch.setattr('natsev.server._DISTRIBUTION', 'no-such-distribution')

    def test_of_the_wheel(self):
        found = find_server()
        assert found.name == 'nats-server'
        assert found.is_relative_to(Path(sys.prefix).resolve())

    def test_the_environment_comes_first(self, monkeypatch):
        monkeypatch.setenv('NATSEV_SERVER', '/somewhere/nats-server')
        assert find_server() == Path('/somewhere/nats-server')

    def test_path_comes_last(self, monkeypatch, no_wheel, tmp_path):
        shutil.copy('/bin/sh', tmp_path / 'nats-server')
        monkeypatch.setenv('PATH', str(tmp_path))
        assert find_server() == tmp_path / 'nats-server'

    def test_none_names_the_extra(self, monkeypatch, no_wheel, tmp_path):
        monkeypatch.setenv('PATH', str(tmp_path))
        with pytest.raises(MissingExtraError, match=r"pip install 'natsev\[server\]'") as caught:
            Server().start()
        assert caught.value.extra == 'server'
        assert isinstance(caught.value, ImportError)


PATCH = 'from gevent import monkey; monkey.patch_all()'
PROGRAM = """
{begin}
import sys
from natsev.server import Server
server = Server().start()
print(server.pid, server.store_dir, flush=True)
{end}
"""


def program(end: str, begin: str = '') -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, '-c', PROGRAM.format(begin=begin, end=end)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, 'PYTHONPATH': str(Path(natsev.__file__).parent.parent)},
    )


def test_ends_with_its_program():
    with program('') as process:
        pid, store = process.stdout.readline().split()
        assert process.wait() == 0
    await_end(int(pid))
    assert not Path(store).exists()


def test_ends_with_a_killed_program():
    with program('sys.stdin.read()') as process:
        pid, store = process.stdout.readline().split()
        process.kill()
    await_end(int(pid))
    shutil.rmtree(Path(store).parent)


def test_outlives_a_forked_child():
    with program('import os; os.fork() or sys.exit(); os.wait(); print(server.running)') as process:
        process.stdout.readline()
        assert process.stdout.readline() == 'True\n'
