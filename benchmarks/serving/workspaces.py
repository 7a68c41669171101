"""A workspace of the benchmarks: commands run in it, models registered in it."""

import contextlib
import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ground import APPS, SCIENCE, VARIABLES, Ground
from servers import as_data

ACTOR, WHY = "benchmark", "benchmark"
_WRIGHT = Path(sys.executable).with_name("wright")


@dataclass(frozen=True)
class Workspace:
    """A folder with a workspace in it; its commands run on one core when that is said."""

    folder: Path
    core: int | None = None

    @property
    def place(self) -> Path:
        """The workspace itself."""
        return self.folder / ".wright"

    def wright(self, *arguments: str | Path) -> Any:
        """Run a command and return its JSON. Raises RuntimeError with what it said when it fails."""
        pinned = [] if self.core is None else ["taskset", "-c", str(self.core)]
        command = [*pinned, str(_WRIGHT), *map(str, arguments), "--json"]
        variables = {**VARIABLES, "WRIGHT_WORKSPACE": str(self.place), "WRIGHT_ACTOR": ACTOR}
        done = subprocess.run(command, capture_output=True, text=True, check=False, env=variables)  # noqa: S603 - ours
        if done.returncode:
            raise RuntimeError(f"wright {' '.join(map(str, arguments))}\n{done.stdout}{done.stderr}"[:4000])
        return json.loads(done.stdout)

    def environment(self, name: str, packages: tuple[str, ...] = SCIENCE) -> str:
        """Return the reference of an environment, made now unless it was."""
        with contextlib.suppress(RuntimeError):
            self.wright("environment", "show", f"{name}:1")
            return f"{name}:1"
        self.folder.mkdir(parents=True, exist_ok=True)
        requirements = self.folder / f"{name}.txt"
        requirements.write_text("\n".join(packages))
        self.wright("environment", "add", name, requirements)
        self.wright("environment", "build", f"{name}:1")
        return f"{name}:1"

    def register(self, model: Path, *, name: str, environment: str, has_script: bool = True) -> str:
        """Register the model in a folder of the ground and return the version's reference."""
        sample = self.folder / "sample.json"
        sample.write_text(json.dumps(as_data(json.loads((model / "rows-1.json").read_text()))))
        options: list[str | Path] = ["--name", name, "--framework", "sklearn", "--sample", sample]
        script: list[str | Path] = ["--score", APPS / "score.py"] if has_script else []
        options += ["--environment", environment]
        version = self.wright("model", "register", model / "model.pkl", *options, *script)
        return f"{version['model']}:{version['version']}"

    def reference(self, ground: Ground, model: str, *, has_script: bool) -> str:
        """Return the version of a model to deploy, registered now unless it was."""
        name = model if has_script else f"{model}-plain"
        with contextlib.suppress(RuntimeError):
            self.wright("model", "show", f"{name}:1")
            return f"{name}:1"
        environment = self.environment("science")
        return self.register(ground.model(model), name=name, environment=environment, has_script=has_script)
