"""The wire in pure Python: bytes to callbacks, calls to bytes. No I/O.

``Wire`` is the whole path of a message in one object, so that its compiled twin can go that path in
one call. Receiving: bytes are written where ``buffer()`` says, and ``next_event()`` parses them,
calls the callbacks of the subscriptions and of the requests, and returns what is not a message.
Sending: ``publish()`` and its kin check, encode and append a frame (``frames.py``); ``output()``
and ``sent()`` hand the frames to whoever owns the socket.

How the receive buffer works: bytes are parsed in place between ``_start`` and ``_end``. A callback
may do anything, also run the loop, so both are kept in the object and read again after each
callback. A large payload that is not there yet gets storage of its own, which ``buffer()`` then
hands out until it is full.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from time import monotonic
from typing import Any, NoReturn

from ..callbacks import arity
from ..errors import BufferFullError, MaxPayloadError, NatsError, NoResponders, ProtocolError
from ..headers import Headers, HeadersLike, encode_headers
from ..subjects import check_queue_group, check_subject, check_subscription
from .deadlines import NEVER, Deadlines
from .events import YIELD, Err, Event, Info, Ok, Ping, Pong, Yield
from .frames import Buffer, Frame, Frames, length
from .shared import (
    ACK,
    LARGE,
    LEAST_RECEIVE,
    MAX_CONTROL_LINE,
    MAX_INFO,
    MAX_LINE,
    MAX_MESSAGE,
    NOTHING,
    PAYLOAD,
    RECEIVE_BUFFER,
    WINDOW,
    ack_object,
    check_timeout,
    line_too_long,
    parse_delivery,
    parse_puback,
    protocol_error,
)

# Subjects found legal; when so many are known, they are forgotten and checked again.
MOST_CHECKED = 1024

# Only space and tab separate: other control characters can be part of a stranger's subject.
_MSG = re.compile(
    rb'(?i:MSG)[ \t]+([^ \t\n]+)[ \t]+([0-9]{1,19})[ \t]+(?:([^ \t\n]+)[ \t]+)?'
    rb'([0-9]{1,19})[ \t]*\r\n'
)
_HMSG = re.compile(
    rb'(?i:HMSG)[ \t]+([^ \t\n]+)[ \t]+([0-9]{1,19})[ \t]+(?:([^ \t\n]+)[ \t]+)?'
    rb'([0-9]{1,19})[ \t]+([0-9]{1,19})[ \t]*\r\n'
)
_OPERATIONS = (b'INFO', b'MSG', b'HMSG', b'PING', b'PONG', b'+OK', b'-ERR')
_LONGEST_OPERATION = 4
_SIMPLE: dict[bytes, type[Ping] | type[Pong] | type[Ok]] = {
    b'PING': Ping,
    b'PONG': Pong,
    b'+OK': Ok,
}
_NO_RESPONDERS = re.compile(rb'NATS/1\.0 503(?![0-9])')

Callback = Callable[..., object]

__all__ = ['Request', 'Window', 'Wire', 'arity', 'parse_delivery', 'parse_puback']


class Request:
    """One awaited reply, or several.

    Args:
        callback: called with ``(payload, err, headers)``, of which it gets the first *nargs*.
        nargs: how many arguments the callback takes.
        multi: more than one reply may come: the request stays in ``Wire.requests``.
        reads: ``PAYLOAD``; or ``ACK``, ``SEQUENCE``: what the callback is called with when the
            reply is a PubAck, see ``shared.py``; ``WINDOW``: the callback is a ``Window``;
            ``NOTHING``. A subclass then has an ``end`` for all other replies.

    Attributes:
        token: the last token of its reply subject, set by ``Wire.request`` and ``Wire.expect``.
        frame: number of the frame that carries it.
        seq: the sequence that a ``WINDOW``'s acknowledgement said; 0 before.
    """

    __slots__ = ('_deadline', 'callback', 'frame', 'multi', 'nargs', 'reads', 'seq', 'token')

    def __init__(
        self, callback: Any, nargs: int, multi: bool = False, reads: int = PAYLOAD, /
    ) -> None:
        self.callback = callback
        self.nargs = nargs
        self.multi = multi
        self.reads = reads
        self.token = ''
        self.frame = 0
        self.seq = 0
        self._deadline = NEVER

    def end(self, payload: bytes | None, err: NatsError | None, headers: Headers | None, /) -> None:
        """Tell the callback what did not come as a reply, such as an error."""
        self.callback(*(payload, err, headers)[: self.nargs])

    def left(self) -> float:
        """Return the seconds that are left of its timeout; infinity where it has none."""
        return self._deadline - monotonic()


class Window:
    """What several requests have in common whose acknowledgements are only counted.

    It is the callback of each of them. An acknowledgement sets its request's ``seq``, and nothing
    is called until there is something to do.

    Args:
        callback: called without arguments when an acknowledgement has come and as many requests
            wait as ``low`` says, or none.

    Attributes:
        waiting: how many requests wait for their reply.
        low: where there is room to send more.
    """

    __slots__ = ('_callback', 'low', 'waiting')

    def __init__(self, callback: Callback, /) -> None:
        self._callback = callback
        self.waiting = 0
        self.low = 0


class _Subscription:
    __slots__ = ('base', 'callback', 'delivered', 'max_msgs', 'nargs', 'queue_group', 'subject')

    def __init__(
        self, subject: bytes, callback: Callback, nargs: int, queue_group: bytes, max_msgs: int
    ) -> None:
        self.subject = subject
        self.callback = callback
        self.nargs = nargs
        self.queue_group = queue_group
        self.max_msgs = max_msgs
        self.delivered = 0
        self.base = 0  # delivered before this connection: the server does not count those


class _LargeMessage:
    """A message whose payload is still coming."""

    __slots__ = ('headers', 'reply', 'room', 'sid', 'subject', 'view')

    def __init__(
        self, sid: bytes, subject: bytes, reply: bytes | None, headers: bytes | None, size: int
    ) -> None:
        self.sid = sid
        self.subject = subject
        self.reply = reply
        self.headers = headers
        self.view = memoryview(bytearray(size))
        self.room = size  # of it still to come


class Wire:
    """The protocol of one client, over as many connections as it has in its life.

    Args:
        on_output: called when output became non-empty while ``live``, outside ``next_event()``.
        on_exception: called with the ``Exception`` that a callback raised; dispatching goes on.
        on_deadline: called when ``expired()`` is to be called sooner than ``wait()`` said before.
    """

    def __init__(
        self,
        on_output: Callable[[], object],
        on_exception: Callable[[Exception], object],
        on_deadline: Callable[[], object] | None = None,
    ) -> None:
        self._on_output = on_output
        self._on_exception = on_exception
        self._on_deadline = on_deadline
        self.live = False
        self.headers = True
        self.max_payload = 1024 * 1024
        self.max_output = 64 * 1024 * 1024
        self.refused: NatsError | None = None
        self.msgs_in = 0
        self.msgs_out = 0
        self.bytes_in = 0
        self.bytes_out = 0
        self.inbox = ''
        self._requests: dict[str, Request] = {}
        self._deadlines = Deadlines(self._requests)
        self._frames = Frames()
        self._checked: dict[str, bytes] = {}
        self._subscriptions: dict[bytes, _Subscription] = {}
        self._last_sid = 0
        self._inbox_sid = b''
        self._last_token = 0
        self._buffer = bytearray(RECEIVE_BUFFER)
        self._view = memoryview(self._buffer)
        self._start = 0
        self._end = 0
        self._searched = 0  # no line ends between _start and here
        self._large: _LargeMessage | None = None
        self._dead: ProtocolError | None = None
        self._dispatching = False

    # -- publishing

    @property
    def pending(self) -> int:
        """Bytes of output not yet taken."""
        return self._frames.pending

    @property
    def frames_appended(self) -> int:
        """Frames ever appended."""
        return self._frames.appended

    @property
    def frames_sent(self) -> int:
        """Frames wholly taken by the kernel or given up: those up to this number."""
        return self._frames.sent

    @property
    def waiting(self) -> int:
        """Queued messages (publishes and requests) not wholly sent."""
        return self._frames.waiting

    def publish(self, subject: str, payload: Any = b'', reply_to: str | None = None) -> None:
        """Append a message. The payload is ``bytes``, ``bytearray``, ``memoryview`` or ``str``."""
        target = self._subject(subject)
        reply = b'' if reply_to is None else self._subject(reply_to, 'reply_to')
        self._append_message(target, reply, None, _payload(payload))

    def hpublish(
        self, subject: str, headers: HeadersLike, payload: Any = b'', reply_to: str | None = None
    ) -> None:
        """Append a message with headers: a mapping, pairs, or a block as bytes."""
        target = self._subject(subject)
        reply = b'' if reply_to is None else self._subject(reply_to, 'reply_to')
        self._append_message(target, reply, encode_headers(headers), _payload(payload))

    def _subject(self, subject: str, kind: str = 'subject') -> bytes:
        if not isinstance(subject, str):
            raise TypeError(f'{kind} must be str, not {type(subject).__name__}')
        known = self._checked.get(subject)
        if known is None:
            known = check_subject(subject, kind).encode()
            if len(self._checked) >= MOST_CHECKED:
                self._checked.clear()
            self._checked[subject] = known
        return known

    def _append_message(
        self, subject: bytes, reply: bytes, headers: bytes | None, payload: Buffer
    ) -> None:
        size = len(payload) if headers is None else len(headers) + len(payload)
        if headers is None:
            line = b'%b %b %d' % (subject, reply, size) if reply else b'%b %d' % (subject, size)
            head = b'PUB %b\r\n' % line
        elif self.headers:
            to = b'%b %b' % (subject, reply) if reply else subject
            line = b'%b %d %d' % (to, len(headers), size)
            head = b'HPUB %b\r\n%b' % (line, headers)
        else:
            raise NatsError('the server does not take headers')
        _check_line(line)
        if size > self.max_payload:
            raise MaxPayloadError(size, self.max_payload)
        frame: Frame = (head, payload)
        if len(payload) < LARGE:
            frame = b''.join((head, payload, b'\r\n'))
        frame_size = length(frame)
        if self.refused is not None:
            raise type(self.refused)()
        if self._frames.pending + frame_size > self.max_output:
            raise BufferFullError(self._frames.pending, self.max_output)
        self._append(frame, frame_size)
        self.msgs_out += 1
        self.bytes_out += size

    def _append(self, frame: Frame, size: int) -> None:
        frames = self._frames
        was_empty = not frames.pending
        frames.append(frame, size)
        if was_empty:
            self._tell_output()

    def _tell_output(self) -> None:
        if self.live and not self._dispatching:
            self._on_output()

    # -- subscriptions

    @property
    def subscription_count(self) -> int:
        """How many subscriptions the user has."""
        return len(self._subscriptions) - bool(self._inbox_sid)

    def subscribe(
        self,
        subject: str,
        callback: Callback,
        nargs: int,
        queue_group: str | None = None,
        max_msgs: int = 0,
    ) -> int:
        """Subscribe; return the sid.

        Args:
            subject: what to subscribe to.
            callback: called with ``(subject, payload, reply, headers)``, of which it gets *nargs*.
            nargs: how many arguments the callback takes.
            queue_group: the group that shares the messages, or None.
            max_msgs: after so many deliveries the subscription is gone, its last callback included
                (0: no such limit).
        """
        group = b'' if queue_group is None else check_queue_group(queue_group).encode()
        target = check_subscription(subject).encode()
        return int(self._subscribe(_Subscription(target, callback, nargs, group, max_msgs)))

    def _subscribe(self, subscription: _Subscription) -> bytes:
        sid = b'%d' % (self._last_sid + 1)
        frame = _subscribe_frame(sid, subscription)
        _check_line(frame[len(b'SUB ') : -len(b'\r\n')])
        self._last_sid += 1
        self._subscriptions[sid] = subscription
        self.control(frame)
        if subscription.max_msgs:
            self.control(b'UNSUB %b %d\r\n' % (sid, subscription.max_msgs))
        return sid

    def unsubscribe(self, sid: int, max_msgs: int = 0) -> None:
        """Unsubscribe, at once or after *max_msgs* deliveries since ``subscribe``.

        An unknown *sid* is ignored.
        """
        subscription = self._user_subscription(sid)
        if subscription is None:
            return
        key = b'%d' % sid
        if max_msgs > subscription.delivered:
            subscription.max_msgs = max_msgs
            self.control(b'UNSUB %b %d\r\n' % (key, max_msgs - subscription.base))
        else:
            del self._subscriptions[key]
            self.control(b'UNSUB %b\r\n' % key)

    def sids(self) -> list[int]:
        """Return the sids of the user's subscriptions."""
        return [int(sid) for sid in self._subscriptions if sid != self._inbox_sid]

    def callback(self, sid: int) -> Callback | None:
        """Return the callback of *sid*, or None if there is no such subscription."""
        subscription = self._user_subscription(sid)
        return None if subscription is None else subscription.callback

    def replace(self, sid: int, callback: Callback, nargs: int) -> None:
        """Give *sid* another callback, where it is still subscribed."""
        subscription = self._user_subscription(sid)
        if subscription is not None:
            subscription.callback = callback
            subscription.nargs = nargs

    def _user_subscription(self, sid: int) -> _Subscription | None:
        if not isinstance(sid, int):
            raise TypeError(f'sid must be int, not {type(sid).__name__}')
        key = b'%d' % sid
        return None if key == self._inbox_sid else self._subscriptions.get(key)

    def restore(self) -> bytes:
        """Return what subscribes everything on a new connection, with the rest of each limit."""
        frames = []
        for sid, subscription in self._subscriptions.items():
            subscription.base = subscription.delivered
            frames.append(_subscribe_frame(sid, subscription))
            if subscription.max_msgs:
                rest = subscription.max_msgs - subscription.base
                frames.append(b'UNSUB %b %d\r\n' % (sid, rest))
        return b''.join(frames)

    # -- requests

    @property
    def requests(self) -> dict[str, Request]:
        """The requests that wait, by token, in the order in which they were made."""
        return dict(self._requests)

    def request(
        self,
        request: Request,
        subject: str,
        payload: Any = b'',
        headers: HeadersLike | None = None,
        timeout: float | None = None,
    ) -> None:
        """Append a message whose reply goes to *request*.

        Args:
            request: who waits.
            subject: where to.
            payload: see ``publish``.
            headers: see ``hpublish``.
            timeout: ms after which the request is among those of ``expired()``.
        """
        seconds = NEVER if timeout is None else check_timeout(timeout) / 1000
        target = self._subject(subject)
        block = None if headers is None else encode_headers(headers)
        data = _payload(payload)
        reply = self.expect(request)
        try:
            self._append_message(target, reply.encode(), block, data)
        except BaseException:
            if self._requests.get(request.token) is request:
                self._take_out(request.token)
            raise
        request._deadline = NEVER
        if timeout is not None:
            request._deadline = monotonic() + seconds
            self._deadlines.push(request._deadline, request.token)
            self._tell_deadline(request._deadline)

    def _tell_deadline(self, at: float) -> None:
        if at < self._deadlines.told:
            self._deadlines.told = at
            if self._on_deadline is not None:
                self._on_deadline()

    def expired(self) -> list[Request]:
        """Give up the requests whose time is up, as ``forget`` does; return them."""
        now, expired = monotonic(), []
        while (token := self._deadlines.pop(now)) is not None:
            request = self._requests[token]
            self.forget(request)
            expired.append(request)
        return expired

    def wait(self) -> float | None:
        """Return the seconds after which ``expired()`` is to be called; None: need not be."""
        at = self._deadlines.told
        return None if at == NEVER else max(0.0, at - monotonic())

    def expect(self, request: Request) -> str:
        """Enter *request* and return its reply subject; the frame appended next carries it."""
        if not isinstance(request, Request):
            raise TypeError(f'request must be a Request, not {type(request).__name__}')
        if request.reads == WINDOW and type(request.callback) is not Window:
            raise TypeError(f'callback must be a Window, not {type(request.callback).__name__}')
        if not self._inbox_sid:
            subject = check_subscription(f'{self.inbox}*').encode()
            self._inbox_sid = self._subscribe(_Subscription(subject, self._reply, 0, b'', 0))
        self._last_token += 1
        token = f'{self._last_token:x}'
        request.token = token
        request.frame = self._frames.appended + 1
        request.seq = 0
        self._requests[token] = request
        if request.reads == WINDOW:
            request.callback.waiting += 1
        return self.inbox + token

    def _take_out(self, token: str) -> Request:
        request = self._requests.pop(token)
        if request.reads == WINDOW:
            request.callback.waiting -= 1
        return request

    def forget(self, request: Request) -> bool:
        """Take *request* out of ``requests``; where it is still queued, give up its message.

        Returns:
            Whether it was waiting.
        """
        if self._requests.get(request.token) is not request:
            return False
        self._take_out(request.token)
        if not request.multi:
            self._frames.drop(request.frame)
        return True

    # -- control

    def control(self, frame: bytes) -> None:
        """Append *frame* (``SUB``, ``PONG``, ...) while the connection stands; else it is void."""
        if self.live:
            self._append(frame, len(frame))

    def ping(self) -> int:
        """Append a ``PING``, which waits for a connection if need be; return its frame number."""
        self._append(b'PING\r\n', len(b'PING\r\n'))
        return self._frames.appended

    def prepend(self, data: bytes) -> None:
        """Put *data* before everything else in the output, as the first of a connection."""
        was_empty = not self._frames.pending
        self._frames.prepend(data)
        if was_empty and data:
            self._tell_output()

    # -- the I/O side: out

    def output(self, most: int = 1024 * 1024) -> list[Buffer]:
        """Return what to send next, about *most* bytes, for ``sendmsg``; ``[]`` when not live."""
        return self._frames.pieces(most) if self.live else []

    def sent(self, size: int) -> None:
        """Forget the first *size* bytes of what ``output()`` returned: the kernel has them."""
        if not 0 <= size <= self._frames.pending:
            raise ValueError(f'{size} bytes sent, but {self._frames.pending} were pending')
        self._frames.take(size)

    # -- the I/O side: in

    def buffer(self) -> memoryview:
        """Return where the next received bytes go; never empty."""
        large = self._large
        if large is not None and large.room:
            return large.view[-large.room :]
        if len(self._buffer) - self._end < LEAST_RECEIVE:
            self._make_room()
        return self._view[self._end :]

    def _make_room(self) -> None:
        waiting = self._end - self._start
        capacity = len(self._buffer)
        # Grows only for a caller that feeds without dispatching, or for a huge block of headers.
        while capacity - waiting < LEAST_RECEIVE:
            capacity *= 2
        buffer, view = self._buffer, self._view
        if capacity != len(buffer):
            buffer = bytearray(capacity)
            view = memoryview(buffer)
        view[:waiting] = self._view[self._start : self._end]
        self._buffer, self._view = buffer, view
        self._searched -= self._start
        self._start, self._end = 0, waiting

    def received(self, size: int) -> None:
        """Say that *size* bytes were written to what ``buffer()`` returned."""
        large = self._large if self._large is not None and self._large.room else None
        room = len(self._buffer) - self._end if large is None else large.room
        if not 0 <= size <= room:
            raise ValueError(f'{size} bytes received, but there was room for {room}')
        if large is None:
            self._end += size
        else:
            large.room -= size

    def feed(self, data: Buffer | bytearray) -> None:
        """Take bytes that came elsewhere."""
        rest = memoryview(data)
        while rest:
            room = self.buffer()
            size = min(len(room), len(rest))
            room[:size] = rest[:size]
            self.received(size)
            rest = rest[size:]

    def next_event(self, budget: int = 256) -> Event | Yield | None:
        """Dispatch messages until there is an event, and return it.

        Returns:
            The event; None when the bytes end; ``YIELD`` after *budget* messages. Inside a
            callback, None.

        Raises:
            ProtocolError: the bytes are not the protocol; all before them was delivered. The
                wire is dead until ``lost()``.
        """
        if self._dispatching:
            return None
        self._dispatching = True
        try:
            return self._dispatch(budget)
        finally:
            self._dispatching = False

    def _dispatch(self, budget: int) -> Event | Yield | None:
        while True:
            if self._dead is not None:
                raise ProtocolError(str(self._dead))
            if self._start == self._end:
                self._rewind_buffer()
                return None
            if budget <= 0:
                return YIELD
            if self._large is not None:
                if not self._end_large():
                    return None
                budget -= 1
                continue
            found = _MSG.match(self._buffer, self._start, self._end)
            if found is None:
                found = _HMSG.match(self._buffer, self._start, self._end)
            if found is None:
                event = self._line()
                if event is None:
                    return None
                return event
            if not self._message(found):
                return None
            budget -= 1

    def _rewind_buffer(self) -> None:
        self._start = self._end = self._searched = 0
        if len(self._buffer) > RECEIVE_BUFFER:
            buffer = bytearray(RECEIVE_BUFFER)
            self._buffer, self._view = buffer, memoryview(buffer)

    def _message(self, found: re.Match[bytes]) -> bool:
        """Deliver a message whose line is there; return False if the rest has to come first."""
        subject, sid, reply, *sizes = found.groups()
        size = int(sizes[-1])
        head = found.end()
        body = head
        if len(sizes) == 2:
            body += int(sizes[0])
            if body - head > size:
                self._fail('headers longer than the message', found[0])
        if head - self._start > MAX_LINE:
            self._fail_line(MAX_LINE)
        if size > MAX_MESSAGE:
            self._fail(f'message of more than {MAX_MESSAGE} bytes', found[0])
        if body > self._end:
            return False
        headers = bytes(self._view[head:body]) if len(sizes) == 2 else None
        stop = head + size
        if stop + len(b'\r\n') > self._end:
            if stop > self._end and stop - body >= LARGE:
                self._begin_large(_LargeMessage(sid, subject, reply, headers, stop - body), body)
            return False
        if self._buffer[stop : stop + 2] != b'\r\n':
            self._fail('message without its line end', subject)
        self._start = stop + 2
        self._deliver(sid, subject, reply, headers, self._view[body:stop])
        return True

    def _begin_large(self, message: _LargeMessage, body: int) -> None:
        there = self._end - body
        message.view[:there] = self._view[body : self._end]
        message.room -= there
        self._large = message
        self._rewind_buffer()

    def _end_large(self) -> bool:
        large = self._large
        assert large is not None
        if self._end - self._start < 2:
            return False
        if self._buffer[self._start : self._start + 2] != b'\r\n':
            self._fail('message without its line end', large.subject)
        self._start += 2
        self._large = None
        self._deliver(large.sid, large.subject, large.reply, large.headers, large.view)
        return True

    def _deliver(
        self,
        sid: bytes,
        subject: bytes,
        reply: bytes | None,
        headers: bytes | None,
        payload: memoryview,
    ) -> None:
        self.msgs_in += 1
        self.bytes_in += len(payload) if headers is None else len(headers) + len(payload)
        subscription = self._subscriptions.get(sid)
        if subscription is not None and sid == self._inbox_sid:
            self._reply(subject, headers, payload)
            return
        if subscription is None or self.refused is not None:
            return  # unsubscribed, or closing, while it was on its way
        subscription.delivered += 1
        if subscription.delivered == subscription.max_msgs:
            del self._subscriptions[sid]
        nargs = subscription.nargs
        args: list[Any] = []
        if nargs > 0:
            args.append(_text(subject))
        if nargs > 1:
            args.append(bytes(payload))
        if nargs > 2:
            args.append(None if reply is None else _text(reply))
        if nargs > 3:
            args.append(None if headers is None else Headers(headers))
        self._call(subscription.callback, args)

    def _reply(self, subject: bytes, headers: bytes | None, payload: memoryview) -> None:
        token = _text(subject.rpartition(b'.')[2])
        request = self._requests.get(token)
        if request is None:  # answered already, cancelled or timed out
            return
        if not request.multi:
            self._take_out(token)
        if request.reads not in (PAYLOAD, NOTHING):
            ack = parse_puback(bytes(payload))
            if ack is not None and (ack[1] or request.reads != WINDOW):
                self._acknowledged(request, ack)
                return
        nargs = request.nargs if request.reads == PAYLOAD else 3
        args: list[Any] = []
        if headers is not None and not payload and _NO_RESPONDERS.match(headers):
            args += (None, NoResponders())
        else:
            args += (bytes(payload), None)
        if nargs > 2:
            args.append(None if headers is None else Headers(headers))
        self._call(request.callback if request.reads == PAYLOAD else request.end, args[:nargs])

    def _acknowledged(self, request: Request, ack: tuple[str, int, bool]) -> None:
        if request.reads == WINDOW:
            request.seq = ack[1]
            window: Window = request.callback
            if window.waiting in (window.low, 0):
                self._call(window._callback, [])
        else:
            result = ack_object(ack) if request.reads == ACK else ack[1]
            self._call(request.callback, [result, None][: request.nargs])

    def _call(self, callback: Callback, args: list[Any]) -> None:
        try:
            callback(*args)
        except Exception as exc:
            self._on_exception(exc)

    def _line(self) -> Event | None:
        """Return the event of a line that is not a message; None if it is not all there."""
        end = self._buffer.find(b'\n', max(self._searched, self._start), self._end)
        head = bytes(self._view[self._start : min(self._start + _LONGEST_OPERATION, self._end)])
        operation = head.upper().rstrip(b' \t\r\n')
        limit = MAX_INFO if operation == b'INFO' else MAX_LINE
        if (self._end if end < 0 else end + 1) - self._start > limit:
            self._fail_line(limit)
        if end < 0:
            if not any(name.startswith(operation) for name in _OPERATIONS):
                self._fail('unknown operation', head)
            self._searched = self._end
            return None
        line = bytes(self._view[self._start : end + 1])
        # First: whatever runs while the event is made may begin the input anew.
        self._start = self._searched = end + 1
        event = _event(line)
        if event is None:
            self._fail('not the protocol', line)
        return event

    def _fail_line(self, limit: int) -> None:
        self._fail(f'line longer than {limit} bytes', bytes(self._view[self._start : self._end]))

    def _fail(self, what: str, data: bytes) -> NoReturn:
        self._dead = protocol_error(what, data)
        raise self._dead

    # -- the end of a connection

    def lost(self) -> list[Request]:
        """The connection is gone: forget what was received, rewind what was half sent.

        Returns:
            The requests that were wholly sent, taken out of ``requests``: nobody can know whether
            they were done. Publishes, requests and pings not wholly sent wait for the next
            connection.
        """
        self._reset_input()
        sent = self._frames.sent
        gone = [token for token, request in self._requests.items() if request.frame <= sent]
        requests = [self._take_out(token) for token in gone]
        self._frames.rewind()
        return requests

    def clear(self) -> list[Request]:
        """The connection is gone for good: drop all output, return every request.

        Subscriptions stay, for ``restore()``.
        """
        self._reset_input()
        self._frames.clear()
        requests = [self._take_out(token) for token in list(self._requests)]
        self._deadlines.clear()
        return requests

    def _reset_input(self) -> None:
        self._large = None
        self._dead = None
        self._start = self._end = self._searched = 0

    def drop_larger(self, limit: int) -> list[tuple[int, Request | None]]:
        """Give up queued messages of more than *limit* bytes, which the server would not take.

        Returns:
            The size of headers and payload of each, with its request, taken out of ``requests``.
        """
        by_frame = self._requests_by_frame()
        return [
            (size, self._without(by_frame.get(frame)))
            for frame, size in self._frames.drop_messages(larger_than=limit)
        ]

    def skip(self) -> list[Request]:
        """Give up every queued message that is wholly unsent; return the requests among them."""
        by_frame = self._requests_by_frame()
        dropped = self._frames.drop_messages()
        requests = [self._without(by_frame.get(frame)) for frame, _ in dropped]
        return [request for request in requests if request is not None]

    def _requests_by_frame(self) -> dict[int, Request]:
        return {request.frame: request for request in self._requests.values()}

    def _without(self, request: Request | None) -> Request | None:
        if request is not None:
            self._take_out(request.token)
        return request


def _payload(payload: Any) -> Buffer:
    if isinstance(payload, bytes):
        return payload
    if isinstance(payload, str):
        return payload.encode()
    if isinstance(payload, bytearray):
        return bytes(payload)
    if isinstance(payload, memoryview):
        # Over bytes nobody can change it any more: a large one need not be copied.
        if payload.nbytes >= LARGE and type(payload.obj) is bytes and payload.c_contiguous:
            return payload.cast('B')
        return payload.tobytes()
    raise TypeError(
        f'payload must be bytes, bytearray, memoryview or str, not {type(payload).__name__}'
    )


def _subscribe_frame(sid: bytes, subscription: _Subscription) -> bytes:
    if subscription.queue_group:
        return b'SUB %b %b %b\r\n' % (subscription.subject, subscription.queue_group, sid)
    return b'SUB %b %b\r\n' % (subscription.subject, sid)


def _check_line(line: bytes) -> None:
    if len(line) > MAX_CONTROL_LINE:
        raise line_too_long(line)


def _event(line: bytes) -> Event | None:
    """Return the event of a whole line, or None if it is none."""
    if not line.endswith(b'\r\n'):
        return None
    name, _, _ = line[:-2].replace(b'\t', b' ').partition(b' ')
    operation = name.upper()
    argument = line[len(name) : -2].strip(b' \t')
    if operation in _SIMPLE and not argument:
        return _SIMPLE[operation]()
    if operation == b'INFO' and argument:
        return Info(argument)
    if operation == b'-ERR':
        return Err(argument.strip(b"'").decode('utf-8', 'backslashreplace'))
    return None


def _text(data: bytes) -> str:
    return data.decode('utf-8', 'surrogateescape')
