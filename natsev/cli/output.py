"""What is printed: tables and colours on a terminal, plain lines in a pipe, JSON when asked for.

Results go to stdout. What is said beside them (progress, notes, errors) goes to stderr.
"""

from __future__ import annotations

import base64
import json
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

import click


class Column(NamedTuple):
    """A column of a table.

    Attributes:
        title: as shown on a terminal.
        value: the value of a row, as a pipe gets it.
        show: how people read it; None: as it is.
        right: numbers stand at the right.
    """

    title: str
    value: Callable[[Any], Any]
    show: Callable[[Any], str] | None = None
    right: bool = False

    def shown(self, row: Any) -> str:
        """Return the cell of *row* as people read it."""
        value = self.value(row)
        return self.show(value) if self.show else _cell(value)


class Output:
    """Where a command's result goes.

    Attributes:
        json: print JSON.
        terminal: stdout is one.
    """

    def __init__(self, as_json: bool) -> None:
        self.json = as_json
        self.terminal = sys.stdout.isatty() and not as_json

    def data(self, value: Any) -> None:
        """Print *value* as JSON: indented on a terminal, one line in a pipe."""
        indent = 2 if sys.stdout.isatty() else None
        click.echo(json.dumps(value, default=_plain, ensure_ascii=False, indent=indent))

    def table(self, columns: Sequence[Column], rows: Iterable[Any], title: str = '') -> None:
        """Print *rows*: a table, or lines of values separated by tabs, or a list."""
        rows = list(rows)
        if self.json:
            self.data(rows)
        elif self.terminal:
            self._draw(columns, rows, title)
        else:
            for row in rows:
                click.echo('\t'.join(_cell(column.value(row)) for column in columns))

    def _draw(self, columns: Sequence[Column], rows: list[Any], title: str) -> None:
        from rich import box, table

        if not rows:
            note('nothing there')
            return
        drawn = table.Table(title=title or None, box=box.SIMPLE_HEAD, title_justify='left')
        for column in columns:
            drawn.add_column(column.title, justify='right' if column.right else 'left')
        for row in rows:
            drawn.add_row(*(_escape(column.shown(row)) for column in columns))
        _console().print(drawn)

    def record(self, title: str, facts: Mapping[str, Any], raw: Any = None) -> None:
        """Print facts about one thing, a line for each; *raw* (else the facts) as JSON."""
        facts = {name: value for name, value in facts.items() if value not in (None, '', {}, [])}
        if self.json:
            self.data(facts if raw is None else raw)
        elif self.terminal:
            from rich import table

            drawn = table.Table.grid(padding=(0, 2))
            for name, value in facts.items():
                drawn.add_row(f'  [bold]{_escape(name)}[/]', _escape(_cell(value)))
            _console().print(f'[bold]{_escape(title)}[/]')
            _console().print(drawn)
        else:
            click.echo(title)
            for name, value in facts.items():
                click.echo(f'{name}: {_cell(value)}')

    def line(self, value: Any) -> None:
        """Print *value* as one line of JSON."""
        click.echo(json.dumps(value, default=_plain, ensure_ascii=False))

    def fields(self, *values: str) -> None:
        """Print one line of values."""
        click.echo(('  ' if self.terminal else '\t').join(map(_cell, values)))

    def say(self, text: str) -> None:
        """Say one of several things that were done; with JSON nothing: all comes at the end."""
        if not self.json:
            click.echo(printable(text))

    def done(self, text: str, raw: Any) -> None:
        """Say in one line what was done; with JSON, print *raw*."""
        if self.json:
            self.data(raw)
        else:
            click.echo(printable(text))


def note(text: str) -> None:
    """Say *text* on stderr, beside the result."""
    click.echo(f'natsev: {printable(text)}', err=True)


def printable(text: str) -> str:
    """Return *text* with what would move the cursor, or end the line, written out.

    Names may hold anything: one line stays one line, and nothing of them reaches the terminal.
    """
    return ''.join(c if c.isprintable() else repr(c)[1:-1] for c in text)


def show_time(value: Any) -> str:
    """Return a time, a ``datetime`` or the server's text, as people here read it."""
    if isinstance(value, str):
        value = parse_time(value)
    if value is None or value.year <= 1:
        return 'never'
    return str(value.astimezone().strftime('%Y-%m-%d %H:%M:%S'))


def parse_time(text: str) -> datetime | None:
    """Return the server's RFC 3339 text as a ``datetime``, without its nanoseconds."""
    head, _, rest = text.partition('.')
    zone = rest.lstrip('0123456789') if rest else ('Z' if head.endswith('Z') else '')
    try:
        return datetime.fromisoformat(head.removesuffix('Z') + zone.replace('Z', '+00:00'))
    except ValueError:
        return None


def payload_fields(payload: bytes) -> dict[str, str]:
    """Return a payload for JSON: as text, or where it is none as base64."""
    try:
        return {'payload': payload.decode()}
    except UnicodeDecodeError:
        return {'payload_base64': base64.b64encode(payload).decode()}


def _console() -> Any:
    from rich.console import Console

    return Console(highlight=False, soft_wrap=True)


def _escape(text: str) -> str:
    from rich.markup import escape

    return escape(text)


def _cell(value: Any) -> str:
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, bool):
        return 'yes' if value else 'no'
    if isinstance(value, (list, tuple)):
        return ', '.join(_cell(each) for each in value)
    if isinstance(value, Mapping):
        return ', '.join(f'{name}={_cell(each)}' for name, each in value.items())
    return '' if value is None else printable(str(value))


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, bytes):
        return payload_fields(value).get('payload') or base64.b64encode(value).decode()
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError(f'{type(value).__name__} is not for JSON')
