"""msgpack, with types: it ships none."""

from __future__ import annotations

from typing import TYPE_CHECKING

__all__ = ["ExtType", "Packer", "Timestamp", "unpackb"]

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, NamedTuple

    class ExtType(NamedTuple):
        """A user's extension type."""

        code: int
        data: bytes

    class Timestamp:
        """A point in time, in the one extension type msgpack defines itself."""

        seconds: int
        nanoseconds: int

    class Packer:
        """Packs one value after the other."""

        def __init__(
            self,
            *,
            default: Callable[[Any], Any] | None = None,
            strict_types: bool = False,
            unicode_errors: str | None = None,
        ) -> None: ...

        def pack(self, obj: object) -> bytes:
            """Return *obj* as bytes."""
            ...

    def unpackb(packed: bytes, **options: Any) -> Any:
        """Return what was packed."""

else:
    from msgpack import ExtType, Packer, Timestamp, unpackb
