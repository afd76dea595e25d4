"""``natsev kv``; the official client reads what it stores, and the other way round."""

from __future__ import annotations

import asyncio
import json

import nats
import pytest


@pytest.fixture
def bucket(cli, unique):
    cli('kv', 'add', unique, '--history', '5')
    yield unique
    cli.run('kv', 'del', unique, '--force')


def test_put_and_get(cli, bucket):
    assert cli('kv', 'put', bucket, 'lamp.color', 'blue') == 'lamp.color has revision 1\n'
    assert cli('kv', 'get', bucket, 'lamp.color') == 'blue\n'
    assert cli('kv', 'get', bucket, 'lamp.color', '--raw') == 'blue'
    entry = cli.json('kv', 'get', bucket, 'lamp.color')
    assert (entry['value'], entry['revision'], entry['operation']) == ('blue', 1, 'PUT')
    assert 'there is no key' in cli('kv', 'get', bucket, 'absent', code=3)


def test_bytes_from_a_pipe(cli, bucket):
    cli('kv', 'put', bucket, 'raw', '-', input=b'\xff\x00')
    assert cli.run('kv', 'get', bucket, 'raw', '--raw').stdout == b'\xff\x00'
    assert cli.json('kv', 'get', bucket, 'raw')['value_base64'] == '/wA='


def test_create_and_update_are_conditional(cli, bucket):
    cli('kv', 'create', bucket, 'k', 'a')
    cli('kv', 'create', bucket, 'k', 'b', code=6)
    cli('kv', 'update', bucket, 'k', 'c', 1)
    cli('kv', 'update', bucket, 'k', 'd', 1, code=6)
    assert cli('kv', 'get', bucket, 'k') == 'c\n'


def test_history_and_deletion(cli, bucket):
    for value in 'abc':
        cli('kv', 'put', bucket, 'k', value)
    cli('kv', 'del', bucket, 'k')
    told = cli.json('kv', 'history', bucket, 'k')
    assert [(each['operation'], each['value']) for each in told] == [
        ('PUT', 'a'),
        ('PUT', 'b'),
        ('PUT', 'c'),
        ('DEL', ''),
    ]
    assert cli('kv', 'get', bucket, 'k', '--revision', 2) == 'b\n'
    assert cli('kv', 'ls', bucket) == ''
    cli('kv', 'purge', bucket, 'k')
    assert len(cli.json('kv', 'history', bucket, 'k')) == 1
    assert cli('kv', 'compact', bucket) == 'forgot 0 keys\n'
    assert cli('kv', 'compact', bucket, '--older-than', '0') == 'forgot 1 key\n'


def test_ls(cli, bucket):
    for key in ('a.x', 'b', 'a.y'):
        cli('kv', 'put', bucket, key, key.upper())
    assert cli('kv', 'ls', bucket) == 'a.x\na.y\nb\n'
    assert cli('kv', 'ls', bucket, '--filter', 'a.*') == 'a.x\na.y\n'
    assert cli('kv', 'ls', bucket, '-v').splitlines()[2].split('\t')[4] == 'B'
    assert bucket in [line.split('\t')[0] for line in cli('kv', 'ls').splitlines()]


def test_watch(cli, bucket):
    cli('kv', 'put', bucket, 'a', '1')
    watching = cli.start('kv', 'watch', bucket, '--json', '--count', '3')
    watching.wait_for('watching')
    cli('kv', 'put', bucket, 'b', '2')
    cli('kv', 'del', bucket, 'a')
    changes = [json.loads(line) for line in watching.finish().splitlines() if line[0] == '{']
    assert [(each['key'], each['operation']) for each in changes] == [
        ('a', 'PUT'),
        ('b', 'PUT'),
        ('a', 'DEL'),
    ]


def test_status(cli, bucket):
    cli('kv', 'put', bucket, 'a', '1')
    status = cli.json('kv', 'status', bucket)
    assert (status['values'], status['history']) == (1, 5)
    assert 'History: 5\n' in cli('kv', 'status', bucket)
    assert 'not found' in cli('kv', 'status', 'absent', code=3)


def test_with_nats_py(cli, bucket, server):
    cli('kv', 'put', bucket, 'ours', 'hello')

    async def meet() -> bytes:
        client = await nats.connect(server.url)
        values = await client.jetstream().key_value(bucket)
        await values.put('theirs', b'hello back')
        found = (await values.get('ours')).value
        await client.close()
        return found

    assert asyncio.run(meet()) == b'hello'
    assert cli('kv', 'get', bucket, 'theirs') == 'hello back\n'


def test_edit(cli, bucket):
    status = cli.json('kv', 'edit', bucket, '--history', '7', '--description', 'ours')
    assert (status['history'], status['description']) == (7, 'ours')
    assert 'say what is to be changed' in cli('kv', 'edit', bucket, code=2)
    cli('kv', 'edit', f'{bucket}-absent', '--history', '7', code=3)
