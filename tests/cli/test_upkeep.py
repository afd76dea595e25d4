"""``natsev object``: sweeping, archives and directories."""

from __future__ import annotations

import pytest

from natsev import JetStream


@pytest.fixture
def bucket(cli, unique):
    cli('object', 'add', unique)
    yield unique
    cli.run('object', 'del', unique, '--force')


def put(cli, bucket, name, data, *options):
    cli('object', 'put', bucket, '-', '--name', name, *options, input=data)


def test_sweep(cli, bucket, run, connect):
    put(cli, bucket, 'good', b'x')
    js = JetStream(nats=connect())
    run.call(js.js_publish, f'$O.{bucket}.C.abcdefghijklmnopqrstuv', b'stray')
    report = cli.json('object', 'sweep', bucket, '--older-than', '0', '--dry-run')
    assert [each['purged'] for each in report['orphans']] == [False]
    assert cli('object', 'sweep', bucket) == f'swept {bucket}: 1 object, 0 chunks purged\n'
    swept = cli('object', 'sweep', bucket, '--older-than', '0')
    assert swept == f'swept {bucket}: 1 object, 1 chunk purged\n'


def test_sweep_tells_what_cannot_be_repaired(cli, bucket, run, connect):
    put(cli, bucket, 'short', b'x')
    nuid = cli.json('object', 'info', bucket, 'short')['nuid']
    js = JetStream(nats=connect())
    run.call(js.stream_purge, f'OBJ_{bucket}', {'filter': f'$O.{bucket}.C.{nuid}'})
    assert cli('object', 'sweep', bucket, code=7) == 'natsev: short: 0 of 1 chunks are there\n'


def test_sync(cli, bucket):
    local = cli.directory / 'local'
    (local / 'sub').mkdir(parents=True)
    (local / 'a').write_bytes(b'a')
    (local / 'sub' / 'b').write_bytes(b'bb')
    sync = ['object', 'sync', 'to', bucket, 'local']
    assert sorted(cli(*sync, '--dry-run').splitlines()) == ['copy\ta', 'copy\tsub/b']
    assert cli(*sync) == f'synced to {bucket}: 2 files copied, 0 unchanged, 0 deleted\n'
    (local / 'a').unlink()
    report = cli.json(*sync, '--delete')
    assert (report['transferred'], report['unchanged'], report['deleted']) == ([], 1, ['a'])
    cli('object', 'sync', 'from', bucket, 'copy')
    assert (cli.directory / 'copy' / 'sub' / 'b').read_bytes() == b'bb'
    assert cli('object', 'sync', 'to', bucket, 'nowhere', code=1).count('\n') == 1


def test_export_and_import(cli, bucket):
    put(cli, bucket, 'kept', b'x' * 200_000)
    assert cli('object', 'export', bucket, 'it.archive') == (
        f'exported {bucket}: 1 object of 200000 bytes into it.archive\n'
    )
    assert '--force replaces it' in cli('object', 'export', bucket, 'it.archive', code=2)
    piped = cli.run('object', 'export', bucket, '-').stdout
    assert len(piped) > 200_000
    cli('object', 'rm', bucket, 'kept')
    assert cli('object', 'import', 'it.archive') == (
        f'imported 1 object of 200000 bytes into {bucket}, 0 unchanged\n'
    )
    put(cli, bucket, 'kept', b'other')
    assert cli('object', 'import', 'it.archive', bucket, code=6) == (
        'natsev: kept: is there with other bytes\n'
    )
    report = cli.json('object', 'import', 'it.archive', bucket, '--overwrite')
    assert (report['objects'], report['conflicts']) == (1, [])


def test_import_makes_the_bucket(cli, unique, bucket):
    cli('object', 'edit', bucket, '--description', 'ours')
    put(cli, bucket, 'kept', b'x' * 200_000)
    piped = cli.run('object', 'export', bucket, '-').stdout
    other = f'{unique}-2'
    assert 'make one with add' in cli('object', 'import', '-', other, input=piped, code=3)
    assert '--create is no dry run' in cli(
        'object', 'import', '-', other, '--create', '--dry-run', input=piped, code=2
    )
    create = ['object', 'import', '-', other, '--create']
    assert (
        cli(*create, input=piped)
        == f'imported 1 object of 200000 bytes into {other}, 0 unchanged\n'
    )
    assert cli.json('object', 'status', other)['description'] == 'ours'
    assert cli.json(*create, input=piped)['unchanged'] == 1
    cli('object', 'del', other, '--force')


def test_import_of_what_is_no_archive(cli, bucket):
    (cli.directory / 'it').write_bytes(b'no archive')
    assert cli('object', 'import', 'it', code=1).count('\n') == 1
