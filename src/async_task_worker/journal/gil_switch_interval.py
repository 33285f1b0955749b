"""Shorten the interpreter's switch interval while a thread works on a database.

A thread that returns from SQLite requests the interpreter's lock and usually gets it after 5 ms.
But a busy event loop releases the lock in each iteration, for less time than a thread needs to
wake up, and each time the 5 ms start again: the thread waits until the loop is idle, and the
database waits for the thread. See "Understanding the Python GIL" by David Beazley.
"""

from __future__ import annotations

import os
import sys
import threading
from typing import Final

SHORT: Final = 100e-6
"""Seconds after which a thread has to release the lock: less than an iteration of a busy loop takes."""

PROCESSORS = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
"""With a single processor, the two threads can only alternate: then a long interval is better."""

_lock = threading.Lock()
_active: set[ShortSwitchInterval] = set()
_usual = 0.0


class ShortSwitchInterval:
    """Keeps the interval short from its creation to its end; on a single processor it does nothing."""

    def __init__(self) -> None:
        global _usual  # noqa: PLW0603 - the interval belongs to the whole process
        if PROCESSORS == 1:
            return
        with _lock:
            if not _active:
                _usual = _interval()
                _set_interval(min(SHORT, _usual))
            _active.add(self)

    def end(self) -> None:
        """Stop to need the short interval. May be called from any thread, and more than once."""
        with _lock:
            if self in _active:
                _active.remove(self)
                _restore()


def _restore() -> None:
    """Restore the usual interval if no object needs the short one, unless other code has changed it since."""
    if not _active and _interval() == SHORT:
        _set_interval(_usual)


def _interval() -> float:
    return round(sys.getswitchinterval(), 6)


def _set_interval(seconds: float) -> None:
    sys.setswitchinterval(seconds + 0.5e-6)  # the function truncates to whole microseconds


def _reset_after_fork() -> None:
    """Restore the usual interval in a forked process, which has none of the threads that needed the short one."""
    global _lock  # noqa: PLW0603 - another thread may have held it during the fork
    _lock = threading.Lock()
    _active.clear()
    if _usual:
        _restore()  # whatever another thread was doing when the fork happened


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_reset_after_fork)
