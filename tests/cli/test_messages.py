"""``natsev pub``, ``sub``, ``req``, ``reply``."""

from __future__ import annotations

import json
import signal


def test_sub_prints_what_pub_publishes(cli, unique):
    listening = cli.start('sub', f'{unique}.>', '-n', '2')
    listening.wait_for('listening')
    assert cli('pub', f'{unique}.a', 'hello', '-H', 'Lang: en') == (
        f'published one message to {unique}.a\n'
    )
    cli('pub', f'{unique}.b', '-', input=b'from a pipe', code=0)
    printed = listening.finish()
    assert f'[#1] {unique}.a\nLang: en\n\nhello\n' in printed
    assert f'[#2] {unique}.b\nfrom a pipe\n' in printed


def test_sub_prints_json_lines(cli, unique):
    listening = cli.start('sub', unique, '-n', '2', '--json')
    listening.wait_for('listening')
    cli('pub', unique, 'text', '--reply', 'answers')
    cli('pub', unique, input=b'\xff\x00')
    lines = [json.loads(line) for line in listening.finish().splitlines() if line[0] == '{']
    assert lines == [
        {'subject': unique, 'reply': 'answers', 'payload': 'text'},
        {'subject': unique, 'payload_base64': '/wA='},
    ]


def test_pub_counts(cli, unique):
    listening = cli.start('sub', unique, '-n', '3', '--raw')
    listening.wait_for('listening')
    cli('pub', unique, 'n {{Count}}', '--count', '3')
    assert listening.finish().splitlines()[1:] == ['n 1', 'n 2', 'n 3']


def test_ctrl_c_ends_sub_well(cli, unique):
    listening = cli.start('sub', unique)
    listening.wait_for('listening')
    listening.interrupt()
    listening.finish(0)


def test_ctrl_c_before_the_count_is_an_interruption(cli, unique):
    listening = cli.start('sub', unique, '-n', '1')
    listening.wait_for('listening')
    listening.interrupt()
    listening.finish(130)


def test_sigterm_ends_it_too(cli, unique):
    listening = cli.start('sub', unique, '-n', '1')
    listening.wait_for('listening')
    listening.interrupt(signal.SIGTERM)
    listening.finish(128 + signal.SIGTERM)


def test_nohup(cli, unique):
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        listening = cli.start('sub', unique, '-n', '1')
    finally:
        signal.signal(signal.SIGHUP, before)
    listening.wait_for('listening')
    listening.interrupt(signal.SIGHUP)
    cli('pub', unique, 'still here')
    listening.wait_for('still here')
    listening.finish()


def test_req_is_answered_by_reply(cli, unique):
    answering = cli.start('reply', unique, 'noon, {{Count}}', '-n', '2')
    answering.wait_for('answering')
    assert cli('req', unique, '?', '--raw') == 'noon, 1\n'
    assert cli.json('req', unique, '?')['payload'] == 'noon, 2'
    answering.finish()


def test_reply_runs_a_command(cli, unique):
    answering = cli.start(
        'reply', unique, '--command', 'tr a-z A-Z; echo $NATS_REQUEST_SUBJECT', '-n', '1'
    )
    answering.wait_for('answering')
    assert cli('req', unique, 'loud ', '--raw') == f'LOUD {unique}\n\n'
    answering.finish()


def test_req_takes_all_answers(cli, unique):
    answering = [cli.start('reply', unique, name, '-q', name, '-n', '1') for name in 'ab']
    for each in answering:
        each.wait_for('answering')
    printed = cli('req', unique, '?', '--raw', '--replies', '2')
    assert sorted(printed.split()) == ['a', 'b']


def test_req_without_an_answer(cli, unique):
    assert cli('req', unique, '?', code=5) == 'natsev: no responders (nobody listens there)\n'
    error = json.loads(cli('req', unique, '?', '--json', code=5))
    assert error == {'error': {'type': 'NoResponders', 'message': 'no responders'}}


def test_req_that_waits_too_short(cli, connect, unique):
    connect().subscribe(unique, lambda: None)
    listening = cli.start('sub', unique)
    listening.wait_for('listening')
    assert 'request timeout' in cli('req', unique, '?', '--timeout', '50ms', code=5)


def test_pub_into_a_stream(cli, unique):
    cli('stream', 'add', unique)
    assert cli('pub', unique, 'kept', '--jetstream') == f'stored in {unique} as 1\n'
    assert cli('stream', 'get', unique, '1', '--raw') == 'kept\n'
    cli('stream', 'rm', unique, '--force')
