"""Real source files for the demonstrations to count."""

from __future__ import annotations

import asyncio
import json
import shutil
from pathlib import Path


def copy_two_packages(folder: Path) -> Path:
    """Put the sources of two packages of the standard library into *folder*, and return that."""
    for package in (json, asyncio):
        source = Path(package.__file__).parent
        shutil.copytree(source, folder / source.name, ignore=shutil.ignore_patterns("__pycache__"))
    return folder
