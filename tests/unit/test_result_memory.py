"""How much memory results take, and which are dropped."""

from __future__ import annotations

import logging
import sys
from array import array
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
from uuid_utils import uuid4

from async_task_worker import AsyncTaskWorker
from async_task_worker.model.outcome import completed
from async_task_worker.model.record_factory import create_record
from async_task_worker.state import result_memory
from async_task_worker.state.ledger import Ledger
from async_task_worker.state.result_memory import size_of
from tests.unit.records import nothing


def ended(ledger: Ledger, result: Any) -> str:
    record = create_record(nothing, (), None, priority=0, timeout=None, metadata=None, task_id=None, new_id=uuid4)
    ledger.admit(record)
    ledger.start(record)
    ledger.settle(record, completed(result))
    return record.id


@pytest.mark.parametrize("value", [b"x" * 1000, "x" * 1000, bytearray(1000), array("d", [1.0] * 100)], ids=type)
def test_text_bytes_and_arrays_are_measured_exactly(value: object) -> None:
    assert size_of(value) == sys.getsizeof(value)


def test_containers_are_measured_by_some_of_their_items() -> None:
    block = sys.getsizeof(b"x" * 1000)
    for container in ([b"x" * 1000] * 100, tuple([b"x" * 1000] * 100), dict.fromkeys(range(100), b"x" * 1000)):
        assert 100 * block <= size_of(container) < 110 * block + sys.getsizeof(container)
    itself: list[Any] = []
    itself.append(itself)
    assert size_of(itself) < 1000
    assert size_of(memoryview(bytes(5000))) >= 5000


class Text(str):
    """Text of a class of its own, as of a template."""

    __slots__ = ()


@dataclass(slots=True)
class Page:
    body: object
    title: str = field(init=False)


MADE: dict[str, Callable[[bytes], object]] = {
    "slots": Page,
    "slots of slots": lambda body: Page(Page(body)),
    "derived text": lambda body: Text(body.decode()),
}


@pytest.mark.parametrize("make", MADE.values(), ids=MADE)
def test_attributes_in_slots_and_classes_derived_from_text_are_measured(make: Callable[[bytes], object]) -> None:
    assert 100_000 < size_of(make(b"x" * 100_000)) < 101_000


class Hostile:
    @property
    def nbytes(self) -> int:
        raise OSError("not today")


def test_an_object_that_cannot_be_measured_is_taken_as_small() -> None:
    assert size_of(Hostile()) == object.__sizeof__(Hostile())


def test_results_are_counted_out_with_their_records() -> None:
    ledger = Ledger(max_history=2)
    for size in (1000, 2000, 3000, None, 5):
        ended(ledger, size if size is None or size == 5 else b"x" * size)
    assert ledger.results.total == 0
    ended(ledger, b"x" * 100)
    assert ledger.results.total == sys.getsizeof(b"x" * 100)


def test_the_oldest_results_are_dropped_and_show_that() -> None:
    ledger = Ledger(max_result_bytes=2500)
    ids = [ended(ledger, b"x" * 1000) for _ in range(3)]
    infos = [ledger.get(task_id).info() for task_id in ids]  # type: ignore[union-attr]
    assert [info.result_dropped for info in infos] == [True, False, False]
    assert [info.result is None for info in infos] == [True, False, False]
    assert infos[0].revision == infos[1].revision + 1
    assert infos[0].as_dict()["result_dropped"] is True
    assert ledger.results.total <= 2500


def test_what_is_not_written_down_yet_is_not_dropped() -> None:
    ledger = Ledger(max_result_bytes=0)
    ledger.results.may_drop = lambda _: False
    kept = ended(ledger, b"kept")
    assert ledger.get(kept).info().result == b"kept"  # type: ignore[union-attr]
    ledger.results.may_drop = lambda _: True
    ended(ledger, b"next")
    assert ledger.get(kept).info().result_dropped  # type: ignore[union-attr]


def test_much_memory_is_warned_of_once(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    monkeypatch.setattr(result_memory, "WARN_ABOVE", 1 << 20)
    ledger = Ledger()
    with caplog.at_level(logging.WARNING, "async_task_worker"):
        for _ in range(5):
            ended(ledger, bytes(400_000))
    (warning,) = caplog.records
    assert all(name in warning.getMessage() for name in ("retention", "max_history", "max_result_bytes"))


@pytest.mark.parametrize("odd", [-1, 1.5, True], ids=repr)
def test_an_odd_limit_is_refused(odd: Any) -> None:
    with pytest.raises((TypeError, ValueError), match="max_result_bytes"):
        AsyncTaskWorker(max_result_bytes=odd)
