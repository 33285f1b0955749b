"""Where the files of the durable scenarios lie: on a disk, not in memory, where nothing has to be waited for."""

from __future__ import annotations

import tempfile
from pathlib import Path

from benchmarks.environments import ENVIRONMENTS

_IN_MEMORY = {"tmpfs", "ramfs"}
_MOUNTS = Path("/proc/self/mounts")


def file_folder() -> Path:
    """Return the folder for temporary files: the checkout's own, or the system's if only that lies on a disk."""
    own, systems = ENVIRONMENTS / "files", Path(tempfile.gettempdir())
    own.mkdir(parents=True, exist_ok=True)
    return systems if file_system(own) in _IN_MEMORY and file_system(systems) not in _IN_MEMORY else own


def file_system(folder: Path) -> str:
    """Return the kind of file system a folder lies on, such as ``ext4``."""
    if not _MOUNTS.exists():
        return "a file system of unknown kind"
    kind, longest = "", -1
    for _, mounted, found, *_ in map(str.split, _MOUNTS.read_text(encoding="utf-8", errors="replace").splitlines()):
        if len(mounted) >= longest and folder.resolve().is_relative_to(mounted.replace("\\040", " ")):
            kind, longest = found, len(mounted)
    return kind
