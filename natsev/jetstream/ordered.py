"""Ordered consumption: every message of a stream once and in order, whatever happens (ADR-17).

It stands on a consumer of our own that keeps no acknowledgements and can be lost at any time: then
another one begins after the last message that was delivered.

Why it pulls: a pull consumer tells at once when it was deleted, when its server stops or leads no
more, which a push consumer leaves to missed heartbeats; what is under way is bounded by what was
requested, not by a window of the server's; and without the round trips of flow control it is as
fast. It costs one round trip more before the first message.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from datetime import datetime, timezone
from typing import Any

from ..callbacks import arity
from ..errors import (
    ConsumptionEnded,
    JetStreamError,
    NatsError,
    UnsupportedOptionError,
)
from ..headers import Headers
from ..nuid import next_nuid
from ..wire import parse_delivery
from .api import Api
from .consumers import create_request
from .consumption import AnyCallback, Consumption, passes
from .echo import dropped
from .message import Message
from .pull import Pull, Window
from .status import Kind
from .stored import parse_time

# How long the server keeps the consumer of a client that died.
_INACTIVE_THRESHOLD = 60_000_000_000
# After so many times that the server says "more" and sends nothing, there is no more.
_MOST_EMPTY_ROUNDS = 3


class Ordered(Consumption):
    """See ``JetStream.ordered``.

    Args:
        api: the API.
        stream: the stream.
        config: what to deliver: fields of a consumer's configuration.
        window: how much to keep requested.
        on_message: called as ``on_message(message)``.
        on_caught_up: called once, when all that was there at the beginning has been delivered.
        on_end: called once as ``on_end(err)``.
    """

    def __init__(
        self,
        api: Api,
        stream: str,
        config: Mapping[str, Any],
        window: Window,
        on_message: AnyCallback,
        on_caught_up: AnyCallback | None,
        on_end: AnyCallback | None,
    ) -> None:
        if on_caught_up is not None:
            arity(on_caught_up, 0)
        self._stream = stream
        self._config = dict(config)
        self._on_caught_up = on_caught_up
        self._caught_up = False
        self._consumer: str | None = None
        self._last_seq: int | None = None  # the last message delivered; None: not begun
        self._since: datetime | None = (
            None  # when the first consumer was made, by the server's clock
        )
        self._consumer_seq = 0
        self._pending = 0
        self._empty_rounds = 0
        create_request(stream, self._wanted(next_nuid()), '')  # raises what is wrong with it
        self._pull = Pull(api, window, self)
        super().__init__(api, self._pull, on_message, on_end)
        self._start()

    def __repr__(self) -> str:
        return f'<ordered consumption of {self._stream}>'

    # Beginning, and beginning again.

    def _begin(self) -> None:
        self._leave()
        if self._since is None:
            self._create()
        else:
            self._ask(f'STREAM.INFO.{self._stream}', None, self._still_there)

    def _still_there(self, info: Any, err: NatsError | None) -> None:
        """Go on in the same stream only: in another of its name the position means nothing."""
        if err is not None:
            self._retry_or_end(err)
        elif self._is_another(info):
            self._end(ConsumptionEnded('the stream was deleted and created again'))
        else:
            self._create()

    def _is_another(self, info: dict[str, Any]) -> bool:
        last_seq = (info.get('state') or {}).get('last_seq', 0)
        made_since = self._since is not None and _created_at(info) > self._since
        return made_since or last_seq < (self._last_seq or 0)

    def _create(self) -> None:
        self._consumer = next_nuid()
        endpoint, body = create_request(self._stream, self._wanted(self._consumer), 'create')
        self._ask(endpoint, body, self._created)

    def _wanted(self, name: str) -> dict[str, Any]:
        config = {
            **self._config,
            'name': name,
            'ack_policy': 'none',
            'mem_storage': True,
            'num_replicas': 1,
            'inactive_threshold': _INACTIVE_THRESHOLD,
        }
        if self._last_seq is not None and not self._again_from_start():
            config.pop('opt_start_time', None)
            config['deliver_policy'] = 'by_start_sequence'
            config['opt_start_seq'] = self._last_seq + 1
        return config

    def _again_from_start(self) -> bool:
        # The last of each subject cannot be told from a sequence: they are sent again, and those
        # that were delivered before are left out.
        return self._config.get('deliver_policy') == 'last_per_subject' and not self._caught_up

    def _created(self, info: Any, err: NatsError | None) -> None:
        if err is not None:
            self._retry_or_end(err)
            return
        lost = list(dropped(self._config, info.get('config')))
        if lost:
            self._end(UnsupportedOptionError(lost, info))
        else:
            self._deliver_from(info)

    def _retry_or_end(self, err: NatsError) -> None:
        if passes(err):
            self._begin_later(err)
        else:
            self._end(err)

    def _deliver_from(self, info: dict[str, Any]) -> None:
        if self._since is None:
            self._since = _created_at(info)
        if self._last_seq is None:
            self._last_seq = 0 if self._again_from_start() else _position(info)
        self._consumer_seq = 0
        self._pending = info.get('num_pending', 0)
        self._empty_rounds = 0
        if not self._caught_up and not self._pending:
            self._catch_up()
        if not self.ended:
            self._pull.start(f'{self._stream}.{self._consumer}', no_wait=not self._caught_up)

    def _leave(self) -> None:
        """Delete the consumer, if it is still there; nobody waits for that."""
        consumer, self._consumer = self._consumer, None
        if consumer is not None and self._nats.is_connected():
            with suppress(NatsError):
                subject = self._api.subject(f'CONSUMER.DELETE.{self._stream}.{consumer}')
                self._nats.publish(subject)

    def _close(self) -> None:
        super()._close()
        self._leave()

    # Messages.

    def on_message(
        self, subject: str, payload: bytes, reply: str | None, headers: Headers | None
    ) -> None:
        delivery = parse_delivery(reply)
        self._consumer_seq += 1
        if delivery.consumer_seq != self._consumer_seq:
            self._pull.stop()
            self._begin_later(_lost())
            return
        if self._tries or not self._stood:
            self._standing()
        self._empty_rounds = 0
        self._pending = delivery.pending
        last = not self._caught_up and not self._pending
        if delivery.seq > (self._last_seq or 0):
            self._last_seq = delivery.seq
            message = Message(self._api, subject, payload, reply, headers, delivery)
            if not last:
                self._deliver(message)
                return
            self._nats.run_callback(self._deliver, message)
        if last and not self.ended:
            self._catch_up()

    def _catch_up(self) -> None:
        self._caught_up = True
        on_caught_up, self._on_caught_up = self._on_caught_up, None
        if on_caught_up is not None:
            self._nats.run_callback(on_caught_up)

    def on_idle(self) -> None:
        if self._caught_up:
            self._pull.wait()
        elif self._empty_rounds < _MOST_EMPTY_ROUNDS:
            # Messages that were to come may have been deleted meanwhile.
            self._empty_rounds += 1
            endpoint = f'CONSUMER.INFO.{self._stream}.{self._consumer}'
            self._ask(endpoint, None, self._looked)
        else:
            self._catch_up_and_wait()

    def _looked(self, info: Any, err: NatsError | None) -> None:
        if err is None and self._empty_rounds >= _MOST_EMPTY_ROUNDS and self._is_behind(info):
            err = _lost()
        if err is not None:
            self._pull.stop()
            self._begin_later(err)
        elif self._caught_up or not (info.get('num_pending') or self._is_behind(info)):
            self._catch_up_and_wait()
        else:
            self._pull.more()

    def _is_behind(self, info: dict[str, Any]) -> bool:
        """Has the server sent messages that are not here yet?"""
        sent = (info.get('delivered') or {}).get('consumer_seq', 0)
        return isinstance(sent, int) and sent > self._consumer_seq

    def _catch_up_and_wait(self) -> None:
        if not self._caught_up:
            self._catch_up()
        if not self.ended:
            self._pull.wait()

    def _recover(self, kind: Kind, err: NatsError) -> None:
        self._begin_later(err)


def _lost() -> JetStreamError:
    return JetStreamError(0, 0, 'messages were lost on their way')


def _created_at(info: dict[str, Any]) -> datetime:
    try:
        return parse_time(info['created'])
    except (KeyError, TypeError, ValueError):
        return datetime.min.replace(tzinfo=timezone.utc)


def _position(info: dict[str, Any]) -> int:
    """Return the stream sequence before the first that a new consumer delivers."""
    seq = (info.get('delivered') or {}).get('stream_seq', 0)
    return seq if isinstance(seq, int) else 0
