"""``natsev object``: files in the buckets of an object store.

Without a server named these run on one of their own, whose store is the user's: see ``local``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import date
from functools import partial
from pathlib import Path
from time import perf_counter
from types import SimpleNamespace
from typing import Any

import click

from .. import NatsError, ObjectStore, WrongSequenceError
from ..objectstore.codecs.encryption import Encryption
from . import editing, keyfile, upkeep
from .command import Group, Run, with_options, with_run
from .failures import CONFLICT, report
from .keyfile import keys_option
from .messages import header_map
from .output import Column, note, show_time
from .piped import put_piped
from .progress import bar
from .session import Session
from .stores import (
    PIPED,
    absent,
    label,
    opened,
    store_session,
    target,
    to_stdout,
    written_as_it_comes,
)
from .streams import confirm
from .values import (
    count_of,
    duration,
    header,
    metadata,
    show_duration,
    show_size,
    size,
    timedelta_of,
)

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


for _command in (*editing.commands, *upkeep.commands):
    object_.add_command(_command)


# What ``add`` and ``edit`` have in common.
_bucket_options = with_options(
    click.option('--description', help='What it is for.'),
    click.option('--ttl', 'max_age', type=duration, help='How long objects are kept.'),
    click.option('--max-bucket-size', 'max_bytes', type=size, help='Most bytes.'),
    click.option('--replicas', type=click.IntRange(1), help='Copies in a cluster.'),
    click.option('--compress', 'compression', is_flag=True, default=None,
                 help='In the file store.'),
    click.option('--cluster', help='Which cluster holds it.'),
    click.option('--tag', 'tags', multiple=True, help='Which servers hold it.'),
    click.option('--object-ttl', is_flag=True, default=None, help='Objects may have a ttl.'),
    click.option('--atomic', is_flag=True, default=None, help='Allow put --atomic.'),
    click.option('--metadata', type=metadata, multiple=True, help='name=value'),
)  # fmt: skip


def _chosen(cluster: str | None, tags: tuple[str, ...], **given: Any) -> dict[str, Any]:
    """Return the options of a bucket that were given."""
    options = {key: value for key, value in given.items() if value not in (None, ())}
    if 'metadata' in options:
        options['metadata'] = dict(options['metadata'])
    placement = {'cluster': cluster, 'tags': list(tags)}
    if cluster or tags:
        options['placement'] = {key: value for key, value in placement.items() if value}
    return options


@object_.command()
@click.argument('bucket')
@click.option('--storage', type=click.Choice(['file', 'memory']), help='Default: file.')
@_bucket_options
@with_run
def add(run: Run, bucket: str, **given: Any) -> None:
    """Make a bucket."""
    with opened(run, bucket) as (session, store):
        session.call(store.create_bucket, _chosen(**given))
        _show_status(run, session.call(store.status))


@object_.command()
@click.argument('bucket')
@_bucket_options
@with_run
def edit(run: Run, bucket: str, **given: Any) -> None:
    """Change options of BUCKET; what is not said stays."""
    changes = _chosen(**given)
    if not changes:
        raise click.UsageError('say what is to be changed')
    with opened(run, bucket) as (session, store):
        session.call(store.update_bucket, changes)
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
@click.option('--skip-same', is_flag=True, help='Not when the one there has the same bytes.')
@click.option('--atomic', is_flag=True, help='All FILES at once, or none; they must be small.')
@click.option('--ttl', type=duration, help='How long it is kept, in a bucket with --object-ttl.')
@click.option('--keep-versions', type=click.IntRange(0), help='Keep so many earlier ones.')
@click.option('--codec', type=click.Choice(['zlib', 'zstd']), help='Compress it.')
@keys_option
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
    atomic: bool,
    skip_same: bool,
    codec: str | None,
    encryption: Encryption | None,
    resume: bool,
    no_progress: bool,
    **options: Any,
) -> None:
    """Store FILES in BUCKET.

    '-' is standard input and needs a --name. An object of the same name is replaced, once the
    new one is there as a whole. With keys it is encrypted with the first of them.
    """
    _check_files(files, name, atomic, one_by_one=resume or skip_same)
    options.update(
        description=description,
        headers=header_map(headers) or None,
        metadata=dict(metadata) or None,
        ttl=None if ttl is None else ttl // 1_000_000,
        codec=[one for one in (codec, encryption) if one is not None],
    )
    with (
        _told_to_go_on(resume),
        opened(run, bucket) as (session, store),
        _there_already(options['if_absent'], bucket),
    ):
        names = [file.name if name is None else name for file in files]
        if atomic:
            objects = [(each, file, options) for each, file in zip(names, files, strict=True)]
            stored = session.call(store.commit, objects)
            for info in stored:
                run.out.say(f'stored {_what(run, info["name"], info["size"])}')
        else:
            way = _resumable(session, store) if resume else partial(store.put, skip_same=skip_same)
            stored = []
            for each, file in zip(names, files, strict=True):
                put = partial(way, each, file) if file != PIPED else partial(put_piped, store, each)
                stored.append(_stored(run, session, each, put, not no_progress, options))
    if run.out.json:
        run.out.data(stored if len(files) > 1 else stored[0])


def _check_files(files: tuple[Path, ...], name: str | None, atomic: bool, one_by_one: bool) -> None:
    """Refuse what cannot be stored, or not so."""
    if name is not None and len(files) > 1:
        raise click.UsageError('--name is for one file')
    if PIPED in files and name is None:
        raise click.UsageError("'-' needs a --name")
    if PIPED in files and (one_by_one or atomic):
        raise click.UsageError('--resume, --skip-same and --atomic need files, no standard input')
    if atomic and one_by_one:
        raise click.UsageError('--atomic goes neither with --resume nor with --skip-same')
    for file in files:
        if file.is_dir():
            raise click.UsageError(f'{file} is a directory; see: natsev object sync')


def _stored(
    run: Run,
    session: Session,
    name: str,
    put: Callable[..., Any],
    shown: bool,
    options: Mapping[str, Any],
) -> Mapping[str, Any]:
    """Do one *put* with a bar, say that it is done, and return its info."""
    with bar(label(name), of_bytes=True, shown=shown) as progress:
        started = perf_counter()
        info: Mapping[str, Any] = session.call(put, progress=progress, **options)
        seconds = perf_counter() - started
    run.out.say(f'stored {_summary(run, info, seconds)}')
    return info


@contextmanager
def _there_already(if_absent: bool, bucket: str) -> Iterator[None]:
    """Say of --if-absent what it is that somebody else was first with."""
    try:
        yield
    except WrongSequenceError as err:
        if not if_absent:
            raise
        text = f'there is an object of that name in the bucket {bucket!r}'
        raise WrongSequenceError(err.code, err.err_code, text) from None


@contextmanager
def _told_to_go_on(resume: bool) -> Iterator[None]:
    """Say after an interruption what is to be done."""
    try:
        yield
    except KeyboardInterrupt:
        if resume:
            note('the same command goes on from here')
        raise


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
@keys_option
@click.option('--resume', is_flag=True, help='Go on with a get of it that broke off.')
@click.option('--no-progress', is_flag=True, help='Draw no bar.')
@with_run
def get(
    run: Run,
    bucket: str,
    name: str,
    output: Path | None,
    force: bool,
    encryption: Encryption | None,
    no_progress: bool,
    **options: Any,
) -> None:
    """Fetch the object NAME into a file.

    It has the name of the object, without directories, unless --output says another. The file
    appears when all of it has come and its digest is right. Standard output, a device or a pipe
    is written as it comes: only the exit code says whether it was right.
    """
    path = output if output is not None else Path(Path(name).name or 'object')
    if path != PIPED and path.is_dir():
        path = path / Path(name).name
    direct = written_as_it_comes(path)
    if direct and options['resume']:
        what = 'standard output' if path == PIPED else path
        raise click.UsageError(f'--resume needs a file, not {what}')
    if not direct and path.exists() and not force:
        raise click.UsageError(f'{path} is there already; --force replaces it')
    with (
        _told_to_go_on(options['resume']),
        opened(run, bucket, encryption) as (session, store),
        bar(label(name), of_bytes=True, shown=not no_progress) as progress,
        to_stdout(),
        target(path) as into,
    ):
        started = perf_counter()
        got, _, meta = session.results(store.get, name, into=into, progress=progress, **options)
        seconds = perf_counter() - started
    if got is None:
        raise absent(bucket, name, options['version'])
    if not direct:
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
@click.argument('names', nargs=-1)
@click.option('--prefix', help="Instead: all whose names begin so; '' for all.")
@click.option('--older-than', type=duration, help='Instead, or of these: stored longer ago.')
@click.option('--dry-run', is_flag=True, help='Say what would be deleted, do nothing.')
@click.option('-f', '--force', is_flag=True, help='Do not ask.')
@with_run
def rm(
    run: Run,
    bucket: str,
    names: tuple[str, ...],
    prefix: str | None,
    older_than: int | None,
    dry_run: bool,
    force: bool,
) -> int | None:
    """Delete objects of BUCKET, those named or all that match."""
    matching = prefix is not None or older_than is not None
    if bool(names) == matching:
        raise click.UsageError('say either NAMES, or --prefix and --older-than')
    if names and dry_run:
        raise click.UsageError('--dry-run is for --prefix and --older-than')
    if names:
        return _delete(run, bucket, names)
    if not dry_run:
        confirm(f'Delete all objects of {bucket} that match?', force)
    age = None if older_than is None else timedelta_of(older_than)
    with opened(run, bucket) as (session, store):
        report = session.call(store.delete_many, prefix=prefix, older_than=age, dry_run=dry_run)
    if run.out.json:
        run.out.data(report)
    else:
        for name in report['deleted']:
            if dry_run:
                run.out.fields('delete', name)
            else:
                run.out.say(f'deleted {name}')
        for name in report['changed']:
            note(f'{name}: was replaced meanwhile, and stays')
    return CONFLICT if report['changed'] else None


@object_.command()
@click.argument('file', type=_FILE)
@click.option('--id', 'key_id', help="The key's id; default: today's date.")
@with_run
def keygen(run: Run, file: Path, key_id: str | None) -> None:
    """Make a key to encrypt objects with.

    FILE is then for put, get and sync with --key-file. Whoever loses it loses the objects. A
    file may have several keys, a line for each: the first encrypts, all of them decrypt.
    """
    key_id = key_id or date.today().isoformat()
    keyfile.write_new(file, key_id)
    run.out.done(f'wrote the key {key_id} to {file}', {'id': key_id, 'path': str(file)})


@object_.command(name='del')
@click.argument('bucket')
@click.argument('names', nargs=-1)
@click.option('-f', '--force', is_flag=True, help='Do not ask.')
@with_run
def del_(run: Run, bucket: str, names: tuple[str, ...], force: bool) -> int | None:
    """Delete BUCKET and all it holds, or only NAMES."""
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
                run.out.say(f'deleted {name}')
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
    chunks = f' in {count_of(meta["chunks"], "chunk")}'
    return _amount(run, meta['name'], meta['size'], seconds, chunks)


def _amount(run: Run, name: str, count: int, seconds: float, where: str = '') -> str:
    rate = f', {show_size(count / seconds)}/s' if run.out.terminal else ''
    return f'{_what(run, name, count)}{where}{rate}'


def _what(run: Run, name: str, count: int) -> str:
    return f'{name}: {show_size(count) if run.out.terminal else f"{count} bytes"}'
