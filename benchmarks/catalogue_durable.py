"""The chapter on tasks that are written down: its contenders and its scenarios, as data."""

from __future__ import annotations

from collections.abc import Mapping

from benchmarks.model import DURABLE, MILLION, OURS, Contender, Metric, Scenario

DURABLE_SUBJECTS = (
    Contender("memory", "ours in memory", "memory", from_checkout=True),
    Contender("aiosqlite", "aiosqlite", "aiosqlite", ("aiosqlite==0.22.1",)),
    Contender("aiosqlite-merged", "aiosqlite, commits merged", "aiosqlite_merged", ("aiosqlite==0.22.1",)),
    Contender("huey", "huey SqliteHuey", "huey", ("huey==3.5.4",)),
    Contender("dbos", "DBOS on SQLite", "dbos", ("dbos==3.4.0",)),
)

WITHOUT_POWER = (OURS, "aiosqlite", "aiosqlite_merged")
"""Those that can be told to do without waiting for the disk, and yet survive a kill."""
PERSISTENT = (*WITHOUT_POWER, "huey", "dbos")
COMPARED = (OURS, "memory")
WALL_AND_CPU = (("wall", "wall time"), ("cpu", "CPU time"))


def _durable(
    name: str,
    function: str,
    contenders: tuple[str, ...],
    metrics: tuple[Metric, ...],
    sizes: tuple[Mapping[str, object], Mapping[str, object]],
    most_rounds: int | None = None,
) -> Scenario:
    full, quick = sizes
    return Scenario(
        name,
        f"durability:{function}",
        contenders,
        metrics,
        full=full,
        quick=quick,
        chapter=DURABLE,
        adapters="durable",
        most_rounds=most_rounds,
    )


def _both_times(title: str) -> tuple[Metric, ...]:
    return tuple(Metric(key, f"{title}, {words}", "µs") for key, words in WALL_AND_CPU)


def _enqueue(name: str, durability: str, contenders: tuple[str, ...], suffix: str) -> Scenario:
    return _durable(
        name,
        "enqueues",
        contenders,
        _both_times(f"enqueue, 1,000 callers, {suffix}"),
        (
            {"callers": 1_000, "each": 10, "repeats": 4, "durability": durability, "patience": 5.0},
            {"callers": 1_000, "each": 5, "repeats": 2, "durability": durability, "patience": 0.5},
        ),
    )


def _lag(name: str, callers: int) -> Scenario:
    return _durable(
        name,
        "lag",
        COMPARED,
        (
            Metric("p99", f"event loop late, {callers:,} callers wait for results, p99", "ms"),
            Metric("busy", f"the same by the loop's own CPU time, {callers:,} callers, p99", "ms"),
        ),
        ({"callers": callers, "seconds": 4.0}, {"callers": callers, "seconds": 0.5}),
    )


DURABLE_SCENARIOS = (
    _durable(
        "durable-noop",
        "noops",
        COMPARED,
        _both_times("no-op task of 1,000 callers, to its written end"),
        (
            {"callers": 1_000, "each": 20, "repeats": 5},
            {"callers": 1_000, "each": 3, "repeats": 2},
        ),
    ),
    _durable(
        "durable-noop-full",
        "noops",
        COMPARED,
        _both_times("the same, as many old ends forgotten"),
        (
            {"callers": 1_000, "each": 20, "repeats": 4, "max_history": 5_000},
            {"callers": 1_000, "each": 3, "repeats": 2, "max_history": 1_000},
        ),
    ),
    _enqueue("durable-enqueue", "power", PERSISTENT, "power cuts survived"),
    _enqueue("durable-enqueue-process", "process", WITHOUT_POWER, "kills survived"),
    _durable(
        "durable-lone",
        "lone",
        PERSISTENT,
        (
            Metric("p50", "enqueue of a lone caller, p50", "µs"),
            Metric("fastest", "the same, fastest tenth", "µs"),
            Metric("ratio", "the same ÷ a bare write and fsync in turn with it", "×"),
        ),
        ({"count": 500, "patience": 8.0}, {"count": 50, "patience": 0.5}),
    ),
    _lag("durable-lag", 100),
    _lag("durable-lag-1000", 1_000),
    Scenario(
        "durable-million",
        "million:started_again",
        (OURS,),
        (
            Metric("bytes", "file per pending task, 1 M of them", "bytes"),
            Metric("killed", "1 M pending: start() → a task runs, after a kill", "s"),
            Metric("stopped", "1 M pending: start() → a task runs, after stop()", "s"),
            Metric("cpu", "1 M pending: the same, CPU time", "s"),
            Metric("memory", "1 M pending: most memory ever resident until then", "MiB"),
        ),
        full={"count": MILLION},
        quick={"count": 10_000},
        chapter=DURABLE,
        adapters="durable",
        most_rounds=2,
    ),
    Scenario(
        "durable-claim",
        "million:claim_cost",
        (OURS,),
        (
            Metric("ratio", "run cost of tasks left in a file, at 1 M ÷ at 1 k", "×"),
            Metric("cpu", "run a task left in a file of 1 M", "µs"),
        ),
        full={"few": 1_000, "many": MILLION, "repeats": 10},
        quick={"few": 1_000, "many": 12_000, "repeats": 3},
        chapter=DURABLE,
        adapters="durable",
        most_rounds=2,
    ),
    Scenario(
        "durable-pages",
        "million:pages",
        (OURS,),
        (
            Metric("p95", "page of 50 out of 1 M finished in the file, slowest question, p95", "ms"),
            Metric("newest", "the same, newest, p95", "ms"),
            Metric("half way", "the same, from the middle, p95", "ms"),
            Metric("status of few", "the same, of a rare status, p95", "ms"),
            Metric("status of none", "the same, of a status nothing has, p95", "ms"),
            Metric("type of most, status of none of them", "the same, of a common type with a rare status, p95", "ms"),
            Metric("text in none", "the same, with a text that is nowhere, p95", "ms"),
        ),
        full={"count": MILLION, "questions": 100},
        quick={"count": 5_000, "questions": 10},
        chapter=DURABLE,
        adapters="durable",
        most_rounds=1,
    ),
)
