"""The Redis adapter with a real Redis: what it stores, how it treats foreign bytes, what it leaves alone."""

from __future__ import annotations

import asyncio
import json
import math
import os
import pickle
import subprocess
import sys
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import msgpack
import pytest
import pytest_asyncio
import redis
import redis.asyncio

from async_cache import AsyncCache, CacheUnavailableError, PrefixRequiredError, RedisCacheAdapter, UnencodableError
from async_cache.adapters.base import StoreOptions
from async_cache.adapters.serializers import ID, Signer

pytestmark = pytest.mark.real_time

SECRET = b"a secret of thirty-two bytes ..."


@pytest_asyncio.fixture
async def client(redis_url: str, prefix: str) -> AsyncIterator[redis.asyncio.Redis]:
    """A client as a user creates it. Keys that the test left under its prefix are deleted."""
    async with redis.asyncio.Redis.from_url(redis_url) as made:
        yield made
        left = [key async for key in made.scan_iter(match=prefix + "*", count=1000)]
        if left:
            await made.unlink(*left)


@pytest.fixture
def cache(client: redis.asyncio.Redis, prefix: str) -> RedisCacheAdapter:
    return RedisCacheAdapter(client, key_prefix=prefix)


async def test_a_stored_value_is_found(cache: RedisCacheAdapter) -> None:
    value = {"a": [1, (2, 3)], "at": datetime(2025, 1, 1, tzinfo=UTC)}
    await cache.set("key", value)
    assert await cache.get("key") == (True, value)
    assert await cache.get("other") == (False, None)


async def test_a_stored_none_is_a_hit(cache: RedisCacheAdapter) -> None:
    await cache.set("key", None)
    assert await cache.get("key") == (True, None)


async def test_redis_keys_are_the_prefix_and_the_key(
    cache: RedisCacheAdapter, client: redis.asyncio.Redis, prefix: str
) -> None:
    await cache.set("get_user_data:123:v2", 1)
    assert await client.keys(prefix + "*") == [f"{prefix}get_user_data:123:v2".encode()]


@pytest.mark.parametrize("key", ["", "ключ", "\ud800", "a" * 5000, "line\nbreak", "*"], ids=repr)
async def test_any_text_is_a_key(cache: RedisCacheAdapter, key: str) -> None:
    await cache.set(key, "value")
    assert await cache.get(key) == (True, "value")
    assert await cache.delete(key) is True


@pytest.mark.parametrize(("ttl", "most"), [(60, 60_000), (1000.5, 1_000_500), (None, -1), (math.inf, -1), (1e300, -1)])
async def test_an_entry_expires_after_its_ttl(
    cache: RedisCacheAdapter, client: redis.asyncio.Redis, prefix: str, ttl: float | None, most: int
) -> None:
    await cache.set("key", 1, ttl=ttl)
    left = await client.pttl(prefix + "key")
    assert most - 400 < left <= most


async def test_the_minimum_ttl_is_a_millisecond(cache: RedisCacheAdapter) -> None:
    await cache.set("key", 1, ttl=1e-9)
    assert cache.counters.faults == {}


@pytest.mark.parametrize("ttl", [0, -1, -math.inf], ids=str)
async def test_a_ttl_of_zero_or_less_stores_nothing(cache: RedisCacheAdapter, ttl: float) -> None:
    await cache.set("key", 1, ttl=ttl)
    assert await cache.get("key") == (False, None)


async def test_an_expired_entry_is_a_miss(cache: RedisCacheAdapter, client: redis.asyncio.Redis, prefix: str) -> None:
    await cache.set("key", 1, ttl=60)
    await client.pexpire(prefix + "key", 0)
    assert await cache.get("key") == (False, None)


async def test_delete_returns_whether_there_was_an_entry(cache: RedisCacheAdapter) -> None:
    await cache.set("key", 1)
    assert await cache.delete("key") is True
    assert await cache.delete("key") is False


async def test_ids_in_redis_expire_with_their_entry(
    cache: RedisCacheAdapter, client: redis.asyncio.Redis, prefix: str
) -> None:
    options = StoreOptions(60, "task:1", "1")
    assert await cache.put("key", cache.snapshot("value"), options)
    other = RedisCacheAdapter(client, key_prefix=prefix)
    assert await other.resolve("task:1") == "key"
    assert await other.resolve("1") == "key"
    assert await other.resolve("2") is None
    assert 0 < await client.pttl(f"{prefix}@id:task:1") <= 60_000


async def test_a_hit_links_an_id_to_the_entry(cache: RedisCacheAdapter) -> None:
    await cache.set("key", "value")
    assert await cache.fetch("key", StoreOptions(60, "task:2")) == (True, "value")
    assert await cache.resolve("task:2") == "key"


async def test_an_id_of_an_entry_without_expiry_expires(
    cache: RedisCacheAdapter, client: redis.asyncio.Redis, prefix: str
) -> None:
    await cache.put("key", cache.snapshot(1), StoreOptions(math.inf, "task:1"))
    assert 0 < await client.ttl(f"{prefix}@id:task:1") <= 7 * 86_400


@pytest.mark.parametrize("pattern", ["t*:", "[a]:", "t?:", "\\", "a-z]", "^x", "t*:[^b]\\*"])
async def test_clearing_touches_no_key_outside_the_prefix(
    client: redis.asyncio.Redis, prefix: str, pattern: str
) -> None:
    mine = RedisCacheAdapter(client, key_prefix=prefix + pattern)
    neighbours = [prefix + near for near in ("t:1", "tx:1", "txx:1", "a:1", "[a]", "b-z]", "x:1", "^y", "t*", "")]
    for neighbour in neighbours:
        await client.set(neighbour, "theirs")
    for key in ("1", "2", "*"):
        await mine.set(key, "mine")
    await mine.clear()
    assert sorted(await client.keys(prefix + "*")) == sorted(near.encode() for near in neighbours)


async def test_clearing_deletes_in_batches_until_nothing_is_left(
    cache: RedisCacheAdapter, client: redis.asyncio.Redis, prefix: str
) -> None:
    async with client.pipeline(transaction=False) as pipeline:
        for number in range(2500):
            pipeline.set(f"{prefix}{number}", "x")
        await pipeline.execute()
    await cache.clear()
    assert await client.keys(prefix + "*") == []


async def test_without_a_prefix_clearing_is_refused(client: redis.asyncio.Redis) -> None:
    with pytest.raises(PrefixRequiredError, match="key_prefix"):
        await RedisCacheAdapter(client, key_prefix="").clear()


async def forged(prefix: str, key: str) -> dict[str, bytes]:
    """Return values that an attacker with access to Redis might write."""
    run = pickle.dumps(_Exploit())
    return {
        "another program's text": b"hello",
        "a lone byte that is valid msgpack": b"{",
        "nothing": b"",
        "a pickle": run,
        "a pickle in our frame": msgpack.packb([b"x" * 16, run]),
        "format and payload without a signature": msgpack.packb([1, {"admin": True}]),
        "a frame of the wrong length": b"\x92\xc4\x10" + b"x" * 16 + b"\xc6\xff\xff\xff\xff",
        "an ordinary list": msgpack.packb([1, 2]),
        "JSON": b'{"a": 1}',
    }


class _Exploit:
    """Unpickling it exits the process."""

    def __reduce__(self) -> tuple[Any, tuple[int]]:
        return os._exit, (66,)


@pytest.mark.parametrize("serializer", ["msgpack", "json"])
async def test_foreign_bytes_are_a_miss_and_are_deleted(
    client: redis.asyncio.Redis, prefix: str, serializer: str
) -> None:
    cache = RedisCacheAdapter(client, key_prefix=prefix, serializer=serializer)
    garbage = await forged(prefix, "key")
    for what, data in garbage.items():
        await client.set(prefix + "key", data)
        assert await cache.get("key") == (False, None), what
        assert await client.exists(prefix + "key") == 0, what
    assert cache.counters.faults["corrupt"] == len(garbage)
    assert not cache.counters.circuit_open


async def test_a_redis_value_that_is_not_a_string_is_a_miss_and_is_deleted(
    cache: RedisCacheAdapter, client: redis.asyncio.Redis, prefix: str
) -> None:
    await client.rpush(prefix + "key", "a", "b")
    assert await cache.get("key") == (False, None)
    assert await client.exists(prefix + "key") == 0


async def test_a_value_moved_to_another_key_is_a_miss(
    cache: RedisCacheAdapter, client: redis.asyncio.Redis, prefix: str
) -> None:
    await cache.set("mine", "mine")
    await client.rename(prefix + "mine", prefix + "yours")
    assert await cache.get("yours") == (False, None)


async def test_a_damaged_value_is_a_miss(cache: RedisCacheAdapter, client: redis.asyncio.Redis, prefix: str) -> None:
    await cache.set("key", "a value")
    stored = await client.get(prefix + "key")
    for position in range(len(stored)):
        damaged = bytearray(stored)
        damaged[position] ^= 1
        await client.set(prefix + "key", bytes(damaged))
        assert await cache.get("key") == (False, None)


async def test_a_damaged_id_is_linked_to_nothing(
    cache: RedisCacheAdapter, client: redis.asyncio.Redis, prefix: str
) -> None:
    await client.set(f"{prefix}@id:task:1", msgpack.packb("key"))
    assert await cache.resolve("task:1") is None
    assert cache.counters.faults["corrupt"] == 1


async def test_a_key_that_looks_like_an_id_is_distinguished_from_it(cache: RedisCacheAdapter) -> None:
    await cache.put("key", cache.snapshot(1), StoreOptions(60, "task:1"))
    assert await cache.get("@id:task:1") == (False, None)


@pytest.mark.parametrize("serializer", ["json", "pickle"])
async def test_the_key_of_an_id_is_never_read_as_a_value(
    client: redis.asyncio.Redis, prefix: str, serializer: str
) -> None:
    """An attacker may choose keys: one that can be decoded as a value, and one that looks like an id."""
    cache = RedisCacheAdapter(client, key_prefix=prefix, serializer=serializer, secret=SECRET)
    chosen = "123" if serializer == "json" else pickle.dumps(123, 0).decode()
    await cache.put(chosen, cache.snapshot(1), StoreOptions(60, "task:1"))
    assert await cache.get("@id:task:1") == (False, None)

    await cache.set("@id:task:2", chosen)
    assert await cache.resolve("task:2") is None


async def test_a_forged_id_that_is_not_text_does_not_open_the_circuit(
    cache: RedisCacheAdapter, client: redis.asyncio.Redis, prefix: str
) -> None:
    place = f"{prefix}@id:task:1"
    await client.set(place, Signer().sign(ID, place.encode(), b"\xff"))
    assert await cache.resolve("task:1") is None
    assert cache.counters.faults == {"corrupt": 1}


def test_pickle_needs_a_secret(client: redis.asyncio.Redis) -> None:
    for serializer in ("pickle", pickle):
        with pytest.raises(ValueError, match="secret"):
            RedisCacheAdapter(client, serializer=serializer)


async def test_signed_pickles_are_read_and_forged_ones_are_misses(client: redis.asyncio.Redis, prefix: str) -> None:
    cache = RedisCacheAdapter(client, key_prefix=prefix, serializer="pickle", secret=SECRET)
    await cache.set("key", {1, 2})
    assert await cache.get("key") == (True, {1, 2})

    signed = await client.get(prefix + "key")
    run = pickle.dumps(_Exploit())
    for forgery in (run, signed[:43] + run, msgpack.packb([b"x" * 32, run])):
        await client.set(prefix + "key", forgery)
        assert await cache.get("key") == (False, None)


async def test_values_signed_with_another_secret_are_misses(client: redis.asyncio.Redis, prefix: str) -> None:
    mine = RedisCacheAdapter(client, key_prefix=prefix, secret=SECRET)
    theirs = RedisCacheAdapter(client, key_prefix=prefix, secret=SECRET[::-1])
    unsigned = RedisCacheAdapter(client, key_prefix=prefix)
    for other in (theirs, unsigned):
        await other.set("key", 1)
        assert await mine.get("key") == (False, None)


@pytest.mark.parametrize("secret", ["", b""], ids=["text", "bytes"])
def test_an_empty_secret_is_refused(client: redis.asyncio.Redis, secret: Any) -> None:
    with pytest.raises(ValueError, match="empty"):
        RedisCacheAdapter(client, secret=secret)


async def test_the_json_serializer_accepts_what_json_returns_unchanged(
    client: redis.asyncio.Redis, prefix: str
) -> None:
    cache = RedisCacheAdapter(client, key_prefix=prefix, serializer="json")
    value = {"a": [1, 2.5, None, True, "ö"], "b": {}, "big": 10**30}
    await cache.set("key", value)
    assert await cache.get("key") == (True, value)
    for changed in ((1, 2), {1: 2}, [math.nan], "\ud800", {"deep": [{"x": b"bytes"}]}):
        with pytest.raises(UnencodableError):
            await cache.set("key", changed)


async def test_a_custom_serializer_may_be_an_object_or_a_module(client: redis.asyncio.Redis, prefix: str) -> None:
    class Reversing:
        def encode(self, value: str) -> bytes:
            return value[::-1].encode()

        def decode(self, data: bytes) -> str:
            return data.decode()[::-1]

    for serializer, value in ((Reversing(), "abc"), (json, {"a": 1}), (msgpack, [1, 2])):
        cache = RedisCacheAdapter(client, key_prefix=prefix, serializer=serializer)
        await cache.set("key", value)
        assert await cache.get("key") == (True, value)


async def test_errors_of_a_custom_serializer_are_refusals_and_misses(client: redis.asyncio.Redis, prefix: str) -> None:
    class Broken:
        def dumps(self, value: Any) -> bytes:
            return b"data" if value else 1 / 0

        def loads(self, data: bytes) -> Any:
            raise KeyError(data)

    cache = RedisCacheAdapter(client, key_prefix=prefix, serializer=Broken())
    with pytest.raises(UnencodableError, match="ZeroDivisionError"):
        await cache.set("key", 0)
    await cache.set("key", 1)
    assert await cache.get("key") == (False, None)
    assert cache.counters.faults == {"corrupt": 1}


def test_an_unknown_serializer_is_refused(client: redis.asyncio.Redis) -> None:
    with pytest.raises(ValueError, match="yaml"):
        RedisCacheAdapter(client, serializer="yaml")
    with pytest.raises(TypeError, match="encode"):
        RedisCacheAdapter(client, serializer=object())


async def test_a_client_is_created_for_a_host_or_a_url(redis_url: str, prefix: str) -> None:
    address = redis.connection.parse_url(redis_url)
    host, port, db = address["host"], address.get("port"), address.get("db")
    credentials = {name: address[name] for name in ("username", "password") if name in address}
    by_host = RedisCacheAdapter(host, port, db, key_prefix=prefix, **credentials)
    by_url = RedisCacheAdapter(redis_url, key_prefix=prefix)
    await by_host.set("key", 1)
    assert await by_url.get("key") == (True, 1)
    await by_url.aclose()
    assert await by_url.delete("key") is True
    for cache in (by_host, by_url):
        await cache.aclose()


def test_a_created_client_works_on_another_event_loop(redis_url: str, prefix: str) -> None:
    cache = RedisCacheAdapter(redis_url, key_prefix=prefix)

    async def use(value: int) -> None:
        await cache.set("key", value)
        assert await cache.get("key") == (True, value)
        await cache.clear()
        await cache.aclose()

    for value in (1, 2):
        asyncio.run(use(value))
    assert cache.counters.faults == {}


def test_a_client_that_decodes_is_refused() -> None:
    with pytest.raises(ValueError, match="decode_responses"):
        RedisCacheAdapter(redis.asyncio.Redis(decode_responses=True))


@pytest.mark.parametrize("wrong", [redis.Redis(), redis.asyncio.Redis, object(), None, 6379], ids=type)
def test_clients_that_are_not_asyncio_clients_are_refused(wrong: Any) -> None:
    with pytest.raises(TypeError, match=r"redis\.asyncio"):
        RedisCacheAdapter(wrong)


def test_options_for_a_host_do_not_go_with_a_client_or_a_url() -> None:
    with pytest.raises(TypeError, match="host"):
        RedisCacheAdapter(redis.asyncio.Redis(), db=1)
    with pytest.raises(TypeError, match="URL"):
        RedisCacheAdapter("redis://localhost", 6380)


def test_a_password_in_a_bad_url_is_not_shown() -> None:
    for url in ("http://user:hunter2@localhost", "redis://user:hunter2@localhost:hunter2"):
        with pytest.raises(ValueError, match="looks like") as caught:
            RedisCacheAdapter(url)
        assert "hunter2" not in str(caught.value)


def test_without_the_client_library_the_message_says_what_to_install() -> None:
    program = (
        "import sys; sys.modules['redis'] = None\n"
        "from async_cache.adapters import RedisCacheAdapter\n"
        "try: RedisCacheAdapter('localhost')\n"
        "except ModuleNotFoundError as error: print(error)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, env=_env())
    assert 'pip install "async-task-worker[redis]"' in done.stdout


def test_the_client_library_is_imported_only_when_it_is_needed() -> None:
    program = "import sys, async_cache; print('redis' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, env=_env())
    assert done.stdout.strip() == "False"


def _env() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}


async def test_asynccache_works_the_same_with_redis(cache: RedisCacheAdapter) -> None:
    front = AsyncCache(cache, default_ttl=60)
    assert await front.set("key", {"a": (1, 2)}, entry_id="task:1", alias="1")
    assert await front.get("key", entry_id="task:2") == (True, {"a": (1, 2)})
    assert await front.get_by_entry_id("1") == (True, {"a": (1, 2)})
    assert await front.get_by_entry_id("task:2") == (True, {"a": (1, 2)})
    assert await front.delete_by_entry_id("task:2") is True
    assert await front.get_by_entry_id("task:1") == (False, None)
    assert not front.is_local
    assert dict(front.task_key_map) == {}
    figures = front.statistics()
    assert (figures.hits, figures.misses, figures.sets, figures.size) == (3, 1, 1, None)


async def test_a_rejected_command_is_a_fault_but_not_an_outage(redis_server: Any) -> None:
    """A Redis that is out of memory still answers reads."""
    cache = RedisCacheAdapter(redis_server.url)
    await cache.set("key", "old")
    async with redis.asyncio.Redis.from_url(redis_server.url) as admin:
        await admin.config_set("maxmemory", 1)
    await cache.set("other", "new")
    assert await cache.get("key") == (True, "old")
    assert cache.counters.faults == {"rejected": 1}
    assert not cache.counters.circuit_open
    await cache.aclose()


async def test_clearing_an_unavailable_redis_raises_an_error(redis_server: Any) -> None:
    cache = RedisCacheAdapter(redis_server.url)
    redis_server.kill()
    with pytest.raises(CacheUnavailableError, match="did not answer"):
        await cache.clear()
    assert await cache.delete("key") is False
    await cache.aclose()


async def test_an_id_is_linked_to_nothing_while_redis_is_unavailable(redis_server: Any) -> None:
    front = AsyncCache(RedisCacheAdapter(redis_server.url))
    redis_server.kill()
    assert await front.get_by_entry_id("task:1") == (False, None)
    assert await front.delete_by_entry_id("task:1") is False
    await front.aclose()


async def test_an_exhausted_connection_pool_is_a_fault_but_not_an_outage(redis_server: Any) -> None:
    client = redis.asyncio.Redis.from_url(redis_server.url, max_connections=1)
    cache = RedisCacheAdapter(client)
    await asyncio.gather(*(cache.get("key") for _ in range(5)))
    assert set(cache.counters.faults) == {"busy"}
    assert not cache.counters.circuit_open
    await client.aclose()


async def test_hundreds_of_concurrent_operations_share_a_few_connections(redis_server: Any) -> None:
    cache = RedisCacheAdapter(redis_server.url, timeout=30)
    found = await asyncio.gather(*(cache.get(str(number)) for number in range(300)))
    assert found == [(False, None)] * 300
    async with redis.asyncio.Redis.from_url(redis_server.url) as admin:
        assert (await admin.info("stats"))["total_connections_received"] <= 17
    await cache.aclose()


@pytest.mark.parametrize("how", ["client", "pool"])
async def test_hundreds_of_concurrent_operations_share_a_few_connections_of_a_given_pool(
    redis_server: Any, how: str
) -> None:
    """A pool of redis-py refuses requests beyond its limit, or opens a connection for each of them."""
    async with redis.asyncio.Redis.from_url(redis_server.url) as client:
        options = {"connection_pool": client.connection_pool} if how == "pool" else {}
        cache = RedisCacheAdapter("of the pool" if how == "pool" else client, timeout=30, key_prefix="x", **options)
        found = await asyncio.gather(*(cache.get(str(number)) for number in range(300)))
        assert found == [(False, None)] * 300
        assert not cache.counters.faults
        assert (await client.info("stats"))["total_connections_received"] <= 17


@pytest.mark.parametrize("how", ["option", "url"])
async def test_the_number_of_connections_can_be_chosen(redis_server: Any, how: str) -> None:
    """With too few of them, operations wait for a free one; none of them fails."""
    in_url, options = ("?max_connections=2", {}) if how == "url" else ("", {"max_connections": 2})
    cache = RedisCacheAdapter(redis_server.url + in_url, timeout=30, **options)
    async with redis.asyncio.Redis.from_url(redis_server.url) as admin:
        before = (await admin.info("stats"))["total_connections_received"]
        found = await asyncio.gather(*(cache.get(str(number)) for number in range(50)))
        assert found == [(False, None)] * 50
        assert (await admin.info("stats"))["total_connections_received"] - before <= 2
    assert not cache.counters.faults
    await cache.aclose()


async def test_cancelled_operations_leave_no_connection_taken(redis_server: Any) -> None:
    cache = RedisCacheAdapter(redis_server.url, timeout=30, max_connections=2)
    for turns in range(12):
        waiting = [asyncio.ensure_future(cache.get("key")) for _ in range(20)]
        for _ in range(turns):
            await asyncio.sleep(0)
        for operation in waiting:
            operation.cancel()
        await asyncio.wait(waiting)
        assert await cache.get("key") == (False, None)
    await cache.aclose()


@pytest.mark.parametrize("timeout", [-1, math.nan, math.inf, None, "1", True], ids=repr)
def test_a_timeout_that_is_not_a_number_of_seconds_is_refused(client: redis.asyncio.Redis, timeout: Any) -> None:
    with pytest.raises((TypeError, ValueError), match="timeout"):
        RedisCacheAdapter(client, timeout=timeout)


@pytest.mark.parametrize("option", ["key_prefix", "secret"])
def test_options_that_are_not_text_are_refused(client: redis.asyncio.Redis, option: str) -> None:
    with pytest.raises(TypeError, match=option):
        RedisCacheAdapter(client, **{option: 7})
