"""Circuit breaker with a per-call timeout for cache storages.

Every operation runs in an asyncio Task of its own and is waited for no longer than its
budget. The first outage opens the circuit: for a while nothing is asked at all, then one
operation is let through to see how things stand, and nobody waits for that one.
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
from ..statistics import Complaints, StoreTally
from ..validation import checked_seconds

T = TypeVar("T")
Work = Callable[[], Coroutine[Any, Any, T]]

logger = logging.getLogger(__name__)

BUDGET: Final = 0.2
"""Seconds an operation may take unless told otherwise."""
FIRST_PAUSE: Final = 0.25
"""Seconds from the opening of the circuit to the first try."""
LONGEST_PAUSE: Final = 5.0
"""Seconds between tries at most; every failed one doubles the pause up to here."""
PATIENCE: Final = 0.5
"""Seconds that what was told to stop gets to do so when the guard is closed."""
QUIET: Final = 60.0
"""Seconds between two warnings about the same kind of fault."""

TIMEOUT: Final = "timeout"
CONNECTION: Final = "connection"
ERROR: Final = "error"
OUTAGES: Final = frozenset({TIMEOUT, CONNECTION})
"""The kinds of fault that open the circuit."""


def kind_of(error: Exception) -> str:
    """Tell an outage from any other error: only the former is worth waiting for the end of."""
    return CONNECTION if issubclass(type(error), OSError) else ERROR


class Guard:
    """Runs the operations of one storage within their budget, and leaves it alone while it is out.

    Args:
        what: What to call the storage in warnings.
        tally: Where faults are counted.
        budget: Seconds an operation may take unless told otherwise: finite, zero or more.
        kind_of: Says what kind of fault an error is; those in :data:`OUTAGES` open the circuit.
        detached: Whether operations run in an empty context, not their caller's: a connection that
            one of them opens keeps its context alive.
    """

    def __init__(
        self,
        what: str,
        tally: StoreTally,
        budget: float = BUDGET,
        kind_of: Callable[[Exception], str] = kind_of,
        *,
        detached: bool = False,
    ) -> None:
        self._what = what
        self._tally = tally
        self._budget = checked_seconds("timeout", budget)
        self._kind_of = kind_of
        self._detached = detached
        self._pause = FIRST_PAUSE
        self._retry_at = 0.0
        self._complaints = Complaints(logger, QUIET)
        self._tasks: set[asyncio.Task[Any]] = set()

    async def attempt(self, work: Work[T], timeout: float | None = None, *, insist: bool = False) -> T:
        """Return what ``await work()`` does.

        Args:
            work: Makes the coroutine. It runs in a Task of its own, so cancelling the
                caller cancels it too but never waits for it.
            timeout: Seconds it may take; None for the guard's budget, infinity for any time.
                With nothing left (zero or less) it is not tried.
            insist: Try even if the circuit is open.

        Raises:
            CacheUnavailableError: It failed, took too long, or was not tried.
        """
        budget = self._budget if timeout is None else timeout
        if budget > 0 and (insist or not self._tally.circuit_open):
            return await self._bounded(work, budget)
        self._tally.skipped += 1
        if budget > 0:
            self._try_if_due(work, max(budget, self._budget))
        raise CacheUnavailableError(f"{self._what}: not tried")

    async def ask(self, work: Work[T], otherwise: T, timeout: float | None = None, *, insist: bool = False) -> T:
        """Return what :meth:`attempt` does, or *otherwise* instead of an error."""
        with suppress(CacheUnavailableError):
            return await self.attempt(work, timeout, insist=insist)
        return otherwise

    def note(self, kind: str, error: BaseException) -> None:
        """Count a fault, and warn about its kind now and then."""
        self._tally.faults[kind] += 1
        self._complaints.about(kind, "cache: %s: %s: %s", self._what, kind, describe(error))

    async def aclose(self) -> None:
        """Wait for what is under way on this loop; each is bounded by its budget."""
        loop = asyncio.get_running_loop()
        mine = [task for task in self._tasks if task.get_loop() is loop]
        if mine:
            _, late = await asyncio.wait(mine, timeout=self._budget + PATIENCE)
            for task in late:
                task.cancel()

    def _try_if_due(self, work: Work[Any], budget: float) -> None:
        """Let one operation through, unless the last one was a short while ago. The next one waits longer."""
        now = asyncio.get_running_loop().time()
        if now >= self._retry_at:
            self._pause = min(self._pause * 2, LONGEST_PAUSE)
            self._retry_at = now + max(self._pause, budget)
            _ = self._start(self.ask(work, None, budget, insist=True), Context())

    async def _bounded(self, work: Work[T], budget: float) -> T:
        task = self._start(work(), Context() if self._detached else copy_context())
        try:
            await _ended(task, budget)
        finally:
            if not task.done():
                task.cancel()
        if not task.done():
            raise self._fault(TIMEOUT, TimeoutError(f"no answer within {budget:g} seconds"))
        return self._answer(task)

    def _answer(self, task: asyncio.Task[T]) -> T:
        try:
            answer = task.result()
        except asyncio.CancelledError as error:  # by the storage's own client: nobody else could
            raise self._fault(CONNECTION, error) from error
        except Exception as error:
            raise self._fault(self._kind_of(error), error) from error
        except (KeyboardInterrupt, SystemExit):  # asyncio has ended the loop with it already
            raise
        except BaseException as error:
            raise self._fault(ERROR, error) from error
        if self._tally.circuit_open:
            self._tally.circuit_open = False
            self._complaints.about("recovery", "cache: %s answers again", self._what)
        return answer

    def _fault(self, kind: str, error: BaseException) -> CacheUnavailableError:
        self.note(kind, error)
        if kind in OUTAGES and not self._tally.circuit_open:
            self._tally.circuit_open = True
            self._tally.circuit_openings += 1
            self._pause = FIRST_PAUSE
            self._retry_at = asyncio.get_running_loop().time() + FIRST_PAUSE
        return CacheUnavailableError(f"{self._what}: {describe(error)}")

    def _start(self, coroutine: Coroutine[Any, Any, T], context: Context) -> asyncio.Task[T]:
        task = spawn(coroutine, context=context)
        self._tasks.add(task)
        task.add_done_callback(self._over, context=Context())
        return task

    def _over(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled():
            task.exception()  # it counts as seen: the one who waited has been told, or had left


async def _ended(task: asyncio.Task[Any], budget: float) -> None:
    """Wait for *task* within *budget*, not counting time in which the loop stood still."""
    loop = asyncio.get_running_loop()
    due = loop.time() + budget
    await asyncio.wait([task], timeout=None if budget == math.inf else budget)
    late = loop.time() - due
    if late > 0 and not task.done():  # somebody held up the loop, and the answer may be there already
        await asyncio.wait([task], timeout=min(late, budget))
