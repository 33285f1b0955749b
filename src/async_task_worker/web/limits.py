"""How much of everything the HTTP API takes and gives. In process nothing of this applies."""

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
    """The caps of one router, with defaults for a service that is open to strangers.

    Raises:
        TypeError: A value is of the wrong type.
        ValueError: It is out of range.

    Attributes:
        body: Bytes of a request's body; more is answered with 413.
        depth: Levels of lists and objects in a body.
        metadata: Bytes of a task's metadata as JSON.
        result: Bytes, about, of a result, error or other field shown for one task; a larger
            one is shown as a placeholder.
        listed: The same where several tasks are shown, and in events.
        batch: Tasks in one batch or action.
        searched: Tasks, about, that one page of a text search, or one action for a text, looks at on a
            router that redacts. When these are not enough the page is short, or empty, and has a ``next_cursor``.
        queue_wait: Seconds a submission waits for room in a full queue before it is refused.
        params_kept: Bytes of parameters kept, for showing them: of tasks submitted over HTTP, and as
            much again of tasks added in Python. The oldest go first.
        idempotency_keys: How many ``Idempotency-Key`` values are kept before those of tasks that
            are no longer known are dropped. One whose task is known stays.
        streams: Event streams open at a time.
        stream_lifetime: Seconds after which a stream is ended, for its client to come back
            and be asked for its rights anew; None for never.
        send_timeout: Seconds a client may take nothing of what is sent to it.
        buffered_events: Events kept for clients that come back.
        buffered_bytes: Bytes of those.
        progress_interval: Seconds, at least, between two progress events of one task.
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
    """Return the value, of the type of its default, or say what is wrong with it."""
    if isinstance(default, int):
        return checked_count(name, value, least=0 if name in _COUNTS_FROM_ZERO else 1)
    if default is None:
        return checked_optional_seconds(name, value)
    return checked_seconds(name, value, zero=name in _SECONDS_FROM_ZERO)
