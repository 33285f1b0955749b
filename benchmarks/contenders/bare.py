"""The floor: a heap and a few coroutines, written by hand, that track nothing.

A job is a function and its arguments. It gets no Task and no context of its own, leaves no
record, and an error in it would end its worker. No library that keeps what people expect of
one can be as cheap; the ratio to it tells what the keeping costs. The end of a burst is a
counter the workers count down.
"""

from __future__ import annotations

import asyncio
from collections import deque
from heapq import heappop, heappush
from itertools import count as counter
from typing import Any

from benchmarks.contenders.protocol import Job

Entry = list[Any]
"""``[priority, sequence, function or None when cancelled, args, kwargs, waiters or None]``; the first two order it."""


class Adapter:
    """Ten coroutines and a heap."""

    def __init__(self) -> None:
        self._heap: list[Entry] = []
        self._sequence = counter()
        self._idle: deque[asyncio.Future[None]] = deque()
        self._unfinished = 0
        self._finished: asyncio.Future[None] | None = None
        self._progress: dict[int, float] = {}

    async def open(self, slots: int) -> None:
        self._workers = [asyncio.create_task(self._work()) for _ in range(slots)]
        await asyncio.sleep(0)

    async def run(self, job: Job, count: int) -> None:
        for _ in range(count):
            await self.add(job)
        self._finished = asyncio.get_running_loop().create_future()
        await self._finished

    async def add(self, job: Job, *args: Any, priority: int = 0, **kwargs: Any) -> Entry:
        entry: Entry = [priority, next(self._sequence), job, args, kwargs, None]
        heappush(self._heap, entry)
        self._unfinished += 1
        if self._idle:
            self._idle.popleft().set_result(None)
        return entry

    async def result(self, handle: Entry) -> object:
        future = asyncio.get_running_loop().create_future()
        if handle[-1] is None:
            handle[-1] = []
        handle[-1].append(future)
        return await future

    async def cancel(self, handle: Entry) -> bool:
        if handle[2] is None:
            return False
        handle[2] = None
        return True

    async def add_reporting(self, job: Job) -> None:
        number, reported = next(self._sequence), self._progress

        def report(progress: float) -> None:
            if 0.0 <= progress <= 1.0:
                reported[number] = progress

        await self.add(job, progress_callback=report)

    async def _work(self) -> None:
        heap = self._heap
        while True:
            while not heap:
                await self._wait()
            _, _, job, args, kwargs, _ = entry = heappop(heap)
            value = None if job is None else await job(*args, **kwargs)
            if entry[-1] is not None:
                for waiter in entry[-1]:
                    waiter.set_result(value)
            self._unfinished -= 1
            if not self._unfinished and self._finished is not None:
                self._finished.set_result(None)
                self._finished = None

    async def _wait(self) -> None:
        waiter = asyncio.get_running_loop().create_future()
        self._idle.append(waiter)
        await waiter
