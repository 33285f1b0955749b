"""Circuit breaker with a per-call timeout for cache storages.

Every operation runs in an asyncio Task of its own, and its caller waits no longer than the
timeout. The first outage opens the circuit: operations are then skipped, until after a
backoff one of them runs as a trial in the background, without delaying its caller.
"""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Callable, Coroutine
from contextlib import suppress
from contextvars import Context, copy_context
from typing import Any, Final, TypeVar

from ..background import spawn
from ..exceptions import CacheUnavailableError, describe
from ..statistics import StoreCounters, ThrottledWarnings
from ..validation import checked_seconds

T = TypeVar("T")
Operation = Callable[[], Coroutine[Any, Any, T]]

logger = logging.getLogger(__name__)

DEFAULT_TIMEOUT: Final = 0.2
"""Seconds an operation may take by default."""
INITIAL_BACKOFF: Final = 0.25
"""Seconds from the opening of the circuit to the first trial."""
MAX_BACKOFF: Final = 5.0
"""Maximum seconds between two trials; each failed trial doubles the backoff up to this limit."""
CLOSE_GRACE: Final = 0.5
"""Seconds that a cancelled operation has to end when the circuit breaker is closed."""
WARNING_INTERVAL: Final = 60.0
"""Minimum seconds between two warnings about the same kind of fault."""

TIMEOUT: Final = "timeout"
CONNECTION: Final = "connection"
ERROR: Final = "error"
OUTAGES: Final = frozenset({TIMEOUT, CONNECTION})
"""The kinds of fault that open the circuit."""


def fault_kind(error: Exception) -> str:
    """Return CONNECTION for an OSError, which opens the circuit, and ERROR for any other error."""
    return CONNECTION if issubclass(type(error), OSError) else ERROR


class CircuitBreaker:
    """Runs the operations of one storage with a timeout, and skips them during an outage.

    Args:
        name: Name of the storage in warnings.
        counters: Where faults are counted.
        timeout: Seconds an operation may take by default: finite, zero or more.
        fault_kind: Returns the kind of fault of an error; the kinds in :data:`OUTAGES` open the circuit.
        detached: Whether operations run in an empty context instead of their caller's. A connection
            opened by an operation keeps its context alive.
    """

    def __init__(
        self,
        name: str,
        counters: StoreCounters,
        timeout: float = DEFAULT_TIMEOUT,
        fault_kind: Callable[[Exception], str] = fault_kind,
        *,
        detached: bool = False,
    ) -> None:
        self._name = name
        self._counters = counters
        self._timeout = checked_seconds("timeout", timeout)
        self._fault_kind = fault_kind
        self._detached = detached
        self._backoff = INITIAL_BACKOFF
        self._retry_at = 0.0
        self._warnings = ThrottledWarnings(logger, WARNING_INTERVAL)
        self._tasks: set[asyncio.Task[Any]] = set()

    async def call(self, operation: Operation[T], timeout: float | None = None, *, force: bool = False) -> T:
        """Return the result of ``await operation()``.

        Args:
            operation: Creates the coroutine. It runs in a Task of its own: cancelling the caller
                cancels it too, but does not wait for it.
            timeout: Seconds it may take; None for the default, infinity for no limit. With
                zero or less it is skipped.
            force: Run it even if the circuit is open.

        Raises:
            CacheUnavailableError: The operation failed, timed out or was skipped.
        """
        seconds = self._timeout if timeout is None else timeout
        if seconds > 0 and (force or not self._counters.circuit_open):
            return await self._run(operation, seconds)
        self._counters.skipped += 1
        if seconds > 0:
            self._start_trial_if_due(operation, max(seconds, self._timeout))
        raise CacheUnavailableError(f"{self._name}: not tried")

    async def call_or(
        self, operation: Operation[T], default: T, timeout: float | None = None, *, force: bool = False
    ) -> T:
        """Return what :meth:`call` returns, or *default* if it raises CacheUnavailableError."""
        with suppress(CacheUnavailableError):
            return await self.call(operation, timeout, force=force)
        return default

    def record_fault(self, kind: str, error: BaseException) -> None:
        """Count a fault and log a warning, at most one per :data:`WARNING_INTERVAL` and kind."""
        self._counters.faults[kind] += 1
        self._warnings.warn(kind, "cache: %s: %s: %s", self._name, kind, describe(error))

    async def aclose(self) -> None:
        """Wait for the operations in progress on this loop, at most for the timeout, then cancel them."""
        loop = asyncio.get_running_loop()
        tasks = [task for task in self._tasks if task.get_loop() is loop]
        if tasks:
            _, late = await asyncio.wait(tasks, timeout=self._timeout + CLOSE_GRACE)
            for task in late:
                task.cancel()

    def _start_trial_if_due(self, operation: Operation[Any], timeout: float) -> None:
        """Start the operation in the background unless the backoff is not over; double the backoff."""
        now = asyncio.get_running_loop().time()
        if now >= self._retry_at:
            self._backoff = min(self._backoff * 2, MAX_BACKOFF)
            self._retry_at = now + max(self._backoff, timeout)
            _ = self._start(self.call_or(operation, None, timeout, force=True), Context())

    async def _run(self, operation: Operation[T], timeout: float) -> T:
        task = self._start(operation(), Context() if self._detached else copy_context())
        try:
            await _wait_for(task, timeout)
        finally:
            if not task.done():
                task.cancel()
        if not task.done():
            raise self._fail(TIMEOUT, TimeoutError(f"no answer within {timeout:g} seconds"))
        return self._result_of(task)

    def _result_of(self, task: asyncio.Task[T]) -> T:
        try:
            result = task.result()
        except asyncio.CancelledError as error:  # only the client of the storage can have cancelled the task
            raise self._fail(CONNECTION, error) from error
        except Exception as error:
            raise self._fail(self._fault_kind(error), error) from error
        except (KeyboardInterrupt, SystemExit):  # asyncio has ended the loop with it already
            raise
        except BaseException as error:
            raise self._fail(ERROR, error) from error
        if self._counters.circuit_open:
            self._counters.circuit_open = False
            self._warnings.warn("recovery", "cache: %s answers again", self._name)
        return result

    def _fail(self, kind: str, error: BaseException) -> CacheUnavailableError:
        """Record a fault, open the circuit if it is an outage, and return the error to raise."""
        self.record_fault(kind, error)
        if kind in OUTAGES and not self._counters.circuit_open:
            self._counters.circuit_open = True
            self._counters.circuit_openings += 1
            self._backoff = INITIAL_BACKOFF
            self._retry_at = asyncio.get_running_loop().time() + INITIAL_BACKOFF
        return CacheUnavailableError(f"{self._name}: {describe(error)}")

    def _start(self, coroutine: Coroutine[Any, Any, T], context: Context) -> asyncio.Task[T]:
        task = spawn(coroutine, context=context)
        self._tasks.add(task)
        task.add_done_callback(self._on_done, context=Context())
        return task

    def _on_done(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled():
            task.exception()  # marks it as retrieved: the caller has received it, or has left


async def _wait_for(task: asyncio.Task[Any], timeout: float) -> None:
    """Wait for *task* up to *timeout* seconds, not counting time during which the event loop was blocked."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + timeout
    await asyncio.wait([task], timeout=None if timeout == math.inf else timeout)
    late = loop.time() - deadline
    if late > 0 and not task.done():  # the loop was blocked, so the answer may have arrived already
        await asyncio.wait([task], timeout=min(late, timeout))
