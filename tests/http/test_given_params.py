"""Params are kept for as long as they are asked for, and take no room after that."""

from __future__ import annotations

import tracemalloc

from async_task_worker.web.given_params import NO_LONGER_KEPT, GivenParams


def submit(given: GivenParams, task_id: str, size: int = 1) -> None:
    with given.coming(task_id, {"of": task_id}, size):
        pass


def test_a_service_that_forgets_its_tasks_does_not_grow() -> None:
    known: list[str] = []
    given = GivenParams(1 << 20, known.__contains__, lambda: len(known))

    def run(start: int) -> None:
        for number in range(start, start + 20_000):
            known[:] = [str(number)]
            submit(given, str(number))

    run(0)
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        run(20_000)
        assert tracemalloc.get_traced_memory()[0] - before < 100_000
    finally:
        tracemalloc.stop()


def test_the_oldest_go_first_when_room_is_short_an_id_used_again_counting_as_new() -> None:
    known = {"a", "b", "c"}
    given = GivenParams(2, known.__contains__, lambda: len(known))
    submit(given, "a")
    known.remove("a")
    submit(given, "b")
    known.add("a")
    submit(given, "a")
    submit(given, "c")
    assert given.of("a") == {"of": "a"}
    assert given.of("b") == NO_LONGER_KEPT
    assert given.of("c") == {"of": "c"}
