"""Where a journal lies and what is asked of it, read from an address such as ``sqlite:///tasks.db``."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.parse import parse_qsl

MAX_RECOVERIES: Final = 3
"""Deaths of its process at which a task ends failed by default."""

_DIGITS: Final = 10
"""Of a number from an address, it has fewer."""

_REMOTE: Final = frozenset(
    {"afs", "beegfs", "ceph", "cifs", "fuse.glusterfs", "fuse.sshfs", "gfs2", "lustre", "ncpfs", "nfs", "nfs4", "ocfs2"}
    | {"smb2", "smb3", "smbfs"}
)
_MOUNTS: Final = Path("/proc/self/mounts")


@dataclass(frozen=True, slots=True)
class Place:
    """A file, and how it is to be kept.

    Attributes:
        path: The file.
        survives_power_cuts: Whether each commit reaches the disk before it is acknowledged. If
            not, a power cut may lose the last seconds; a kill of the process never does.
        max_recoveries: At how many deaths of its process a running task ends failed; 0 counts as 1.
            One more, the first in a row, may come before it was written down that the task runs.
        checked: Whether the whole file is checked for damage when it is opened.
    """

    path: Path
    survives_power_cuts: bool = True
    max_recoveries: int = MAX_RECOVERIES
    checked: bool = False


def place_of(url: str) -> Place:
    """Return the place an address names: ``sqlite:///relative.db``, ``sqlite:////absolute.db``.

    A relative one is seen from what is the current folder now. Options follow a question
    mark: ``durability=power`` (default) or ``process``, ``max_recoveries=3``, ``check=no``
    (default) or ``yes``.

    Raises:
        ValueError: There is no path, or an option is unknown or of no use.
    """
    location, _, query = url.partition("?")
    path = location.removeprefix("sqlite://").removeprefix("/")
    no_file = path.endswith("/") or path in ("", ":memory:") or "\0" in path
    if no_file or not location.startswith("sqlite:///"):
        raise ValueError(f"{url!r} names no file; write sqlite:///relative.db or sqlite:////absolute.db")
    return Place(
        Path(path).absolute(), **dict(_read(name, value) for name, value in parse_qsl(query, keep_blank_values=True))
    )


def network_file_system(path: Path, mounts: Path = _MOUNTS) -> str | None:
    """Return the kind of the network file system *path* lies on, or None if it lies on none that can be told.

    Locks and the order of writes cannot be relied on there.
    """
    try:
        lines = mounts.read_text(encoding="utf-8", errors="surrogateescape").splitlines()
    except OSError:
        return None
    real = os.path.realpath(path)
    kind, longest = "", -1
    for fields in map(str.split, lines):
        mounted = fields[1].replace("\\040", " ")
        if len(mounted) >= longest and Path(real).is_relative_to(mounted):
            kind, longest = fields[2], len(mounted)
    return kind if kind in _REMOTE else None


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
}
