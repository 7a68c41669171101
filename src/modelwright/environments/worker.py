"""Guest: tells, as JSON on standard output, what the interpreter that runs it has installed.

Started by file path as `python worker.py [MODULE …]`; the modules are those whose owners are wanted. Standard library
only, and nothing that Python 3.9 cannot read, because it runs in the user's own environment.
"""

from __future__ import annotations

import csv
import json
import os
import platform
import sys
import sysconfig
from importlib import metadata, util


def marker_environment() -> dict[str, str]:
    """Return the variables of environment markers. Source: PEP 508, "Environment Markers"."""
    version = sys.implementation.version
    implementation_version = f"{version.major}.{version.minor}.{version.micro}"
    if version.releaselevel != "final":
        implementation_version += version.releaselevel[0] + str(version.serial)
    return {
        "implementation_name": sys.implementation.name,
        "implementation_version": implementation_version,
        "os_name": os.name,
        "platform_machine": platform.machine(),
        "platform_python_implementation": platform.python_implementation(),
        "platform_release": platform.release(),
        "platform_system": platform.system(),
        "platform_version": platform.version(),
        "python_full_version": platform.python_version(),
        "python_version": ".".join(platform.python_version_tuple()[:2]),
        "sys_platform": sys.platform,
    }


def installed_files(distribution: metadata.Distribution) -> list[str]:
    """Return the paths in the distribution's RECORD, relative to where it lies; empty when it has none.

    Not `distribution.files`: from Python 3.12 on that leaves out files that are missing on disk.
    """
    record = distribution.read_text("RECORD") or ""
    return [row[0] for row in csv.reader(record.splitlines()) if row]


def described(distribution: metadata.Distribution, files: list[str]) -> dict[str, object]:
    """Return what the host needs to know of one distribution."""
    origin = json.loads(distribution.read_text("direct_url.json") or "{}")
    return {
        "name": distribution.metadata["Name"],
        "version": distribution.version,
        "requires": distribution.requires or [],
        "root": str(distribution.locate_file("")),
        "info_folder": next((path.partition("/")[0] for path in files if path.endswith(".dist-info/RECORD")), ""),
        "installer": (distribution.read_text("INSTALLER") or "").strip(),
        "import_names": sorted(import_names(files)),
        "url": origin.get("url", ""),
        "is_editable": bool(origin.get("dir_info", {}).get("editable", False)),
    }


def import_names(files: list[str]) -> set[str]:
    """Return the top-level names that files can be imported by."""
    names = {path.partition("/")[0] for path in files}
    return {name.partition(".")[0] for name in names if name.partition(".")[0].isidentifier() and "-" not in name}


def module_paths(files: list[str], wanted: set[str]) -> set[str]:
    """Return every dotted prefix of the modules among `files` whose top-level name is wanted."""
    found: set[str] = set()
    for path in files:
        parts = path.split("/")
        parts[-1] = parts[-1].partition(".")[
            0
        ]  # x.py, x.cpython-311-x86_64-linux-gnu.so and x.abi3.so are all module x
        if parts[0] in wanted:
            found.update(".".join(parts[:length]) for length in range(1, len(parts) + 1))
    return found


def owners_of(module: str, paths: dict[str, set[str]]) -> list[str]:
    """Return the distributions that hold `module`.

    A namespace package such as `google` belongs to many; the longer the dotted name, the fewer remain.
    """
    owners = list(paths)
    prefix = ""
    for part in module.split("."):
        prefix = f"{prefix}.{part}" if prefix else part
        narrower = [name for name in owners if prefix in paths[name]]
        if not narrower and "." in prefix:
            break  # the last part is a name inside the module, not a module
        owners = narrower
        if len(owners) <= 1:
            break
    return owners


def origin_of(module: str) -> str:
    """Return the file or folder that the module's top-level name would be imported from; empty when nowhere."""
    try:
        spec = util.find_spec(module.partition(".")[0])
    except (ImportError, ValueError):
        return ""
    if spec is None:
        return ""
    return spec.origin or next(iter(spec.submodule_search_locations or []), "")


def is_standard(module: str) -> bool:
    """Return whether the module comes with Python itself."""
    name = module.partition(".")[0]
    names = getattr(sys, "stdlib_module_names", None)
    if names is not None:
        return name in names
    origin = origin_of(name)  # Python 3.9 has no such list
    standard = sysconfig.get_path("stdlib") + os.sep
    return origin in ("built-in", "frozen") or (origin.startswith(standard) and "-packages" + os.sep not in origin)


def main() -> None:
    """Print what this interpreter has, and who owns the modules given as arguments."""
    # Python puts this file's folder first on the path, and our modules there are not the user's.
    sys.path.pop(0)
    modules = sys.argv[1:]
    wanted = {module.partition(".")[0] for module in modules}
    distributions: list[dict[str, object]] = []
    paths: dict[str, set[str]] = {}
    for distribution in metadata.distributions():
        name = distribution.metadata["Name"]
        if not name or name in paths:  # what stands first on the path is what gets imported
            continue
        files = installed_files(distribution)
        paths[name] = module_paths(files, wanted)
        distributions.append(described(distribution, files))
    answer = {
        "python_version": platform.python_version(),
        "platform": sysconfig.get_platform(),
        "markers": marker_environment(),
        "folders": {name: sysconfig.get_path(name) for name in ("purelib", "platlib", "scripts", "data", "include")},
        "distributions": distributions,
        "modules": {
            module: {
                "is_standard": is_standard(module),
                "owners": owners_of(module, paths),
                "origin": origin_of(module),
            }
            for module in modules
        },
    }
    sys.stdout.write(json.dumps(answer))


if __name__ == "__main__":
    main()
