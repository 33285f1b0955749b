"""Check for what a test left behind: tasks, loops, threads, descriptors, and unretrieved errors."""

from __future__ import annotations

import asyncio
import gc
import logging
import threading
import weakref
from pathlib import Path

from tests.support.threads import KnownThreads

DESCRIPTORS = Path("/proc/self/fd")
LAST_TURNS = 50
"""How many turns of the loop a task gets to end in, once the test is over."""
LAST_SECONDS = 5.0
"""How many real seconds a thread gets to end in."""


class LeakCheck:
    """Compares the resources in use after a test with those before it.

    Attributes:
        loop_errors: What asyncio reported in the meantime: an exception never retrieved, a
            pending task destroyed, a callback that raised. A test that provokes such a
            report on purpose clears the list.
    """

    def __init__(self) -> None:
        self._threads = KnownThreads()
        self._descriptors = _descriptors()
        self._loops = weakref.WeakSet(_open_loops())
        self._tasks: list[str] = []
        self._listener = _LoopErrors()
        self.loop_errors = self._listener.seen

    async def look_at_tasks(self) -> None:
        """Record the tasks of the running loop that do not end by themselves."""
        self._tasks += [f"task {task!r}" for task in await tasks_left()]

    def finish(self) -> list[str]:
        """Return a line for everything left behind since the check was made."""
        gc.collect()  # what only a reference cycle holds is closed, or complains, now
        self._listener.close()
        found = self._found()
        gc.freeze()  # what outlives a test is looked at once: else each look takes longer than the one before
        return found

    def _found(self) -> list[str]:
        return [
            *self._tasks,
            *(f"event loop not closed: {loop!r}" for loop in _open_loops() if loop not in self._loops),
            *(f"thread {thread!r}" for thread in self._threads_left()),
            *self._descriptors_left(),
            *(f"asyncio reported: {error}" for error in self.loop_errors),
        ]

    def _threads_left(self) -> list[threading.Thread]:
        for thread in self._threads.newcomers():
            thread.join(LAST_SECONDS)
        return self._threads.newcomers()

    def _descriptors_left(self) -> list[str]:
        new = _descriptors().items() - self._descriptors.items()
        return [f"file descriptor {number}: {target}" for number, target in sorted(new)]


async def tasks_left() -> list[asyncio.Task[object]]:
    """Return the tasks of the running loop, but this one, that are still pending after some turns."""
    for _ in range(LAST_TURNS):
        if len(asyncio.all_tasks()) == 1:
            break
        await asyncio.sleep(0)
    return sorted(asyncio.all_tasks() - {asyncio.current_task()}, key=asyncio.Task.get_name)


class _LoopErrors(logging.Handler):
    """Collects what any event loop reports: its default exception handler logs it as an error."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.seen: list[str] = []
        logging.getLogger("asyncio").addHandler(self)

    def emit(self, record: logging.LogRecord) -> None:
        self.seen.append(self.format(record))

    def close(self) -> None:
        logging.getLogger("asyncio").removeHandler(self)
        super().close()


def _descriptors() -> dict[int, str]:
    """Return what each open descriptor of this process refers to, as far as the system tells."""
    found: dict[int, str] = {}
    for link in DESCRIPTORS.iterdir() if DESCRIPTORS.exists() else ():
        try:
            found[int(link.name)] = str(link.readlink())
        except FileNotFoundError:  # the one through which this directory was read
            continue
    return found


def _open_loops() -> list[asyncio.AbstractEventLoop]:
    loops = [found for found in gc.get_objects() if issubclass(type(found), asyncio.AbstractEventLoop)]
    return [loop for loop in loops if not loop.is_closed()]
