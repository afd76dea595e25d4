"""``natsev stream``: make, look at, change, purge and delete streams, and read what is in them."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from .command import Group, Run, with_run
from .messages import Printer
from .output import Column, note, show_time
from .values import duration, metadata, show_duration, show_limit, show_size, size

_COLUMNS = [
    Column('Name', lambda info: info['config']['name']),
    Column('Description', lambda info: info['config'].get('description', '')),
    Column('Created', lambda info: info.get('created', ''), show_time),
    Column('Messages', lambda info: info['state']['messages'], '{:,}'.format, right=True),
    Column('Size', lambda info: info['state']['bytes'], show_size, right=True),
    Column('Last message', lambda info: info['state'].get('last_ts', ''), show_time),
]


def config_options(command: Any) -> Any:
    """Add the options that a stream's configuration is made of."""
    for option in reversed(_CONFIG):
        command = option(command)
    return command


_CONFIG = [
    click.option('--config', 'file', type=click.Path(exists=True, dir_okay=False, path_type=Path),
                 help='A JSON file of the configuration; options add to it.'),
    click.option('--subjects', metavar='LIST', help='Subjects, separated by commas.'),
    click.option('--description', help='What it is for.'),
    click.option('--storage', type=click.Choice(['file', 'memory']), help='Default: file.'),
    click.option('--retention', type=click.Choice(['limits', 'interest', 'workqueue']),
                 help='Default: limits.'),
    click.option('--discard', type=click.Choice(['old', 'new']), help='When it is full.'),
    click.option('--max-msgs', type=int, help='Most messages.'),
    click.option('--max-msgs-per-subject', type=int, help='Most messages on one subject.'),
    click.option('--max-bytes', type=size, help='Most bytes.'),
    click.option('--max-age', type=duration, help='How long messages are kept.'),
    click.option('--max-msg-size', type=size, help='The largest message.'),
    click.option('--dupe-window', 'duplicate_window', type=duration,
                 help='How long a message id is remembered.'),
    click.option('--replicas', 'num_replicas', type=click.IntRange(1), help='Copies in a cluster.'),
    click.option('--compression', type=click.Choice(['none', 's2']), help='In the file store.'),
    click.option('--metadata', type=metadata, multiple=True, help='name=value'),
    click.option('--allow-direct/--no-allow-direct', default=None, help='Any replica may be read.'),
    click.option('--allow-rollup', 'allow_rollup_hdrs', is_flag=True, default=None,
                 help='A message may replace those before it.'),
    click.option('--allow-msg-ttl', is_flag=True, default=None, help='Messages may have a TTL.'),
    click.option('--deny-delete', is_flag=True, default=None, help='No message may be deleted.'),
    click.option('--deny-purge', is_flag=True, default=None, help='It may not be purged.'),
]  # fmt: skip


def make_config(name: str, file: Path | None, given: Mapping[str, Any]) -> dict[str, Any]:
    """Return a stream's configuration from a file and options."""
    config: dict[str, Any] = json.loads(file.read_text()) if file else {}
    config.update({key: value for key, value in given.items() if value not in (None, ())})
    if isinstance(config.get('subjects'), str):
        config['subjects'] = [each.strip() for each in config['subjects'].split(',')]
    if isinstance(config.get('metadata'), tuple):
        config['metadata'] = dict(config['metadata'])
    return {**config, 'name': name}


@click.command(cls=Group)
def stream() -> None:
    """Make, look at, change, purge and delete streams."""


@stream.command()
@click.option('--subject', help='Only streams that take messages on this subject.')
@click.option('-n', '--names', is_flag=True, help='Names only.')
@with_run
def ls(run: Run, subject: str | None, names: bool) -> None:
    """List the streams."""
    with run.session() as session:
        if names:
            found = session.call(session.js.stream_names, subject=subject)
            run.out.table([Column('Name', str)], sorted(found))
        else:
            found = session.call(session.js.stream_list, subject=subject)
            run.out.table(_COLUMNS, sorted(found, key=lambda info: info['config']['name']))


@stream.command()
@click.argument('name')
@with_run
def info(run: Run, name: str) -> None:
    """Show a stream's configuration and state."""
    with run.session() as session:
        _show(run, session.call(session.js.stream_info, name))


@stream.command()
@click.argument('name')
@config_options
@with_run
def add(run: Run, name: str, file: Path | None, **given: Any) -> None:
    """Make a stream."""
    config = make_config(name, file, given)
    config.setdefault('subjects', [name])
    with run.session() as session:
        _show(run, session.call(session.js.stream_create, config))


@stream.command()
@click.argument('name')
@config_options
@with_run
def edit(run: Run, name: str, file: Path | None, **given: Any) -> None:
    """Change a stream's configuration; what is not said stays."""
    changes = make_config(name, file, given)
    with run.session() as session:
        present = session.call(session.js.stream_info, name)['config']
        config = {**present, **changes}
        if 'metadata' in changes:
            config['metadata'] = {**present.get('metadata', {}), **changes['metadata']}
        _show(run, session.call(session.js.stream_update, _ours(config)))


def _ours(config: Mapping[str, Any]) -> dict[str, Any]:
    """Leave out the server's own notes, which it does not take back."""
    mine = {k: v for k, v in config.get('metadata', {}).items() if not k.startswith('_nats.')}
    return {**config, 'metadata': mine} if 'metadata' in config else dict(config)


@stream.command()
@click.argument('name')
@click.option('-f', '--force', is_flag=True, help='Do not ask.')
@with_run
def rm(run: Run, name: str, force: bool) -> None:
    """Delete a stream and all that is in it."""
    confirm(f'Delete the stream {name} and all that is in it?', force)
    with run.session() as session:
        answer = session.call(session.js.stream_delete, name)
    run.out.done(f'deleted the stream {name}', answer)


@stream.command()
@click.argument('name')
@click.option('--subject', 'filter', help='Only messages on this subject.')
@click.option('--seq', type=int, help='Only messages before this one.')
@click.option('--keep', type=int, help='All but the last so many.')
@click.option('-f', '--force', is_flag=True, help='Do not ask.')
@with_run
def purge(run: Run, name: str, force: bool, **given: Any) -> None:
    """Delete messages of a stream."""
    confirm(f'Purge the stream {name}?', force)
    opts = {key: value for key, value in given.items() if value is not None}
    with run.session() as session:
        answer = session.call(session.js.stream_purge, name, opts)
    run.out.done(f'purged {answer["purged"]} messages', answer)


@stream.command()
@click.argument('name')
@click.argument('seq', type=int, required=False)
@click.option('--last-for', metavar='SUBJECT', help='The last message on this subject.')
@click.option('-r', '--raw', is_flag=True, help='Print the payload only.')
@with_run
def get(run: Run, name: str, seq: int | None, last_for: str | None, raw: bool) -> None:
    """Print one message of a stream."""
    if (seq is None) == (last_for is None):
        raise click.UsageError('say one of SEQ and --last-for')
    opts = {'seq': seq} if seq is not None else {'last_by_subj': last_for}
    with run.session() as session:
        found = session.call(session.js.stream_msg_get, name, opts)
    more = {'seq': found['seq'], 'time': found['time'].isoformat()}
    Printer(run, raw).show(found['subject'], found['payload'], None, found['headers'], **more)


@stream.command()
@click.argument('name')
@click.option('--subject', multiple=True, help='Only messages on this subject.')
@click.option('--since', 'seq', type=int, help='Begin at this sequence.')
@click.option('-n', '--count', type=click.IntRange(1), help='End after so many.')
@click.option('--follow', is_flag=True, help='Go on with what comes, until Ctrl-C.')
@click.option('-r', '--raw', is_flag=True, help='Print payloads only, a line for each.')
@with_run
def view(
    run: Run,
    name: str,
    subject: tuple[str, ...],
    seq: int | None,
    count: int | None,
    follow: bool,
    raw: bool,
) -> None:
    """Print the messages of a stream, without touching its consumers."""
    printer, ends = Printer(run, raw), []
    opts: dict[str, Any] = {'opt_start_seq': seq} if seq is not None else {}
    with run.session() as session:

        def on_message(message: Any) -> None:
            if count is None or printer.count < count:
                show_message(printer, message)
                session.wake()

        def ended(err: Any) -> None:
            ends.append(err)
            session.wake()

        caught_up: list[bool] = []

        def on_caught_up() -> None:
            caught_up.append(True)
            session.wake()

        reading = session.js.ordered(
            name,
            on_message,
            filter_subjects=list(subject) or None,
            on_caught_up=on_caught_up,
            on_end=ended,
            **opts,
        )
        try:
            if follow:
                note(f'following {name}; Ctrl-C ends')
            session.run(lambda: bool(ends or (caught_up and not follow) or printer.count == count))
        except KeyboardInterrupt:
            if not follow:
                raise
        finally:
            reading.stop()
        if ends and ends[0] is not None:
            raise ends[0]


def show_message(printer: Printer, message: Any) -> None:
    """Print a message of a stream with its place there."""
    more = {'seq': message.seq, 'time': message.timestamp.isoformat()}
    printer.show(message.subject, message.payload, None, message.headers, **more)


def confirm(question: str, force: bool) -> None:
    """Ask on a terminal; elsewhere insist on --force.

    Raises:
        click.UsageError, click.Abort: it is not to be done.
    """
    if force:
        return
    if not sys.stdin.isatty():
        raise click.UsageError('nobody to ask: say --force')
    click.confirm(question, abort=True, err=True)


def _show(run: Run, found: Mapping[str, Any]) -> None:
    config, state = found['config'], found['state']
    cluster = found.get('cluster') or {}
    facts = {
        'Description': config.get('description'),
        'Subjects': config.get('subjects'),
        'Created': show_time(found.get('created')),
        'Storage': config['storage'],
        'Compression': config.get('compression'),
        'Replicas': config['num_replicas'],
        'Leader': cluster.get('leader'),
        'Retention': config['retention'],
        'Discard': config['discard'],
        'Most messages': show_limit(config['max_msgs']),
        'Most per subject': show_limit(config['max_msgs_per_subject']),
        'Most bytes': show_size(config['max_bytes']),
        'Kept for': show_duration(config['max_age']) if config['max_age'] else 'ever',
        'Duplicate window': show_duration(config.get('duplicate_window', 0)),
        'Sealed': config.get('sealed') or None,
        'Metadata': config.get('metadata'),
        'Messages': f'{state["messages"]:,}',
        'Size': show_size(state['bytes']),
        'First': f'{state["first_seq"]}, {show_time(state.get("first_ts"))}',
        'Last': f'{state["last_seq"]}, {show_time(state.get("last_ts"))}',
        'Deleted messages': state.get('num_deleted'),
        'Subjects in use': state.get('num_subjects'),
        'Consumers': state['consumer_count'],
    }
    run.out.record(f'Stream {config["name"]}', facts, found)
