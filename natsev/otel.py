"""OpenTelemetry: the context of a trace goes along with messages, in their headers.

    from natsev import Nats, otel

    nats = otel.TracedNats(Nats(host='127.0.0.1'))
    nats.subscribe('orders.new', on_order)      # runs in the context of whoever published
    nats.publish('orders.new', b'...')          # tells the context of the span that is current

Which spans there are, and where they go, is the program's business: natsev makes none. Needs the
extra ``otel``, which is OpenTelemetry's API. Headers are those of the propagator that the program
has set, by default W3C's ``traceparent``, ``tracestate`` and ``baggage``.
https://www.w3.org/TR/trace-context/
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from .callbacks import arity
from .calls import Handle
from .errors import MissingExtraError
from .headers import HeadersLike, encode_headers

__all__ = ['TracedNats', 'attached', 'inject']

AnyCallback = Callable[..., Any]


def _require() -> Any:
    try:
        import opentelemetry.context
        import opentelemetry.propagate
    except ImportError:
        raise MissingExtraError('otel', 'tracing with OpenTelemetry') from None
    return opentelemetry


def inject(headers: HeadersLike | None = None) -> HeadersLike:
    """Return *headers*, and with them those that tell the current context.

    For what takes headers and is not a ``TracedNats``: ``js.js_publish(..., headers=inject())``.

    Raises:
        TypeError, ValueError: *headers* cannot be.
        MissingExtraError: OpenTelemetry is not installed.
    """
    carrier: dict[str, str] = {}
    _require().propagate.inject(carrier)
    if headers is None:
        return carrier
    own, ours = encode_headers(headers), encode_headers(carrier)
    return own[: -len(b'\r\n')] + ours.partition(b'\r\n')[2]


@contextmanager
def attached(headers: Mapping[str, str] | None) -> Iterator[None]:
    """Make the context that came in *headers* the current one: ``with attached(message.headers):``.

    Without such headers the block runs in an empty context.

    Raises:
        MissingExtraError: OpenTelemetry is not installed.
    """
    otel = _require()
    empty = otel.context.Context()
    with _current(otel.propagate.extract(headers or {}, context=empty)):
        yield


@contextmanager
def _current(context: Any) -> Iterator[None]:
    otel = _require()
    token = otel.context.attach(context)
    try:
        yield
    finally:
        otel.context.detach(token)


class TracedNats:
    """A view of a connection that sends the current context with what it publishes and asks.

    The callback of a subscription runs in the context that came with the message; that of a request
    in the context in which the request was made. Everything else is as the connection does it.

    Args:
        nats: a ``Nats``, or what ``Nats.with_codec`` gave.

    Raises:
        MissingExtraError: OpenTelemetry is not installed.
    """

    def __init__(self, nats: Any) -> None:
        _require()
        self.nats = nats

    def __getattr__(self, name: str) -> Any:
        if name == 'nats':  # not there yet: copying, unpickling
            raise AttributeError(name)
        return getattr(self.nats, name)

    def __repr__(self) -> str:
        return f'<traced {self.nats!r}>'

    def publish(self, subject: str, payload: Any = b'', reply_to: str | None = None) -> None:
        """Publish a message with the current context. See ``Nats.publish``."""
        headers = inject()
        if headers:
            self.nats.hpublish(subject, headers, payload, reply_to)
        else:
            self.nats.publish(subject, payload, reply_to)

    def hpublish(
        self, subject: str, headers: HeadersLike, payload: Any = b'', reply_to: str | None = None
    ) -> None:
        """Publish a message with headers and the current context. See ``Nats.hpublish``."""
        self.nats.hpublish(subject, inject(headers), payload, reply_to)

    def subscribe(self, subject: str, cb: AnyCallback, queue_group: str | None = None) -> int:
        """Subscribe; *cb* runs in the context that comes with a message. See ``Nats.subscribe``."""
        return self.subscribe_max(subject, cb, 0, queue_group)

    def subscribe_max(
        self, subject: str, cb: AnyCallback, max_msgs: int, queue_group: str | None = None
    ) -> int:
        """Subscribe for *max_msgs* messages. See ``subscribe``."""
        nargs = arity(cb, 4)

        def on_message(subject: str, payload: Any, reply: str | None, headers: Any) -> None:
            with attached(headers):
                cb(*(subject, payload, reply, headers)[:nargs])

        sid: int = self.nats.subscribe_max(subject, on_message, max_msgs, queue_group)
        return sid

    def request(
        self,
        subject: str,
        payload: Any,
        cb: AnyCallback,
        timeout: float | None = None,
        headers: HeadersLike | None = None,
    ) -> Handle:
        """Ask with the current context, in which *cb* runs too. See ``Nats.request``."""
        sent = inject(headers) or None
        handle: Handle = self.nats.request(subject, payload, _here(cb, 3), timeout, sent)
        return handle

    def request_many(
        self,
        subject: str,
        payload: Any,
        cb: AnyCallback,
        *,
        on_message: AnyCallback | None = None,
        headers: HeadersLike | None = None,
        **options: Any,
    ) -> Handle:
        """Ask many with the current context. See ``Nats.request_many``."""
        if on_message is not None:
            options['on_message'] = _here(on_message, 2)
        handle: Handle = self.nats.request_many(
            subject, payload, _here(cb, 2), headers=inject(headers) or None, **options
        )
        return handle

    # The original's short names.

    pub = publish
    hpub = hpublish
    sub = subscribe
    req = request


def _here(cb: AnyCallback, passed: int) -> AnyCallback:
    """Return *cb*, to be called in the context that is the current one now."""
    nargs = arity(cb, passed)
    context = _require().context.get_current()

    def called(*results: Any) -> None:
        with _current(context):
            cb(*results[:nargs])

    return called
