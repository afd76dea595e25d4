"""``natsev bench``: how fast this client is on that server."""

from __future__ import annotations

from collections.abc import Callable
from time import perf_counter
from typing import Any

import click

from .. import NatsError
from ..nuid import next_nuid
from .command import Group, Run, with_run
from .output import Column, note
from .progress import Progress, bar
from .session import Session
from .stores import opened
from .values import show_size, size

# Messages published between two looks at the answers and at the bar.
_BATCH = 500
_Row = dict[str, Any]


@click.command(cls=Group)
def bench() -> None:
    """Measure how fast messages and objects go."""


def _options(msgs: int) -> Callable[[Any], Any]:
    def add(command: Any) -> Any:
        command = click.option(
            '--size', 'length', type=size, default='128', show_default=True, help='Of a payload.'
        )(command)
        return click.option(
            '--msgs', type=click.IntRange(1), default=msgs, show_default=True, help='How many.'
        )(command)

    return add


@bench.command()
@click.argument('subject')
@_options(500_000)
@with_run
def pub(run: Run, subject: str, msgs: int, length: int) -> None:
    """Publish to SUBJECT as fast as the server takes it."""
    payload = b'x' * length
    with run.session() as session, bar('publishing', of_bytes=False) as progress:
        started = perf_counter()
        for first in range(0, msgs, _BATCH):
            count = min(_BATCH, msgs - first)
            for _ in range(count):
                session.nats.publish(subject, payload)
            if session.nats.pending_bytes > 1 << 20:
                session.call(session.nats.flush)
            progress(first + count, msgs)
        session.call(session.nats.flush)
        _report(run, 'published', msgs, length, perf_counter() - started)


@bench.command()
@click.argument('subject')
@_options(500_000)
@with_run
def sub(run: Run, subject: str, msgs: int, length: int) -> None:
    """Receive messages on SUBJECT.

    The clock starts with the first of them; publish them elsewhere.
    """
    received, started = 0, 0.0
    total = 0
    with run.session() as session, bar('receiving', of_bytes=False) as progress:

        def on_message(_: str, payload: bytes) -> None:
            nonlocal received, started, total
            received += 1
            total += len(payload)
            if received == 1:
                started = perf_counter()
            if received % _BATCH == 0 or received == msgs:
                progress(received, msgs)
            if received == msgs:
                session.wake()

        session.nats.subscribe_max(subject, on_message, msgs)
        session.call(session.nats.flush)
        note(f'listening on {subject}')
        session.run(lambda: received >= msgs)
        _report(run, 'received', msgs, total // msgs, perf_counter() - started)


@bench.command()
@click.argument('subject')
@_options(100_000)
@click.option('--pending', type=click.IntRange(1), default=100, show_default=True,
              help='Requests on their way at a time.')  # fmt: skip
@with_run
def req(run: Run, subject: str, msgs: int, length: int, pending: int) -> None:
    """Send requests to SUBJECT.

    Something must answer there: natsev reply SUBJECT --echo.
    """

    def send(session: Session, told: Callable[[NatsError | None], None]) -> None:
        session.nats.request(
            subject, payload, lambda _, err: told(err), timeout=run.settings.timeout_ms
        )

    payload = b'x' * length
    _window(run, 'answered', msgs, length, pending, send)


@bench.command()
@click.argument('subject')
@_options(100_000)
@click.option('--pending', type=click.IntRange(1), default=500, show_default=True,
              help='Messages on their way at a time.')  # fmt: skip
@with_run
def js(run: Run, subject: str, msgs: int, length: int, pending: int) -> None:
    """Publish to SUBJECT, and have a stream acknowledge each message."""

    def send(session: Session, told: Callable[[NatsError | None], None]) -> None:
        session.js.js_publish(subject, payload, lambda _, err: told(err))

    payload = b'x' * length
    _window(run, 'stored', msgs, length, pending, send)


@bench.command(name='object')
@click.option('--size', 'length', type=size, default='64MiB', show_default=True, help='Of one.')
@click.option('--count', type=click.IntRange(1), default=4, show_default=True, help='How many.')
@click.option('--chunk-size', type=size, help='Default: 128KiB.')
@click.option('--storage', type=click.Choice(['file', 'memory']), default='file', show_default=True)
@with_run
def object_(run: Run, length: int, count: int, chunk_size: int | None, storage: str) -> None:
    """Put objects into a bucket, and get them back.

    The bucket is made for it, and deleted. Without a server named a private one is used, as with
    'natsev object'.
    """
    data = bytes(length)
    rows = []

    def measure(what: str, session: Session, step: Callable[..., Any]) -> None:
        started = perf_counter()
        for number in range(1, count + 1):
            with bar(f'{what} {number} of {count}', of_bytes=True) as progress:
                session.call(step, str(number), progress)
        rows.append(_row(what, count, length, perf_counter() - started, 'objects'))

    with opened(run, f'bench-{next_nuid()}') as (session, store):

        def put(name: str, progress: Progress, told: Callable[..., Any]) -> Any:
            return store.put(name, data, told, chunk_size=chunk_size, progress=progress)

        def get(name: str, progress: Progress, told: Callable[..., Any]) -> Any:
            return store.get_stream(name, lambda chunk: None, told, progress=progress)

        session.call(store.create_bucket, {'storage': storage})
        try:
            measure('stored', session, put)
            measure('fetched', session, get)
        finally:
            session.call(store.delete_bucket)
    _table(run, 'Objects', rows)


def _window(
    run: Run, what: str, msgs: int, length: int, pending: int, send: Callable[..., None]
) -> None:
    """Keep *pending* of *msgs* operations going; ``send(session, told)`` begins one."""
    sent = ended = 0
    failures: list[NatsError] = []
    with run.session() as session, bar(what, of_bytes=False) as progress:

        def begin() -> None:
            nonlocal sent
            while sent < msgs and sent - ended < pending and not failures:
                sent += 1
                send(session, told)

        def told(err: NatsError | None) -> None:
            nonlocal ended
            ended += 1
            if err is not None:
                failures.append(err)
            if ended % _BATCH == 0:
                progress(ended, msgs)
            if failures or ended == msgs:
                session.wake()
            begin()

        started = perf_counter()
        begin()
        session.run(lambda: bool(failures) or ended == msgs)
        if failures:
            raise failures[0]
        _report(run, what, msgs, length, perf_counter() - started)


def _report(run: Run, what: str, msgs: int, length: int, seconds: float) -> None:
    _table(run, 'Messages', [_row(what, msgs, length, seconds)])


def _row(what: str, count: int, length: int, seconds: float, noun: str = 'messages') -> _Row:
    rate = count / seconds
    return {
        'what': what,
        noun: count,
        'size': length,
        'seconds': round(seconds, 6),
        f'{noun}_per_second': round(rate) if rate >= 100 else round(rate, 2),
        'bytes_per_second': round(count * length / seconds),
    }


def _table(run: Run, title: str, rows: list[_Row]) -> None:
    noun = title.lower()
    columns = [
        Column('', lambda row: row['what']),
        Column(title, lambda row: row[noun], '{:,}'.format, right=True),
        Column('Size', lambda row: row['size'], show_size, right=True),
        Column('Time', lambda row: row['seconds'], '{:.2f} s'.format, right=True),
        Column('Rate', lambda row: row[f'{noun}_per_second'], '{:,}/s'.format, right=True),
        Column('Throughput', lambda row: row['bytes_per_second'], _per_second, right=True),
    ]
    run.out.table(columns, rows)


def _per_second(count: float) -> str:
    return f'{show_size(count)}/s'
