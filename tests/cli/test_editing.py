"""``natsev object``: metadata, links, versions, buckets changed, several objects at once."""

from __future__ import annotations

import json

import pytest

from natsev import JetStream


@pytest.fixture
def bucket(cli, unique):
    cli('object', 'add', unique)
    yield unique
    cli.run('object', 'del', unique, '--force')


def put(cli, bucket, name, data, *options):
    cli('object', 'put', bucket, '-', '--name', name, *options, input=data)


def get(cli, bucket, name, *options):
    return cli('object', 'get', bucket, name, '-O', '-', *options)


def test_meta(cli, bucket):
    put(cli, bucket, 'page', b'bytes', '-H', 'Lang: en', '--metadata', 'team=blue')
    seq = cli.json('object', 'info', bucket, 'page')['seq']
    meta = ['object', 'meta', bucket, 'page']
    assert cli(*meta, '--description', 'a page') == 'changed page\n'
    changed = cli.json(*meta, '--metadata', 'team=red', '--metadata', 'year=7')
    assert (changed['description'], changed['headers'], changed['metadata']) == (
        'a page',
        {'Lang': ['en']},
        {'team': 'red', 'year': '7'},
    )
    bare = cli.json(*meta, '--no-headers', '--no-metadata', '--description', '')
    assert (bare['description'], bare['headers'], bare['metadata']) == (None, {}, {})
    assert 'somebody else was first' in cli(
        *meta, '--description', 'x', '--expected-seq', seq, code=6
    )
    assert 'say what is to be changed' in cli(*meta, code=2)
    assert get(cli, bucket, 'page') == 'bytes'


def test_rename(cli, bucket):
    put(cli, bucket, 'old', b'bytes')
    put(cli, bucket, 'other', b'')
    assert cli('object', 'meta', bucket, 'old', '--name', 'new') == 'renamed old to new\n'
    assert cli('object', 'ls', bucket, '--names') == 'new\nother\n'
    assert get(cli, bucket, 'new') == 'bytes'
    cli('object', 'meta', bucket, 'new', '--name', 'other', code=6)
    cli('object', 'meta', bucket, 'absent', '--name', 'x', code=3)


def test_link(cli, bucket):
    put(cli, bucket, 'report-7', b'seven')
    assert cli('object', 'link', bucket, 'latest', 'report-7') == (
        f'linked latest to report-7 in {bucket}\n'
    )
    assert get(cli, bucket, 'latest') == 'seven'
    meta = cli.json('object', 'info', bucket, 'latest')
    assert meta['options']['link'] == {'bucket': bucket, 'name': 'report-7'}
    assert "there is no object 'absent'" in cli('object', 'link', bucket, 'x', 'absent', code=3)


def test_link_to_a_bucket(cli, bucket):
    assert cli('object', 'link', bucket, 'here', '--bucket', bucket) == (
        f'linked here to the bucket {bucket}\n'
    )
    assert cli.json('object', 'info', bucket, 'here')['options']['link'] == {'bucket': bucket}
    assert 'say a TARGET, or the --bucket' in cli('object', 'link', bucket, 'here', code=2)


def test_versions(cli, bucket):
    put(cli, bucket, 'page', b'first', '--keep-versions', '2')
    put(cli, bucket, 'page', b'second!')
    [earlier] = cli.json('object', 'versions', bucket, 'page')
    assert earlier['size'] == 5
    seq = earlier['seq']
    assert cli('object', 'versions', bucket, 'page').split('\t')[:2] == [str(seq), '5']
    assert get(cli, bucket, 'page', '--version', seq) == 'first'
    assert cli('object', 'restore', bucket, 'page', seq) == 'restored page: 5 bytes\n'
    assert get(cli, bucket, 'page') == 'first'
    assert cli('object', 'restore', bucket, 'page', 999, code=3) == (
        f"natsev: there is no version 999 of 'page' in the bucket '{bucket}'\n"
    )


def test_prune(cli, bucket):
    for data in (b'1', b'22', b'333'):
        put(cli, bucket, 'page', data, '--keep-versions', '5')
    assert cli('object', 'prune', bucket, 'page', '--keep', '1') == 'purged 1 version of page\n'
    assert [each['size'] for each in cli.json('object', 'versions', bucket, 'page')] == [2]
    assert cli.json('object', 'prune', bucket, 'page') == {'purged': 1}
    assert get(cli, bucket, 'page') == '333'


def test_edit(cli, bucket):
    status = cli.json('object', 'edit', bucket, '--description', 'ours', '--max-bucket-size', '1M')
    assert status['description'] == 'ours'
    assert status['stream']['config']['max_bytes'] == 1024 * 1024
    status = cli.json('object', 'edit', bucket, '--ttl', '1h')
    assert (status['description'], status['ttl']) == ('ours', 3600 * 10**9)
    assert 'say what is to be changed' in cli('object', 'edit', bucket, code=2)
    cli('object', 'edit', f'{bucket}-absent', '--ttl', '1h', code=3)


class TestAtomic:
    @pytest.fixture
    def files(self, cli):
        paths = [cli.directory / name for name in ('index.html', 'style.css')]
        for path in paths:
            path.write_text(path.name)
        return paths

    def test_all_or_nothing(self, cli, unique, files, run, connect):
        cli('object', 'add', unique, '--atomic')
        atomic = ['object', 'put', unique, *files, '--atomic', '--codec', 'zlib']
        assert cli(*atomic).startswith('stored index.html: ')
        assert get(cli, unique, 'style.css') == 'style.css'
        cli('object', 'rm', unique, 'index.html')
        assert 'there is an object of that name' in cli(*atomic, '--if-absent', code=6)
        assert cli('object', 'ls', unique, '--names') == 'style.css\n'
        js = JetStream(nats=connect())
        assert run.call(js.stream_info, f'OBJ_{unique}')[0]['config']['allow_atomic'] is True
        cli('object', 'del', unique, '--force')

    def test_needs_a_bucket_for_it(self, cli, bucket, files):
        assert 'atomic' in cli('object', 'put', bucket, *files, '--atomic', code=1)

    @pytest.mark.parametrize('other', ['--resume', '--skip-same', '--keep-versions=1'])
    def test_what_does_not_go_with_it(self, cli, bucket, files, other):
        cli('object', 'put', bucket, *files, '--atomic', other, code=2)


def test_skip_same(cli, bucket):
    path = cli.directory / 'page'
    path.write_text('same')
    first = cli.json('object', 'put', bucket, path)
    assert cli.json('object', 'put', bucket, path, '--skip-same')['seq'] == first['seq']
    assert cli.json('object', 'put', bucket, path)['seq'] > first['seq']


class TestEncryption:
    @pytest.fixture
    def keys(self, cli):
        assert cli('object', 'keygen', 'keys', '--id', '2026') == 'wrote the key 2026 to keys\n'
        return cli.directory / 'keys'

    def test_keygen(self, cli, keys):
        assert keys.stat().st_mode & 0o777 == 0o600
        assert 'File exists' in cli('object', 'keygen', 'keys', code=1)

    def test_put_and_get(self, cli, bucket, keys):
        put(cli, bucket, 'diary', b'secret' * 1000, '--key-file', keys, '--codec', 'zlib')
        meta = cli.json('object', 'info', bucket, 'diary')
        assert meta['metadata']['natsev.codec'] == 'zlib,aes-256-gcm'
        assert meta['metadata']['natsev.key'] == '2026'
        assert get(cli, bucket, 'diary', '--key-file', keys) == 'secret' * 1000
        assert '--key-file' in cli('object', 'get', bucket, 'diary', '-O', '-', code=1)

    def test_from_the_environment(self, cli, bucket, keys):
        put(cli, bucket, 'diary', b'secret', '--key-file', keys)
        old = keys.read_text().strip()
        several = {'NATSEV_KEYS': f'new:{"ab" * 32},{old}'}
        read = ['object', 'get', bucket, 'diary', '-O', '-']
        assert cli(*read, **several) == 'secret'
        assert cli(*read, NATSEV_KEY_FILE=str(keys)) == 'secret'
        assert "the key '2026'" in cli(*read, code=1, NATSEV_KEYS=f'new:{"ab" * 32}')

    def test_sync(self, cli, bucket, keys):
        (cli.directory / 'here').mkdir()
        (cli.directory / 'here' / 'a').write_text('secret')
        cli('object', 'sync', 'to', bucket, 'here', '--key-file', keys)
        assert cli.json('object', 'info', bucket, 'a')['metadata']['natsev.key'] == '2026'
        cli('object', 'sync', 'from', bucket, 'there', '--key-file', keys)
        assert (cli.directory / 'there' / 'a').read_text() == 'secret'

    def test_an_archive_holds_the_encrypted_bytes(self, cli, bucket, unique, keys):
        put(cli, bucket, 'diary', b'secret', '--key-file', keys)
        cli('object', 'export', bucket, 'a.archive')
        assert b'secret' not in (cli.directory / 'a.archive').read_bytes()
        cli('object', 'import', 'a.archive', f'{unique}-2', '--create')
        assert get(cli, f'{unique}-2', 'diary', '--key-file', keys) == 'secret'
        cli('object', 'del', f'{unique}-2', '--force')

    @pytest.mark.parametrize('line', ['old:c2hvcnQ=', 'no key at all', ''])
    def test_no_key_is_shown(self, cli, bucket, line):
        path = cli.directory / 'keys'
        path.write_text(f'# of the store\n{line}\n')
        said = cli('object', 'get', bucket, 'x', '--key-file', path, code=2)
        assert said.count('\n') == 1
        assert not line or line not in said

    def test_a_trace_shows_none(self, cli, bucket, keys):
        key = keys.read_text().split(':')[1].strip()
        done = cli.run(
            'object', 'put', bucket, '-', '-n', 'x', '--trace', '--key-file', keys, input=b'1'
        )
        assert done.returncode == 0
        assert b'> PUB' in done.stderr
        assert key.encode() not in done.stderr


class TestRmOfMany:
    @pytest.fixture
    def filled(self, cli, bucket):
        for name in ('tmp/a', 'tmp/b', 'kept'):
            put(cli, bucket, name, b'x')
        return bucket

    def test_by_prefix(self, cli, filled):
        rm = ['object', 'rm', filled, '--prefix', 'tmp/']
        assert cli(*rm, '--dry-run') == 'delete\ttmp/a\ndelete\ttmp/b\n'
        assert 'say --force' in cli(*rm, code=2)
        assert cli(*rm, '--force') == 'deleted tmp/a\ndeleted tmp/b\n'
        assert cli('object', 'ls', filled, '--names') == 'kept\n'

    def test_by_age(self, cli, filled):
        report = cli.json('object', 'rm', filled, '--older-than', '1h', '--force')
        assert report == {'deleted': [], 'changed': [], 'dry_run': False}
        report = cli.json('object', 'rm', filled, '--older-than', '0', '--prefix', '', '--force')
        assert report['deleted'] == ['kept', 'tmp/a', 'tmp/b']

    def test_asks_on_a_terminal(self, cli, filled):
        asking = cli.terminal('object', 'rm', filled, '--prefix', 'tmp/')
        asking.wait_for('[y/N]')
        asking.keys('n\n')
        asking.finish(130)
        assert len(json.loads(cli('object', 'ls', filled, '--names', '--json'))) == 3

    def test_either_names_or_what_matches(self, cli, bucket):
        cli('object', 'rm', bucket, code=2)
        cli('object', 'rm', bucket, 'x', '--prefix', 'y', code=2)
        cli('object', 'rm', bucket, 'x', '--dry-run', code=2)

    def test_compact(self, cli, filled):
        cli('object', 'rm', filled, 'kept')
        assert cli('object', 'compact', filled) == 'forgot 0 deleted objects, 1 left\n'
        assert cli.json('object', 'compact', filled, '--older-than', '0') == {
            'purged': 1,
            'kept': 0,
        }
        assert cli('object', 'ls', filled, '--deleted', '--names') == 'tmp/a\ntmp/b\n'
