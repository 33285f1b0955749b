"""Run the chapters of a document, each in a namespace of its own, as a reader would."""

from __future__ import annotations

import ast
import asyncio
import contextlib
import doctest
import inspect
import io
import os
import signal
import subprocess
import sys
import types
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING
from unittest import mock

if TYPE_CHECKING:
    from tests.support.documents import Block, Chapter

LONGEST = 30.0
"""How many real seconds a block may take that runs in a process of its own."""


def run_chapter(chapter: Chapter) -> None:
    """Run its blocks in order; raise what a block raises, and AssertionError for output that differs.

    The code counts as the main module, so what stands under ``if __name__ == "__main__"``
    runs too, and its line numbers are those of the document.
    """
    module = types.ModuleType("__main__")
    with mock.patch.dict(sys.modules, {"__main__": module}), asyncio.Runner(debug=True) as runner:
        for block in chapter.blocks:
            printed = _run_block(block, module, runner)
            if block.output is not None:
                _compare(block, printed)


def _run_block(block: Block, module: types.ModuleType, runner: asyncio.Runner) -> str:
    if "until" in block.remarks:
        return _run_until_signalled(block)
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        _execute(block.remarks.get("setup", ""), block, module, runner)
        if "save" in block.remarks:
            Path(block.remarks["save"].strip()).write_text(block.code, encoding="utf-8")
            return ""
        with _expected_error(block):
            _execute(block.code, block, module, runner)
    return printed.getvalue()


def _execute(source: str, block: Block, module: types.ModuleType, runner: asyncio.Runner) -> None:
    flags = ast.PyCF_ALLOW_TOP_LEVEL_AWAIT if "async" in block.remarks else 0
    placed = "\n" * (block.line - 1) + source
    code = compile(placed, str(block.path), "exec", flags=flags, dont_inherit=True)

    async def on_the_loop() -> None:
        made = types.FunctionType(code, vars(module))()
        if inspect.iscoroutine(made):  # it does await something
            await made

    if "async" in block.remarks:
        runner.run(on_the_loop())
    else:
        exec(code, vars(module))  # noqa: S102 - running the document is what this module is for


@contextlib.contextmanager
def _expected_error(block: Block) -> Iterator[None]:
    expected = block.remarks.get("raises")
    try:
        yield
    except Exception as error:
        if type(error).__name__ != expected:
            raise
    else:
        assert expected is None, f"{block.place}: did not raise {expected}"


def _run_until_signalled(block: Block) -> str:
    """Run the block as a program of its own and end it as an operating system would."""
    number = signal.Signals[block.remarks["until"].strip()]
    source = f"{block.remarks.get('setup', '')}\n{block.code}"
    path = os.pathsep.join(filter(None, sys.path))
    with subprocess.Popen(
        [sys.executable, "-u", "-c", source],
        env={**os.environ, "PYTHONPATH": path},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        first = process.stdout.readline()
        process.send_signal(number)
        try:
            rest, errors = process.communicate(timeout=LONGEST)
        finally:
            process.kill()
    assert process.returncode == 0, f"{block.place}: exit status {process.returncode}\n{errors}"
    return first + rest


def _compare(block: Block, printed: str) -> None:
    assert block.output is not None
    wanted, got = _trimmed(block.output), _trimmed(printed)
    same = doctest.OutputChecker().check_output(wanted, got, doctest.ELLIPSIS)
    assert same, f"{block.place}: the document shows\n{wanted}\nbut what is printed is\n{got}"


def _trimmed(text: str) -> str:
    return "\n".join(line.rstrip() for line in text.strip("\n").splitlines()) + "\n"
