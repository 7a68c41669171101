"""A user's terminal: the installed command in a folder of the user's own, and what it leaves behind."""

import contextlib
import json
import os
import random
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
from click.testing import CliRunner

from modelwright.cli.program import program
from modelwright.settings import child_environment

PATIENCE_SECONDS = 500.0
# A home of the test's own has no cache: every test would download and unpack the same hundred megabytes again.
_CACHE = os.environ.get("UV_CACHE_DIR") or str(Path.home() / ".cache" / "uv")


@dataclass(frozen=True)
class Terminal:
    """A user's terminal: a folder, and `wright` in it."""

    folder: Path

    @property
    def workspace(self) -> Path:
        """Where `wright` keeps this folder's workspace."""
        return self.folder / ".wright"

    def start(self, *arguments: str | Path) -> subprocess.Popen[str]:
        """Start `wright` with these arguments."""
        return subprocess.Popen(
            [Path(sys.executable).with_name("wright"), *arguments],
            cwd=self.folder,
            env=child_environment({"HOME": str(self.folder), "UV_CACHE_DIR": _CACHE}),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def wright(self, *arguments: str | Path, expect: int = 0) -> subprocess.CompletedProcess[str]:
        """Run `wright` to its end and check its exit code."""
        process = self.start(*arguments)
        out, err = process.communicate(timeout=PATIENCE_SECONDS)
        assert process.returncode == expect, f"exit {process.returncode}\n{out}\n{err}"
        assert "Traceback" not in err or "/modelwright/" not in err, err
        return subprocess.CompletedProcess(arguments, process.returncode, out, err)

    def json(self, *arguments: str | Path, expect: int = 0) -> Any:
        """Run `wright` with `--json` and return what it printed, parsed."""
        return json.loads(self.wright(*arguments, "--json", expect=expect).stdout)

    def look(self, *arguments: str) -> Any:
        """Return what `json` returns, asked in this process: for what is asked again and again until it holds."""
        done = CliRunner().invoke(program, ["--workspace", str(self.workspace), *arguments, "--json"])
        assert done.exit_code == 0, done.output
        return json.loads(done.stdout)

    def up(self) -> Any:
        """Start the workspace's services the first time, at a port that no other test is given meanwhile."""
        return self.json("up", "--api-port", str(_free_port()))

    def processes(self) -> list[str]:
        """Return the command lines of the processes that have to do with this folder."""
        found = []
        for process in psutil.process_iter():
            # One that has just ended, or is not ours to look at, raises.
            with contextlib.suppress(psutil.Error):
                command = process.cmdline()
                if any(str(self.folder) in each for each in (*command, process.cwd())):
                    found.append(" ".join(command))
        return found


def _free_port() -> int:
    """Return a port that is neither among those for outgoing connections nor among those that `wright up` chooses."""
    while True:
        port = random.SystemRandom().randrange(20_000, 30_000)  # others may have seeded it
        with contextlib.suppress(OSError), socket.create_server(("127.0.0.1", port)):
            return port


def until(condition: Callable[[], bool], what: str, *, seconds: float = PATIENCE_SECONDS) -> None:
    """Wait for `condition`, which something else brings about."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"waited {seconds:g} s for {what}"
        time.sleep(0.02)
