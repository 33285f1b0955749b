"""Keeping secrets out of what is shown: a router's ``redact=`` sees every task before anybody else does."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable
from collections.abc import Set as AbstractSet
from typing import Any, Final

Redact = Callable[[dict[str, Any]], dict[str, Any]]
"""Gets a task as it is about to be shown, plain JSON data, and returns what to show in its place."""

REDACTED: Final = "[redacted]"

_SOURCES: Final = ("params", "metadata")
_QUOTING: Final = ("error", "error_detail", "result", "progress_detail", "phase", *_SOURCES)


def redact_names(*names: str) -> Redact:
    """Return a ``redact=`` that hides the values of fields with these names, and whatever quotes them.

    A field counts at any depth of a task's params, metadata, result and progress detail, in
    upper or lower case. What its value was in params or metadata is also cut out of every
    other text of the task, such as an error that quotes it. If params or metadata are too
    large to be looked through, or no longer kept, all that might quote them is hidden.

    The arguments of tasks added inside the program are not shown, and not known here: an
    error that quotes one of those needs a function of your own.
    """
    if not names or not all(isinstance(name, str) for name in names):
        raise TypeError('redact_names needs the names of fields: redact_names("password", "token")')
    marked = frozenset(name.casefold() for name in names)

    def redact(task: dict[str, Any]) -> dict[str, Any]:
        if any(_is_unreadable(task.get(source)) for source in _SOURCES):
            return {key: REDACTED if key in _QUOTING and value is not None else value for key, value in task.items()}
        secrets: set[str] = set()
        masked = {key: _masked(task[key], marked, secrets if key in _SOURCES else set()) for key in _present(task)}
        if secrets:
            quotes = re.compile("|".join(map(re.escape, sorted(_forms(secrets), key=len, reverse=True))))
            masked = {key: _cut(value, quotes) for key, value in masked.items()}
        return {**task, **masked}

    return redact


def _present(task: dict[str, Any]) -> list[str]:
    return [key for key in (*_SOURCES, *_QUOTING[:-2]) if task.get(key) is not None]


def _is_unreadable(value: Any) -> bool:
    return isinstance(value, dict) and "$type" in value


def _masked(value: Any, marked: AbstractSet[str], secrets: set[str]) -> Any:
    """Return *value* with marked fields hidden; what they held goes into *secrets*."""
    if isinstance(value, dict):
        shown = {}
        for name, item in value.items():
            if name.casefold() in marked:
                secrets.update(_texts(item))
                shown[name] = REDACTED
            else:
                shown[name] = _masked(item, marked, secrets)
        return shown
    return [_masked(item, marked, secrets) for item in value] if isinstance(value, list) else value


def _texts(value: Any) -> Iterable[str]:
    if isinstance(value, dict):
        value = [*value, *value.values()]
    if isinstance(value, list):
        return (found for item in value for found in _texts(item))
    return () if value is None or isinstance(value, bool) or value == "" else (str(value),)


def _forms(secrets: Iterable[str]) -> set[str]:
    """Return each secret as it is, and as ``repr`` and JSON would write it."""
    return {form for secret in secrets for form in (secret, repr(secret)[1:-1], json.dumps(secret)[1:-1])}


def _cut(value: Any, quotes: re.Pattern[str]) -> Any:
    if isinstance(value, dict):
        return {quotes.sub(REDACTED, name): _cut(item, quotes) for name, item in value.items()}
    if isinstance(value, list):
        return [_cut(item, quotes) for item in value]
    if isinstance(value, str):
        return quotes.sub(REDACTED, value)
    return REDACTED if value is not None and quotes.fullmatch(str(value)) else value
