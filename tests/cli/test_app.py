"""The command as a whole: help, options, contexts, errors, exit codes, completion."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys

import pytest

from tests.cli.conftest import ROOT

COMMANDS = {
    'account': 'info',
    'bench': 'pub sub req js',
    'consumer': 'ls info add rm pause resume next sub',
    'kv': 'add edit put create update get ls history del purge compact status watch',
    'object': 'add edit put get ls info meta status rm del seal watch link versions restore prune'
    ' sweep compact sync export import keygen',
    'stream': 'ls info add edit rm purge get view',
    **dict.fromkeys(['pub', 'reply', 'req', 'rtt', 'server', 'sub'], ''),
}


def test_help_names_every_command(cli_alone):
    text = cli_alone('--help')
    assert not [name for name in COMMANDS if not re.search(rf'^  {name} ', text, re.M)]


@pytest.mark.parametrize('group', [name for name, commands in COMMANDS.items() if commands])
def test_help_of_a_group_names_its_commands(cli_alone, group):
    text = cli_alone(group, '--help')
    assert not [name for name in COMMANDS[group].split() if f'\n  {name} ' not in text]


@pytest.mark.parametrize('group', ['', *(name for name, under in COMMANDS.items() if under)])
def test_help_of_a_group_fits_its_lines(cli_alone, group):
    text = cli_alone(*group.split(), '--help', COLUMNS='80')
    assert not re.findall(r'^.*\.\.\.$', text.replace('[ARGS]...', ''), re.M)
    assert max(map(len, text.splitlines())) <= 80


def test_a_group_alone_shows_its_help(cli_alone):
    assert cli_alone('kv', code=2) == cli_alone('kv', '--help')


def test_every_object_command_is_documented():
    page = (ROOT / 'docs' / 'cli.md').read_text()
    named = set(re.findall(r'`object (\w+)', page))
    assert set(COMMANDS['object'].split()) <= named


def test_a_command_may_be_cut_short(cli):
    assert cli('str', 'ls', '--names') == cli('stream', 'ls', '--names')


def test_version(cli_alone):
    from natsev import __version__

    assert cli_alone('--version') == f'natsev {__version__}\n'


@pytest.mark.parametrize(
    'args, said',
    [
        (['nonsense'], "No such command 'nonsense'"),
        (['pub'], "Missing argument 'SUBJECT'"),
        (['rtt', '--timeout', 'soon'], "'soon' is no duration; say 500ms, 5s, 1h30m or 7d"),
        (['stream', 'add', 's', '--max-bytes', 'much'], "'much' is no size"),
        (['pub', 's', '-H', 'nothing'], "'nothing' is not name:value"),
        (['rtt', '--context', 'absent'], "there is no context 'absent'"),
        (['rtt', '--context', '../secrets'], "'../secrets' is no name of a context"),
        (['pub', 'with space', 'x'], 'subject'),
        (['stream', 'rm', 'S'], 'nobody to ask: say --force'),
    ],
)
def test_wrong_usage_is_one_line(cli, args, said):
    error = cli(*args, code=2)
    assert said in error
    assert error.startswith('natsev: ')
    assert error.count('\n') == 1


def test_wrong_usage_as_json(cli):
    error = json.loads(cli('pub', '--json', code=2))['error']
    assert error == {'type': 'MissingParameter', 'message': "Missing argument 'SUBJECT'."}


def test_no_jetstream_there(cli, start_server):
    url = start_server(jetstream=False).url
    assert 'JetStream is not enabled' in cli('stream', 'ls', '--server', url, code=1)
    assert 'no responders' in cli('req', 'nobody', '', '--server', url, code=5)


def test_no_server_there(cli_alone):
    error = cli_alone('rtt', '--server', 'nats://127.0.0.1:1', code=4)
    assert error == (
        'natsev: cannot connect to nats://127.0.0.1:1: connection refused'
        ' (name one with --server, or start one: natsev server)\n'
    )


def test_wrong_password(cli_alone, start_server):
    server = start_server(config={'authorization': {'user': 'a', 'password': 'right'}})
    where = ['--server', server.url, '--user', 'a', '--password']
    assert 'Authorization Violation' in cli_alone('rtt', *where, 'wrong', code=4)
    assert cli_alone('rtt', *where, 'right')
    assert cli_alone('rtt', '--server', server.url, NATS_USER='a', NATS_PASSWORD='right')


def test_options_stand_anywhere(cli, server):
    for args in (['--server', server.url, 'rtt'], ['rtt', '--server', server.url]):
        assert cli(*args, NATS_URL='nats://127.0.0.1:1')


class TestContexts:
    """The official tool's contexts are read."""

    @pytest.fixture
    def contexts(self, cli_alone, server):
        directory = cli_alone.directory / 'config' / 'nats'
        (directory / 'context').mkdir(parents=True)
        (directory / 'context' / 'here.json').write_text(
            json.dumps({'description': 'here', 'url': server.url, 'token': '', 'nsc': ''})
        )
        (directory / 'context' / 'nowhere.json').write_text(
            json.dumps({'url': 'nats://127.0.0.1:1'})
        )
        return directory

    def test_named(self, cli_alone, contexts):
        assert cli_alone('rtt', '--context', 'here')
        assert cli_alone('rtt', NATS_CONTEXT='here')
        assert 'there are: here, nowhere' in cli_alone('rtt', '--context', 'other', code=2)

    def test_selected(self, cli_alone, contexts):
        (contexts / 'context.txt').write_text('here\n')
        assert cli_alone('rtt')

    def test_the_line_comes_before_the_context(self, cli_alone, contexts, server):
        assert cli_alone('rtt', '--context', 'nowhere', '--server', server.url)
        assert cli_alone('rtt', '--context', 'nowhere', NATS_URL=server.url)
        assert cli_alone('rtt', '--context', 'nowhere', code=4)


def test_rtt_as_json(cli):
    (row,) = cli.json('rtt', '--count', '3')
    assert 0 < row['least_ms'] <= row['median_ms'] <= row['most_ms']


def test_rtt_on_a_terminal_is_a_table(cli):
    printed = cli.terminal('rtt').finish()
    assert re.search(r'Server +Address +Least +Median +Most', printed)
    assert re.search(r'\d\.\d{3} ms', printed)


def test_account(cli):
    assert 'Max payload: 1.0 MiB' in cli('account', 'info')
    told = cli.json('account', 'info')
    assert told['server']['jetstream'] is True
    assert told['jetstream']['streams'] >= 0


def test_the_shell_is_told_how_to_complete(cli_alone):
    printed = cli_alone(
        _NATSEV_COMPLETE='bash_complete', COMP_WORDS='natsev stream ', COMP_CWORD='2'
    )
    assert {'plain,ls', 'plain,purge', 'plain,view'} <= set(printed.split())


def test_without_its_packages_it_says_how_to_get_them(tmp_path):
    """The extra is not installed: one line says so."""
    program = 'import sys; sys.modules["click"] = None\nfrom natsev.cli import main\nmain()\n'
    done = subprocess.run(
        [sys.executable, '-c', program],
        capture_output=True,
        text=True,
        env={**os.environ, 'PYTHONPATH': str(ROOT)},
        check=False,
    )
    assert done.stderr == "natsev: the command needs an extra: pip install 'natsev[cli]'\n"
    assert done.returncode == 1


class TestServer:
    def test_it_runs_until_ctrl_c(self, cli_alone):
        running = cli_alone.start('server', '--port', '0', '--temporary')
        running.wait_for('nats-server ')
        running.wait_for('Ctrl-C ends it')
        url = re.search(r'nats://\S+', running.text)[0]
        assert cli_alone('rtt', '--server', url)
        running.interrupt()
        running.finish(0)
        assert 'refused' in cli_alone('rtt', '--server', url, code=4)

    def test_its_store_stays(self, cli_alone):
        for code in (0, 6):
            running = cli_alone.start('server', '--port', '0')
            running.wait_for('Ctrl-C ends it')
            url = re.search(r'nats://\S+', running.text)[0]
            subjects = ['--subjects', 'a' if code == 0 else 'b']
            cli_alone('stream', 'add', 'KEPT', *subjects, '--server', url, code=code)
            running.interrupt()
            running.finish(0)


def test_trace(cli, unique):
    done = cli.run('pub', unique, 'my-payload', '--trace')
    lines = done.stderr.decode().splitlines()
    assert f'natsev: > PUB {unique} 10 bytes' in lines
    assert b'my-payload' not in done.stderr
