"""Runs the examples of a page that are no whole programs, one after the other, on a live server.

A page says "the fragments below go on from there": here are the names it may use. What a fragment
raises, and what natsev logs as an error, ends the program with a failure.
"""

from __future__ import annotations

import logging
import re
import sys
from pathlib import Path
from typing import Any

import natsev
from natsev import KV, JetStream, Nats, ObjectStore, ev

FRAGMENT = re.compile(r'^```python\n(.*?)^```\n', re.M | re.S)
# So many answers of the server are waited for after each: its calls have theirs by then.
ROUND_TRIPS = 20


def fragments(page: Path) -> list[str]:
    return [code for code in FRAGMENT.findall(page.read_text()) if 'ev.run()' not in code]


class Failures(logging.Handler):
    """What natsev logs as an error."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.texts: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.texts.append(logging.Formatter().format(record))


def wait(nats: Nats, call: Any, *args: Any) -> Any:
    """Make a call and run the loop until it ends."""
    told: list[Any] = []

    def callback(*results: Any) -> None:
        told.extend(results)
        ev.break_()

    call(*args, callback)
    while not told:
        ev.run()
    assert not isinstance(told[-1], natsev.NatsError), told[-1]
    return told[0]


def names(nats: Nats) -> dict[str, Any]:
    """Return the names that fragments may use, with what they stand for made on the server."""
    js = JetStream(nats=nats)
    store = ObjectStore(js=js, bucket='files')
    wait(nats, store.create_bucket, {'description': 'of the page'})
    Path('big.iso').write_bytes(b'iso' * 100_000)
    meta = wait(nats, store.put, 'report.pdf', b'%PDF')
    wait(nats, store.put, 'big.iso', Path('big.iso'))
    wait(nats, js.stream_create, {'name': 'ORDERS', 'subjects': ['orders.>'], 'allow_atomic': True})
    wait(nats, js.js_publish, 'orders.new', b'first')
    wait(nats, js.consumer_create, 'ORDERS', {'durable_name': 'worker'})
    kv = KV(js=js, bucket='config')
    wait(nats, kv.create_bucket, {'max_history': 5, 'limit_marker_ttl': 10**9})
    told = dict.fromkeys(['created', 'stored', 'got', 'deleted', 'done', 'on_message', 'answered'])
    return {
        **{name: getattr(natsev, name) for name in natsev.__all__},
        **{name: lambda *results: None for name in told},
        'Path': Path,
        'nats': nats,
        'js': js,
        'kv': kv,
        'store': store,
        'url': sys.argv[2],
        'data': b'data',
        'pdf_bytes': b'%PDF again',
        'path': Path('big.iso'),
        'seq': meta['seq'],
        'digest': meta['digest'],
    }


def main() -> None:
    failures = Failures()
    logging.getLogger('natsev').addHandler(failures)
    nats = Nats(servers=[sys.argv[2]], reconnect=True)
    known = names(nats)
    for code in fragments(Path(sys.argv[1])):
        exec(compile(code, sys.argv[1], 'exec'), known)
        for _ in range(ROUND_TRIPS):
            if not nats.is_closed():
                nats.flush(lambda err: ev.break_())
                ev.run()
        assert not failures.texts, f'{code}\n{failures.texts[0]}'
    if not nats.is_closed():
        nats.disconnect()
        ev.run()


main()
