"""The parts of uvicorn that the HTTP API relies on, under the real uvicorn."""

from __future__ import annotations

import asyncio
import signal
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest
import uvicorn

from async_task_worker.web.events.disconnect import ClientConnection
from async_task_worker.web.uvicorn_internals import shutdown_has_begun, transport_of_current_request

pytestmark = pytest.mark.real_time


@pytest.fixture
def ignored_sigterm() -> Iterator[None]:
    """Ignores SIGTERM, which uvicorn raises again after its shutdown: it must not end the tests."""
    previous = signal.signal(signal.SIGTERM, lambda *_: None)
    yield
    signal.signal(signal.SIGTERM, previous)


@asynccontextmanager
async def served(app: Any, http: str) -> AsyncIterator[str]:
    """Serve *app* with uvicorn's implementation *http* of the protocol on this event loop, and yield its URL."""
    listener = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(app, http=http, lifespan="off", log_level="critical"))
    serving = asyncio.ensure_future(server.serve(sockets=[listener]))
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        server.should_exit = True
        await serving
        listener.close()


async def respond(send: Any, body: str) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"%d" % len(body))]})
    await send({"type": "http.response.body", "body": body.encode()})


@pytest.mark.parametrize("http", ["h11", "httptools"])
async def test_a_request_finds_the_transport_of_its_client(http: str) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        transport = transport_of_current_request()
        peer = None if transport is None else transport.get_extra_info("peername")
        await respond(send, str(peer == tuple(scope["client"])))

    async with served(app, http) as url, httpx.AsyncClient() as client:
        assert (await client.get(url)).text == "True"


@pytest.mark.parametrize("http", ["h11", "httptools"])
async def test_an_aborted_connection_ends_for_its_client(http: str) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        connection = ClientConnection()
        connection.find()
        connection.abort_after(0)
        await receive()
        await receive()

    async with served(app, http) as url, httpx.AsyncClient() as client:
        with pytest.raises(httpx.TransportError):
            await client.get(url)


@pytest.mark.usefixtures("ignored_sigterm")
async def test_a_shutdown_has_begun_once_uvicorn_received_sigterm() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        before = shutdown_has_begun()
        signal.raise_signal(signal.SIGTERM)
        await respond(send, f"{before} {shutdown_has_begun()}")

    async with served(app, "h11") as url, httpx.AsyncClient() as client:
        assert (await client.get(url)).text == "False True"


async def test_without_uvicorn_nothing_is_found() -> None:
    assert transport_of_current_request() is None
    assert not shutdown_has_begun()
