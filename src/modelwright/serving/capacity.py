"""Whether the machine has what a deployment asks for."""

import os
from collections.abc import Iterator
from pathlib import Path

from modelwright.errors import DeploymentUnschedulable

# A worker answers one request at a time and computes with one thread. More than these on a processor only wait for
# each other, unless their scripts wait for something else.
WORKERS_A_PROCESSOR = 4
_GB = 1e9
# What a container may use, what it uses, and what of that are files that nobody has asked for lately, in this order of
# the kernel's interfaces.
_GROUPS = (
    (Path("/sys/fs/cgroup"), "memory.max", "memory.current", "inactive_file"),
    (Path("/sys/fs/cgroup/memory"), "memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
)


def check(version: str, *, endpoint: str, workers: int, memory_gb: float | None = None) -> None:
    """Raise DeploymentUnschedulable when so many workers, each with so much memory, are more than the machine has."""
    count = processors()
    if workers > count * WORKERS_A_PROCESSOR:
        reason = (
            f"it asks for {workers} workers; this machine has {count} processors, "
            f"each for at most {WORKERS_A_PROCESSOR} of them"
        )
        raise DeploymentUnschedulable(version=version, endpoint=endpoint, reason=reason)
    has_gb = memory_bytes() / _GB
    if memory_gb is not None and workers * memory_gb > has_gb:
        asked = f"{workers} workers of {memory_gb:g} GB" if workers > 1 else f"{memory_gb:g} GB"
        reason = f"it asks for {asked} of memory; this machine has {has_gb:.1f} GB"
        raise DeploymentUnschedulable(version=version, endpoint=endpoint, reason=reason)


def processors() -> int:
    """Return how many processors this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def memory_bytes() -> int:
    """Return how much memory there is: the machine's, or what its container may use."""
    import psutil

    total: int = psutil.virtual_memory().total
    return min([total, *(limit for _, limit, *_ in _limited())])


def available_bytes() -> int:
    """Return how much memory nobody has, of the machine or of what its container may use."""
    import psutil

    found: int = psutil.virtual_memory().available
    for folder, limit, used, spare in _limited():
        stat = dict(line.split() for line in (folder / "memory.stat").read_text().splitlines())
        found = min(found, limit - int((folder / used).read_text()) + int(stat.get(spare, 0)))
    return found


def _limited() -> Iterator[tuple[Path, int, str, str]]:
    """Give the folders that tell what our container may use, with the limit, and where its use is told."""
    for folder, limit, used, spare in _GROUPS:
        text = (folder / limit).read_text().strip() if (folder / limit).is_file() else ""
        if text.isdecimal():
            yield folder, int(text), used, spare
