"""Calls into an event loop from a thread that cannot know whether it is still there."""

from __future__ import annotations

import asyncio
from contextlib import closing

import pytest

from async_task_worker.model.event_loop import call_from_any_thread


def test_a_call_to_a_closed_loop_returns_false() -> None:
    loop = asyncio.SelectorEventLoop()
    loop.close()
    assert not call_from_any_thread(loop, print)


def test_an_open_loop_makes_the_call() -> None:
    called: list[int] = []
    with closing(asyncio.SelectorEventLoop()) as loop:
        assert call_from_any_thread(loop, called.append, 1)
        loop.call_soon(loop.stop)
        loop.run_forever()
    assert called == [1]


def test_any_other_error_of_the_loop_is_raised() -> None:
    class Broken(asyncio.SelectorEventLoop):
        def call_soon_threadsafe(self, *_args: object, **_options: object) -> asyncio.Handle:
            raise RuntimeError("something else")

    with closing(Broken()) as loop, pytest.raises(RuntimeError, match="something else"):
        call_from_any_thread(loop, print)
