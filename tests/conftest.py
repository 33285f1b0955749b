"""How every test runs: on a loop whose time is virtual, in debug mode, and with a look at what it left behind.

Loops, chosen per test by a marker:

* none: :class:`VirtualTimeLoop`, on which waiting costs nothing;
* ``real_time``: asyncio's own loop, for a test that talks to another process;
* ``other_loop``: uvloop, in real time too;
* ``schedules(n)``: n runs on a :class:`ShuffledLoop`, with the seeds 0 to n - 1. ``--schedules N``
  asks for more (or fewer) of them, ``--schedule-seed SEED`` replays one.

Fixtures for the worker: ``worker`` is a started one, ``make_worker`` makes others; both on each
of the backends. ``clock`` tells the time of the running loop, ``loop_errors`` what it reported.
"""

from __future__ import annotations

import asyncio
import gc
import signal
import tempfile
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Generator, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any, Protocol

import pytest
import pytest_asyncio

from async_task_worker import AsyncTaskWorker
from async_task_worker.model.clock import SYSTEM_CLOCK, Clock
from tests.support import tasks
from tests.support.backends import BACKENDS, MEMORY_DISK, Backend
from tests.support.leaks import LeakCheck
from tests.support.shuffled_loop import ShuffledLoop
from tests.support.virtual_time import VirtualTimeLoop

try:
    import uvloop
except ImportError:  # it is not made for every platform
    uvloop = None

LoopFactory = Callable[[], asyncio.AbstractEventLoop]

MARKERS = (
    "real_time: run on asyncio's own loop, where time passes as it does",
    "other_loop: run on uvloop, in real time",
    "schedules(count): run that many times, each time with another order of what is ready at once",
)


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("schedules", "shuffled event loops")
    group.addoption("--schedules", type=int, metavar="N", help="seeds per test marked with schedules")
    group.addoption("--schedule-seed", type=int, metavar="SEED", help="replay the schedule of this seed only")


def pytest_configure(config: pytest.Config) -> None:
    for line in MARKERS:
        config.addinivalue_line("markers", line)
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # as in the background of a shell, and so in all children
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Escape what a test logged that is not valid text: it could not be sent to the process that reports it."""
    report = yield
    report.sections = [
        (title, text.encode("utf-8", "backslashreplace").decode("utf-8")) for title, text in report.sections
    ]
    return report


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print the seconds each folder of tests took, summed over the processes."""
    seconds: defaultdict[str, float] = defaultdict(float)
    for reports in terminalreporter.stats.values():
        for report in reports:
            if isinstance(report, pytest.TestReport):
                seconds[report.nodeid.partition("::")[0].rpartition("/")[0]] += report.duration
    if seconds:
        terminalreporter.section("seconds of tests per folder")
        for folder, spent in sorted(seconds.items(), key=lambda entry: -entry[1]):
            terminalreporter.line(f"{spent:7.1f} {folder}")


def pytest_collection_finish() -> None:
    """Set aside what was there before the first test, so that looking for leaks after each is quick."""
    gc.collect()
    gc.freeze()


def pytest_asyncio_loop_factories(config: pytest.Config, item: pytest.Item) -> Mapping[str, LoopFactory]:
    if item.get_closest_marker("real_time"):
        return {"real-time": asyncio.SelectorEventLoop}
    if item.get_closest_marker("other_loop"):
        return {"uvloop": _uvloop_factory()}
    if marker := item.get_closest_marker("schedules"):
        return {f"seed-{seed}": partial(ShuffledLoop, seed) for seed in _seeds(config, *marker.args)}
    return {"virtual-time": VirtualTimeLoop}


def pytest_itemcollected(item: pytest.Item) -> None:
    if uvloop is None and item.get_closest_marker("other_loop"):
        item.add_marker(pytest.mark.skip("uvloop is not installed"))


def _uvloop_factory() -> LoopFactory:
    if uvloop is None:
        return asyncio.SelectorEventLoop  # for a test that will be skipped
    uvloop.new_event_loop().close()  # opens a pipe for signals once per process, which is no test's leak
    return uvloop.new_event_loop


def _seeds(config: pytest.Config, count: int) -> range:
    seed = config.getoption("--schedule-seed")
    wanted = config.getoption("--schedules")
    return range(count if wanted is None else wanted) if seed is None else range(seed, seed + 1)


@pytest.fixture
def leaks() -> Iterator[LeakCheck]:
    """Fail the test, once everything of it is torn down, if it left something behind."""
    tasks.forget_everything()
    check = LeakCheck()
    yield check
    if found := check.finish():
        pytest.fail("\n  ".join(["left behind:", *found]), pytrace=False)


@pytest_asyncio.fixture
async def _loop_leaks(leaks: LeakCheck) -> AsyncIterator[None]:
    """Look at the loop's tasks after the test's other fixtures are gone, and before the loop cancels them."""
    yield
    await leaks.look_at_tasks()
    tasks.open_all_gates()  # what was left behind should at least not hold up the end of the loop


@pytest.fixture(autouse=True)
def _no_leaks(request: pytest.FixtureRequest, leaks: LeakCheck) -> None:
    if pytest_asyncio.is_async_test(request.node):
        request.getfixturevalue("_loop_leaks")


@pytest.fixture
def loop_errors(leaks: LeakCheck) -> list[str]:
    """What asyncio reported so far. What is still listed at the end fails the test."""
    return leaks.loop_errors


@pytest_asyncio.fixture
async def clock() -> Clock:
    """The time of the running loop, as the worker's ``clock=`` wants it."""
    loop = asyncio.get_running_loop()
    return Clock(loop.wall, loop.time) if isinstance(loop, VirtualTimeLoop) else SYSTEM_CLOCK


@pytest.fixture(params=BACKENDS, ids=lambda backend: backend.name)
def backend(request: pytest.FixtureRequest) -> Backend:
    """Each of the backends in turn."""
    return request.param


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """An empty folder, in memory where the system has such a place: a disk would hold up virtual time."""
    if not MEMORY_DISK.is_dir():
        yield tmp_path
        return
    with tempfile.TemporaryDirectory(dir=MEMORY_DISK) as made:
        yield Path(made)


class MakeWorker(Protocol):
    """Makes a worker on the current backend, started unless told otherwise, and stopped with the test."""

    def __call__(self, *, started: bool = True, **options: Any) -> Awaitable[AsyncTaskWorker]: ...


@pytest_asyncio.fixture
async def make_worker(backend: Backend, clock: Clock, folder: Path) -> AsyncIterator[MakeWorker]:
    """``await make_worker(**options)`` returns a started worker; with ``started=False``, one to be started.

    All of them share one store, where the backend has one, and are stopped after the test.
    """
    url = backend.url(folder)
    made: list[AsyncTaskWorker] = []

    async def make(*, started: bool = True, **options: Any) -> AsyncTaskWorker:
        worker = AsyncTaskWorker(**{"backend": url, "clock": clock, **options})
        made.append(worker)
        if started:
            await worker.start()
        return worker

    yield make
    tasks.open_all_gates()
    for worker in reversed(made):
        await worker.stop()


@pytest_asyncio.fixture
async def worker(make_worker: MakeWorker) -> AsyncTaskWorker:
    """A started worker with two slots: enough for two tasks to meet, and few enough for a third to wait."""
    return await make_worker(max_workers=2)
