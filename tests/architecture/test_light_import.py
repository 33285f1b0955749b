"""What an import of each package costs those who use no extra."""

from __future__ import annotations

import subprocess
import sys

import pytest

CORE = {
    "async_cache": {"async_cache", "msgpack"},
    "async_task_worker": {"async_task_worker", "click", "msgpack", "uuid_utils"},
}

LOADED = """
import sys
before = set(sys.modules)
__import__(sys.argv[1])
# Without a spec it was not imported: compiled modules leave such names behind.
new = {name for name, module in sys.modules.items() if name not in before and getattr(module, "__spec__", None)}
loaded = {name.partition(".")[0] for name in new} - sys.stdlib_module_names
print(*sorted(name for name in loaded if not name.startswith("_sysconfigdata_")))
"""


@pytest.mark.parametrize("package", CORE)
def test_importing_a_package_loads_nothing_optional(package: str) -> None:
    """Isolated, so that neither the folder nor the environment can add a path."""
    command = [sys.executable, "-I", "-c", LOADED, package]
    child = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)

    loaded = set(child.stdout.split())

    assert package in loaded
    assert loaded <= CORE[package]
