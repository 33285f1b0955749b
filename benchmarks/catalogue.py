"""The contenders and the scenarios, as data: who is measured, on what, and how large.

Only the standard library is imported here, so that any interpreter can read the catalogue;
adapters and scenarios are imported by the measuring processes.
"""

from __future__ import annotations

from collections.abc import Mapping

from benchmarks.catalogue_durable import DURABLE_SCENARIOS, DURABLE_SUBJECTS
from benchmarks.model import BARE, CACHE, MILLION, OURS, Contender, Metric, Scenario

CONTENDERS: Mapping[str, Contender] = {
    contender.name: contender
    for contender in (
        Contender(BARE, "bare floor", "bare"),
        Contender(OURS, "ours", "ours", from_checkout=True),
        Contender("taskgroup", "TaskGroup", "taskgroup"),
        Contender("aiojobs", "aiojobs", "aiojobs", ("aiojobs==1.4.0",)),
        Contender("semaphore", "create_task + Semaphore", "semaphore"),
        Contender("taskiq", "taskiq in-memory", "taskiq", ("taskiq==0.13.0",), slow=True),
        Contender("published", "published 0.4.4", "published", ("async-task-worker==0.4.4",), slow=True),
        Contender("lru_cache", "functools.lru_cache", "lru_cache"),
        Contender("cachetools", "cachetools", "cachetools", ("cachetools==8.0.1",)),
        Contender("cashews", "cashews", "cashews", ("cashews==7.6.0",)),
        Contender("aiocache", "aiocache", "aiocache", ("aiocache==0.12.3",)),
        Contender("deepcopy", "copy.deepcopy", "deepcopy"),
        *DURABLE_SUBJECTS,
    )
}

EVERYBODY = (BARE, OURS, "taskgroup", "aiojobs", "semaphore", "taskiq", "published")
TRACKING = (OURS, "published")
FLOOR_AND_TRACKING = (BARE, *TRACKING)
LIBRARIES = (BARE, OURS, "aiojobs", "semaphore", "published")
LIMITED_CACHES = (OURS, "lru_cache", "cachetools", "cashews", "published")
CACHES = (*LIMITED_CACHES, "aiocache")


def _cpu(title: str, unit: str = "µs") -> tuple[Metric, ...]:
    return (Metric("cpu", title, unit),)


def _pending(name: str, title: str, contenders: tuple[str, ...], **options: object) -> Scenario:
    return Scenario(
        name,
        "memory:pending",
        contenders,
        (Metric("bytes", title, "bytes"),),
        full={"count": MILLION, **options},
        quick={"count": 50_000, **options},
        most_rounds=2,
    )


def _growth(name: str, priorities: str, suffix: str) -> Scenario:
    return Scenario(
        name,
        "growth:run_cost",
        FLOOR_AND_TRACKING,
        (
            Metric("ratio", f"run cost at 1 M pending ÷ at 1 k, {suffix}", "×"),
            Metric("cpu", f"run a task at 1 M pending, {suffix}", "µs"),
        ),
        full={"few": 1_000, "many": MILLION, "repeats": 30, "priorities": priorities},
        quick={"few": 1_000, "many": 30_000, "repeats": 5, "priorities": priorities},
        most_rounds=3,
    )


def _eviction(name: str, entries: int) -> Scenario:
    return Scenario(
        name,
        "caching:evicting_sets",
        LIMITED_CACHES,
        _cpu(f"set with eviction, {entries:,} entries"),
        full={"entries": entries, "count": 500, "repeats": 5},
        quick={"entries": entries, "count": 200, "repeats": 5},
        chapter=CACHE,
        adapters="caches",
    )


SCENARIOS: Mapping[str, Scenario] = {
    scenario.name: scenario
    for scenario in (
        Scenario(
            "noop",
            "throughput:noop_tasks",
            EVERYBODY,
            _cpu("no-op task"),
            full={"burst": 10_000, "bursts": 5},
            quick={"burst": 2_000, "bursts": 3},
        ),
        Scenario(
            "timeout",
            "throughput:tasks_with_timeout",
            (OURS, "semaphore", "taskiq", "published"),
            _cpu("no-op task with a timeout"),
            full={"burst": 5_000, "bursts": 5},
            quick={"burst": 2_000, "bursts": 3},
        ),
        Scenario(
            "sleep0",
            "throughput:sleeping_tasks",
            EVERYBODY,
            _cpu("task with one sleep(0)"),
            full={"burst": 10_000, "bursts": 5},
            quick={"burst": 2_000, "bursts": 3},
        ),
        Scenario(
            "start",
            "latency:starts",
            (*LIBRARIES, "taskiq"),
            (
                Metric("p50", "add → function starts, idle, p50", "µs"),
                Metric("p99", "add → function starts, idle, p99", "µs"),
            ),
            full={"count": 5_000},
            quick={"count": 1_000},
        ),
        Scenario(
            "poll",
            "latency:poll_intervals",
            TRACKING,
            (Metric("ratio", "start at worker_poll_interval 5 s ÷ 0.05 s", "×"),),
            full={"count": 3_000},
            quick={"count": 1_000},
        ),
        Scenario(
            "result",
            "throughput:results",
            LIBRARIES,
            _cpu("add → await result"),
            full={"count": 10_000},
            quick={"count": 3_000},
        ),
        Scenario(
            "waiters",
            "throughput:waiters",
            LIBRARIES,
            _cpu("1,000 waiters for one task", "ms"),
            full={"count": 1_000, "repeats": 20},
            quick={"count": 1_000, "repeats": 7},
        ),
        _pending("pending", "bytes per pending task, one priority", LIBRARIES),
        _pending("pending-context", "bytes per pending task, caller's context", (OURS,), context="shared"),
        _pending("pending-own-context", "bytes per pending task, a context of its own", (OURS,), context="own"),
        _pending(
            "pending-random", "bytes per pending task, random priorities", FLOOR_AND_TRACKING, priorities="random"
        ),
        _pending(
            "pending-random-context",
            "bytes per pending task, random, caller's context",
            (OURS,),
            priorities="random",
            context="shared",
        ),
        Scenario(
            "finished",
            "memory:finished",
            TRACKING,
            (Metric("bytes", "bytes per finished task kept", "bytes"),),
            full={"count": 300_000, "wave": 1_000},
            quick={"count": 20_000, "wave": 1_000},
            extra={OURS: {"max_history": None}},
            most_rounds=2,
        ),
        _growth("growth", "one", "one priority"),
        _growth("growth-random", "random", "random priorities"),
        Scenario(
            "listing",
            "listing:newest",
            TRACKING,
            (
                Metric("newest", "get_all_tasks(limit=10) at 1 M known", "µs"),
                Metric("worst", "get_all_tasks(limit=10, worst status) at 1 M", "ms"),
            ),
            full={"known": MILLION, "questions": 200},
            quick={"known": 30_000, "questions": 50},
            most_rounds=2,
        ),
        Scenario(
            "cancel",
            "throughput:cancels",
            LIBRARIES,
            _cpu("cancel a pending task"),
            full={"count": 10_000},
            quick={"count": 3_000},
        ),
        Scenario(
            "progress",
            "throughput:progress",
            FLOOR_AND_TRACKING,
            _cpu("progress update"),
            full={"count": 200_000},
            quick={"count": 50_000},
        ),
        Scenario(
            "idle",
            "idle:idle",
            (BARE, OURS, "aiojobs", "published"),
            (
                Metric("cpu", "idle CPU, 100 slots", "ms/s"),
                Metric("wakeups", "idle wake-ups, 100 slots", "1/s"),
            ),
            full={"windows": 8},
            quick={"windows": 2},
            most_rounds=3,
        ),
        Scenario(
            "cache-hit",
            "caching:hits",
            CACHES,
            (
                Metric("number", "memory hit, a number", "µs"),
                Metric("record", "memory hit, a small record", "µs"),
            ),
            full={"entries": 1_000, "repeats": 20},
            quick={"entries": 1_000, "repeats": 10},
            chapter=CACHE,
            adapters="caches",
        ),
        _eviction("cache-evict", 1_000),
        _eviction("cache-evict-10k", 10_000),
        Scenario(
            "cache-call",
            "caching:calls",
            CACHES,
            (
                Metric("new", "call through the cache, new arguments", "µs"),
                Metric("known", "call through the cache, known arguments", "µs"),
            ),
            full={"entries": 1_000, "repeats": 7},
            quick={"entries": 1_000, "repeats": 5},
            chapter=CACHE,
            adapters="caches",
        ),
        Scenario(
            "cache-call-full",
            "caching:calls_when_full",
            LIMITED_CACHES,
            (Metric("new", "call with new arguments, cache full at 1,000", "µs"),),
            full={"entries": 1_000, "count": 1_000, "repeats": 7},
            quick={"entries": 1_000, "count": 500, "repeats": 5},
            chapter=CACHE,
            adapters="caches",
        ),
        Scenario(
            "cache-copy",
            "caching:copies",
            (OURS, "deepcopy"),
            (
                Metric("record", "copy of a small record", "µs"),
                Metric("rows", "copy of 100 small records", "µs"),
                Metric("typed", "copy of a record with dates, Decimal, tuples, sets", "µs"),
            ),
            full={"count": 5_000, "repeats": 5},
            quick={"count": 2_000, "repeats": 5},
            chapter=CACHE,
            adapters="caches",
        ),
        Scenario(
            "cache-task",
            "caching:tasks",
            TRACKING,
            _cpu("cached add_task → await result"),
            full={"known": 100, "count": 2_000, "repeats": 5},
            quick={"known": 100, "count": 1_000, "repeats": 5},
            chapter=CACHE,
        ),
        *DURABLE_SCENARIOS,
    )
}
