"""An event loop on which an hour passes in a millisecond.

When nothing is ready, time jumps to the next timer instead of being waited for. The
world outside the loop keeps its own pace, so it is given its due first:

* a call in a thread (``run_in_executor``, ``asyncio.to_thread``) holds time still until it
  has returned, and so does the body of ``with loop.holding_time():``;
* where a socket, a thread of somebody's own or a signal handler could speak up at any
  moment, the loop listens for ``grace`` real seconds before each jump. That is enough for
  traffic within this process; a test that talks to another process belongs on a real loop
  (``@pytest.mark.real_time``).

If nothing can ever happen any more, the loop raises :class:`DeadlockError`, which lists the
pending tasks and where each one waits, instead of hanging.
"""

from __future__ import annotations

import asyncio
import math
import selectors
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeVar

from tests.support.threads import KnownThreads

if TYPE_CHECKING:
    from concurrent.futures import Executor

T = TypeVar("T")
Events = list[tuple[selectors.SelectorKey, int]]

BEGINNING = 1024.0
"""The loop's time when it is made. No zero, which is easily taken for "no time at all"."""
WALL_BEGINNING = 1_735_689_600.0
"""The wall clock's time then: 2025-01-01 00:00 UTC."""


class DeadlockError(Exception):
    """The loop can never go on: nothing is ready, no timer is set, and nobody outside could call in."""


class VirtualTimeLoop(asyncio.SelectorEventLoop):
    """A selector event loop whose time jumps to the next timer when nothing is ready.

    Args:
        grace: Real seconds to listen before a jump where somebody outside could speak up.
        patience: Real seconds to wait for somebody outside before calling it a deadlock.

    Attributes:
        waits_for_threads: False lets time go on although a call in a thread has not
            returned, for a test in which it is not meant to.
    """

    def __init__(self, *, grace: float = 0.05, patience: float = 10.0) -> None:
        self.waits_for_threads = True
        self._now = BEGINNING
        self._epoch = WALL_BEGINNING - BEGINNING
        self._grace, self._patience = grace, patience
        self._holds = 0
        self._signals: set[int] = set()
        self._onlookers: list[asyncio.Future[None]] = []
        self._threads = KnownThreads()
        self._sockets = _IdleSelector(self._pass_idle)
        super().__init__(self._sockets)
        self._plumbing = len(self._sockets.get_map())  # the pipe through which threads wake the loop

    def time(self) -> float:
        """Return the virtual monotonic time."""
        return self._now

    def wall(self) -> float:
        """Return the virtual wall-clock time, in seconds since the epoch."""
        return self._epoch + self._now

    def set_wall(self, seconds: float) -> None:
        """Set the wall clock, forwards or back, as an administrator might. Monotonic time goes on."""
        self._epoch = seconds - self._now

    async def settled(self) -> None:
        """Return when all that can happen without time passing has happened."""
        onlooker = self.create_future()
        self._onlookers.append(onlooker)
        await onlooker

    @contextmanager
    def holding_time(self) -> Iterator[None]:
        """Let no time pass within: for work under way in a thread the loop does not know of."""
        self._holds += 1
        try:
            yield
        finally:
            self._holds -= 1

    def run_in_executor(self, executor: Executor | None, func: Callable[..., T], *args: Any) -> asyncio.Future[T]:
        """Run *func* in a thread, holding time until its result is back on the loop."""
        call = super().run_in_executor(executor, func, *args)
        self._holds += 1
        call.add_done_callback(self._release)
        return call

    async def shutdown_default_executor(self, *args: Any, **options: Any) -> None:
        """Join the executor's threads in real time, whatever its virtual timeout."""
        with self.holding_time():
            await super().shutdown_default_executor(*args, **options)

    def add_signal_handler(self, sig: int, callback: Callable[..., object], *args: Any) -> None:
        """Expect *sig* from outside."""
        super().add_signal_handler(sig, callback, *args)
        self._signals.add(sig)

    def remove_signal_handler(self, sig: int) -> bool:
        """Expect *sig* no longer."""
        self._signals.discard(sig)
        return super().remove_signal_handler(sig)

    def _release(self, _: asyncio.Future[Any]) -> None:
        self._holds -= 1

    def _pass_idle(self, listen: Callable[[float], Events], until_timer: float | None) -> Events:
        """Nothing is ready: hear the outside world, jump to the next timer, or give up."""
        held = self._holds > 0
        if held and self.waits_for_threads:
            return listen(self._patience) or self._give_up("a call in a thread has not returned")
        if self._onlookers:
            self._tell_onlookers()
            return []
        company = held or self._company()
        if until_timer is None:
            events = listen(self._patience) if company else []
            return events or self._give_up("no callback is ready and no timer is set")
        events = listen(self._grace) if company else []
        if not events:
            self._jump(until_timer)
        return events

    def _company(self) -> bool:
        """Whether anybody outside could call in: a socket, a signal, or a thread of somebody's own."""
        sockets = len(self._sockets.get_map()) > self._plumbing
        return sockets or bool(self._signals) or bool(self._threads.newcomers())

    def _tell_onlookers(self) -> None:
        onlookers, self._onlookers = self._onlookers, []
        for onlooker in onlookers:
            if not onlooker.done():
                onlooker.set_result(None)

    def _jump(self, seconds: float) -> None:
        self._now += seconds
        # After half a year the usual resolution vanishes beside the time, and no timer would be found due.
        self._clock_resolution = max(self._clock_resolution, 2 * math.ulp(self._now))

    def _give_up(self, why: str) -> Events:
        outside = "somebody outside could call in, but did not" if self._company() else "nobody could call in"
        waiting = [f"  {line}" for task in asyncio.all_tasks(self) for line in _described(task)]
        raise DeadlockError("\n".join([f"{why}; {outside}. Pending tasks:", *(waiting or ["  none"])]))


class _IdleSelector(selectors.DefaultSelector):
    """Looks at the sockets at once; only when they are silent too it asks *pass_idle* what to do."""

    def __init__(self, pass_idle: Callable[[Callable[[float], Events], float | None], Events]) -> None:
        super().__init__()
        self._pass_idle = pass_idle

    def select(self, timeout: float | None = None) -> Events:
        events = super().select(0)
        if events or (timeout is not None and timeout <= 0):
            return events
        return self._pass_idle(super().select, timeout)


def run_virtual(main: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """Run ``main()`` on a virtual-time loop of its own, in asyncio's debug mode, and return its result."""
    with asyncio.Runner(debug=True, loop_factory=VirtualTimeLoop) as runner:
        return runner.run(main())


def _described(task: asyncio.Task[Any]) -> list[str]:
    """Return a line for *task* and one for each place in its chain of awaits."""
    lines = [f"{task.get_name()}: {getattr(task.get_coro(), '__qualname__', task.get_coro())}"]
    link: Any = task.get_coro()
    while link is not None:
        frame = getattr(link, "cr_frame", None) or getattr(link, "gi_frame", None)
        if frame is not None:
            lines.append(f"    waits at {frame.f_code.co_filename}:{frame.f_lineno} in {frame.f_code.co_name}")
        link = getattr(link, "cr_await", None) or getattr(link, "gi_yieldfrom", None)
    return lines
