"""Random programs in random order: many things happen at the same moment, in whichever order a seed says.

Times are whole seconds, so that ends, timeouts, cancellations and stops coincide. A failure
names its seed; the same seed makes the same program and the same order.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
import random
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any, Protocol

import pytest

from async_task_worker import (
    AsyncTaskWorker,
    QueueFullError,
    StorageError,
    TaskInfo,
    TaskStatus,
    WorkerNotRunningError,
)
from async_task_worker.model.clock import Clock
from tests.properties.event_checker import EventChecker
from tests.properties.run_length import long_or_short
from tests.support import tasks
from tests.support.backends import Backend
from tests.support.shuffled_loop import ShuffledLoop, run_shuffled

CANCELLED, COMPLETED, FAILED = TaskStatus.CANCELLED, TaskStatus.COMPLETED, TaskStatus.FAILED
PROGRAMS = long_or_short(500, 48)
SCHEDULES = range(long_or_short(500, 25))
MARGIN = 1e-6

Scenario = Callable[[AsyncTaskWorker], Coroutine[Any, Any, object]]


class OnEverySchedule(Protocol):
    """Runs a scenario with a worker of these options, and returns what it returned, schedule by schedule."""

    def __call__(self, scenario: Scenario, slots: int = 1, **options: Any) -> list[Any]: ...


GATE = "the next gate"
"""Stands for the gate that the gatekeeper will open next."""

CALLS: list[tuple[Any, ...]] = [
    (tasks.echo, 1),
    (tasks.take_turns, 3),
    (tasks.sleep_for, 1),
    (tasks.sleep_for, 2),
    (tasks.wait_at, GATE),
    (tasks.fail_with, "wrong"),
    (tasks.fail_with, "", "SystemExit", 1),
    (tasks.fail_with, "", "CancelledError"),
    (tasks.cancel_itself,),
    (tasks.swallow_cancel, 2),
    (tasks.clean_up_for, 2, 1),
    (tasks.clean_up_for, 2, 3),
    (tasks.fail_on_cancel, 2, "when told"),
    (tasks.stubborn, GATE),
    (tasks.report_progress, [0.1, 0.5], 1),
]


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    """Failures are the programs' daily bread; their reports would bury the one that matters."""
    logger = logging.getLogger("async_task_worker")
    logger.setLevel(logging.CRITICAL + 1)
    yield
    logger.setLevel(logging.NOTSET)


def new_worker(slots: int, **options: Any) -> AsyncTaskWorker:
    loop: Any = asyncio.get_running_loop()
    return AsyncTaskWorker(slots, clock=Clock(loop.wall, loop.time), **options)


class Program:
    """Some callers who use one worker at the same time, each in a random way."""

    def __init__(self, seed: int, url: str, *, durable: bool) -> None:
        choices = self.choices = random.Random(seed)
        self.durable = durable
        self.slots = choices.randint(1, 3)
        self.limit = choices.choice([None, 1, 2])
        self.worker = new_worker(
            self.slots,
            backend=url,
            max_queue_size=self.limit,
            on_full=choices.choice(["wait", "wait", "error"]),
            task_timeout=choices.choice([None, None, 3]),
        )
        self.checker = EventChecker(self.worker, self.limit)
        self.loop = asyncio.get_running_loop()
        self.made = self.gates_opened = 0
        self.accepted: list[str] = []
        self.refused: list[str] = []
        self.cancellations: list[tuple[TaskInfo | None, str, bool]] = []
        self.futures: list[tuple[str, asyncio.Future[object]]] = []

    async def run(self) -> None:
        await self.worker.start()
        gatekeeper = asyncio.create_task(self.open_one_gate_after_the_other())
        callers = [asyncio.create_task(self.caller(), name=f"caller {number}") for number in range(4)]
        impatient = [asyncio.create_task(self.add(), name=f"adder {number}") for number in range(4)]
        for adder in impatient:
            await self.pause()
            adder.cancel()
        await asyncio.wait([*callers, *impatient])
        for caller in [*callers, *(adder for adder in impatient if not adder.cancelled())]:
            caller.result()
        await self.worker.start()
        await self.worker.drain(timeout=1000)
        gatekeeper.cancel()
        await self.finish()

    async def open_one_gate_after_the_other(self) -> None:
        """Let no task wait for ever: those who wait for room wait for tasks to end."""
        while True:
            await asyncio.sleep(5)
            tasks.open_gate(self.gate)
            self.gates_opened += 1

    @property
    def gate(self) -> str:
        return f"gate-{self.gates_opened}"

    async def caller(self) -> None:
        actions = [self.add] * 6 + [self.cancel] * 3 + [self.ask, self.wait, self.wait_for_any, self.drain]
        actions += [self.restart] * self.choices.choice([0, 0, 1])
        for _ in range(self.choices.randint(3, 12)):
            await self.choices.choice(actions)()
            await self.pause()

    async def pause(self) -> None:
        for _ in range(self.choices.randint(0, 3)):
            await asyncio.sleep(self.choices.choice([0, 0, 0, 1]))

    async def add(self) -> None:
        self.made += 1
        task_id = f"task-{self.made}"
        call = (self.gate if part is GATE else part for part in self.choices.choice(CALLS))
        options = {"priority": self.choices.randint(0, 1), "timeout": self.choices.choice([None, None, 1, 2])}
        try:
            assert await self.worker.add_task(*call, task_id=task_id, **options) == task_id
        except (QueueFullError, WorkerNotRunningError):
            self.refused.append(task_id)
        except asyncio.CancelledError:
            self.refused.append(task_id)
            raise
        else:
            self.accepted.append(task_id)

    async def cancel(self) -> None:
        if self.made:
            task_id = f"task-{self.choices.randint(max(1, self.made - 5), self.made)}"
            begun, before = self.loop.time(), self.worker.get_task_info(task_id)
            try:
                answer = await self.worker.cancel_task(task_id)
            except (WorkerNotRunningError, StorageError):  # the file is closed, or was before that could be written
                assert self.durable
                return
            assert self.loop.time() <= begun + 1 + MARGIN, "a cancellation is answered within a second"
            self.cancellations.append((before, task_id, answer))

    async def ask(self) -> None:
        self.futures += [(task_id, self.worker.get_task_future(task_id)) for task_id in self.accepted[-3:]]
        if self.futures and self.choices.random() < 0.2:
            self.futures.pop(self.choices.randrange(len(self.futures)))[1].cancel()

    async def wait(self) -> None:
        await outcome(self.worker.wait_for_tasks(self.accepted[-2:], timeout=self.choices.choice([0, 1, 2])))

    async def wait_for_any(self) -> None:
        if self.accepted:
            await outcome(self.worker.wait_for_any_task(self.accepted[-2:], timeout=self.choices.choice([0, 1, 2])))

    async def drain(self) -> None:
        await outcome(self.worker.drain(timeout=self.choices.choice([0, 1, 2])))

    async def restart(self) -> None:
        timeout = self.choices.choice([0, 1, 2])
        begun = self.loop.time()
        await self.worker.stop(timeout)
        assert self.loop.time() <= begun + timeout + 1 + MARGIN, "a stop is bounded"
        await self.pause()
        await self.worker.start()

    async def finish(self) -> None:
        """Stop, and look at what has become of everything."""
        await all_slots_alive(self.worker)
        await self.worker.stop(self.choices.choice([0, 3]))
        tasks.open_all_gates()
        await asyncio.sleep(60)
        if self.durable:
            await self.worker.start()  # for what was not done in time
            await self.worker.drain(timeout=1000)
            await self.worker.stop()
        self.checker.check()
        assert self.worker.abandoned_tasks == 0
        assert asyncio.all_tasks() == {asyncio.current_task()}
        known = {info.id: info for info in self.worker.get_all_tasks()}
        assert set(self.accepted) <= set(known)
        assert not set(self.refused) & set(known)
        for task_id, future in self.futures:
            assert future.done(), f"the future of {task_id}"
            if not self.let_go(future):
                assert future.cancelled() is (known[task_id].status is CANCELLED)
        for before, task_id, answer in self.cancellations:
            self.check_cancellation(before, known.get(task_id), answer)

    def let_go(self, future: asyncio.Future[object]) -> bool:
        """Whether the worker stopped before the task's end, which came after the next start."""
        return self.durable and not future.cancelled() and isinstance(future.exception(), WorkerNotRunningError)

    @staticmethod
    def check_cancellation(before: TaskInfo | None, after: TaskInfo | None, answer: bool) -> None:
        if before is None or before.finished:
            assert answer is False
            return
        assert after is not None
        assert answer is (after.status is CANCELLED)
        if answer and before.status is TaskStatus.PENDING:
            assert after.attempt == before.attempt, "it never starts (again, if an earlier stop cut it off)"


async def outcome(call: Coroutine[Any, Any, object]) -> object:
    """Return what it returns or raises; one's own cancellation still counts."""
    try:
        return await call
    except asyncio.CancelledError:
        raise
    except BaseException as error:  # noqa: BLE001 - a task's SystemExit arrives wrapped, anything else is its own
        return error


async def all_slots_alive(worker: AsyncTaskWorker) -> None:
    """Have as many tasks meet as there are slots, whatever happened in those before."""

    await worker.drain(timeout=1000)
    tasks.call_a_meeting(of=worker.max_workers)
    ids = []
    for _ in range(worker.max_workers):
        ids.append(await worker.add_task(tasks.meet))
        await asyncio.sleep(0.1)
    await worker.wait_for_tasks(ids, timeout=10)


@pytest.mark.parametrize("seed", range(PROGRAMS))
def test_a_random_program_keeps_every_promise(backend: Backend, address: Callable[[], str], seed: int) -> None:
    async def main() -> None:
        await Program(seed, address(), durable=backend.durable).run()

    run_shuffled(main, seed)


@pytest.fixture
def address(backend: Backend, folder: Path) -> Callable[[], str]:
    """Return what makes the address of another empty store."""
    numbers = itertools.count()

    def new_address() -> str:
        empty = folder / str(next(numbers))
        empty.mkdir()
        return backend.url(empty)

    return new_address


@pytest.fixture
def on_every_schedule(address: Callable[[], str]) -> OnEverySchedule:
    """Return what runs a scenario on every schedule. Afterwards the slots live and all has ended."""

    def run(scenario: Scenario, slots: int = 1, **options: Any) -> list[Any]:
        async def main() -> object:
            tasks.forget_everything()
            worker = new_worker(slots, backend=address(), **options)
            checker = EventChecker(worker, options.get("max_queue_size"))
            await worker.start()
            result = await scenario(worker)
            await worker.start()
            await all_slots_alive(worker)
            await worker.stop(0)
            tasks.open_all_gates()
            await asyncio.sleep(60)
            checker.check()
            assert asyncio.all_tasks() == {asyncio.current_task()}
            return result

        return [run_shuffled(main, seed) for seed in SCHEDULES]

    return run


def status(worker: AsyncTaskWorker, task_id: str) -> TaskStatus:
    info = worker.get_task_info(task_id)
    assert info is not None
    return info.status


def test_a_cancellation_at_the_moment_of_the_end(on_every_schedule: OnEverySchedule) -> None:
    async def scenario(worker: AsyncTaskWorker) -> tuple[bool, TaskStatus]:
        task_id = await worker.add_task(tasks.sleep_for, 1)
        await asyncio.sleep(1)
        answer = await worker.cancel_task(task_id)
        return answer, status(worker, task_id)

    assert set(on_every_schedule(scenario)) <= {(True, CANCELLED), (False, COMPLETED)}


def test_a_timeout_at_the_moment_of_the_end(on_every_schedule: OnEverySchedule) -> None:
    async def scenario(worker: AsyncTaskWorker) -> TaskStatus:
        task_id = await worker.add_task(tasks.sleep_for, 1, timeout=1)
        await outcome(worker.wait_for_tasks([task_id]))
        return status(worker, task_id)

    assert set(on_every_schedule(scenario)) <= {COMPLETED, FAILED}


def test_a_timeout_at_the_moment_of_a_cancellation(on_every_schedule: OnEverySchedule) -> None:
    async def scenario(worker: AsyncTaskWorker) -> tuple[bool, TaskStatus]:
        task_id = await worker.add_task(tasks.sleep_for, 60, timeout=1)
        await asyncio.sleep(1)
        answer = await worker.cancel_task(task_id)
        return answer, status(worker, task_id)

    assert set(on_every_schedule(scenario)) <= {(True, CANCELLED), (False, FAILED)}


@pytest.mark.parametrize("turns", range(4))
def test_a_cancellation_at_every_step_after_adding(on_every_schedule: OnEverySchedule, turns: int) -> None:
    async def scenario(worker: AsyncTaskWorker) -> tuple[bool, TaskStatus]:
        task_id = await worker.add_task(tasks.take_turns, 2)
        for _ in range(turns):
            await asyncio.sleep(0)
        answer = await worker.cancel_task(task_id)
        return answer, status(worker, task_id)

    assert set(on_every_schedule(scenario)) <= {(True, CANCELLED), (False, COMPLETED)}


def test_two_cancellations_of_one_task_agree(on_every_schedule: OnEverySchedule) -> None:
    async def scenario(worker: AsyncTaskWorker) -> tuple[list[bool], TaskStatus]:
        task_id = await worker.add_task(tasks.clean_up_for, 60, 1)
        await asyncio.sleep(1)
        answers = await asyncio.gather(worker.cancel_task(task_id), worker.cancel_task(task_id))
        return answers, status(worker, task_id)

    assert all(answers == [True, True] and ended is CANCELLED for answers, ended in on_every_schedule(scenario))


def test_a_cancelled_cancel_call_still_ends_the_task(on_every_schedule: OnEverySchedule) -> None:
    async def scenario(worker: AsyncTaskWorker) -> TaskStatus:
        task_id = await worker.add_task(tasks.stubborn, "never")
        await asyncio.sleep(0.5)
        canceller = asyncio.create_task(worker.cancel_task(task_id))
        while (info := worker.get_task_info(task_id)) is not None and info.phase != "cancelling":
            await asyncio.sleep(0)
        canceller.cancel()
        await asyncio.wait([canceller])
        await asyncio.sleep(2)
        return status(worker, task_id)

    assert set(on_every_schedule(scenario)) == {CANCELLED}


def test_a_stop_while_a_stubborn_task_is_being_cancelled_delays_no_other(on_every_schedule: OnEverySchedule) -> None:
    async def scenario(worker: AsyncTaskWorker) -> tuple[bool, float, float]:
        loop = asyncio.get_running_loop()
        task_id = await worker.add_task(tasks.stubborn, "never")
        await asyncio.sleep(0.5)
        begun = loop.time()

        async def timed(call: Coroutine[Any, Any, Any]) -> tuple[Any, float]:
            return await call, loop.time() - begun

        (answer, cancelling), (_, stopping) = await asyncio.gather(
            timed(worker.cancel_task(task_id)), timed(worker.stop(0.75))
        )
        return answer, cancelling, stopping

    for answer, cancelling, stopping in on_every_schedule(scenario):
        assert answer is True
        assert cancelling <= 1 + MARGIN
        assert stopping <= 1.75 + MARGIN


def test_a_stop_at_the_moment_a_caller_finds_room(on_every_schedule: OnEverySchedule, backend: Backend) -> None:
    """Either the task is accepted, and ends like all that wait, or it is refused and leaves no record."""

    async def scenario(worker: AsyncTaskWorker) -> str:
        await worker.add_task(tasks.sleep_for, 1)
        await asyncio.sleep(0.5)
        waiting = await worker.add_task(tasks.sleep_for, 1)
        adder = asyncio.create_task(worker.add_task(tasks.echo, 1, task_id="late"))
        await asyncio.sleep(0.5)
        stopper = asyncio.create_task(worker.stop(0))
        await asyncio.sleep(0)
        await worker.cancel_task(waiting)
        result = await outcome(asyncio.wait_for(adder, 5))
        await stopper
        info = worker.get_task_info("late")
        if info is None:
            assert isinstance(result, WorkerNotRunningError)
            return "refused"
        assert result == "late"
        assert info.finished or info.status is backend.status_after_stop, "the worker has stopped"
        return "accepted"

    assert set(on_every_schedule(scenario, max_queue_size=1)) <= {"accepted", "refused"}


def test_callers_who_wait_for_room_come_in_one_at_a_time(on_every_schedule: OnEverySchedule) -> None:
    async def scenario(worker: AsyncTaskWorker) -> None:
        adders = [asyncio.create_task(worker.add_task(tasks.take_turns, 2)) for _ in range(12)]
        await asyncio.sleep(0)
        adders[5].cancel()
        await asyncio.wait(adders)
        await worker.drain(timeout=60)

    on_every_schedule(scenario, max_queue_size=2, slots=2)


def test_stops_and_starts_at_once_leave_a_worker_that_works(on_every_schedule: OnEverySchedule) -> None:
    async def scenario(worker: AsyncTaskWorker) -> None:
        await worker.add_task(tasks.sleep_for, 1)
        await asyncio.gather(worker.stop(1), worker.start(), worker.stop(0), worker.start(), worker.stop(2))

    on_every_schedule(scenario, slots=2)


def test_restarts_at_once_leave_a_worker_that_works(on_every_schedule: OnEverySchedule) -> None:
    async def scenario(worker: AsyncTaskWorker) -> object:
        async def restart(lives: int) -> None:
            for _ in range(lives):
                await worker.stop(1)
                await worker.start()

        await asyncio.gather(*(restart(lives) for lives in (1, 2, 3)))
        await worker.start()
        return await worker.get_task_future(await worker.add_task(tasks.echo, "result"))

    assert set(on_every_schedule(scenario)) == {"result"}


def test_waiters_cancelled_as_the_task_ends_affect_no_other(on_every_schedule: OnEverySchedule) -> None:
    async def scenario(worker: AsyncTaskWorker) -> object:
        task_id = await worker.add_task(tasks.sleep_for, 1, "result")
        impatient = [asyncio.create_task(worker.wait_for_tasks([task_id], timeout=1)) for _ in range(3)]
        patient = worker.get_task_future(task_id)
        leaver = asyncio.create_task(worker.wait_for_any_task([task_id]))
        await asyncio.sleep(1)
        leaver.cancel()
        await asyncio.wait([*impatient, leaver])
        assert all(w.exception() is None or isinstance(w.exception(), TimeoutError) for w in impatient)
        return await patient

    assert set(on_every_schedule(scenario)) == {"result"}


def test_the_loop_of_these_tests_is_the_shuffled_one(on_every_schedule: OnEverySchedule) -> None:
    async def scenario(worker: AsyncTaskWorker) -> int:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, ShuffledLoop)
        return loop.seed

    assert on_every_schedule(scenario) == list(SCHEDULES)
