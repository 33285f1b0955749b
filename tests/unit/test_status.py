"""The public snapshot and the words for a task's state."""

from __future__ import annotations

import dataclasses
import time
from typing import Any

import pytest

from async_task_worker import TaskInfo, TaskStatus
from async_task_worker.model.clock import SYSTEM_CLOCK, Clock
from async_task_worker.model.failure import error_text
from async_task_worker.model.outcome import failed
from async_task_worker.model.status import ErrorDetail
from async_task_worker.state.ledger import Ledger
from tests.unit.records import ManualClock, admitted


class OddlyNamedError(Exception):
    """Not a builtin."""


class SilentError(Exception):
    def __str__(self) -> str:
        return ""


class RaisingError(Exception):
    def __init__(self, fault: BaseException) -> None:
        super().__init__(fault)
        self.fault = fault

    def __str__(self) -> str:
        raise self.fault


def test_there_are_five_statuses_and_each_is_its_text() -> None:
    assert [f"{status}" for status in TaskStatus] == ["pending", "running", "completed", "failed", "cancelled"]
    assert all(status == str(status) and isinstance(status, str) for status in TaskStatus)


@pytest.mark.parametrize("status", TaskStatus)
def test_a_snapshot_has_finished(status: TaskStatus) -> None:
    info = admitted(Ledger(), status=status).info()
    assert info.finished is (status in {"completed", "failed", "cancelled"})
    assert info.finished is (info.completed_at is not None)


def test_a_snapshot_never_changes() -> None:
    ledger = Ledger()
    record = admitted(ledger, metadata={"a": [1]})
    info = record.info()
    ledger.start(record)
    ledger.report(record, 0.5)
    assert (info.status, info.progress, info.started_at) == ("pending", 0.0, None)
    with pytest.raises(dataclasses.FrozenInstanceError):
        info.progress = 1.0  # type: ignore[misc]


@pytest.mark.parametrize("status", TaskStatus)
def test_a_snapshot_lacks_none_of_its_fields(status: TaskStatus) -> None:
    info = admitted(Ledger(), status=status).info()

    assert type(info) is TaskInfo
    assert all(hasattr(info, field.name) for field in dataclasses.fields(TaskInfo))
    assert dataclasses.replace(info) == info


def test_writing_into_its_metadata_changes_nothing_else() -> None:
    record = admitted(Ledger(), metadata={"a": [1]})
    info = record.info()
    info.metadata["a"].append(2)
    info.metadata["b"] = 3
    assert record.info().metadata == {"a": [1]}
    assert type(info.metadata) is dict


def test_durations_are_known_when_they_are_over() -> None:
    clock = ManualClock()
    ledger = Ledger(clock=clock.clock)
    record = admitted(ledger)
    assert _durations(record.info()) == (None, None)
    clock.advance(2)
    ledger.start(record)
    assert _durations(record.info()) == (pytest.approx(2), None)
    clock.advance(3)
    ledger.settle(record, failed(ValueError()))
    assert _durations(record.info()) == (pytest.approx(2), pytest.approx(3))


def test_a_task_that_never_ran_has_no_durations() -> None:
    ledger = Ledger()
    record = admitted(ledger)
    ledger.settle(record, (TaskStatus.CANCELLED, None, None))
    assert _durations(record.info()) == (None, None)


def _durations(info: TaskInfo) -> tuple[float | None, float | None]:
    return info.wait_time, info.run_time


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (ValueError("wrong"), "wrong"),
        (KeyError("a"), "'a'"),
        (ValueError(), "ValueError"),
        (SilentError("x"), "SilentError"),
        (RaisingError(ValueError()), "<RaisingError; its str() raised ValueError>"),
        (RaisingError(SystemExit()), "<RaisingError; its str() raised SystemExit>"),
        (SystemExit(3), "3"),
    ],
    ids=lambda value: value if isinstance(value, str) else type(value).__name__,
)
def test_an_error_always_has_a_text(error: BaseException, text: str) -> None:
    assert error_text(error) == text
    assert ErrorDetail.of(error).message == text


def test_the_detail_of_an_error_has_its_type_and_traceback() -> None:
    try:
        raise OddlyNamedError("here")
    except OddlyNamedError as error:
        detail = ErrorDetail.of(error)
    assert detail.type == f"{__name__}.OddlyNamedError"
    assert ErrorDetail.of(ValueError()).type == "ValueError"
    assert "Traceback" in detail.traceback
    assert 'raise OddlyNamedError("here")' in detail.traceback


@pytest.mark.parametrize("fault", [ValueError(), SystemExit(), GeneratorExit()])
def test_the_detail_of_an_error_that_cannot_be_shown_can_be_read(fault: BaseException) -> None:
    detail = ErrorDetail.of(RaisingError(fault))
    assert "RaisingError" in detail.type
    assert "RaisingError" in detail.message
    assert "RaisingError" in detail.traceback


def test_the_usual_clock_is_the_systems() -> None:
    assert SYSTEM_CLOCK == Clock() == (time.time, time.monotonic)
    wall: Any = lambda: 1.0  # noqa: E731
    assert Clock(wall=wall) == (wall, time.monotonic)


class Sealed(type):
    """A class of classes that tell nothing of themselves."""

    def __getattribute__(cls, name: str) -> Any:
        raise RuntimeError("no")


class SealedError(Exception, metaclass=Sealed):
    def __str__(self) -> str:
        return str(self.args[0] if self.args else "")


def test_an_error_whose_class_refuses_to_be_looked_at_has_a_name_and_a_text() -> None:
    assert ErrorDetail.of(SealedError("text")).type == f"{__name__}.SealedError"
    assert error_text(SealedError()) == "SealedError"
    assert error_text(RaisingError(SealedError())) == "<RaisingError; its str() raised SealedError>"
