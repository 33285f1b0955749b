"""Arguments of tasks that are added in Python, kept as JSON data for responses."""

from __future__ import annotations

import weakref
from collections import OrderedDict
from collections.abc import Callable, Iterator
from typing import Any, Final, NamedTuple, Protocol

from ...model.functions import TaskFunction
from ...model.record import TaskRecord
from ...model.rendering import TOO_LARGE, placeholder, rendered, text
from ...model.secret_values import bounded_secret_texts
from ...state.events import CREATED
from ..rendering.secret_params import bound_secrets
from .requests import approximate_size

_MAX_CHARACTERS: Final = 16 << 10
"""Characters rendered of one task's arguments. They are rendered while the task is added, so this bounds that time."""

_MAX_VALUES: Final = 1000
"""Values read in the arguments of one task."""

_ENTRY_OVERHEAD: Final = 500
"""About how many bytes an entry without arguments takes."""

_BYTES_PER_CHARACTER: Final = 4
"""About how many bytes plain data takes for each character of its ``repr``; an empty dict takes 64."""

_IMMUTABLE_TYPES: Final = frozenset({str, bytes, int, float, bool, type(None)})
"""Types of arguments that are rendered on request only: they cannot change, and contain no secrets."""


class _UnreadEntry(NamedTuple):
    """Arguments that are rendered when they are first requested."""

    function: TaskFunction
    args: tuple[Any, ...]
    kwargs: dict[str, Any] | None
    size: int


class _Entry(NamedTuple):
    """Rendered arguments, the secrets in them (None if these are not known), and their size in bytes."""

    params: dict[str, Any]
    secrets: frozenset[str] | None
    size: int


class RecordEvents(Protocol):
    """An event bus that publishes records before it publishes the events of their tasks."""

    def subscribe_records(self, listener: Callable[[str, TaskRecord], None]) -> Callable[[], None]:
        """Call *listener* with the kind of event and the record at every change."""
        ...


class PythonParams:
    """Arguments by task id, as plain data.

    Args:
        max_bytes: Bytes that are kept; the oldest arguments are dropped first, also those of unfinished tasks.
        is_pending: Whether a task of this id is being submitted over HTTP, so that its params are kept elsewhere.
        forget_submitted: Drops the params of an earlier task of this id that was submitted over HTTP.

    Attributes:
        functions_with_secrets: Names of functions for which the arguments of a task had secrets, or may have had.
    """

    def __init__(
        self, max_bytes: int, is_pending: Callable[[str], bool], forget_submitted: Callable[[str], None]
    ) -> None:
        self._free_bytes = max_bytes
        self._is_pending = is_pending
        self._forget_submitted = forget_submitted
        self._entries: OrderedDict[str, _Entry | _UnreadEntry] = OrderedDict()
        self.functions_with_secrets: set[str] = set()

    def follow(self, events: RecordEvents) -> None:
        """Keep the arguments of each task that is added from now on, while this object exists."""
        reference = weakref.ref(self)

        def on_record(kind: str, record: TaskRecord) -> None:
            if kind == CREATED and (added_params := reference()) is not None:
                added_params.add(record)

        weakref.finalize(self, events.subscribe_records(on_record)).atexit = False

    def add(self, record: TaskRecord) -> None:
        """Keep the arguments of a new task; they replace those of an earlier task of the same id."""
        if record.id in self._entries:
            self._drop(record.id)
        if self._is_pending(record.id):
            return
        self._forget_submitted(record.id)
        self._entries[record.id] = entry = self._read(record, bound_secrets(record.func))
        self._free_bytes -= entry.size
        while self._free_bytes < 0:
            self._drop(next(iter(self._entries)))

    def entry_of(self, task_id: str) -> _Entry | None:
        """Return the params of a task and the secrets in them, or None if its params are not kept."""
        entry = self._entries.get(task_id)
        if isinstance(entry, _UnreadEntry):
            entry = self._entries[task_id] = _read(entry.function, entry.args, entry.kwargs)._replace(size=entry.size)
        return entry

    def _read(self, record: TaskRecord, bound: frozenset[str]) -> _Entry | _UnreadEntry:
        if not bound and (unread := _unread_entry(record)) is not None:
            return unread
        entry = _read(record.function, record.args, record.kwargs)
        if entry.secrets is not None:
            entry = entry._replace(secrets=entry.secrets | bound)
        if entry.secrets is None or entry.secrets:
            self.functions_with_secrets.add(record.function.name)
        return entry

    def _drop(self, task_id: str) -> None:
        entry = self._entries.pop(task_id, None)
        if entry is not None:
            self._free_bytes += entry.size


def _unread_entry(record: TaskRecord) -> _UnreadEntry | None:
    """Return arguments to be rendered on request, since most never are; None if they must be rendered now."""
    args, kwargs, immutable = record.args, record.kwargs, _IMMUTABLE_TYPES
    size = _ENTRY_OVERHEAD
    for value in args if kwargs is None else (*args, *kwargs.values()):
        if type(value) not in immutable:
            return None
        if type(value) is str or type(value) is bytes:
            size += _BYTES_PER_CHARACTER * len(value)
    return _UnreadEntry(record.function, args, kwargs, size) if size < _MAX_CHARACTERS else None


def _read(function: TaskFunction, args: tuple[Any, ...], kwargs: dict[str, Any] | None) -> _Entry:
    params, secrets = render_arguments(function, args, kwargs)
    size = (
        _ENTRY_OVERHEAD
        + (_BYTES_PER_CHARACTER * approximate_size(params) if params else 0)
        + sum(map(len, secrets or ()))
    )
    return _Entry(params, secrets, size)


def render_arguments(
    function: TaskFunction, args: tuple[Any, ...], kwargs: dict[str, Any] | None
) -> tuple[dict[str, Any], frozenset[str] | None]:
    """Return the arguments by parameter name, as plain data, and the secrets in them.

    An argument that takes too long to read becomes a placeholder. The secrets are then None: not all are known.
    """
    if not args and not kwargs:
        return {}, frozenset()
    params: dict[str, Any] = {}
    known: set[str] = set()
    complete, parts, budget = True, _MAX_VALUES, _MAX_CHARACTERS
    for name, value in _by_parameter(function, args, kwargs or {}):
        secrets, parts = bounded_secret_texts(value, parts)
        known |= secrets or set()
        complete = complete and secrets is not None
        plain = placeholder(value, TOO_LARGE) if secrets is None else rendered(value, max(budget, 0))
        params[name] = [params[name], plain] if name in params else plain
        budget -= approximate_size(plain) + len(name)
        if parts <= 0 or budget <= -_MAX_CHARACTERS:
            return placeholder({}, TOO_LARGE), None
    return params, frozenset(known) if complete else None


def _by_parameter(function: TaskFunction, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    """Yield each argument with the name of its parameter; those of ``*args`` as one list."""
    for index, value in enumerate(args):
        name = function.parameter_at(index)
        if name.endswith("]"):
            yield name.partition("[")[0], list(args[index:])
            break
        yield name, value
    for name, value in kwargs.items():
        yield text(name), value
