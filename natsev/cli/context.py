"""The contexts of the official ``nats`` tool: where to connect, and as whom."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import click

# A context's keys, and our options that say the same.
_OPTIONS = {
    'url': 'server',
    'user': 'user',
    'password': 'password',
    'token': 'token',
    'creds': 'creds',
    'nkey': 'nkey',
    'cert': 'tls_cert',
    'key': 'tls_key',
    'ca': 'tls_ca',
    'tls_first': 'tls_first',
    'inbox_prefix': 'inbox_prefix',
    'jetstream_domain': 'js_domain',
    'jetstream_api_prefix': 'js_api_prefix',
}


def directory() -> Path:
    """Return the official tool's directory of settings."""
    return Path(os.environ.get('XDG_CONFIG_HOME') or Path.home() / '.config') / 'nats'


def selected() -> str | None:
    """Return the name of the context that ``nats context select`` chose, or None."""
    try:
        return (directory() / 'context.txt').read_text().strip() or None
    except FileNotFoundError:
        return None


def load(name: str) -> dict[str, Any]:
    """Return the options that the context *name* holds.

    Raises:
        click.UsageError: there is no such context, or it cannot be read.
    """
    if not name or '..' in name or os.sep in name:
        raise click.UsageError(f'{name!r} is no name of a context')
    path = directory() / 'context' / f'{name}.json'
    try:
        settings = json.loads(path.read_text())
    except FileNotFoundError:
        there = sorted(path.stem for path in path.parent.glob('*.json'))
        known = f'; there are: {", ".join(there)}' if there else ''
        raise click.UsageError(f'there is no context {name!r}{known}') from None
    except ValueError as error:
        raise click.UsageError(f'context {name!r} is not JSON: {error}') from None
    return {ours: settings[key] for key, ours in _OPTIONS.items() if settings.get(key)}
