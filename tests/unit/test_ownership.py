"""Ownership of a database: one worker at a time, and errors when the file or its lock is deleted or replaced."""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from async_task_worker import AsyncTaskWorker, StorageError, StorageInUseError
from async_task_worker.journal.file_system_check import foreign_file_system
from async_task_worker.journal.ownership import Ownership
from tests.support.tasks import echo, open_gate, wait_at
from tests.support.waiting import running

ROOT = Path(__file__).parents[2]

OWNER = """
import os, sys
from pathlib import Path
from async_task_worker.journal.ownership import Ownership

owner = Ownership(Path(sys.argv[1]))
if "fork" not in sys.argv or not os.fork():  # the child outlives its parent
    print("owns it", flush=True)
sys.stdin.readline()
os._exit(0)
"""


@pytest.fixture
def path(folder: Path) -> Path:
    return folder / "tasks.db"


@pytest.fixture
def owned_by_another(path: Path) -> Callable[..., subprocess.Popen[str]]:
    """``owned_by_another()`` returns a process that owns the file."""

    def start(*how: str) -> subprocess.Popen[str]:
        path.touch()
        owner = subprocess.Popen(
            [sys.executable, "-W", "ignore", "-c", OWNER, str(path), *how],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert owner.stdout is not None
        assert owner.stdout.readline() == "owns it\n"
        return owner

    return start


def ended(owner: subprocess.Popen[str]) -> None:
    for pipe in (owner.stdin, owner.stdout):
        assert pipe is not None
        pipe.close()
    owner.wait()


def worker_on(path: Path, options: str = "") -> AsyncTaskWorker:
    return AsyncTaskWorker(backend=f"sqlite:///{path}?durability=process{options}")


async def test_the_lock_survives_reading_the_database_in_the_same_process(path: Path) -> None:
    """Closing the file then drops the POSIX locks of the process, which SQLite depends on."""
    async with worker_on(path) as worker:
        await worker.add_task(echo, 1)
        path.read_bytes()  # noqa: ASYNC240 - it takes no time
        code = (
            "import asyncio, sys; from async_task_worker import *; w = AsyncTaskWorker(backend=sys.argv[1])\n"
            "try: asyncio.run(w.start())\n"
            "except StorageInUseError as error: print(error)"
        )
        command = [sys.executable, "-c", code, f"sqlite:///{path}"]
        message = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT).stdout  # noqa: ASYNC221
        assert str(path) in message
        assert f"process {os.getpid()}" in message


@pytest.mark.parametrize("how", [(), ("fork",)], ids=["alone", "with a surviving child"])
def test_the_lock_is_released_when_its_owner_is_killed(
    path: Path, owned_by_another: Callable[..., subprocess.Popen[str]], how: tuple[str, ...]
) -> None:
    owner = owned_by_another(*how)
    with pytest.raises(StorageInUseError, match=f"process {owner.pid}"):
        Ownership(path)
    owner.send_signal(signal.SIGKILL)
    os.waitpid(owner.pid, 0)  # not owner.wait(), which would also wait for the child to close the pipe
    Ownership(path).release()
    ended(owner)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
def test_a_fork_neither_keeps_nor_releases_the_lock(path: Path) -> None:
    path.touch()
    owner = Ownership(path)
    child = os.fork()
    if not child:
        owner.release()
        try:
            Ownership(path)
        except StorageInUseError:
            os._exit(7)
        os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
    with pytest.raises(StorageInUseError):
        Ownership(path)
    owner.release()
    Ownership(path).release()


def test_a_release_in_a_fork_releases_no_other_lock(path: Path, folder: Path) -> None:
    """The child reuses the number of a descriptor that was closed after the fork."""
    if not hasattr(os, "fork"):
        pytest.skip("there is no fork here")
    other = folder / "other.db"
    for file in (path, other):
        file.touch()
    owner = Ownership(path)
    child = os.fork()
    if not child:
        mine = Ownership(other)
        owner.release()
        try:
            Ownership(other)
        except StorageInUseError:
            mine.release()
            os._exit(7)
        os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
    owner.release()


def test_the_lock_excludes_other_threads_of_the_process(path: Path) -> None:
    path.touch()
    owner = Ownership(path)
    outcomes: list[object] = []

    def try_to_own() -> None:
        try:
            outcomes.append(Ownership(path))
        except StorageInUseError as error:
            outcomes.append(error)

    thread = threading.Thread(target=try_to_own)
    thread.start()
    thread.join()
    owner.release()
    assert isinstance(outcomes[0], StorageInUseError)


def test_the_lock_file_is_kept(path: Path) -> None:
    path.touch()
    Ownership(path).release()
    first = path.with_name("tasks.db.lock").stat()
    Ownership(path).release()
    assert path.with_name("tasks.db.lock").stat().st_ino == first.st_ino
    assert first.st_mode & 0o777 == 0o600


async def test_a_symbolic_link_shares_the_lock_of_its_target(path: Path) -> None:
    link = path.with_name("link.db")
    link.symlink_to(path)
    async with worker_on(path):
        with pytest.raises(StorageInUseError, match=r"link\.db"):
            await worker_on(link).start()


async def test_a_database_with_hard_links_is_refused(path: Path) -> None:
    async with worker_on(path) as worker:
        await worker.add_task(echo, 1, task_id="kept")
    os.link(path, path.with_name("twin.db"))
    with pytest.raises(StorageError, match=r"tasks\.db has 2 names \(hard links\)"):
        await worker_on(path).start()
    path.with_name("twin.db").unlink()
    async with worker_on(path) as worker:
        assert await worker.fetch_task_info("kept")


async def test_a_lock_file_that_is_a_symbolic_link_is_refused(path: Path) -> None:
    path.with_name("tasks.db.lock").symlink_to(path.with_name("elsewhere"))
    with pytest.raises(StorageError, match=r"tasks\.db\.lock: is a symbolic link"):
        await worker_on(path).start()
    assert not path.with_name("elsewhere").exists()


# Deleted and replaced files


def delete(file: Path) -> None:
    file.unlink()


def move_away(file: Path) -> None:
    file.rename(file.with_name("moved"))


def replace(file: Path) -> None:
    file.with_name("new").write_bytes(file.read_bytes())
    file.with_name("new").replace(file)


@pytest.mark.parametrize("change", [delete, move_away, replace])
@pytest.mark.parametrize("suffix", ["", "-wal", ".lock"])
async def test_a_task_is_refused_when_a_file_was_deleted_or_replaced(
    path: Path, change: Callable[[Path], None], suffix: str, caplog: pytest.LogCaptureFixture
) -> None:
    file = path.with_name(path.name + suffix)
    async with worker_on(path) as worker:
        await worker.get_task_future(await worker.add_task(echo, 1))
        assert worker.storage_error() is None
        change(file)
        assert isinstance(worker.storage_error(), StorageError)
        for _ in range(3):
            with pytest.raises(StorageError, match=rf"{file} (cannot be found any more|was replaced)"):
                await worker.add_task(echo, 2)
        logged = [record for record in caplog.records if record.name.endswith("ownership")]
        assert [record.levelno for record in logged] == [logging.ERROR]


async def test_a_file_that_is_put_back_is_used_again_without_the_refused_tasks(path: Path) -> None:
    moved = path.with_name("moved")
    async with worker_on(path) as worker:
        path.rename(moved)  # noqa: ASYNC240
        with pytest.raises(StorageError):
            await worker.add_task(echo, 1, task_id="refused")
        moved.rename(path)
        await worker.add_task(echo, 2, task_id="taken")
        assert worker.storage_error() is None
    async with worker_on(path) as worker:
        assert [info.id for info in (await worker.search_tasks()).tasks] == ["taken"]


async def test_tasks_that_end_while_the_file_is_missing_delete_no_history(path: Path) -> None:
    """Their ends are written twice, but must be counted once when max_history limits the file."""
    moved = path.with_name("moved")
    async with AsyncTaskWorker(backend=f"sqlite:///{path}?durability=process", max_history=3) as worker:
        await worker.get_task_future(await worker.add_task(echo, 1, task_id="before"))
        waiting = [await worker.add_task(wait_at, "gate") for _ in range(2)]
        await running(worker, *waiting)
        await worker._backend._journal.flush()  # type: ignore[attr-defined]
        path.rename(moved)  # noqa: ASYNC240
        open_gate("gate")
        await worker.wait_for_tasks(waiting)
        with pytest.raises(StorageError):
            await worker._backend._journal.flush()  # type: ignore[attr-defined]
        moved.rename(path)
    async with worker_on(path) as worker:
        assert {info.id for info in (await worker.search_tasks()).tasks} == {"before", *waiting}


# File systems


MOUNTS = """\
22 1 254:0 / / rw,relatime - ext4 /dev/vda rw
30 22 0:40 / {root}/far rw,relatime shared:1 master:2 - nfs4 server:/export rw
31 30 254:1 / {root}/far/near rw - ext4 /dev/vdb rw
32 22 0:41 / {root}/with\\040space rw - fuse.s3fs s3fs rw
33 22 0:42 / {root}/covered rw - ext4 /dev/vdc rw
34 33 0:43 / {root}/covered rw - virtiofs host rw
35 22 0:44 / {root}/layers rw - overlay overlay rw,lowerdir=/a
a malformed line
"""


@pytest.mark.parametrize(
    ("file", "kind"),
    [
        ("tasks.db", None),
        ("far/tasks.db", "nfs4"),
        ("far/near/tasks.db", None),
        ("farther/tasks.db", None),
        ("with space/tasks.db", "fuse.s3fs"),
        ("covered/tasks.db", "virtiofs"),
        ("layers/tasks.db", None),
    ],
)
def test_the_longest_mount_point_decides_the_type_of_the_file_system(
    tmp_path: Path, file: str, kind: str | None
) -> None:
    mounts = tmp_path / "mountinfo"
    mounts.write_text(MOUNTS.format(root=tmp_path))
    assert foreign_file_system(tmp_path / file, mounts) == kind


def test_without_a_list_of_mounts_no_file_system_is_refused(tmp_path: Path) -> None:
    assert foreign_file_system(tmp_path / "tasks.db", tmp_path / "missing") is None


@pytest.mark.skipif(not Path("/proc/self/mountinfo").exists(), reason="there is no /proc here")
async def test_a_file_system_that_is_not_local_is_refused_unless_unchecked() -> None:
    with pytest.raises(StorageError, match=r"type 'proc'.*\?filesystem=unchecked"):
        await worker_on(Path("/proc/tasks.db")).start()
    with pytest.raises(StorageError, match=r"/proc/tasks\.db") as caught:
        await worker_on(Path("/proc/tasks.db"), "&filesystem=unchecked").start()
    assert "file system of type" not in str(caught.value)
