"""The package's own errors: what they say, what they are, and that they survive a journey."""

from __future__ import annotations

import asyncio
import copy
import inspect
import json
import pickle
import subprocess
import sys
from typing import Any

import pytest

import async_cache
import async_task_worker
from async_task_worker import (
    CacheUnavailableError,
    DuplicateTaskError,
    ForkedWorkerError,
    InvalidCacheKeyError,
    NotRegisteredError,
    NotStorableError,
    PrefixRequiredError,
    QueueFullError,
    ResultDroppedError,
    StorageDamagedError,
    StorageError,
    StorageInUseError,
    TaskCancelledError,
    TaskFailedError,
    TaskInterruptedError,
    TaskNotFoundError,
    TaskTimeoutError,
    TaskWorkerError,
    WorkerNotRunningError,
    WrongEventLoopError,
)
from async_task_worker.model.event_loop import raise_in_loop
from tests.support.virtual_time import run_virtual

BUILTIN = {
    TaskNotFoundError: KeyError,
    DuplicateTaskError: ValueError,
    WorkerNotRunningError: RuntimeError,
    WrongEventLoopError: RuntimeError,
    QueueFullError: Exception,
    ResultDroppedError: Exception,
    TaskFailedError: Exception,
    TaskCancelledError: Exception,
    TaskTimeoutError: TimeoutError,
    TaskInterruptedError: Exception,
    NotRegisteredError: LookupError,
    NotStorableError: TypeError,
    StorageError: OSError,
    StorageInUseError: OSError,
    StorageDamagedError: OSError,
    ForkedWorkerError: RuntimeError,
    InvalidCacheKeyError: ValueError,
    CacheUnavailableError: Exception,
    PrefixRequiredError: ValueError,
}
EVERY = pytest.mark.parametrize("error", BUILTIN)


def test_none_is_missing_here() -> None:
    exported = [getattr(async_task_worker, name) for name in async_task_worker.__all__]
    errors = {found for found in exported if inspect.isclass(found) and issubclass(found, BaseException)}
    assert errors == {TaskWorkerError, *BUILTIN}


@EVERY
def test_each_is_one_of_ours_and_the_builtin_one_a_caller_may_expect(error: type[TaskWorkerError]) -> None:
    assert issubclass(error, TaskWorkerError)
    assert issubclass(error, BUILTIN[error])
    assert not issubclass(error, asyncio.CancelledError)


@EVERY
def test_it_has_a_message_without_arguments(error: type[TaskWorkerError]) -> None:
    assert str(error()) == error.__doc__
    assert "\n" not in str(error())
    assert error().task_id is None


@EVERY
def test_its_message_begins_with_the_detail(error: type[TaskWorkerError]) -> None:
    assert str(error("'a'", task_id="a")).startswith("'a'")
    assert error("'a'", task_id="a").task_id == "a"


def test_a_subclass_without_a_docstring_has_the_text_of_its_base() -> None:
    class TenantQueueFullError(QueueFullError):
        pass

    class OwnError(TaskWorkerError):
        pass

    class OwnMissingError(OwnError, TaskNotFoundError):
        """Nothing here."""

    assert str(TenantQueueFullError("tenant 5")) == f"tenant 5: {QueueFullError.__doc__}"
    assert str(OwnError("tenant 5")) == "tenant 5: OwnError"
    assert str(TaskWorkerError("tenant 5")) == "tenant 5: TaskWorkerError"
    assert str(OwnMissingError()) == "Nothing here."


TEXTS = """
import json
import async_task_worker as package
errors = [found for name in package.__all__ if name.endswith("Error") and (found := getattr(package, name))]
subclass = type("OwnError", (package.QueueFullError,), {})
print(json.dumps({error.__name__: str(error("'a'")) for error in [*errors, subclass]}))
"""


def test_the_texts_do_not_depend_on_docstrings_which_OO_removes() -> None:  # noqa: N802 - the name of the option
    usual, stripped = (
        subprocess.run([sys.executable, "-I", *option, "-c", TEXTS], stdout=subprocess.PIPE, text=True, check=True)
        for option in ([], ["-OO"])
    )
    texts = json.loads(usual.stdout)
    assert BUILTIN.keys() <= {getattr(async_task_worker, name, None) for name in texts}
    assert texts == json.loads(stripped.stdout)


def test_the_message_of_a_timeout_has_only_the_limit() -> None:
    assert str(TaskTimeoutError("Task timed out after 5 seconds")) == "Task timed out after 5 seconds"


@EVERY
@pytest.mark.parametrize("journey", [lambda e: pickle.loads(pickle.dumps(e)), copy.copy, copy.deepcopy])  # noqa: S301
@pytest.mark.parametrize("detail", [None, "'a'"])
def test_it_survives_a_journey(error: type[TaskWorkerError], journey: Any, detail: str | None) -> None:
    original = error(detail, task_id="a")
    arrived = journey(original)
    assert type(arrived) is error
    assert (str(arrived), arrived.args, arrived.task_id) == (str(original), original.args, "a")


@pytest.mark.parametrize("error", [InvalidCacheKeyError, CacheUnavailableError, PrefixRequiredError])
def test_an_error_of_the_cache_belongs_to_both_families(error: type[TaskWorkerError]) -> None:
    base = getattr(async_cache, error.__name__)
    assert issubclass(error, base)
    assert issubclass(error, async_cache.AsyncCacheError)
    assert str(error()) == str(base())


def test_an_interrupt_handed_to_the_loop_ends_it() -> None:
    interrupt = KeyboardInterrupt("stop it")
    after: list[str] = []

    async def main() -> None:
        raise_in_loop(interrupt)
        after.append("this step is finished")
        await asyncio.sleep(1)
        after.append("not reached")

    with pytest.raises(KeyboardInterrupt) as caught:
        run_virtual(main)
    assert caught.value is interrupt
    assert after == ["this step is finished"]
