"""Detect files on file systems that are not known to be local.

On a network or shared file system, locks and the order of writes cannot be relied on: two
machines could own one file, and a power cut could damage it. There are too many such systems
to list, so the local ones are listed.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Final

_DISKS: Final = "ext2 ext3 ext4 xfs btrfs zfs bcachefs f2fs jfs reiserfs reiser4 nilfs2 ufs hfs hfsplus apfs"
_PORTABLE: Final = "vfat msdos exfat ntfs ntfs3 fuseblk"  # fuseblk: FUSE on a block device, such as ntfs-3g
_MEMORY: Final = "tmpfs ramfs devtmpfs rootfs"
_LAYERED: Final = "overlay aufs"  # used by containers; the kernel refuses a network file system as the upper layer
LOCAL: Final = frozenset(f"{_DISKS} {_PORTABLE} {_MEMORY} {_LAYERED}".split())
"""Types that a single kernel writes to. 9p, virtiofs and vboxsf are not among them: they share a folder of the host."""

_MOUNTS: Final = Path("/proc/self/mountinfo")
_ESCAPED: Final = re.compile(r"\\([0-7]{3})")


def foreign_file_system(path: str | Path, mounts: Path = _MOUNTS) -> str | None:
    """Return the type of the file system that *path* is on, or None if that is local.

    Returns None also if the type cannot be found out, as on macOS and Windows.
    """
    try:
        lines = mounts.read_text(encoding="utf-8", errors="surrogateescape").splitlines()
    except OSError:
        return None
    real = Path(os.path.realpath(path))
    kind, longest = None, -1
    for mounted, mounted_kind in filter(None, map(_mount, lines)):
        if len(mounted) >= longest and real.is_relative_to(mounted):  # a later mount covers an earlier one
            kind, longest = mounted_kind, len(mounted)
    return None if kind in LOCAL else kind


def _mount(line: str) -> tuple[str, str] | None:
    """Return the mount point and the type of the file system in a line of mountinfo; None for another line."""
    before, separator, after = line.partition(" - ")
    fields, kinds = before.split(" "), after.split(" ")
    if not separator or len(fields) < 6:  # noqa: PLR2004 - proc_pid_mountinfo(5)
        return None
    return _ESCAPED.sub(lambda match: chr(int(match[1], 8)), fields[4]), kinds[0]
