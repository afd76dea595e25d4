"""``natsev object``: metadata, links, and earlier versions."""

from __future__ import annotations

from typing import Any

import click

from .command import Command, Run, with_run
from .messages import header_map
from .output import Column, show_time
from .stores import absent, opened
from .values import count_of, header, metadata, show_size

_VERSIONS = [
    Column('Version', lambda meta: meta['seq'], right=True),
    Column('Size', lambda meta: meta['size'], show_size, right=True),
    Column('Stored', lambda meta: meta['mtime'], show_time),
    Column('Description', lambda meta: meta['description']),
]


@click.command(cls=Command)
@click.argument('bucket')
@click.argument('name')
@click.option('-n', '--name', 'new_name', help='Rename it.')
@click.option('--description', help="What it is; '' for nothing.")
@click.option('-H', '--header', 'headers', type=header, multiple=True, help='name:value')
@click.option('--no-headers', is_flag=True, help='Without the headers it has.')
@click.option('--metadata', type=metadata, multiple=True, help='name=value')
@click.option('--no-metadata', is_flag=True, help='Without the metadata it has.')
@click.option('--expected-seq', type=int, help='Only if it has this sequence.')
@with_run
def meta(
    run: Run,
    bucket: str,
    name: str,
    new_name: str | None,
    description: str | None,
    headers: Any,
    no_headers: bool,
    metadata: Any,
    no_metadata: bool,
    expected_seq: int | None,
) -> None:
    """Change what is said of the object NAME; its bytes stay.

    The headers given replace all it has, and so does the metadata.
    """
    changes: dict[str, Any] = {}
    if new_name is not None:
        changes['name'] = new_name
    if description is not None:
        changes['description'] = description
    if headers or no_headers:
        changes['headers'] = header_map(headers)
    if metadata or no_metadata:
        changes['metadata'] = dict(metadata)
    if not changes:
        raise click.UsageError('say what is to be changed')
    with opened(run, bucket) as (session, store):
        changed = session.call(store.update_meta, name, changes, expected_seq=expected_seq)
    if changed is None:
        raise absent(bucket, name)
    renamed = f' to {new_name}' if new_name is not None else ''
    run.out.done(f'{"renamed" if renamed else "changed"} {name}{renamed}', changed)


@click.command(cls=Command)
@click.argument('bucket')
@click.argument('name')
@click.argument('target', required=False)
@click.option('--bucket', 'target_bucket', help='Where TARGET is; default: BUCKET.')
@with_run
def link(run: Run, bucket: str, name: str, target: str | None, target_bucket: str | None) -> None:
    """Make NAME lead to another object, or to a bucket.

    TARGET is an object of BUCKET, or of --bucket; without it NAME leads to the --bucket itself.
    """
    with opened(run, bucket) as (session, store):
        if target is not None:
            found = session.call(store.link, name, target, bucket=target_bucket)
            where = f'{target} in {target_bucket or bucket}'
        elif target_bucket is not None:
            found = session.call(store.link_bucket, name, target_bucket)
            where = f'the bucket {target_bucket}'
        else:
            raise click.UsageError('say a TARGET, or the --bucket that NAME shall lead to')
    run.out.done(f'linked {name} to {where}', found)


@click.command(cls=Command)
@click.argument('bucket')
@click.argument('name')
@with_run
def versions(run: Run, bucket: str, name: str) -> None:
    """List earlier versions of the object NAME, the newest first.

    They are kept where it was put with --keep-versions. 'get --version' fetches one, 'restore'
    makes it the present one, 'prune' purges them.
    """
    with opened(run, bucket) as (session, store):
        found = session.call(store.versions, name)
    run.out.table(_VERSIONS, found)


@click.command(cls=Command)
@click.argument('bucket')
@click.argument('name')
@click.argument('version', type=click.IntRange(1))
@with_run
def restore(run: Run, bucket: str, name: str, version: int) -> None:
    """Make an earlier VERSION of NAME the present one.

    The present one becomes an earlier one.
    """
    with opened(run, bucket) as (session, store):
        found = session.call(store.restore, name, version)
    if found is None:
        raise absent(bucket, name, version)
    run.out.done(f'restored {name}: {found["size"]} bytes', found)


@click.command(cls=Command)
@click.argument('bucket')
@click.argument('name')
@click.option('--keep', type=click.IntRange(0), default=0, help='All but the newest so many.')
@with_run
def prune(run: Run, bucket: str, name: str, keep: int) -> None:
    """Purge earlier versions of the object NAME."""
    with opened(run, bucket) as (session, store):
        purged = session.call(store.purge_versions, name, keep=keep)
    run.out.done(f'purged {count_of(purged, "version")} of {name}', {'purged': purged})


commands = [meta, link, versions, restore, prune]
