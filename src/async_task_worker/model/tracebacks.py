"""Tell the frames of one raise from those of earlier raises of the same exception object.

Python puts the frames of each raise in front of what the exception's ``__traceback__``
holds already. An exception object that several tasks raise, such as one made at a module's
top, would collect the frames of all of them. So two places are marked in it: where an
error was left by the task that raised it, and where it was handed to a caller that waits
for that task. What a later task raises is cut off there.

A mark is a copy of the first traceback entry with another ``tb_lasti``, below zero. That
number only places the carets under a printed source line, so a mark prints as one line.
"""

from __future__ import annotations

from opcode import opmap
from types import FrameType, TracebackType
from typing import Final

from .failure import traceback_of

_LEFT: Final = -(1 << 24)
"""``tb_lasti`` counts down from here where a task left its error."""

_HANDED: Final = 2 * _LEFT
"""The same where the error was handed to a caller that waits for the task."""

_RAISE: Final = opmap["RAISE_VARARGS"]

_PACKAGE: Final = __name__.partition(".")[0]


def leave(error: BaseException, traceback: TracebackType | None) -> None:
    """Keep as the traceback of *error* what its task added to it, and mark the place.

    Args:
        error: What a task raised.
        traceback: Its traceback, from the task function on.
    """
    own = _own(traceback)
    BaseException.with_traceback(error, own and _marked(own, _LEFT))


def left_traceback(error: BaseException) -> TracebackType | None:
    """Return the traceback of *error* as its task left it."""
    traceback = traceback_of(error)
    if traceback is None or traceback.tb_lasti > _LEFT:
        return traceback
    kind = _LEFT if traceback.tb_lasti > _HANDED else _HANDED
    return _copy(traceback, kind - traceback.tb_lasti - 1)


def hand_over(error: BaseException, traceback: TracebackType | None) -> None:
    """Give *error* the traceback of its task, marked, for a caller that is about to raise it."""
    BaseException.with_traceback(error, traceback and _marked(traceback, _HANDED))


def _own(traceback: TracebackType | None) -> TracebackType | None:
    """Return what one task added: the traceback without what the error had from earlier tasks."""
    frames, entry, known = set(), traceback, False
    last = None  # the entry of a ``raise`` of an error that had a traceback before
    while entry is not None:
        if entry.tb_lasti <= _LEFT and (known or entry.tb_lasti > _HANDED):
            return _until(traceback, last, entry)
        # Without such a ``raise`` the task awaited another one: how that failed belongs to its error.
        frames.add(entry.tb_frame)
        if not known and _raises_known_error(entry, frames):
            last, known = entry, True
        entry = entry.tb_next
    return traceback


def _raises_known_error(entry: TracebackType, frames: set[FrameType]) -> bool:
    """Whether a ``raise`` of the user's put this entry in front of a traceback of other frames."""
    frame, following = entry.tb_frame, entry.tb_next
    if following is None or following.tb_frame in frames or entry.tb_lasti < 0:
        return False
    if str(frame.f_globals.get("__name__")).partition(".")[0] == _PACKAGE:
        return False  # it raises what a task left, for a caller that waits for it
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
    return _copy(traceback, kind - traceback.tb_lasti - 1) if traceback.tb_lasti > _LEFT else traceback


def _copy(traceback: TracebackType, lasti: int) -> TracebackType:
    return TracebackType(traceback.tb_next, traceback.tb_frame, lasti, traceback.tb_lineno)
