"""Runs the examples of a page that are no whole programs, one after the other, on a live server.

A page says "the fragments below go on from there": here are the names it may use. The program ends
with a failure when a fragment raises, when natsev logs an error, when a callback of a fragment is
told an ``err`` that is not among the ``EXPECTED`` ones of its page, and when one is never called.
"""

from __future__ import annotations

import inspect
import logging
import re
import sys
from collections.abc import Callable
from functools import partial, wraps
from pathlib import Path
from typing import Any

import natsev
from natsev import KV, JetStream, Nats, NatsError, ObjectStore, ev, jetstream, micro
from natsev.callbacks import arity
from natsev.coded import CodedNats
from natsev.otel import TracedNats

FRAGMENT = re.compile(r'^```python\n(.*?)^```\n', re.M | re.S)
# So many answers of the server are waited for after each, for what is no call: messages, changes.
ROUND_TRIPS = 20
# Methods whose callback comes as often as there is something to say.
REPEATED = {'subscribe', 'subscribe_max', 'sub', 'watch', 'slow_consumer'}
CLASSES = (
    *(Nats, CodedNats, TracedNats, JetStream, KV, ObjectStore),
    *(jetstream.AtomicBatch, jetstream.Message, jetstream.Publisher, micro.Client, micro.Service),
)
# Errors that the fragments of a page are meant to get: each of them must come.
# No function of this file, so that it is not among those of the fragments.
BREAK = partial(lambda *err: ev.break_())
EXPECTED = {
    'callbacks.md': {'Cancelled'},
    'core.md': {'Cancelled'},
    'jetstream.md': {'WrongSequenceError'},
    'services.md': {'ServiceError'},
}


def fragments(page: Path) -> list[str]:
    return [code for code in FRAGMENT.findall(page.read_text()) if 'ev.run()' not in code]


class Failures(logging.Handler):
    """What natsev logs as an error."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.texts: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.texts.append(logging.Formatter().format(record))


class Calls:
    """The calls that fragments make: which have not ended, and which errors they were told.

    Args:
        page: what the fragments are compiled as, by which their functions are known.
    """

    def __init__(self, page: str) -> None:
        self.outstanding: set[int] = set()
        self.errors: list[NatsError] = []
        self._files = {page, __file__}
        for owner in CLASSES:
            for name, method in inspect.getmembers(owner, inspect.isfunction):
                told_once = name[0] != '_' and name not in REPEATED
                if told_once and 'cb' in inspect.signature(method).parameters:
                    setattr(owner, name, self._watched(method))

    def _watched(self, method: Callable[..., Any]) -> Callable[..., Any]:
        """Return *method*, which notes what the callbacks of fragments are told."""
        signature = inspect.signature(method)

        @wraps(method)
        def watched(*args: Any, **options: Any) -> Any:
            bound = signature.bind(*args, **options)
            # Where options before the callback may be left out it stands in their place.
            for name, value in bound.arguments.items():
                if name in ('cb', 'opts') and self._is_theirs(value):
                    bound.arguments[name] = self._noting(value)
            return method(*bound.args, **bound.kwargs)

        return watched

    def _noting(self, callback: Callable[..., Any]) -> Callable[..., Any]:
        def told(*results: Any) -> None:
            self.outstanding.discard(id(told))
            self.errors += [result for result in results if isinstance(result, NatsError)]
            callback(*results[: arity(callback, len(results))])

        self.outstanding.add(id(told))
        return told

    def _is_theirs(self, value: Any) -> bool:
        code = getattr(value, '__code__', None)
        return value is print or (code is not None and code.co_filename in self._files)


def wait(nats: Nats, call: Any, *args: Any) -> Any:
    """Make a call and run the loop until it ends."""
    told: list[Any] = []

    def callback(*results: Any) -> None:
        told.extend(results)
        ev.break_()

    call(*args, callback)
    while not told:
        ev.run()
    assert not isinstance(told[-1], NatsError), told[-1]
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
        'micro': micro,
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


def flush(nats: Nats) -> None:
    if not nats.is_closed():
        nats.flush(BREAK)
        ev.run()


def main() -> None:
    page = Path(sys.argv[1])
    failures = Failures()
    logging.getLogger('natsev').addHandler(failures)
    nats = Nats(servers=[sys.argv[2]], reconnect=True)
    known = names(nats)
    calls = Calls(str(page))
    expected: set[str] = EXPECTED.get(page.name, set())
    told: set[str] = set()
    wrong: list[str] = []
    for code in fragments(page):
        exec(compile(code, str(page), 'exec'), known)
        for _ in range(ROUND_TRIPS):
            flush(nats)
        while calls.outstanding:
            flush(nats)
        told |= {type(err).__name__ for err in calls.errors}
        errors = [repr(err) for err in calls.errors if type(err).__name__ not in expected]
        wrong += [f'{code}\n{error}' for error in failures.texts + errors]
        failures.texts.clear()
        calls.errors.clear()
    assert not wrong, '\n\n'.join(wrong)
    assert told == expected, f'expected, and never told: {expected - told}'
    if not nats.is_closed():
        nats.disconnect()
        ev.run()


main()
