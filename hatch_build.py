"""Compiles `src/modelwright/_native.c`, for the wheel or in its place: `python hatch_build.py`.

Without a C compiler, or where it fails, there is no compiled part: the wheel is one for every machine, and everything
works, more slowly.
"""

import os
import shlex
import subprocess
import sys
import sysconfig
from pathlib import Path
from typing import Any

try:
    from hatchling.builders.hooks.plugin.interface import BuildHookInterface
except ImportError:  # in its place it is compiled without hatchling
    BuildHookInterface = object

SOURCE = Path(__file__).parent / "src/modelwright/_native.c"
TARGET = SOURCE.with_name(f"_native{sysconfig.get_config_var('EXT_SUFFIX')}")
# No fused multiplication and addition: sums are to be those of the model.
_OPTIONS = ["-O2", "-fPIC", "-ffp-contract=off", "-fvisibility=hidden", "-Wall", "-Wextra"]


def compiled(target: Path) -> bool:
    """Compile to `target`, and say on standard error why that was not possible."""
    if os.name != "posix":
        return False
    link = ["-bundle", "-undefined", "dynamic_lookup"] if sys.platform == "darwin" else ["-shared"]
    compiler = shlex.split(os.environ.get("CC") or sysconfig.get_config_var("CC") or "cc")
    include = f"-I{sysconfig.get_path('include')}"
    temporary = target.with_suffix(f".{os.getpid()}")
    command = [*compiler, *_OPTIONS, *link, include, str(SOURCE), "-o", str(temporary)]
    try:
        subprocess.run(command, check=True, capture_output=True, text=True)
    except (OSError, subprocess.CalledProcessError) as error:
        reason = getattr(error, "stderr", None) or str(error)
        print(f"the compiled part is left out, which costs speed and nothing else: {reason.strip()}", file=sys.stderr)
        return False
    temporary.replace(target)
    return True


class CustomBuildHook(BuildHookInterface):
    """Adds the compiled part to a wheel."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Compile it, in its place for an installation that is edited, else into the wheel alone."""
        if self.target_name != "wheel":
            return
        if version == "editable":
            compiled(TARGET)
            return
        target = Path(self.directory) / TARGET.name
        target.parent.mkdir(parents=True, exist_ok=True)
        if compiled(target):
            build_data["force_include"][str(target)] = f"modelwright/{TARGET.name}"
            build_data["pure_python"] = False
            build_data["infer_tag"] = True

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:
        """Remove what was compiled for the wheel."""
        for path in build_data.get("force_include", {}):
            Path(path).unlink()


if __name__ == "__main__":
    compiled(TARGET)
