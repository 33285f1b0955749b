"""Looking through the records of a ledger, a page at a time, without ever looking at too many of them."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import islice
from operator import attrgetter
from typing import Final

from .record import TaskRecord
from .search import TaskQuery, cursor_at, place_of
from .status import FAILED, error_text

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
Test = Callable[[TaskRecord], bool]


def sifted(records: Mapping[str, TaskRecord], query: TaskQuery) -> tuple[list[TaskRecord], str | None]:
    """Return the newest records that match, from the cursor on, and the cursor of what is left.

    Args:
        records: In the order they were added.
        query: What is wanted.
    """
    newest_first = iter(_from_cursor(records, query.cursor))
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
            return page, cursor_at(last.created, last.id) if more else None
    return page, None


def _passing(records: list[TaskRecord], tests: list[Test]) -> list[TaskRecord]:
    for test in tests:  # one after the other: most records fail the first
        records = [record for record in records if test(record)]
    return records


def _from_cursor(records: Mapping[str, TaskRecord], cursor: str | None) -> Iterable[TaskRecord]:
    if cursor is None:
        return reversed(records.values())  # type: ignore[call-overload, no-any-return]
    created, task_id = place_of(cursor)
    listed = list(records.values())
    place = bisect_right(listed, created, key=_created)
    # The record at the cursor may be gone; then its moment alone tells how far the page before came.
    for index in range(bisect_left(listed, created, hi=place, key=_created), place):
        if listed[index].id == task_id:
            place = index
            break
    return _backwards(listed, place)


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
        tests.append(lambda record: record.created + record.epoch < before)
    if (after := query.after) is not None:
        tests.append(lambda record: record.created + record.epoch >= after)
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
