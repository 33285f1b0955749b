"""What the packages start in the background says which context it runs in: a caller's would be kept alive by it."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import Final

SRC: Final = Path(__file__).parents[2] / "src"

SCHEDULE: Final = {"add_done_callback", "call_at", "call_later", "call_soon", "call_soon_threadsafe"}
CREATE: Final = {"create_task", "ensure_future", "TaskGroup"}


def breaches(source: str) -> Iterator[str]:
    """Yield the calls that leave the context to chance, or make a Task by other means than ``spawn``."""
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, ast.Call):
            continue
        function = node.func
        name = function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")
        has_context = any(keyword.arg == "context" for keyword in node.keywords)
        if name in CREATE or (name in SCHEDULE | {"Task"} and not has_context):
            yield f"line {node.lineno}: {ast.unparse(node)}"


def test_every_task_and_callback_says_in_which_context_it_runs() -> None:
    found = {str(path.relative_to(SRC)): list(breaches(path.read_text("utf-8"))) for path in SRC.rglob("*.py")}
    assert len(found) > 50
    assert {path: calls for path, calls in found.items() if calls} == {}


def test_the_calls_it_looks_for_are_found() -> None:
    source = """loop.call_soon(f)
loop.call_soon(f, context=Context())
asyncio.create_task(g())
asyncio.Task(g(), loop=loop)
future.add_done_callback(f)
"""
    assert [breach.partition(":")[0] for breach in breaches(source)] == ["line 1", "line 3", "line 4", "line 5"]
