"""Options that no other test gives: each does what its help says."""

from __future__ import annotations

import json
import urllib.request

import pytest
import trustme

from natsev import Nats
from tests.operator_mode import Operator, creds

SECOND = 10**9


@pytest.fixture
def bucket(cli, unique):
    cli('object', 'add', unique)
    yield unique
    cli.run('object', 'del', unique, '--force')


@pytest.fixture
def stream(cli, unique):
    cli('stream', 'add', unique, '--subjects', f'{unique}.>')
    for number in range(1, 4):
        cli('pub', f'{unique}.x', number, '--jetstream')
    yield unique
    cli.run('stream', 'rm', unique, '--force')


class TestConnection:
    """The common options, on servers that ask for them."""

    def test_token(self, cli_alone, start_server):
        server = start_server(config={'authorization': {'token': 'of-the-hour'}})
        url = f'nats://127.0.0.1:{server.port}'
        cli_alone('rtt', '--server', url, code=4)
        cli_alone('rtt', '--server', url, '--token', 'of-the-hour')
        cli_alone('rtt', '--server', url, NATS_TOKEN='of-the-hour')

    def test_nkey(self, cli_alone, start_server):
        seed = Nats.nkey_generate_user_seed()
        user = {'nkey': Nats.nkey_public_from_seed(seed)}
        server = start_server(config={'authorization': {'users': [user]}})
        (cli_alone.directory / 'seed').write_text(f'# ours\n{seed}\n')
        url = f'nats://127.0.0.1:{server.port}'
        cli_alone('rtt', '--server', url, code=4)
        cli_alone('rtt', '--server', url, '--nkey', 'seed')

    def test_creds(self, cli_alone, start_server):
        operator = Operator()
        jwt, seed = operator.user()
        server = start_server(config=operator.config(), jetstream=False)
        (cli_alone.directory / 'us.creds').write_text(creds(jwt, seed))
        url = f'nats://127.0.0.1:{server.port}'
        cli_alone('rtt', '--server', url, code=4)
        cli_alone('rtt', '--server', url, '--creds', 'us.creds')

    @pytest.fixture
    def certificates(self, cli_alone):
        ca = trustme.CA()
        ca.cert_pem.write_to_path(cli_alone.directory / 'ca')
        for name in ('127.0.0.1', 'client'):
            made = ca.issue_cert(name)
            made.private_key_pem.write_to_path(cli_alone.directory / f'{name}.key')
            made.cert_chain_pems[0].write_to_path(cli_alone.directory / f'{name}.crt')
        files = {'cert_file': '127.0.0.1.crt', 'key_file': '127.0.0.1.key', 'ca_file': 'ca'}
        return {name: str(cli_alone.directory / file) for name, file in files.items()}

    def test_tls(self, cli_alone, start_server, certificates):
        server = start_server(config={'tls': {**certificates, 'verify': True}})
        rtt = ['rtt', '--server', f'nats://127.0.0.1:{server.port}']
        ours = ['--tls-cert', 'client.crt', '--tls-key', 'client.key']
        assert 'not accepted' in cli_alone(*rtt, *ours, code=4)
        assert 'client certificate' in cli_alone(*rtt, '--tls-ca', 'ca', code=4)
        cli_alone(*rtt, '--tls-ca', 'ca', *ours)
        cli_alone(*rtt, '--tls-skip-verify', *ours)

    def test_tls_first(self, cli_alone, start_server, certificates):
        server = start_server(config={'tls': {**certificates, 'handshake_first': True}})
        rtt = ['rtt', '--server', f'nats://127.0.0.1:{server.port}', '--tls-ca', 'ca']
        cli_alone(*rtt, '--tls-first')
        cli_alone(*rtt, '--timeout', '300ms', code=4)

    def test_insisting_on_tls(self, cli):
        assert 'TLS' in cli('rtt', '--tls', code=4)

    def test_names(self, cli_alone, start_server):
        server = start_server(config={'http': '127.0.0.1:-1'})
        options = ['--server', server.url, '--connection-name', 'thermometer']
        listening = cli_alone.start('sub', 'a', *options, '--inbox-prefix', '_ours')
        listening.wait_for('listening')
        url = f'{server.urls["monitoring"][0]}/connz?subs=1'
        with urllib.request.urlopen(url, timeout=10) as answer:
            [connection] = json.load(answer)['connections']
        assert connection['name'] == 'thermometer'
        listening.interrupt()
        listening.finish()
        told = cli_alone.run('req', 'nobody', '', '--inbox-prefix', '_ours', '--trace', *options)
        assert b'SUB _ours.' in told.stderr

    def test_domain_and_prefix(self, cli_alone, start_server):
        server = start_server(config={'jetstream': {'domain': 'hub'}})
        names = ['stream', 'ls', '--names', '--server', server.url]
        cli_alone('stream', 'add', 'S', '--server', server.url, '--js-domain', 'hub')
        assert cli_alone(*names, '--js-domain', 'hub') == 'S\n'
        assert cli_alone(*names, '--js-api-prefix', '$JS.hub.API') == 'S\n'
        cli_alone(*names, '--js-domain', 'elsewhere', code=5)


def test_a_stream_s_configuration(cli, unique):
    options = [
        *('--retention', 'interest', '--max-msgs-per-subject', 5, '--max-msg-size', '1KiB'),
        *('--dupe-window', '5s', '--replicas', 1, '--compression', 's2', '--allow-direct'),
        *('--allow-rollup', '--allow-msg-ttl', '--deny-delete'),
    ]
    config = cli.json('stream', 'add', unique, *options)['config']
    cli('stream', 'rm', unique, '--force')
    wanted = {
        'retention': 'interest',
        'max_msgs_per_subject': 5,
        'max_msg_size': 1024,
        'duplicate_window': 5 * SECOND,
        'num_replicas': 1,
        'compression': 's2',
        'allow_direct': True,
        'allow_rollup_hdrs': True,
        'allow_msg_ttl': True,
        'deny_delete': True,
    }
    assert {key: config[key] for key in wanted} == wanted
    config = cli.json('stream', 'add', unique, '--no-allow-direct', '--deny-purge')['config']
    assert (config['allow_direct'], config['deny_purge']) == (False, True)
    cli('stream', 'rm', unique, '--force')


def test_purging_up_to_a_sequence(cli, stream):
    assert cli('stream', 'purge', stream, '--seq', 3, '--force') == 'purged 2 messages\n'


def test_a_consumer_s_configuration(cli, stream):
    options = [
        *('--start-seq', 2, '--ack', 'all', '--wait', '2s', '--max-deliver', 3),
        *('--max-pending', 7, '--headers-only', '--inactive-threshold', '1h', '--replicas', 1),
        *('--target', f'{stream}-push', '--deliver-group', 'workers'),
    ]
    config = cli.json('consumer', 'add', stream, 'c', *options)['config']
    wanted = {
        'deliver_policy': 'by_start_sequence',
        'opt_start_seq': 2,
        'ack_policy': 'all',
        'ack_wait': 2 * SECOND,
        'max_deliver': 3,
        'max_ack_pending': 7,
        'headers_only': True,
        'inactive_threshold': 3600 * SECOND,
        'num_replicas': 1,
        'deliver_subject': f'{stream}-push',
        'deliver_group': 'workers',
    }
    assert {key: config[key] for key in wanted} == wanted
    cli('consumer', 'add', stream, 'last', '--deliver', 'last')
    assert cli('consumer', 'sub', stream, 'last', '--raw', '-n', 1, '--no-ack') == '3\n'
    assert cli.json('consumer', 'info', stream, 'last')['num_ack_pending'] == 1


def test_a_key_value_bucket_s_configuration(cli, unique):
    options = ['--max-value-size', '1KiB', '--replicas', 1, '--compress', '--marker-ttl', '1h']
    cli('kv', 'add', unique, *options)
    config = cli.json('stream', 'info', f'KV_{unique}')['config']
    assert (config['max_msg_size'], config['compression']) == (1024, 's2')
    assert config['subject_delete_marker_ttl'] == 3600 * SECOND
    cli('kv', 'put', unique, 'a', '1')
    assert cli('kv', 'ls', unique, '--verbose').split('\t')[0::4] == ['a', '1\n']
    watching = cli.start('kv', 'watch', unique, '--updates-only', '--ignore-deletes', '-n', 1)
    watching.wait_for('watching')
    cli('kv', 'del', unique, 'a')
    cli('kv', 'put', unique, 'b', '2')
    assert watching.finish().splitlines()[1].split('\t')[1:] == ['PUT', 'b', '2']
    cli('kv', 'del', unique, '--force')


def test_an_object_bucket_s_configuration(cli, unique):
    status = cli.json('object', 'add', unique, '--compress', '--replicas', 1, '--storage', 'file')
    assert (status['compressed'], status['replicas'], status['storage']) == (True, 1, 'file')
    cli('object', 'del', unique, '--force')


def test_where_an_object_bucket_is_placed(cli, unique):
    """A server alone takes any placement, and keeps it."""
    status = cli.json('object', 'add', unique, '--cluster', 'east', '--tag', 'fast', '--tag', 'big')
    placement = status['stream']['config']['placement']
    assert placement == {'cluster': 'east', 'tags': ['fast', 'big']}
    cli('object', 'del', unique, '--force')


def test_chunk_size_and_pages(cli, bucket):
    for name in ('a', 'b', 'c'):
        file = cli.directory / name
        file.write_bytes(bytes(3000))
        assert cli.json('object', 'put', bucket, file, '--chunk-size', '1KiB')['chunks'] == 3
    assert cli('object', 'ls', bucket, '--names', '--limit', 1, '--after', 'a') == 'b\n'


def test_a_watch_of_changes_only(cli, bucket):
    for name in ('old', 'new'):
        (cli.directory / name).write_text(name)
    cli('object', 'put', bucket, 'old')
    watching = cli.start('object', 'watch', bucket, '--updates-only', '--ignore-deletes', '-n', 1)
    watching.wait_for('watching')
    cli('object', 'rm', bucket, 'old')
    cli('object', 'put', bucket, 'new')
    assert watching.finish().splitlines()[1].split('\t')[1:] == ['PUT', 'new', '3']


def test_an_import_that_keeps_revisions(cli, bucket, unique):
    (cli.directory / 'a').write_text('a')
    seq = cli.json('object', 'put', bucket, 'a')['seq']
    cli('object', 'export', bucket, 'archive')
    cli('object', 'import', 'archive', f'{unique}-2', '--create', '--keep-revisions')
    meta = cli.json('object', 'info', f'{unique}-2', 'a')
    assert meta['metadata']['natsev.origin.seq'] == str(seq)
    cli('object', 'del', f'{unique}-2', '--force')


def test_headers_and_queues(cli, unique):
    replying = cli.start('reply', unique, 'yes', '-H', 'Lang: en', '--queue', 'q', '-n', 1)
    other = cli.start('sub', unique, '--queue', 'q', '--headers-only', '-n', 1)
    replying.wait_for('answering')
    other.wait_for('listening')
    # One of the two in the queue group gets each; only one of them answers.
    for _ in range(100):
        asked = cli.run('req', unique, 'body', '-H', 'A: b', '--json', '--timeout', '300ms')
        if asked.returncode == 0:
            break
    answer = json.loads(asked.stdout)
    assert (answer['payload'], answer['headers']) == ('yes', {'Lang': ['en']})
    replying.finish()
    cli('pub', unique, 'body', '-H', 'A: b')
    said = other.finish()
    assert 'A: b' in said
    assert 'body' not in said


def test_pauses_between_messages(cli, unique):
    listening = cli.start('sub', unique, '--raw', '-n', 2)
    listening.wait_for('listening')
    cli('pub', unique, 'n{{Count}}', '--count', 2, '--sleep', '10ms')
    assert listening.finish().splitlines()[1:] == ['n1', 'n2']


def test_a_server_of_one_s_own(cli_alone):
    running = cli_alone.start('server', '--port', 0, '--host', '127.0.0.1', '--store-dir', 'kept')
    running.wait_for('Ctrl-C ends it')
    running.interrupt()
    running.finish()
    assert (cli_alone.directory / 'kept').is_dir()


def test_benchmarks(cli, unique):
    [stored, fetched] = cli.json(
        *('bench', 'object', '--size', '64KiB', '--count', 2, '--chunk-size', '16KiB')
    )
    assert stored['objects'] == fetched['objects'] == 2
    cli('stream', 'add', unique, '--subjects', f'{unique}.>')
    js = ['bench', 'js', f'{unique}.x', '--msgs', 100, '--pending', 10]
    assert [each['messages'] for each in cli.json(*js)] == [100]
    cli('stream', 'rm', unique, '--force')
    replying = cli.start('reply', unique, '--echo')
    replying.wait_for('answering')
    req = ['bench', 'req', unique, '--msgs', 20, '--pending', 2]
    assert [each['messages'] for each in cli.json(*req)] == [20]
    replying.interrupt()
    replying.finish()
