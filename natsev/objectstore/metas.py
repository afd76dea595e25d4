"""Publishing metadata by itself: what changes an object without touching its chunks (ADR-20)."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timezone

from ..errors import LinkError, WrongSequenceError
from . import record
from .bucket import Bucket, Catch, Known
from .operation import Operation
from .record import ObjectMeta

_HEADERS = 'NATS/1.0\r\nNats-Rollup: sub\r\nNats-Expected-Last-Subject-Sequence: {}\r\n{}\r\n'


def versions_header(versions: int) -> str:
    """Return the header line that says how many earlier versions are to be kept."""
    return f'{record.VERSIONS}: {versions}\r\n' if versions else ''


def publish(
    bucket: Bucket,
    op: Operation,
    subject: str,
    meta: ObjectMeta,
    then: Callable[[ObjectMeta], None],
    *,
    expected: int,
    payload: bytes | None = None,
    versions: int = 0,
    catch: Catch | None = None,
    msg_id: str | None = None,
) -> None:
    """Publish *meta* in place of what is on *subject*.

    Args:
        bucket: where.
        op: what it is a step of.
        subject: of the meta.
        meta: what is published; its ``seq`` and ``mtime`` are set.
        then: called as ``then(meta)``.
        expected: the sequence that the present meta must have; 0: there must be none.
        payload: what is published, where that is more than *meta* tells.
        versions: how many earlier versions are to be kept.
        catch: as for ``Bucket.api``.
        msg_id: by which it is known again; None: a new one.
    """

    def stored(ack: dict[str, int]) -> None:
        meta['seq'] = ack.get('seq', 0)
        meta['mtime'] = datetime.now(timezone.utc)
        bucket.learn(
            subject, Known(meta['seq'], meta['nuid'] or None, not meta['deleted'], versions)
        )
        then(meta)

    block = _HEADERS.format(expected, versions_header(versions)).encode()
    body = payload or record.to_json(meta)
    bucket.publish(op, subject, body, block, stored, catch, msg_id=msg_id)


def taken(name: str) -> WrongSequenceError:
    """Return the error that says that there is an object *name* already."""
    return WrongSequenceError(400, 10071, f'object {name!r} exists already')


def no_target(bucket: str, name: str) -> LinkError:
    """Return the error that says that there is no object to link to."""
    text = f'there is no object {name!r} in the bucket {bucket!r} to link to'
    return LinkError(text, bucket=bucket, name=name)
