"""Reading through consumers: fetch, consume and ordered consumption."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ..calls import Call
from ..errors import DisconnectedError
from ..subjects import check_consumer, check_stream, check_subscription
from . import check
from .api import Api
from .consume import Consume
from .consumption import Consumption
from .fetch import GROUP_OPTIONS, Fetch, check_group, fetch_request
from .ordered import Ordered
from .pull import Window
from .push import PushConsume

AnyCallback = Callable[..., Any]

_WINDOW_OPTIONS = ('batch', 'expires', 'idle_heartbeat', 'threshold')
_DELIVER_OPTIONS = ('deliver_policy', 'opt_start_seq', 'opt_start_time', 'headers_only')
# With larger ones a client in trouble would notice too late.
_MOST_MESSAGES = 1_000_000
_MOST_EXPIRES = 24 * 3600 * 1_000_000_000


class Reading:
    """The part of ``JetStream`` that reads through consumers."""

    _api: Api

    def fetch(
        self, stream: str, consumer: str, opts: Mapping[str, Any] | None, cb: AnyCallback
    ) -> Call:
        """Fetch messages of a pull consumer (ADR-13).

        Args:
            stream: the stream.
            consumer: the consumer.
            opts: ``batch``: at most so many (default 1); ``expires``: ns to wait for them (default
                5 s); ``no_wait``: take what is there and do not wait; ``max_bytes``: at most so
                many bytes; ``idle_heartbeat``: ns, give up when the server is silent for twice as
                long (5 s where it would wait for more than 30 s). Of priority groups (ADR-42):
                ``group``, ``min_pending``, ``min_ack_pending``, ``priority``, ``id``.
            cb: called once as ``cb(messages, err)`` with a list of ``Message``, empty when none
                came in time. When the fetch fails after some have come, these are the result.

        Errors:
            NoResponders: there is no such consumer.
            ConsumerNotFoundError: it was deleted meanwhile.
            RequestTimeout: the server fell silent.
            DisconnectedError, JetStreamError.

        Raises:
            TypeError, ValueError: an unknown option, or a value that cannot be.
        """
        target = f'{check_stream(stream)}.{check_consumer(consumer)}'
        request = fetch_request(opts)
        nats = self._api.nats
        call = nats.call(cb)
        if nats.is_closed():
            call.fail_later(DisconnectedError('closed'))
        else:
            Fetch(self._api, call, target, request)
        return call

    def consume(
        self,
        stream: str,
        consumer: str,
        on_message: AnyCallback,
        *,
        on_end: AnyCallback | None = None,
        **opts: Any,
    ) -> Consumption:
        """Deliver the messages of a pull consumer until it is stopped (ADR-37).

        It goes on by itself over lost connections and restarts of the server.

        Args:
            stream: the stream.
            consumer: the consumer.
            on_message: called as ``on_message(message)`` with each ``Message``; acknowledging it is
                up to you.
            on_end: called once as ``on_end(err)``: with None after ``stop()``, else with the
                reason. Without it the reason goes to the client's ``on_error``.
            **opts: ``batch``: messages to keep requested (default 500, fewer when they are large);
                ``max_bytes``: bytes to keep requested, instead; ``threshold``: the share of them at
                which more are requested (default 0.5); ``expires``: ns for which one request
                stands (default 30 s); ``idle_heartbeat``: ns between the server's signs of life
                (default 5 s). Of priority groups (ADR-42): ``group``, ``min_pending``,
                ``min_ack_pending``, ``priority``.

        Errors (to ``on_end``):
            ConsumerNotFoundError, StreamNotFoundError: also when it is deleted meanwhile.
            JetStreamError: it can never be served, such as a push consumer (``push_consume``).
            DisconnectedError: the client is closed.

        Raises:
            TypeError, ValueError: an unknown option, or a value that cannot be.
        """
        target = f'{check_stream(stream)}.{check_consumer(consumer)}'
        known = ('max_bytes', *_WINDOW_OPTIONS, *GROUP_OPTIONS)
        window = _window(check.options(opts, known, 'consume'), Window())
        return Consume(self._api, target, window, on_message, on_end)

    def push_consume(
        self,
        stream: str,
        consumer: str,
        on_message: AnyCallback,
        *,
        on_end: AnyCallback | None = None,
    ) -> Consumption:
        """Deliver the messages of a push consumer until it is stopped.

        Flow control is answered when everything before it has been handled, so that the server
        never sends more than that. It goes on by itself over lost connections and restarts of the
        server.

        Args:
            stream: the stream.
            consumer: the consumer, which has a ``deliver_subject``. One with a ``deliver_group``
                may have several such consumptions, each of which gets its share. With an
                ``idle_heartbeat`` it is noticed when the consumer is gone.
            on_message: called as ``on_message(message)`` with each ``Message``; acknowledging it is
                up to you.
            on_end: called once as ``on_end(err)``: with None after ``stop()``, else with the
                reason. Without it the reason goes to the client's ``on_error``.

        Errors (to ``on_end``):
            ConsumerNotFoundError, StreamNotFoundError: also when it is deleted meanwhile.
            JetStreamError: it is a pull consumer, or somebody else has its messages.
            DisconnectedError: the client is closed.
        """
        target = f'{check_stream(stream)}.{check_consumer(consumer)}'
        return PushConsume(self._api, target, on_message, on_end)

    def ordered(
        self,
        stream: str,
        on_message: AnyCallback,
        *,
        filter_subjects: str | list[str] | None = None,
        on_caught_up: AnyCallback | None = None,
        on_end: AnyCallback | None = None,
        **opts: Any,
    ) -> Consumption:
        """Deliver messages of a stream in order, each once, until it is stopped (ADR-17).

        It makes a consumer of its own, without acknowledgements, and another one whenever that is
        lost or a message is missing: over lost connections, restarts of the server, deletion of the
        consumer and changes of the leader it goes on after the last message delivered.

        Args:
            stream: the stream.
            on_message: called as ``on_message(message)`` with each ``Message``.
            filter_subjects: only messages on these (wildcards allowed; several: server 2.10).
            on_caught_up: called once, without arguments, when all that was in the stream at the
                beginning has been delivered; also when there was nothing.
            on_end: called once as ``on_end(err)``: with None after ``stop()``, else with the
                reason. Without it the reason goes to the client's ``on_error``.
            **opts: ``deliver_policy``: ``'all'`` (default), ``'last'``, ``'new'``,
                ``'last_per_subject'``, ``'by_start_sequence'`` with ``opt_start_seq``, or
                ``'by_start_time'`` with ``opt_start_time`` (these two policies may be left out);
                ``headers_only``: without payloads; ``batch``, ``threshold``, ``expires``,
                ``idle_heartbeat``: as for ``consume`` (``batch`` is 2000 here); ``max_bytes``
                likewise, but not with ``'last_per_subject'``, where servers lose messages by it.

        Errors (to ``on_end``):
            StreamNotFoundError: also when it is deleted meanwhile.
            ConsumptionEnded: the stream was deleted and created again.
            JetStreamError, DisconnectedError.

        Raises:
            TypeError, ValueError: an unknown option, or a value that cannot be.
        """
        given = check.options(opts, (*_DELIVER_OPTIONS, 'max_bytes', *_WINDOW_OPTIONS), 'ordered')
        config = {name: given[name] for name in _DELIVER_OPTIONS if name in given}
        if 'opt_start_seq' in config:
            config.setdefault('deliver_policy', 'by_start_sequence')
            check.number(config['opt_start_seq'], 'opt_start_seq', 1)
        elif 'opt_start_time' in config:
            config.setdefault('deliver_policy', 'by_start_time')
        config.setdefault('deliver_policy', 'all')
        if 'max_bytes' in given and config['deliver_policy'] == 'last_per_subject':
            raise ValueError("max_bytes does not go with 'last_per_subject'")
        filters = [filter_subjects] if isinstance(filter_subjects, str) else filter_subjects or []
        checked = [check_subscription(subject) for subject in filters]
        if not checked and config['deliver_policy'] == 'last_per_subject':
            checked = ['>']  # the server insists on one
        if len(checked) == 1:
            config['filter_subject'] = checked[0]
        elif checked:
            config['filter_subjects'] = checked
        window = _window(given, Window(batch=2000, small=bool(given.get('headers_only'))))
        return Ordered(self._api, stream, config, window, on_message, on_caught_up, on_end)


def _window(given: dict[str, Any], window: Window) -> Window:
    """Return *window* with the options *given*."""
    if 'batch' in given:
        window.batch = check.number(given['batch'], 'batch', 1)
    if 'max_bytes' in given:
        window.max_bytes = check.number(given['max_bytes'], 'max_bytes', 1)
        window.batch = given.get('batch', _MOST_MESSAGES)
        window.small = True  # it is the bytes that count
    if 'expires' in given:
        window.expires = check.number(given['expires'], 'expires', 1_000_000_000)
        window.expires = min(window.expires, _MOST_EXPIRES)
        window.idle_heartbeat = min(window.idle_heartbeat, window.expires // 2)
    if 'idle_heartbeat' in given:
        window.idle_heartbeat = check.number(given['idle_heartbeat'], 'idle_heartbeat', 100_000_000)
        if window.idle_heartbeat * 2 > window.expires:
            raise ValueError('idle_heartbeat must be at most half of expires')
    if 'threshold' in given:
        threshold = given['threshold']
        if isinstance(threshold, bool) or not isinstance(threshold, (int, float)):
            raise TypeError(f'threshold must be a number, not {type(threshold).__name__}')
        if not 0 <= threshold < 1:
            raise ValueError(f'threshold must be from 0 up to, but not, 1; not {threshold}')
        window.threshold = threshold
    check_group(given)
    window.group = {name: given[name] for name in GROUP_OPTIONS if name in given}
    return window
