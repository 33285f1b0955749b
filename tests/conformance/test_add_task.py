"""What is given to ``add_task`` and ``submit`` reaches the task, or the record of it, and nothing else."""

from __future__ import annotations

from types import MappingProxyType
from typing import Any
from uuid import UUID

import pytest

from async_task_worker import AsyncTaskWorker, DuplicateTaskError, TaskStatus, register_task, task
from tests.conformance.event_helpers import ended, info_of, record_events
from tests.support.tasks import add, collect, echo, fail_with, open_gate, sleep_for, wait_at
from tests.support.waiting import running

OPTION_NAMES = ["priority", "task_id", "metadata", "timeout", "use_cache", "cache_ttl", "cache_key_fn"]


@task("first_name")
async def of_two_names() -> None:
    """Registered again under another name by the test below."""


async def test_the_id_is_a_new_uuid_each_time(worker: AsyncTaskWorker) -> None:
    ids = [await worker.add_task(echo, 1) for _ in range(100)]
    assert all(type(task_id) is str and str(UUID(task_id)) == task_id for task_id in ids)
    assert len(set(ids)) == 100


async def test_an_id_of_ones_own_is_kept(worker: AsyncTaskWorker) -> None:
    assert await worker.add_task(echo, 1, task_id="Ünïcode id/1") == "Ünïcode id/1"
    assert info_of(worker, "Ünïcode id/1").id == "Ünïcode id/1"


async def test_arguments_reach_the_task(worker: AsyncTaskWorker) -> None:
    task_id = await worker.add_task(collect, 1, "two", [3], named={"four": 4}, other=None)
    assert (await ended(worker, task_id)).result == [[1, "two", [3]], {"named": {"four": 4}, "other": None}]


async def test_options_do_not_reach_the_task(worker: AsyncTaskWorker) -> None:
    task_id = await worker.add_task(
        collect, priority=1, task_id="mine", metadata={}, timeout=5, use_cache=False, cache_ttl=60, own=1
    )
    assert (await ended(worker, task_id)).result == [[], {"own": 1}]


async def test_every_option_is_taken_by_add_task(worker: AsyncTaskWorker) -> None:
    task_id = await worker.add_task(
        echo,
        "value",
        priority=7,
        task_id="all options",
        metadata={"key": "value"},
        timeout=30,
        use_cache=True,
        cache_ttl=60,
        cache_key_fn=lambda context: "key",
    )
    info = await ended(worker, task_id)
    assert (info.id, info.priority, info.metadata, info.result) == ("all options", 7, {"key": "value"}, "value")


async def test_submit_takes_the_same_options(worker: AsyncTaskWorker) -> None:
    task_id = await worker.submit(
        sleep_for,
        (60,),
        priority=7,
        task_id="all options",
        metadata={"key": "value"},
        timeout=30,
        use_cache=True,
        cache_ttl=60,
        cache_key_fn=lambda context: "key",
    )
    info = await ended(worker, task_id)
    assert (info.id, info.priority, info.metadata) == ("all options", 7, {"key": "value"})
    assert info.status is TaskStatus.FAILED
    assert "30" in str(info.error)


@pytest.mark.parametrize("name", [*OPTION_NAMES, "self", "func", "task_func", "args", "kwargs"])
async def test_submit_passes_parameters_named_like_its_own(worker: AsyncTaskWorker, name: str) -> None:
    task_id = await worker.submit(collect, kwargs={name: "for the task"})
    assert (await ended(worker, task_id)).result == [[], {name: "for the task"}]


@pytest.mark.parametrize("name", ["self", "func", "task_func", "args", "kwargs"])
async def test_add_task_passes_parameters_named_like_its_own(worker: AsyncTaskWorker, name: str) -> None:
    task_id = await worker.add_task(collect, **{name: "for the task"})
    assert (await ended(worker, task_id)).result == [[], {name: "for the task"}]


@pytest.mark.parametrize("args", [(1, 2), [1, 2], range(1, 3)], ids=["tuple", "list", "range"])
async def test_submit_takes_arguments_from_any_iterable(worker: AsyncTaskWorker, args: Any) -> None:
    assert (await ended(worker, await worker.submit(add, args))).result == 3


async def test_submit_needs_no_arguments(worker: AsyncTaskWorker) -> None:
    assert (await ended(worker, await worker.submit(collect))).result == [[], {}]


async def test_submit_copies_the_keyword_arguments(worker: AsyncTaskWorker) -> None:
    given = {"value": "first"}
    task_id = await worker.submit(echo, kwargs=given)
    given["value"] = "changed"
    assert (await ended(worker, task_id)).result == "first"


async def test_a_known_id_is_refused_and_the_first_task_untouched(worker: AsyncTaskWorker) -> None:
    """While it runs."""
    await worker.add_task(wait_at, "gate", "first", task_id="same")
    await running(worker, "same")
    before = info_of(worker, "same")
    events = record_events(worker)
    with pytest.raises(DuplicateTaskError, match="'same'") as caught:
        await worker.add_task(echo, "second", task_id="same")
    assert caught.value.task_id == "same"
    assert isinstance(caught.value, ValueError)
    assert info_of(worker, "same") == before
    assert events == []
    open_gate("gate")
    assert (await ended(worker, "same")).result == "first"


@pytest.mark.parametrize("fails", [False, True])
async def test_an_id_stays_taken_after_its_task_has_ended(worker: AsyncTaskWorker, fails: bool) -> None:
    await worker.add_task(*((fail_with, "first") if fails else (echo, "first")), task_id="same")
    before = await ended(worker, "same")
    with pytest.raises(DuplicateTaskError):
        await worker.submit(echo, ("second",), task_id="same")
    assert info_of(worker, "same") == before


async def test_an_id_stays_taken_while_its_task_waits(worker: AsyncTaskWorker) -> None:
    held = [await worker.add_task(wait_at, "gate") for _ in range(2)]
    await running(worker, *held)
    await worker.add_task(echo, "first", task_id="same")
    with pytest.raises(DuplicateTaskError):
        await worker.add_task(echo, "second", task_id="same")
    assert worker.counts()[TaskStatus.PENDING] == 1
    open_gate("gate")
    assert (await ended(worker, "same")).result == "first"


async def test_metadata_is_empty_unless_given(worker: AsyncTaskWorker) -> None:
    assert info_of(worker, await worker.add_task(echo, 1)).metadata == {}
    assert info_of(worker, await worker.add_task(echo, 1, metadata={})).metadata == {}


async def test_metadata_changed_by_its_giver_afterwards_stays_as_it_was(worker: AsyncTaskWorker) -> None:
    given: dict[str, Any] = {"tags": ["a"], "deep": {"list": [{"x": 1}]}}
    task_id = await worker.add_task(echo, 1, metadata=given)
    given["new"] = 1
    given["tags"].append("b")
    given["deep"]["list"][0]["x"] = 2
    assert info_of(worker, task_id).metadata == {"tags": ["a"], "deep": {"list": [{"x": 1}]}}


async def test_writing_into_metadata_that_was_read_changes_nothing(worker: AsyncTaskWorker) -> None:
    task_id = await worker.add_task(echo, 1, metadata={"tags": ["a"], "deep": {"x": [1]}})
    read = info_of(worker, task_id).metadata
    read["tags"].append("b")
    read["deep"]["x"][0] = 2
    read["new"] = True
    (listed,) = worker.get_all_tasks()
    listed.metadata["tags"].clear()
    assert info_of(worker, task_id).metadata == {"tags": ["a"], "deep": {"x": [1]}}


async def test_metadata_of_any_mapping_is_read_as_a_plain_dict(worker: AsyncTaskWorker) -> None:
    task_id = await worker.add_task(echo, 1, metadata=MappingProxyType({"key": "value"}))
    metadata = info_of(worker, task_id).metadata
    assert type(metadata) is dict
    assert metadata == {"key": "value"}


async def test_metadata_in_an_event_is_a_copy_too(worker: AsyncTaskWorker) -> None:
    events = record_events(worker)
    task_id = await worker.add_task(echo, 1, metadata={"tags": ["a"]})
    events[0].task.metadata["tags"].append("b")
    assert info_of(worker, task_id).metadata == {"tags": ["a"]}


async def test_the_name_is_the_registered_task_type(worker: AsyncTaskWorker) -> None:
    assert info_of(worker, await worker.add_task(sleep_for, 0)).name == "sleep_for"


async def test_a_task_keeps_the_name_it_was_added_under(worker: AsyncTaskWorker) -> None:
    register_task("first_name", of_two_names)
    before = await ended(worker, await worker.add_task(of_two_names))
    register_task("second_name", of_two_names)
    assert info_of(worker, before.id) == before
    assert before.name == "first_name"
