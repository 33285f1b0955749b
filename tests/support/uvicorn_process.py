"""A web application under a real uvicorn, in a process of its own: ``Server("module:app")``."""

from __future__ import annotations

import importlib
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from types import TracebackType
from typing import Self

import psutil
import uvicorn

ROOT = Path(__file__).parents[2]
LONGEST = 30.0


class Server:
    """Serves an application on a free port of the loopback address while it is entered.

    Args:
        application: Where it is, as ``"module:attribute"``.
        environment: Added to the process's environment.

    Attributes:
        url: Where it listens.
        output: What it has printed, once it has ended.
    """

    def __init__(self, application: str, **environment: str) -> None:
        self._application = application
        self._environment = environment
        self.url = ""
        self.output = ""

    def __enter__(self) -> Self:
        path = os.pathsep.join(filter(None, [str(ROOT), *sys.path]))
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.support.uvicorn_process", self._application],
            env={**os.environ, "PYTHONPATH": path, **self._environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        assert self.process.stdout is not None
        self.port = int(self.process.stdout.readline())
        self.url = f"http://127.0.0.1:{self.port}"
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None
    ) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.output += self.process.communicate()[0] or ""
        if exc is not None:
            print(self.output)  # noqa: T201 - pytest shows it with the failure

    def terminate(self) -> float:
        """Send SIGTERM; return the seconds until the process was gone."""
        began = time.monotonic()
        self.process.send_signal(signal.SIGTERM)
        self.output += self.process.communicate(timeout=LONGEST)[0]
        return time.monotonic() - began

    def resident(self) -> int:
        """Return how many bytes of memory the process holds."""
        return int(psutil.Process(self.process.pid).memory_info().rss)


def main() -> None:
    """Serve what the command line names; say on which port first."""
    listener = socket.create_server(("127.0.0.1", 0), backlog=2048)
    print(listener.getsockname()[1], flush=True)  # noqa: T201 - the parent reads it
    module, _, attribute = sys.argv[1].partition(":")
    application = getattr(importlib.import_module(module), attribute)
    uvicorn.Server(uvicorn.Config(application, log_level="warning")).run(sockets=[listener])


if __name__ == "__main__":
    main()
