"""Filter ledger records into pages; each page scans a bounded number of records."""

from __future__ import annotations

import struct
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import islice
from operator import attrgetter
from typing import Final

from ..model.failure import error_text
from ..model.query import Cursors, Position, TaskQuery
from ..model.record import TaskRecord
from ..model.status import FAILED

_MOST_SEEN: Final = 50_000
"""Records one page looks at: some ten milliseconds."""

_MOST_READ: Final = 5_000
"""Records one page reads the texts of."""

_MOST_CHARACTERS: Final = 1_000_000
"""Characters of those texts, give or take the records that are taken at a time."""

_TEXTS_AT_ONCE: Final = 50
_LEAST_AT_ONCE: Final = 500
"""Records taken from the ledger at a time, unless a page needs more."""

_created: Final = attrgetter("created")
_FLOAT: Final = struct.Struct(">d")
_INT: Final = struct.Struct(">q")
_LEAST: Final = -(2**63)

_AS_ADDED: Final = 0.001
"""Seconds by which the time a task was added may differ from that in a cursor: a file's is read back rounded."""

Test = Callable[[TaskRecord], bool]


def filter_page(
    records: Mapping[str, TaskRecord], query: TaskQuery, cursors: Cursors
) -> tuple[list[TaskRecord], str | None]:
    """Return the newest records that match, from the cursor on, and the cursor of what is left.

    Args:
        records: In the order they were added.
        query: What is wanted.
        cursors: Makes and reads the cursors.

    Raises:
        ValueError: The cursor is invalid.
    """
    position = cursors.position(query)
    newest_first = iter(_newest_first(records) if position is None else _after(records, position, cursors.lasting))
    left, at_once = (_MOST_SEEN, _LEAST_AT_ONCE) if query.text is None else (_MOST_READ, _TEXTS_AT_ONCE)
    reading = _Reading(query.text or "")
    tests = _tests(query, reading)
    page: list[TaskRecord] = []
    while seen := list(islice(newest_first, min(left, max(at_once, query.limit if query.text is None else 0)))):
        left -= len(seen)
        page += islice(_passing(seen, tests), query.limit - len(page))
        if reading.characters > _MOST_CHARACTERS:
            left = 0
        full = len(page) == query.limit
        if full or not left:
            last = page[-1] if full else seen[-1]
            more = last is not seen[-1] or next(newest_first, None) is not None
            return page, cursors.at(_position(last), query) if more else None
    return page, None


def _passing(records: list[TaskRecord], tests: list[Test]) -> list[TaskRecord]:
    for test in tests:  # one after the other: most records fail the first
        records = [record for record in records if test(record)]
    return records


def _newest_first(records: Mapping[str, TaskRecord]) -> Iterable[TaskRecord]:
    return reversed(records.values())  # type: ignore[call-overload, no-any-return]


def _position(record: TaskRecord) -> Position:
    return Position(record.created + record.wall_offset, _number(record.created), record.id)


def _number(moment: float) -> int:
    """Return an integer that grows with the moment."""
    (bits,) = _INT.unpack(_FLOAT.pack(moment))
    number: int = bits if bits >= 0 else _LEAST - bits
    return number


def _after(records: Mapping[str, TaskRecord], position: Position, lasting: bool) -> Iterator[TaskRecord]:
    """Return the records that are older than the one at the position, newest first."""
    listed = list(records.values())
    record = records.get(position.task_id)
    if record is not None and abs(record.created + record.wall_offset - position.created_at) < _AS_ADDED:
        place = bisect_left(listed, record.created, key=_created)
        while listed[place] is not record:
            place += 1
    elif lasting:  # it is forgotten, and may have been added in another life of the worker
        place = bisect_left(listed, position.created_at, key=_created_at)
    else:  # a moment of this process, whatever has become of the wall clock; no two tasks have the same
        place = bisect_left(listed, position.seq, key=_moment)
    return _backwards(listed, place)


def _created_at(record: TaskRecord) -> float:
    return record.created + record.wall_offset


def _moment(record: TaskRecord) -> int:
    return _number(record.created)


def _backwards(listed: list[TaskRecord], place: int) -> Iterator[TaskRecord]:
    return (listed[index] for index in range(place - 1, -1, -1))


def _tests(query: TaskQuery, reading: Test) -> list[Test]:
    """Return what a record has to pass, the cheapest first."""
    tests: list[Test] = []
    if (statuses := query.statuses) is not None:
        tests.append(lambda record: record.status in statuses)
    if (task_type := query.task_type) is not None:
        tests.append(lambda record: record.function.name == task_type)
    if (before := query.before) is not None:
        tests.append(lambda record: record.created + record.wall_offset < before)
    if (after := query.after) is not None:
        tests.append(lambda record: record.created + record.wall_offset >= after)
    if query.text is not None:
        tests.append(reading)
    return tests


class _Reading:
    """Looks for a text in those of a record, and counts the characters it reads."""

    def __init__(self, text: str) -> None:
        self._text = text
        self.characters = 0

    def __call__(self, record: TaskRecord) -> bool:
        for written in _texts(record):
            self.characters += str.__len__(written)
            if self._text in str.casefold(written):
                return True
        return False


def _texts(record: TaskRecord) -> Iterator[str]:
    yield record.id
    yield record.function.name
    if record.status is FAILED:
        yield error_text(record.error)
    for value in (record.metadata or {}).values():
        if issubclass(type(value), str):  # isinstance() would ask the value itself
            yield value
