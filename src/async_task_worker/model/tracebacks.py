"""Separate the traceback of one raise from those of earlier raises of the same exception object.

Python puts the frames of each raise in front of the ``__traceback__`` that the exception has
already. An exception object that several tasks raise, such as a module constant, would collect the
frames of all of them. So two places are marked in a traceback: where the task that raised the error
has ended, and where the error was passed to a caller that waits for the task. When a later task
raises it, the traceback is cut at the mark.

A mark is a copy of the first traceback entry with a negative ``tb_lasti``. That number only places
the carets under a printed source line, so a mark is printed as one line.
"""

from __future__ import annotations

from opcode import opmap
from types import FrameType, TracebackType
from typing import Final

from .failure import traceback_of

_RAISED_MARK: Final = -(1 << 24)
"""``tb_lasti`` counts down from here in a mark at the end of the task that raised the error."""

_PASSED_MARK: Final = 2 * _RAISED_MARK
"""The same in a mark where the error was passed to a caller that waits for the task."""

_RAISE: Final = opmap["RAISE_VARARGS"]

_PACKAGE: Final = __name__.partition(".")[0]


def mark_raised(error: BaseException, traceback: TracebackType | None) -> None:
    """Set the traceback of *error* to the frames that its task added, and mark the place.

    Args:
        error: The exception that a task raised.
        traceback: Its traceback, from the task function on.
    """
    own = _own(traceback)
    BaseException.with_traceback(error, own and _marked(own, _RAISED_MARK))


def traceback_of_task(error: BaseException) -> TracebackType | None:
    """Return the traceback that *error* had at the end of its task."""
    traceback = traceback_of(error)
    if traceback is None or traceback.tb_lasti > _RAISED_MARK:
        return traceback
    kind = _RAISED_MARK if traceback.tb_lasti > _PASSED_MARK else _PASSED_MARK
    return _copy(traceback, kind - traceback.tb_lasti - 1)


def mark_passed(error: BaseException, traceback: TracebackType | None) -> None:
    """Set the traceback of *error* to that of its task, with a mark, before a caller raises it."""
    BaseException.with_traceback(error, traceback and _marked(traceback, _PASSED_MARK))


def _own(traceback: TracebackType | None) -> TracebackType | None:
    """Return the part of a traceback that one task added: without the frames of earlier tasks."""
    frames, entry, known = set(), traceback, False
    last = None  # the entry of a ``raise`` of an error that had a traceback before
    while entry is not None:
        if entry.tb_lasti <= _RAISED_MARK and (known or entry.tb_lasti > _PASSED_MARK):
            return _until(traceback, last, entry)
        # Without such a ``raise``, the task awaited another one, whose frames are part of its error.
        frames.add(entry.tb_frame)
        if not known and _raises_known_error(entry, frames):
            last, known = entry, True
        entry = entry.tb_next
    return traceback


def _raises_known_error(entry: TracebackType, frames: set[FrameType]) -> bool:
    """Return whether a ``raise`` in user code put this entry in front of a traceback of other frames."""
    frame, following = entry.tb_frame, entry.tb_next
    if following is None or following.tb_frame in frames or entry.tb_lasti < 0:
        return False
    module = frame.f_globals.get("__name__")  # user code may have put any object there
    if type(module) is str and module.partition(".")[0] == _PACKAGE:
        return False  # this package raises the error of a task for a caller that waits for it
    return frame.f_code.co_code[entry.tb_lasti] == _RAISE


def _until(traceback: TracebackType | None, last: TracebackType | None, mark: TracebackType) -> TracebackType | None:
    """Return copies of the entries up to *last*, or of those in front of *mark* if that is None."""
    kept = []
    while traceback is not None and traceback is not mark:
        kept.append(traceback)
        traceback = None if traceback is last else traceback.tb_next
    copied: TracebackType | None = None
    for entry in reversed(kept):
        copied = TracebackType(copied, entry.tb_frame, entry.tb_lasti, entry.tb_lineno)
    return copied


def _marked(traceback: TracebackType, kind: int) -> TracebackType:
    return _copy(traceback, kind - traceback.tb_lasti - 1) if traceback.tb_lasti > _RAISED_MARK else traceback


def _copy(traceback: TracebackType, lasti: int) -> TracebackType:
    return TracebackType(traceback.tb_next, traceback.tb_frame, lasti, traceback.tb_lineno)
