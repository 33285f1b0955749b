"""Paths of tasks. Every task id has a path, also one that contains slashes or equals a path of the router.

An id made in Python may be any text. Most ids are percent-encoded. Servers and clients change
some paths nevertheless: they remove ``.`` and ``..``, and decode ``%2F``. Such ids, and ids that
equal a path of the router, are encoded in base64 after an equals sign.
"""

from __future__ import annotations

from base64 import urlsafe_b64decode, urlsafe_b64encode
from typing import Final
from urllib.parse import quote, unquote_to_bytes

from starlette.requests import Request

RESERVED_IDS: Final = frozenset({"types", "batch", "actions", "stats", "events", ".", ".."})
"""Segments that the router's own paths have in place of an id, and the two that clients resolve themselves."""

_MARK: Final = "="
_PLAIN_IN_PATHS: Final = "/:@!$&'()*+,;=~"


def segment_for(task_id: str) -> str:
    """Return the path segment of a task id."""
    if task_id in RESERVED_IDS or task_id.startswith(_MARK) or "/" in task_id or not task_id.isprintable():
        return _encode(task_id)
    return quote(task_id, safe=":@~")


def task_id_from(segment: str) -> str:
    """Return the task id of a percent-decoded path segment."""
    if not segment.startswith(_MARK):
        return segment
    try:
        decoded = urlsafe_b64decode(segment[1:] + "=" * (-(len(segment) - 1) % 4))
        task_id = decoded.decode("utf-8", "surrogatepass")
    except ValueError:
        return segment
    return task_id if task_id and _encode(task_id) == segment else segment


def encode_inner_slashes(path: str, raw_path: bytes | None) -> str:
    """Return the path with each segment that contains a slash (``%2F``) encoded, so that it stays one segment."""
    if raw_path is None or b"%2f" not in raw_path.lower() or _decode(raw_path) != path:
        return path
    segments = map(_decode, raw_path.split(b"/"))
    return "/".join(_encode(segment) if "/" in segment else segment for segment in segments)


def task_path(request: Request, task_id: str) -> str:
    """Return the path of a task, given a request to the path ``/tasks``."""
    return f"{request_path(request).rstrip('/')}/{segment_for(task_id)}"


def request_path(request: Request) -> str:
    """Return the path as the client sent it, with the ``root_path`` that a proxy may have removed."""
    path, root = request.scope["path"], request.scope.get("root_path", "").rstrip("/")
    if not f"{path}/".startswith(f"{root}/"):
        path = root + path
    return quote(path, safe=_PLAIN_IN_PATHS)


def _encode(task_id: str) -> str:
    return _MARK + urlsafe_b64encode(task_id.encode("utf-8", "surrogatepass")).decode("ascii").rstrip("=")


def _decode(raw: bytes) -> str:
    return unquote_to_bytes(raw).decode("utf-8", "replace")
