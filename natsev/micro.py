"""Services: endpoints that can be found, described and counted (ADR-32).

    from natsev import Nats, ev, micro

    def add(request):
        request.respond(str(sum(map(int, request.payload.split()))))

    nats = Nats(host='127.0.0.1')
    service = micro.Service(nats, 'adder', '1.0.0')
    service.add_endpoint('add', add)
    ev.run()

A handler may answer when it likes; what it raises is answered with an error. Every instance answers
``$SRV.PING``, ``$SRV.INFO``, ``$SRV.STATS`` and ``$SRV.SCHEMA``, also with ``.<name>`` and
``.<name>.<id>``, as ``nats micro`` and the official clients expect it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from datetime import datetime, timezone
from time import perf_counter_ns
from typing import Any

from .calls import Call, Handle
from .errors import NatsError, ProtocolError, ServiceError
from .headers import Headers
from .nats import HeadersOut, Nats, Payload
from .nuid import next_nuid
from .settings import AnyCallback
from .subjects import check_queue_group, check_subject, check_subscription

PREFIX = '$SRV'
QUEUE_GROUP = 'q'
_TYPE = 'io.nats.micro.v1.{}_response'
_NAME = re.compile(r'[A-Za-z0-9_-]+')
# Semantic versioning 2.0.0: three numbers, perhaps a pre-release, perhaps a build.
_NUMBER = r'(?:0|[1-9][0-9]*)'
_PRE = rf'(?:{_NUMBER}|[0-9]*[A-Za-z-][0-9A-Za-z-]*)'
_VERSION = re.compile(
    rf'{_NUMBER}\.{_NUMBER}\.{_NUMBER}(?:-{_PRE}(?:\.{_PRE})*)?'
    r'(?:\+[0-9A-Za-z-]+(?:\.[0-9A-Za-z-]+)*)?'
)
_ERROR = 'Nats-Service-Error'
_ERROR_CODE = 'Nats-Service-Error-Code'
# ms after the last answer of a discovery in which another one must come.
_STALL = 300

Handler = Callable[['Request'], Any]


class Request:
    """A request to an endpoint.

    Attributes:
        subject: where it was sent to.
        payload: its bytes.
        headers: its headers, or None.
        reply: where the answer goes, or None.
    """

    __slots__ = ('_endpoint', '_started', 'headers', 'payload', 'reply', 'subject')

    def __init__(
        self,
        endpoint: _Endpoint,
        subject: str,
        payload: bytes,
        reply: str | None,
        headers: Headers | None,
    ) -> None:
        self.subject = subject
        self.payload = payload
        self.reply = reply
        self.headers = headers
        self._endpoint = endpoint
        self._started: int | None = perf_counter_ns()

    def respond(self, payload: Payload = b'', headers: HeadersOut | None = None) -> None:
        """Answer. Several answers are possible; the time to the first is counted."""
        self._count()
        if self.reply is None:
            return
        if headers is None:
            self._endpoint.nats.publish(self.reply, payload)
        else:
            self._endpoint.nats.hpublish(self.reply, headers, payload)

    def error(
        self,
        code: int | str,
        description: str,
        payload: Payload = b'',
        headers: Mapping[str, Any] | None = None,
    ) -> None:
        """Answer with an error.

        Args:
            code: its number, such as 400.
            description: one sentence.
            payload: more about it.
            headers: more headers.
        """
        said = {**(headers or {}), _ERROR: description, _ERROR_CODE: str(code)}
        self._endpoint.failed(f'{code}:{description}')
        self.respond(payload, said)

    def _count(self) -> None:
        if self._started is not None:
            self._endpoint.processing_time += perf_counter_ns() - self._started
            self._started = None


class _Endpoint:
    """An endpoint and its numbers."""

    def __init__(
        self,
        nats: Nats,
        name: str,
        handler: Handler,
        subject: str,
        queue_group: str | None,
        metadata: Mapping[str, str] | None,
        schema: Mapping[str, str] | None,
    ) -> None:
        self.nats = nats
        self.name = name
        self.subject = subject
        self.queue_group = queue_group
        self.metadata = _texts('metadata', metadata)
        self.schema = _texts('schema', schema)
        self._handler = handler
        self.reset()
        self.sid = nats.subscribe(subject, self._requested, queue_group)

    def reset(self) -> None:
        self.num_requests = self.num_errors = self.processing_time = 0
        self.last_error = ''

    def _requested(
        self, subject: str, payload: bytes, reply: str | None, headers: Headers | None
    ) -> None:
        self.num_requests += 1
        request = Request(self, subject, payload, reply, headers)
        try:
            self._handler(request)
        except ServiceError as err:
            request.error(err.code, err.description)
        except Exception as exc:
            request.error(500, type(exc).__name__)
            raise

    def failed(self, error: str) -> None:
        self.num_errors += 1
        self.last_error = error

    def info(self) -> dict[str, Any]:
        return {
            'name': self.name,
            'subject': self.subject,
            'queue_group': self.queue_group or '',
            'metadata': self.metadata,
        }

    def stats(self, data: Any) -> dict[str, Any]:
        average = self.processing_time // self.num_requests if self.num_requests else 0
        stats = {
            'name': self.name,
            'subject': self.subject,
            'queue_group': self.queue_group or '',
            'num_requests': self.num_requests,
            'num_errors': self.num_errors,
            'last_error': self.last_error,
            'processing_time': self.processing_time,
            'average_processing_time': average,
        }
        return stats if data is None else {**stats, 'data': data}


class Group:
    """Endpoints whose subjects begin alike."""

    def __init__(self, service: Service, prefix: str, queue_group: str | None) -> None:
        self._service = service
        self._prefix = prefix
        self._queue_group = queue_group

    def add_group(self, name: str, queue_group: str | None = None) -> Group:
        """Return a group whose subjects begin with this one's and *name*.

        Args:
            name: one or more tokens of a subject.
            queue_group: of its endpoints; default this one's.

        Raises:
            TypeError, ValueError: an illegal name or queue group.
        """
        check_subject(name, 'group')
        if queue_group is not None:
            check_queue_group(queue_group)
        return Group(self._service, self._subject(name), queue_group or self._queue_group)

    def add_endpoint(
        self,
        name: str,
        handler: Handler,
        subject: str | None = None,
        queue_group: str | None = None,
        metadata: Mapping[str, str] | None = None,
        schema: Mapping[str, str] | None = None,
    ) -> None:
        """Let *handler* answer the requests to an endpoint.

        Args:
            name: letters, digits, ``-`` and ``_``.
            handler: called as ``handler(request)`` for each ``Request``.
            subject: where it listens, after the group's; default its name. Wildcards are allowed.
            queue_group: of all endpoints in it, one gets each request; default the group's, which
                is ``'q'`` where nothing else is said.
            metadata: texts by name, shown by INFO.
            schema: texts by name, such as ``request`` and ``response``, shown by SCHEMA.

        Raises:
            TypeError, ValueError: an illegal argument.
            DisconnectedError: the client is closed.
        """
        _check_name('endpoint', name)
        if not callable(handler):
            raise TypeError(f'handler must be callable, not {type(handler).__name__}')
        where = check_subscription(self._subject(name if subject is None else subject))
        group = queue_group or self._queue_group
        self._service._add(name, handler, where, group, metadata, schema)

    def _subject(self, subject: str) -> str:
        return f'{self._prefix}.{subject}' if self._prefix else subject


class Service(Group):
    """One instance of a service.

    Args:
        nats: the client.
        name: letters, digits, ``-`` and ``_``; the same for all instances.
        version: by semantic versioning, such as ``'1.0.0'``.
        description: for people.
        metadata: texts by name.
        queue_group: of its endpoints where nothing else is said.
        stats: called as ``stats(endpoint_stats)`` for each endpoint's STATS; what it returns, JSON,
            is shown as ``data``.
        on_stop: called as ``on_stop(err)`` when it has stopped; err where the connection ended it.

    Attributes:
        id: unique id of the instance.

    Raises:
        TypeError, ValueError: an illegal argument.
        DisconnectedError: the client is closed.
    """

    def __init__(
        self,
        nats: Nats,
        name: str,
        version: str,
        description: str = '',
        *,
        metadata: Mapping[str, str] | None = None,
        queue_group: str | None = QUEUE_GROUP,
        stats: Callable[[dict[str, Any]], Any] | None = None,
        on_stop: AnyCallback | None = None,
    ) -> None:
        _check_name('service', name)
        if not isinstance(version, str):
            raise TypeError(f'version must be str, not {type(version).__name__}')
        if not _VERSION.fullmatch(version):
            raise ValueError(f'version must be a semantic version such as 1.0.0, not {version!r}')
        if queue_group is not None:
            check_queue_group(queue_group)
        super().__init__(self, '', queue_group)
        self.id = next_nuid()
        self.name = name
        self.version = version
        self.description = description
        self.metadata = _texts('metadata', metadata)
        self._nats = nats
        self._stats = stats
        self._endpoints: list[_Endpoint] = []
        self._started = datetime.now(timezone.utc)
        self._stopping = False
        self._stopped = Call(nats, on_stop, 1, 0)
        self._sids = [
            nats.subscribe(subject, self._answering(tell))
            for verb, tell in (
                ('PING', self._identity),
                ('INFO', self.info),
                ('STATS', self.stats),
                ('SCHEMA', self.schema),
            )
            for subject in _control_subjects(verb, name, self.id)
        ]
        nats.add_listener(self)

    def info(self) -> dict[str, Any]:
        """Return what INFO answers: the service and its endpoints."""
        return {
            **self._identity('info'),
            'description': self.description,
            'endpoints': [endpoint.info() for endpoint in self._endpoints],
        }

    def stats(self) -> dict[str, Any]:
        """Return what STATS answers: what each endpoint has done since the start, in ns."""
        return {
            **self._identity('stats'),
            'started': self._started.isoformat().replace('+00:00', 'Z'),
            'endpoints': [self._stats_of(endpoint) for endpoint in self._endpoints],
        }

    def schema(self) -> dict[str, Any]:
        """Return what SCHEMA answers: how the endpoints' requests and responses look."""
        return {
            **self._identity('schema'),
            'endpoints': [
                {'name': endpoint.name, 'subject': endpoint.subject, 'schema': endpoint.schema}
                for endpoint in self._endpoints
            ],
        }

    def reset(self) -> None:
        """Count from zero again."""
        self._started = datetime.now(timezone.utc)
        for endpoint in self._endpoints:
            endpoint.reset()

    def stop(self, cb: AnyCallback | None = None) -> None:
        """Take no more requests, let the handlers see those on their way, and end.

        Args:
            cb: called once as ``cb(err)``.

        Errors:
            DisconnectedError: the connection ended first; the service has stopped all the same.
        """
        call = self._nats.call(cb, 1, 0)
        if not self._stopping:
            self._stopping = True
            for endpoint in self._endpoints:
                self._nats.unsubscribe(endpoint.sid, drain=True)
            for sid in self._sids:
                self._nats.unsubscribe(sid, drain=True)

        def stopped(err: NatsError | None) -> None:
            self._end(err)
            call.end(err)

        self._nats.flush(stopped)

    @property
    def stopped(self) -> bool:
        """Has it stopped, or is it about to?"""
        return self._stopping

    # What the client tells.

    def connected(self) -> None:
        """The connection stands again; the client has restored the subscriptions."""

    def disconnected(self, err: NatsError) -> None:
        """The connection was lost; another one is on its way."""

    def closed(self, err: NatsError) -> None:
        """The client is closed, and the service with it."""
        self._stopping = True
        self._end(err)

    def _end(self, err: NatsError | None) -> None:
        self._nats.remove_listener(self)
        self._stopped.end(err)

    def _add(
        self,
        name: str,
        handler: Handler,
        subject: str,
        queue_group: str | None,
        metadata: Mapping[str, str] | None,
        schema: Mapping[str, str] | None,
    ) -> None:
        if self._stopping:
            raise RuntimeError('the service has been stopped')
        self._endpoints.append(
            _Endpoint(self._nats, name, handler, subject, queue_group, metadata, schema)
        )

    def _identity(self, kind: str = 'ping') -> dict[str, Any]:
        return {
            'type': _TYPE.format(kind),
            'name': self.name,
            'id': self.id,
            'version': self.version,
            'metadata': self.metadata,
        }

    def _stats_of(self, endpoint: _Endpoint) -> dict[str, Any]:
        if self._stats is None:
            return endpoint.stats(None)
        return endpoint.stats(self._stats(endpoint.stats(None)))

    def _answering(self, tell: Callable[[], dict[str, Any]]) -> AnyCallback:
        def asked(subject: str, payload: bytes, reply: str | None) -> None:
            if reply is not None:
                self._nats.publish(reply, json.dumps(tell()))

        return asked


class Client:
    """Finds services, and calls them.

    Args:
        nats: the client.
        prefix: first token of the control subjects.
    """

    def __init__(self, nats: Nats, prefix: str = PREFIX) -> None:
        self._nats = nats
        self._prefix = check_subject(prefix, 'prefix')

    def ping(
        self, cb: AnyCallback, name: str | None = None, id: str | None = None, **ends: Any
    ) -> Handle:
        """Ask which instances there are.

        Args:
            cb: called once as ``cb(answers, err)`` with a list of dicts as ADR-32 has them.
            name: only this service.
            id: only this instance, of the service *name*.
            **ends: ``timeout``, ``stall`` and ``max_msgs`` as for ``Nats.request_many``.

        Errors:
            NoResponders: there is none.
            ProtocolError: an answer is not what ADR-32 says.
        """
        return self._ask('PING', cb, name, id, ends)

    def info(
        self, cb: AnyCallback, name: str | None = None, id: str | None = None, **ends: Any
    ) -> Handle:
        """Ask what the services offer. See ``ping``."""
        return self._ask('INFO', cb, name, id, ends)

    def stats(
        self, cb: AnyCallback, name: str | None = None, id: str | None = None, **ends: Any
    ) -> Handle:
        """Ask what the services have done. See ``ping``."""
        return self._ask('STATS', cb, name, id, ends)

    def request(
        self,
        subject: str,
        payload: Payload,
        cb: AnyCallback,
        timeout: float | None = 5000,
        headers: HeadersOut | None = None,
    ) -> Handle:
        """Call an endpoint.

        Args:
            subject: the endpoint's.
            payload: the request.
            cb: called once as ``cb(response, err, headers)``.
            timeout: ms to wait; None: without end.
            headers: headers of the request.

        Errors:
            ServiceError: the endpoint answered with an error; its payload is in ``payload``.
            See ``Nats.request`` for others.
        """
        call = self._nats.call(cb, 3)

        def answered(response: bytes, err: NatsError | None, headers: Headers | None) -> None:
            refusal = None if headers is None or err is not None else _refusal(response, headers)
            if refusal is not None:
                call.end(None, refusal, headers)
            else:
                call.end(response, err, headers)

        call.child = self._nats.request(subject, payload, answered, timeout, headers)
        return call

    def _ask(
        self, verb: str, cb: AnyCallback, name: str | None, id: str | None, ends: dict[str, Any]
    ) -> Handle:
        if id is not None and name is None:
            raise ValueError('an id needs the name of its service')
        tokens = [self._prefix, verb, *(token for token in (name, id) if token is not None)]
        if id is not None:
            ends.setdefault('max_msgs', 1)
        ends.setdefault('stall', _STALL)
        call = self._nats.call(cb)

        def answered(replies: list[Any] | None, err: NatsError | None) -> None:
            try:
                call.end(None if replies is None else [_parse(r['payload']) for r in replies], err)
            except ProtocolError as odd:
                call.fail(odd)

        call.child = self._nats.request_many('.'.join(tokens), b'', answered, **ends)
        return call


def _control_subjects(verb: str, name: str, id: str) -> list[str]:
    return [f'{PREFIX}.{verb}', f'{PREFIX}.{verb}.{name}', f'{PREFIX}.{verb}.{name}.{id}']


def _refusal(response: bytes, headers: Headers) -> ServiceError | None:
    code, description = headers.get(_ERROR_CODE), headers.get(_ERROR)
    if code is None and description is None:
        return None
    number = int(code) if code and code.isascii() and code.isdigit() else 0
    return ServiceError(number, description or '', response)


def _parse(payload: bytes) -> dict[str, Any]:
    try:
        answer = json.loads(payload)
    except (ValueError, RecursionError):
        answer = None
    if not isinstance(answer, dict):
        raise ProtocolError('the answer of a service is not a JSON object')
    return answer


def _check_name(what: str, name: object) -> None:
    if not isinstance(name, str):
        raise TypeError(f'name of the {what} must be str, not {type(name).__name__}')
    if not _NAME.fullmatch(name):
        raise ValueError(f'name of the {what} must be letters, digits, - and _, not {name!r}')


def _texts(what: str, given: Mapping[str, str] | None) -> dict[str, str]:
    texts = dict(given or {})
    for name, text in texts.items():
        if not (isinstance(name, str) and isinstance(text, str)):
            raise TypeError(f'{what} must be texts by name, not {name!r}: {text!r}')
    return texts
