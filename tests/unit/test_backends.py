"""Opening a backend by its address."""

from __future__ import annotations

from typing import Any

import pytest

from async_task_worker import AsyncTaskWorker
from async_task_worker.backends import MemoryBackend, open_backend


@pytest.mark.parametrize("url", ["memory://", "memory://ignored"])
def test_memory_is_a_local_backend(url: str) -> None:
    assert type(open_backend(url)) is MemoryBackend


def test_each_address_opens_a_backend_of_its_own() -> None:
    assert open_backend("memory://") is not open_backend("memory://")


def test_an_object_is_taken_as_it_is() -> None:
    backend = MemoryBackend()
    assert open_backend(backend) is backend


@pytest.mark.parametrize("url", ["", "memory", "memory:", "Memory://", "mysql://host", "://", "postgres//host"])
def test_an_unknown_address_is_refused_and_the_known_ones_are_named(url: str) -> None:
    with pytest.raises(ValueError, match="memory://"):
        open_backend(url)
    with pytest.raises(ValueError, match="memory://"):
        AsyncTaskWorker(backend=url)


@pytest.mark.parametrize("thing", [None, 5, b"memory://", object()])
def test_anything_else_is_refused(thing: Any) -> None:
    with pytest.raises(TypeError, match="backend"):
        open_backend(thing)
