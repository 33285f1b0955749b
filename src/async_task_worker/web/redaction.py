"""Keeping secrets out of what is shown: a router's ``redact=`` sees every task before anybody else does."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable
from collections.abc import Set as AbstractSet
from functools import partial
from typing import Any, Final

Redact = Callable[[dict[str, Any]], dict[str, Any]]
"""Gets a task as it is about to be shown, plain JSON data, and returns what to show in its place."""

REDACTED: Final = "[redacted]"

_SOURCES: Final = ("params", "metadata")
QUOTING: Final = ("error", "error_detail", "result", "progress_detail", "phase", *_SOURCES)
"""Fields of a task that may quote what is hidden in its params or metadata."""

ERRORS: Final = ("error", "error_detail")
_SAFE: Final = ("type", "task_type")


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
            return {key: REDACTED if key in QUOTING and value is not None else value for key, value in task.items()}
        secrets: set[str] = set()
        masked = {key: _masked(task[key], marked, secrets if key in _SOURCES else set()) for key in _present(task)}
        return cut_out({**task, **masked}, secrets, REDACTED)

    return redact


def cut_out(task: dict[str, Any], secrets: Iterable[str], stand_in: str) -> dict[str, Any]:
    """Return a task without these texts, in each form in which something may quote them."""
    cut = _cutter(secrets, stand_in)
    return task if cut is None else {**task, **{key: cut(task[key]) for key in _present(task)}}


def hide_quotes(task: dict[str, Any], stand_in: str, fields: Iterable[str] = QUOTING) -> dict[str, Any]:
    """Return a task without what may quote a secret that is not known here (any more)."""
    return {**task, **{key: _all_hidden(task[key], stand_in) for key in fields if task.get(key) is not None}}


def _all_hidden(value: Any, stand_in: str) -> Any:
    """Return what to show of a value: nothing but the type of an error, or of a task in its metadata."""
    if not isinstance(value, dict):
        return stand_in
    if "$type" in value:
        return value
    kept = {name: value[name] for name in _SAFE if name in value}
    return {**kept, **({"message": stand_in} if "type" in kept else {})} if kept else stand_in


def _cutter(secrets: Iterable[str], stand_in: str) -> Callable[[Any], Any] | None:
    forms = sorted(_forms(secrets), key=len, reverse=True)
    return partial(_cut, quotes=re.compile("|".join(map(re.escape, forms))), stand_in=stand_in) if forms else None


def _present(task: dict[str, Any]) -> list[str]:
    return [key for key in (*_SOURCES, *QUOTING[:-2]) if task.get(key) is not None]


def _is_unreadable(value: Any) -> bool:
    return isinstance(value, dict) and "$type" in value


def _masked(value: Any, marked: AbstractSet[str], secrets: set[str]) -> Any:
    """Return *value* with marked fields hidden; what they held goes into *secrets*."""
    if isinstance(value, dict):
        shown = {}
        for name, item in value.items():
            if name.casefold() in marked:
                secrets.update(texts_in(item))
                shown[name] = REDACTED
            else:
                shown[name] = _masked(item, marked, secrets)
        return shown
    return [_masked(item, marked, secrets) for item in value] if isinstance(value, list) else value


def texts_in(value: Any) -> Iterable[str]:
    """Return every text and number in plain data, the names of fields too."""
    if isinstance(value, dict):
        value = [*value, *value.values()]
    if isinstance(value, list):
        return (found for item in value for found in texts_in(item))
    return () if value is None or isinstance(value, bool) or value == "" else (str(value),)


def _forms(secrets: Iterable[str]) -> set[str]:
    """Return each secret as it is, and as ``repr`` and JSON would write it."""
    return {form for secret in secrets for form in (secret, repr(secret)[1:-1], json.dumps(secret)[1:-1])}


def _cut(value: Any, quotes: re.Pattern[str], stand_in: str) -> Any:
    if isinstance(value, dict):
        return {quotes.sub(stand_in, name): _cut(item, quotes, stand_in) for name, item in value.items()}
    if isinstance(value, list):
        return [_cut(item, quotes, stand_in) for item in value]
    if isinstance(value, str):
        return quotes.sub(stand_in, value)
    return stand_in if value is not None and quotes.fullmatch(str(value)) else value
