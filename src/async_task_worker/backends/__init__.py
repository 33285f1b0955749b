"""Backends: where tasks wait and run, chosen by a URL or given as an object."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from ..runtime.runner import Runtime
from .base import Backend, Capabilities, capabilities_of
from .memory import MemoryBackend

__all__ = ["Backend", "Capabilities", "MemoryBackend", "Runtime", "capabilities_of", "open_backend"]


def _open_sqlite(url: str) -> Backend:
    from .sqlite import open_sqlite  # noqa: PLC0415 - the database and the codec are for those who use them

    return open_sqlite(url)


SCHEMES: Final[dict[str, Callable[[str], Backend]]] = {"memory": lambda _url: MemoryBackend(), "sqlite": _open_sqlite}


def open_backend(backend: str | Backend) -> Backend:
    """Return the backend meant by a URL such as ``"memory://"``; an object is taken as it is.

    Raises:
        ValueError: The URL's scheme is unknown.
        TypeError: It is neither a URL nor a backend.
    """
    if not isinstance(backend, str):
        if not callable(getattr(backend, "attach", None)):
            raise TypeError(f"backend must be a URL such as 'memory://' or a Backend, not {backend!r}")
        return backend
    scheme, separator, _ = backend.partition("://")
    if not separator or scheme not in SCHEMES:
        raise ValueError(
            f"backend {scheme!r} is unknown; write 'memory://' or 'sqlite:///tasks.db', "
            "with four slashes for an absolute path ('sqlite:////var/lib/tasks.db')"
        )
    return SCHEMES[scheme](backend)
