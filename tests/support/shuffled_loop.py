"""An event loop that runs what is ready in another order each time, as its seed says.

Which of two ready tasks goes first depends, in real life, on the network and the disk. Here
it depends on a seed, so a race that happens once in ten thousand runs happens in the same
run every time: a failure replays from its seed.

What asyncio promises is kept. Callbacks of ``call_soon`` stay in order among themselves, as
do timers, and the callbacks of one future; a task's own steps cannot overtake each other.
These rows are merged at random, and now and then a row as a whole is put off to the loop's
next iteration, as if what it waited for had come later. Time is virtual. What a thread would
do is done on the spot, and what comes of it arrives some iterations later.

Replaying needs the same order of calls: iterate over no ``set`` of tasks or futures in a
scenario, their order depends on addresses.
"""

from __future__ import annotations

import asyncio
import random
from collections import deque
from collections.abc import Callable, Coroutine, Hashable
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from tests.support.virtual_time import Events, VirtualTimeLoop

if TYPE_CHECKING:
    from concurrent.futures import Executor

T = TypeVar("T")

LONGEST_CALL = 8
"""Iterations of the loop in which the outcome of a call in a thread has arrived."""


class ShuffledLoop(VirtualTimeLoop):
    """A virtual-time loop that shuffles what is ready.

    Args:
        seed: Decides every choice. The same seed makes the same choices.
        delay: How likely it is that a row of callbacks is put off to the next iteration.
    """

    def __init__(self, seed: int, *, delay: float = 0.1, **options: float) -> None:
        super().__init__(**options)
        self.seed = seed
        self._choices = random.Random(f"calls {seed}")
        self._ready = _ShuffledReady(self, random.Random(seed), delay)

    def run_in_executor(self, executor: Executor | None, func: Callable[..., T], *args: Any) -> asyncio.Future[T]:
        """Call *func* at once; its outcome comes after as many iterations as the seed says, in no time."""
        outcome: asyncio.Future[T] = self.create_future()
        try:
            tell = partial(_tell, outcome.set_result, outcome, func(*args))
        except Exception as error:  # noqa: BLE001 - it is passed on
            tell = partial(_tell, outcome.set_exception, outcome, error)
        self._later(self._choices.randrange(LONGEST_CALL), tell)
        return outcome

    def _later(self, iterations: int, call: Callable[[], None]) -> None:
        if iterations == 0:
            self.call_soon(call)
        else:
            self.call_soon(self._later, iterations - 1, call)

    def _process_events(self, event_list: Events) -> None:
        super()._process_events(event_list)
        self._ready.fresh = True


def _tell(set_outcome: Callable[[Any], None], future: asyncio.Future[Any], outcome: Any) -> None:
    if not future.done():
        set_outcome(outcome)


class _ShuffledReady(deque[asyncio.Handle]):
    """The loop's queue of ready callbacks. Each iteration, its first ``popleft`` shuffles the rest.

    The loop looks how many callbacks are ready, then takes that many: so the length must
    not change, and a cancelled callback stands in for each one that is put off.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, choices: random.Random, delay: float) -> None:
        super().__init__()
        self.fresh = False
        self._choices, self._delay = choices, delay
        self._stand_in = asyncio.Handle(lambda: None, (), loop)
        self._stand_in.cancel()

    def popleft(self) -> asyncio.Handle:
        if self.fresh:
            self.fresh = False
            self._shuffle()
        return super().popleft()

    def _shuffle(self) -> None:
        rows: dict[Hashable, deque[asyncio.Handle]] = {}
        for handle in self:
            rows.setdefault(_row_of(handle), deque()).append(handle)
        late = {row for row in rows if len(rows) > 1 and self._choices.random() < self._delay}
        put_off = [handle for handle in self if _row_of(handle) in late]
        order = [row for row in map(_row_of, self) if row not in late]
        self._choices.shuffle(order)
        self.clear()
        self.extend(rows[row].popleft() for row in order)
        self.extend(self._stand_in for _ in put_off)
        self.extend(put_off)


def _row_of(handle: asyncio.Handle) -> Hashable:
    """Return what *handle* must keep its place in: its task, its future, the timers, or the plain callbacks."""
    if isinstance(handle, asyncio.TimerHandle):
        return "timers"
    first = handle._args[0] if handle._args else None
    if isinstance(first, asyncio.Future):
        return id(first)
    owner = getattr(handle._callback, "__self__", None)
    return id(owner) if isinstance(owner, asyncio.Task) else "callbacks"


def run_shuffled(main: Callable[[], Coroutine[Any, Any, T]], seed: int, *, debug: bool = False) -> T:
    """Run ``main()`` on a shuffled loop of its own; an error it raises is noted with the seed that replays it."""
    try:
        with asyncio.Runner(debug=debug, loop_factory=lambda: ShuffledLoop(seed)) as runner:
            return runner.run(main())
    except BaseException as error:
        error.add_note(f"replay with seed {seed}")
        raise
