"""The machine and the interpreter that a script runs with."""

import contextlib
import json
import os
import platform
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any

from modelwright.records import Lock
from modelwright.settings import child_environment

_GPU_PATIENCE_SECONDS = 5.0
_FORMAT = 1
_SITES = frozenset({"site-packages", "dist-packages"})

_locks: dict[tuple[tuple[str, int], ...], Lock] = {}


@cache
def describe() -> dict[str, Any]:
    """Return what runs are compared by: system, processor, memory, GPUs, Python, host. Found once in a process."""
    import psutil

    found = {
        "host": platform.node(),
        "system": platform.platform(),
        "processor": _processor(),
        "processors": os.cpu_count(),
        "memory_bytes": psutil.virtual_memory().total,
        "python": f"{platform.python_implementation()} {platform.python_version()}",
    }
    gpus = _gpus()
    return found | ({"gpus": gpus} if gpus else {})


def lock_of_interpreter(cache_folder: Path) -> Lock:
    """Return the exact versions of all that this process's interpreter has installed.

    They are read again only after something was installed or removed; `cache_folder` keeps them between processes.
    The lock has no hashes: it tells what was there and promises nothing of where it can be had again.
    """
    sites = [path for path in dict.fromkeys(sys.path) if Path(path).name in _SITES and Path(path).is_dir()]
    stamps = tuple((path, Path(path).stat().st_mtime_ns) for path in sites)
    if stamps not in _locks:
        _locks[stamps] = _lock(_pins(sites, stamps, cache_folder))
    return _locks[stamps]


def _lock(text: str) -> Lock:
    from modelwright.environments.locking import read_lock

    return read_lock(text, python_version=platform.python_version(), platform=sysconfig.get_platform())


def _pins(sites: list[str], stamps: tuple[tuple[str, int], ...], cache_folder: Path) -> str:
    from blake3 import blake3

    file = cache_folder / f"{blake3(sys.prefix.encode()).hexdigest(length=8)}.json"
    key = [list(each) for each in stamps]
    with contextlib.suppress(OSError, ValueError, KeyError):
        kept = json.loads(file.read_text(encoding="utf-8"))
        if kept["format"] == _FORMAT and kept["sites"] == key:
            return str(kept["text"])
    text = _installed(sites)
    file.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile("w", dir=file.parent, delete=False, encoding="utf-8") as partial:
        json.dump({"format": _FORMAT, "sites": key, "text": text}, partial)
    Path(partial.name).replace(file)
    return text


def _installed(sites: list[str]) -> str:
    from packaging.utils import canonicalize_name

    versions: dict[str, str] = {}
    for each in metadata.distributions(path=sites):
        name = each.metadata["Name"]
        if name:  # what a broken removal left behind has none
            versions.setdefault(canonicalize_name(name), each.version)
    return "".join(f"{name}=={version}\n" for name, version in sorted(versions.items()))


def _processor() -> str:
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _gpus() -> list[str]:
    program = shutil.which("nvidia-smi")
    if not program:
        return []
    try:
        done = subprocess.run(  # noqa: S603 - an argument list, no shell
            [program, "--query-gpu=name,memory.total,driver_version", "--format=csv,noheader"],
            check=True,
            capture_output=True,
            text=True,
            timeout=_GPU_PATIENCE_SECONDS,
            env=child_environment(),
        )
    except (OSError, subprocess.SubprocessError):
        return []
    return [line.strip() for line in done.stdout.splitlines() if line.strip()]
