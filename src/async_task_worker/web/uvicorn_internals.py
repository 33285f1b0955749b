"""The two things that the HTTP API reads from uvicorn and ASGI does not offer; nothing else in ``web`` knows uvicorn.

Under another server both functions find nothing: streams of clients that stopped reading are then
closed by that server, and long polls last until their timeout. ``tests/http/test_uvicorn_internals.py``
runs them under the real uvicorn, and fails when uvicorn changes what they rely on.
"""

from __future__ import annotations

import asyncio
import signal


def shutdown_has_begun() -> bool:
    """Return whether uvicorn has begun to shut down.

    While uvicorn serves, the handler of SIGTERM is a method of its ``Server``, whose ``should_exit``
    is set by that handler.
    """
    server = getattr(signal.getsignal(signal.SIGTERM), "__self__", None)
    return getattr(server, "should_exit", False) is True


def transport_of_current_request() -> asyncio.Transport | None:
    """Return the transport of the connection whose request the current asyncio Task answers, or None.

    Uvicorn answers each request in a Task of its own, whose coroutine is the method ``run_asgi`` of an
    object that has the transport. Call it in that Task.
    """
    task = asyncio.current_task()
    frame = getattr(task.get_coro(), "cr_frame", None) if task is not None else None
    cycle = None if frame is None else frame.f_locals.get("self")
    transport = getattr(cycle, "transport", None)
    return (
        transport if callable(getattr(transport, "abort", None)) else None
    )  # the transports of uvloop are not asyncio.Transports
