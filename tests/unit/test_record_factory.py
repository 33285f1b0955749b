"""A call asked for: what the record of it holds, and that a refusal leaves none."""

from __future__ import annotations

import contextvars
import math
import uuid
from typing import Any

import pytest

from async_task_worker.model.status import TaskStatus
from async_task_worker.state.ledger import Ledger
from tests.support.parameter_ids import shown
from tests.unit.records import new_record, nothing, records_alive

request_id: contextvars.ContextVar[str] = contextvars.ContextVar("request_id")


async def two(first: object, second: object = None) -> None: ...


def test_it_holds_what_was_asked_for() -> None:
    record = new_record(two, 1, second=2, priority=-5, task_id="a", timeout=3, metadata={"b": 1})
    assert (record.id, record.function.name, record.func) == ("a", "two", two)
    assert (record.args, record.kwargs) == ((1,), {"second": 2})
    assert (record.priority, record.timeout, record.metadata) == (-5, 3.0, {"b": 1})
    assert record.status is TaskStatus.PENDING
    assert not record.finished


def test_an_id_is_made_if_none_is_given() -> None:
    ids = [new_record().id for _ in range(1000)]
    assert len(set(ids)) == 1000
    assert all(str(uuid.UUID(made)) == made for made in ids)


def test_a_large_priority_is_one_too() -> None:
    for priority in (2**31, -(2**31) - 1, 2**63 - 1, -(2**63)):
        assert new_record(priority=priority).priority == priority


def test_it_carries_the_context_of_its_caller() -> None:
    def ask() -> Any:
        request_id.set("r-1")
        return new_record()

    record = contextvars.copy_context().run(ask)
    assert record.context[request_id] == "r-1"


def test_an_empty_context_is_held_once_for_all() -> None:
    first, second = (contextvars.Context().run(new_record) for _ in range(2))
    assert first.context is second.context


def test_a_task_without_metadata_shows_a_dict_of_its_own() -> None:
    ledger, record = Ledger(), new_record()
    ledger.admit(record)
    record.info().metadata["a"] = 1
    assert record.info().metadata == {}


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"func": None}, TypeError),
        ({"func": print}, TypeError),
        ({"func": two}, TypeError),
        ({"unknown": 1}, TypeError),
        ({"priority": 1.0}, TypeError),
        ({"priority": True}, TypeError),
        ({"priority": 2**63}, ValueError),
        ({"timeout": 0}, ValueError),
        ({"timeout": math.nan}, ValueError),
        ({"timeout": "5"}, TypeError),
        ({"metadata": []}, TypeError),
        ({"task_id": ""}, ValueError),
        ({"task_id": 5}, TypeError),
    ],
    ids=shown,
)
def test_a_bad_one_is_refused_before_there_is_a_record(options: dict[str, Any], error: type[Exception]) -> None:
    before = records_alive()
    with pytest.raises(error):
        new_record(**{"func": nothing, **options})
    assert records_alive() == before
