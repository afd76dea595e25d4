"""gevent's hub, where this thread has one. Nothing here makes one, or imports gevent."""

from __future__ import annotations

import sys
from typing import Any


def find() -> Any:
    """Return this thread's hub, or None."""
    hub_local = sys.modules.get('gevent._hub_local')
    return None if hub_local is None else hub_local.get_hub_if_exists()


def loop() -> Any:
    """Return the loop of this thread's hub, or None.

    Raises:
        RuntimeError: the hub does not run on libev.
    """
    found = find()
    if found is None or found.loop is None:
        return None
    require_libev(found.loop)
    return found.loop


def require_libev(hub_loop: object) -> None:
    """Refuse gevent's other loops."""
    module = type(hub_loop).__module__
    if module != 'gevent.libev.corecext':
        raise RuntimeError(
            f'natsev needs gevent on libev, but this loop is {module}: '
            "set GEVENT_LOOP=libev-cext in the environment, or gevent.config.loop = 'libev-cext'"
        )


def runs(native_loop: Any) -> bool:
    """Tell whether this thread's hub runs the libev loop below *native_loop*."""
    found = find()
    return found is not None and found.loop is not None and _pointer(found.loop) == native_loop.ptr


def refuse(native_loop: Any) -> None:
    """Refuse to run or stop a loop that the hub runs.

    Raises:
        RuntimeError: the hub runs it.
    """
    if runs(native_loop):
        raise RuntimeError(
            'this loop is run by gevent: do not run or stop it, but let the hub work by waiting '
            'in a greenlet: natsev.gevent.wait(call, ...), gevent.sleep(), an Event, join()'
        )


def _pointer(hub_loop: Any) -> int | None:
    return getattr(hub_loop, 'ptr', None)
