"""Redaction of task bodies: the ``redact=`` of a router, and removal of secrets from every field."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable, Iterable
from collections.abc import Set as AbstractSet
from functools import partial
from typing import Any, Final

from ...model.failure import class_name, exc_info_of
from ...model.rendering import TOO_LARGE, placeholder, rendered
from ...model.safe_logger import SafeLogger
from .json_text import NO_LONGER_KEPT

logger = SafeLogger("async_task_worker.web.redaction")

Redact = Callable[[dict[str, Any]], dict[str, Any]]
"""A function that takes the body of a task, plain JSON data, and returns the body to show instead."""

REDACTED: Final = "[redacted]"

FAILED_REDACTION: Final = "[redaction failed]"
"""Shown instead of a field for which the redaction failed."""

_SECRET_SOURCES: Final = ("params", "metadata")
QUOTING_FIELDS: Final = ("error", "error_detail", "result", "progress_detail", "phase", *_SECRET_SOURCES)
"""Fields of a task that may quote secrets from its params or metadata."""

UNKNOWN_QUOTING_FIELDS: Final = ("error", "error_detail", "result", "progress_detail")
"""Fields that may quote secrets from params that were never known here; metadata is not among them."""

_PARAMS_PLACEHOLDERS: Final = (NO_LONGER_KEPT, placeholder({}, TOO_LARGE))
"""Placeholders that stand for all params of a task."""

_SAFE_FIELDS: Final = frozenset(
    {
        *("id", "status", "progress", "priority", "attempt", "from_cache", "result_dropped"),
        *("created_at", "started_at", "completed_at", "wait_time", "run_time"),
    }
)
"""Fields that contain no text written by a user or a task, except the id."""

_OBJECT_FIELDS: Final = frozenset({"progress_detail", *_SECRET_SOURCES})
"""Fields that are objects, so their placeholder must be an object."""


def redact_names(*names: str) -> Redact:
    """Return a ``redact=`` that hides the values of fields with these names, and texts that quote them.

    Names match at any depth of a task's params, metadata, result and progress detail, in upper
    or lower case. The values hidden in params or metadata are also removed from every other text
    of the task, such as an error that quotes them. If params or metadata are too large to be
    searched, or no longer kept, every field that may quote them is hidden.

    If params are null, the arguments of the task are not known: its error, result and progress
    detail are hidden.
    """
    if not names or not all(isinstance(name, str) for name in names):
        raise TypeError('redact_names needs the names of fields: redact_names("password", "token")')
    names_to_hide = frozenset(name.casefold() for name in names)

    def redact(task: dict[str, Any]) -> dict[str, Any]:
        if any(_is_incomplete(task.get(source)) for source in _SECRET_SOURCES):
            hidden = {key: _hidden_value(key, REDACTED) for key in QUOTING_FIELDS if task.get(key) is not None}
            return {**task, **hidden}
        secrets: set[str] = set()
        masked = {
            key: _mask(task[key], names_to_hide, secrets if key in _SECRET_SOURCES else set())
            for key in _present_fields(task)
        }
        shown = remove_texts({**task, **masked}, secrets, REDACTED)
        if task.get("params", {}) is None:
            shown |= {key: _hidden_value(key, REDACTED) for key in UNKNOWN_QUOTING_FIELDS if shown.get(key) is not None}
        return shown

    return redact


def remove_texts(task: dict[str, Any], secrets: Iterable[str], replacement: str) -> dict[str, Any]:
    """Return a task with these texts replaced, in each form in which a field may quote them."""
    replace = _replacer(secrets, replacement)
    return task if replace is None else {**task, **{key: replace(task[key]) for key in _present_fields(task)}}


class SafeRedaction:
    """Applies the user's redaction; if it fails for a task, only harmless fields of that task are shown.

    Args:
        redact: The user's redaction.
    """

    def __init__(self, redact: Redact) -> None:
        self._redact = redact
        self._has_failed = False

    def __call__(self, task: dict[str, Any]) -> dict[str, Any]:
        """Return the redacted task; if the redaction fails, only the id, status, numbers and times."""
        blank = {key: value if key in _SAFE_FIELDS else _blank_value(key, value) for key, value in task.items()}
        try:
            return _plain_dict(self._redact(task))
        except Exception as error:  # noqa: BLE001 - the user's function may raise anything
            self._log(blank["id"], error)
            return blank

    def _log(self, task_id: object, error: Exception) -> None:
        """Log the first failure; further failures probably have the same cause."""
        if not self._has_failed:
            self._has_failed = True
            logger.error(
                "redact failed on task %r, of which only the id and status are shown now, as of any other on which "
                "it fails. Correct the function. This is logged once for each router.",
                task_id,
                exc_info=exc_info_of(error),
            )


def _plain_dict(redacted: object) -> dict[str, Any]:
    """Return the result of a redaction as plain data; raise TypeError if it is not a dict."""
    if not isinstance(redacted, dict):
        raise TypeError(f"redact must return the dict to show, not {class_name(type(redacted))}")
    return {str(key): rendered(value, sys.maxsize) for key, value in redacted.items()}


def _blank_value(key: str, value: Any) -> Any:
    """Return the placeholder of a field that could not be redacted, of the type of the field."""
    if key in {"metadata", "params", "progress_detail"}:
        return None if value is None else {"redact": FAILED_REDACTION}
    return None if value is None and key != "error" else FAILED_REDACTION


def hide_quoting_fields(
    task: dict[str, Any], replacement: str, fields: Iterable[str] = QUOTING_FIELDS
) -> dict[str, Any]:
    """Return a task without the fields that may quote secrets which are not known, or no longer.

    The type of an error, the task type in the metadata, and the placeholder of params remain. A result
    may have any structure, also that of a placeholder, so it is hidden completely.
    """
    return {**task, **{key: _remainder(key, task, replacement) for key in fields if task.get(key) is not None}}


def _remainder(key: str, task: dict[str, Any], replacement: str) -> Any:
    value = task[key]
    if key == "error_detail" and isinstance(value, dict):
        return {"type": value.get("type"), "message": replacement}
    if key == "metadata" and isinstance(value, dict) and value.get("task_type") == task.get("task_type"):
        return {"task_type": value["task_type"]}
    return value if key == "params" and value in _PARAMS_PLACEHOLDERS else _hidden_value(key, replacement)


def _hidden_value(key: str, replacement: str) -> Any:
    """Return the placeholder of a hidden field, of the type of the field."""
    return placeholder({}, replacement) if key in _OBJECT_FIELDS else replacement


def _replacer(secrets: Iterable[str], replacement: str) -> Callable[[Any], Any] | None:
    forms = sorted(_quoted_forms(secrets), key=len, reverse=True)
    return (
        partial(_replace_texts, pattern=re.compile("|".join(map(re.escape, forms))), replacement=replacement)
        if forms
        else None
    )


def _present_fields(task: dict[str, Any]) -> list[str]:
    return [key for key in (*_SECRET_SOURCES, *QUOTING_FIELDS[:-2]) if task.get(key) is not None]


def _is_incomplete(value: Any) -> bool:
    return isinstance(value, dict) and ("$type" in value or any(map(_is_too_large, value.values())))


def _is_too_large(value: Any) -> bool:
    """Whether the value is the placeholder of a value that may have had fields to hide."""
    return isinstance(value, dict) and "$type" in value and str(value.get("$text")).startswith(TOO_LARGE)


def _mask(value: Any, names_to_hide: AbstractSet[str], secrets: set[str]) -> Any:
    """Return *value* with the named fields replaced; their texts are added to *secrets*."""
    if isinstance(value, dict):
        shown = {}
        for name, item in value.items():
            if name.casefold() in names_to_hide:
                secrets.update(texts_in(item))
                shown[name] = REDACTED
            else:
                shown[name] = _mask(item, names_to_hide, secrets)
        return shown
    return [_mask(item, names_to_hide, secrets) for item in value] if isinstance(value, list) else value


def texts_in(value: Any) -> Iterable[str]:
    """Return every text and number in plain data, including the names of fields."""
    if isinstance(value, dict):
        value = [*value, *value.values()]
    if isinstance(value, list):
        return (found for item in value for found in texts_in(item))
    return () if value is None or isinstance(value, bool) or value == "" else (str(value),)


def _quoted_forms(secrets: Iterable[str]) -> set[str]:
    """Return each secret as it is, and as ``repr`` and JSON write it."""
    return {form for secret in secrets for form in (secret, repr(secret)[1:-1], json.dumps(secret)[1:-1])}


def _replace_texts(value: Any, pattern: re.Pattern[str], replacement: str) -> Any:
    if isinstance(value, dict):
        return {
            pattern.sub(replacement, name): _replace_texts(item, pattern, replacement) for name, item in value.items()
        }
    if isinstance(value, list):
        return [_replace_texts(item, pattern, replacement) for item in value]
    if isinstance(value, str):
        return pattern.sub(replacement, value)
    return replacement if value is not None and pattern.fullmatch(str(value)) else value
