"""Parse sqlite:/// URLs into a path and durability options."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.parse import parse_qsl

MAX_RECOVERIES: Final = 3
"""Default number of crashes of its process after which a task fails."""

_MAX_DIGITS: Final = 9
"""Digits of a number in a URL."""


@dataclass(frozen=True, slots=True)
class DatabaseLocation:
    """A database file and its options.

    Attributes:
        path: The file.
        survives_power_cuts: Whether each commit is flushed to the disk before it is acknowledged. If
            not, a power cut may lose the last seconds; a kill of the process never does.
        max_recoveries: Number of crashes of its process after which a running task fails; 0 counts as 1.
            The first of several crashes is not counted if it comes before the start of the task is committed.
        checked: Whether the whole file is checked for damage when it is opened.
        needs_local_disk: Whether the file is refused if its file system is not known to be local.
    """

    path: Path
    survives_power_cuts: bool = True
    max_recoveries: int = MAX_RECOVERIES
    checked: bool = False
    needs_local_disk: bool = True


def parse_url(url: str) -> DatabaseLocation:
    """Parse a URL: ``sqlite:///relative.db`` or ``sqlite:////absolute.db``.

    A relative path is resolved against the current folder at once. Options follow a question
    mark: ``durability=power`` (default) or ``process``, ``max_recoveries=3``, ``check=no``
    (default) or ``yes``, ``filesystem=local`` (default) or ``unchecked``.

    Raises:
        ValueError: The path is missing, or an option is unknown or invalid.
    """
    location, _, query = url.partition("?")
    path = location.removeprefix("sqlite://").removeprefix("/")
    no_file = path.endswith("/") or path in ("", ":memory:") or "\0" in path
    if no_file or not location.startswith("sqlite:///"):
        raise ValueError(f"{url!r} does not name a file; write sqlite:///relative.db or sqlite:////absolute.db")
    return DatabaseLocation(
        Path(path).absolute(), **dict(_option(name, value) for name, value in parse_qsl(query, keep_blank_values=True))
    )


def _option(name: str, value: str) -> tuple[str, Any]:
    if name not in _OPTIONS:
        raise ValueError(f"unknown option {name!r} of a sqlite:// URL; the options are {', '.join(_OPTIONS)}")
    attribute, parse = _OPTIONS[name]
    return attribute, parse(name, value)


def _choice(choices: dict[str, bool]) -> Callable[[str, str], bool]:
    def parse(name: str, value: str) -> bool:
        if value not in choices:
            raise ValueError(f"{name} must be one of {', '.join(choices)}, not {value!r}")
        return choices[value]

    return parse


def _count(name: str, value: str) -> int:
    if not (value.isascii() and value.isdigit() and len(value) <= _MAX_DIGITS):
        raise ValueError(f"{name} must be a number such as 3, not {value!r}")
    return int(value)


_OPTIONS: Final[dict[str, tuple[str, Callable[[str, str], object]]]] = {
    "durability": ("survives_power_cuts", _choice({"power": True, "process": False})),
    "max_recoveries": ("max_recoveries", _count),
    "check": ("checked", _choice({"no": False, "yes": True})),
    "filesystem": ("needs_local_disk", _choice({"local": True, "unchecked": False})),
}
