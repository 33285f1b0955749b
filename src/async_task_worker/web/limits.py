"""Limits of the HTTP API. None of them applies to calls in process."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any, Final

from ..model.validation import checked_count, checked_optional_seconds, checked_seconds

_COUNTS_FROM_ZERO: Final = frozenset(
    {"metadata", "params_kept", "idempotency_keys", "streams", "buffered_events", "buffered_bytes"}
)
_SECONDS_FROM_ZERO: Final = frozenset({"queue_wait", "progress_interval"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """The limits of one router, with defaults for a service on the public internet.

    Raises:
        TypeError: A value is of the wrong type.
        ValueError: A value is out of range.

    Attributes:
        body: Bytes of a request's body; a larger one is refused with 413.
        depth: Levels of lists and objects in a body.
        metadata: Approximate bytes of a task's metadata.
        result: Approximate bytes of a result, error or other field in the body of a single task; a larger
            one is replaced by a placeholder.
        listed: The same for the body of a task in a list or an event.
        batch: Tasks in one batch or action.
        searched: Approximate number of tasks that one page of a text search, or one action for a text, reads
            on a router that redacts. When these are not enough the page is short, or empty, and has a
            ``next_cursor``.
        queue_wait: Seconds that a submission waits for capacity in a full queue before it is refused.
        params_kept: Bytes of params kept for responses: of tasks submitted over HTTP, and as
            many again of tasks added in Python. The oldest are dropped first.
        idempotency_keys: How many ``Idempotency-Key`` values are kept before those of tasks that
            are no longer known are removed. The key of a known task is always kept.
        streams: Event streams open at the same time.
        stream_lifetime: Seconds after which a stream is ended, so that its client reconnects
            and is authorized again; None for never.
        send_timeout: Seconds that a client may read nothing before its stream is aborted.
        buffered_events: Events kept for clients that reconnect; the latest is kept in any case.
        buffered_bytes: Bytes of these events.
        progress_interval: Least seconds between two progress events of one task.
    """

    body: int = 1 << 20
    depth: int = 64
    metadata: int = 16 << 10
    result: int = 1 << 20
    listed: int = 4 << 10
    batch: int = 1000
    searched: int = 500
    queue_wait: float = 1.0
    params_kept: int = 16 << 20
    idempotency_keys: int = 10_000
    streams: int = 2000
    stream_lifetime: float | None = None
    send_timeout: float = 30.0
    buffered_events: int = 10_000
    buffered_bytes: int = 16 << 20
    progress_interval: float = 0.2

    def __post_init__(self) -> None:
        """Check each value."""
        for field in fields(self):
            object.__setattr__(self, field.name, _checked(field.name, field.default, getattr(self, field.name)))


def _checked(name: str, default: object, value: Any) -> Any:
    """Return the value, converted to the type of its default; raise an error if it is invalid."""
    if isinstance(default, int):
        return checked_count(name, value, least=0 if name in _COUNTS_FROM_ZERO else 1)
    if default is None:
        return checked_optional_seconds(name, value)
    return checked_seconds(name, value, zero=name in _SECONDS_FROM_ZERO)
