"""``natsev object``: files in the buckets of an object store.

Without a server named these run on one of their own, whose store is the user's: see ``local``.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from time import perf_counter
from types import SimpleNamespace
from typing import Any

import click

from .. import NatsError, ObjectStore
from . import upkeep
from .command import Group, Run, with_run
from .failures import report
from .messages import header_map
from .output import Column, note, show_time
from .piped import put_piped
from .progress import bar
from .session import Session
from .stores import absent, label, opened, store_session, to_stdout
from .streams import confirm
from .values import duration, header, metadata, show_duration, show_size, size

_FILE = click.Path(path_type=Path)

_BUCKETS = [
    Column('Bucket', lambda status: status['bucket']),
    Column('Description', lambda status: status['description']),
    Column('Size', lambda status: status['bytes'], show_size, right=True),
    Column('Storage', lambda status: status['storage']),
    Column('Sealed', lambda status: bool(status['sealed'])),
]
_OBJECTS = [
    Column('Name', lambda meta: meta['name']),
    Column('Size', lambda meta: meta['size'], show_size, right=True),
    Column('Modified', lambda meta: meta['mtime'], show_time),
    Column('Description', lambda meta: meta['description']),
]


@click.command(name='object', cls=Group)
def object_() -> None:
    """Put files into buckets, and get them back.

    Without a server named (--server, NATS_URL, a context) a private one is used, whose store is in
    your data directory.
    """


for _command in upkeep.commands:
    object_.add_command(_command)


@object_.command()
@click.argument('bucket')
@click.option('--description', help='What it is for.')
@click.option('--ttl', 'max_age', type=duration, help='How long objects are kept.')
@click.option('--max-bucket-size', 'max_bytes', type=size, help='Most bytes.')
@click.option('--storage', type=click.Choice(['file', 'memory']), help='Default: file.')
@click.option('--replicas', type=click.IntRange(1), help='Copies in a cluster.')
@click.option('--compress', 'compression', is_flag=True, default=None, help='In the file store.')
@click.option('--cluster', help='Which cluster holds it.')
@click.option('--tag', 'tags', multiple=True, help='Which servers hold it.')
@click.option('--object-ttl', is_flag=True, default=None, help='Objects may have a ttl.')
@click.option('--metadata', type=metadata, multiple=True, help='name=value')
@with_run
def add(run: Run, bucket: str, cluster: str | None, tags: tuple[str, ...], **given: Any) -> None:
    """Make a bucket."""
    options = {key: value for key, value in given.items() if value not in (None, ())}
    if 'metadata' in options:
        options['metadata'] = dict(options['metadata'])
    if cluster or tags:
        placement = {'cluster': cluster, 'tags': list(tags)}
        options['placement'] = {key: value for key, value in placement.items() if value}
    with opened(run, bucket) as (session, store):
        session.call(store.create_bucket, options)
        _show_status(run, session.call(store.status))


@object_.command()
@click.argument('bucket')
@click.argument('files', nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option('-n', '--name', help="The object's name; default: the file's, without directories.")
@click.option('--description', help='What it is.')
@click.option('-H', '--header', 'headers', type=header, multiple=True, help='name:value')
@click.option('--metadata', type=metadata, multiple=True, help='name=value')
@click.option('--chunk-size', type=size, help='Default: 128KiB.')
@click.option('--if-absent', is_flag=True, help='Not when there is one of that name.')
@click.option('--expected-seq', type=int, help='Only in place of the one with this sequence.')
@click.option('--ttl', type=duration, help='How long it is kept, in a bucket with --object-ttl.')
@click.option('--keep-versions', type=click.IntRange(0), help='Keep so many earlier ones.')
@click.option('--codec', type=click.Choice(['zlib', 'zstd']), help='Compress it.')
@click.option('--resume', is_flag=True, help='Go on with a put of it that broke off.')
@click.option('--no-progress', is_flag=True, help='Draw no bar.')
@with_run
def put(
    run: Run,
    bucket: str,
    files: tuple[Path, ...],
    name: str | None,
    description: str | None,
    headers: Any,
    metadata: Any,
    ttl: int | None,
    resume: bool,
    no_progress: bool,
    **options: Any,
) -> None:
    """Store FILES in BUCKET; '-' is standard input and needs a --name.

    An object of the same name is replaced, once the new one is there as a whole.
    """
    if name is not None and len(files) > 1:
        raise click.UsageError('--name is for one file')
    if name is None and Path('-') in files:
        raise click.UsageError("'-' needs a --name")
    if resume and Path('-') in files:
        raise click.UsageError('--resume needs a file, not standard input')
    for file in files:
        if file.is_dir():
            raise click.UsageError(f'{file} is a directory')
    options.update(
        description=description,
        headers=header_map(headers) or None,
        metadata=dict(metadata) or None,
        ttl=None if ttl is None else ttl // 1_000_000,
    )
    stored = []
    with opened(run, bucket) as (session, store):
        for file in files:
            with bar(label(name or file.name), of_bytes=True, shown=not no_progress) as progress:
                started = perf_counter()
                if file == Path('-'):
                    info = session.call(put_piped, store, name, progress=progress, **options)
                else:
                    put = _resumable(session, store) if resume else store.put
                    info = session.call(put, name or file.name, file, progress=progress, **options)
                seconds = perf_counter() - started
            stored.append(info)
            if not run.out.json:
                click.echo(f'stored {_summary(run, info, seconds)}')
    if run.out.json:
        run.out.data(stored if len(files) > 1 else stored[0])


def _resumable(session: Session, store: ObjectStore) -> Callable[..., Any]:
    """Return a ``put`` that, interrupted, leaves what is stored for another one to go on with."""

    def put(*args: Any, **options: Any) -> Any:
        store.put(*args, resume=True, **options)
        return SimpleNamespace(cancel=session.nats.disconnect)

    return put


@object_.command()
@click.argument('bucket')
@click.argument('name')
@click.option('-O', '--output', type=_FILE, help="Where to; '-' is standard output.")
@click.option('-f', '--force', is_flag=True, help='Replace a file that is there.')
@click.option('--offset', type=size, default=0, help='Where to begin, in bytes.')
@click.option('--length', type=size, help='At most so many bytes.')
@click.option('--version', type=click.IntRange(1), help='An earlier one; see versions.')
@click.option('--resume', is_flag=True, help='Go on with a get of it that broke off.')
@click.option('--no-progress', is_flag=True, help='Draw no bar.')
@with_run
def get(
    run: Run,
    bucket: str,
    name: str,
    output: Path | None,
    force: bool,
    no_progress: bool,
    **options: Any,
) -> None:
    """Fetch the object NAME into a file of that name here, or --output.

    The file appears when all of it has come and its digest is right. Standard output is written as
    it comes: only the exit code says whether it was right.
    """
    path = output if output is not None else Path(Path(name).name or 'object')
    piped = path == Path('-')
    if piped and options['resume']:
        raise click.UsageError('--resume needs a file, not standard output')
    if not piped and path.is_dir():
        path = path / Path(name).name
    if not piped and path.exists() and not force:
        raise click.UsageError(f'{path} is there already; --force replaces it')
    with (
        opened(run, bucket) as (session, store),
        bar(label(name), of_bytes=True, shown=not no_progress) as progress,
        to_stdout(),
    ):
        started = perf_counter()
        into = sys.stdout.buffer if piped else path
        got, _, meta = session.results(store.get, name, into=into, progress=progress, **options)
        seconds = perf_counter() - started
    if got is None:
        raise absent(bucket, name, options['version'])
    if not piped:
        part = got != meta['size']
        text = _amount(run, name, got, seconds) if part else _summary(run, meta, seconds)
        run.out.done(f'got {text} into {path}', {**meta, 'path': str(path), 'got': got})


@object_.command()
@click.argument('bucket', required=False)
@click.option('-n', '--names', is_flag=True, help='Names only.')
@click.option('--prefix', help='Only names that begin so.')
@click.option('--deleted', is_flag=True, help='Deleted objects too.')
@click.option('--limit', type=click.IntRange(1), help='At most so many.')
@click.option('--after', metavar='NAME', help='Only names behind this one.')
@with_run
def ls(run: Run, bucket: str | None, names: bool, **options: Any) -> None:
    """List the objects of BUCKET; without one the buckets."""
    with store_session(run) as session:
        if bucket is None:
            found = session.call(ObjectStore.buckets, session.js)
            run.out.table([_BUCKETS[0]] if names else _BUCKETS, found)
            return
        store = ObjectStore(js=session.js, bucket=bucket)
        found = session.call(store.list, details=True, **options)
    if names and run.out.json:
        run.out.data([meta['name'] for meta in found])
    else:
        run.out.table([_OBJECTS[0]] if names else _OBJECTS, found)


@object_.command()
@click.argument('bucket')
@click.argument('name', required=False)
@click.option('--deleted', is_flag=True, help='Also when it is deleted.')
@with_run
def info(run: Run, bucket: str, name: str | None, deleted: bool) -> None:
    """Show what is known of the object NAME, or of BUCKET."""
    with opened(run, bucket) as (session, store):
        if name is None:
            _show_status(run, session.call(store.status))
            return
        meta = session.call(store.info, name, deleted=deleted)
    if meta is None:
        raise absent(bucket, name)
    options = meta['options'] or {}
    facts = {
        'Description': meta['description'],
        'Size': show_size(meta['size']) if run.out.terminal else meta['size'],
        'Chunks': meta['chunks'],
        'Chunk size': options.get('max_chunk_size'),
        'Digest': meta['digest'],
        'Modified': show_time(meta['mtime']),
        'Sequence': meta['seq'],
        'Id': meta['nuid'],
        'Headers': meta['headers'],
        'Metadata': meta['metadata'],
        'Link to': options.get('link'),
        'Deleted': meta['deleted'] or None,
    }
    run.out.record(f'Object {name} in {bucket}', facts, meta)


@object_.command()
@click.argument('bucket')
@with_run
def status(run: Run, bucket: str) -> None:
    """Show the state of BUCKET."""
    with opened(run, bucket) as (session, store):
        _show_status(run, session.call(store.status))


@object_.command()
@click.argument('bucket')
@click.argument('names', nargs=-1, required=True)
@with_run
def rm(run: Run, bucket: str, names: tuple[str, ...]) -> int | None:
    """Delete objects of BUCKET."""
    return _delete(run, bucket, names)


@object_.command(name='del')
@click.argument('bucket')
@click.argument('names', nargs=-1)
@click.option('-f', '--force', is_flag=True, help='Do not ask.')
@with_run
def del_(run: Run, bucket: str, names: tuple[str, ...], force: bool) -> int | None:
    """Delete BUCKET and all it holds, or with NAMES these objects."""
    if names:
        return _delete(run, bucket, names)
    confirm(f'Delete the bucket {bucket} and all it holds?', force)
    with opened(run, bucket) as (session, store):
        session.call(store.delete_bucket)
    run.out.done(f'deleted the bucket {bucket}', {'deleted': True})
    return None


def _delete(run: Run, bucket: str, names: tuple[str, ...]) -> int | None:
    code, deleted = None, []
    with opened(run, bucket) as (session, store):
        for name in names:
            if session.call(store.delete, name):
                deleted.append(name)
                if not run.out.json:
                    click.echo(f'deleted {name}')
            else:
                code = report(absent(bucket, name), run.out.json)
    if run.out.json:
        run.out.data({'deleted': deleted})
    return code


@object_.command()
@click.argument('bucket')
@click.option('-f', '--force', is_flag=True, help='Do not ask.')
@with_run
def seal(run: Run, bucket: str, force: bool) -> None:
    """Make BUCKET take no changes any more, for good."""
    confirm(f'Seal {bucket}? It can never be unsealed.', force)
    with opened(run, bucket) as (session, store):
        session.call(store.seal)
        state = session.call(store.status)
    run.out.done(f'sealed {bucket}', state)


@object_.command()
@click.argument('bucket')
@click.option('--name', help='Only this object.')
@click.option('--prefix', help='Only names that begin so.')
@click.option('--updates-only', is_flag=True, help='Without what is there already.')
@click.option('--ignore-deletes', is_flag=True, help='Without deletions.')
@click.option('-n', '--count', type=click.IntRange(1), help='End after so many changes.')
@with_run
def watch(run: Run, bucket: str, count: int | None, **options: Any) -> None:
    """Print what is in BUCKET and each change, until Ctrl-C."""
    shown, ends = 0, []
    with opened(run, bucket) as (session, store):

        def changed(meta: Mapping[str, Any] | None, err: NatsError | None) -> None:
            nonlocal shown
            if err is not None:
                ends.append(err)
            elif meta is None:
                note(f'watching {bucket}; Ctrl-C ends')
            elif count is None or shown < count:
                shown += 1
                _show_change(run, meta)
            session.wake()

        watching = store.watch(changed, **options)
        try:
            session.run(lambda: bool(ends) or shown == count)
        except KeyboardInterrupt:
            if count is not None:
                raise
        finally:
            watching.stop()
        if ends:
            raise ends[0]


def _show_change(run: Run, meta: Mapping[str, Any]) -> None:
    if run.out.json:
        run.out.line(meta)
    elif meta['deleted']:
        run.out.fields(show_time(meta['mtime']), 'DEL', meta['name'])
    else:
        run.out.fields(show_time(meta['mtime']), 'PUT', meta['name'], str(meta['size']))


def _show_status(run: Run, state: Mapping[str, Any]) -> None:
    facts = {
        'Description': state['description'],
        'Size': show_size(state['bytes']) if run.out.terminal else state['bytes'],
        'Sealed': bool(state['sealed']),
        'Storage': state['storage'],
        'Compressed': bool(state['compressed']),
        'Replicas': state['replicas'],
        'Kept for': show_duration(state['ttl']) if state['ttl'] else 'ever',
        'Metadata': state['metadata'],
        'Stream': state['stream']['config']['name'],
        'Metadata messages': state.get('objects'),
    }
    run.out.record(f'Bucket {state["bucket"]}', facts, state)


def _summary(run: Run, meta: Mapping[str, Any], seconds: float) -> str:
    chunks = f'{meta["chunks"]} chunk{"" if meta["chunks"] == 1 else "s"}'
    return _amount(run, meta['name'], meta['size'], seconds, f' in {chunks}')


def _amount(run: Run, name: str, count: int, seconds: float, where: str = '') -> str:
    if not run.out.terminal:
        return f'{name}: {count} bytes{where}'
    return f'{name}: {show_size(count)}{where}, {show_size(count / seconds)}/s'
