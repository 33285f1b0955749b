"""Sample tasks for the suite, registered under their own names.

Arguments and results are plain values that can be encoded, so that the same tests serve a
backend that writes its tasks down. What a test must share with a task it started goes
through a *gate*, an event with a name: the task waits at ``gate("x")`` until the test opens it.
"""

from __future__ import annotations

import asyncio
import contextvars
from collections import defaultdict
from typing import TYPE_CHECKING, Any, NoReturn

from async_task_worker import task

if TYPE_CHECKING:
    from async_task_worker import ProgressCallback

JsonValue = Any

request_id: contextvars.ContextVar[str | None] = contextvars.ContextVar("request_id", default=None)
notes: list[JsonValue] = []
"""The notes of the tasks of the current test, in order."""
_gates: defaultdict[str, asyncio.Event] = defaultdict(asyncio.Event)


class UnprintableError(Exception):
    """An error whose ``str()`` raises."""

    def __str__(self) -> str:
        raise RuntimeError("no text to be had")


class OddError(BaseException):
    """An error that is a BaseException, but not an Exception."""


ERRORS: dict[str, type[BaseException]] = {
    error.__name__: error
    for error in (
        *(ValueError, KeyError, LookupError, RuntimeError, TimeoutError, StopAsyncIteration, AssertionError),
        *(asyncio.CancelledError, asyncio.InvalidStateError, UnprintableError),
        *(SystemExit, KeyboardInterrupt, GeneratorExit, OddError),
    )
}
"""What ``fail_with`` can raise, by name."""


def open_gate(name: str) -> None:
    """Open the gate for tasks that wait there, now and later."""
    _gates[name].set()


def open_all_gates() -> None:
    """Open all gates, so that no task outlives its test."""
    for gate in _gates.values():
        gate.set()


def forget_everything() -> None:
    """Reset gates, meetings and notes for a new test."""
    _gates.clear()
    _meetings.clear()
    notes.clear()


@task("echo")
async def echo(value: JsonValue) -> JsonValue:
    """Return the value at once, without yielding to the loop."""
    return value


@task("add")
async def add(left: float, right: float = 0) -> float:
    """Return the sum."""
    return left + right


@task("sleep_for")
async def sleep_for(seconds: float, value: JsonValue = None) -> JsonValue:
    """Sleep, then return the value."""
    await asyncio.sleep(seconds)
    return value


@task("take_turns")
async def take_turns(count: int, value: JsonValue = None) -> JsonValue:
    """Yield to the loop *count* times, then return the value."""
    for _ in range(count):
        await asyncio.sleep(0)
    return value


@task("wait_at")
async def wait_at(gate: str, value: JsonValue = None) -> JsonValue:
    """Wait until the gate is opened, then return the value."""
    await _gates[gate].wait()
    return value


def call_a_meeting(of: int) -> None:
    """Set how many tasks of :func:`meet` wait for each other from now on."""
    _meetings.append(asyncio.Barrier(of))


_meetings: list[asyncio.Barrier] = []


@task("meet")
async def meet() -> None:
    """Wait until all tasks of the latest meeting have called this."""
    await _meetings[-1].wait()


@task("note")
async def note(label: JsonValue, gate: str | None = None) -> JsonValue:
    """Append the label to ``notes``, which then has the order in which tasks were run."""
    notes.append(label)
    if gate is not None:
        await _gates[gate].wait()
    return label


@task("fail_with")
async def fail_with(message: str, error: str = "ValueError", after: float = 0) -> NoReturn:
    """Raise the error of that name (see ``ERRORS``), with the message if there is one."""
    if after:
        await asyncio.sleep(after)
    raise ERRORS[error](*([message] if message else []))


@task("report_progress")
async def report_progress(
    steps: list[JsonValue], pause: float = 0, progress_callback: ProgressCallback | None = None
) -> int:
    """Report each step in turn, pausing after each, and return how many there were."""
    for step in steps:
        if progress_callback is not None:
            progress_callback(step)
        await asyncio.sleep(pause)
    return len(steps)


@task("report_then_fail")
async def report_then_fail(progress: float, progress_callback: ProgressCallback) -> NoReturn:
    """Report once, then raise ValueError."""
    progress_callback(progress)
    raise ValueError("after reporting")


@task("report_then_wait")
async def report_then_wait(progress: float, gate: str, progress_callback: ProgressCallback) -> None:
    """Report once, then wait at the gate."""
    progress_callback(progress)
    await _gates[gate].wait()


@task("stubborn")
async def stubborn(gate: str, value: JsonValue = None) -> JsonValue:
    """Ignore every cancellation until the gate is opened, then return the value."""
    while not _gates[gate].is_set():
        try:
            await _gates[gate].wait()
        except asyncio.CancelledError:
            notes.append(f"{gate}: ignored a cancellation")
    return value


@task("swallow_cancel")
async def swallow_cancel(seconds: float, value: JsonValue = None) -> JsonValue:
    """Sleep; if cancelled, return the value as usual."""
    try:
        await asyncio.sleep(seconds)
    except asyncio.CancelledError:
        notes.append("swallowed")
    return value


@task("clean_up_for")
async def clean_up_for(seconds: float, cleaning: float, value: JsonValue = None) -> JsonValue:
    """Sleep; if cancelled, clean up for that long before ending as cancelled."""
    try:
        await asyncio.sleep(seconds)
    except asyncio.CancelledError:
        await asyncio.sleep(cleaning)
        notes.append("cleaned up")
        raise
    return value


@task("fail_on_cancel")
async def fail_on_cancel(seconds: float, message: str) -> None:
    """Sleep; if cancelled, raise ValueError instead of ending as cancelled."""
    try:
        await asyncio.sleep(seconds)
    except asyncio.CancelledError:
        raise ValueError(message) from None


@task("cancel_itself")
async def cancel_itself() -> None:
    """Cancel the asyncio task it runs in, then wait until that has effect."""
    this = asyncio.current_task()
    assert this is not None
    this.cancel()
    await asyncio.sleep(0)


@task("fail_in_group")
async def fail_in_group(message: str) -> str:
    """Catch the failure of a task group, which leaves ``cancelling()`` at 1 before Python 3.13."""
    try:
        async with asyncio.TaskGroup() as group:
            group.create_task(fail_with(message))
            await asyncio.sleep(3600)
    except* ValueError:
        notes.append("group failed")
    return message


@task("shield_and_go_on")
async def shield_and_go_on(gate: str, value: JsonValue = None) -> JsonValue:
    """Note the first cancellation, wait at the gate in spite of it, and return the value."""
    try:
        await asyncio.sleep(3600)
    except asyncio.CancelledError:
        notes.append("cancelled once")
        await _gates[gate].wait()
    return value


@task("in_thread")
async def in_thread(value: JsonValue) -> JsonValue:
    """Return the value from a thread."""
    return await asyncio.to_thread(lambda: value)


@task("read_request_id")
async def read_request_id() -> str | None:
    """Return the context variable as this task sees it."""
    return request_id.get()


@task("write_request_id")
async def write_request_id(value: str) -> str | None:
    """Set the context variable, in this task's context only, and return its former value."""
    before = request_id.get()
    request_id.set(value)
    return before


@task("name_own_task")
async def name_own_task() -> str:
    """Return the name of the asyncio task it runs in."""
    this = asyncio.current_task()
    assert this is not None
    return this.get_name()


@task("collect")
async def collect(*args: JsonValue, **kwargs: JsonValue) -> list[JsonValue]:
    """Return the arguments it was called with."""
    return [list(args), kwargs]
