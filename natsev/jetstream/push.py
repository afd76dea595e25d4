"""Push consumers: the server sends when there is something, and flow control holds it back."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from ..errors import JetStreamError, NatsError
from ..headers import Headers
from .api import Api
from .consumption import Consumption, passes
from .message import Message
from .status import Kind

if TYPE_CHECKING:
    from ..nats import Nats

_MISSED_HEARTBEATS = 2
_STALLED = 'Nats-Consumer-Stalled'

AnyCallback = Callable[..., Any]
OnMessage = Callable[[str, bytes, str | None, Headers | None], None]


class Push:
    """The subscription to what a push consumer delivers.

    Args:
        nats: the client.
        on_message: called as ``on_message(subject, payload, reply, headers)``.
        on_silence: called when the server's signs of life stay away.
    """

    def __init__(self, nats: Nats, on_message: OnMessage, on_silence: Callable[[], None]) -> None:
        self._nats = nats
        self._deliver = on_message
        self._on_silence = on_silence
        self._sid: int | None = None
        self._subject = ''
        self._every = 0.0
        self._heard = False
        self._silent = 0
        self._paused = False
        self._timer = nats.port.timer(self._tick)

    @property
    def active(self) -> bool:
        """Is it subscribed?"""
        return self._sid is not None

    def start(self, subject: str, group: str | None, heartbeat: int) -> None:
        """Subscribe to *subject*, unless that has been done; *heartbeat* is in ns, 0 for none."""
        if self._sid is None or subject != self._subject:
            self._unsubscribe()
            self._subject = subject
            self._sid = self._nats.subscribe(subject, self._on_message, group)
            if self._paused:
                self._nats.pause(self._sid)
        self._every = heartbeat / 1e9
        self._heard = False
        self._silent = 0
        if heartbeat:
            self._timer.start(self._every, self._every)

    def stop(self) -> None:
        """Await nothing for now. The subscription stays: it is restored with the connection."""
        self._timer.stop()

    def close(self) -> None:
        """Stop for good."""
        self._timer.close()
        self._unsubscribe()

    def pause(self) -> None:
        """Deliver no more for now. What comes waits, flow control too: the server stops sending."""
        self._paused = True
        if self._sid is not None:
            self._nats.pause(self._sid)

    def resume(self) -> None:
        """Deliver what waits, and then what comes."""
        self._paused = False
        if self._sid is not None:
            self._heard = True
            self._nats.resume(self._sid)

    def _unsubscribe(self) -> None:
        sid, self._sid = self._sid, None
        if sid is not None:
            self._nats.unsubscribe(sid)

    def _tick(self) -> None:
        if self._heard or self._paused:
            self._heard = False
            self._silent = 0
            return
        self._silent += 1
        if self._silent >= _MISSED_HEARTBEATS:
            self._silent = 0
            self._on_silence()

    def _on_message(
        self, subject: str, payload: bytes, reply: str | None, headers: Headers | None
    ) -> None:
        self._heard = True
        if headers is not None and headers.status == 100 and not payload:
            # All that came before has been handled: callbacks run in order.
            answer_to = reply or headers.get(_STALLED)
            if answer_to:
                with suppress(NatsError):  # we are being closed; else the heartbeats ask again
                    self._nats.publish(answer_to)
        else:
            self._deliver(subject, payload, reply, headers)


class PushConsume(Consumption):
    """See ``JetStream.push_consume``."""

    def __init__(
        self, api: Api, target: str, on_message: AnyCallback, on_end: AnyCallback | None
    ) -> None:
        self._target = target
        self._push = Push(api.nats, self.on_message, self._look)
        super().__init__(api, self._push, on_message, on_end)
        self._start()

    def __repr__(self) -> str:
        return f'<Consumption of {self._target}>'

    def _begin(self) -> None:
        self._look()

    def _look(self) -> None:
        """Is the consumer there, and where does it deliver to?"""
        self._ask(f'CONSUMER.INFO.{self._target}', None, self._looked)

    def _looked(self, info: Any, err: NatsError | None) -> None:
        if self._nats.is_closed():
            return  # closed() follows
        if err is not None:
            if passes(err):
                self._begin_later(err)
            else:
                self._end(err)
            return
        config = info.get('config') or {}
        subject, group = config.get('deliver_subject'), config.get('deliver_group')
        if not subject:
            self._end(JetStreamError(0, 0, f'{self._target} is a pull consumer'))
        elif info.get('push_bound') and not group and not self._push.active:
            self._end(JetStreamError(0, 0, f'{self._target} delivers to somebody else already'))
        else:
            self._standing()
            self._push.start(subject, group, config.get('idle_heartbeat') or 0)

    def on_message(
        self, subject: str, payload: bytes, reply: str | None, headers: Headers | None
    ) -> None:
        self._deliver(Message(self._api, subject, payload, reply, headers))

    def _recover(self, kind: Kind, err: NatsError) -> None:
        self._begin_later(err)
