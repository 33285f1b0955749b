"""What an import of each package costs those who use no extra."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

CORE = {
    "async_cache.adapters": {"async_cache", "msgpack"},
    "async_cache.cache": {"async_cache", "msgpack"},
    "async_task_worker": {"async_task_worker", "msgpack", "uuid_utils"},
}

DURABLE = {"filelock"}
"""What is loaded when a worker on a file is made."""

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

    assert package.partition(".")[0] in loaded
    assert loaded <= CORE[package]


WORKER = """
import asyncio, sys
from async_task_worker import AsyncTaskWorker

async def main():
    async with AsyncTaskWorker() as worker:
        await worker.get_task_future(await worker.add_task(asyncio.sleep, 0, use_cache=False))
        await worker.invalidate_cache(asyncio.sleep, 0)
        await worker.clear_cache()
        assert "async_cache" not in sys.modules
        await worker.get_task_future(await worker.add_task(asyncio.sleep, 0, use_cache=True))
        assert "async_cache" in sys.modules

asyncio.run(main())
"""


def test_a_worker_loads_the_cache_when_it_is_first_wanted() -> None:
    subprocess.run([sys.executable, "-I", "-c", WORKER], check=True)


def test_a_worker_on_a_file_loads_what_locks_it() -> None:
    code = "import sys; from async_task_worker import *; AsyncTaskWorker(backend='sqlite:///x.db'); print(*sys.modules)"
    child = subprocess.run([sys.executable, "-I", "-c", code], stdout=subprocess.PIPE, text=True, check=True)
    assert set(child.stdout.split()) >= DURABLE


CODEC = """
import sys
import async_cache.codec
print(*(name for name in sys.modules if name.partition(".")[0] == "async_cache"))
"""

DURABLE_WORKER = """
import asyncio, sys
from async_task_worker import AsyncTaskWorker, task

@task("echo")
async def echo(value):
    return value

async def main():
    async with AsyncTaskWorker(backend=f"sqlite:///{sys.argv[1]}") as worker:
        assert await worker.get_task_future(await worker.add_task(echo, {"a": [1]})) == {"a": [1]}

asyncio.run(main())
print(*(name for name in sys.modules if name.partition(".")[0] == "async_cache"))
"""


def _modules_of_the_cache(code: str, *arguments: str) -> set[str]:
    """Return the modules of ``async_cache`` that the program loads, without those of the codec."""
    child = subprocess.run(
        [sys.executable, "-I", "-c", code, *arguments], stdout=subprocess.PIPE, text=True, check=True
    )
    loaded = set(child.stdout.split())
    assert "async_cache.codec" in loaded
    return {name for name in loaded if not name.startswith("async_cache.codec")}


def test_the_codec_loads_nothing_else_of_the_cache() -> None:
    assert _modules_of_the_cache(CODEC) == {"async_cache"}


def test_a_durable_worker_without_a_cache_loads_the_codec_only(tmp_path: Path) -> None:
    assert _modules_of_the_cache(DURABLE_WORKER, str(tmp_path / "tasks.db")) == {"async_cache"}


def test_the_core_requires_what_it_loads_and_nothing_else() -> None:
    """What only an extra uses is no dependency of those who do without it."""
    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    core = {re.split("[^a-z-]", stated)[0].replace("-", "_") for stated in project["dependencies"]}
    assert core == set().union(*CORE.values()) - {"async_cache", "async_task_worker"} | DURABLE
