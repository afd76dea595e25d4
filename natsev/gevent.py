"""Waiting for a call in a greenlet.

    from natsev.gevent import wait

    nats = Nats(host='127.0.0.1')                 # on the hub's loop, since there is a hub
    store = ObjectStore(js=JetStream(nats=nats), bucket='files')
    info = wait(store.put, 'report.pdf', pdf_bytes)
    data = wait(store.get, 'report.pdf', timeout=10)

Callbacks run in the hub, where nothing may block: a callback starts a greenlet when it has to wait.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import gevent
from gevent.event import AsyncResult

from .errors import NatsError, RequestTimeout
from .ev import hub
from .loop import port_for


class WaitTimeout(RequestTimeout, gevent.Timeout):
    """``wait`` has waited long enough: both a ``RequestTimeout`` and a ``gevent.Timeout``.

    Attributes:
        seconds: how long it waited.
    """

    def __init__(self, seconds: float) -> None:
        gevent.Timeout.__init__(self)
        RequestTimeout.__init__(self)
        self.seconds = seconds

    def __str__(self) -> str:
        return self.text


def wait(call: Callable[..., Any], *args: Any, timeout: float | None = None, **kwargs: Any) -> Any:
    """Make a call and wait for its callback in this greenlet, while the others go on.

    Args:
        call: a method that takes a callback, such as ``store.get``.
        args: its positional arguments, without the callback.
        timeout: seconds to wait; the call is cancelled after them. (A ``timeout`` of the call's
            own, in milliseconds, can be given with ``functools.partial``.)
        kwargs: its other arguments.

    Returns:
        the call's result: what its callback gets first.

    Raises:
        NatsError: the call failed.
        WaitTimeout: no result within *timeout*.
        RuntimeError: called in the hub, that is in a callback; or the hub does not run the loop.
    """
    _require_hub()
    answer: AsyncResult[tuple[Any, ...]] = AsyncResult()

    def callback(*results: Any) -> None:
        answer.set(results)

    keyword = _keyword(call, len(args))
    if keyword:
        handle = call(*args, **kwargs, **{keyword: callback})
    else:
        handle = call(*args, callback, **kwargs)
    try:
        results = answer.wait(timeout)
    finally:  # killed, or out of time
        if not answer.ready() and handle is not None:
            handle.cancel()
    if results is None:
        assert timeout is not None
        raise WaitTimeout(timeout)
    return _outcome(results)


def _require_hub() -> None:
    # Without a hub, clients have been put on the default loop. Mostly the hub runs just that.
    if hub.find() is None and port_for() is not port_for(gevent.get_hub().loop):
        raise RuntimeError(
            'this thread had no hub when its clients were made, so they are on a loop that no hub '
            'runs: call gevent.get_hub() first, or make them with loop=gevent.get_hub().loop'
        )
    if gevent.getcurrent() is gevent.get_hub():
        raise RuntimeError('wait() in a callback would block the loop: spawn a greenlet for it')


def _keyword(call: Callable[..., Any], given: int) -> str | None:
    """Return the name to pass the callback under; None where it follows the *given* arguments."""
    try:
        parameters = list(inspect.signature(call).parameters.values())
    except (ValueError, TypeError):  # some builtins have no signature
        return None
    for index, parameter in enumerate(parameters):
        if parameter.name in ('cb', 'callback'):
            skipped = parameters[given:index]
            if parameter.kind is parameter.KEYWORD_ONLY or (
                skipped and all(other.default is not other.empty for other in skipped)
            ):
                return parameter.name
    return None


def _outcome(results: tuple[Any, ...]) -> Any:
    """Return or raise what a callback was told: ``(result, err, ...)``, or ``(err,)``."""
    err = results[1] if len(results) > 1 else results[0] if results else None
    if isinstance(err, NatsError):
        raise err
    return results[0] if results else None
