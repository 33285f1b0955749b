"""The HTTP API of a worker, as a FastAPI router: ``pip install "async-task-worker[web]"``.

Names that need FastAPI are imported on first access.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

from .limits import Limits
from .rendering.redaction import Redact, redact_names

if TYPE_CHECKING:
    from fastapi import APIRouter
    from fastapi.params import Depends

    from .api.router import create_router
    from .api.scopes import Scope

__all__ = ["APIRouter", "Depends", "Limits", "Redact", "Scope", "create_router", "redact_names"]

_LAZY: Final = {
    "APIRouter": "fastapi",
    "Depends": "fastapi.params",
    "Scope": ".api.scopes",
    "create_router": ".api.router",
}


def __getattr__(name: str) -> Any:
    """Import the module behind a name of ``_LAZY``."""
    if name not in _LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    found = globals()[name] = getattr(import_module(_LAZY[name], __name__), name)
    return found
