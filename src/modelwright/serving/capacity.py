"""Whether the machine has what a deployment asks for."""

import os
from pathlib import Path

from modelwright.errors import DeploymentUnschedulable

# A worker answers one request at a time and computes with one thread. More than these on a processor only wait for
# each other, unless their scripts wait for something else.
WORKERS_A_PROCESSOR = 4
_GB = 1e9
# What a container may use, in this order of the kernel's interfaces.
_LIMITS = (Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"))


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

    limits = [path.read_text().strip() for path in _LIMITS if path.is_file()]
    total: int = psutil.virtual_memory().total
    return min([total, *(int(each) for each in limits if each.isdecimal())])
