"""Cursors: text in and out, and everything that is not one."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from async_task_worker import TaskStatus
from async_task_worker.model.clock import strictly_increasing
from async_task_worker.model.query import Cursors, Position, TaskQuery

CURSORS = Cursors(b"this worker", lasting=False)
ANY_TEXT = st.text(st.characters(exclude_categories=()), min_size=1)
POSITIONS = st.builds(Position, st.floats(allow_nan=False), st.integers(-(2**63), 2**63 - 1), ANY_TEXT)
FILTERED = {
    "statuses": frozenset({TaskStatus.FAILED, TaskStatus.PENDING}),
    "task_type": "resize",
    "before": 5.0,
    "after": 1.0,
    "text": "disk",
}


@given(POSITIONS)
def test_a_cursor_leads_back_to_its_position(position: Position) -> None:
    query = TaskQuery(cursor=CURSORS.at(position, TaskQuery()), limit=7)
    assert CURSORS.position(query) == position


@given(ANY_TEXT | st.text("ABCabc019-_", min_size=11))
def test_any_other_text_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is not a cursor"):
        CURSORS.position(TaskQuery(cursor=text))


@given(POSITIONS, st.data())
def test_a_changed_cursor_is_refused(position: Position, data: Any) -> None:
    cursor = CURSORS.at(position, TaskQuery())
    place = data.draw(st.integers(0, len(cursor) - 1))
    changed = cursor[:place] + data.draw(st.sampled_from("Aa0_").filter(lambda it: it != cursor[place]))
    for text in (changed + cursor[place + 1 :], changed, cursor + "A", cursor + "=", " " + cursor, cursor[1:]):
        with pytest.raises(ValueError, match="is not a cursor"):
            CURSORS.position(TaskQuery(cursor=text))


def test_the_cursor_of_another_worker_is_refused() -> None:
    foreign = Cursors(b"another", lasting=False).at(Position(1.0, 2, "id"), TaskQuery())
    with pytest.raises(ValueError, match="of this worker"):
        CURSORS.position(TaskQuery(cursor=foreign))


@pytest.mark.parametrize("name", FILTERED)
def test_changed_filters_are_refused_and_named(name: str) -> None:
    before: Any = TaskQuery(**FILTERED)  # type: ignore[arg-type]
    cursor = CURSORS.at(Position(1.0, 2, "id"), before)
    assert CURSORS.position(TaskQuery(**FILTERED, cursor=cursor, limit=1)) is not None  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="filters differ"):
        CURSORS.position(TaskQuery(**{**FILTERED, name: None}, cursor=cursor))  # type: ignore[arg-type]


def test_a_coarse_clock_returns_no_time_twice() -> None:
    tell = strictly_increasing(lambda: 5.0)
    times = [tell() for _ in range(100)]
    assert times == sorted(set(times))
    assert times[-1] == pytest.approx(5.0)
