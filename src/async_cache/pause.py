"""Switching something off for a while, by as many at a time as like to."""

from __future__ import annotations

from types import TracebackType


class Pause:
    """Holds while anybody is inside ``with pause:`` or ``async with pause:``.

    It counts who is inside, so blocks may be nested and may overlap, in one task or in several.
    """

    def __init__(self) -> None:
        self._inside = 0

    @property
    def holds(self) -> bool:
        """Whether anybody is inside."""
        return self._inside > 0

    def __enter__(self) -> None:
        self._inside += 1

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._inside -= 1

    async def __aenter__(self) -> None:
        self._inside += 1

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._inside -= 1
