"""``natsev stream`` and ``natsev consumer``."""

from __future__ import annotations

import json
import re
import subprocess
import sys

import pytest


@pytest.fixture
def stream(cli, unique):
    """A stream with the messages 1, 2 and 3 on ``<name>.a``, ``.b`` and ``.a``."""
    cli('stream', 'add', unique, '--subjects', f'{unique}.>')
    for number, token in enumerate('aba', 1):
        cli('pub', f'{unique}.{token}', str(number))
    yield unique
    cli.run('stream', 'rm', unique, '--force')


def test_add_and_info(cli, unique):
    cli(
        *('stream', 'add', unique, '--subjects', f'{unique}.a, {unique}.b', '--max-age', '1h30m'),
        *('--max-bytes', '10MB', '--storage', 'memory', '--metadata', 'team=blue'),
    )
    config = cli.json('stream', 'info', unique)['config']
    assert config['subjects'] == [f'{unique}.a', f'{unique}.b']
    assert config['max_age'] == 5_400_000_000_000
    assert config['max_bytes'] == 10_000_000
    assert config['storage'] == 'memory'
    assert config['metadata']['team'] == 'blue'
    printed = cli('stream', 'info', unique)
    assert 'Kept for: 1h30m\n' in printed
    assert 'Most bytes: 9.5 MiB\n' in printed
    cli('stream', 'rm', unique, '--force')


def test_edit_keeps_what_is_not_said(cli, stream):
    cli('stream', 'edit', stream, '--description', 'orders', '--metadata', 'a=1')
    cli('stream', 'edit', stream, '--max-msgs', '9', '--metadata', 'b=2')
    config = cli.json('stream', 'info', stream)['config']
    assert (config['description'], config['max_msgs']) == ('orders', 9)
    assert (config['metadata']['a'], config['metadata']['b']) == ('1', '2')


def test_add_from_a_file(cli, unique):
    file = cli.directory / 'config.json'
    file.write_text(json.dumps({'name': 'other', 'subjects': [unique], 'max_msgs': 7}))
    cli('stream', 'add', unique, '--config', file, '--discard', 'new')
    config = cli.json('stream', 'info', unique)['config']
    assert (config['name'], config['max_msgs'], config['discard']) == (unique, 7, 'new')
    cli('stream', 'rm', unique, '--force')


def test_ls(cli, stream):
    lines = [line.split('\t') for line in cli('stream', 'ls').splitlines()]
    assert [line[3] for line in lines if line[0] == stream] == ['3']
    assert stream in cli('stream', 'ls', '--names').splitlines()
    assert cli.json('stream', 'ls', '--subject', f'{stream}.x')[0]['config']['name'] == stream


def test_ls_on_a_terminal_is_a_table(cli, stream):
    printed = cli.terminal('stream', 'ls').finish()
    assert re.search(r'Name +Description +Created +Messages +Size +Last message', printed)
    assert stream in printed


def test_view(cli, stream):
    assert cli('stream', 'view', stream, '--raw') == '1\n2\n3\n'
    assert cli('stream', 'view', stream, '--raw', '--subject', f'{stream}.a') == '1\n3\n'
    assert cli('stream', 'view', stream, '--raw', '--since', 2, '--count', 1) == '2\n'
    lines = [json.loads(line) for line in cli('stream', 'view', stream, '--json').splitlines()]
    assert [line['seq'] for line in lines] == [1, 2, 3]


def test_view_of_an_empty_stream(cli, unique):
    cli('stream', 'add', unique)
    assert cli('stream', 'view', unique) == ''
    cli('stream', 'rm', unique, '--force')


def test_view_goes_on(cli, stream):
    following = cli.start('stream', 'view', stream, '--follow', '--raw')
    following.wait_for('3\n')
    cli('pub', f'{stream}.a', 'and 4')
    following.wait_for('and 4\n')
    following.interrupt()
    following.finish()


def test_a_reader_that_has_seen_enough(cli, stream):
    cli('pub', f'{stream}.a', 'x' * 100_000, '--count', 20)
    command = [sys.executable, '-m', 'natsev', 'stream', 'view', stream, '--raw']
    viewing = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=cli.env)
    assert viewing.stdout.readline() == b'1\n'
    viewing.stdout.close()
    assert (viewing.stderr.read(), viewing.wait()) == (b'', 141)
    viewing.stderr.close()


def test_get(cli, stream):
    assert cli('stream', 'get', stream, 2, '--raw') == '2\n'
    assert cli.json('stream', 'get', stream, '--last-for', f'{stream}.a')['payload'] == '3'
    assert 'no message found' in cli('stream', 'get', stream, 99, code=3)


def test_purge(cli, stream):
    assert cli('stream', 'purge', stream, '--subject', f'{stream}.a', '-f') == 'purged 2 messages\n'
    assert cli('stream', 'view', stream, '--raw') == '2\n'


def test_rm_asks_on_a_terminal(cli, stream):
    asking = cli.terminal('stream', 'rm', stream)
    asking.wait_for('Delete the stream')
    asking.keys('n\r')
    asking.finish(130)
    asking = cli.terminal('stream', 'rm', stream)
    asking.wait_for('Delete the stream')
    asking.keys('y\r')
    asking.finish()
    assert 'stream not found' in cli('stream', 'info', stream, code=3)


def test_a_taken_name(cli, stream):
    error = cli('stream', 'add', stream, '--subjects', f'{stream}.other', code=6)
    assert error.startswith('natsev: stream name already in use')


class TestConsumers:
    def test_next(self, cli, stream):
        cli('consumer', 'add', stream, 'c', '--filter', f'{stream}.a')
        assert cli('consumer', 'next', stream, 'c', '--raw') == '1\n'
        assert cli('consumer', 'next', stream, 'c', '--raw', '-n', 5, '--timeout', '1s') == '3\n'
        info = cli.json('consumer', 'info', stream, 'c')
        assert (info['num_pending'], info['num_ack_pending']) == (0, 0)

    def test_next_without_ack(self, cli, stream):
        cli('consumer', 'add', stream, 'c')
        cli('consumer', 'next', stream, 'c', '--no-ack')
        assert cli.json('consumer', 'info', stream, 'c')['num_ack_pending'] == 1

    def test_sub(self, cli, stream):
        cli('consumer', 'add', stream, 'c')
        assert cli('consumer', 'sub', stream, 'c', '--raw', '-n', 2) == '1\n2\n'
        assert cli('consumer', 'sub', stream, 'c', '--raw', '-n', 1) == '3\n'

    def test_sub_until_ctrl_c(self, cli, stream):
        cli('consumer', 'add', stream, 'c')
        taking = cli.terminal('consumer', 'sub', stream, 'c', '--raw')
        taking.wait_for('3\n')
        # Interrupted between printing and acknowledging, it would leave a message to be sent again.
        while cli.json('consumer', 'info', stream, 'c')['num_ack_pending']:
            pass
        taking.keys('\x03')
        taking.finish(0)
        info = cli.json('consumer', 'info', stream, 'c')
        assert (info['num_pending'], info['num_ack_pending']) == (0, 0)

    def test_pause_and_resume(self, cli, stream):
        cli('consumer', 'add', stream, 'c')
        cli('consumer', 'pause', stream, 'c', '1h')
        assert cli.json('consumer', 'info', stream, 'c')['paused'] is True
        cli('consumer', 'resume', stream, 'c')
        assert not cli.json('consumer', 'info', stream, 'c').get('paused')

    def test_ls_and_rm(self, cli, stream):
        cli('consumer', 'add', stream, 'c')
        cli('consumer', 'add', stream, 'd', '--ephemeral')
        assert [row['name'] for row in cli.json('consumer', 'ls', stream)] == ['c', 'd']
        assert cli('consumer', 'ls', stream).startswith('c\tpull\texplicit\t3\t0\t0\t')
        cli('consumer', 'rm', stream, 'c', '-f')
        assert cli('consumer', 'ls', stream, '-n') == 'd\n'
        assert 'consumer not found' in cli('consumer', 'info', stream, 'c', code=3)


class TestBench:
    def test_pub_and_sub(self, cli, unique):
        receiving = cli.start('bench', 'sub', unique, '--msgs', '2000')
        receiving.wait_for('listening')
        (row,) = cli.json('bench', 'pub', unique, '--msgs', 2000, '--size', '1KiB')
        assert (row['messages'], row['size']) == (2000, 1024)
        assert row['messages_per_second'] > 0
        assert 'received\t2000\t1024\t' in receiving.finish()

    def test_js(self, cli, stream):
        (row,) = cli.json('bench', 'js', f'{stream}.b', '--msgs', 1000)
        assert row['messages'] == 1000
        assert cli.json('stream', 'info', stream)['state']['messages'] == 1003

    def test_js_without_a_stream(self, cli, unique):
        assert 'no responders' in cli('bench', 'js', unique, '--msgs', 10, code=5)

    def test_req_draws_a_bar_on_a_terminal(self, cli, unique):
        answering = cli.start('reply', unique, '--echo')
        answering.wait_for('answering')
        printed = cli.terminal('bench', 'req', unique, '--msgs', '2000').finish()
        assert re.search(r'answered .*[\d,]+/2,000', printed)
        assert re.search(r'answered +2,000', printed)
