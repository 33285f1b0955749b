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

_MAX_SCANNED: Final = 50_000
"""Records that one page scans at most: about 10 ms."""

_MAX_TEXT_SCANNED: Final = 5_000
"""Records that one page searches for a text at most."""

_MAX_CHARACTERS: Final = 1_000_000
"""Characters after which a text search stops, as soon as the current chunk is done."""

_MIN_TEXT_CHUNK: Final = 50
_MIN_CHUNK: Final = 500
"""Records scanned at a time, unless a page needs more."""

_created: Final = attrgetter("created")
_FLOAT: Final = struct.Struct(">d")
_INT: Final = struct.Struct(">q")
_MIN_INT: Final = -(2**63)

_CREATED_TOLERANCE: Final = 0.001
"""Seconds by which a creation time may differ from the one in a cursor: a file stores it rounded."""

Test = Callable[[TaskRecord], bool]


def filter_page(
    records: Mapping[str, TaskRecord], query: TaskQuery, cursors: Cursors
) -> tuple[list[TaskRecord], str | None]:
    """Return the newest records that match, from the cursor on, and the cursor of the next page.

    Args:
        records: All records, in the order in which they were added.
        query: The filters, the limit and the cursor.
        cursors: Makes and reads cursors.

    Returns:
        The records, and the next cursor; None after the last page.

    Raises:
        ValueError: The cursor is invalid.
    """
    position = cursors.position(query)
    newest_first = iter(_newest_first(records) if position is None else _after(records, position, cursors.lasting))
    remaining, chunk = (_MAX_SCANNED, _MIN_CHUNK) if query.text is None else (_MAX_TEXT_SCANNED, _MIN_TEXT_CHUNK)
    matcher = _TextMatcher(query.text or "")
    tests = _tests(query, matcher)
    page: list[TaskRecord] = []
    while scanned := list(islice(newest_first, min(remaining, max(chunk, query.limit if query.text is None else 0)))):
        remaining -= len(scanned)
        page += islice(_apply(scanned, tests), query.limit - len(page))
        if matcher.characters > _MAX_CHARACTERS:
            remaining = 0
        full = len(page) == query.limit
        if full or not remaining:
            last = page[-1] if full else scanned[-1]
            more = last is not scanned[-1] or next(newest_first, None) is not None
            return page, cursors.at(_position(last), query) if more else None
    return page, None


def _apply(records: list[TaskRecord], tests: list[Test]) -> list[TaskRecord]:
    for test in tests:  # each test on all records: most fail the first one
        records = [record for record in records if test(record)]
    return records


def _newest_first(records: Mapping[str, TaskRecord]) -> Iterable[TaskRecord]:
    return reversed(records.values())  # type: ignore[call-overload, no-any-return]


def _position(record: TaskRecord) -> Position:
    return Position(record.created + record.wall_offset, _number(record.created), record.id)


def _number(moment: float) -> int:
    """Return an integer that has the same order as *moment*, a float."""
    (bits,) = _INT.unpack(_FLOAT.pack(moment))
    number: int = bits if bits >= 0 else _MIN_INT - bits
    return number


def _after(records: Mapping[str, TaskRecord], position: Position, lasting: bool) -> Iterator[TaskRecord]:
    """Yield the records that are older than the one at the position, newest first."""
    listed = list(records.values())
    record = records.get(position.task_id)
    if record is not None and abs(record.created + record.wall_offset - position.created_at) < _CREATED_TOLERANCE:
        place = bisect_left(listed, record.created, key=_created)
        while listed[place] is not record:
            place += 1
    elif lasting:  # the record was dropped, and another process may have added it
        place = bisect_left(listed, position.created_at, key=_created_at)
    else:  # by monotonic time, which is unique per task and independent of the wall clock
        place = bisect_left(listed, position.seq, key=_moment)
    return _backwards(listed, place)


def _created_at(record: TaskRecord) -> float:
    return record.created + record.wall_offset


def _moment(record: TaskRecord) -> int:
    return _number(record.created)


def _backwards(listed: list[TaskRecord], place: int) -> Iterator[TaskRecord]:
    return (listed[index] for index in range(place - 1, -1, -1))


def _tests(query: TaskQuery, matcher: Test) -> list[Test]:
    """Return the tests that a record has to pass, the cheapest first."""
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
        tests.append(matcher)
    return tests


class _TextMatcher:
    """Tests whether a record contains a text, and counts the characters it searched."""

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
