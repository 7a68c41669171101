"""Compacts a workspace again and again, killed one call later each time; prints how many stages there were.

A program of its own: the tests' process has threads, and must not fork.
"""

import os
import shutil
import signal
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from modelwright.serving.capture import compaction, merging, partitions, reading
from modelwright.store import capture
from modelwright.store.database import open_store


def killed_at(number: int, work: Callable[[], object]) -> bool:
    """Do the work in a process that is killed before its `number`-th call that changes files; return whether it was."""
    child = os.fork()
    if not child:
        calls = [0]

        def counted(call: Callable[..., Any]) -> Callable[..., Any]:
            def stand_in(*given: Any, **named: Any) -> Any:
                calls[0] += 1
                if calls[0] == number:
                    os.kill(os.getpid(), signal.SIGKILL)
                return call(*given, **named)

            return stand_in

        os.fsync = counted(os.fsync)
        for name in ("replace", "rename", "unlink", "mkdir", "touch"):
            setattr(Path, name, counted(getattr(Path, name)))
        capture.keep_segment = counted(capture.keep_segment)
        compaction.change = counted(compaction.change)
        work()
        os._exit(0)
    return os.WIFSIGNALED(os.waitpid(child, 0)[1])


def ids(exchanges: Any) -> Counter[str]:
    """Count each request."""
    return Counter(each.request_id for each in exchanges)


def in_parquet(folder: Path) -> Counter[str]:
    """Count each request that any reader of Parquet would find, which passes over what begins with a dot."""
    files = [path for path in folder.glob("dt=*/hh=*/*.parquet") if not path.name.startswith(".")]
    return ids(each for file in files for each in partitions.read(file))


def stage(template: Path, number: int) -> bool:
    """Kill at one stage, look, go on where it was killed, and look again; return whether it was killed."""
    workspace = template.with_name(str(number))
    shutil.copytree(template, workspace)
    folder = workspace / "capture" / "churn"

    def work() -> None:
        store = open_store(workspace)
        compaction.compact(store, folder, actor="ada")
        for hour in partitions.hours(folder):
            merging.merge(hour)
        store.close()

    expected = ids(reading.exchanges(folder))
    was_killed = killed_at(number, work)
    assert ids(reading.exchanges(folder)) == expected
    assert in_parquet(folder) <= expected
    work()
    assert in_parquet(folder) == expected
    assert len(list(folder.rglob("*.parquet"))) == len(partitions.hours(folder))
    assert not list(folder.glob("*.wal"))
    assert not list(folder.rglob(".*.begun"))
    shutil.rmtree(workspace)
    return was_killed


if __name__ == "__main__":
    stages = 1
    while stage(Path(sys.argv[1]), stages):
        stages += 1
    sys.stdout.write(str(stages))
