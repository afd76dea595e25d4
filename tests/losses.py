"""A server that loses messages without a word.

It is told to map what comes to another subject, where somebody listens and says nothing.
"""

from __future__ import annotations

import signal
from collections.abc import Callable
from typing import Any

from natsev import Nats
from natsev.server import Server
from tests.running import Run


class Losses:
    """What is published to some subjects is lost, between ``begin`` and ``end``.

    Args:
        run: the loop.
        server: it is given a configuration of ours.
        client: a client of it.
    """

    def __init__(self, run: Run, server: Server, client: Nats) -> None:
        self._run = run
        self._server = server
        self._client = client
        self._lost = self._probes_lost = self._probes_found = 0
        client.subscribe('lost.*', self._count_lost)
        client.subscribe('probe', self._count_found)

    def begin(self, *subjects: str, percent: int = 100) -> None:
        """Lose so many percent of what comes to *subjects*, which have wildcards."""
        lines = ['"probe": "lost.probe"']
        for subject in subjects:
            target = f'{{ destination: "lost.{{{{wildcard(1)}}}}", weight: "{percent}%" }}'
            lines.append(f'"{subject}": [{target}]')
        self._load(f'mappings = {{ {", ".join(lines)} }}', lambda: self._probes_lost)

    def end(self) -> None:
        """Lose no more."""
        self._load('mappings = {}', lambda: self._probes_found)

    def await_some(self, number: int = 1) -> None:
        """Run until so many more have been lost."""
        wanted = self._lost + number
        self._run.until(lambda: self._lost >= wanted)

    def _count_lost(self, subject: str, *_: Any) -> None:
        if subject == 'lost.probe':
            self._probes_lost += 1
        else:
            self._lost += 1

    def _count_found(self, *_: Any) -> None:
        self._probes_found += 1

    def _load(self, config: str, probes: Callable[[], int]) -> None:
        self._server.config = config
        self._server.send_signal(signal.SIGHUP)
        before = probes()
        self._run.until(lambda: self._client.publish('probe') or probes() > before)
