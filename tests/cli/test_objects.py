"""``natsev object``, on a server named and on the user's own; other clients read what it stores."""

from __future__ import annotations

import json
import os
import re
import signal
from concurrent.futures import ThreadPoolExecutor

import pytest

from natsev import JetStream, ObjectStore

MIB = 1024 * 1024


@pytest.fixture
def bucket(cli, unique):
    cli('object', 'add', unique)
    yield unique
    cli.run('object', 'del', unique, '--force')


@pytest.fixture
def file(cli):
    """A file of some chunks."""
    path = cli.directory / 'report.bin'
    path.write_bytes(os.urandom(300_000))
    return path


def test_put_and_get(cli, bucket, file):
    assert cli('object', 'put', bucket, file) == 'stored report.bin: 300000 bytes in 3 chunks\n'
    (cli.directory / 'sub').mkdir()
    assert cli('object', 'get', bucket, 'report.bin', '-O', 'sub').endswith('into sub/report.bin\n')
    assert (cli.directory / 'sub' / 'report.bin').read_bytes() == file.read_bytes()


def test_get_does_not_replace_a_file_unasked(cli, bucket, file):
    data = file.read_bytes()
    cli('object', 'put', bucket, file)
    file.write_bytes(b'mine')
    assert 'is there already; --force replaces it' in cli(
        'object', 'get', bucket, 'report.bin', code=2
    )
    assert file.read_bytes() == b'mine'
    cli('object', 'get', bucket, 'report.bin', '--force')
    assert file.read_bytes() == data


def test_stdin_and_stdout(cli, bucket):
    data = os.urandom(200_000)
    cli('object', 'put', bucket, '-', '--name', 'piped', input=data)
    assert cli.run('object', 'get', bucket, 'piped', '-O', '-').stdout == data
    assert "'-' needs a --name" in cli('object', 'put', bucket, '-', code=2)


@pytest.mark.parametrize('command', [('get', 'report.bin', '-O'), ('export',)])
def test_a_pipe_or_a_device_is_written_and_not_replaced(cli, bucket, file, command):
    cli('object', 'put', bucket, file)
    pipe = cli.directory / 'pipe'
    os.mkfifo(pipe)
    verb, *rest = command
    with ThreadPoolExecutor() as pool:
        read = pool.submit(pipe.read_bytes)
        assert cli('object', verb, bucket, *rest, pipe) == ''
    assert file.read_bytes()[-1000:] in read.result()
    assert pipe.is_fifo()
    assert '--resume' in cli('object', 'get', bucket, 'report.bin', '-O', pipe, '--resume', code=2)
    assert 'No space left' in cli('object', verb, bucket, *rest, '/dev/full', code=1)


def test_the_file_that_cannot_be_written_is_named(cli, bucket, file):
    cli('object', 'put', bucket, file)
    text = cli('object', 'get', bucket, 'report.bin', '-O', 'no/such/file', code=1)
    assert text == 'natsev: no/such/file: No such file or directory\n'


def test_others_read_what_it_stores(cli, bucket, file, peer):
    cli('object', 'put', bucket, file, '--name', 'some/odd name', '--description', 'd')
    assert peer.get(bucket, 'some/odd name') == file.read_bytes()
    assert peer.info(bucket, 'some/odd name')['description'] == 'd'


def test_it_reads_what_others_store(cli, bucket, peer):
    peer.put(bucket, 'theirs', b'x' * 200_000)
    assert cli.run('object', 'get', bucket, 'theirs', '-O', '-').stdout == b'x' * 200_000
    assert cli('object', 'ls', bucket, '--names') == 'theirs\n'


def test_info_as_json(cli, bucket, file):
    cli('object', 'put', bucket, file, '-H', 'Lang: en', '--metadata', 'team=blue')
    meta = cli.json('object', 'info', bucket, 'report.bin')
    assert (meta['size'], meta['headers'], meta['metadata']) == (
        300_000,
        {'Lang': ['en']},
        {'team': 'blue'},
    )


def test_ls(cli, bucket, file):
    cli('object', 'put', bucket, file, file, '--no-progress')
    cli('object', 'put', bucket, '-', '--name', 'a\tb', input=b'1')
    lines = cli('object', 'ls', bucket).splitlines()
    assert [line.split('\t')[:2] for line in lines] == [[r'a\tb', '1'], ['report.bin', '300000']]
    assert cli.json('object', 'ls', bucket, '--names', '--prefix', 'rep') == ['report.bin']
    assert bucket in cli('object', 'ls', '--names').splitlines()


def test_ls_on_a_terminal(cli, bucket, file):
    cli('object', 'put', bucket, file)
    printed = cli.terminal('object', 'ls', bucket).finish()
    assert re.search(r'Name +Size +Modified +Description', printed)
    assert re.search(r'report.bin +293.0 KiB', printed)


def test_status(cli, bucket, file):
    cli('object', 'put', bucket, file)
    status = cli.json('object', 'status', bucket)
    assert (status['bucket'], status['sealed']) == (bucket, 0)
    assert status['bytes'] > 300_000


def test_a_name_cannot_reach_the_terminal(cli, bucket):
    name = 'a\n\x1b[31mred'
    assert cli('object', 'put', bucket, '-', '-n', name, input=b'x') == (
        'stored a\\n\\x1b[31mred: 1 bytes in 1 chunk\n'
    )
    assert cli('object', 'rm', bucket, '--prefix', 'a', '--force') == ('deleted a\\n\\x1b[31mred\n')


def test_rm(cli, bucket, file):
    cli('object', 'put', bucket, file)
    error = cli('object', 'rm', bucket, 'absent', 'report.bin', code=3)
    assert error == f"natsev: there is no object 'absent' in the bucket '{bucket}'\n"
    assert cli('object', 'ls', bucket) == ''
    assert 'there is no object' in cli('object', 'info', bucket, 'report.bin', code=3)


def test_del_takes_the_bucket(cli, unique):
    cli('object', 'add', unique)
    assert 'say --force' in cli('object', 'del', unique, code=2)
    cli('object', 'del', unique, '--force')
    assert 'not found' in cli('object', 'status', unique, code=3)


def test_if_absent_that_loses(cli, bucket, file):
    cli('object', 'put', bucket, file, '--if-absent')
    cli('object', 'put', bucket, file, '--if-absent', code=6)


def test_a_part(cli, bucket):
    cli('object', 'put', bucket, '-', '--name', 'x', input=b'0123456789')
    part = ['object', 'get', bucket, 'x', '--offset', '3', '--length', '4']
    assert cli(*part, '-O', '-') == '3456'
    assert cli(*part) == 'got x: 4 bytes into x\n'


def test_codec(cli, bucket, file):
    file.write_bytes(bytes(300_000))
    meta = cli.json('object', 'put', bucket, file, '--codec', 'zlib')
    assert meta['size'] < 3000
    assert cli.run('object', 'get', bucket, file.name, '-O', '-').stdout == file.read_bytes()


def test_ttl(cli, bucket, unique, file):
    assert 'add --object-ttl' in cli('object', 'put', bucket, file, '--ttl', '1h', code=1)
    cli('object', 'add', f'{unique}-ttl', '--object-ttl')
    cli('object', 'put', f'{unique}-ttl', file, '--ttl', '1h')
    cli('object', 'del', f'{unique}-ttl', '--force')


def test_resume(cli, bucket, file):
    """What resuming does after an interruption is tested with the store."""
    cli('object', 'put', bucket, file, '--resume')
    cli('object', 'get', bucket, file.name, '-O', 'copy', '--resume')
    assert (cli.directory / 'copy').read_bytes() == file.read_bytes()
    assert 'not standard output' in cli(
        'object', 'get', bucket, file.name, '-O', '-', '--resume', code=2
    )


def test_bench(cli):
    stored, fetched = cli.json('bench', 'object', '--size', '1MiB', '--count', '2')
    assert (stored['what'], fetched['what']) == ('stored', 'fetched')
    assert stored['objects'] == 2
    assert fetched['bytes_per_second'] > 0


def test_seal(cli, bucket, file):
    cli('object', 'seal', bucket, '--force')
    assert cli.json('object', 'status', bucket)['sealed'] == 1
    cli('object', 'put', bucket, file, code=1)


def test_watch(cli, bucket, file):
    watching = cli.start('object', 'watch', bucket, '--json', '--count', '2')
    watching.wait_for('watching')
    cli('object', 'put', bucket, file)
    cli('object', 'rm', bucket, 'report.bin')
    changes = [json.loads(line) for line in watching.finish().splitlines() if line[0] == '{']
    assert [(meta['name'], meta['deleted']) for meta in changes] == [
        ('report.bin', False),
        ('report.bin', True),
    ]


def test_a_file_that_is_not_there(cli, bucket):
    assert 'No such file' in cli('object', 'put', bucket, 'absent', code=1)


def test_a_bucket_that_is_not_there(cli, unique, file):
    error = cli('object', 'put', unique, file, code=3)
    assert error.count('\n') == 1
    assert 'make one with add' in error


def test_damage_is_told_by_the_exit_code(cli, bucket, file, run, connect):
    cli('object', 'put', bucket, file)
    js = JetStream(nats=connect())  # not before: its loop does not run while the command does
    _, err = run.call(js.stream_msg_delete, f'OBJ_{bucket}', 2)
    assert err is None
    assert 'missing chunks' in cli('object', 'get', bucket, 'report.bin', '-f', code=7)


def test_bars_on_a_terminal(cli, bucket, file):
    file.write_bytes(bytes(64 * MIB))
    putting = cli.terminal('object', 'put', bucket, file)
    printed = putting.finish()
    assert re.search(r'report.bin .* MiB/64.0 MiB .* [MK]iB/s', printed)
    assert re.search(r'stored report.bin: 64.0 MiB in 512 chunks, [\d.]+ [MK]iB/s', printed)
    printed = cli.terminal('object', 'get', bucket, 'report.bin', '-O', '-').raw
    assert '\x1b[?25l' not in printed or printed.rindex('\x1b[?25h') > printed.rindex('\x1b[?25l')


@pytest.mark.parametrize('how', ['ctrl-c', 'sigterm'])
def test_an_interrupted_put_leaves_nothing(cli, bucket, run, connect, how):
    """It waits for more of its input, with chunks stored already, when it is interrupted."""
    reading, writing = os.pipe()
    putting = cli.start('object', 'put', bucket, '-', '--name', 'big', stdin=reading)
    os.close(reading)
    os.write(writing, b'x' * 60_000)
    with os.fdopen(writing, 'wb') as pipe:
        pipe.write(b'x' * MIB)
        pipe.flush()
        js = JetStream(nats=connect())
        stream = f'OBJ_{bucket}'
        while run.call(js.stream_info, stream)[0]['state']['last_seq'] < 2:
            pass
        putting.interrupt(signal.SIGINT if how == 'ctrl-c' else signal.SIGTERM)
        putting.finish(130 if how == 'ctrl-c' else 143)
    js = JetStream(nats=connect())
    info, _ = run.call(js.stream_info, stream)
    assert info['state']['messages'] == 0
    assert run.call(ObjectStore(js=js, bucket=bucket).list) == ([], None)


def test_an_interrupted_put_can_be_resumed(cli, bucket, run, connect):
    with (cli.directory / 'big').open('wb') as file:
        file.truncate(512 * MIB)
    putting = cli.start('object', 'put', bucket, 'big', '--resume')
    js = JetStream(nats=connect())
    stream = f'OBJ_{bucket}'
    while run.call(js.stream_info, stream)[0]['state']['last_seq'] < 2:
        pass
    putting.interrupt()
    putting.finish(130)
    assert 'the same command goes on from here' in putting.text
    assert run.call(js.stream_info, stream)[0]['state']['messages'] >= 2
    assert run.call(ObjectStore(js=js, bucket=bucket).list) == ([], None)
    with (cli.directory / 'big').open('r+b') as file:
        file.truncate(MIB)  # another one by now: it starts over
    assert cli('object', 'put', bucket, 'big', '--resume').startswith('stored big: 1048576 bytes')


class TestOwnServer:
    """No server named: one of the user's own, with its store in the data directory."""

    def test_what_is_stored_stays(self, cli_alone):
        cli_alone('object', 'add', 'mine')
        cli_alone('object', 'put', 'mine', '-', '--name', 'x', input=b'kept')
        assert cli_alone('object', 'get', 'mine', 'x', '-O', '-') == 'kept'
        directory = cli_alone.directory / 'data' / 'natsev' / 'server'
        assert {path.name for path in directory.iterdir()} == {
            'guests.lock',
            'owner.lock',
            'store',
        }
        assert directory.stat().st_mode & 0o077 == 0

    def test_many_at_a_time(self, cli_alone):
        cli_alone('object', 'add', 'mine')
        watching = cli_alone.start('object', 'watch', 'mine', '--count', '4')
        watching.wait_for('watching')
        putting = []
        for number in range(4):
            file = cli_alone.directory / f'file{number}'
            file.write_bytes(os.urandom(MIB))
            putting.append(cli_alone.start('object', 'put', 'mine', file))
        for each in putting:
            each.finish()
        watching.finish()
        assert len(cli_alone('object', 'ls', 'mine', '--names').split()) == 4

    def test_the_owner_waits_for_its_guests(self, cli_alone):
        cli_alone('object', 'add', 'mine')
        owner = cli_alone.start('object', 'watch', 'mine')
        owner.wait_for('watching')
        guest = cli_alone.start('object', 'watch', 'mine', '--count', '1')
        guest.wait_for('watching')
        owner.interrupt()
        owner.wait_for('waiting for other commands')
        cli_alone('object', 'put', 'mine', '-', '--name', 'x', input=b'1')
        guest.finish()
        owner.finish()

    def test_a_killed_owner_is_no_obstacle(self, cli_alone):
        cli_alone('object', 'add', 'mine')
        owner = cli_alone.start('object', 'watch', 'mine')
        owner.wait_for('watching')
        owner.interrupt(signal.SIGKILL)
        owner.finish(-signal.SIGKILL)
        assert cli_alone('object', 'ls', '--names') == 'mine\n'

    def test_natsev_server_serves_them(self, cli_alone):
        running = cli_alone.start('server', '--port', '0')
        running.wait_for('Ctrl-C ends it')
        cli_alone('object', 'add', 'mine')
        url = re.search(r'nats://\S+', running.text)[0]
        assert cli_alone('object', 'ls', '-n', '--server', url) == 'mine\n'
        assert 'it runs already' in cli_alone('server', code=1)
        running.interrupt()
        running.finish()
