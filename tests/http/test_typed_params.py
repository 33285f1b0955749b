"""JSON params converted by pydantic: a durable task gets the same values as one in memory, also after a restart."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from async_task_worker import AsyncTaskWorker, NotStorableError, register_task, task
from async_task_worker.model.registry import _REGISTRY
from tests.http.conftest import Client, ServeWorker
from tests.support.tasks import open_gate, wait_at
from tests.support.typed_params import NOT_STORABLE, STORABLE, made_where_it_is_used
from tests.support.waiting import finished, running

received: dict[str, Any] = {}


@pytest.fixture
def types() -> Iterator[dict[str, tuple[Any, str]]]:
    """The types; under the name of each a task is registered that records its argument."""
    found = {**STORABLE, **made_where_it_is_used()}
    for name, (annotation, _) in {**found, **NOT_STORABLE}.items():
        register(name, annotation)
    yield found
    for name in {**found, **NOT_STORABLE}:
        del _REGISTRY._entries[name]


def register(name: str, annotation: Any) -> None:
    async def receive(value: Any) -> None:
        received[name] = value

    receive.__annotations__["value"] = annotation
    register_task(name, task(name)(receive))


async def post(client: Client, name: str, text: str) -> Any:
    return await client.post("/tasks", json={"task_type": name, "params": {"value": json.loads(text)}})


async def submitted(client: Client, types: dict[str, tuple[Any, str]]) -> list[str]:
    ids = []
    for name, (_, text) in types.items():
        answer = await post(client, name, text)
        assert answer.status_code == 201, (name, answer.text)
        ids.append(answer.json()["id"])
    return ids


async def values_in_memory(serve: ServeWorker, types: dict[str, tuple[Any, str]]) -> dict[str, Any]:
    received.clear()
    async with AsyncTaskWorker() as worker:
        for info in await finished(worker, *await submitted(await serve(worker), types)):
            assert info.error is None
    return dict(received)


async def values_after_a_restart(serve: ServeWorker, types: dict[str, tuple[Any, str]], url: str) -> dict[str, Any]:
    received.clear()
    async with AsyncTaskWorker(1, backend=url) as worker:
        await running(worker, await worker.add_task(wait_at, "gate"))
        ids = await submitted(await serve(worker), types)
        await worker.stop(timeout=0)
    assert received == {}
    open_gate("gate")
    async with AsyncTaskWorker(backend=url) as worker:
        for info in await finished(worker, *ids):
            assert info.error is None, info.name
    return dict(received)


async def test_every_type_survives_a_restart(
    serve: ServeWorker, types: dict[str, tuple[Any, str]], tmp_path: Path
) -> None:
    before = await values_in_memory(serve, types)
    after = await values_after_a_restart(serve, types, f"sqlite:///{tmp_path / 'tasks.db'}?durability=process")
    assert before.keys() == after.keys() == types.keys()
    for name, value in before.items():
        assert type(after[name]) is type(value), name
        assert after[name] == value, name
        assert repr(after[name]) == repr(value), name
        for state in ("__pydantic_fields_set__", "__pydantic_private__", "__pydantic_extra__"):
            assert getattr(after[name], state, None) == getattr(value, state, None), name


async def test_equal_values_of_every_type_have_one_cache_key(
    serve: ServeWorker, types: dict[str, tuple[Any, str]]
) -> None:
    async with AsyncTaskWorker(cache_enabled=True) as worker:
        client = await serve(worker)
        for ids in (await submitted(client, types), await submitted(client, types)):
            again = await finished(worker, *ids)
    assert [info.name for info in again if not info.from_cache] == []


@pytest.mark.parametrize("name", NOT_STORABLE)
@pytest.mark.usefixtures("types")
async def test_a_value_that_cannot_be_stored_is_refused_with_the_name_of_its_parameter(
    serve: ServeWorker, tmp_path: Path, name: str
) -> None:
    async with AsyncTaskWorker(backend=f"sqlite:///{tmp_path / 'tasks.db'}?durability=process") as worker:
        client = await serve(worker)
        answer = await post(client, name, NOT_STORABLE[name][1])
        assert (answer.status_code, answer.json()["code"]) == (422, "invalid_params")
        assert [error["field"] for error in answer.json()["errors"]] == ["value"]
        assert "'value'" in answer.json()["detail"]
        assert (await client.get("/tasks")).json()["tasks"] == []
        assert (await worker.search_tasks()).tasks == []
    async with AsyncTaskWorker() as worker:
        assert (await post(await serve(worker), name, NOT_STORABLE[name][1])).status_code == 201


@task("spread")
async def spread(first: Any, *rest: Any, option: Any = None, **more: Any) -> None:
    """Accept arguments of every kind."""


@pytest.mark.parametrize(
    ("args", "kwargs", "parameter"),
    [
        ((print,), {}, "first"),
        ((1, 2, print), {}, "rest[1]"),
        ((1,), {"option": [print]}, "option"),
        ((1,), {"other": print}, "other"),
    ],
)
async def test_the_refusal_in_python_names_the_parameter(
    tmp_path: Path, args: tuple[Any, ...], kwargs: dict[str, Any], parameter: str
) -> None:
    async with AsyncTaskWorker(backend=f"sqlite:///{tmp_path / 'tasks.db'}?durability=process") as worker:
        with pytest.raises(NotStorableError, match="builtin_function_or_method") as caught:
            await worker.submit(spread, args, kwargs)
        assert caught.value.parameter == parameter
        assert repr(parameter) in str(caught.value)
        assert worker.get_all_tasks() == []
