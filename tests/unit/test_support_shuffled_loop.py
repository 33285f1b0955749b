"""The shuffled loop: any order that asyncio's promises leave open, and the same one for the same seed."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from tests.support.shuffled_loop import ShuffledLoop, run_shuffled
from tests.support.virtual_time import BEGINNING

Scenario = Callable[[], Coroutine[Any, Any, list[object]]]
SEEDS = range(60)


async def three_racers() -> list[object]:
    seen: list[object] = []

    async def run(name: str) -> None:
        for lap in range(4):
            await asyncio.sleep(0)
            seen.append(f"{name}{lap}")

    await asyncio.gather(*map(run, "abc"))
    return seen


async def callbacks_in_order() -> list[object]:
    seen: list[object] = []
    for number in range(5):
        asyncio.get_running_loop().call_soon(seen.append, number)
    while len(seen) < 5:
        await asyncio.sleep(0)
    return seen


async def timers_in_order() -> list[object]:
    seen: list[object] = []
    for number in range(5):
        asyncio.get_running_loop().call_later(1 + number * 1e-10, seen.append, number)
    while len(seen) < 5:
        await asyncio.sleep(1)
    return seen


async def callbacks_of_one_future() -> list[object]:
    seen: list[object] = []
    future = asyncio.get_running_loop().create_future()
    for number in range(5):
        future.add_done_callback(lambda _, number=number: seen.append(number))
    future.set_result(None)
    while len(seen) < 5:
        await asyncio.sleep(0)
    return seen


def outcomes(scenario: Scenario) -> list[list[object]]:
    return [run_shuffled(scenario, seed) for seed in SEEDS]


def test_a_seed_always_makes_the_same_choices() -> None:
    assert outcomes(three_racers) == outcomes(three_racers)


def test_different_seeds_make_different_choices() -> None:
    found = {tuple(order) for order in outcomes(three_racers)}
    assert len(found) > len(SEEDS) // 2


def test_every_racer_wins_and_loses_sometimes() -> None:
    finals = [[step for step in order if str(step).endswith("3")] for order in outcomes(three_racers)]
    assert {order[0] for order in finals} == {order[-1] for order in finals} == {"a3", "b3", "c3"}


def test_a_racer_can_be_a_whole_lap_ahead() -> None:
    """Not only the order within an iteration: what is ready may also be served an iteration later."""
    assert any(order.index("a1") < order.index("b0") for order in outcomes(three_racers))


def test_the_steps_of_a_task_stay_in_order() -> None:
    for order in outcomes(three_racers):
        for name in "abc":
            assert [step for step in order if str(step).startswith(name)] == [f"{name}{lap}" for lap in range(4)]


@pytest.mark.parametrize("scenario", [callbacks_in_order, timers_in_order, callbacks_of_one_future])
def test_what_asyncio_promises_to_keep_in_order_stays_in_order(scenario: Scenario) -> None:
    assert outcomes(scenario) == [[0, 1, 2, 3, 4]] * len(SEEDS)


def test_a_timer_and_a_task_may_overtake_each_other() -> None:
    async def scenario() -> list[object]:
        seen: list[object] = []
        gate = asyncio.Event()
        loop = asyncio.get_running_loop()

        async def waiter() -> None:
            await gate.wait()
            seen.append("task")

        task = asyncio.create_task(waiter())
        await asyncio.sleep(0.5)
        loop.call_at(loop.time(), seen.append, "timer")
        gate.set()
        await task
        await asyncio.sleep(0.1)
        return seen

    assert {tuple(order) for order in outcomes(scenario)} == {("task", "timer"), ("timer", "task")}


def test_a_failure_names_the_seed_that_replays_it() -> None:
    async def scenario() -> None:
        raise ValueError("lost the race")

    with pytest.raises(ValueError, match="lost the race") as caught:
        run_shuffled(scenario, seed=4711)
    assert caught.value.__notes__ == ["replay with seed 4711"]


def test_it_finds_a_race_that_the_usual_order_hides() -> None:
    """The second opener looks before the first has written, but only if it is put between the two."""

    async def scenario() -> int:
        opened: list[str] = []
        made = 0

        async def open_once() -> None:
            nonlocal made
            if not opened:
                await asyncio.sleep(0)
                made += 1
                opened.append("file")

        async def later() -> None:
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            await open_once()

        await asyncio.gather(open_once(), later())
        return made

    assert asyncio.run(scenario()) == 1
    assert {run_shuffled(scenario, seed) for seed in SEEDS} == {1, 2}


@pytest.mark.schedules(3)
async def test_a_marked_test_runs_on_shuffled_loops(request: pytest.FixtureRequest) -> None:
    loop = asyncio.get_running_loop()
    assert isinstance(loop, ShuffledLoop)
    assert f"seed-{loop.seed}" in request.node.name
    await asyncio.sleep(3600)
    assert loop.time() == BEGINNING + 3600
