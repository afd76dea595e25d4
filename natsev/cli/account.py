"""``natsev account`` and ``natsev rtt``."""

from __future__ import annotations

from typing import Any

import click

from .command import Command, Group, Run, with_run
from .output import Column
from .values import show_limit, show_size


@click.command(cls=Group)
def account() -> None:
    """Look at the account: who we are, and what it uses of JetStream."""


@account.command()
@with_run
def info(run: Run) -> None:
    """Show the connection, and what the account may use and uses."""
    with run.session() as session:
        server = session.nats.server_info()
        js = session.call(session.js.account_info)
    limits = js.get('limits', {})
    facts = {
        'Server': f'{server.get("server_name")} {server.get("version")}',
        'Cluster': server.get('cluster'),
        'Domain': js.get('domain') or server.get('domain'),
        'Client address': server.get('client_ip'),
        'Client id': server.get('client_id'),
        'TLS': bool(server.get('tls_required')),
        'Max payload': show_size(server.get('max_payload', 0)),
        'Memory': _used(js.get('memory', 0), limits.get('max_memory', -1)),
        'Storage': _used(js.get('storage', 0), limits.get('max_storage', -1)),
        'Streams': _counted(js.get('streams', 0), limits.get('max_streams', -1)),
        'Consumers': _counted(js.get('consumers', 0), limits.get('max_consumers', -1)),
    }
    run.out.record('Account', facts, {'server': server, 'jetstream': js})


def _used(used: int, limit: int) -> str:
    return f'{show_size(used)} of {show_size(limit)}'


def _counted(used: int, limit: int) -> str:
    return f'{used:,} of {show_limit(limit)}'


@click.command(cls=Command)
@click.option('-n', '--count', type=click.IntRange(1), default=5, help='How many measurements.')
@with_run
def rtt(run: Run, count: int) -> None:
    """Measure the round-trip time to the server."""
    with run.session() as session:
        server = session.nats.server_info()
        times = sorted(
            session.call(session.nats.rtt, timeout=run.settings.timeout_ms) for _ in range(count)
        )
    row = {
        'server': server.get('server_name', ''),
        'address': f'{server.get("host")}:{server.get("port")}',
        'least_ms': round(times[0], 3),
        'median_ms': round(times[len(times) // 2], 3),
        'most_ms': round(times[-1], 3),
    }
    columns: list[Column] = [
        Column('Server', lambda row: row['server']),
        Column('Address', lambda row: row['address']),
        Column('Least', lambda row: row['least_ms'], _ms, right=True),
        Column('Median', lambda row: row['median_ms'], _ms, right=True),
        Column('Most', lambda row: row['most_ms'], _ms, right=True),
    ]
    run.out.table(columns, [row])


def _ms(value: Any) -> str:
    return f'{value:.3f} ms'
