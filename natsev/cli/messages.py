"""``natsev pub``, ``sub``, ``req`` and ``reply``."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterable
from datetime import datetime, timezone
from typing import Any

import click

from .. import Headers, NatsError, NoResponders, RequestTimeout
from .command import Command, Run, with_run
from .output import note, payload_fields, printable
from .session import Session
from .values import duration, header

_headers = click.option(
    '-H', '--header', 'headers', type=header, multiple=True, help='A header, name:value.'
)
_body = click.argument('body', required=False)


def read_body(body: str | None) -> bytes:
    """Return the body given; ``-``, or none where something is piped in, is standard input."""
    if body == '-' or (body is None and not sys.stdin.isatty()):
        return sys.stdin.buffer.read()
    return (body or '').encode()


def expand(template: bytes, number: int) -> bytes:
    """Fill in ``{{.Count}}`` and its kin, as the official tool does."""
    if b'{{' not in template:
        return template
    now = datetime.now(timezone.utc)
    values = {
        'Count': str(number),
        'TimeStamp': now.isoformat(timespec='seconds'),
        'Unix': str(int(now.timestamp())),
        'UnixNano': str(time.time_ns()),
    }
    for name, value in values.items():
        for spelled in (f'{{{{{name}}}}}', f'{{{{.{name}}}}}'):
            template = template.replace(spelled.encode(), value.encode())
    return template


def header_map(pairs: Iterable[tuple[str, str]]) -> dict[str, list[str]]:
    """Return headers given one by one as a mapping."""
    found: dict[str, list[str]] = {}
    for name, value in pairs:
        found.setdefault(name, []).append(value)
    return found


def send(
    session: Session, subject: str, payload: bytes, headers: Any, reply_to: str | None = None
) -> None:
    """Publish, with headers where there are any."""
    if headers:
        session.nats.hpublish(subject, headers, payload, reply_to)
    else:
        session.nats.publish(subject, payload, reply_to)


@click.command(cls=Command)
@click.argument('subject')
@_body
@_headers
@click.option('--reply', metavar='SUBJECT', help='Where answers should go.')
@click.option('-n', '--count', type=click.IntRange(1), default=1, help='How many times.')
@click.option('--sleep', type=duration, default=0, help='Pause between two messages.')
@click.option('-J', '--jetstream', is_flag=True, help='Wait until a stream has stored each.')
@with_run
def pub(
    run: Run,
    subject: str,
    body: str | None,
    headers: Any,
    reply: str | None,
    count: int,
    sleep: int,
    jetstream: bool,
) -> None:
    """Publish BODY to SUBJECT.

    '-', or no BODY where something is piped in, takes standard input. {{Count}}, {{TimeStamp}},
    {{Unix}} and {{UnixNano}} in BODY are filled in.
    """
    template, sent_headers = read_body(body), header_map(headers)
    with run.session() as session:
        for number in range(1, count + 1):
            payload = expand(template, number)
            if jetstream:
                ack = session.call(session.js.js_publish, subject, payload, headers=sent_headers)
                run.out.done(f'stored in {ack["stream"]} as {ack["seq"]}', ack)
            else:
                send(session, subject, payload, sent_headers, reply)
            if number % 1000 == 0 or number == count or sleep:
                # Errors about what was published come before the answer to this.
                session.call(session.nats.flush, timeout=run.settings.timeout_ms)
            if sleep and number < count:
                time.sleep(sleep / 1_000_000_000)
    if not jetstream:
        messages = 'one message' if count == 1 else f'{count} messages'
        run.out.done(f'published {messages} to {subject}', {'subject': subject, 'count': count})


class Printer:
    """Prints the messages that come."""

    def __init__(self, run: Run, raw: bool, headers_only: bool = False) -> None:
        self.out = run.out
        self.raw = raw
        self.headers_only = headers_only
        self.count = 0

    def show(
        self, subject: str, payload: bytes, reply: str | None, headers: Headers | None, **more: Any
    ) -> None:
        """Print one message."""
        self.count += 1
        if self.out.json:
            message: dict[str, Any] = {'subject': subject, **more}
            if reply:
                message['reply'] = reply
            if headers:
                message['headers'] = {name: headers.get_all(name) for name in headers}
            if not self.headers_only:
                message.update(payload_fields(payload))
            click.echo(json.dumps(message, ensure_ascii=False))
            return
        if not self.raw:
            answer = f', answers to {reply}' if reply else ''
            extra = ''.join(f', {name} {value}' for name, value in more.items())
            click.echo(printable(f'[#{self.count}] {subject}{extra}{answer}'))
            for name, value in headers.pairs() if headers else ():
                click.echo(printable(f'{name}: {value}'))
            if headers:
                click.echo()
        if not self.headers_only:
            sys.stdout.buffer.write(payload)
            sys.stdout.buffer.write(b'\n' if self.raw else b'\n\n')
            sys.stdout.buffer.flush()


@click.command(cls=Command)
@click.argument('subjects', nargs=-1, required=True)
@click.option('-q', '--queue', metavar='GROUP', help='Share the messages with this queue group.')
@click.option('-n', '--count', type=click.IntRange(1), help='End after so many messages.')
@click.option('-r', '--raw', is_flag=True, help='Print payloads only, a line for each.')
@click.option('--headers-only', is_flag=True, help='Print no payloads.')
@with_run
def sub(
    run: Run,
    subjects: tuple[str, ...],
    queue: str | None,
    count: int | None,
    raw: bool,
    headers_only: bool,
) -> None:
    """Print the messages on SUBJECTS until Ctrl-C."""
    printer = Printer(run, raw, headers_only)
    with run.session() as session:

        def on_message(
            subject: str, payload: bytes, reply: str | None, headers: Headers | None
        ) -> None:
            if count is None or printer.count < count:
                printer.show(subject, payload, reply, headers)
                session.wake()

        for subject in subjects:
            session.nats.subscribe(subject, on_message, queue)
        session.call(session.nats.flush, timeout=run.settings.timeout_ms)
        try:
            note(f'listening on {", ".join(subjects)}; Ctrl-C ends')
            session.run(lambda: printer.count == count)
        except KeyboardInterrupt:
            if count is not None:
                raise


@click.command(cls=Command)
@click.argument('subject')
@_body
@_headers
@click.option('--replies', type=click.IntRange(0), default=1, help='How many to take; 0: all.')
@click.option('-r', '--raw', is_flag=True, help='Print payloads only, a line for each.')
@with_run
def req(run: Run, subject: str, body: str | None, headers: Any, replies: int, raw: bool) -> None:
    """Send BODY to SUBJECT as a request and print the answer.

    With --replies 0 all answers within --timeout are printed.
    """
    payload, printer = expand(read_body(body), 1), Printer(run, raw)
    sent_headers, timeout = header_map(headers) or None, run.settings.timeout_ms
    with run.session() as session:
        if replies == 1:
            response, _, found = session.results(
                session.nats.request, subject, payload, timeout=timeout, headers=sent_headers
            )
            printer.show(subject, response, None, found)
            return
        told: list[NatsError] = []

        def on_reply(response: bytes, err: NatsError | None, found: Headers | None) -> None:
            if found is not None and found.status == 503:
                told.append(NoResponders())
            elif err is not None:
                told.append(err)
            else:
                printer.show(subject, response, None, found)
            session.wake()

        place = session.nats.replies(on_reply)
        send(session, subject, payload, sent_headers, place.subject)
        timer = session.timer(timeout)
        try:
            session.run(lambda: bool(told) or timer.over or 0 < replies <= printer.count)
        finally:
            timer.stop()
        if told:
            raise told[0]
        if printer.count < replies or not printer.count:
            raise RequestTimeout(f'request timeout: {printer.count} answers came')


@click.command(cls=Command)
@click.argument('subject')
@_body
@_headers
@click.option('-q', '--queue', metavar='GROUP', default='natsev', help='The queue group.')
@click.option('--echo', is_flag=True, help='Answer with the request itself.')
@click.option('--command', metavar='LINE', help='Answer with what this shell command prints.')
@click.option('-n', '--count', type=click.IntRange(1), help='End after so many requests.')
@with_run
def reply(
    run: Run,
    subject: str,
    body: str | None,
    headers: Any,
    queue: str,
    echo: bool,
    command: str | None,
    count: int | None,
) -> None:
    """Answer requests on SUBJECT with BODY until Ctrl-C.

    A command gets the request on its standard input, and its subject as NATS_REQUEST_SUBJECT.
    """
    if (body is not None) + echo + (command is not None) != 1:
        raise click.UsageError('say one of BODY, --echo and --command')
    sent_headers, template = header_map(headers), (body or '').encode()
    printer = Printer(run, raw=False)
    with run.session() as session:

        def on_request(
            asked: str, payload: bytes, answer_to: str | None, found: Headers | None
        ) -> None:
            printer.show(asked, payload, answer_to, found)
            if answer_to is None:
                return
            if command is not None:
                answer = _output_of(command, asked, payload)
            else:
                answer = payload if echo else expand(template, printer.count)
            send(session, answer_to, answer, sent_headers)
            session.wake()

        session.nats.subscribe(subject, on_request, queue)
        session.call(session.nats.flush, timeout=run.settings.timeout_ms)
        try:
            note(f'answering on {subject}; Ctrl-C ends')
            session.run(lambda: printer.count == count)
        except KeyboardInterrupt:
            if count is not None:
                raise


def _output_of(command: str, subject: str, payload: bytes) -> bytes:
    done = subprocess.run(
        command,
        shell=True,
        input=payload,
        stdout=subprocess.PIPE,
        env={**os.environ, 'NATS_REQUEST_SUBJECT': subject},
        check=False,
    )
    if done.returncode:
        note(f'{command!r} ended with {done.returncode}')
    return done.stdout
