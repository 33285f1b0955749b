"""What the figures were taken on, without anything that names a particular machine."""

from __future__ import annotations

import os
import platform
from pathlib import Path

from benchmarks.disk import file_folder, file_system


def describe() -> dict[str, object]:
    """Return the processor, how many cores this process may use, the system, and where files lie."""
    return {
        "cpu": _processor(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "system": f"{platform.system()} {platform.machine()}",
        "files": f"files on {file_system(file_folder())}",
    }


def _processor() -> str:
    facts = Path("/proc/cpuinfo")
    if facts.exists():
        for line in facts.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or "unknown"
