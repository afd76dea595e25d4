"""Consumers: create, change, look at, pause and delete them (ADR-13, ADR-15, ADR-42)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from ..calls import Call
from ..nuid import next_nuid
from ..subjects import check_consumer, check_stream, check_subscription
from . import check
from .api import Api, or_fail
from .echo import refuse_dropped
from .types import ConsumerConfig

_CONFIG = ConsumerConfig.__annotations__

AnyCallback = Callable[..., Any]


class Consumers:
    """The part of ``JetStream`` that manages consumers."""

    _api: Api

    def consumer_create(self, stream: str, config: Mapping[str, Any], cb: AnyCallback) -> Call:
        """Create a consumer. One with the same configuration already: its info.

        Args:
            stream: the stream.
            config: see ``ConsumerConfig``. With ``durable_name`` it is kept until it is deleted;
                else, with ``name`` or a name made here, until it was unused for
                ``inactive_threshold``.
            cb: called once as ``cb(info, err)`` with a ``ConsumerInfo``.

        Errors:
            ConsumerExistsError: it exists with another configuration.
            StreamNotFoundError.
            UnsupportedOptionError: the server does not know an option and left it out.

        Raises:
            TypeError, ValueError: an unknown option or an illegal name.
        """
        return self._consumer_config(stream, config, 'create', cb)

    def consumer_update(self, stream: str, config: Mapping[str, Any], cb: AnyCallback) -> Call:
        """Change a consumer's configuration. See ``consumer_create``.

        Errors:
            ConsumerNotFoundError, StreamNotFoundError, UnsupportedOptionError.
        """
        if not (config.get('durable_name') or config.get('name')):
            raise ValueError('consumer_update needs the name of the consumer')
        return self._consumer_config(stream, config, 'update', cb)

    def consumer_create_or_update(
        self, stream: str, config: Mapping[str, Any], cb: AnyCallback
    ) -> Call:
        """Create a consumer, or change its configuration. See ``consumer_create``."""
        return self._consumer_config(stream, config, '', cb)

    def _consumer_config(
        self, stream: str, config: Mapping[str, Any], action: str, cb: AnyCallback
    ) -> Call:
        endpoint, body = create_request(stream, config, action)
        call = self._api.nats.call(cb)
        done = or_fail(call, refuse_dropped(call, body['config']))
        call.child = self._api.ask(endpoint, body, done)
        return call

    def consumer_delete(self, stream: str, consumer: str, cb: AnyCallback) -> Call:
        """Delete a consumer.

        Args:
            stream: the stream.
            consumer: the consumer.
            cb: called once as ``cb({'success': True}, err)``.

        Errors:
            ConsumerNotFoundError, StreamNotFoundError.
        """
        return self._api.call(f'CONSUMER.DELETE.{_target(stream, consumer)}', None, cb)

    def consumer_info(self, stream: str, consumer: str, cb: AnyCallback) -> Call:
        """Look at a consumer.

        Args:
            stream: the stream.
            consumer: the consumer.
            cb: called once as ``cb(info, err)`` with a ``ConsumerInfo``.

        Errors:
            ConsumerNotFoundError, StreamNotFoundError.
        """
        return self._api.call(f'CONSUMER.INFO.{_target(stream, consumer)}', None, cb)

    def consumer_list(self, stream: str, cb: AnyCallback) -> Call:
        """List a stream's consumers, every page of them.

        Args:
            stream: the stream.
            cb: called once as ``cb(infos, err)`` with a list of ``ConsumerInfo``.

        Errors:
            StreamNotFoundError.
        """
        endpoint = f'CONSUMER.LIST.{check_stream(stream)}'
        return self._api.pages(endpoint, {}, 'consumers', cb)

    def consumer_names(self, stream: str, cb: AnyCallback) -> Call:
        """List the names of a stream's consumers, every page of them.

        Args:
            stream: the stream.
            cb: called once as ``cb(names, err)``.

        Errors:
            StreamNotFoundError.
        """
        endpoint = f'CONSUMER.NAMES.{check_stream(stream)}'
        return self._api.pages(endpoint, {}, 'consumers', cb)

    def consumer_pause(
        self, stream: str, consumer: str, until: datetime | str, cb: AnyCallback
    ) -> Call:
        """Let a consumer deliver nothing for a while (server 2.11).

        Args:
            stream: the stream.
            consumer: the consumer.
            until: when it goes on: an aware datetime, or RFC 3339.
            cb: called once as ``cb(info, err)`` with a ``PauseInfo``.

        Errors:
            ConsumerNotFoundError, StreamNotFoundError.
        """
        endpoint = f'CONSUMER.PAUSE.{_target(stream, consumer)}'
        body = {'pause_until': check.timestamp(until, 'until')}
        return self._api.call(endpoint, body, cb)

    def consumer_resume(self, stream: str, consumer: str, cb: AnyCallback) -> Call:
        """Let a paused consumer go on at once. See ``consumer_pause``."""
        return self._api.call(f'CONSUMER.PAUSE.{_target(stream, consumer)}', {}, cb)

    def consumer_unpin(self, stream: str, consumer: str, group: str, cb: AnyCallback) -> Call:
        """Let another client be the pinned one (ADR-42, server 2.11).

        Args:
            stream: the stream.
            consumer: the consumer, of priority policy ``pinned_client``.
            group: the priority group.
            cb: called once as ``cb(reply, err)``.

        Errors:
            ConsumerNotFoundError, StreamNotFoundError.
        """
        endpoint = f'CONSUMER.UNPIN.{_target(stream, consumer)}'
        return self._api.call(endpoint, {'group': check_consumer(group)}, cb)

    def consumer_reset(
        self, stream: str, consumer: str, cb: AnyCallback, seq: int | None = None
    ) -> Call:
        """Let a consumer deliver from another sequence on (server 2.14).

        Args:
            stream: the stream.
            consumer: the consumer.
            cb: called once as ``cb(info, err)``; info has ``reset_seq`` too.
            seq: the next stream sequence to deliver; None: the first that is not acknowledged.

        Errors:
            ConsumerNotFoundError, StreamNotFoundError.
        """
        endpoint = f'CONSUMER.RESET.{_target(stream, consumer)}'
        body = {} if seq is None else {'seq': check.number(seq, 'seq', 1)}
        return self._api.call(endpoint, body, cb)


def create_request(
    stream: str, config: Mapping[str, Any], action: str
) -> tuple[str, dict[str, Any]]:
    """Return the endpoint and the body that create (or update) a consumer.

    The name and a single filter are in the subject, so that permissions can speak of them; but not
    a filter with wildcards, for one cannot publish to those.
    """
    check_stream(stream)
    config = check.options(config, _CONFIG, 'consumer')
    for option in ('opt_start_time', 'pause_until'):
        if option in config:
            config[option] = check.timestamp(config[option], option)
    name = config.get('durable_name') or config.get('name') or next_nuid()
    config['name'] = check_consumer(name)
    endpoint = f'CONSUMER.CREATE.{stream}.{name}'
    filter_subject = config.get('filter_subject')
    if filter_subject and not {'*', '>'} & set(check_subscription(filter_subject)):
        endpoint += f'.{filter_subject}'
    body = {'stream_name': stream, 'config': config}
    if action:
        body['action'] = action
    return endpoint, body


def _target(stream: str, consumer: str) -> str:
    return f'{check_stream(stream)}.{check_consumer(consumer)}'
