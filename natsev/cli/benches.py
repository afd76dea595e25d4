"""``natsev bench``: how fast this client is on that server."""

from __future__ import annotations

from collections.abc import Callable
from time import perf_counter
from typing import Any

import click

from .. import NatsError
from .command import Group, Run, with_run
from .output import Column, note
from .progress import bar
from .session import Session
from .values import show_size, size

# Messages published between two looks at the answers and at the bar.
_BATCH = 500


@click.command(cls=Group)
def bench() -> None:
    """Measure how many messages a second there can be."""


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
    """Receive messages on SUBJECT, from the first of them on; publish them elsewhere."""
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
    """Send requests to SUBJECT, where something must answer (natsev reply SUBJECT --echo)."""

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
    row = {
        'what': what,
        'messages': msgs,
        'size': length,
        'seconds': round(seconds, 6),
        'messages_per_second': round(msgs / seconds),
        'bytes_per_second': round(msgs * length / seconds),
    }
    columns = [
        Column('', lambda row: row['what']),
        Column('Messages', lambda row: row['messages'], '{:,}'.format, right=True),
        Column('Size', lambda row: row['size'], show_size, right=True),
        Column('Time', lambda row: row['seconds'], '{:.2f} s'.format, right=True),
        Column('Rate', lambda row: row['messages_per_second'], '{:,}/s'.format, right=True),
        Column('Throughput', lambda row: row['bytes_per_second'], _per_second, right=True),
    ]
    run.out.table(columns, [row])


def _per_second(count: float) -> str:
    return f'{show_size(count)}/s'
