"""``natsev object``: tidying up, archives, and directories."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from shutil import copyfileobj
from tempfile import TemporaryFile
from typing import IO, Any

import click

from .. import BucketNotFoundError, ObjectStore
from ..objectstore.archive.layout import Archive
from ..objectstore.codecs.encryption import Encryption
from .command import Command, Run, with_run
from .failures import CONFLICT, DAMAGED, FAILED
from .keyfile import keys_option
from .output import note
from .progress import Progress, bar
from .session import Session
from .stores import PIPED, label, opened, target, to_stdout, written_as_it_comes
from .values import count_of, duration, show_size, timedelta_of

_FILE = click.Path(path_type=Path, dir_okay=False)
_EXISTING = click.Path(path_type=Path, dir_okay=False, exists=True, allow_dash=True)
_DIRECTORY = click.Path(path_type=Path, file_okay=False)

# Options of a bucket that mean the same on another server.
_KEPT = ('description', 'max_bytes', 'max_age', 'storage', 'compression')

_prefix = click.option('--prefix', help='Only names that begin so.')
_dry_run = click.option('--dry-run', is_flag=True, help='Say what would be done, do nothing.')
_no_progress = click.option('--no-progress', is_flag=True, help='Draw no bar.')


_PROBLEMS = {
    'invalid': 'metadata that nobody can read',
    'spelling': 'metadata is not where the name belongs',
    'tombstone': 'a tombstone that some clients cannot read',
    'mtime': 'metadata that some clients cannot read',
    'shared': 'has its chunks in common with another name (rename the one to the other)',
}


@click.command(cls=Command)
@click.argument('bucket')
@click.option('--older-than', type=duration, default='1h', show_default=True,
              help='Leave alone what is younger: it may be on its way.')  # fmt: skip
@_dry_run
@with_run
def sweep(run: Run, bucket: str, older_than: int, dry_run: bool) -> int | None:
    """Tidy up what interrupted or faulty clients left in BUCKET.

    The exit code is 7 when there are objects that lack chunks, which nothing can repair.
    """
    age = timedelta_of(older_than)
    with opened(run, bucket) as (session, store):
        report = session.call(store.sweep, older_than=age, dry_run=dry_run)
    _say(run, (
        *(f'{each["name"]}: {each["found"]} of {each["chunks"]} chunks are there'
          for each in report['short']),
        *(f'{each["name"]}: {_PROBLEMS[each["problem"]]}, {_repaired(each, dry_run)}'
          for each in report['broken']),
        *(f'{each["name"]}: metadata in {len(each["subjects"])} places'
          for each in report['duplicates']),
    ))  # fmt: skip
    found = sum(each['chunks'] for each in report['orphans'])
    purged = f'{count_of(report["purged"], "chunk")} purged'
    chunks = f'{count_of(found, "stray chunk")} found' if dry_run else purged
    run.out.done(f'swept {bucket}: {count_of(report["objects"], "object")}, {chunks}', report)
    return DAMAGED if report['short'] else None


def _repaired(broken: Mapping[str, Any], dry_run: bool) -> str:
    if broken['repaired']:
        return 'repaired'
    return 'not repaired in a dry run' if dry_run else 'not repaired'


@click.command(cls=Command)
@click.argument('bucket')
@click.option('--older-than', type=duration, default='30m', show_default=True,
              help='Younger ones stay, for watches that are away for a moment.')  # fmt: skip
@with_run
def compact(run: Run, bucket: str, older_than: int) -> None:
    """Forget the deleted objects of BUCKET.

    Earlier versions that were kept of them are purged.
    """
    with opened(run, bucket) as (session, store):
        report = session.call(store.purge_deletes, older_than=timedelta_of(older_than))
    text = f'forgot {count_of(report["purged"], "deleted object")}, {report["kept"]} left'
    run.out.done(text, report)


@click.command(cls=Command)
@click.argument('direction', type=click.Choice(['to', 'from']))
@click.argument('bucket')
@click.argument('directory', type=_DIRECTORY)
@_prefix
@click.option('--delete', is_flag=True, help='Delete what is not on the other side.')
@_dry_run
@keys_option
@_no_progress
@with_run
def sync(
    run: Run,
    direction: str,
    bucket: str,
    directory: Path,
    prefix: str | None,
    delete: bool,
    dry_run: bool,
    encryption: Encryption | None,
    no_progress: bool,
) -> int | None:
    """Make BUCKET like DIRECTORY, or the other way round.

    'to' changes the bucket, 'from' changes the directory. Only what has other bytes is
    transferred. With --dry-run, a line says for each name what would become of it.
    """
    with (
        opened(run, bucket, encryption) as (session, store),
        _bar(directory.name, no_progress) as progress,
    ):
        report = session.call(
            store.sync_to_bucket if direction == 'to' else store.sync_from_bucket,
            directory,
            prefix=prefix,
            delete=delete,
            dry_run=dry_run,
            progress=_of_bytes(progress),
        )
    _say(run, (
        *(f'{each["name"]}: skipped: {each["reason"]}' for each in report['skipped']),
        *(f'{each["name"]}: {each["error"]}' for each in report['failed']),
    ))  # fmt: skip
    if dry_run and not run.out.json:
        for what, names in (('copy', report['transferred']), ('delete', report['deleted'])):
            for name in names:
                run.out.fields(what, name)
    else:
        run.out.done(
            f'synced {direction} {bucket}: {count_of(len(report["transferred"]), "file")} copied,'
            f' {report["unchanged"]} unchanged, {len(report["deleted"])} deleted',
            report,
        )
    return FAILED if report['failed'] else None


@click.command(cls=Command)
@click.argument('bucket')
@click.argument('file', type=_FILE)
@_prefix
@click.option('-f', '--force', is_flag=True, help='Replace a file that is there.')
@click.option('--resume', is_flag=True, help='Go on with an export that broke off.')
@_no_progress
@with_run
def export(
    run: Run,
    bucket: str,
    file: Path,
    prefix: str | None,
    force: bool,
    resume: bool,
    no_progress: bool,
) -> int | None:
    """Write the objects of BUCKET to an archive.

    FILE may be '-': standard output.
    """
    direct = written_as_it_comes(file)
    if not direct and file.exists() and not force:
        raise click.UsageError(f'{file} is there already; --force replaces it')
    with (
        opened(run, bucket) as (session, store),
        _bar(bucket, no_progress) as progress,
        to_stdout(),
        target(file) as into,
    ):
        report = session.call(
            store.export_bucket,
            into,
            prefix=prefix,
            resume=resume,
            progress=_of_bytes(progress),
        )
    _say(run, (f'{each["name"]}: {each["error"]}' for each in report['failed']))
    if not direct:
        run.out.done(f'exported {bucket}: {_amount(run, report)} into {file}', report)
    return FAILED if report['failed'] else None


@click.command(name='import', cls=Command)
@click.argument('file', type=_EXISTING)
@click.argument('bucket', required=False)
@click.option('--overwrite', is_flag=True, help='Replace objects that have other bytes.')
@click.option('--keep-revisions', is_flag=True, help='Note in metadata which they had.')
@click.option('--create', is_flag=True, help='Make the bucket, where it is not there, as it was.')
@_dry_run
@_no_progress
@with_run
def import_(
    run: Run,
    file: Path,
    bucket: str | None,
    overwrite: bool,
    keep_revisions: bool,
    create: bool,
    dry_run: bool,
    no_progress: bool,
) -> int | None:
    """Store the objects of an archive in BUCKET.

    FILE may be '-': standard input. Without BUCKET it is one of the name that they come from.
    The archive is verified first. The exit code is 6 when there are objects with other bytes,
    which stay as they are without --overwrite.
    """
    if create and dry_run:
        raise click.UsageError('--create is no dry run')
    with _seekable(file) as archive:
        about = Archive(archive).open()
        archive.seek(0)
        bucket = bucket or str(about['bucket'])
        with opened(run, bucket) as (session, store), _bar(file.name, no_progress) as progress:
            if create:
                _make_sure_of(session, store, about.get('config'))
            report = session.call(
                store.import_bucket,
                archive,
                overwrite=overwrite,
                revisions='keep' if keep_revisions else 'renew',
                dry_run=dry_run,
                progress=_of_bytes(progress),
            )
    _say(run, (f'{name}: is there with other bytes' for name in report['conflicts']))
    done = 'would import' if dry_run else 'imported'
    text = f'{done} {_amount(run, report)} into {bucket}, {report["unchanged"]} unchanged'
    run.out.done(text, report)
    return CONFLICT if report['conflicts'] else None


@contextmanager
def _seekable(file: Path) -> Iterator[IO[bytes]]:
    """Open the file; what comes through standard input is kept in a temporary one."""
    if file != PIPED:
        with file.open('rb') as archive:
            yield archive
        return
    with TemporaryFile() as archive:
        copyfileobj(sys.stdin.buffer, archive)
        archive.seek(0)
        yield archive


def _make_sure_of(session: Session, store: ObjectStore, config: Any) -> None:
    """Make the bucket, if it is not there, of what its stream was configured with."""
    try:
        session.call(store.status)
    except BucketNotFoundError:
        known = config if isinstance(config, dict) else {}
        kept = {option: known[option] for option in _KEPT if known.get(option)}
        session.call(store.create_bucket, kept)


def _bar(name: str, hidden: bool) -> Any:
    return bar(label(name), of_bytes=True, shown=not hidden)


def _of_bytes(progress: Progress) -> Any:
    """Return what shows the bytes done, of which nobody knows how many there will be."""
    return lambda count, size: progress(size, None)


def _say(run: Run, lines: Iterable[str]) -> None:
    """Say on stderr what needs attention; with JSON the report says it."""
    if not run.out.json:
        for line in lines:
            note(' '.join(line.split()))


def _amount(run: Run, report: Mapping[str, Any]) -> str:
    size = show_size(report['bytes']) if run.out.terminal else f'{report["bytes"]} bytes'
    return f'{count_of(report["objects"], "object")} of {size}'


commands = [sweep, compact, sync, export, import_]
