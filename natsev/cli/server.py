"""``natsev server``: a nats-server in the foreground."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import click

from ..server import Server
from . import local
from .command import Command, Run, with_run
from .output import note

# How soon it is noticed that the server ended by itself; signals are noticed at once.
_LOOK_SECONDS = 0.5


@click.command(cls=Command)
@click.option('-p', '--port', type=click.IntRange(0, 65535), default=4222, show_default=True,
              help='TCP port; 0: a free one.')  # fmt: skip
@click.option('--host', default='127.0.0.1', show_default=True, help='Address to listen on.')
@click.option('--store-dir', type=click.Path(file_okay=False, path_type=Path),
              help="JetStream's data; default: where object commands keep theirs.")  # fmt: skip
@click.option('-c', '--config', type=click.Path(exists=True, dir_okay=False, path_type=Path),
              help='A configuration file of nats-server.')  # fmt: skip
@click.option('--temporary', is_flag=True, help='Keep the data in a temporary place only.')
@click.option('--jetstream/--no-jetstream', default=True, help='With JetStream, or without.')
@with_run
def server(
    run: Run,
    port: int,
    host: str,
    store_dir: Path | None,
    config: Path | None,
    temporary: bool,
    jetstream: bool,
) -> None:
    """Run a nats-server until Ctrl-C.

    While it runs with its usual store, object commands that name no server use it.
    """
    options: dict[str, Any] = {
        'port': port,
        'host': host,
        'config': config,
        'jetstream': jetstream,
    }
    if store_dir is not None or temporary or not jetstream or config is not None:
        with Server(store_dir=store_dir, **options) as started:
            _serve(run, started)
    else:
        with local.own_server(**options) as started:
            _serve(run, started)


def _serve(run: Run, started: Server) -> None:
    facts = {'url': started.url, 'version': started.version, 'pid': started.pid}
    run.out.done(f'nats-server {started.version} at {started.url}', facts)
    try:
        note('Ctrl-C ends it')
        while started.running:
            time.sleep(_LOOK_SECONDS)
    except KeyboardInterrupt:
        return
    raise OSError(f'nats-server ended by itself: {started.log[-200:]}')
