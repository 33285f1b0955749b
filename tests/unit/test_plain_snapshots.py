"""A snapshot is plain data: it can be copied, pickled and encoded, whatever became of its task."""

from __future__ import annotations

import copy
import dataclasses
import json
import math
import pickle
from datetime import UTC, datetime
from typing import Any

import pytest
from fastapi.encoders import jsonable_encoder

from async_task_worker import AsyncTaskWorker, ErrorDetail, TaskFailedError, TaskInfo, TaskStatus
from async_task_worker.web.models.responses import TaskBody
from tests.conformance.event_helpers import ended, info_of
from tests.support.tasks import echo, fail_with, wait_at
from tests.support.waiting import running

COPIERS = {
    "copy": copy.copy,
    "deepcopy": copy.deepcopy,
    "pickle": lambda value: pickle.loads(pickle.dumps(value)),  # noqa: S301 - written right here
    "old pickle": lambda value: pickle.loads(pickle.dumps(value, 2)),  # noqa: S301
}


async def one_of_each(worker: AsyncTaskWorker) -> list[TaskInfo]:
    """Return the snapshots of a task in each status."""
    good = await worker.add_task(echo, {"a": [1, 2]}, metadata={"k": ["v"]})
    bad = await worker.add_task(fail_with, "wrong", "KeyError")
    await ended(worker, bad)
    blocked = [await worker.add_task(wait_at, "gate") for _ in range(2)]
    await running(worker, *blocked)
    pending, cancelled = await worker.add_task(echo, 1), await worker.add_task(echo, 2)
    await worker.cancel_task(cancelled)
    infos = [info_of(worker, task_id) for task_id in (good, bad, blocked[0], pending, cancelled)]
    assert {info.status for info in infos} == set(TaskStatus)
    return infos


@pytest.mark.parametrize("way", COPIERS)
async def test_every_snapshot_can_be_copied(worker: AsyncTaskWorker, way: str) -> None:
    for info in await one_of_each(worker):
        copied = COPIERS[way](info)
        assert copied == info
        assert type(copied) is TaskInfo
        if (detail := copied.error_detail) is not None:
            assert detail.exception is None or way == "copy"
            assert (detail.type, detail.message) == ("KeyError", "'wrong'")
            assert "in fail_with" in detail.traceback


async def test_every_snapshot_becomes_a_dict_and_json(worker: AsyncTaskWorker) -> None:
    for info in await one_of_each(worker):
        told = dataclasses.asdict(info)
        assert told["id"] == jsonable_encoder(info)["id"] == info.id
        if info.error_detail is not None:
            assert told["error_detail"].keys() == {"type", "message", "traceback"}
            assert jsonable_encoder(info)["error_detail"]["type"] == "KeyError"
            assert TaskInfo(**{**told, "error_detail": ErrorDetail(**told["error_detail"])}) == info


async def test_events_can_be_copied_too(worker: AsyncTaskWorker) -> None:
    heard: list[Any] = []
    worker.events.listen(heard.append)
    await ended(worker, await worker.add_task(fail_with, "wrong"))
    assert [event.type for event in heard] == ["task.created", "task.started", "task.failed"]
    for copier in COPIERS.values():
        assert copier(heard) == heard
    assert [dataclasses.asdict(event)["seq"] for event in heard] == [1, 2, 3]
    jsonable_encoder(heard)


async def test_the_exception_itself_is_reached_through_the_snapshot(worker: AsyncTaskWorker) -> None:
    info = await ended(worker, await worker.add_task(fail_with, "wrong"))
    assert info.error_detail is not None
    with pytest.raises(ValueError, match="wrong") as caught:
        await worker.get_task_future(info.id)
    assert info.error_detail.exception is caught.value


def failed_with(error: BaseException, result: object = None) -> TaskInfo:
    now = datetime(2026, 1, 5, 12, tzinfo=UTC)
    return TaskInfo(
        id="\ud800",
        name="shout",
        status=TaskStatus.FAILED,
        phase=None,
        created_at=now,
        started_at=now,
        completed_at=now,
        progress=0.5,
        progress_detail={"a": b"b"},
        result=result,
        error=str(error),
        error_detail=ErrorDetail.of(error),
        metadata={"odd": {1, 2}},
        priority=0,
        attempt=1,
        from_cache=False,
        revision=2,
    )


def test_as_dict_has_the_names_of_the_http_body_in_their_order() -> None:
    assert list(failed_with(ValueError("x")).as_dict()) == list(TaskBody.model_fields)


@pytest.mark.parametrize(
    "result",
    [math.nan, b"\xff", {(1, 2): object()}, "\ud800", 10**5000, [math.inf], ValueError, TaskStatus.PENDING],
    ids=lambda value: type(value).__name__,
)
def test_as_dict_is_json_whatever_the_task_returned(result: object) -> None:
    told = failed_with(ValueError("\ud800"), result).as_dict(include_traceback=True)
    assert json.loads(json.dumps(told, allow_nan=False)) == told
    json.dumps(told, ensure_ascii=False).encode("utf-8")
    assert told["error_detail"]["type"] == "ValueError"
    assert told["error_detail"]["traceback"].startswith("ValueError: ")
    assert told["created_at"] == "2026-01-05T12:00:00Z"


def test_as_dict_shows_no_traceback_unless_it_is_asked_to() -> None:
    assert failed_with(ValueError("x")).as_dict()["error_detail"] == {"type": "ValueError", "message": "x"}


def test_a_detail_made_of_texts_alone_has_no_exception() -> None:
    detail = ErrorDetail("ValueError", "wrong", "Traceback …")
    assert detail.exception is None
    assert detail == ErrorDetail("ValueError", "wrong", "Traceback …")
    assert hash(detail) == hash(ErrorDetail("ValueError", "wrong", "Traceback …"))
    assert detail != ErrorDetail("ValueError", "other", "Traceback …")
    assert detail != ("ValueError", "wrong", "Traceback …")
    assert not hasattr(detail, "other")


def test_the_texts_of_an_error_are_made_when_they_are_read() -> None:
    asked: list[str] = []

    class AskedError(Exception):
        def __str__(self) -> str:
            asked.append("str")
            return "text"

    detail = ErrorDetail.of(AskedError())
    assert detail == ErrorDetail.of(detail.exception or TaskFailedError())
    assert asked == []
    assert detail.message == detail.message == "text"
    assert asked == ["str"]
