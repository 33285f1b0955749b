"""Which threads of this process belong to whom."""

from __future__ import annotations

import threading
import weakref
from concurrent.futures import thread as executor_threads


def of_executor(thread: threading.Thread) -> bool:
    """Whether *thread* serves a ThreadPoolExecutor. Between two calls it is idle, and nobody waits for it."""
    return thread in executor_threads._threads_queues


class KnownThreads:
    """The threads alive at one moment, to tell later which ones are new."""

    def __init__(self) -> None:
        self._known = weakref.WeakSet(threading.enumerate())

    def newcomers(self) -> list[threading.Thread]:
        """Return the threads started since then and still alive; executors' own are not counted."""
        return [t for t in threading.enumerate() if t not in self._known and not of_executor(t)]
