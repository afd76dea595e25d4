"""``natsev consumer``: make, look at, pause and delete consumers, and take messages from them."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta, timezone
from typing import Any

import click

from .. import NatsError
from .command import Group, Run, with_run
from .messages import Printer
from .output import Column, note, show_time
from .streams import confirm, show_message
from .values import duration, metadata, show_duration, show_limit

_COLUMNS = [
    Column('Name', lambda info: info['name']),
    Column('Kind', lambda info: 'push' if info['config'].get('deliver_subject') else 'pull'),
    Column('Acks', lambda info: info['config'].get('ack_policy', '')),
    Column('Unprocessed', lambda info: info['num_pending'], '{:,}'.format, right=True),
    Column('Unacknowledged', lambda info: info['num_ack_pending'], '{:,}'.format, right=True),
    Column('Redelivered', lambda info: info['num_redelivered'], '{:,}'.format, right=True),
    Column('Last delivery', lambda info: info['delivered'].get('last_active', ''), show_time),
]
_DELIVER = ['all', 'last', 'new', 'last_per_subject']


@click.command(cls=Group)
def consumer() -> None:
    """Make, look at and delete consumers; take messages."""


@consumer.command()
@click.argument('stream')
@click.option('-n', '--names', is_flag=True, help='Names only.')
@with_run
def ls(run: Run, stream: str, names: bool) -> None:
    """List the consumers of STREAM."""
    with run.session() as session:
        if names:
            found = session.call(session.js.consumer_names, stream)
            run.out.table([Column('Name', str)], sorted(found))
        else:
            found = session.call(session.js.consumer_list, stream)
            run.out.table(_COLUMNS, sorted(found, key=lambda info: info['name']))


@consumer.command()
@click.argument('stream')
@click.argument('name')
@with_run
def info(run: Run, stream: str, name: str) -> None:
    """Show a consumer's configuration and state."""
    with run.session() as session:
        _show(run, session.call(session.js.consumer_info, stream, name))


@consumer.command()
@click.argument('stream')
@click.argument('name')
@click.option('--ephemeral', is_flag=True, help='It goes when it was not used for a while.')
@click.option('--filter', 'filters', multiple=True, metavar='SUBJECT', help='Only this subject.')
@click.option('--deliver', 'deliver_policy', type=click.Choice(_DELIVER), default='all',
              help='Where to begin.')  # fmt: skip
@click.option('--start-seq', 'opt_start_seq', type=int, help='Begin at this sequence.')
@click.option('--ack', 'ack_policy', type=click.Choice(['explicit', 'all', 'none']),
              default='explicit', help='Which messages must be acknowledged.')  # fmt: skip
@click.option('--wait', 'ack_wait', type=duration, help='For an acknowledgement.')
@click.option('--max-deliver', type=int, help='Deliveries of one message.')
@click.option('--max-pending', 'max_ack_pending', type=int, help='Most unacknowledged messages.')
@click.option('--headers-only', is_flag=True, default=None, help='Leave the payloads out.')
@click.option('--inactive-threshold', type=duration, help='How long an unused one is kept.')
@click.option('--replicas', 'num_replicas', type=int, help='Copies in a cluster.')
@click.option('--target', 'deliver_subject', metavar='SUBJECT', help='Push messages to it.')
@click.option('--deliver-group', metavar='GROUP', help='Of a push consumer.')
@click.option('--description', help='What it is for.')
@click.option('--metadata', type=metadata, multiple=True, help='name=value')
@with_run
def add(
    run: Run, stream: str, name: str, ephemeral: bool, filters: tuple[str, ...], **given: Any
) -> None:
    """Make a consumer of STREAM.

    It is a pull consumer, unless it has a --target.
    """
    config = {key: value for key, value in given.items() if value not in (None, ())}
    config['name' if ephemeral else 'durable_name'] = name
    if 'metadata' in config:
        config['metadata'] = dict(config['metadata'])
    if 'opt_start_seq' in config:
        config['deliver_policy'] = 'by_start_sequence'
    if len(filters) == 1:
        config['filter_subject'] = filters[0]
    elif filters:
        config['filter_subjects'] = list(filters)
    with run.session() as session:
        _show(run, session.call(session.js.consumer_create, stream, config))


@consumer.command()
@click.argument('stream')
@click.argument('name')
@click.option('-f', '--force', is_flag=True, help='Do not ask.')
@with_run
def rm(run: Run, stream: str, name: str, force: bool) -> None:
    """Delete a consumer."""
    confirm(f'Delete the consumer {name} of {stream}?', force)
    with run.session() as session:
        answer = session.call(session.js.consumer_delete, stream, name)
    run.out.done(f'deleted the consumer {name}', answer)


@consumer.command()
@click.argument('stream')
@click.argument('name')
@click.argument('how_long', metavar='DURATION', type=duration)
@with_run
def pause(run: Run, stream: str, name: str, how_long: int) -> None:
    """Let a consumer deliver nothing for DURATION."""
    until = datetime.now(timezone.utc) + timedelta(microseconds=how_long / 1000)
    with run.session() as session:
        answer = session.call(session.js.consumer_pause, stream, name, until)
    run.out.done(f'paused until {show_time(answer["pause_until"])}', answer)


@consumer.command()
@click.argument('stream')
@click.argument('name')
@with_run
def resume(run: Run, stream: str, name: str) -> None:
    """Let a paused consumer go on."""
    with run.session() as session:
        answer = session.call(session.js.consumer_resume, stream, name)
    run.out.done(f'{name} goes on', answer)


@consumer.command(name='next')
@click.argument('stream')
@click.argument('name')
@click.option('-n', '--count', type=click.IntRange(1), default=1, help='At most so many.')
@click.option('--ack/--no-ack', default=True, help='Acknowledge what was printed.')
@click.option('-r', '--raw', is_flag=True, help='Print payloads only, a line for each.')
@with_run
def next_(run: Run, stream: str, name: str, count: int, ack: bool, raw: bool) -> None:
    """Take the next messages from a consumer.

    They are waited for for --timeout.
    """
    printer = Printer(run, raw)
    opts = {'batch': count, 'expires': round(run.settings.timeout_ms * 1_000_000)}
    with run.session() as session:
        messages = session.call(session.js.fetch, stream, name, opts)
        for message in messages:
            show_message(printer, message)
            if ack:
                session.call(message.ack)
    if not messages:
        note('no message came')


@consumer.command()
@click.argument('stream')
@click.argument('name')
@click.option('-n', '--count', type=click.IntRange(1), help='End after so many messages.')
@click.option('--ack/--no-ack', default=True, help='Acknowledge what was printed.')
@click.option('-r', '--raw', is_flag=True, help='Print payloads only, a line for each.')
@with_run
def sub(run: Run, stream: str, name: str, count: int | None, ack: bool, raw: bool) -> None:
    """Print the messages of a consumer as they come, until Ctrl-C."""
    printer, ends = Printer(run, raw), []
    # No more is asked for than will be printed, so that nothing waits for its redelivery.
    opts = {'batch': count, 'threshold': 0} if count is not None else {}
    with run.session() as session:

        def on_message(message: Any) -> None:
            if count is None or printer.count < count:
                show_message(printer, message)
                if ack:
                    message.ack()
            else:
                message.nak()
            session.wake()

        def ended(err: NatsError | None) -> None:
            ends.append(err)
            session.wake()

        taking = session.js.consume(stream, name, on_message, on_end=ended, **opts)
        try:
            note(f'taking messages of {name}; Ctrl-C ends')
            session.run(lambda: bool(ends) or printer.count == count)
        except KeyboardInterrupt:
            if count is not None:
                raise
        finally:
            taking.stop()
        if ends and ends[0] is not None:
            raise ends[0]
        session.call(session.nats.flush, timeout=run.settings.timeout_ms)


def _show(run: Run, found: Mapping[str, Any]) -> None:
    config = found['config']
    facts = {
        'Description': config.get('description'),
        'Kind': 'push' if config.get('deliver_subject') else 'pull',
        'Delivers to': config.get('deliver_subject'),
        'Durable': bool(config.get('durable_name')),
        'Created': show_time(found.get('created')),
        'Filters': config.get('filter_subjects') or config.get('filter_subject'),
        'Begins with': config.get('deliver_policy'),
        'Acks': config.get('ack_policy'),
        'Waits for an ack': show_duration(config.get('ack_wait', 0)),
        'Most deliveries': show_limit(config.get('max_deliver', -1)),
        'Most unacknowledged': show_limit(config.get('max_ack_pending', -1)),
        'Replicas': config.get('num_replicas'),
        'Metadata': config.get('metadata'),
        'Paused': found.get('paused') or None,
        'Last delivered': f'{found["delivered"]["stream_seq"]} of the stream',
        'Acknowledged to': f'{found["ack_floor"]["stream_seq"]} of the stream',
        'Unacknowledged': f'{found["num_ack_pending"]:,}',
        'Redelivered': f'{found["num_redelivered"]:,}',
        'Unprocessed': f'{found["num_pending"]:,}',
        'Waiting requests': found.get('num_waiting'),
    }
    run.out.record(f'Consumer {found["name"]} of {found["stream_name"]}', facts, found)
