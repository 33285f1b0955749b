"""Calls a type checker must refuse. Never executed.

Each line says which error is expected; both checkers report an expectation that is not met.
"""

from __future__ import annotations

from async_task_worker import AsyncTaskWorker, TaskEvent, TaskInfo, register_task, task


def plain(number: int) -> int:
    return number


def deaf() -> None: ...


async def double(number: int) -> int:
    return 2 * number


def registry() -> None:
    register_task("plain", plain)  # type: ignore[arg-type]
    task(double)  # type: ignore[arg-type]
    task("plain")(plain)  # type: ignore[type-var]


def construction() -> None:
    AsyncTaskWorker(1, None, 2.0)  # type: ignore[call-arg]
    AsyncTaskWorker(max_workers="many")  # type: ignore[arg-type]
    AsyncTaskWorker(on_full="drop")  # type: ignore[arg-type]
    AsyncTaskWorker(workers=3)  # type: ignore[call-arg]


async def adding(worker: AsyncTaskWorker) -> None:
    await worker.add_task(plain, 1)  # type: ignore[arg-type]
    await worker.add_task(double(1))  # type: ignore[arg-type]
    await worker.add_task(None)  # type: ignore[arg-type]
    await worker.add_task(double, 1, priority="high")  # type: ignore[arg-type]
    await worker.add_task(double, 1, timeout="soon")  # type: ignore[arg-type]
    await worker.add_task(double, 1, metadata=["a"])  # type: ignore[arg-type]
    await worker.submit(double, (1,), {"number": 1}, urgent=True)  # type: ignore[call-arg]
    worker.add_task(double, 1)  # type: ignore[unused-coroutine]


async def reading(worker: AsyncTaskWorker) -> None:
    worker.get_task_info("mine").finished  # type: ignore[union-attr]
    worker.get_all_tasks(limit="ten")  # type: ignore[arg-type]
    await worker.get_task_info("mine")  # type: ignore[misc]


def events(worker: AsyncTaskWorker) -> None:
    worker.events.listen(deaf)  # type: ignore[arg-type]


def snapshots(info: TaskInfo, event: TaskEvent) -> None:
    info.progress = 1.0  # type: ignore[misc]
    event.seq = 0  # type: ignore[misc]
    info.progres  # type: ignore[attr-defined]
