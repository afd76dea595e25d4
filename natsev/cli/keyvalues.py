"""``natsev kv``: values by key, in buckets."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import click

from .. import KV, NatsError
from .command import Group, Run, with_options, with_run
from .failures import NotFound
from .messages import read_body
from .output import Column, note, payload_fields, show_time
from .session import Session
from .streams import confirm
from .values import count_of, duration, metadata, show_duration, show_size, size

_BUCKETS = [
    Column('Bucket', lambda status: status['bucket']),
    Column('Description', lambda status: status['description']),
    Column('Values', lambda status: status['values'], '{:,}'.format, right=True),
    Column('Size', lambda status: status['bytes'], show_size, right=True),
    Column('History', lambda status: status['history'], right=True),
    Column('Storage', lambda status: status['storage']),
]
_ENTRIES = [
    Column('Key', lambda entry: entry['key']),
    Column('Revision', lambda entry: entry['revision'], right=True),
    Column('Operation', lambda entry: entry['operation']),
    Column('Created', lambda entry: entry['time'], show_time),
    Column('Value', lambda entry: (entry['raw'] or b'').decode(errors='replace')),
]


@contextmanager
def opened(run: Run, bucket: str) -> Iterator[tuple[Session, KV]]:
    """Connect, and take a bucket."""
    with run.session() as session:
        yield session, KV(js=session.js, bucket=bucket)


@click.command(cls=Group)
def kv() -> None:
    """Keep values by key, in buckets."""


# What ``add`` and ``edit`` have in common.
_bucket_options = with_options(
    click.option('--description', help='What it is for.'),
    click.option('--history', 'max_history', type=click.IntRange(1, 64),
                 help='Revisions of a key.'),
    click.option('--ttl', 'max_age', type=duration, help='How long values are kept.'),
    click.option('--max-bucket-size', 'max_bytes', type=size, help='Most bytes.'),
    click.option('--max-value-size', type=size, help='The largest value.'),
    click.option('--replicas', type=click.IntRange(1), help='Copies in a cluster.'),
    click.option('--compress', 'compression', is_flag=True, default=None,
                 help='In the file store.'),
    click.option('--marker-ttl', 'limit_marker_ttl', type=duration, help='Mark what aged out.'),
    click.option('--metadata', type=metadata, multiple=True, help='name=value'),
)  # fmt: skip


def _chosen(given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options of a bucket that were given."""
    options = {key: value for key, value in given.items() if value not in (None, ())}
    if 'metadata' in options:
        options['metadata'] = dict(options['metadata'])
    return options


@kv.command()
@click.argument('bucket')
@click.option('--storage', type=click.Choice(['file', 'memory']), help='Default: file.')
@_bucket_options
@with_run
def add(run: Run, bucket: str, **given: Any) -> None:
    """Make a bucket."""
    with opened(run, bucket) as (session, values):
        session.call(values.create_bucket, _chosen(given))
        _show_status(run, session.call(values.status))


@kv.command()
@click.argument('bucket')
@_bucket_options
@with_run
def edit(run: Run, bucket: str, **given: Any) -> None:
    """Change options of BUCKET; what is not said stays."""
    changes = _chosen(given)
    if not changes:
        raise click.UsageError('say what is to be changed')
    with opened(run, bucket) as (session, values):
        session.call(values.update_bucket, changes)
        _show_status(run, session.call(values.status))


@kv.command()
@click.argument('bucket')
@click.argument('key')
@click.argument('value', required=False)
@with_run
def put(run: Run, bucket: str, key: str, value: str | None) -> None:
    """Set KEY to VALUE.

    '-', or no VALUE where something is piped in, takes standard input.
    """
    with opened(run, bucket) as (session, values):
        revision = session.call(values.put, key, read_body(value))
    _stored(run, key, revision)


@kv.command()
@click.argument('bucket')
@click.argument('key')
@click.argument('value', required=False)
@click.option('--ttl', type=duration, help='How long it is kept.')
@with_run
def create(run: Run, bucket: str, key: str, value: str | None, ttl: int | None) -> None:
    """Set KEY to VALUE where it has none."""
    options = {} if ttl is None else {'ttl': ttl // 1_000_000}
    with opened(run, bucket) as (session, values):
        revision = session.call(values.create, key, read_body(value), **options)
    _stored(run, key, revision)


@kv.command()
@click.argument('bucket')
@click.argument('key')
@click.argument('value')
@click.argument('revision', type=int)
@with_run
def update(run: Run, bucket: str, key: str, value: str, revision: int) -> None:
    """Set KEY to VALUE where REVISION is its last."""
    with opened(run, bucket) as (session, values):
        stored = session.call(values.update, key, read_body(value), revision)
    _stored(run, key, stored)


@kv.command()
@click.argument('bucket')
@click.argument('key')
@click.option('--revision', type=int, help='Not the last one.')
@click.option('-r', '--raw', is_flag=True, help='Print the value only, as it is.')
@with_run
def get(run: Run, bucket: str, key: str, revision: int | None, raw: bool) -> None:
    """Print the value of KEY."""
    with opened(run, bucket) as (session, values):
        entry = session.call(values.entry, key, revision=revision)
    if entry is None:
        raise NotFound(f'there is no key {key!r} in the bucket {bucket!r}')
    if run.out.json:
        run.out.data(_plain(entry))
        return
    if run.out.terminal and not raw:
        note(f'revision {entry["revision"]}, {show_time(entry["time"])}')
    sys.stdout.buffer.write(entry['raw'] + (b'' if raw else b'\n'))
    sys.stdout.buffer.flush()


@kv.command()
@click.argument('bucket', required=False)
@click.option('--filter', 'filters', multiple=True, metavar='PATTERN', help='Only such keys.')
@click.option('-v', '--verbose', is_flag=True, help='With values.')
@with_run
def ls(run: Run, bucket: str | None, filters: tuple[str, ...], verbose: bool) -> None:
    """List the keys of BUCKET; without one the buckets."""
    if bucket is None:
        with run.session() as session:
            run.out.table(_BUCKETS, session.call(KV.buckets, session.js))
        return
    with opened(run, bucket) as (session, values):
        keys = sorted(session.call(values.keys, filters=list(filters) or None))
        if not verbose:
            run.out.table([Column('Key', str)], keys)
            return
        entries = [session.call(values.entry, key) for key in keys]
    _show_entries(run, [entry for entry in entries if entry is not None])


@kv.command()
@click.argument('bucket')
@click.argument('key')
@with_run
def history(run: Run, bucket: str, key: str) -> None:
    """List the revisions of KEY that are kept."""
    with opened(run, bucket) as (session, values):
        entries = session.call(values.history, key)
    if not entries:
        raise NotFound(f'there is no key {key!r} in the bucket {bucket!r}')
    _show_entries(run, entries)


@kv.command(name='del')
@click.argument('bucket')
@click.argument('key', required=False)
@click.option('-f', '--force', is_flag=True, help='Do not ask.')
@with_run
def del_(run: Run, bucket: str, key: str | None, force: bool) -> None:
    """Delete BUCKET and all it holds, or KEY only; its history stays."""
    if key is None:
        confirm(f'Delete the bucket {bucket} and all it holds?', force)
    with opened(run, bucket) as (session, values):
        if key is None:
            session.call(values.delete_bucket)
        else:
            session.call(values.delete, key)
    what = f'the bucket {bucket}' if key is None else key
    run.out.done(f'deleted {what}', {'deleted': key or bucket})


@kv.command()
@click.argument('bucket')
@click.argument('key')
@with_run
def purge(run: Run, bucket: str, key: str) -> None:
    """Delete KEY with its history."""
    with opened(run, bucket) as (session, values):
        session.call(values.purge, key)
    run.out.done(f'purged {key}', {'purged': key})


@kv.command()
@click.argument('bucket')
@click.option('--older-than', type=duration, default='30m', show_default=True,
              help='Younger ones stay, for watches that are away for a moment.')  # fmt: skip
@with_run
def compact(run: Run, bucket: str, older_than: int) -> None:
    """Forget the deleted keys of BUCKET."""
    with opened(run, bucket) as (session, values):
        told = session.call(values.purge_deletes, older_than=older_than // 1_000_000)
    run.out.done(f'forgot {count_of(told["keys"], "key")}', told)


@kv.command()
@click.argument('bucket')
@with_run
def status(run: Run, bucket: str) -> None:
    """Show the state of BUCKET."""
    with opened(run, bucket) as (session, values):
        _show_status(run, session.call(values.status))


@kv.command()
@click.argument('bucket')
@click.argument('pattern', required=False)
@click.option('--updates-only', is_flag=True, help='Without what is there already.')
@click.option('--ignore-deletes', is_flag=True, help='Without deletions.')
@click.option('--history', is_flag=True, help='With earlier revisions.')
@click.option('-n', '--count', type=click.IntRange(1), help='End after so many changes.')
@with_run
def watch(run: Run, bucket: str, pattern: str | None, count: int | None, **options: Any) -> None:
    """Print what is in BUCKET and each change, until Ctrl-C."""
    shown, ends = 0, []
    with opened(run, bucket) as (session, values):

        def changed(key: str | None, value: Any, op: str, entry: Any) -> None:
            nonlocal shown
            if key is None:
                note(f'watching {bucket}; Ctrl-C ends')
            elif count is None or shown < count:
                shown += 1
                _show_change(run, entry)
            session.wake()

        def ended(err: NatsError | None) -> None:
            ends.append(err)
            session.wake()

        watching = values.watch(pattern, changed, on_end=ended, **options)
        try:
            session.run(lambda: bool(ends) or shown == count)
        except KeyboardInterrupt:
            if count is not None:
                raise
        finally:
            watching.stop()
        if ends and ends[0] is not None:
            raise ends[0]


def _show_change(run: Run, entry: Mapping[str, Any]) -> None:
    if run.out.json:
        click.echo(json.dumps(_plain(entry), ensure_ascii=False))
        return
    shown = [show_time(entry['time']), entry['operation'], entry['key']]
    if entry['operation'] == 'PUT':
        shown.append(entry['raw'].decode(errors='replace'))
    run.out.fields(*shown)


def _show_entries(run: Run, entries: list[Any]) -> None:
    if run.out.json:
        run.out.data([_plain(entry) for entry in entries])
    else:
        run.out.table(_ENTRIES, entries)


def _plain(entry: Mapping[str, Any]) -> dict[str, Any]:
    payload = payload_fields(entry['raw'] or b'')
    value = {name.replace('payload', 'value'): text for name, text in payload.items()}
    kept = {name: entry[name] for name in ('bucket', 'key', 'revision', 'operation')}
    return {**kept, 'time': entry['time'].isoformat(), **value}


def _stored(run: Run, key: str, revision: int) -> None:
    run.out.done(f'{key} has revision {revision}', {'key': key, 'revision': revision})


def _show_status(run: Run, state: Mapping[str, Any]) -> None:
    facts = {
        'Description': state['description'],
        'Values': state['values'],
        'Size': show_size(state['bytes']) if run.out.terminal else state['bytes'],
        'History': state['history'],
        'Storage': state['storage'],
        'Compressed': bool(state['compressed']),
        'Replicas': state['replicas'],
        'Kept for': show_duration(state['ttl']) if state['ttl'] else 'ever',
        'Metadata': state['metadata'],
        'Stream': state['stream'],
    }
    run.out.record(f'Bucket {state["bucket"]}', facts, state)
