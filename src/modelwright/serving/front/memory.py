"""How much memory the workers of a version hold, against what was asked for each.

What is held is what the kernel cannot take back by itself: pages that no file backs, shared memory, and what of both is
swapped out, of a worker and of all the processes below it. Pages that several of them share are counted once.
"""

import contextlib
import os
import sys
from collections.abc import Collection
from pathlib import Path

import psutil

# Nothing gentler than its end helps others against a process that has grown so much beyond what was asked for.
MOST = 1.5
# What libraries reserve and never fill, such as the gigabyte of pyarrow's allocator and the stacks of threads.
_RESERVED_BYTES = 2_000_000_000
_UNITS = {"kB": 1024}
_HELD = ("RssAnon", "RssShmem", "VmSwap")
_HELD_IN_PROPORTION = ("Pss_Anon", "Pss_Shmem", "SwapPss")


def held(groups: Collection[int], *, limit: int) -> dict[int, int]:
    """Return how many bytes the processes of each group hold, without its leader, which is our guard.

    What they share is counted once where it matters: when they would hold more than `limit` with it counted for each.
    """
    members: dict[int, list[int]] = {group: [] for group in groups}
    for pid in psutil.pids():
        with contextlib.suppress(OSError):
            group = os.getpgid(pid)
            if group in members and pid != group:
                members[group].append(pid)
    return {group: _together(pids, limit) for group, pids in members.items()}


def bound(pid: int, limit: int) -> None:
    """Have the system refuse what would take the process, all at once, far beyond `limit`, where it offers that.

    Between two looks a process can ask for more than the machine has. It is refused that, and gets a MemoryError.
    """
    if sys.platform != "linux":
        return
    import resource

    with contextlib.suppress(OSError, ValueError):
        most = _read(Path(f"/proc/{pid}/status"), ("VmData",)) + int(limit * MOST) + _RESERVED_BYTES
        _, hard = resource.prlimit(pid, resource.RLIMIT_DATA)
        if hard == resource.RLIM_INFINITY or most < hard:
            resource.prlimit(pid, resource.RLIMIT_DATA, (most, hard))


def told(held_bytes: int, limit: int) -> str:
    """Return both in words."""
    return f"{held_bytes / 1e6:.0f} MB of {limit / 1e6:.0f} MB"


def _together(pids: list[int], limit: int) -> int:
    total = sum(_of_process(pid) for pid in pids)
    if len(pids) > 1 and total > limit:
        total = sum(_in_proportion(pid) for pid in pids)
    return total


def _of_process(pid: int) -> int:
    try:
        if sys.platform == "linux":
            return _read(Path(f"/proc/{pid}/status"), _HELD)
        return int(psutil.Process(pid).memory_info().rss)
    except (OSError, psutil.Error):  # it has just ended
        return 0


def _in_proportion(pid: int) -> int:
    """Return what a process holds, with what it shares divided by how many do; it takes some 10 ms a gigabyte."""
    try:
        return _read(Path(f"/proc/{pid}/smaps_rollup"), _HELD_IN_PROPORTION)
    except OSError:
        return _of_process(pid)


def _read(path: Path, names: Collection[str]) -> int:
    """Return the sum of the named sizes in a file of `/proc`."""
    total = 0
    for line in path.read_text().splitlines():
        name, _, size = line.partition(":")
        if name in names:
            number, unit = size.split()
            total += int(number) * _UNITS[unit]
    return total
