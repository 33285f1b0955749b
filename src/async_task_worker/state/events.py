"""EventBus: publishes every change of every task to listeners and streams."""

from __future__ import annotations

import asyncio
import weakref
from collections import deque
from collections.abc import Callable
from contextvars import Context, copy_context
from dataclasses import dataclass
from datetime import UTC, datetime
from types import TracebackType
from typing import Final, Self, cast

from ..model.event_loop import is_waiting, raise_in_loop
from ..model.failure import exc_info_of
from ..model.record import TaskRecord
from ..model.registry import is_coroutine_callable
from ..model.safe_logger import SafeLogger
from ..model.status import TRANSITIONS, TaskInfo

logger = SafeLogger("async_task_worker.events")

CREATED: Final = "task.created"
STARTED: Final = "task.started"
PROGRESS: Final = "task.progress"
RELEASED: Final = "task.released"
REPRIORITIZED: Final = "task.reprioritized"

TERMINAL_EVENTS: Final = {status: f"task.{status}" for status, following in TRANSITIONS.items() if not following}
"""The event type of each terminal status."""

_NOT_AWAITED: Final = (
    "a listener must be a plain function, but {!r} returns a coroutine: listeners are called in place and nothing "
    "would await it. To await something for each event, in order, run "
    "`async for event in worker.events.stream(): ...` in an asyncio task of your own"
)

RecordListener = Callable[[str, TaskRecord], None]
Listener = Callable[["TaskEvent"], object]


@dataclass(frozen=True, slots=True)
class TaskEvent:
    """One change of one task.

    Attributes:
        type: ``task.created``, ``task.started``, ``task.progress``, ``task.completed``,
            ``task.failed`` or ``task.cancelled``; ``task.reprioritized`` if its priority has changed
            because another task waits for its result, or no longer does; ``task.released`` if it is
            pending again because its durable worker stopped before it ended.
        task: The task right after the change.
        seq: A number that grows by 1 with each event that this worker publishes.
        at: When it happened (aware, UTC).
    """

    type: str
    task: TaskInfo
    seq: int
    at: datetime


class EventBus:
    """Delivers every event to every listener, in order. Publishing never waits and never raises.

    Args:
        wall: Returns the time of an event, in seconds since the epoch.

    Attributes:
        has_subscribers: Whether there is any listener or stream. Asked before an event is created.
        publish: Delivers an event to all listeners. An event that a listener causes is delivered
            after the one that the listener was called for.
        completion_callbacks: By task id, what to call once when the task ends. For this package only.
    """

    def __init__(self, wall: Callable[[], float]) -> None:
        self._wall = wall
        self._record_listeners: tuple[RecordListener, ...] = ()  # replaced, not changed: a loop may use it
        self._listeners: list[tuple[Listener, Context]] = []
        self._streams: list[weakref.ref[EventStream]] = []  # a stream that is not referenced any more is removed
        self._undelivered: deque[TaskEvent] = deque()
        self._delivering = False
        self._seq = 0
        self.has_subscribers = False
        self.publish: RecordListener = self._publish
        self.completion_callbacks: dict[str, Callable[[TaskRecord], None]] = {}

    def subscribe_records(self, listener: RecordListener) -> Callable[[], None]:
        """Call ``listener(type, record)`` at every change, before all other listeners. For this package only.

        Returns:
            A function that ends the subscription.
        """
        self._record_listeners = (*self._record_listeners, listener)
        self._refresh()

        def stop() -> None:
            place = self._record_listeners.index(listener)
            self._record_listeners = (*self._record_listeners[:place], *self._record_listeners[place + 1 :])
            self._refresh()

        return stop

    def listen(self, listener: Listener) -> Callable[[], None]:
        """Call *listener* with every :class:`TaskEvent` from now on.

        It is called where the change happens, on the event loop, so it should be quick. It runs with
        the context variables of this call, not with those of the task. An error that it raises is
        logged and has no other effect. To await something for each event, read :meth:`stream` in an
        asyncio task of your own.

        Returns:
            A function that removes the listener; calling it again does nothing.

        Raises:
            TypeError: *listener* is not callable, or is a coroutine function, which nothing would await.
        """
        _require_plain_callable(listener)
        entry = (listener, copy_context())
        self._listeners.append(entry)
        self._refresh()

        def stop() -> None:
            self._listeners = [other for other in self._listeners if other is not entry]
            self._refresh()

        return stop

    def stream(self, max_buffer: int = 1000) -> EventStream:
        """Return an async iterator over every event from now on; it ends when the worker stops.

        Args:
            max_buffer: How many events may wait to be read. Above that the oldest is dropped and
                counted in the stream's ``missed``.

        Raises:
            TypeError: *max_buffer* is not an int.
            ValueError: *max_buffer* is less than 1.
        """
        if isinstance(max_buffer, bool) or not isinstance(max_buffer, int):
            raise TypeError(f"max_buffer must be an int, not {max_buffer!r}")
        if max_buffer < 1:
            raise ValueError(f"max_buffer must be at least 1, not {max_buffer}")
        stream = EventStream(self, max_buffer)
        self._streams.append(weakref.ref(stream, self._drop))
        self._refresh()
        return stream

    def _publish(self, kind: str, record: TaskRecord) -> None:
        for listener in self._record_listeners:
            listener(kind, record)
        if not self._listeners and not self._streams:
            return
        self._seq += 1
        event = TaskEvent(kind, record.info(), self._seq, datetime.fromtimestamp(self._wall(), UTC))
        self._undelivered.append(event)
        if not self._delivering:
            self._deliver()

    def close_streams(self) -> None:
        """End every stream; the events in its buffer can still be read."""
        for stream in self._live_streams():
            stream.close()

    def unsubscribe(self, stream: EventStream) -> None:
        """Deliver no more events to *stream*."""
        self._streams = [reference for reference in self._streams if reference() is not stream]
        self._refresh()

    def _drop(self, dead: weakref.ref[EventStream]) -> None:
        self._streams = [reference for reference in self._streams if reference is not dead]
        self._refresh()

    def _live_streams(self) -> list[EventStream]:
        return [stream for reference in self._streams if (stream := reference()) is not None]

    def _deliver(self) -> None:
        self._delivering = True
        try:
            while self._undelivered:
                event = self._undelivered.popleft()
                for stream in self._live_streams():
                    stream.put(event)
                for entry in tuple(self._listeners):
                    if entry in self._listeners:  # a listener before it may have removed it
                        entry[1].run(self._call, entry[0], event)
        finally:
            self._delivering = False

    def _call(self, listener: Listener, event: TaskEvent) -> None:
        try:
            _refuse_coroutine(listener, listener(event))
        except BaseException as error:
            task = event.task
            logger.exception(
                "A listener failed on %s of task %r",
                *(event.type, task.id),
                exc_info=exc_info_of(error),
                extra={"task_id": task.id, "task_type": task.name, "attempt": task.attempt},
            )
            if issubclass(type(error), KeyboardInterrupt):
                raise_in_loop(cast("KeyboardInterrupt", error))

    def _refresh(self) -> None:
        self.has_subscribers = bool(self._record_listeners or self._listeners or self._streams)
        alone = len(self._record_listeners) == 1 and not (self._listeners or self._streams)
        # A journal is often the only listener, and is called for every task: without a detour.
        self.publish = self._record_listeners[0] if alone else self._publish


def _require_plain_callable(listener: object) -> None:
    if not callable(listener):
        raise TypeError(f"a listener must be callable with one event, not {listener!r}")
    if is_coroutine_callable(listener):
        raise TypeError(_NOT_AWAITED.format(listener))


def _refuse_coroutine(listener: Listener, answer: object) -> None:
    if answer is not None and asyncio.iscoroutine(answer):
        answer.close()
        raise TypeError(_NOT_AWAITED.format(listener))


class EventStream:
    """An async iterator over events, with a bounded buffer.

    End it with ``close()`` or by leaving ``async with``. One that is garbage-collected ends, too.

    Attributes:
        missed: How many events were dropped because the buffer was full.
    """

    def __init__(self, bus: EventBus, max_buffer: int) -> None:
        self._bus = bus
        self._events: deque[TaskEvent] = deque(maxlen=max_buffer)
        self._reader: asyncio.Future[None] | None = None
        self._closed = False
        self.missed = 0

    def put(self, event: TaskEvent) -> None:
        """Add *event* to the buffer; drop the oldest one if the buffer is full."""
        self.missed += len(self._events) == self._events.maxlen
        self._events.append(event)
        self._wake()

    def close(self) -> None:
        """End the stream; the events in its buffer can still be read."""
        self._closed = True
        self._bus.unsubscribe(self)
        self._wake()

    def __aiter__(self) -> Self:
        """Return the stream itself."""
        return self

    async def __anext__(self) -> TaskEvent:
        """Wait for the next event and return it.

        Raises:
            StopAsyncIteration: The stream is closed and its buffer is empty.
            RuntimeError: Another reader waits for the next event already.
        """
        while not self._events:
            if self._closed:
                raise StopAsyncIteration
            if self._reader is not None:
                raise RuntimeError("two readers wait on one event stream; give each its own with events.stream()")
            self._reader = asyncio.get_running_loop().create_future()
            try:
                await self._reader
            finally:
                self._reader = None
        return self._events.popleft()

    async def __aenter__(self) -> Self:
        """Return the stream itself."""
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None
    ) -> None:
        """Close the stream."""
        self.close()

    def _wake(self) -> None:
        if self._reader is not None and is_waiting(self._reader):
            self._reader.set_result(None)
