"""A process that has everything imported, and forks a child for each list of operations: the one that gets killed.

`python hatchery.py` takes lines of JSON, `{"folder", "operations"}`, and answers with lines: the child's process id,
what came of each operation as it ends, and `{"ended": STATUS}` when the child is gone.
"""

import json
import os
import signal
import subprocess
import sys
import time
import traceback
from collections.abc import Sequence
from pathlib import Path

from modelwright.settings import child_environment

Operation = tuple[str, int]


class Hatchery:
    """Has operations done by real processes, and kills these."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, Path(__file__)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=child_environment({"PYTHONPATH": str(Path(__file__).parents[1])}),
        )

    def close(self) -> None:
        """End the process."""
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.close()
        self._process.stdout.close()
        self._process.wait(30)

    def perform(
        self, folder: Path, operations: Sequence[Operation], *, kill_after: tuple[int, float] | None = None
    ) -> tuple[list[str], bool]:
        """Have the operations done; return what came of those that ended, and whether the child was killed.

        `kill_after` is a number of operations and a time in seconds from the end of the last of them.
        """
        self._ask({"folder": str(folder), "operations": operations})
        child = int(self._said()["child"])
        done: list[str] = []
        while True:
            if kill_after and kill_after[0] == len(done):
                time.sleep(kill_after[1])
                os.kill(child, signal.SIGKILL)
                kill_after = None
            said = self._said()
            if "ended" in said:
                self._ask("seen")  # until then nobody else gets the child's process id
                status = int(said["ended"])
                assert status in {0, -signal.SIGKILL}, f"the child ended with {status}: {done[-1:]}"
                return done, status == -signal.SIGKILL
            done.append(str(said.get("done", said.get("failed"))))

    def _ask(self, wanted: object) -> None:
        assert self._process.stdin
        self._process.stdin.write(json.dumps(wanted) + "\n")
        self._process.stdin.flush()

    def _said(self) -> dict[str, object]:
        assert self._process.stdout
        line = self._process.stdout.readline()
        assert line, "the hatchery is gone"
        said: dict[str, object] = json.loads(line)
        return said


def _say(**told: object) -> None:
    os.write(1, json.dumps(told).encode() + b"\n")


def _child(folder: Path, operations: Sequence[Operation]) -> None:
    from integrity.operations import World, perform

    from modelwright.store.database import open_store

    store = open_store(folder)
    world = World(store)
    for name, number in operations:
        try:
            _say(done=perform(world, name, number))
        except BaseException:  # noqa: BLE001 - whatever it is, the test tells it
            _say(failed=f"{name} {number}: {traceback.format_exc()}")
            os._exit(1)
    store.close()


def main() -> None:
    import alembic.config  # noqa: F401 - what children would import one by one
    import integrity.operations  # noqa: F401
    import psutil  # noqa: F401

    while line := sys.stdin.readline():
        wanted = json.loads(line)
        child = os.fork()
        if child == 0:
            _child(Path(wanted["folder"]), wanted["operations"])
            os._exit(0)
        _say(child=child)
        ended = os.waitid(os.P_PID, child, os.WEXITED | os.WNOWAIT)
        assert ended
        _say(ended=ended.si_status if ended.si_code == os.CLD_EXITED else -ended.si_status)
        sys.stdin.readline()
        os.waitpid(child, 0)


if __name__ == "__main__":
    main()
