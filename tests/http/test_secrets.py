"""Secrets: a value is sent in every way, and searched in everything that comes back."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass
from typing import Annotated, Any

import httpx
import pytest
from pydantic import AfterValidator, BaseModel, Secret, SecretBytes, SecretStr

from async_task_worker import AsyncTaskWorker, task
from async_task_worker.model.secret_values import HIDDEN, secret_texts
from async_task_worker.web import Limits, redact_names
from async_task_worker.web.models.responses import TaskBody
from async_task_worker.web.rendering.secret_params import secret_params
from tests.conftest import MakeWorker
from tests.http.conftest import ServeWorker
from tests.http.requests import submit
from tests.support.tasks import open_gate, wait_at
from tests.support.waiting import finished, settled

MARKED = 'hunter2-ä\n"quoted"'
FORMS = (MARKED, "hunter2", "quoted")


class Login(BaseModel):
    user: str
    password: SecretStr


@dataclass
class Keys:
    main: SecretBytes
    others: list[SecretStr]


def _long(value: SecretStr) -> SecretStr:
    if len(value.get_secret_value()) < 5:
        raise ValueError(f"{value.get_secret_value()} is too short")
    return value


async def _use(secret: str, how: str) -> Any:
    await wait_at("gate")
    match how:
        case "error":
            raise PermissionError(f"{secret!r} was refused: {secret}")
        case "result":
            return {"said": f"it is {secret}", secret: [secret]}
    return SecretStr(secret)


@task("secret_str")
async def secret_str(password: SecretStr, how: str) -> Any:
    return await _use(password.get_secret_value(), how)


@task("secret_bytes")
async def secret_bytes(password: SecretBytes, how: str) -> Any:
    return await _use(password.get_secret_value().decode(), how)


@task("secret_in_model")
async def secret_in_model(password: Login, how: str) -> Any:
    return await _use(password.password.get_secret_value(), how)


@task("secret_in_list")
async def secret_in_list(password: list[SecretStr] | None, how: str) -> Any:
    return await _use((password or [])[0].get_secret_value(), how)


@task("secret_in_shape")
async def secret_in_shape(password: SecretStr, shape: str) -> Any:
    """Return something that looks like a placeholder."""
    secret = password.get_secret_value()
    placeholder, typed = {"$type": "Login", "password": secret}, {"type": {"password": secret}}
    return {"placeholder": placeholder, "typed": typed, "surrogate": f"{secret}\ud800"}[shape]


@task("marked_by_name")
async def marked_by_name(password: str, how: str) -> Any:
    return await _use(password, how)


@task("fussy")
async def fussy(password: Annotated[SecretStr, AfterValidator(_long)], how: str = "") -> None:
    """Never runs in these tests."""


@task("unannounced")
async def unannounced(password: Any) -> None:
    """Fail with an error that quotes the password, which has no annotation."""
    raise PermissionError(f"{password.get_secret_value()} was refused")


@task("secret_keys")
async def secret_keys(tokens: Secret[dict[str, int]]) -> None:
    """Never runs in these tests."""


@task("marked_keys")
async def marked_keys(password: dict[str, int]) -> None:
    """Never runs in these tests."""


GIVEN: dict[str, Any] = {
    "secret_str": MARKED,
    "secret_bytes": MARKED,
    "secret_in_model": {"user": "ada", "password": MARKED},
    "secret_in_list": [MARKED],
    "marked_by_name": MARKED,
}


async def everything(client: httpx.AsyncClient, task_id: str, body: dict[str, Any]) -> str:
    """Request every endpoint about the task, and submit it again; return all responses."""
    key = {"Idempotency-Key": f"key-{task_id}"}
    answers = [
        *[await client.get(path) for path in ("/tasks", "/tasks/types", "/stats", "/cache", "/health")],
        *[await client.get(f"/tasks/{task_id}{end}") for end in ("", "/result", "/events")],
        await client.get("/tasks", params={"q": "password", "limit": 1}),
        *[await client.post("/tasks", json=body, headers=key) for _ in range(2)],
        await client.post("/tasks", json=body | {"task_id": task_id}),
        await client.post("/tasks/batch", json={"tasks": [body, body | {"params": {"password": 5}}]}),
        await client.post("/tasks/actions", json={"action": "cancel", "query": {"q": "password"}, "dry_run": True}),
        await client.post(f"/tasks/{task_id}/cancel"),
        await client.get("/openapi.json"),
    ]
    return "".join(f"{answer.headers}{answer.text}" for answer in answers)


@pytest.mark.parametrize("how", ["error", "result", "secret"])
@pytest.mark.parametrize("task_type", GIVEN)
async def test_a_secret_is_in_no_response_and_no_log(
    worker: AsyncTaskWorker, serve: ServeWorker, caplog: pytest.LogCaptureFixture, task_type: str, how: str
) -> None:
    caplog.set_level(logging.DEBUG)
    redact = redact_names("password") if task_type == "marked_by_name" else None
    client = await serve(worker, redact=redact, show_tracebacks=True, limits=Limits(stream_lifetime=5))
    body = {"task_type": task_type, "params": {"password": GIVEN[task_type], "how": how}}
    shown = [await submit(client, task_type, params=body["params"])]
    task_id = shown[0]["id"]
    streams = [asyncio.create_task(client.get(path)) for path in ("/events", f"/tasks/{task_id}/events")]
    await settled()
    open_gate("gate")
    await finished(worker, task_id)
    events = "".join([(await stream).text for stream in streams])
    assert events.count(task_id) > 3

    all_text = f"{shown}{events}{await everything(client, task_id, body)}"

    hidden = "[redacted]" if redact else HIDDEN
    assert hidden in all_text
    lines = "".join(record.getMessage() for record in caplog.records)
    for form in FORMS:
        assert form not in all_text
        assert form not in lines


@pytest.mark.parametrize("params_kept", [0, 1 << 20])
@pytest.mark.parametrize("how", ["error", "result"])
async def test_fields_that_may_quote_a_secret_no_longer_known_are_hidden(
    worker: AsyncTaskWorker, serve: ServeWorker, how: str, params_kept: int
) -> None:
    client = await serve(worker, limits=Limits(params_kept=params_kept))
    open_gate("gate")
    shown = await submit(client, "secret_str", params={"password": MARKED, "how": how}, wait=1)
    assert "hunter2" not in str(shown) + (await client.get(f"/tasks/{shown['id']}/result")).text
    assert HIDDEN in str(shown)
    assert shown["metadata"]["task_type"] == "secret_str"


@pytest.mark.parametrize("shape", ["placeholder", "typed", "surrogate"])
async def test_every_result_is_hidden_while_the_secrets_are_not_known(
    worker: AsyncTaskWorker, serve: ServeWorker, shape: str
) -> None:
    client = await serve(worker, limits=Limits(params_kept=0))
    shown = await submit(client, "secret_in_shape", params={"password": MARKED, "shape": shape}, wait=1)
    assert (shown["status"], shown["result"]) == ("completed", HIDDEN)


async def test_hidden_fields_keep_their_documented_type(worker: AsyncTaskWorker, serve: ServeWorker) -> None:
    open_gate("gate")
    body = {"params": {"password": MARKED, "how": "error"}, "metadata": {"task_type": "another"}}
    for redact in (None, redact_names("password")):
        client = await serve(worker, redact=redact, limits=Limits(params_kept=0))
        TaskBody.model_validate(await submit(client, "secret_str", **body, wait=1))


ADDED: dict[str, Any] = {
    "secret_str": SecretStr(MARKED),
    "secret_bytes": SecretBytes(MARKED.encode()),
    "secret_in_model": Login(user="ada", password=SecretStr(MARKED)),
    "secret_in_list": [SecretStr(MARKED)],
    "marked_by_name": MARKED,
}
FUNCTIONS = {
    function.__name__: function
    for function in (secret_str, secret_bytes, secret_in_model, secret_in_list, marked_by_name)
}


@pytest.mark.parametrize("how", ["error", "result"])
@pytest.mark.parametrize("task_type", ADDED)
async def test_a_secret_of_a_task_added_in_python_is_in_no_response(
    worker: AsyncTaskWorker, serve: ServeWorker, task_type: str, how: str
) -> None:
    redact = redact_names("password") if task_type == "marked_by_name" else None
    client = await serve(worker, redact=redact, show_tracebacks=True, limits=Limits(stream_lifetime=5))
    everyone = asyncio.create_task(client.get("/events"))
    await settled()
    task_id = await worker.add_task(FUNCTIONS[task_type], ADDED[task_type], how=how)
    before = (await client.get(f"/tasks/{task_id}")).json()
    one = asyncio.create_task(client.get(f"/tasks/{task_id}/events"))
    await settled()
    open_gate("gate")
    await finished(worker, task_id)
    all_text = f"{before}{(await one).text}{(await everyone).text}"
    for path in (f"/tasks/{task_id}", f"/tasks/{task_id}/result", "/tasks", "/tasks?q=hunter2", "/tasks?q=hunterX"):
        all_text += (await client.get(path)).text

    assert before["params"]["how"] == how
    assert ("[redacted]" if redact else HIDDEN) in all_text
    for form in FORMS:
        assert form not in all_text


@pytest.mark.parametrize("how", ["error", "result"])
async def test_fields_that_may_quote_a_secret_are_hidden_if_the_params_are_not_known(
    worker: AsyncTaskWorker, serve: ServeWorker, how: str
) -> None:
    """As after a restart, or when they were evicted."""
    open_gate("gate")
    task_id = await worker.add_task(secret_str, SecretStr(MARKED), how, metadata={"user": "ada"})
    await finished(worker, task_id)
    for client in (await serve(worker), await serve(worker, redact=redact_names("password"))):
        shown = (await client.get(f"/tasks/{task_id}")).json()
        assert shown["params"] is None
        assert shown["error" if how == "error" else "result"] in {HIDDEN, "[redacted]"}
        assert shown["metadata"]["user"] == "ada"
        assert "hunter2" not in str(shown) + (await client.get(f"/tasks/{task_id}/result")).text
        for guess in ("hunter2", "hunterX"):
            assert (await client.get("/tasks", params={"q": guess})).json()["tasks"] == []


async def test_an_earlier_task_of_the_same_id_says_nothing_about_the_secrets_of_a_later_one(
    make_worker: MakeWorker, serve: ServeWorker
) -> None:
    worker = await make_worker(max_history=1)
    client = await serve(worker, limits=Limits(params_kept=0))
    for task_id in ("mine", "another"):  # which has the first one forgotten
        await submit(client, "echo_value", task_id=task_id, wait=1)
    open_gate("gate")
    await finished(worker, await worker.add_task(secret_str, SecretStr(MARKED), "error", task_id="mine"))
    shown = (await client.get("/tasks/mine")).json()
    assert (shown["params"], shown["error"]) == (None, HIDDEN)


async def test_a_right_guess_of_a_secret_param_finds_no_more_than_a_wrong_one(
    worker: AsyncTaskWorker, serve: ServeWorker
) -> None:
    client = await serve(worker, limits=Limits(searched=2))
    open_gate("gate")
    for _ in range(6):
        await submit(client, "secret_str", params={"password": MARKED, "how": "error"}, wait=1)

    async def pages(guess: str) -> list[int]:
        sizes, cursor = [], None
        while True:
            params = {"q": guess} | ({} if cursor is None else {"cursor": cursor})
            body = (await client.get("/tasks", params=params)).json()
            sizes.append(body["count"])
            cursor = body["next_cursor"]
            if cursor is None:
                return sizes

    assert await pages("hunter2") == await pages("hunterX") == [0, 0, 0]
    assert sum(await pages("was refused")) == 6


async def test_a_search_does_not_reveal_a_secret_of_an_unannotated_param(
    worker: AsyncTaskWorker, serve: ServeWorker
) -> None:
    client = await serve(worker)
    await finished(worker, await worker.add_task(unannounced, SecretStr("hunter2")))
    for text, count in (("hunter2", 0), ("hunterX", 0), ("was refused", 1)):
        assert (await client.get("/tasks", params={"q": text, "task_type": "unannounced"})).json()["count"] == count
        query = {"status": ["failed"], "q": text, "task_type": "unannounced"}
        action = {"action": "cancel", "query": query, "dry_run": True}
        assert (await client.post("/tasks/actions", json=action)).json()["count"] == count


@pytest.mark.parametrize(
    ("task_type", "params"),
    [
        ("fussy", {"password": "abc!"}),
        ("secret_in_model", {"password": {"user": ["abc!"], "password": "abc!"}, "how": "x"}),
        ("marked_by_name", {"password": "abc!", "how": 1}),
        ("secret_keys", {"tokens": {"abc!": ["abc!"]}}),
        ("marked_keys", {"password": {"abc!": ["abc!"]}}),
    ],
)
async def test_a_refusal_does_not_quote_a_secret(
    worker: AsyncTaskWorker, serve: ServeWorker, task_type: str, params: dict[str, Any]
) -> None:
    client = await serve(worker, redact=redact_names("password") if task_type.startswith("marked") else None)
    one = await client.post("/tasks", json={"task_type": task_type, "params": params})
    many = await client.post("/tasks/batch", json={"tasks": [{"task_type": task_type, "params": params}]})
    assert (one.status_code, many.json()["results"][0]["status"]) == (422, 422)
    assert "abc!" not in one.text + many.text


def test_params_are_secret_by_their_type() -> None:
    async def plain(a: int, b: str = "", c: Any = None, *, d: dict[str, list[int]] | None = None) -> None: ...

    async def secret(a: int, b: Keys, c: Secret[int], d: list[tuple[Login, int]], **more: SecretStr) -> None: ...

    assert secret_params(plain) == frozenset()
    assert secret_params(secret) >= {"b", "c", "d"}
    assert secret_texts([Keys(SecretBytes(b"1"), [SecretStr("2")]), {"x": Secret(3)}, "4"]) == {"1", "2", "3"}
