"""Buckets: create, change, look at, list and delete them (ADR-8)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ..calls import Call
from ..errors import NatsError, StreamNotFoundError
from ..jetstream import JetStream
from . import bucket as config
from .bucket import bucket_error, status_of
from .place import Place

AnyCallback = Callable[..., Any]


class Management:
    """The part of ``KV`` that manages the bucket."""

    js: JetStream
    bucket: str
    _place: Place

    def create_bucket(self, opts: Mapping[str, Any] | None, cb: AnyCallback) -> Call:
        """Create the bucket. One with the same configuration already: its info.

        Args:
            opts: see ``BucketOptions``; None or empty for the defaults.
            cb: called once as ``cb(info, err)`` with the stream's ``StreamInfo``.

        Errors:
            BucketExistsError: it exists with another configuration.
            UnsupportedOptionError: the server does not know an option and left it out.

        Raises:
            TypeError, ValueError: an unknown option, or a value that cannot be.
        """
        body = config.creation(self.bucket, config.checked(opts))
        call = self.js.nats.call(cb)
        call.child = self.js.stream_create(body, self._learns(call))
        return call

    def update_bucket(self, opts: Mapping[str, Any], cb: AnyCallback) -> Call:
        """Change the bucket's configuration; options that are left out stay as they are.

        Args:
            opts: see ``BucketOptions``; not ``mirror`` or ``sources``.
            cb: called once as ``cb(info, err)`` with the stream's ``StreamInfo``.

        Errors:
            BucketNotFoundError, UnsupportedOptionError.
        """
        changes = self._changes(opts)
        call = self.js.nats.call(cb)
        self._info(call, lambda info: self._update(call, info, changes))
        return call

    def create_or_update_bucket(self, opts: Mapping[str, Any] | None, cb: AnyCallback) -> Call:
        """Change the bucket's configuration, or create it. See ``create_bucket``."""
        changes = self._changes(opts)
        body = config.creation(self.bucket, config.checked(opts))
        call = self.js.nats.call(cb)

        def found(info: Any, err: NatsError | None) -> None:
            if isinstance(err, StreamNotFoundError):
                call.child = self.js.stream_create(body, self._learns(call))
            elif err is not None:
                call.fail(err)
            else:
                self._update(call, info, changes)

        call.child = self.js.stream_info(self._place.stream, found)
        return call

    def _changes(self, opts: Mapping[str, Any] | None) -> dict[str, Any]:
        checked = config.checked(opts)
        for name in ('mirror', 'sources'):
            if name in checked:
                raise ValueError(f'{name} cannot be changed')
        return config.changes(checked)

    def _update(self, call: Call, info: dict[str, Any], changes: dict[str, Any]) -> None:
        body = {**info['config'], **changes}
        call.child = self.js.stream_update(body, self._learns(call))

    def _learns(self, call: Call) -> AnyCallback:
        def done(info: Any, err: NatsError | None) -> None:
            if err is not None:
                call.fail(bucket_error(err, self.bucket))
            else:
                self._place.learn(info)
                call.end(info, None)

        return done

    def delete_bucket(self, cb: AnyCallback) -> Call:
        """Delete the bucket and all it holds.

        Args:
            cb: called once as ``cb({'success': True}, err)``.

        Errors:
            BucketNotFoundError.
        """
        call = self.js.nats.call(cb)

        def done(reply: Any, err: NatsError | None) -> None:
            call.end(reply, None if err is None else bucket_error(err, self.bucket))

        call.child = self.js.stream_delete(self._place.stream, done)
        return call

    def status(self, cb: AnyCallback) -> Call:
        """Look at the bucket.

        Args:
            cb: called once as ``cb(status, err)`` with a ``Status``.

        Errors:
            BucketNotFoundError.
        """
        call = self.js.nats.call(cb)
        self._info(call, lambda info: call.end(status_of(info), None))
        return call

    @staticmethod
    def buckets(js: JetStream, cb: AnyCallback) -> Call:
        """List all buckets, mirrors too.

        Args:
            js: the ``JetStream``.
            cb: called once as ``cb(statuses, err)`` with a list of ``Status``.
        """
        call = js.nats.call(cb)

        def done(infos: Any, err: NatsError | None) -> None:
            if err is not None:
                call.fail(err)
                return
            named = [(info.get('config') or {}).get('name', '') for info in infos]
            of_buckets = zip(named, infos, strict=True)
            call.end([status_of(info) for name, info in of_buckets if name.startswith('KV_')], None)

        call.child = js.stream_list(done)
        return call

    def _info(self, call: Call, then: Callable[[dict[str, Any]], None]) -> None:
        """Look at the stream, note what it is, go on with its info; a failure ends *call*."""

        def done(info: Any, err: NatsError | None) -> None:
            if err is not None:
                call.fail(bucket_error(err, self.bucket))
            else:
                self._place.learn(info)
                then(info)

        call.child = self.js.stream_info(self._place.stream, done)
