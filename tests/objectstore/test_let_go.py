"""At its end a transfer lets go of what it held: nothing waits for the garbage collector."""

from __future__ import annotations

import gc
import weakref
from pathlib import Path

import pytest

DATA = bytes(1_000_000)
TRANSFERS = {
    'small get': lambda store, cb: store.get('small', cb),
    'large get': lambda store, cb: store.get('large', cb),
    'small put': lambda store, cb: store.put('new', b'small', cb),
    'large put': lambda store, cb: store.put('new', DATA, cb),
    'of a file': lambda store, cb: store.put('new', Path(__file__), cb),
    'compressed': lambda store, cb: store.put('new', DATA, cb, codec='zlib'),
    'kept twice': lambda store, cb: store.put('small', b'new', cb, keep_versions=2),
    'link': lambda store, cb: store.get('link', cb),
    'nothing there': lambda store, cb: store.get('nothing', cb),
    'names': lambda store, cb: store.list(cb),
    'metadata': lambda store, cb: store.list(cb, details=True),
}


@pytest.fixture
def filled(run, store):
    run.call(store.put, 'small', b'small')
    run.call(store.put, 'large', DATA)
    run.call(store.link, 'link', 'small')
    return store


@pytest.fixture
def _no_collector():
    gc.collect()
    gc.disable()
    yield
    gc.enable()


@pytest.mark.usefixtures('_no_collector')
@pytest.mark.parametrize('begin', TRANSFERS.values(), ids=TRANSFERS)
def test_nothing_holds_it(run, filled, begin):
    ended = []
    transfer = weakref.ref(begin(filled, lambda *result: ended.append(result)))
    run.until(lambda: ended)
    assert ended[0][1] is None
    run.call(filled._bucket.nats.flush)  # what goes on behind it may have had its last turn to come
    assert transfer() is None
