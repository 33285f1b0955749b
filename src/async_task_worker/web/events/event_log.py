"""Numbered server-sent events of a worker's tasks; the latest are kept for clients that reconnect."""

from __future__ import annotations

import asyncio
import secrets
from collections import deque
from collections.abc import Callable, Iterator
from contextvars import Context
from datetime import UTC, datetime
from typing import Any, Final, NamedTuple

from sse_starlette import ServerSentEvent

from ...model.rendering import rfc3339
from ...model.status import TaskInfo
from ...state.events import PROGRESS, TERMINAL_EVENTS, TaskEvent
from ..limits import Limits
from ..rendering.json_text import encode_json
from ..worker_protocol import WebWorker

VERSION: Final = 1
_LAST_EVENTS: Final = frozenset(TERMINAL_EVENTS.values())
_GRACE_PERIOD: Final = 60.0
"""Seconds that events are kept after the last reader has left, for a client that reconnects."""

_STATS_INTERVAL: Final = 1.0
"""Seconds between two comparisons of the statistics."""

_MAX_DIGITS: Final = 19
"""An event number that a client sends back has fewer digits than this."""


class Frame(NamedTuple):
    """One encoded event."""

    seq: int
    task_id: str | None
    data: bytes
    is_terminal: bool


class Reader:
    """The position of one stream, or of one long poll, in the event log.

    Attributes:
        task_id: The only task whose events are read; None for all events.
        is_stream: Whether it is a stream, which counts as open.
        seq: Number of the last event that was read.
        has_missed: Whether events were dropped from the log before this reader read them.
    """

    def __init__(self, task_id: str | None, seq: int, *, is_stream: bool = True) -> None:
        self.task_id = task_id
        self.is_stream = is_stream
        self.seq = seq
        self.has_missed = False
        self._notified = asyncio.Event()

    def notify(self) -> None:
        """End the current call of :meth:`wait`, or the next one."""
        self._notified.set()

    async def wait(self) -> None:
        """Wait until there may be new events."""
        await self._notified.wait()
        self._notified.clear()


class EventLog:
    """The latest events of one worker, numbered; progress events of a task are coalesced.

    The log listens to the worker only while it has readers, and a minute longer. A reader stores
    a number, not events of its own: a slow reader takes no memory, and learns at its next read
    that it missed some.

    Args:
        worker: The worker whose events are logged.
        render: Returns the body of a task.
        stats: Returns the statistics, which are published once a second if they have changed.
        limits: How many events and bytes are kept, and how often progress is published.
    """

    def __init__(
        self,
        worker: WebWorker,
        render: Callable[[TaskInfo], dict[str, Any]],
        stats: Callable[[], dict[str, Any]],
        limits: Limits,
    ) -> None:
        self._worker = worker
        self._render = render
        self._stats = stats
        self._limits = limits
        self._run_id = secrets.token_hex(4)  # distinguishes event ids of this process from those of an earlier one
        self._seq = 0
        self._frames: deque[Frame] = deque()
        self._bytes = 0
        self._readers: dict[str | None, set[Reader]] = {}
        self._published_at: dict[str, float] = {}  # loop time of the last progress event of each task
        self._deferred: dict[str, TaskEvent] = {}  # the latest progress of each task that was published too recently
        self._deferred_timer: asyncio.TimerHandle | None = None
        self._stats_timer: asyncio.TimerHandle | None = None
        self._grace_timer: asyncio.TimerHandle | None = None
        self._open_streams = 0
        self._last_stats: dict[str, Any] = {}
        self._unsubscribe: Callable[[], None] | None = None

    @property
    def open_streams(self) -> int:
        """How many streams are open; long polls do not count."""
        return self._open_streams

    @property
    def seq(self) -> int:
        """The number of the latest event."""
        return self._seq

    def open(self, task_id: str | None, last_id: str | None, *, is_stream: bool = True) -> Reader:
        """Return a reader that continues after the event *last_id*, or begins with the next event if that is None."""
        self._start_listening()
        reader = Reader(task_id, self._seq, is_stream=is_stream)
        if last_id is not None:
            seq = self._seq_in(last_id)
            first = self._frames[0].seq if self._frames else self._seq + 1
            if seq is None or seq < first - 1:
                reader.has_missed = True
            else:
                reader.seq = seq
                reader.notify()
        self._readers.setdefault(task_id, set()).add(reader)
        self._open_streams += is_stream
        return reader

    def close(self, reader: Reader) -> None:
        """Remove the reader. The last one to be removed starts the grace period."""
        readers = self._readers.get(reader.task_id, set())
        self._open_streams -= reader.is_stream and reader in readers
        readers.discard(reader)
        if not readers:
            self._readers.pop(reader.task_id, None)
        if not self._readers and self._unsubscribe is not None:
            self._cancel_timer("_stats_timer")
            self._grace_timer = asyncio.get_running_loop().call_later(
                _GRACE_PERIOD, self._stop_listening, context=Context()
            )

    def read(self, reader: Reader) -> Iterator[Frame]:
        """Yield the events that the reader has not read; none if it has missed some."""
        if self._frames and reader.seq < self._frames[0].seq - 1 and reader.task_id is None:
            reader.has_missed = True
        if reader.has_missed:
            return
        behind = self._seq - reader.seq
        start = max(0, len(self._frames) - behind)
        for index in range(start, len(self._frames)):
            frame = self._frames[index]
            if frame.seq > reader.seq and (reader.task_id is None or frame.task_id == reader.task_id):
                yield frame
        reader.seq = self._seq

    def skip_missed(self, reader: Reader) -> None:
        """Continue with the next event, after events were missed."""
        reader.has_missed = False
        reader.seq = self._seq

    def frame(self, reader: Reader, kind: str, **members: Any) -> bytes:
        """Return an encoded event for one reader alone; its number is that of the last event the reader has read."""
        return self._encode(reader.seq, kind, datetime.now(UTC), members)

    def snapshot(self, reader: Reader, info: TaskInfo) -> bytes:
        """Return an encoded event with the current state of a task, for one reader alone."""
        kind = f"task.{info.status}" if info.finished else "task.started" if info.started_at else "task.created"
        return self.frame(reader, kind, task=self._render(info))

    def on_event(self, event: TaskEvent) -> None:
        """Publish an event of the worker, or defer it if it is progress that comes too early."""
        task_id, loop = event.task.id, asyncio.get_running_loop()
        if event.type == PROGRESS:
            due = self._published_at.get(task_id, float("-inf")) + self._limits.progress_interval
            if due > loop.time():
                self._deferred[task_id] = event
                self._deferred_timer = self._deferred_timer or loop.call_at(
                    due, self._publish_deferred, context=Context()
                )
                return
            self._published_at[task_id] = loop.time()
            self._deferred.pop(task_id, None)
        elif event.task.finished:
            if (deferred := self._deferred.pop(task_id, None)) is not None:
                self._publish(deferred)
            self._published_at.pop(task_id, None)
        self._publish(event)

    def _publish_deferred(self) -> None:
        self._deferred_timer = None
        now, loop = asyncio.get_running_loop().time(), asyncio.get_running_loop()
        next_due = float("inf")
        for task_id, event in list(self._deferred.items()):
            due = self._published_at[task_id] + self._limits.progress_interval
            if due <= now:
                del self._deferred[task_id]
                self._published_at[task_id] = now
                self._publish(event)
            else:
                next_due = min(next_due, due)
        if self._deferred:
            self._deferred_timer = loop.call_at(next_due, self._publish_deferred, context=Context())

    def _publish(self, event: TaskEvent) -> None:
        self._append(event.type, event.task.id, event.at, {"task": self._render(event.task)})

    def _append(self, kind: str, task_id: str | None, at: datetime, members: dict[str, Any]) -> None:
        self._seq += 1
        frame = Frame(self._seq, task_id, self._encode(self._seq, kind, at, members), kind in _LAST_EVENTS)
        self._frames.append(frame)
        self._bytes += len(frame.data)
        while len(self._frames) > 1 and (
            len(self._frames) > self._limits.buffered_events or self._bytes > self._limits.buffered_bytes
        ):  # the latest stays for those who read along: what they missed shows by the first that is left
            self._drop_oldest()
        for followed_id in (None, frame.task_id) if frame.task_id is not None else (None,):
            for reader in self._readers.get(followed_id, ()):
                reader.notify()

    def _drop_oldest(self) -> None:
        dropped = self._frames.popleft()
        self._bytes -= len(dropped.data)
        if dropped.task_id is not None:
            for reader in self._readers.get(dropped.task_id, ()):
                if reader.seq < dropped.seq:
                    reader.has_missed = True
                    reader.notify()

    def _encode(self, seq: int, kind: str, at: datetime, members: dict[str, Any]) -> bytes:
        data = encode_json({"v": VERSION, "seq": seq, "ts": rfc3339(at), **members}).decode("utf-8")
        return ServerSentEvent(data, event=kind, id=f"{self._run_id}-{seq}", sep="\n").encode()

    def _seq_in(self, event_id: str) -> int | None:
        run, _, seq = event_id.partition("-")
        known = run == self._run_id and seq.isdecimal() and seq.isascii() and len(seq) < _MAX_DIGITS
        return int(seq) if known and int(seq) <= self._seq else None

    def _start_listening(self) -> None:
        loop = asyncio.get_running_loop()
        self._cancel_timer("_grace_timer")
        if self._unsubscribe is None:
            self._unsubscribe = Context().run(self._worker.events.listen, self.on_event)
        if self._stats_timer is None:
            self._last_stats = self._stats()
            self._stats_timer = loop.call_later(_STATS_INTERVAL, self._publish_stats, context=Context())

    def _publish_stats(self) -> None:
        self._stats_timer = asyncio.get_running_loop().call_later(
            _STATS_INTERVAL, self._publish_stats, context=Context()
        )
        stats = self._stats()
        if stats != self._last_stats:
            self._last_stats = stats
            self._append("stats", None, datetime.now(UTC), {"stats": stats})

    def _stop_listening(self) -> None:
        """Stop listening, and drop the events, which are no longer the latest."""
        for timer in ("_stats_timer", "_deferred_timer", "_grace_timer"):
            self._cancel_timer(timer)
        if self._unsubscribe is not None:
            self._unsubscribe()
            self._unsubscribe = None
        self._frames.clear()
        self._bytes = 0
        self._seq += 1  # so that an id sent before is older than the first event, and its client resyncs
        self._published_at.clear()
        self._deferred.clear()

    def _cancel_timer(self, timer: str) -> None:
        handle: asyncio.TimerHandle | None = getattr(self, timer)
        if handle is not None:
            handle.cancel()
            setattr(self, timer, None)
