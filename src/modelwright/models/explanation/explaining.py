"""Explanations: asks the guest in the model's environment, and says which rows of its run it may look at."""

import hashlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from modelwright import processes
from modelwright.datasets import reading
from modelwright.environments import building
from modelwright.errors import (
    ExplanationFailed,
    ExplanationWithoutRows,
    FileNotReadable,
    ModelNotExplainable,
    ProjectInvalid,
    RowsUnfit,
)
from modelwright.models import packages
from modelwright.projects.manifest import read_manifest
from modelwright.records import BuiltEnvironment, ModelVersion, Run
from modelwright.runs import pipelines, worker
from modelwright.runs.active import restore_code
from modelwright.settings import child_environment
from modelwright.store.blobs import digest_of
from modelwright.store.database import Store

SHAP = "shap"
_FORMAT = 1  # of the result; another one answers no question that was asked before
_GUEST = Path(__file__).with_name("attributing.py")
_TABLES = (".csv", ".tsv", ".parquet", ".pq")


@dataclass(frozen=True)
class Source:
    """A file of rows that the user names."""

    name: str
    path: Path
    digest: str


@dataclass(frozen=True)
class Question:
    """What is asked: about the model as a whole, or with `rows` about those rows. `data` replaces its run's rows."""

    rows: Source | None = None
    data: Source | None = None
    target: str | None = None
    seed: int = 0
    repeats: int = 5

    @property
    def key(self) -> str:
        """What names the question: the same one has the same answer for one version."""
        told = asdict(self) | {"format": _FORMAT}
        for each in ("rows", "data"):
            told[each] = told[each] and told[each]["digest"]
        return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()


@dataclass(frozen=True)
class Answer:
    """What the guest found: the result and the file of the rows' values; or the library `needs` that it lacked."""

    result: dict[str, Any]
    values: Path
    needs: str | None = None


def rows_file(path: Path) -> Source:
    """Return a file that holds rows. Raises FileNotReadable."""
    try:
        return Source(path.name, path.absolute(), digest_of(path))
    except OSError as error:
        raise FileNotReadable(path=path, reason=error.strerror or error) from error


def rows_of(store: Store, named: str, *, scratch: Path) -> Source:
    """Return the rows that the user names: a file, else a dataset version, whose rows may have to go to `scratch`.

    Raises FileNotReadable, and what reading a dataset raises.
    """
    path = Path(named)
    if path.is_file() or path.suffix in _TABLES:
        return rows_file(path)
    data = reading.read(store, named)
    if data.path.is_file() and data.path.suffix in _TABLES:
        return Source(data.version.reference, data.path, data.version.digest)
    table = scratch / "data.csv"
    data.frame().to_csv(table, index=False)
    return Source(data.version.reference, table, data.version.digest)


def ask(
    store: Store,
    version: ModelVersion,
    question: Question,
    *,
    run: Run | None,
    environment: BuiltEnvironment,
    scratch: Path,
    shap_missing: str = "",
) -> Answer:
    """Explain the version in `environment`, and return what was found or what is needed and missing there.

    `shap_missing` says why shap cannot be had; trees are then explained without it. Raises ModelNotExplainable,
    ExplanationWithoutRows, RowsUnfit and ExplanationFailed.
    """
    folder = packages.restore(store, version)
    request, result, values = (scratch / f"{name}.json" for name in ("request", "result", "values"))
    asked = {
        "source": str((packages.scoring_script(folder) or folder / packages.MANIFEST).parent),
        "model_files": sorted(str(each) for each in (folder / packages.MODEL_FOLDER).rglob("*") if each.is_file()),
        "values_reader": worker.__file__,
        "values": _values(store, run, scratch) if run else [],
        "data": _told(question.data),
        "rows": _told(question.rows),
        "target": question.target,
        "seed": question.seed,
        "repeats": question.repeats,
        "shap_missing": shap_missing,
    }
    request.write_text(json.dumps(asked), encoding="utf-8")
    done = processes.run(
        [environment.python, _GUEST, request, result, values],
        folder=folder,
        environment=child_environment(building.variables(environment, folder)),
        after_timeout=f"wright model explain {version.reference} --data FILE with fewer rows",
    )
    if done.returncode:
        last = (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1]
        raise ExplanationFailed(version=version.reference, reason=last)
    found: dict[str, Any] = json.loads(result.read_text(encoding="utf-8"))
    _raise_refusal(version, found)
    return Answer(found | {"is_local": question.rows is not None, "seed": question.seed}, values, found.get("needs"))


def _raise_refusal(version: ModelVersion, found: dict[str, Any]) -> None:
    refusals = {"model": ModelNotExplainable, "rows": ExplanationWithoutRows, "file": RowsUnfit}
    if "refused" in found:
        raise refusals[found["refused"]](version=version.reference, reason=found["reason"])


def _told(source: Source | None) -> dict[str, str] | None:
    return {"name": source.name, "path": str(source.path)} if source else None


def _values(store: Store, run: Run, scratch: Path) -> list[dict[str, str]]:
    """Return the values of a run's steps that are still what they were, each with the role of the step that took it."""
    digests = {name: digest for each in run.steps for name, digest in each.outputs.items()}
    training, evaluation = _inputs(store, run, scratch)
    found = []
    for name, digest in digests.items():
        path = store.blobs.path(digest)
        if path.is_file() and digest_of(path) == digest:
            roles = [role for role, names in (("training", training), ("evaluation", evaluation)) if name in names]
            found += [{"name": name, "path": str(path), "role": role} for role in roles or ["other"]]
    return found


def _inputs(store: Store, run: Run, scratch: Path) -> tuple[set[str], set[str]]:
    """Return the names of what the step took that made the model, and of what those took that took the model."""
    if not any(each.path.startswith("code/") for each in run.artifacts):
        return set(), set()
    try:
        manifest = read_manifest(restore_code(store, run, into=scratch / "code"))
        pipeline = pipelines.read_pipeline(manifest.pipeline)
    except ProjectInvalid:
        return set(), set()
    model = pipeline.results.get("model", "")
    made = {name for each in pipeline.steps if model in each.outputs for name in each.inputs}
    used = {name for each in pipeline.steps if model in each.inputs for name in each.inputs}
    return made, used - {model}
