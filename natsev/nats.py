"""The client: publish, subscribe, request, and the callbacks of a connection.

Mirrors EV::Nats. Protocol: https://docs.nats.io/reference/reference-protocols/nats-protocol
"""

from __future__ import annotations

import contextlib
import os
import weakref
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from os import PathLike
from time import monotonic
from typing import TYPE_CHECKING, Any, Protocol

from . import address, options
from .calls import Call, Handle
from .codec import Codec, Msgpack, codec_of
from .coded import CodedNats
from .errors import (
    Cancelled,
    DisconnectedError,
    ForkedError,
    MaxPayloadError,
    NatsError,
    PermissionsError,
    RequestTimeout,
    ServerError,
)
from .gathering import Gathering, Sentinel
from .headers import Headers
from .link import Link, State
from .loop import port_for
from .nuid import next_nuid
from .old_requests import OldRequest
from .options import MIB, NatsOptions
from .pausing import Pausing
from .settings import AnyCallback, Settings
from .threads import ThreadGuard, debugging
from .timeouts import Timeouts
from .wire import Request, Wire, arity, check_timeout

if TYPE_CHECKING:
    from typing_extensions import Unpack


Payload = bytes | bytearray | memoryview | str
HeadersOut = Mapping[str, Any] | Iterable[tuple[str, Any]] | bytes


class Listener(Protocol):
    """Told of every later event of the connection, for what goes on by itself over a loss."""

    def connected(self) -> None:
        """The connection stands again."""

    def disconnected(self, err: NatsError) -> None:
        """The connection was lost; another one is on its way."""

    def closed(self, err: NatsError) -> None:
        """The client is closed for good."""


# Methods that are the wire's, but for the limit of slow_consumer().
_PUBLISHING = {'publish': 'publish', 'hpublish': 'hpublish', 'pub': 'publish', 'hpub': 'hpublish'}
# No server can be configured to take more.
_MOST_PAYLOAD = 64 * MIB


class PendingRequest(Request):
    """A request that waits for its reply; ``cancel()`` gives it up."""

    # Set by who makes it and not by an __init__, which would cost half as much as the request.
    __slots__ = ('nats', 'old', 'subject')

    nats: Nats
    subject: str
    old: OldRequest | None  # where requests are made in the old style

    def cancel(self) -> None:
        """Give up. The callback still comes once, with ``Cancelled``."""
        if self.nats._options.old_request_style:
            if self.old is not None:
                self.old.cancel()
        elif self.nats.forget(self):
            self.end_soon(Cancelled())

    def end_soon(self, err: NatsError) -> None:
        """End with *err*, in the next turn of the loop."""
        self.nats.call_soon(self.nats.run_callback, self.end, None, err, None)


class Replies(Request):
    """A place on the client's shared inbox for any number of replies.

    Attributes:
        subject: what to give as ``reply_to``.
    """

    __slots__ = ('_nats', 'subject')

    def __init__(self, nats: Nats, on_reply: AnyCallback) -> None:
        super().__init__(on_reply, 3, True)
        self._nats = nats
        self.subject = nats._wire.expect(self)

    def close(self) -> None:
        """Take no more replies."""
        self._nats._wire.forget(self)


class Nats(Settings):
    """A NATS connection on a libev loop.

    Connects at once when ``host``, ``path`` or ``servers`` is given; calls made before the
    connection stands are queued.

    Args:
        loop: a ``natsev.ev`` or pyev loop, or gevent's own; default ``ev.default_loop()``.
        **options: see ``natsev.options.Options``; times are in milliseconds.

    Raises:
        TypeError, ValueError: an option is unknown, or its value cannot work.
    """

    def __init__(self, **given: Unpack[NatsOptions]) -> None:
        keywords = dict(given)
        loop = keywords.pop('loop', None)
        super().__init__(port_for(loop), options.parse(keywords))
        self._wire = Wire(self._output_ready, self.callback_raised, self._deadline_set)
        self._wire.inbox = f'{self._options.inbox_prefix}.{next_nuid()}.'
        self._link = Link(self.port, self._wire, self._options, self)
        self._timeouts = Timeouts(self.port, self._wire, self._link.read_now, self._expired)
        self._pausing = Pausing(self, self._wire)
        # In the order in which they came; a dict, since transfers come and go.
        self._listeners: dict[Listener, None] = {}
        self._max_payload_asked: int | None = None
        self._slow_limit: int | None = None
        self._slow = False
        self._thread_calls: deque[tuple[AnyCallback, tuple[Any, ...]]] = deque()
        self._wakeup = self.port.wakeup(self._run_thread_calls, keep=False)
        _clients.add(self)
        if debugging():
            ThreadGuard(self)
        else:
            self._shorten(True)
        if self._options.servers:
            self._link.open()

    def __repr__(self) -> str:
        servers = ', '.join(str(server) for server in self._options.servers)
        return f'<Nats {self._link.state.name.lower()} [{servers}]>'

    # Connecting.

    def connect(self, host: str, port: int = address.DEFAULT_PORT) -> None:
        """Connect to a server by TCP.

        Args:
            host: name or IP address.
            port: TCP port.

        Raises:
            TypeError, ValueError: they are not a host and a port.
            RuntimeError: the client is connected, or connecting, already.
        """
        self._connect([address.tcp(host, port)])

    def connect_unix(self, path: str | PathLike[str]) -> None:
        """Connect to a server through the Unix-domain socket at *path*.

        Raises:
            RuntimeError: the client is connected, or connecting, already.
        """
        self._connect([address.unix(path)])

    def _connect(self, servers: list[address.Address]) -> None:
        self._refuses()
        if self._link.state not in (State.IDLE, State.CLOSED):
            raise RuntimeError(
                'already connected, or connecting: disconnect() first, connect() in on_close'
            )
        self._options.servers = servers
        if self._link.state is State.CLOSED:
            self._wakeup = self.port.wakeup(self._run_thread_calls, keep=False)
        self._link.open()

    def disconnect(self) -> None:
        """Write what is buffered, for at most ``connect_timeout``, and close.

        Pending calls end with ``"disconnected"``; then ``on_disconnect(None)`` and ``on_close()``
        are called, and natsev has no watcher on the loop any more.
        """
        self._refuses()
        self._link.close()

    def is_connected(self) -> bool:
        """Does the connection stand?"""
        return self._link.state is State.CONNECTED

    def is_closed(self) -> bool:
        """Is the client closed for good (or until ``connect()``)?"""
        return self._wire.refused is not None

    def reconnect(
        self, enable: bool, delay: float | None = None, max_attempts: int | None = None
    ) -> None:
        """Switch reconnecting on or off.

        Args:
            enable: whether a lost connection is made again.
            delay: ms before the second attempt.
            max_attempts: failed attempts per server before it is given up; 0: no limit.
        """
        self._options.set('reconnect', enable)
        if delay is not None:
            self._options.set('reconnect_delay', delay)
        if max_attempts is not None:
            self._options.set('max_reconnect_attempts', max_attempts)

    def reconnect_enabled(self) -> bool:
        """Is a lost connection made again?"""
        return self._options.reconnect

    def reconnect_now(self) -> None:
        """Leave the present server, or stop waiting, and connect to the next one at once."""
        self._refuses()
        self._link.reconnect_now()

    def set_servers(self, urls: Iterable[str]) -> None:
        """Take *urls* as the pool of servers from the next attempt on."""
        self._options.servers = options.parse_servers(urls)
        self._link.set_servers()

    # Publishing.

    def publish(self, subject: str, payload: Payload = b'', reply_to: str | None = None) -> None:
        """Publish a message.

        It is written in the next turn of the loop; while away it waits in the reconnect buffer.

        Args:
            subject: where to; no wildcards.
            payload: the message; ``str`` goes out as UTF-8.
            reply_to: subject for replies.

        Raises:
            TypeError, ValueError: an illegal subject or payload.
            MaxPayloadError: larger than the server takes.
            BufferFullError: more is waiting than the buffer may hold; nothing was taken.
            DisconnectedError: the client is closed.
        """
        self._wire.publish(subject, payload, reply_to)
        if self._slow_limit is not None:
            self._check_slow()

    def hpublish(
        self,
        subject: str,
        headers: HeadersOut,
        payload: Payload = b'',
        reply_to: str | None = None,
    ) -> None:
        """Publish a message with headers (ADR-4).

        Args:
            subject: where to; no wildcards.
            headers: a mapping (values may be lists), pairs, or a raw ``NATS/1.0\\r\\n...`` block.
            payload: the message.
            reply_to: subject for replies.

        Raises:
            See ``publish``.
        """
        self._wire.hpublish(subject, headers, payload, reply_to)
        if self._slow_limit is not None:
            self._check_slow()

    def batch(self, fn: AnyCallback) -> None:
        """Call *fn*, then write all that it published in as few system calls as possible."""
        try:
            fn()
        finally:
            self._link.flush_now()

    # Subscribing.

    def subscribe(self, subject: str, cb: AnyCallback, queue_group: str | None = None) -> int:
        """Subscribe to *subject*.

        Args:
            subject: may have the wildcards ``*`` and ``>``.
            cb: called as ``cb(subject, payload, reply, headers)`` for each message; reply and
                headers
                are None where the message has none.
            queue_group: of all subscriptions in a group, one gets each message.

        Returns:
            The subscription's id, for ``unsubscribe``. It is restored after a reconnect.

        Raises:
            TypeError, ValueError: an illegal subject, queue group or callback.
            DisconnectedError: the client is closed.
        """
        return self.subscribe_max(subject, cb, 0, queue_group)

    def subscribe_max(
        self, subject: str, cb: AnyCallback, max_msgs: int, queue_group: str | None = None
    ) -> int:
        """Subscribe to *subject* for *max_msgs* messages. See ``subscribe``."""
        nargs = arity(cb, 4)
        self._check_open()
        return self._wire.subscribe(subject, cb, nargs, queue_group, max_msgs)

    def unsubscribe(self, sid: int, max_msgs: int | None = None, *, drain: bool = False) -> None:
        """End a subscription.

        Args:
            sid: what ``subscribe`` returned.
            max_msgs: end it only after so many messages since it was made.
            drain: deliver what the server has sent until it knows, then end it.
        """
        if drain and self.is_connected():
            self._drain_subscription(sid)
        else:
            self._wire.unsubscribe(sid, max_msgs or 0)
            if not max_msgs:
                self._pausing.forget(sid)

    def _drain_subscription(self, sid: int) -> None:
        # The server stops sending at UNSUB; what it sent before arrives before the PONG.
        self._wire.control(b'UNSUB %d\r\n' % sid)
        self._link.ping(lambda err: self._wire.unsubscribe(sid))

    def pause(self, sid: int, max_msgs: int | None = None, max_bytes: int | None = None) -> None:
        """Let the messages of a subscription wait until ``resume``.

        What comes when too much waits is dropped, and told: once, until all that waits has been
        delivered, ``on_error`` gets a ``SlowConsumerError`` and ``on_slow_consumer`` the bytes
        that wait.

        Args:
            sid: what ``subscribe`` returned.
            max_msgs: so many messages may wait; default 65,536.
            max_bytes: so many bytes of headers and payloads may wait; default 64 MiB.

        Raises:
            ValueError: there is no such subscription, or a limit is not positive.
        """
        for name, limit in (('max_msgs', max_msgs), ('max_bytes', max_bytes)):
            if limit is not None:
                _check_number(name, limit)
        self._pausing.pause(sid, max_msgs, max_bytes)

    def resume(self, sid: int) -> None:
        """Deliver the messages that wait since ``pause``, in their order, and then what comes."""
        self._pausing.resume(sid)

    def pending(self, sid: int) -> tuple[int, int]:
        """Return how many messages, and how many bytes, wait for a paused subscription."""
        return self._pausing.waiting(sid)

    def subscription_count(self) -> int:
        """Return how many subscriptions there are."""
        return self._wire.subscription_count

    def new_inbox(self) -> str:
        """Return a new unique subject for replies."""
        return f'{self._options.inbox_prefix}.{next_nuid()}'

    # Requests.

    def request(
        self,
        subject: str,
        payload: Payload,
        cb: AnyCallback,
        timeout: float | None = None,
        headers: HeadersOut | None = None,
    ) -> Handle:
        """Publish a request and wait for one reply.

        Args:
            subject: where to.
            payload: the request.
            cb: called once as ``cb(response, err, headers)``.
            timeout: ms to wait from now on, also while queued; None: without end.
            headers: headers of the request.

        Errors:
            RequestTimeout, NoResponders, DisconnectedError, BufferFullError, Cancelled.
            PermissionsError: we may not publish to *subject*.

        Returns:
            A handle with ``cancel()``.
        """
        request = PendingRequest(cb, arity(cb, 3))
        request.nats = self
        request.subject = subject
        self.ask(request, payload, timeout, headers)
        return request

    def ask(
        self,
        request: PendingRequest,
        payload: Payload,
        timeout: float | None,
        headers: HeadersOut | None,
    ) -> None:
        """Make *request*, whose ``nats`` and ``subject`` are set. See ``request``."""
        try:
            if self._options.old_request_style:
                self._ask_in_old_style(request, payload, timeout, headers)
            else:
                self._wire.request(request, request.subject, payload, headers, timeout)
        except (ForkedError, MaxPayloadError):
            raise
        except NatsError as err:
            request.end_soon(err)
        if self._slow_limit is not None:
            self._check_slow()

    def _ask_in_old_style(
        self,
        request: PendingRequest,
        payload: Payload,
        timeout: float | None,
        headers: HeadersOut | None,
    ) -> None:
        request.old = None
        request.old = OldRequest(
            self, self._wire, request.end, request.subject, payload, timeout, headers
        )

    def request_many(
        self,
        subject: str,
        payload: Payload,
        cb: AnyCallback,
        *,
        timeout: float | None = 5000,
        max_msgs: int | None = None,
        stall: float | None = None,
        sentinel: Sentinel | bool = False,
        on_message: AnyCallback | None = None,
        headers: HeadersOut | None = None,
    ) -> Handle:
        """Publish a request and gather the replies of many (ADR-47).

        Args:
            subject: where to.
            payload: the request.
            cb: called once as ``cb(replies, err)``: a list of ``{'payload', 'headers'}``; empty
                where none came in time, or where *on_message* took them.
            timeout: ms until the gathering ends; None: without end.
            max_msgs: so many replies end it.
            stall: ms without another reply, after the first, that end it.
            sentinel: True: an empty reply ends it; or called as ``sentinel(payload, headers)`` for
                each reply, whether it marks the end. The mark is not among the replies.
            on_message: called as ``on_message(payload, headers)`` for each reply.
            headers: headers of the request.

        Errors:
            NoResponders, DisconnectedError, BufferFullError, Cancelled.

        Returns:
            A handle with ``cancel()``.
        """
        for ms in (timeout, stall):
            if ms is not None:
                check_timeout(ms)
        if max_msgs is not None:
            _check_number('max_msgs', max_msgs)
        gathering = Gathering(self, cb, on_message, max_msgs, stall, timeout, sentinel)
        try:
            self._wire.request(gathering, subject, payload, headers)
        except NatsError as err:
            gathering.fail_later(err)
            if isinstance(err, ForkedError | MaxPayloadError):
                raise
        return gathering

    def forget(self, request: Request) -> bool:
        """For the layers above: wait no longer for *request*; tell whether it was waiting."""
        return self._wire.forget(request)

    def replies(self, on_reply: AnyCallback) -> Replies:
        """Return a place on the shared inbox for any number of replies.

        Args:
            on_reply: called as ``on_reply(payload, err, headers)``. After an err of
                ``DisconnectedError`` nothing comes any more. On a closed client nothing comes at
                all: the publish that asks for the replies raises.
        """
        self._refuses()
        return Replies(self, on_reply)

    def _end_request(self, request: Request, err: NatsError) -> None:
        self.run_callback(request.end, None, err, None)

    def _expired(self, request: Request) -> None:
        self._end_request(request, RequestTimeout())

    def with_codec(self, codec: str | Codec | None = None) -> CodedNats:
        """Return a view of this connection whose payloads are Python values.

        Args:
            codec: an object with ``encode`` and ``decode``; default ``'msgpack'``.

        Raises:
            TypeError, ValueError: it cannot be a codec.
        """
        return CodedNats(self, codec_of(codec) or Msgpack())

    # Flushing, draining, pings.

    def flush(self, cb: AnyCallback | None = None, timeout: float | None = None) -> Call:
        """Ask the server to confirm that all that was published before has reached it.

        Args:
            cb: called once as ``cb(err)``.
            timeout: ms to wait; None: without end.

        Errors:
            RequestTimeout, DisconnectedError, Cancelled.
        """
        return self._pong_call(cb, timeout, lambda err: (err,))

    def ping(self) -> None:
        """Send a PING; its PONG shows that the connection is alive."""
        self._check_open()
        self._link.ping(None)

    def rtt(self, cb: AnyCallback, timeout: float | None = None) -> Call:
        """Measure the round-trip time to the server.

        Args:
            cb: called once as ``cb(milliseconds, err)``.
            timeout: ms to wait; None: without end.
        """
        started = monotonic()

        def results(err: NatsError | None) -> tuple[Any, ...]:
            return (None, err) if err else ((monotonic() - started) * 1000, None)

        call = self._pong_call(cb, timeout, results, passed=2)
        self._link.flush_now()
        return call

    def _pong_call(
        self,
        cb: AnyCallback | None,
        timeout: float | None,
        results: Callable[[NatsError | None], tuple[Any, ...]],
        passed: int = 1,
    ) -> Call:
        call = Call(self, cb, passed, passed - 1)
        if self._refuses():
            call.fail_later(DisconnectedError('closed'))
            return call

        def ponged(err: NatsError | None) -> None:
            call.end(*results(err))

        if timeout is not None:
            call.expire(self.port, check_timeout(timeout))
        self._link.ping(ponged)
        return call

    def drain(self, cb: AnyCallback | None = None, timeout: float | None = None) -> Call:
        """End all subscriptions, deliver what is on its way, write what is buffered, and close.

        Args:
            cb: called once as ``cb(err)``, before ``on_close``.
            timeout: ms for all of it; then the connection is closed with ``RequestTimeout``.

        Errors:
            RequestTimeout, DisconnectedError, Cancelled.
        """
        call = Call(self, cb, 1, 0)
        if self._refuses() or self._link.state is State.IDLE:
            call.fail_later(DisconnectedError('closed'))
            return call
        if timeout is not None:
            call.expire(self.port, check_timeout(timeout))

        sids = self._wire.sids()

        def delivered(err: NatsError | None) -> None:
            for sid in sids:
                self._wire.unsubscribe(sid)
            # Callbacks of the last messages may have published: that goes out before the end.
            if err is None and not call.done:
                self._link.ping(call.end)
            else:
                call.end(err)

        call.cleanup = self.disconnect
        for sid in sids:
            self._wire.control(b'UNSUB %d\r\n' % sid)
        self._link.ping(delivered)
        return call

    # What the connection is like.

    def server_info(self) -> dict[str, Any]:
        """Return the last INFO of the server; empty before the first."""
        return dict(self._link.info)

    def max_payload(self, limit: int | None = None) -> int:
        """Return the largest payload in bytes, headers included.

        Args:
            limit: take this as the limit where the server's is larger.
        """
        if limit is not None:
            if isinstance(limit, bool) or not isinstance(limit, int):
                raise TypeError(f'limit must be int, not {type(limit).__name__}')
            if limit < 1:
                raise ValueError(f'limit must be at least 1, not {limit}')
            self._max_payload_asked = limit
            self._limit_payload()
        return self._wire.max_payload

    def _limit_payload(self) -> None:
        limit = self._link.info.get('max_payload')
        if not isinstance(limit, int) or isinstance(limit, bool) or limit < 1:
            limit = MIB
        limit = min(limit, _MOST_PAYLOAD)
        if self._max_payload_asked is not None:
            limit = min(limit, self._max_payload_asked)
        self._wire.max_payload = limit

    def waiting_count(self) -> int:
        """Return how many messages wait for the connection to stand."""
        return 0 if self.is_connected() else self._wire.waiting

    def skip_waiting(self) -> None:
        """Drop what waits for the connection; requests among it end with ``Cancelled``."""
        if self.is_connected():
            return
        for request in self._wire.skip():
            self.call_soon(self._end_request, request, Cancelled())

    @property
    def pending_bytes(self) -> int:
        """Bytes that the kernel has not taken yet."""
        return self._wire.pending

    def stats(self) -> dict[str, int]:
        """Return ``msgs_in``, ``msgs_out``, ``bytes_in``, ``bytes_out`` and ``reconnects``."""
        wire = self._wire
        return {
            'msgs_in': wire.msgs_in,
            'msgs_out': wire.msgs_out,
            'bytes_in': wire.bytes_in,
            'bytes_out': wire.bytes_out,
            'reconnects': self._link.reconnects,
        }

    def reset_stats(self) -> None:
        """Count from zero again."""
        wire = self._wire
        wire.msgs_in = wire.msgs_out = wire.bytes_in = wire.bytes_out = 0
        self._link.reconnects = 0

    def slow_consumer(self, limit: int, cb: AnyCallback | None = None) -> None:
        """Tell when the server, or the network, takes our bytes too slowly.

        Args:
            limit: bytes waiting that are too many; 0 switches it off.
            cb: called as ``cb(pending_bytes)`` each time the limit is passed; kept as
                ``on_slow_consumer``.
        """
        if limit < 0:
            raise ValueError(f'limit must be at least 0, not {limit}')
        if cb is not None:
            self._options.set_callback('on_slow_consumer', cb)
        self._slow_limit = limit or None
        self._slow = False
        if not debugging():
            self._shorten(not limit)

    def _shorten(self, on: bool) -> None:
        """Let publishing be the wire's methods, as long as ours have nothing to add.

        A call in Python for each message would be much of what a message costs.
        """
        for name, of_wire in _PUBLISHING.items():
            if on and getattr(type(self), name) is getattr(Nats, name):
                setattr(self, name, getattr(self._wire, of_wire))
            else:
                self.__dict__.pop(name, None)

    def _check_slow(self) -> None:
        assert self._slow_limit is not None
        slow = self._wire.pending > self._slow_limit
        if slow and not self._slow:
            self.call_soon(self.emit, 'on_slow_consumer', self._wire.pending)
        self._slow = slow

    # For the layers above, and for other threads.

    def call(self, callback: AnyCallback | None, passed: int = 2, err_at: int = 1) -> Call:
        """Return a new call of this client. See ``calls.Call``."""
        return Call(self, callback, passed, err_at)

    def call_soon(self, function: AnyCallback, *args: Any) -> None:
        """Call *function* from the loop, in its next turn. Not for other threads."""
        self.port.call_soon(function, *args)

    def call_soon_threadsafe(self, fn: AnyCallback, *args: Any) -> None:
        """Call *fn* from the loop: the only method that another thread may call.

        Raises:
            DisconnectedError: the client is closed.
        """
        if self._link.state is State.CLOSED:
            self._refuses()
            raise DisconnectedError('closed')
        call = (fn, args)
        self._thread_calls.append(call)
        self._wakeup.send()
        if self._refuses():  # it was closed just now; has it been called still?
            with contextlib.suppress(ValueError):
                self._thread_calls.remove(call)
                raise DisconnectedError('closed')

    def _run_thread_calls(self) -> None:
        for _ in range(len(self._thread_calls)):
            fn, args = self._thread_calls.popleft()
            self.run_callback(fn, *args)

    def add_listener(self, listener: Listener) -> None:
        """Tell *listener* of every later event of the connection."""
        self._listeners[listener] = None

    def remove_listener(self, listener: Listener) -> None:
        """Do not tell *listener* any more."""
        self._listeners.pop(listener, None)

    def _check_open(self) -> None:
        if self._refuses():
            raise DisconnectedError('closed')

    def _refuses(self) -> bool:
        """Is the client closed? In a forked process there is no client."""
        refused = self._wire.refused
        if isinstance(refused, ForkedError):
            raise ForkedError()
        return refused is not None

    def _abandon(self) -> None:
        """We are the copy in a forked process: the parent's connection stays the parent's."""
        self._link.abandon()
        self._timeouts.changed()
        self._wakeup.close()
        self._listeners = {}
        self._thread_calls.clear()

    def _options_changed(self) -> None:
        self._link.options_changed()

    def _output_ready(self) -> None:
        self._link.schedule_flush()

    def _deadline_set(self) -> None:
        self._timeouts.changed()

    # What the link tells.

    def link_refused(self, request: Request | None, err: NatsError) -> None:
        """For the link: a queued message is not what this server takes."""
        if request is not None:
            self._end_request(request, err)
        else:
            self.report(err)

    def link_up(self, first: bool) -> None:
        """For the link: the connection stands."""
        self.emit('on_connect' if first else 'on_reconnect')
        for listener in list(self._listeners):
            if self.is_connected():  # a callback may have ended it
                listener.connected()

    def link_down(self, err: NatsError) -> None:
        """For the link: the connection was lost; another one is on its way."""
        for listener in list(self._listeners):
            listener.disconnected(err)

    def link_lost(self, requests: list[Request], err: NatsError) -> None:
        """For the link: *requests* will not be answered any more."""
        for request in requests:
            self._end_request(request, DisconnectedError(str(err)))

    def link_closed(self, requests: list[Request], err: NatsError) -> None:
        """For the link: it is closed for good, *requests* with it; leave the loop."""
        # Before any callback: one of them may connect again.
        self._timeouts.changed()
        self._wakeup.close()
        listeners, self._listeners = self._listeners, {}
        self.link_lost(requests, err)
        for listener in listeners:
            listener.closed(err)
        self._run_thread_calls()

    def link_error(self, err: ServerError) -> None:
        """For the link: the server complained. Where that is about a request, it ends it."""
        request = self._forbidden(err) if isinstance(err, PermissionsError) else None
        if request is None:
            self.report(err)
        else:
            self._wire.forget(request)
            self._end_request(request, err)

    def _forbidden(self, err: PermissionsError) -> Request | None:
        for request in self._wire.requests.values():
            if (
                isinstance(request, PendingRequest)
                and err.operation == 'publish'
                and request.subject == err.subject
                and request.frame <= self._wire.frames_sent
            ):
                return request  # they come in the order of the requests
        return None

    def link_info(self, info: dict[str, Any]) -> None:
        """For the link: an INFO came."""
        self._wire.headers = info.get('headers') is True
        self._limit_payload()

    # The original's short names.

    pub = publish
    hpub = hpublish
    sub = subscribe
    unsub = unsubscribe
    req = request


_clients: weakref.WeakSet[Nats] = weakref.WeakSet()


def _abandon_all() -> None:
    for client in list(_clients):
        client._abandon()


os.register_at_fork(after_in_child=_abandon_all)


def _check_number(name: str, value: Any) -> None:
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f'{name} must be int, not {type(value).__name__}')
    if value < 1:
        raise ValueError(f'{name} must be at least 1, not {value}')


__all__ = ['Headers', 'Nats']
