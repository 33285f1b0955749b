"""Only the ledger changes a task's record: all other modules call one of its methods."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from async_task_worker.model.record import TaskRecord

SRC: Final = Path(__file__).parents[2] / "src" / "async_task_worker"

OWNERS: Final = {"state/ledger.py", "state/progress.py", "state/result_memory.py"}
"""The ledger, and the parts of it that have modules of their own."""

MAKERS: Final = {"model/record.py", "model/record_factory.py", "journal/restore.py"}
"""They write into records that no ledger knows yet."""

LOCATION: Final = {"location"}
"""Where a task waits or runs: the runtime's own, no part of the task's state."""

STATE: Final = set(TaskRecord.__slots__) - LOCATION


def writes(source: str) -> Iterator[str]:
    """Yield the assignments to fields of a record in this source."""
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, ast.Attribute) or isinstance(node.ctx, ast.Load):
            continue
        if node.attr in STATE and _is_record(node.value):
            yield f"line {node.lineno}: {ast.unparse(node)}"


def _is_record(owner: ast.expr) -> bool:
    return ast.unparse(owner).rpartition(".")[2] in {"record", "leader", "follower"}


def test_only_the_ledger_writes_into_a_record() -> None:
    found = {
        name: list(writes(path.read_text(encoding="utf-8")))
        for path in sorted(SRC.rglob("*.py"))
        if (name := path.relative_to(SRC).as_posix()) not in MAKERS | OWNERS
    }
    assert {name: lines for name, lines in found.items() if lines} == {}


def test_each_way_of_writing_is_found() -> None:
    source = "record.status = 1\nself.record.phase: str = ''\nrecord.progress += 1\nx, leader.priority = 1, 2\n"
    assert len(list(writes(source))) == 4
    assert list(writes("record.location = 1\nself.status = 2\nknown[record.id] = record.phase\n")) == []
    assert list(writes((SRC / "state/ledger.py").read_text(encoding="utf-8")))
