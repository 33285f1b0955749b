"""The samples beside this file, judged by both type checkers."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

ROOT: Final = Path(__file__).parents[2]
SAMPLES: Final = "tests/typing"

CHECKERS: Final = {
    "mypy": ["mypy", SAMPLES],
    "pyright": ["pyright", "--pythonpath", sys.executable, SAMPLES],
}


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("checker", CHECKERS)
def test_right_use_is_accepted_and_misuse_refused(checker: str) -> None:
    command = [sys.executable, "-m", *CHECKERS[checker]]

    result = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=False)

    assert result.returncode == 0, result.stdout
