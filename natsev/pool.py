"""Which server next: those the user gave and those the servers told about."""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from . import address
from .address import Address

# Two refusals of our credentials in a row and a server is not asked again, as in the official
# clients.
_MOST_REFUSALS = 2
# The first attempt after a loss waits up to so many ms, that a cluster's clients do not come at
# once.
_FIRST_JITTER = 50


@dataclass
class Member:
    """A server of the pool.

    Attributes:
        failures: attempts that failed in a row.
        refusals: of those, refused credentials in a row.
        discovered: told by a server, not given by the user.
    """

    address: Address
    discovered: bool = False
    failures: int = 0
    refusals: int = 0


class Pool:
    """The servers in the order in which they are tried, over and over.

    Args:
        servers: the addresses that the user gave.
        shuffle: try them in random order.
    """

    def __init__(self, servers: Iterable[Address], shuffle: bool) -> None:
        self._shuffle = shuffle
        self._members: list[Member] = []
        self.replace(servers)

    def replace(self, servers: Iterable[Address]) -> None:
        """Take *servers* instead of all there are."""
        self._members = [Member(server) for server in servers]
        if self._shuffle:
            random.shuffle(self._members)

    def __len__(self) -> int:
        return len(self._members)

    def next(self, most_failures: int) -> Member | None:
        """Return the next server to try, or None when all are given up.

        Args:
            most_failures: failed attempts after which a server is given up; 0: no limit.
        """
        while self._members:
            member = self._members.pop(0)
            if member.refusals < _MOST_REFUSALS and not 0 < most_failures <= member.failures:
                self._members.append(member)
                return member
        return None

    def delay(self, member: Member, first: float, most: float) -> float:
        """Return how many ms to wait before *member* is tried.

        Args:
            first: ms after the first failure; doubled for each further one.
            most: ms at most.
        """
        if not member.failures:
            return random.uniform(0, min(_FIRST_JITTER, first))
        doubled = min(most, first * 2.0 ** min(member.failures - 1, 30))
        return float(doubled * random.uniform(0.9, 1.1))

    def put_last(self, member: Member) -> None:
        """Try every other server before *member*."""
        if member in self._members:
            self._members.remove(member)
            self._members.append(member)

    def discover(self, urls: Iterable[object], teller: Member) -> list[str]:
        """Add the servers that an INFO names (``connect_urls``); return those that are new.

        Servers that were discovered before and are not named any more are forgotten.

        Args:
            urls: ``host:port`` of each.
            teller: the server that we are connected to, which told.
        """
        named = {(found.host, found.port): found for found in _like(teller.address, urls)}
        self._members = [
            member
            for member in self._members
            if not member.discovered or member is teller or _key(member) in named
        ]
        known = {_key(member) for member in self._members}
        new = [Member(found, discovered=True) for key, found in named.items() if key not in known]
        if self._shuffle:
            random.shuffle(new)
        self._members.extend(new)
        return [str(member.address) for member in new]


def _key(member: Member) -> tuple[str, int]:
    return member.address.host, member.address.port


def _like(teller: Address, urls: Iterable[object]) -> Iterator[Address]:
    """Parse *urls*; scheme, credentials and the certificate's name are those of *teller*."""
    for url in urls:
        try:
            found = address.parse(f'{teller.scheme}://{url}')
        except (TypeError, ValueError):
            continue  # a server's odd word about another server is no reason to fail
        name = teller.tls_name or teller.host
        yield replace(
            found,
            path=teller.path,
            user=teller.user,
            password=teller.password,
            tls_name=name if found.is_ip else None,
        )
