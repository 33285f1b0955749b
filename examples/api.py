"""Serve the census over HTTP: submit source files to be counted, follow them live, ask for the results.

    python examples/api.py [--port 8000] [--folder FOLDER] [--workers N]

Then open the address it prints in a browser, or its ``/docs``. Only files below the folder can be
counted (the standard library of the interpreter, if none is given), and only this machine can ask.
"""

from __future__ import annotations

import argparse
import asyncio
import sysconfig
from pathlib import Path

import uvicorn
from census_tasks import FileCensus, census_file, find_sources
from fastapi import FastAPI
from fastapi.responses import HTMLResponse

from async_task_worker import AsyncTaskWorker, ProgressCallback, create_task_worker_router, task

HOST = "127.0.0.1"
OFFERED = ("count_file", "count_folder")
"""The tasks that clients may run. The census's own task takes any path, so it is not one of them."""

PAGE = """<!doctype html>
<meta charset="utf-8">
<title>Census</title>
<button>Count a package</button>
<ul></ul>
<script>
  const rows = {}, list = document.querySelector("ul")
  const show = message => {
    const {id, status, progress, params} = JSON.parse(message.data).task
    const row = rows[id] ??= list.insertBefore(document.createElement("li"), list.firstChild)
    row.textContent = `${params?.folder ?? params?.file}: ${status}, ${Math.round(progress * 100)} %`
  }
  const events = new EventSource("events")
  for (const kind of ["created", "started", "progress", "completed", "failed", "cancelled"])
    events.addEventListener(`task.${kind}`, show)
  document.querySelector("button").onclick = () => fetch("tasks", {
    method: "POST",
    headers: {"Content-Type": "application/json"},
    body: JSON.stringify({task_type: "count_folder", params: {folder: "json"}}),
  })
</script>
"""


class Census:
    """Counts source files below one folder only."""

    def __init__(self, root: Path) -> None:
        self.root = root.resolve()

    def inside(self, name: str) -> Path:
        """Return the path of this name below the folder.

        Raises:
            ValueError: It leads out of the folder.
        """
        path = (self.root / name).resolve()
        if not path.is_relative_to(self.root):
            raise ValueError(f"{name!r} is not below the folder of this census")
        return path

    async def count_file(self, file: str, progress_callback: ProgressCallback) -> FileCensus:
        """Count the contents of one source file, given by its path below the folder."""
        return await census_file(self.inside(file), progress_callback)

    async def count_folder(self, folder: str, progress_callback: ProgressCallback) -> dict[str, int]:
        """Count the files, lines and tokens below one folder."""
        sources = await asyncio.to_thread(find_sources, self.inside(folder))
        totals = {"files": len(sources), "lines": 0, "tokens": 0}
        for done, source in enumerate(sources, 1):
            counted = await census_file(source.path, lambda _: None)
            totals["lines"] += counted.lines
            totals["tokens"] += counted.tokens
            progress_callback(done / len(sources))
        return totals


def application(root: Path, workers: int = 4) -> FastAPI:
    """Return the service: the census's tasks behind the router, and a page that shows them live."""
    census = Census(root)
    task("count_file")(census.count_file)
    task("count_folder")(census.count_folder)
    worker = AsyncTaskWorker(max_workers=workers, task_timeout=300, max_queue_size=10_000, on_full="error")
    app = FastAPI(title="Census", lifespan=worker.lifespan)
    app.include_router(create_task_worker_router(worker, expose=OFFERED))

    @app.get("/", response_class=HTMLResponse, include_in_schema=False)
    async def page() -> str:
        """Return a page that follows the tasks."""
        return PAGE

    return app


def main() -> None:
    """Serve until a signal ends it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--port", type=int, default=8000)
    parser.add_argument("--folder", type=Path, default=Path(sysconfig.get_path("stdlib")))
    parser.add_argument("--workers", type=int, default=4)
    options = parser.parse_args()
    uvicorn.run(application(options.folder, options.workers), host=HOST, port=options.port)


if __name__ == "__main__":
    main()
