"""The event bus by itself: who hears what, in which order, and who never disturbs whom."""

from __future__ import annotations

import asyncio
import gc
import logging
from functools import partial
from typing import Any

import pytest

from async_task_worker import EventStream, TaskEvent
from async_task_worker.state.events import EventBus
from async_task_worker.state.ledger import Ledger
from tests.support.virtual_time import run_virtual
from tests.support.waiting import settled
from tests.unit.records import ManualClock, admitted


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def bus(clock: ManualClock) -> EventBus:
    return EventBus(clock.clock.wall)


class Publisher:
    """Publishes events of one task, so that ``send("a")`` is an event of type ``a``."""

    def __init__(self, bus: EventBus) -> None:
        self._bus = bus
        self._record = admitted(Ledger())

    def __call__(self, *kinds: str) -> None:
        for kind in kinds:
            self._bus.publish(kind, self._record)


@pytest.fixture
def send(bus: EventBus) -> Publisher:
    return Publisher(bus)


async def hear_async(_event: TaskEvent) -> None:
    """A listener nothing would await."""


class HearsAsync:
    async def __call__(self, _event: TaskEvent) -> None: ...

    async def hear(self, _event: TaskEvent) -> None: ...


class TestListening:
    def test_every_listener_gets_every_event_in_order(self, bus: EventBus, send: Publisher) -> None:
        heard: list[tuple[int, str]] = []
        bus.listen(lambda event: heard.append((1, event.type)))
        bus.listen(lambda event: heard.append((2, event.type)))
        send("a", "b")
        assert heard == [(1, "a"), (2, "a"), (1, "b"), (2, "b")]

    @pytest.mark.parametrize(
        "wrong",
        [hear_async, partial(hear_async), HearsAsync(), HearsAsync().hear],
        ids=["function", "partial", "callable", "method"],
    )
    def test_a_coroutine_function_is_refused_with_a_hint_to_streams(self, bus: EventBus, wrong: Any) -> None:
        with pytest.raises(TypeError, match=r"plain function.*events\.stream\(\)"):
            bus.listen(wrong)
        assert not bus.has_subscribers

    def test_a_coroutine_that_a_plain_listener_returns_is_closed_and_reported(
        self, bus: EventBus, send: Publisher, caplog: pytest.LogCaptureFixture
    ) -> None:
        bus.listen(lambda event: hear_async(event))  # noqa: PLW0108 - a lambda hides what it calls
        send("a")
        assert "events.stream()" in caplog.text

    def test_events_are_numbered_without_gaps_and_dated(
        self, bus: EventBus, clock: ManualClock, send: Publisher
    ) -> None:
        events: list[TaskEvent] = []
        bus.listen(events.append)
        for _ in range(3):
            send("a")
            clock.advance(1)
        assert [event.seq - events[0].seq for event in events] == [0, 1, 2]
        assert [event.at.timestamp() for event in events] == [clock.wall - 3, clock.wall - 2, clock.wall - 1]

    def test_a_removed_listener_gets_no_more_events(self, bus: EventBus, send: Publisher) -> None:
        events: list[TaskEvent] = []
        stop = bus.listen(events.append)
        send("a")
        stop()
        stop()
        send("b")
        assert [event.type for event in events] == ["a"]

    def test_a_listener_that_listens_twice_stops_once_at_a_time(self, bus: EventBus, send: Publisher) -> None:
        events: list[TaskEvent] = []
        listener = events.append
        stop_first, stop_second = bus.listen(listener), bus.listen(listener)
        stop_first()
        stop_first()
        send("a")
        assert len(events) == 1
        stop_second()
        send("b")
        assert len(events) == 1

    def test_an_event_caused_by_a_listener_comes_after_the_one_it_got(self, bus: EventBus, send: Publisher) -> None:
        heard: list[tuple[int, str]] = []

        def first(event: TaskEvent) -> None:
            heard.append((1, event.type))
            if event.type == "a":
                send("b")

        bus.listen(first)
        bus.listen(lambda event: heard.append((2, event.type)))
        send("a")
        assert heard == [(1, "a"), (2, "a"), (1, "b"), (2, "b")]

    def test_a_listener_may_stop_itself_or_bring_another(self, bus: EventBus, send: Publisher) -> None:
        heard: list[str] = []

        def once(event: TaskEvent) -> None:
            stop()
            bus.listen(lambda event: heard.append(f"other {event.type}"))
            heard.append(event.type)

        stop = bus.listen(once)
        send("a", "b")
        assert heard == ["a", "other b"]

    @pytest.mark.parametrize("error", [ValueError, SystemExit, GeneratorExit, asyncio.CancelledError])
    def test_an_error_in_a_listener_is_logged_and_affects_no_other(
        self, bus: EventBus, send: Publisher, error: type[BaseException], caplog: pytest.LogCaptureFixture
    ) -> None:
        def fail(event: TaskEvent) -> None:
            raise error("listener")

        events: list[TaskEvent] = []
        bus.listen(fail)
        bus.listen(events.append)
        send("a", "b")
        assert [event.type for event in events] == ["a", "b"]
        assert [record.exc_info[0] for record in caplog.records if record.exc_info] == [error, error]

    def test_an_interrupt_in_a_listener_ends_the_loop_after_the_other_listeners(
        self, bus: EventBus, send: Publisher
    ) -> None:
        def interrupt(event: TaskEvent) -> None:
            raise KeyboardInterrupt

        events: list[TaskEvent] = []
        bus.listen(interrupt)
        bus.listen(events.append)

        async def main() -> None:
            send("a")
            await asyncio.sleep(1)

        logging.getLogger("async_task_worker").disabled = True
        try:
            with pytest.raises(KeyboardInterrupt):
                run_virtual(main)
        finally:
            logging.getLogger("async_task_worker").disabled = False
        assert [event.type for event in events] == ["a"]

    @pytest.mark.parametrize("listener", [None, "print", 5])
    def test_a_listener_must_be_callable(self, bus: EventBus, listener: Any) -> None:
        with pytest.raises(TypeError, match="callable"):
            bus.listen(listener)
        assert not bus.has_subscribers


class TestTaps:
    def test_they_are_called_before_any_listener(self, bus: EventBus, send: Publisher) -> None:
        heard: list[str] = []
        bus.listen(lambda event: heard.append(f"listener {event.type}"))
        unsubscribe = bus.subscribe_records(lambda kind, record: heard.append(f"record {kind}"))
        send("a")
        unsubscribe()
        send("b")
        assert heard == ["record a", "listener a", "listener b"]

    def test_a_tap_may_end_itself(self, bus: EventBus, send: Publisher) -> None:
        heard: list[str] = []

        def once(kind: str, record: object) -> None:
            unsubscribe()
            heard.append(kind)

        unsubscribe = bus.subscribe_records(once)
        bus.subscribe_records(lambda kind, record: heard.append(kind))
        send("a", "b")
        assert heard == ["a", "a", "b"]


class TestWatching:
    def test_the_bus_knows_whether_anybody_is_there(self, bus: EventBus) -> None:
        assert not bus.has_subscribers
        stop, unsubscribe, stream = bus.listen(print), bus.subscribe_records(lambda kind, record: None), bus.stream()
        for leave in (stop, unsubscribe, stream.close):
            assert bus.has_subscribers
            leave()
        assert not bus.has_subscribers

    def test_a_stream_that_is_dropped_is_gone(self, bus: EventBus) -> None:
        stream = bus.stream()
        assert bus.has_subscribers
        del stream
        gc.collect()
        assert not bus.has_subscribers

    def test_no_event_is_created_without_subscribers(self, bus: EventBus, send: Publisher) -> None:
        """Events are numbered as somebody listens, so one who comes late finds no hole before the next."""
        events: list[TaskEvent] = []
        send("a", "b")
        bus.listen(events.append)
        send("c")
        assert events[0].seq == 1


class TestStreams:
    async def test_it_yields_what_happened_since_it_was_made(self, bus: EventBus, send: Publisher) -> None:
        send("before")
        stream = bus.stream()
        send("a", "b")
        stream.close()
        assert [event.type async for event in stream] == ["a", "b"]

    async def test_when_full_the_oldest_goes_and_is_counted(self, bus: EventBus, send: Publisher) -> None:
        stream = bus.stream(max_buffer=2)
        send("a", "b", "c", "d")
        stream.close()
        assert stream.missed == 2
        assert [event.type async for event in stream] == ["c", "d"]

    async def test_its_reader_waits_for_the_next_one(self, bus: EventBus, send: Publisher) -> None:
        stream = bus.stream()
        reader = asyncio.ensure_future(anext(stream))
        await settled()
        assert not reader.done()
        send("a")
        assert (await reader).type == "a"

    async def test_closing_it_wakes_its_reader(self, bus: EventBus) -> None:
        stream = bus.stream()
        reader = asyncio.create_task(read_all(stream))
        await settled()
        stream.close()
        stream.close()
        assert await reader == []

    async def test_leaving_the_block_closes_it(self, bus: EventBus, send: Publisher) -> None:
        async with bus.stream() as stream:
            send("a")
        send("b")
        assert [event.type async for event in stream] == ["a"]
        assert not bus.has_subscribers

    async def test_closing_the_bus_ends_all_of_them(self, bus: EventBus, send: Publisher) -> None:
        streams = [bus.stream() for _ in range(3)]
        send("a")
        bus.close_streams()
        send("b")
        assert [len(await read_all(stream)) for stream in streams] == [1, 1, 1]
        assert not bus.has_subscribers

    async def test_a_second_reader_is_refused_without_affecting_the_first(self, bus: EventBus, send: Publisher) -> None:
        stream = bus.stream()
        reader = asyncio.ensure_future(anext(stream))
        await settled()
        with pytest.raises(RuntimeError, match="two readers"):
            await anext(stream)
        send("a")
        assert (await reader).type == "a"

    async def test_after_a_cancelled_reader_another_may_read(self, bus: EventBus, send: Publisher) -> None:
        stream = bus.stream()
        reader = asyncio.create_task(read_all(stream))
        await settled()
        reader.cancel()
        await asyncio.wait([reader])
        send("a")
        assert (await anext(stream)).type == "a"

    async def test_a_reader_cancelled_as_an_event_arrives_does_not_lose_it(
        self, bus: EventBus, send: Publisher
    ) -> None:
        stream = bus.stream()
        reader = asyncio.create_task(read_all(stream))
        await settled()
        send("a")
        reader.cancel()
        await asyncio.wait([reader])
        assert (await anext(stream)).type == "a"

    @pytest.mark.parametrize(
        ("size", "error"), [(0, ValueError), (-1, ValueError), (1.0, TypeError), (True, TypeError)]
    )
    def test_its_buffer_holds_at_least_one(self, bus: EventBus, size: Any, error: type[Exception]) -> None:
        with pytest.raises(error, match="max_buffer"):
            bus.stream(max_buffer=size)
        assert not bus.has_subscribers


async def read_all(stream: EventStream) -> list[TaskEvent]:
    return [event async for event in stream]
