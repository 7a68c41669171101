"""A converted project as anyone finds it: its modules, its entry, its own environment if it was built."""

import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_NOT_CODE = {"tests", "outputs", ".venv", "node_modules"}


@dataclass(frozen=True)
class Project:
    """The folder of a project with the package in it; without one its modules lie flat."""

    folder: Path
    package: Path | None

    @property
    def source(self) -> Path:
        """The folder to import from."""
        return self.package.parent if self.package else self.folder

    @property
    def modules(self) -> list[Path]:
        """The modules of the project, its tests aside."""
        root = self.package or self.folder
        found = [each for each in sorted(root.rglob("*.py")) if not _NOT_CODE & set(each.relative_to(root).parts)]
        return [each for each in found if each.name != "conftest.py"]

    def entry(self, name: str = "train") -> list[str] | None:
        """Return the arguments of Python that run the program of that name, if there is one."""
        root = self.package or self.folder
        if not (root / f"{name}.py").exists():
            return None
        return ["-m", f"{self.package.name}.{name}"] if self.package else [str(root / f"{name}.py")]

    def parameters(self) -> dict[str, Any]:
        """Return what is set in parameters.toml, tables flattened."""
        file = self.folder / "parameters.toml"
        found: dict[str, Any] = {}
        waiting = [tomllib.loads(file.read_text(encoding="utf-8"))] if file.exists() else []
        while waiting:
            for name, value in waiting.pop().items():
                if isinstance(value, dict):
                    waiting.append(value)
                else:
                    found[name] = value
        return found


def find(folder: Path) -> Project | None:
    """Return the project in a folder; None if there is none that trains something."""
    packages = [each.parent for each in folder.glob("src/*/train.py")]
    if packages:
        return Project(folder, packages[0])
    return Project(folder, None) if (folder / "train.py").exists() else None
