"""The suite also runs against the lowest versions that pyproject.toml allows: constraints-floor.txt pins them."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Final

import pytest

ROOT: Final = Path(__file__).parents[2]
PROJECT: Final = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
REQUIREMENTS: Final = [
    requirement
    for requirements in (PROJECT["dependencies"], *PROJECT["optional-dependencies"].values())
    for requirement in requirements
    if not requirement.startswith("async-task-worker[")
]


def pinned() -> dict[str, str]:
    lines = (ROOT / "constraints-floor.txt").read_text(encoding="utf-8").splitlines()
    pins = [line.split("==") for line in lines if line and not line.startswith("#")]
    return {name.lower().replace("_", "-"): version for name, version in pins}


def as_numbers(version: str) -> list[int]:
    return [int(part) for part in version.split(".")] + [0] * (4 - len(version.split(".")))


@pytest.mark.parametrize("requirement", REQUIREMENTS)
def test_the_lowest_version_of_a_dependency_is_the_one_that_is_tested(requirement: str) -> None:
    found = re.fullmatch(r"([\w-]+)(?:\[[\w,-]+\])?>=([\d.]+)(?:,<[\d.]+)?(?:;.*)?", requirement)
    assert found is not None, "a requirement names its lowest version"
    assert as_numbers(pinned()[found[1].lower()]) == as_numbers(found[2])
