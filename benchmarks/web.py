"""Measure the HTTP API under uvicorn, from a second process: ``python -m benchmarks.web [--quick]``.

Submitting a no-op, which runs and ends meanwhile, is compared with routes of FastAPI's own that
return the same JSON. All take turns, round after round, and the ratio is taken within a round.
Listing is measured on 100,000 known tasks, and on a million finished ones in a file that is
opened again: the first page, pages deep down, and with filters.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import http.client
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

from benchmarks.child import MARK
from benchmarks.disk import file_folder
from benchmarks.machine import describe
from benchmarks.model import MILLION

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "benchmarks" / "results"
PLAIN = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT / "src"), str(ROOT)])}
CONNECTIONS = 16
BODY = b'{"task_type": "noop"}'
ROUTES = {"submit": "/tasks", "bare": "/bare", "lean": "/lean"}
MUST = 0.7
"""Submitting, as a part of the rate of the bare route."""
LISTING_MUST = 20.0
"""Milliseconds, for 95 of 100 pages of fifty."""
FILE_MUST = 100.0
"""The same, out of a file."""

Times = dict[str, list[float]]
"""Milliseconds of each answer, by what was asked for."""


def main() -> int:
    """Measure, write the results, and return 1 if a target is missed."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.web", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a few seconds; nothing is written")
    quick = parser.parse_args().quick
    rounds, requests, known, written, pages = (2, 300, 5_000, 5_000, 40) if quick else (9, 3_000, 100_000, MILLION, 300)
    with server() as port:
        rates = asyncio.run(submitting(port, rounds, requests))
    with server(KNOWN_TASKS=known) as port:
        times = listing(port, pages, f"cursor={quote(cursor_half_way(port))}")
    with file_of_finished(written) as (file, middle), server(TASKS_FILE=file) as port:
        from_file = listing(port, pages, f"created_before={quote(middle)}")
    text, met = report(rates, (known, times), (written, from_file))
    print(text)
    if not quick:
        (RESULTS / "web.md").write_text(text, encoding="utf-8")
        data = {"rates": rates, "listing_ms": times, "listing_from_file_ms": from_file}
        (RESULTS / "web.json").write_text(json.dumps(data, indent=1) + "\n")
    return not (met or quick)


@contextlib.contextmanager
def server(**settings: object) -> Iterator[int]:
    """Serve the application in a process of its own; yield the port once it answers."""
    env = {**PLAIN, **{name: str(value) for name, value in settings.items()}}
    command = [sys.executable, "-m", "benchmarks.web_app"]
    with subprocess.Popen(command, env=env, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        try:
            port = int(process.stdout.readline() if process.stdout else "")
            get(http.client.HTTPConnection("127.0.0.1", port, timeout=120), "/health")
            yield port
        finally:
            process.terminate()


@contextlib.contextmanager
def file_of_finished(count: int) -> Iterator[tuple[Path, str]]:
    """Make a file of finished tasks in a process of its own; yield it, and when half of them were there."""
    with tempfile.TemporaryDirectory(dir=file_folder()) as folder:
        sizes = {"folder": folder, "count": count}
        order = {"adapter": "durable.ours", "scenario": "million:finish", "sizes": sizes}
        command = [sys.executable, "-m", "benchmarks.child", json.dumps(order)]
        done = subprocess.run(command, env=PLAIN, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True)
        middle = json.loads(done.stdout.partition(MARK)[2])["middle"]
        yield Path(folder) / "tasks.db", datetime.fromtimestamp(middle, UTC).isoformat()


async def submitting(port: int, rounds: int, requests: int) -> dict[str, list[float]]:
    """Return requests per second of each route, round by round."""
    rates: dict[str, list[float]] = {name: [] for name in ROUTES}
    await rate(port, ROUTES["submit"], requests // 4)  # warm up
    for number in range(rounds):
        names = list(ROUTES)
        for name in names[number % len(names) :] + names[: number % len(names)]:
            rates[name].append(await rate(port, ROUTES[name], requests))
    return rates


async def rate(port: int, path: str, requests: int) -> float:
    """Return how many requests per second are answered on several connections, every task run to its end."""
    count = requests // CONNECTIONS
    connection = http.client.HTTPConnection("127.0.0.1", port)
    began = time.perf_counter()
    await asyncio.gather(*(ask(port, path, count) for _ in range(CONNECTIONS)))
    while path == ROUTES["submit"] and unfinished(connection):
        await asyncio.sleep(0)
    return count * CONNECTIONS / (time.perf_counter() - began)


def unfinished(connection: http.client.HTTPConnection) -> int:
    """Return how many tasks are pending or running."""
    counts = get(connection, "/stats")["tasks"]
    return int(counts["pending"] + counts["running"])


async def ask(port: int, path: str, count: int) -> None:
    """Send requests one after the other, with as little work as a client can have."""
    head = f"POST {path} HTTP/1.1\r\nHost: b\r\nContent-Type: application/json\r\nContent-Length: {len(BODY)}\r\n\r\n"
    request = head.encode() + BODY
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    for _ in range(count):
        writer.write(request)
        head_of_answer = await reader.readuntil(b"\r\n\r\n")
        if not head_of_answer.startswith(b"HTTP/1.1 201"):
            raise RuntimeError(head_of_answer.decode())
        length = head_of_answer.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0]
        await reader.readexactly(int(length))
    writer.close()
    await writer.wait_closed()


def listing(port: int, pages: int, half_way: str) -> Times:
    """Return the milliseconds of each page of fifty; *half_way* asks for one in the middle."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    queries = {
        "first page": "",
        "half way down": f"&{half_way}",
        "one status, rare": "&status=failed",
        "one status, none": "&status=cancelled",
        "one type, rare": "&task_type=rare",
        "text, everywhere": "&q=acme",
        "text, nowhere": "&q=nobody",
    }
    times: Times = {name: [] for name in queries}
    for _ in range(pages):
        for name, query in queries.items():
            began = time.perf_counter()
            get(connection, f"/tasks?limit=50{query}")
            times[name].append((time.perf_counter() - began) * 1000)
    return times


def cursor_half_way(port: int) -> str:
    """Return the cursor of a page in the middle of all tasks."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    counts = get(connection, "/stats")["tasks"]
    cursor, left = "", sum(counts.values()) // 2
    while left > 0:
        page = get(connection, "/tasks?limit=500" + (f"&cursor={quote(cursor)}" if cursor else ""))
        cursor, left = page["next_cursor"], left - page["count"]
    return str(cursor)


def get(connection: http.client.HTTPConnection, path: str) -> dict[str, Any]:
    """Return the JSON at a path."""
    connection.request("GET", path)
    answer = connection.getresponse()
    body = answer.read()
    if answer.status != 200:
        raise RuntimeError(body.decode())
    found: dict[str, Any] = json.loads(body)
    return found


def report(rates: dict[str, list[float]], in_memory: tuple[int, Times], in_file: tuple[int, Times]) -> tuple[str, bool]:
    """Return the results as Markdown, and whether the targets are met."""
    ratio = statistics.median(ours / bare for ours, bare in zip(rates["submit"], rates["bare"], strict=True))
    lean = statistics.median(ours / bare for ours, bare in zip(rates["submit"], rates["lean"], strict=True))
    rows = "\n".join(f"| {name} | {statistics.median(found):,.0f} |" for name, found in rates.items())
    known, fast = table(in_memory, "known tasks", LISTING_MUST)
    written, still_fast = table(in_file, "finished tasks in a file", FILE_MUST)
    met = ratio >= MUST and fast and still_fast
    text = f"""# The HTTP API

{", ".join(str(part) for part in describe().values())}; CPython {platform.python_version()}

| route | requests per second, median |
|---|---|
{rows}

A submitted no-op, which runs to its end: {ratio:.2f} × the bare route (at least {MUST}), {lean:.2f} × the lean one.

{known}

{written}
"""
    return text, met


def table(measured: tuple[int, Times], of_what: str, must: float) -> tuple[str, bool]:
    """Return the figures of a listing as Markdown, and whether all stay under *must* milliseconds."""
    count, times = measured
    slowest = {name: statistics.quantiles(found, n=20)[-1] for name, found in times.items()}
    rows = [f"| {name} | {statistics.median(found):.1f} | {slowest[name]:.1f} |" for name, found in times.items()]
    head = f"| fifty of {count:,} {of_what} | ms, median | ms, p95 (under {must:.0f}) |"
    return "\n".join([head, "|---|---|---|", *rows]), max(slowest.values()) < must


if __name__ == "__main__":
    sys.exit(main())
