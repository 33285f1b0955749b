"""What an import of the package costs those who use no extra."""

from __future__ import annotations

import subprocess
import sys

CORE = {"async_task_worker", "click", "msgpack", "uuid_utils"}

LOADED = """
import sys
before = set(sys.modules)
import async_task_worker
loaded = {name.partition(".")[0] for name in set(sys.modules) - before}
print(*sorted(loaded - sys.stdlib_module_names))
"""


def test_importing_the_package_loads_nothing_optional() -> None:
    """Isolated, so that neither the folder nor the environment can add a path."""
    command = [sys.executable, "-I", "-c", LOADED]
    child = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)

    loaded = set(child.stdout.split())

    assert "async_task_worker" in loaded
    assert loaded <= CORE
