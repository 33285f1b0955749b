"""Short turns of the interpreter's threads while one of them works on a file.

A thread that comes back from SQLite asks for the interpreter's lock and usually gets it after
5 ms. But an event loop that is busy lets go of the lock in each turn, for less time than a
thread needs to wake up, and each time the 5 ms begin anew: the thread waits until the loop has
nothing to do, and its file meanwhile for it. See "Understanding the Python GIL" by David Beazley.
"""

from __future__ import annotations

import os
import sys
import threading
from typing import Final

SHORT: Final = 100e-6
"""Seconds a thread runs on when another wants to: less than a busy loop's turn takes."""

PROCESSORS = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
"""Of one alone, the two threads can only take turns: then long ones are better."""

_lock = threading.Lock()
_wanted: set[ShortTurns] = set()
_usual = 0.0


class ShortTurns:
    """Turns are short from its making on, until each that was made has ended; on one processor they stay long."""

    def __init__(self) -> None:
        global _usual  # noqa: PLW0603 - it is about the process
        if PROCESSORS == 1:
            return
        with _lock:
            if not _wanted:
                _usual = _length()
                _set_length(min(SHORT, _usual))
            _wanted.add(self)

    def end(self) -> None:
        """Want no short turns any more. From any thread, and as often as one likes."""
        with _lock:
            if self in _wanted:
                _wanted.remove(self)
                _lengthen()


def _lengthen() -> None:
    """Have turns as long as before if nobody wants short ones, or has set another length meanwhile."""
    if not _wanted and _length() == SHORT:
        _set_length(_usual)


def _length() -> float:
    return round(sys.getswitchinterval(), 6)


def _set_length(seconds: float) -> None:
    sys.setswitchinterval(seconds + 0.5e-6)  # it takes whole microseconds and cuts off the rest


def _begin_anew() -> None:
    """Want no short turns in a fork, which has none of the threads that did."""
    global _lock  # noqa: PLW0603
    _lock = threading.Lock()
    _wanted.clear()
    if _usual:
        _lengthen()  # the fork may have come between any two steps of another thread


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_begin_anew)
