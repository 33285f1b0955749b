"""The documented surface: every name can be imported, every method has the documented parameters and defaults."""

from __future__ import annotations

import importlib.metadata
import inspect
import pickle
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

import async_task_worker
from async_task_worker import (
    AsyncCacheAdapter,
    AsyncTaskWorker,
    EventStream,
    ProgressCallback,
    TaskEvent,
    TaskInfo,
    TaskWorkerError,
    WorkerPool,
    create_task_worker_router,
    get_all_task_types,
    get_task_function,
    register_task,
    task,
)
from async_task_worker.state.events import EventBus

NAMES = [
    *("AsyncTaskWorker", "WorkerPool", "TaskQueue", "TaskExecutor", "TaskInfo", "TaskStatus", "ProgressCallback"),
    *("task", "register_task", "get_task_function", "get_all_task_types", "TaskEvent"),
    *("create_task_worker_router", "TaskPage"),
    *(
        "TaskWorkerError",
        "TaskNotFoundError",
        "DuplicateTaskError",
        "WorkerNotRunningError",
        "WrongEventLoopError",
    ),
    *("NotRegisteredError", "NotStorableError", "StorageError", "StorageInUseError", "StorageDamagedError"),
    *("ForkedWorkerError", "MissingResult"),
    *("QueueFullError", "TaskFailedError", "TaskCancelledError", "TaskTimeoutError", "TaskInterruptedError"),
    *("AsyncCacheAdapter", "CacheAdapter", "InvalidCacheKeyError", "CacheUnavailableError", "PrefixRequiredError"),
    *("ResultDroppedError", "Clock", "ErrorDetail", "Limits", "redact_names"),
]
REQUIRED = inspect.Parameter.empty
OPTIONS = {
    "priority": 0,
    "task_id": None,
    "metadata": None,
    "timeout": None,
    "use_cache": None,
    "cache_ttl": None,
    "cache_key_fn": None,
}
CONSTRUCTOR = {
    "max_workers": 10,
    "task_timeout": None,
    "worker_poll_interval": 1.0,
    "cache_enabled": False,
    "cache_ttl": 3600,
    "cache_max_size": 1000,
    "cache_adapter": None,
    "cache_timeout": 0.2,
    "cache_key_fn": None,
    "coalesce": True,
    "cache_cleanup_interval": None,
    "cleanup_interval": None,
    "max_queue_size": None,
    "on_full": "wait",
    "retention": timedelta(days=7),
    "max_history": 100_000,
    "max_result_bytes": None,
    "stop_timeout": 5.0,
    "backend": "memory://",
}
CALL = {"func_name": REQUIRED, "args": REQUIRED, "kwargs": REQUIRED}
NAMED = {"cache_key_fn": None, "task_id": None, "metadata": None}
CACHE = {
    "default_ttl": None,
    "enabled": True,
    "max_serialized_size": 10_485_760,
    "validate_keys": False,
    "cleanup_interval": 900,
    "max_size": 1000,
    "adapter": None,
}
DOCUMENTED: list[tuple[Callable[..., Any], dict[str, Any]]] = [
    (AsyncTaskWorker, CONSTRUCTOR),
    (AsyncTaskWorker.start, {}),
    (AsyncTaskWorker.stop, {"timeout": 5.0}),
    (AsyncTaskWorker.drain, {"timeout": None}),
    (AsyncTaskWorker.add_task, OPTIONS),
    (AsyncTaskWorker.submit, {"func": REQUIRED, "args": (), "kwargs": None, **OPTIONS}),
    (AsyncTaskWorker.get_task_info, {"task_id": REQUIRED}),
    (AsyncTaskWorker.get_all_tasks, {"status": None, "limit": None, "older_than": None}),
    (AsyncTaskWorker.get_task_future, {"task_id": REQUIRED}),
    (AsyncTaskWorker.get_task_futures, {"task_ids": REQUIRED}),
    (AsyncTaskWorker.wait_for_tasks, {"task_ids": REQUIRED, "timeout": None}),
    (AsyncTaskWorker.wait_for_any_task, {"task_ids": REQUIRED, "timeout": None}),
    (AsyncTaskWorker.cancel_task, {"task_id": REQUIRED}),
    (AsyncTaskWorker.fetch_task_info, {"task_id": REQUIRED}),
    (
        AsyncTaskWorker.search_tasks,
        {
            **dict.fromkeys(("status", "task_type", "before", "after", "text", "cursor")),
            "limit": 50,
        },
    ),
    (
        create_task_worker_router,
        {
            "worker": REQUIRED,
            "prefix": "",
            **dict.fromkeys(("tags", "dependencies", "expose", "redact", "limits")),
            "show_tracebacks": False,
        },
    ),
    (AsyncTaskWorker.counts, {}),
    (AsyncTaskWorker.invalidate_cache, {"cache_key_fn": None, "metadata": None}),
    (AsyncTaskWorker.clear_cache, {}),
    (AsyncCacheAdapter, CACHE),
    (AsyncCacheAdapter.get, {**CALL, **NAMED}),
    (AsyncCacheAdapter.set, {**CALL, "result": REQUIRED, "ttl": None, **NAMED}),
    (AsyncCacheAdapter.invalidate, {**CALL, **NAMED}),
    (AsyncCacheAdapter.generate_entry_id, {"func_name": REQUIRED, "task_id": REQUIRED}),
    (AsyncCacheAdapter.get_by_task_id, {"task_id": REQUIRED}),
    (AsyncCacheAdapter.invalidate_by_task_id, {"task_id": REQUIRED}),
    (AsyncCacheAdapter.clear, {}),
    (AsyncCacheAdapter.start_cleanup_task, {}),
    (AsyncCacheAdapter.stop_cleanup_task, {}),
    (WorkerPool, {"task_queue": REQUIRED, "task_executor": REQUIRED, "max_workers": 10}),
    (WorkerPool.start, {}),
    (WorkerPool.stop, {"timeout": 5.0}),
    (WorkerPool.cancel_running_task, {"task_id": REQUIRED}),
    (EventBus.listen, {"listener": REQUIRED}),
    (EventBus.stream, {"max_buffer": 1000}),
    (task, {"task_type": REQUIRED, "expose": True}),
    (register_task, {"task_type": REQUIRED, "task_func": REQUIRED, "expose": True}),
    (get_task_function, {"task_type": REQUIRED}),
    (get_all_task_types, {}),
]
PLAIN = ["get_task_info", "get_all_tasks", "get_task_future", "get_task_futures", "counts"]
AWAITED = ["start", "stop", "drain", "add_task", "submit", "cancel_task", "wait_for_tasks", "wait_for_any_task"]
AWAITED += ["fetch_task_info", "search_tasks"]
AWAITED += ["invalidate_cache", "clear_cache"]
INFO = {
    *("id", "name", "status", "phase", "created_at", "started_at", "completed_at", "progress", "progress_detail"),
    *("result", "result_dropped", "error", "error_detail", "metadata", "priority", "attempt", "from_cache", "revision"),
    *("wait_time", "run_time", "finished", "as_dict"),
}


@pytest.mark.parametrize("name", NAMES)
def test_every_documented_name_can_be_imported(name: str) -> None:
    assert name in async_task_worker.__all__
    assert getattr(async_task_worker, name) is not None


def test_every_exported_name_is_there_and_listed_in_order() -> None:
    exported = async_task_worker.__all__
    assert exported == sorted(exported)
    assert all(hasattr(async_task_worker, name) for name in exported)


def test_star_import_brings_no_surprise() -> None:
    namespace: dict[str, object] = {}
    exec("from async_task_worker import *", namespace)  # noqa: S102 - what a user at a prompt does
    assert set(namespace) - {"__builtins__"} == set(async_task_worker.__all__)


@pytest.mark.parametrize(("function", "documented"), DOCUMENTED, ids=lambda value: getattr(value, "__qualname__", ""))
def test_it_has_the_documented_parameters_and_defaults(
    function: Callable[..., Any], documented: dict[str, Any]
) -> None:
    parameters = inspect.signature(function).parameters
    assert {name: parameters[name].default for name in documented} == documented


def test_only_the_first_two_options_of_the_worker_go_by_position() -> None:
    by_position = [
        name
        for name, parameter in inspect.signature(AsyncTaskWorker).parameters.items()
        if parameter.kind is not inspect.Parameter.KEYWORD_ONLY
    ]
    assert by_position == ["max_workers", "task_timeout"]
    with pytest.raises(TypeError):
        AsyncTaskWorker(5, None, 1.0)  # type: ignore[misc]


def test_the_function_of_add_task_is_positional_only_and_options_are_keyword_only() -> None:
    parameters = inspect.signature(AsyncTaskWorker.add_task).parameters
    assert parameters["task_func"].kind is inspect.Parameter.POSITIONAL_ONLY
    assert {parameters[name].kind for name in OPTIONS} == {inspect.Parameter.KEYWORD_ONLY}


@pytest.mark.parametrize("name", PLAIN)
def test_it_answers_at_once(name: str) -> None:
    assert not inspect.iscoroutinefunction(getattr(AsyncTaskWorker, name))


@pytest.mark.parametrize("name", AWAITED)
def test_it_is_awaited(name: str) -> None:
    assert inspect.iscoroutinefunction(getattr(AsyncTaskWorker, name))


def test_the_cache_has_the_documented_parameters_in_the_documented_order() -> None:
    assert list(inspect.signature(AsyncCacheAdapter).parameters) == list(CACHE)
    assert list(inspect.signature(AsyncCacheAdapter.get).parameters)[1:] == [*CALL, *NAMED]
    assert list(inspect.signature(AsyncCacheAdapter.set).parameters)[1:] == [*CALL, "result", "ttl", *NAMED]


@pytest.mark.parametrize("name", ["enabled", "default_ttl", "cleanup_interval"])
def test_the_cache_has_the_documented_properties_to_be_read_and_set(name: str) -> None:
    assert getattr(AsyncCacheAdapter, name).fset is not None


def test_a_name_that_does_not_exist_is_said_to_be_missing() -> None:
    with pytest.raises(AttributeError, match="NoSuchName"):
        _ = async_task_worker.NoSuchName


def test_a_snapshot_has_the_documented_attributes() -> None:
    assert {name for name in dir(TaskInfo) if not name.startswith("_")} == INFO


def test_the_version_is_that_of_the_distribution() -> None:
    assert async_task_worker.__version__ == importlib.metadata.version("async-task-worker")


def test_an_event_has_the_documented_attributes() -> None:
    assert {name for name in dir(TaskEvent) if not name.startswith("_")} == {"type", "task", "seq", "at"}
    assert callable(EventStream.close)


@pytest.mark.parametrize("name", async_task_worker.__all__)
def test_it_has_a_docstring(name: str) -> None:
    found = getattr(async_task_worker, name)
    if found is not ProgressCallback:  # an alias has no docstring of its own
        assert inspect.getdoc(found)
        for member, value in inspect.getmembers(found, inspect.isfunction):
            if not member.startswith("_") and not issubclass(found, TaskWorkerError):
                assert inspect.getdoc(value), f"{name}.{member}"


def test_the_package_is_typed() -> None:
    """Installed or not, the marker lies beside the code."""
    path = inspect.getfile(async_task_worker).replace("__init__.py", "py.typed")
    with open(path) as marker:  # noqa: PTH123 - a str is what inspect gives
        assert marker.read().strip() == ""


VALUES = ["Clock", "ErrorDetail", "MissingResult", "TaskEvent", "TaskInfo", "TaskPage", "TaskStatus"]


@pytest.mark.parametrize("name", VALUES)
def test_a_value_names_the_package_and_no_module_that_may_move(name: str) -> None:
    """Stored results and pickles keep that name."""
    assert getattr(async_task_worker, name).__module__ == "async_task_worker"


def test_pickled_values_name_the_package() -> None:
    pickled = pickle.dumps(async_task_worker.TaskStatus.PENDING, protocol=0)
    assert b"casync_task_worker\nTaskStatus\n" in pickled
    assert pickle.loads(pickled) is async_task_worker.TaskStatus.PENDING  # noqa: S301 - pickled above
