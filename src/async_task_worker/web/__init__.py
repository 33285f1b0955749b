"""The HTTP API of a worker, as a FastAPI router: ``pip install "async-task-worker[web]"``."""

from fastapi import APIRouter
from fastapi.params import Depends

from .limits import Limits
from .redaction import Redact, redact_names
from .router import create_router

__all__ = ["APIRouter", "Depends", "Limits", "Redact", "create_router", "redact_names"]
