"""Lifecycle: starts and stops a worker, whatever is called at the same time or cancelled halfway."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from contextvars import Context
from typing import Any, Final, Protocol

from .loop_binding import LoopBinding
from .model.event_loop import spawn
from .model.failure import exc_info_of
from .model.record import TaskRecord
from .model.safe_logger import SafeLogger
from .model.status import RUNNING
from .runtime.executor import current_record
from .state.ledger import Ledger

logger = SafeLogger("async_task_worker.worker")

_CANCELLED_STOP_GRACE: Final = 1.0
"""Seconds that a cancelled ``stop()`` waits for the tasks it cut off to end."""


class Service(Protocol):
    """What is started and stopped: a backend with its cache."""

    async def start(self) -> None:
        """Begin to take and run tasks. If it fails, it is stopped before it is started again."""

    async def stop(self, timeout: float | None, exclude: set[TaskRecord]) -> None:
        """Give running tasks but those in *exclude* so many seconds (None: any time), then cut them off."""

    @property
    def is_draining(self) -> bool:
        """Whether something is still held after a stop."""
        ...


class Lifecycle:
    """Starts and stops of one worker. Calls at the same time join each other.

    Args:
        service: What is started and stopped.
        binding: The event loop; set here only.
        ledger: The state of tasks.
        on_shut_down: Called each time the service was stopped by :meth:`stop`.
        on_stopped: Called when no stop is left that has not ended.
    """

    def __init__(
        self,
        service: Service,
        binding: LoopBinding,
        ledger: Ledger,
        on_shut_down: Callable[[], None],
        on_stopped: Callable[[], None],
    ) -> None:
        self._service = service
        self._binding = binding
        self._ledger = ledger
        self._on_shut_down = on_shut_down
        self._on_stopped = on_stopped
        self._stops: set[asyncio.Task[None]] = set()  # that have not ended
        self._start: asyncio.Future[bool] | None = None  # the last one, and whether it succeeded
        self._self_stopping: set[TaskRecord] = set()  # tasks that called stop() themselves

    @property
    def is_stopping(self) -> bool:
        """Whether a stop has not ended."""
        return bool(self._stops)

    async def start(self) -> bool:
        """Start, or join a start; return False if there was nothing to do. During a stop, wait for that first."""
        while pending := self._pending_stops() or self._pending_starts():
            self._binding.require_bound()
            start = self._start
            await asyncio.wait(pending)
            if start is not None and start in pending and start.result():
                return False  # that start was this one's too, even if stop() has been called since
        if self._binding.is_accepting:
            self._binding.require_accepting()
            return False
        await self._begin()
        return True

    async def stop(self, timeout: float | None) -> bool:
        """Stop; return False if there was nothing to do. See :meth:`.AsyncTaskWorker.stop`."""
        pending = self._pending_stops() or self._pending_starts()
        if not (pending or self._binding.is_accepting or self._has_leftovers()):
            return False
        self._binding.require_bound()
        self._binding.accepting = None
        if (own := current_record()) is not None:
            self._self_stopping.add(own)
        stop = self._begin_stop(self._shut_down(timeout))
        try:
            await asyncio.wait([stop])
        except asyncio.CancelledError:
            await asyncio.wait([stop, self._begin_stop(self._shut_down(0.0))], timeout=_CANCELLED_STOP_GRACE)
            raise
        stop.result()
        return True

    async def _begin(self) -> None:
        former, left = self._binding.bound, set(self._ledger.select({RUNNING}))
        loop = self._binding.bind()
        self._start = start = loop.create_future()
        try:
            await self._service.start()
        except BaseException:
            start.set_result(False)
            await asyncio.wait([self._begin_stop(self._undo_start(former, left))])
            raise
        self._binding.accepting = loop
        start.set_result(True)

    async def _undo_start(self, former: asyncio.AbstractEventLoop | None, left: set[TaskRecord]) -> None:
        """Release everything a start took that failed or was cancelled; tasks that ran before it go on."""
        self._self_stopping |= left
        try:
            await self._service.stop(0.0, self._self_stopping)
        finally:
            self._binding.bound = former

    def _begin_stop(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        stop = spawn(work, "async_task_worker.stop")
        self._stops.add(stop)
        stop.add_done_callback(self._end_stop, context=Context())
        return stop

    async def _shut_down(self, timeout: float | None) -> None:
        if starts := self._pending_starts():
            await asyncio.wait(starts)
        self._binding.accepting = None  # set by a start that ended since stop() was called
        await self._service.stop(timeout, self._self_stopping)
        self._on_shut_down()

    def _end_stop(self, stop: asyncio.Task[None]) -> None:
        self._stops.discard(stop)
        if not stop.cancelled() and (error := stop.exception()) is not None:
            logger.error("Stopping the worker failed", exc_info=exc_info_of(error))
        if not self._stops:
            self._self_stopping = set()
            self._on_stopped()

    def _pending_stops(self) -> set[asyncio.Task[None]]:
        self._stops = {stop for stop in self._stops if not stop.get_loop().is_closed()}
        return self._stops

    def _pending_starts(self) -> set[asyncio.Future[bool]]:
        start = self._start
        return set() if start is None or start.done() or start.get_loop().is_closed() else {start}

    def _has_leftovers(self) -> bool:
        """Whether a task goes on that called stop() itself; the next stop() is for it."""
        left = self._ledger.counts()[RUNNING] > 0 or self._service.is_draining
        bound = self._binding.bound
        return left and bound is not None and not bound.is_closed()
