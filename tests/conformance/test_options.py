"""The worker's own options: those that are documented are taken, those that make no sense are refused."""

from __future__ import annotations

import math
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from async_task_worker import AsyncCacheAdapter, AsyncTaskWorker
from tests.conformance.event_helpers import ended
from tests.conftest import MakeWorker
from tests.support.adapters import DictCache
from tests.support.backends import Backend
from tests.support.tasks import echo

BAD = [
    ("max_workers", 0, ValueError),
    ("max_workers", -1, ValueError),
    ("max_workers", True, TypeError),
    ("max_workers", 2.0, TypeError),
    ("max_workers", "4", TypeError),
    ("max_workers", None, TypeError),
    ("task_timeout", 0, ValueError),
    ("task_timeout", -5, ValueError),
    ("task_timeout", math.nan, ValueError),
    ("task_timeout", math.inf, ValueError),
    ("task_timeout", "60", TypeError),
    ("worker_poll_interval", 0, ValueError),
    ("worker_poll_interval", math.nan, ValueError),
    ("worker_poll_interval", None, TypeError),
    ("cache_enabled", "no", TypeError),
    ("cache_ttl", "60", TypeError),
    ("cache_ttl", math.nan, ValueError),
    ("cache_max_size", -1, ValueError),
    ("cache_max_size", 1.5, TypeError),
    ("cache_cleanup_interval", -1, ValueError),
    ("cache_cleanup_interval", "900", TypeError),
    ("cleanup_interval", -1, ValueError),
    ("cleanup_interval", math.nan, ValueError),
    ("cache_timeout", 0, ValueError),
    ("cache_timeout", "0.2", TypeError),
    ("cache_timeout", None, TypeError),
    ("coalesce", None, TypeError),
    ("max_queue_size", 0, ValueError),
    ("max_queue_size", True, TypeError),
    ("max_queue_size", 10.0, TypeError),
    ("on_full", "drop", ValueError),
    ("on_full", None, ValueError),
    ("retention", -1, ValueError),
    ("retention", timedelta(days=-1), ValueError),
    ("retention", math.nan, ValueError),
    ("retention", "a week", TypeError),
    ("max_history", -1, ValueError),
    ("max_history", 0.5, TypeError),
    ("max_history", True, TypeError),
    ("backend", "carrier-pigeon://", ValueError),
    ("backend", "", ValueError),
]


@pytest.mark.parametrize(("option", "value", "error"), BAD)
def test_a_bad_option_of_the_worker_is_refused_by_name(
    backend: Backend, tmp_path: Path, option: str, value: Any, error: type[Exception]
) -> None:
    with pytest.raises(error, match=option):
        AsyncTaskWorker(**{"backend": backend.url(tmp_path), option: value})


async def test_every_documented_option_is_taken(make_worker: MakeWorker) -> None:
    worker = await make_worker(
        max_workers=10,
        task_timeout=None,
        worker_poll_interval=1.0,
        cache_enabled=False,
        cache_ttl=3600,
        cache_max_size=1000,
        cache_adapter=None,
        cache_timeout=0.2,
        coalesce=True,
        cache_cleanup_interval=900,
        cleanup_interval=900,
        max_queue_size=100,
        on_full="error",
        retention=timedelta(days=1),
        max_history=1000,
    )
    assert (await ended(worker, await worker.add_task(echo, 1))).result == 1


async def test_options_that_can_be_switched_off_take_what_does_so(make_worker: MakeWorker) -> None:
    worker = await make_worker(
        cache_ttl=None,
        cache_max_size=None,
        cache_cleanup_interval=0,
        cleanup_interval=0,
        max_queue_size=None,
        retention=None,
        max_history=None,
    )
    assert (await ended(worker, await worker.add_task(echo, 1))).result == 1


def test_slots_and_timeout_are_the_only_options_by_position() -> None:
    assert AsyncTaskWorker(3, 60).max_workers == 3
    with pytest.raises(TypeError):
        AsyncTaskWorker(3, 60, 1.0)


def test_there_are_ten_slots_by_default() -> None:
    assert AsyncTaskWorker().max_workers == 10


@pytest.mark.parametrize("no_adapter", [object(), AsyncCacheAdapter, DictCache])
def test_what_is_no_cache_adapter_is_refused(no_adapter: Any) -> None:
    with pytest.raises(TypeError, match="cache adapter"):
        AsyncTaskWorker(cache_adapter=no_adapter)


@pytest.mark.parametrize("name", ["redis://localhost", "", "SQLITE", "sqlite:///tasks.db"])
def test_an_unknown_name_of_a_cache_adapter_is_answered_with_the_known_ones(name: str) -> None:
    with pytest.raises(ValueError, match="'memory' and 'sqlite'"):
        AsyncTaskWorker(cache_adapter=name)


def test_a_worker_is_made_outside_of_any_event_loop(backend: Backend, tmp_path: Path) -> None:
    assert not AsyncTaskWorker(backend=backend.url(tmp_path)).is_running
