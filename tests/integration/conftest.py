"""Redis for the tests that talk to one: a shared one, used with care, and some to be hurt."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator, Iterator

import pytest
import pytest_asyncio

from tests.support.redis_server import RedisServer, given_url, server_program
from tests.support.tcp_proxy import TcpProxy


@pytest.fixture(scope="session")
def redis_program() -> str:
    """The server's program. Without one, tests that need a server of their own are skipped."""
    try:
        return server_program()
    except LookupError as error:
        pytest.skip(str(error))


@pytest.fixture(scope="session")
def redis_url(request: pytest.FixtureRequest) -> Iterator[str]:
    """The address of a Redis shared by all tests, and perhaps by others: it is to survive them unharmed."""
    given = given_url()
    if given is not None:
        yield given
        return
    request.getfixturevalue("redis_program")
    with RedisServer() as server:
        yield server.url


@pytest.fixture
def prefix() -> str:
    """A key prefix nobody else uses."""
    return f"test-{uuid.uuid4().hex}:"


@pytest.fixture
def redis_server(redis_program: str) -> Iterator[RedisServer]:
    """A Redis of the test's own, to be paused, killed and restarted."""
    with RedisServer() as server:
        yield server


@pytest_asyncio.fixture
async def proxy(redis_server: RedisServer) -> AsyncIterator[TcpProxy]:
    """A bad line to that Redis."""
    async with TcpProxy(redis_server.port) as line:
        yield line
