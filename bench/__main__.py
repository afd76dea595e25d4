"""``python -m bench``: see ``--help``."""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from pathlib import Path

from natsev.server import Server

from . import report, runner
from .clients import BY_NAME as CLIENTS
from .scenarios import BY_NAME as SCENARIOS
from .scenarios import Scenario

_RESULTS = Path(__file__).parent / 'results'


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog='python -m bench', description=__doc__)
    add = parser.add_argument
    add('--quick', action='store_true', help='fewer scenarios, two short rounds')
    add('--scenario', action='append', choices=SCENARIOS, help='only this one; may be repeated')
    add('--client', action='append', choices=CLIENTS, help='only this one; may be repeated')
    add('--rounds', type=int, help='default: 5, with --quick 2')
    add('--seconds', type=float, help='how long each program is measured; default: 1, quick 0.3')
    add('--server', help='a nats-server program, or a version that make has in .cache/servers')
    add('--json', type=Path, metavar='FILE', help='where the results go; default: bench/results/')
    add('--show', type=Path, metavar='FILE', help='measure nothing, show what FILE holds')
    add('--plot', type=Path, metavar='FILE', help='draw the ratios (needs matplotlib)')
    return parser.parse_args()


def main() -> None:
    args = _arguments()
    if args.show:
        data = json.loads(args.show.read_text())
        for name, measured in report.from_json(data).items():
            print(report.table(SCENARIOS[name], measured))
    else:
        data = _measure(args)
        path = args.json or _RESULTS / time.strftime('%Y-%m-%d-%H%M%S.json')
        report.save(path, data)
        print(f'written to {path}')
    if args.plot:
        from . import plot

        plot.draw(data, args.plot)


def _measure(args: argparse.Namespace) -> dict[str, object]:
    names = args.scenario or [
        name
        for name, scenario in SCENARIOS.items()
        if not scenario.asked and (not args.quick or scenario.quick is not None)
    ]
    clients = [CLIENTS[name] for name in args.client or CLIENTS]
    with Server(binary=_binary(args.server)) as server:
        results = runner.run(
            server.url,
            [SCENARIOS[name] for name in names],
            clients,
            rounds=args.rounds or (2 if args.quick else 5),
            seconds=args.seconds or (0.3 if args.quick else 1.0),
            quick=args.quick,
            progress=_progress,
            done=_print,
        )
        return report.to_json(results, server.version)


def _binary(asked: str | None) -> Path | None:
    if asked is None or os.sep in asked:
        return Path(asked) if asked else None
    return Path('.cache', 'servers', asked, 'bin', 'nats-server')


def _progress(text: str) -> None:
    if sys.stderr.isatty():
        print(f'\r\033[K{text}', end='', file=sys.stderr, flush=True)


def _print(scenario: Scenario, measured: dict[str, runner.Measured]) -> None:
    if sys.stderr.isatty():
        print('\r\033[K', end='', file=sys.stderr, flush=True)
    print(report.table(scenario, measured), flush=True)


if __name__ == '__main__':
    main()
