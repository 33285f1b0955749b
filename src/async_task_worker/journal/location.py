"""Parse sqlite:/// URLs into a path and durability options."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.parse import parse_qsl

MAX_RECOVERIES: Final = 3
"""Deaths of its process at which a task ends failed by default."""

_DIGITS: Final = 10
"""Of a number from an address, it has fewer."""


@dataclass(frozen=True, slots=True)
class DatabaseLocation:
    """A file, and how it is to be kept.

    Attributes:
        path: The file.
        survives_power_cuts: Whether each commit reaches the disk before it is acknowledged. If
            not, a power cut may lose the last seconds; a kill of the process never does.
        max_recoveries: At how many deaths of its process a running task ends failed; 0 counts as 1.
            One more, the first in a row, may come before it was written down that the task runs.
        checked: Whether the whole file is checked for damage when it is opened.
        needs_local_disk: Whether the file is refused where its file system is not known to be local.
    """

    path: Path
    survives_power_cuts: bool = True
    max_recoveries: int = MAX_RECOVERIES
    checked: bool = False
    needs_local_disk: bool = True


def parse_url(url: str) -> DatabaseLocation:
    """Return the place an address names: ``sqlite:///relative.db``, ``sqlite:////absolute.db``.

    A relative one is seen from what is the current folder now. Options follow a question
    mark: ``durability=power`` (default) or ``process``, ``max_recoveries=3``, ``check=no``
    (default) or ``yes``, ``filesystem=local`` (default) or ``unchecked``.

    Raises:
        ValueError: There is no path, or an option is unknown or of no use.
    """
    location, _, query = url.partition("?")
    path = location.removeprefix("sqlite://").removeprefix("/")
    no_file = path.endswith("/") or path in ("", ":memory:") or "\0" in path
    if no_file or not location.startswith("sqlite:///"):
        raise ValueError(f"{url!r} names no file; write sqlite:///relative.db or sqlite:////absolute.db")
    return DatabaseLocation(
        Path(path).absolute(), **dict(_read(name, value) for name, value in parse_qsl(query, keep_blank_values=True))
    )


def _read(name: str, value: str) -> tuple[str, Any]:
    if name not in _OPTIONS:
        raise ValueError(f"there is no option {name!r} of a sqlite:// address; there are {', '.join(_OPTIONS)}")
    attribute, meaning = _OPTIONS[name]
    return attribute, meaning(name, value)


def _one_of(choices: dict[str, bool]) -> Callable[[str, str], bool]:
    def read(name: str, value: str) -> bool:
        if value not in choices:
            raise ValueError(f"{name} must be one of {', '.join(choices)}, not {value!r}")
        return choices[value]

    return read


def _count(name: str, value: str) -> int:
    if not (value.isascii() and value.isdigit() and len(value) < _DIGITS):
        raise ValueError(f"{name} must be a number such as 3, not {value!r}")
    return int(value)


_OPTIONS: Final[dict[str, tuple[str, Callable[[str, str], object]]]] = {
    "durability": ("survives_power_cuts", _one_of({"power": True, "process": False})),
    "max_recoveries": ("max_recoveries", _count),
    "check": ("checked", _one_of({"no": False, "yes": True})),
    "filesystem": ("needs_local_disk", _one_of({"local": True, "unchecked": False})),
}
