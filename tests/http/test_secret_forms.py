"""Secrets of every type and source, in every form in which they may be written."""

from __future__ import annotations

from datetime import datetime
from functools import partial
from typing import Annotated, Any, NewType
from uuid import UUID

import pytest
from pydantic import BaseModel, BeforeValidator, Secret, SecretStr

from async_task_worker import AsyncTaskWorker, register_task, task
from tests.http.conftest import ServeWorker
from tests.http.requests import submit
from tests.support.waiting import finished

Token = NewType("Token", SecretStr)
DEFAULT = SecretStr("hunter2")


class Card(BaseModel):
    number: str
    pin: int


@task("read_in_small_letters")
async def read_in_small_letters(value: Annotated[SecretStr, BeforeValidator(str.lower)]) -> None:
    raise ValueError(f"{value.get_secret_value()} was refused")


@task("secret_by_another_name")
async def secret_by_another_name(value: Token) -> None:
    raise ValueError(f"{value.get_secret_value()} was refused")


@task("secret_or_text")
async def secret_or_text(value: SecretStr | str) -> None:
    raise ValueError(f"{value} was refused")


@task("secret_model")
async def secret_model(value: Secret[Card]) -> Any:
    return value.get_secret_value()


@task("secret_id")
async def secret_id(value: Secret[UUID]) -> Any:
    return value.get_secret_value()


@task("secret_moment")
async def secret_moment(value: Secret[datetime]) -> Any:
    return value.get_secret_value()


@task("secret_switch")
async def secret_switch(value: Secret[bool]) -> None:
    assert value.get_secret_value() is True


@task("further_secrets")
async def further_secrets(**more: SecretStr) -> None:
    raise ValueError(f"{more['value'].get_secret_value()} was refused")


@task("secret_by_default")
async def secret_by_default(password: SecretStr = DEFAULT) -> None:
    raise ValueError(f"{password.get_secret_value()} was refused")


async def log_in(password: Any) -> None:
    raise ValueError(f"{password.get_secret_value()} was refused")


secret_in_partial = partial(log_in, SecretStr("hunter2"))
register_task("secret_in_partial", secret_in_partial)


@pytest.mark.parametrize(
    ("task_type", "value", "forms"),
    [
        ("read_in_small_letters", "HUNTER2", ("HUNTER2", "hunter2")),
        ("secret_by_another_name", "hunter2", ("hunter2",)),
        ("secret_or_text", "hunter2", ("hunter2",)),
        ("secret_model", {"number": "hunter2", "pin": 987654}, ("hunter2", "987654")),
        ("secret_id", "ABCDEF01-2345-6789-ABCD-EF0123456789", ("ABCDEF01", "abcdef01")),
        ("secret_moment", "1987-06-05T04:03:02Z", ("1987-06-05",)),
        ("secret_switch", True, ("{'value': True}",)),
        ("further_secrets", "hunter2", ("hunter2",)),
    ],
)
async def test_a_secret_param_is_hidden_in_every_form(
    worker: AsyncTaskWorker, serve: ServeWorker, task_type: str, value: Any, forms: tuple[str, ...]
) -> None:
    client = await serve(worker)
    shown = await submit(client, task_type, params={"value": value}, wait=1)
    result = await client.get(f"/tasks/{shown['id']}/result")
    texts = f"{shown}{result.text}"
    assert [form for form in forms if form in texts] == []
    assert "**********" in texts


@pytest.mark.parametrize(
    ("task_type", "function"),
    [("secret_by_default", secret_by_default), ("secret_in_partial", secret_in_partial)],
)
async def test_a_secret_that_is_bound_to_the_function_is_hidden(
    worker: AsyncTaskWorker, serve: ServeWorker, task_type: str, function: Any
) -> None:
    client = await serve(worker)
    over_http = await submit(client, task_type, wait=1)
    task_id = await worker.add_task(function)
    await finished(worker, task_id)
    in_python = (await client.get(f"/tasks/{task_id}")).json()
    assert over_http["error"] == in_python["error"] == "********** was refused"
    assert (await client.get("/tasks", params={"q": "hunter2"})).json()["tasks"] == []


async def test_further_params_are_converted_to_the_annotated_type(worker: AsyncTaskWorker, serve: ServeWorker) -> None:
    client = await serve(worker)
    response = await client.post("/tasks", json={"task_type": "further_secrets", "params": {"value": ["hunter2"]}})
    assert response.status_code == 422
    assert response.json()["errors"][0]["field"] == "value"
    assert "hunter2" not in response.text
