"""Where the modules of a project stand: in a package under `src`, or in the project's folder as older versions had it.

Each module has one job; a small project keeps all of its training in the one that trains.
"""

from dataclasses import dataclass
from enum import StrEnum
from pathlib import PurePosixPath


class Style(StrEnum):
    """How the folders of a package are cut."""

    MODULES = "modules"
    # The folders of Microsoft's MLOpsPython template.
    MLOPSPYTHON = "mlopspython"


@dataclass(frozen=True)
class Layout:
    """The dotted names of a project's modules by their job; `package` is empty in a flat project."""

    package: str
    style: Style
    data: str
    features: str
    train: str
    evaluation: str
    components: str
    score: str
    pipeline: str
    report: str

    @property
    def source(self) -> str:
        """The folder that the modules are imported from, relative to the project's."""
        return "src" if self.package else "."

    @property
    def packages(self) -> frozenset[str]:
        """The packages that the modules are in."""
        found: set[str] = set()
        for module in (self.data, self.features, self.train, self.evaluation, self.components, self.score, self.report):
            parts = module.split(".")[:-1]
            found |= {".".join(parts[: end + 1]) for end in range(len(parts))}
        return frozenset(found)

    def file(self, module: str) -> str:
        """Return the path of a module or package, relative to the project."""
        path = PurePosixPath(self.source, *module.split("."))
        return f"{path / '__init__'}.py" if module in self.packages else f"{path}.py"

    def depth(self, module: str) -> int:
        """Return how many folders the one that a module is in lies below the project's."""
        return len(PurePosixPath(self.file(module)).parts) - 1


def layout(package: str, style: Style = Style.MODULES) -> Layout:
    """Return the layout of a project whose modules are in `package`; of a flat one if that is empty."""
    if not package:
        return Layout("", style, "train", "train", "train", "train", "train", "score", "pipeline", "report")
    jobs = {
        "data": "training.data",
        "features": "training.features",
        "train": "training.train",
        "evaluation": "evaluate.evaluate_model",
        "components": "util.components",
        "score": "scoring.score",
        "report": "evaluate.report",
    }
    names = {job: path if style is Style.MLOPSPYTHON else job for job, path in jobs.items()}
    modules = {job: f"{package}.{name}" for job, name in names.items()}
    return Layout(package, style, pipeline=f"{package}.pipeline", **modules)
