"""Several nats-servers that are one cluster, with JetStream."""

from __future__ import annotations

import contextlib
import json
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

from natsev.server import Server
from tests.ports import free_ports

_SECONDS = 60
# Between two looks at the servers: an election takes a second or two, there is nothing to await.
_PAUSE_SECONDS = 0.05


class Cluster:
    """A cluster of *size* nodes on loopback: ``nodes`` are ``Server``s, to kill and start again.

    Args:
        size: how many nodes.
        config: more configuration for each node.
        binary: which nats-server.
    """

    def __init__(
        self, size: int = 3, config: Mapping[str, Any] | None = None, binary: Path | None = None
    ) -> None:
        ports = free_ports(2 * size)
        for_clients, for_routes = ports[:size], ports[size:]
        routes = [f'nats://127.0.0.1:{port}' for port in for_routes]
        self.nodes = [
            Server(
                name=f'n{number + 1}',
                port=for_clients[number],
                binary=binary,
                config={
                    'http': '127.0.0.1:-1',
                    'cluster': {
                        'name': 'c',
                        'listen': f'127.0.0.1:{for_routes[number]}',
                        'routes': routes,
                    },
                    **(config or {}),
                },
            )
            for number in range(size)
        ]

    def start(self) -> Cluster:
        """Start all nodes and return when every one of them is well, JetStream included."""
        for node in self.nodes:
            node.start()
        for node in self.nodes:
            self.await_health(node)
        return self

    def stop(self) -> None:
        """Stop all nodes."""
        for node in self.nodes:
            node.stop()

    @property
    def urls(self) -> list[str]:
        """The clients' URLs of all nodes."""
        return [node.url for node in self.nodes]

    def await_health(self, node: Server) -> None:
        """Wait until *node* has a leader of JetStream and has caught up with it."""
        for _ in _tries(f'{node} is not well', node):
            with contextlib.suppress(urllib.error.URLError):
                if _ask(node, 'healthz')['status'] == 'ok':
                    return

    def leader(self) -> Server:
        """Return the node that leads JetStream, waiting for an election where there is none."""
        names = {f'n{number}': node for number, node in enumerate(self.nodes, 1) if node.running}
        asked = next(iter(names.values()))
        for _ in _tries('no leader', asked):
            leader = _ask(asked, 'jsz').get('meta_cluster', {}).get('leader')
            if leader in names:
                return names[leader]
        raise AssertionError

    def __enter__(self) -> Cluster:
        return self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()


def _ask(node: Server, what: str) -> dict[str, Any]:
    with urllib.request.urlopen(f'{node.urls["monitoring"][0]}/{what}', timeout=10) as answer:
        found: dict[str, Any] = json.load(answer)
    return found


def _tries(failure: str, node: Server) -> Iterator[None]:
    deadline = time.monotonic() + _SECONDS
    while True:
        yield
        if time.monotonic() > deadline:
            raise TimeoutError(f'{failure} after {_SECONDS} s:\n{node.log[-4000:]}')
        time.sleep(_PAUSE_SECONDS)
