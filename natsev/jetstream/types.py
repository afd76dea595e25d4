"""What goes to the JetStream API and what comes back, field by field.

Durations are nanoseconds, sizes bytes, times RFC 3339 strings as the server writes them. A comment
names the first server that knows a field; an older one drops it, or from 2.12 on refuses it.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal, TypedDict

from ..headers import Headers


class Placement(TypedDict, total=False):
    """Where in a cluster something is put."""

    cluster: str
    tags: list[str]
    preferred: str


class External(TypedDict, total=False):
    """How to reach a stream of another account or domain."""

    api: str
    deliver: str


class SubjectTransform(TypedDict, total=False):
    """Messages on ``src`` get the subject ``dest``."""

    src: str
    dest: str


class StreamSource(TypedDict, total=False):
    """A stream that is mirrored or sourced."""

    name: str
    opt_start_seq: int
    opt_start_time: str
    filter_subject: str
    subject_transforms: list[SubjectTransform]  # 2.10
    external: External
    domain: str  # turned into external.api
    consumer: dict[str, Any]  # 2.14


class Republish(TypedDict, total=False):
    """Stored messages are published again."""

    src: str
    dest: str
    headers_only: bool


class ConsumerLimits(TypedDict, total=False):
    """Limits for consumers of a stream that do not set their own."""

    inactive_threshold: int
    max_ack_pending: int


class StreamConfig(TypedDict, total=False):
    """A stream. https://docs.nats.io/nats-concepts/jetstream/streams"""

    name: str
    description: str
    subjects: list[str]
    retention: Literal['limits', 'interest', 'workqueue']
    max_consumers: int
    max_msgs: int
    max_msgs_per_subject: int
    max_bytes: int
    max_age: int
    max_msg_size: int
    storage: Literal['file', 'memory']
    compression: Literal['none', 's2']  # 2.10
    num_replicas: int
    no_ack: bool
    template_owner: str
    discard: Literal['old', 'new']
    discard_new_per_subject: bool
    duplicate_window: int
    placement: Placement
    mirror: StreamSource
    sources: list[StreamSource]
    first_seq: int  # 2.10
    subject_transform: SubjectTransform  # 2.10
    republish: Republish
    sealed: bool
    deny_delete: bool
    deny_purge: bool
    allow_rollup_hdrs: bool
    allow_direct: bool
    mirror_direct: bool
    consumer_limits: ConsumerLimits  # 2.10
    metadata: dict[str, str]  # 2.10
    allow_msg_ttl: bool  # 2.11, ADR-43
    subject_delete_marker_ttl: int  # 2.11, ADR-43
    allow_msg_counter: bool  # 2.12, ADR-49
    allow_atomic: bool  # 2.12, ADR-50
    allow_msg_schedules: bool  # 2.12, ADR-51
    persist_mode: Literal['default', 'async']  # 2.12
    allow_batched: bool  # 2.14, ADR-50


class StreamState(TypedDict, total=False):
    """What a stream holds."""

    messages: int
    bytes: int
    first_seq: int
    first_ts: str
    last_seq: int
    last_ts: str
    num_subjects: int
    subjects: dict[str, int]
    num_deleted: int
    deleted: list[int]
    lost: dict[str, Any]
    consumer_count: int


class StreamInfo(TypedDict, total=False):
    """What the server knows of a stream."""

    type: str
    config: StreamConfig
    created: str
    state: StreamState
    cluster: dict[str, Any]
    mirror: dict[str, Any]
    sources: list[dict[str, Any]]
    alternates: list[dict[str, Any]]
    domain: str
    ts: str
    did_create: bool
    total: int
    offset: int
    limit: int


class ConsumerConfig(TypedDict, total=False):
    """A consumer. https://docs.nats.io/nats-concepts/jetstream/consumers"""

    name: str
    durable_name: str
    description: str
    deliver_policy: Literal[
        'all', 'last', 'new', 'by_start_sequence', 'by_start_time', 'last_per_subject'
    ]
    opt_start_seq: int
    opt_start_time: str
    ack_policy: Literal['none', 'all', 'explicit', 'flow_control']
    ack_wait: int
    max_deliver: int
    backoff: list[int]
    filter_subject: str
    filter_subjects: list[str]  # 2.10
    replay_policy: Literal['instant', 'original']
    rate_limit_bps: int
    sample_freq: str
    max_waiting: int
    max_ack_pending: int
    flow_control: bool
    headers_only: bool
    max_batch: int
    max_expires: int
    max_bytes: int
    deliver_subject: str
    deliver_group: str
    idle_heartbeat: int
    inactive_threshold: int
    num_replicas: int
    mem_storage: bool
    direct: bool
    metadata: dict[str, str]  # 2.10
    pause_until: str  # 2.11
    priority_groups: list[str]  # 2.11, ADR-42
    priority_policy: Literal['none', 'overflow', 'pinned_client', 'prioritized']  # 2.11
    priority_timeout: int  # 2.11


class SequenceInfo(TypedDict, total=False):
    """A position of a consumer."""

    consumer_seq: int
    stream_seq: int
    last_active: str


class ConsumerInfo(TypedDict, total=False):
    """What the server knows of a consumer."""

    type: str
    stream_name: str
    name: str
    created: str
    config: ConsumerConfig
    delivered: SequenceInfo
    ack_floor: SequenceInfo
    num_ack_pending: int
    num_redelivered: int
    num_waiting: int
    num_pending: int
    cluster: dict[str, Any]
    push_bound: bool
    paused: bool
    pause_remaining: int
    priority_groups: list[dict[str, Any]]
    ts: str


class PauseInfo(TypedDict, total=False):
    """Whether a consumer is paused."""

    paused: bool
    pause_until: str
    pause_remaining: int


class PubAck(TypedDict, total=False):
    """The stream has stored a message."""

    stream: str
    seq: int
    duplicate: bool
    domain: str
    val: str  # ADR-49: the counter's new value
    batch: str  # ADR-50
    count: int  # ADR-50


class StoredMessage(TypedDict):
    """A message as the stream holds it."""

    stream: str
    subject: str
    seq: int
    time: datetime
    headers: Headers | None
    payload: bytes


class AccountInfo(TypedDict, total=False):
    """What an account uses of JetStream, and its limits."""

    type: str
    memory: int
    storage: int
    reserved_memory: int
    reserved_storage: int
    streams: int
    consumers: int
    limits: dict[str, int]
    domain: str
    api: dict[str, int]
    tiers: dict[str, Any]
