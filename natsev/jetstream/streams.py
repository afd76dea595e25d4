"""Streams: create, change, look at, purge and delete them (ADR-1, ADR-44)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ..calls import Call
from ..errors import NatsError, StreamNotFoundError
from ..subjects import check_stream, check_subject
from . import check
from .api import Api, Reply, or_fail
from .echo import refuse_dropped
from .types import StreamConfig, StreamSource

_INFO_OPTIONS = ('subjects_filter', 'deleted_details', 'offset')
_PURGE_OPTIONS = ('filter', 'seq', 'keep')
_CONFIG = StreamConfig.__annotations__
_SOURCE = StreamSource.__annotations__

AnyCallback = Callable[..., Any]


class Streams:
    """The part of ``JetStream`` that manages streams."""

    _api: Api

    def stream_create(self, config: Mapping[str, Any], cb: AnyCallback) -> Call:
        """Create a stream. One with the same configuration already: its info.

        Args:
            config: see ``StreamConfig``; ``name`` is required.
            cb: called once as ``cb(info, err)`` with a ``StreamInfo``.

        Errors:
            StreamExistsError: another configuration has the name, or the subjects.
            UnsupportedOptionError: the server does not know an option and left it out.

        Raises:
            TypeError, ValueError: an unknown option or an illegal name.
        """
        return self._stream_config('CREATE', config, cb)

    def stream_update(self, config: Mapping[str, Any], cb: AnyCallback) -> Call:
        """Change a stream's configuration to *config*, all of it. See ``stream_create``.

        Errors:
            StreamNotFoundError, UnsupportedOptionError.
        """
        return self._stream_config('UPDATE', config, cb)

    def stream_create_or_update(self, config: Mapping[str, Any], cb: AnyCallback) -> Call:
        """Change a stream's configuration, or create the stream. See ``stream_create``."""
        name, body = _checked(config)
        call = self._api.nats.call(cb)
        end = refuse_dropped(call, body)

        def updated(info: Reply | None, err: NatsError | None) -> None:
            if isinstance(err, StreamNotFoundError):
                self._api.step(call, f'STREAM.CREATE.{name}', body, end)
            else:
                or_fail(call, end)(info, err)

        call.child = self._api.ask(f'STREAM.UPDATE.{name}', body, updated)
        return call

    def _stream_config(self, verb: str, config: Mapping[str, Any], cb: AnyCallback) -> Call:
        name, body = _checked(config)
        call = self._api.nats.call(cb)
        done = or_fail(call, refuse_dropped(call, body))
        call.child = self._api.ask(f'STREAM.{verb}.{name}', body, done)
        return call

    def stream_delete(self, name: str, cb: AnyCallback) -> Call:
        """Delete a stream and all it holds.

        Args:
            name: the stream.
            cb: called once as ``cb({'success': True}, err)``.

        Errors:
            StreamNotFoundError.
        """
        return self._api.call(f'STREAM.DELETE.{check_stream(name)}', None, cb)

    def stream_info(self, name: str, opts: Any = None, cb: Any = None) -> Call:
        """Look at a stream: ``stream_info(name, cb)`` or ``stream_info(name, opts, cb)``.

        Args:
            name: the stream.
            opts: ``subjects_filter`` (count the messages of each subject that matches, all pages
                of it), ``deleted_details``.
            cb: called once as ``cb(info, err)`` with a ``StreamInfo``.

        Errors:
            StreamNotFoundError.
        """
        opts, cb = _opts_and_cb(opts, cb)
        opts = check.options(opts, _INFO_OPTIONS, 'stream_info')
        endpoint = f'STREAM.INFO.{check_stream(name)}'
        if 'subjects_filter' not in opts or 'offset' in opts:
            return self._api.call(endpoint, opts or None, cb)
        return self._all_subjects(endpoint, opts, cb)

    def _all_subjects(self, endpoint: str, opts: dict[str, Any], cb: AnyCallback) -> Call:
        call = self._api.nats.call(cb)
        subjects: dict[str, int] = {}

        def replied(info: Reply) -> None:
            page = info.get('state', {}).get('subjects') or {}
            before = len(subjects)
            subjects.update(page)
            if page and before < len(subjects) < info.get('total', 0):
                self._api.step(call, endpoint, {**opts, 'offset': len(subjects)}, replied)
                return
            if subjects:
                info['state']['subjects'] = subjects
            call.end(info, None)

        call.child = self._api.ask(endpoint, {**opts, 'offset': 0}, or_fail(call, replied))
        return call

    def stream_list(self, cb: AnyCallback, subject: str | None = None) -> Call:
        """List all streams, every page of them.

        Args:
            cb: called once as ``cb(infos, err)`` with a list of ``StreamInfo``.
            subject: only streams that take messages on this subject.
        """
        return self._api.pages('STREAM.LIST', _subject(subject), 'streams', cb)

    def stream_names(self, cb: AnyCallback, subject: str | None = None) -> Call:
        """List the names of all streams, every page of them.

        Args:
            cb: called once as ``cb(names, err)``.
            subject: only streams that take messages on this subject.
        """
        return self._api.pages('STREAM.NAMES', _subject(subject), 'streams', cb)

    def stream_purge(self, name: str, opts: Any = None, cb: Any = None) -> Call:
        """Delete messages: ``stream_purge(name, cb)`` or ``stream_purge(name, opts, cb)``.

        Args:
            name: the stream.
            opts: ``filter`` (only this subject), ``seq`` (only below this sequence), ``keep``
                (all but the last so many); not ``seq`` and ``keep`` together.
            cb: called once as ``cb({'success': True, 'purged': n}, err)``.

        Errors:
            StreamNotFoundError, SealedError.
        """
        opts, cb = _opts_and_cb(opts, cb)
        opts = check.options(opts, _PURGE_OPTIONS, 'stream_purge')
        if 'seq' in opts and 'keep' in opts:
            raise ValueError('stream_purge takes seq or keep, not both')
        endpoint = f'STREAM.PURGE.{check_stream(name)}'
        return self._api.call(endpoint, opts or None, cb)

    def stream_msg_delete(
        self, stream: str, seq: int, cb: AnyCallback, *, erase: bool = False
    ) -> Call:
        """Delete one message.

        Args:
            stream: the stream.
            seq: the message's sequence.
            cb: called once as ``cb({'success': True}, err)``.
            erase: overwrite its bytes with random ones; slower.

        Errors:
            MessageNotFoundError, StreamNotFoundError, SealedError.
        """
        body = {'seq': check.number(seq, 'seq', 1), 'no_erase': not erase}
        return self._api.call(f'STREAM.MSG.DELETE.{check_stream(stream)}', body, cb)

    def account_info(self, cb: AnyCallback) -> Call:
        """Look at what the account uses of JetStream, and its limits.

        Args:
            cb: called once as ``cb(info, err)`` with an ``AccountInfo``.

        Errors:
            JetStreamNotEnabledError: for this account; NoResponders: for the whole server.
        """
        return self._api.call('INFO', None, cb)


def _opts_and_cb(opts: Any, cb: Any) -> tuple[Any, Any]:
    # As in the original, the options stand before the callback and may be left out.
    return (None, opts) if cb is None else (opts, cb)


def _subject(subject: str | None) -> dict[str, Any]:
    return {} if subject is None else {'subject': subject}


def _checked(config: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    body = check.options(config, _CONFIG, 'stream')
    if 'mirror' in body:
        body['mirror'] = _source(body['mirror'])
    if 'sources' in body:
        body['sources'] = [_source(source) for source in body['sources']]
    return check_stream(body.get('name')), body


def _source(source: Mapping[str, Any]) -> dict[str, Any]:
    body = check.options(source, _SOURCE, 'stream source')
    domain = body.pop('domain', None)
    if domain is not None:
        if 'external' in body:
            raise ValueError('a stream source takes domain or external, not both')
        body['external'] = {'api': f'$JS.{check_subject(domain)}.API'}
    return body
