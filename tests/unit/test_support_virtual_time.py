"""The virtual-time loop: it jumps where it may, waits where it must, and says so where it cannot go on."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import threading
import time
from collections.abc import Callable, Coroutine

import pytest

from tests.support.virtual_time import BEGINNING, DeadlockError, VirtualTimeLoop, run_virtual

YEAR = 365 * 24 * 3600.0


def virtual_loop() -> VirtualTimeLoop:
    loop = asyncio.get_running_loop()
    assert isinstance(loop, VirtualTimeLoop)
    return loop


async def test_an_hour_passes_in_a_moment() -> None:
    loop, real = asyncio.get_running_loop(), time.perf_counter()
    await asyncio.sleep(3600)
    assert loop.time() == BEGINNING + 3600
    assert time.perf_counter() - real < 360


async def test_ten_years_pass_and_the_shortest_sleep_still_ends() -> None:
    loop = asyncio.get_running_loop()
    await asyncio.sleep(10 * YEAR)
    await asyncio.sleep(1e-9)
    assert loop.time() == pytest.approx(BEGINNING + 10 * YEAR)


async def test_timers_fire_in_order_at_their_time() -> None:
    loop, fired = asyncio.get_running_loop(), []
    for delay in (30, 10, 20):
        loop.call_later(delay, lambda: fired.append(loop.time() - BEGINNING))
    await asyncio.sleep(60)
    assert fired == [10, 20, 30]


async def test_no_time_passes_while_anything_is_ready() -> None:
    loop = asyncio.get_running_loop()
    loop.call_later(1, lambda: None)
    for _ in range(1000):
        await asyncio.sleep(0)
    assert loop.time() == BEGINNING


async def test_a_timeout_expires_without_being_waited_for() -> None:
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(600):
            await asyncio.Event().wait()
    assert asyncio.get_running_loop().time() == BEGINNING + 600


async def test_the_wall_clock_follows_and_can_be_set() -> None:
    loop = virtual_loop()
    before = loop.wall()
    await asyncio.sleep(90)
    assert loop.wall() - before == 90
    loop.set_wall(1_000_000.0)
    await asyncio.sleep(5)
    assert loop.wall() == 1_000_005.0
    assert loop.time() == BEGINNING + 95


async def test_time_waits_for_a_call_in_a_thread() -> None:
    loop, done = virtual_loop(), threading.Event()
    loop.call_later(1, done.set)  # would let the thread go, were time to pass meanwhile
    assert await asyncio.to_thread(done.wait, 0.05) is False
    assert loop.time() == BEGINNING


async def test_time_goes_on_once_the_thread_has_returned() -> None:
    await asyncio.to_thread(int)
    await asyncio.sleep(3600)  # the executor's thread is still there, idle
    assert virtual_loop().time() == BEGINNING + 3600


async def test_time_may_pass_without_waiting_for_threads() -> None:
    loop, done = virtual_loop(), threading.Event()
    loop.waits_for_threads = False
    loop.call_later(60, done.set)
    assert await asyncio.to_thread(done.wait, 10) is True


async def test_time_can_be_held() -> None:
    loop, heard = virtual_loop(), asyncio.Event()
    thread = threading.Timer(0.1, loop.call_soon_threadsafe, [heard.set])
    with loop.holding_time():
        thread.start()
        async with asyncio.timeout(0.001):
            await heard.wait()
    thread.join()
    assert loop.time() == BEGINNING


def run_patiently(main: Callable[[], Coroutine[None, None, None]]) -> None:
    """Listen for long before each jump: however busy the machine is, what is expected comes first."""
    with asyncio.Runner(debug=True, loop_factory=lambda: VirtualTimeLoop(grace=20)) as runner:
        runner.run(main())


def test_a_foreign_thread_is_heeded_before_a_jump() -> None:
    async def main() -> None:
        loop, heard = asyncio.get_running_loop(), asyncio.Event()
        thread = threading.Timer(0.1, loop.call_soon_threadsafe, [heard.set])
        thread.start()
        async with asyncio.timeout(0.001):
            await heard.wait()
        thread.join()

    run_patiently(main)


async def test_without_a_timer_a_foreign_thread_is_waited_for() -> None:
    loop, heard = virtual_loop(), asyncio.Event()
    thread = threading.Timer(0.1, loop.call_soon_threadsafe, [heard.set])
    thread.start()
    await heard.wait()
    thread.join()


def test_sockets_are_served_before_time_jumps() -> None:
    async def shout(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write((await reader.readline()).upper())
        await writer.drain()
        writer.close()

    async def main() -> None:
        async with asyncio.timeout(0.001), await asyncio.start_server(shout, "127.0.0.1", 0) as server:
            reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
            writer.write(b"hello\n")
            assert await reader.readline() == b"HELLO\n"
            writer.close()
            await writer.wait_closed()

    run_patiently(main)


async def test_an_idle_socket_does_not_stop_time() -> None:
    loop = virtual_loop()
    left, right = socket.socketpair()
    with left, right:
        loop.add_reader(left, lambda: None)
        await asyncio.sleep(3600)
        loop.remove_reader(left)
    assert loop.time() == BEGINNING + 3600


async def test_a_signal_is_waited_for() -> None:
    loop, heard = virtual_loop(), asyncio.Event()
    loop.add_signal_handler(signal.SIGUSR1, heard.set)
    os.kill(os.getpid(), signal.SIGUSR1)
    await heard.wait()
    assert loop.remove_signal_handler(signal.SIGUSR1)


async def test_settled_returns_when_only_time_could_bring_news() -> None:
    loop, seen = virtual_loop(), []

    async def busy() -> None:
        for turn in range(500):
            await asyncio.sleep(0)
            seen.append(turn)
        await asyncio.sleep(1)
        seen.append("too late")

    task = asyncio.create_task(busy())
    await loop.settled()
    assert seen == list(range(500))
    assert loop.time() == BEGINNING
    await task


def test_a_deadlock_error_lists_the_tasks_and_where_they_wait() -> None:
    async def inner() -> None:
        await asyncio.Event().wait()

    async def main() -> None:
        other = asyncio.create_task(inner(), name="the other one")
        await other

    with pytest.raises(DeadlockError) as caught:
        run_virtual(main)
    message = str(caught.value)
    assert "no timer is set" in message
    assert "nobody could call in" in message
    assert "the other one: test_a_deadlock_error_lists_the_tasks_and_where_they_wait.<locals>.inner" in message
    assert f"waits at {__file__}:" in message


def test_a_thread_that_never_returns_is_reported() -> None:
    release = threading.Event()

    async def main() -> None:
        call = asyncio.get_running_loop().run_in_executor(None, release.wait)
        try:
            await asyncio.sleep(1)
        finally:
            release.set()
            await call

    with (
        pytest.raises(DeadlockError, match="a call in a thread has not returned"),
        asyncio.Runner(loop_factory=lambda: VirtualTimeLoop(patience=0.05)) as runner,
    ):
        runner.run(main())


def test_a_silent_socket_is_reported() -> None:
    async def main() -> None:
        async with await asyncio.start_server(lambda reader, writer: None, "127.0.0.1", 0):
            await asyncio.Event().wait()

    with (
        pytest.raises(DeadlockError, match="somebody outside could call in, but did not"),
        asyncio.Runner(loop_factory=lambda: VirtualTimeLoop(patience=0.05)) as runner,
    ):
        runner.run(main())


@pytest.mark.real_time
async def test_real_time_can_be_asked_for() -> None:
    assert type(asyncio.get_running_loop()) is asyncio.SelectorEventLoop


@pytest.mark.other_loop
async def test_another_loop_can_be_asked_for() -> None:
    assert type(asyncio.get_running_loop()).__module__.startswith("uvloop")


async def test_every_test_runs_in_debug_mode() -> None:
    assert asyncio.get_running_loop().get_debug()
