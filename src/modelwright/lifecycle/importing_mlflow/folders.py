"""Reads the folders of MLflow's file store, `mlruns`: a file of YAML for each thing, a file for each value."""

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from modelwright.errors import ImportSourceInvalid
from modelwright.lifecycle.importing_mlflow.artifacts import local_files
from modelwright.lifecycle.importing_mlflow.databases import described_input
from modelwright.lifecycle.importing_mlflow.found import (
    DELETED_STAGE,
    LOGGED_STATUSES,
    STATUSES,
    FoundExperiment,
    FoundFiles,
    FoundLoggedModel,
    FoundModel,
    FoundRun,
    FoundVersion,
    Unreadable,
    each_read,
    moment,
)
from modelwright.records import LoggedModelStatus, ModelPoint, Point, RunInput, RunOutput, Status

_META = "meta.yaml"
_TRASH = ".trash"
_MODELS = "models"
_TRACES = "traces/*/trace_info.yaml"
_NO_EXPERIMENTS = {_MODELS, _TRASH, "traces"}
# As numbers and, in some releases, as words.
_STATUSES = STATUSES | {
    1: Status.RUNNING,
    2: Status.QUEUED,
    3: Status.SUCCEEDED,
    4: Status.FAILED,
    5: Status.CANCELLED,
}


@dataclass(frozen=True)
class FolderSource:
    """The records in `folder`, whose files lie below `roots`."""

    folder: Path
    roots: Sequence[Path]

    def experiments(self) -> Sequence[FoundExperiment | Unreadable]:
        """Return the experiments, deleted ones too. Raises ImportSourceInvalid."""
        found = list(each_read("experiments", self._experiment_folders(), _experiment, self._named))
        if not found:
            raise ImportSourceInvalid(source=self.folder, reason="there is no experiment in it")
        return found

    def count_runs(self) -> int:
        """Return how many runs there are."""
        return sum(len(list(_folders(each))) for each in self._experiment_folders())

    def runs(self, experiment: FoundExperiment) -> Iterator[FoundRun | Unreadable]:
        """Give the runs of an experiment, deleted ones too, those that began first at first."""
        folders = sorted(_folders(self._folder_of(experiment)), key=_began)
        yield from each_read("runs", folders, _run, self._named)

    def logged_models(self, experiment: FoundExperiment) -> Iterator[FoundLoggedModel | Unreadable]:
        """Give the models that runs of an experiment logged."""
        folders = _folders(self._folder_of(experiment) / _MODELS)
        for each in each_read("logged models", folders, _logged_model, self._named):
            if each is not None:
                yield each

    def models(self) -> Iterator[FoundModel | Unreadable]:
        """Give the registered models."""
        yield from each_read("registered models", _folders(self.folder / _MODELS), _model, self._named)

    @contextlib.contextmanager
    def files(self, uri: str, owner: str) -> Iterator[FoundFiles]:
        """Give the files at an address."""
        yield local_files(uri, owner, roots=self.roots)

    def left_out(self) -> Mapping[str, int]:
        """Return what there is besides, which is not taken over, and how much of it."""
        traces = sum(len(list(each.glob(_TRACES))) for each in self._experiment_folders())
        return {"traces": traces} if traces else {}

    def _named(self, folder: Path) -> str:
        return str(folder.relative_to(self.folder))

    def _experiment_folders(self) -> Iterator[Path]:
        for parent in (self.folder, self.folder / _TRASH):
            for each in _folders(parent):
                if each.name not in _NO_EXPERIMENTS:
                    yield each

    def _folder_of(self, experiment: FoundExperiment) -> Path:
        here = self.folder / experiment.id
        return here if here.is_dir() else self.folder / _TRASH / experiment.id


def _experiment(folder: Path) -> FoundExperiment:
    meta = _meta(folder)
    created = meta.get("creation_time")
    return FoundExperiment(
        str(meta.get("experiment_id", folder.name)),
        str(meta["name"]),
        moment(created),
        moment(meta.get("last_update_time") or created),
        meta.get("lifecycle_stage") == "deleted",
        _values(folder / "tags"),
    )


def _began(run: Path) -> int:
    try:
        return int(_meta(run).get("start_time") or 0)
    except (OSError, ValueError, TypeError):  # which is told when it is read
        return 0


def _run(folder: Path) -> FoundRun:
    meta = _meta(folder)
    is_deleted, ended, began = meta.get("lifecycle_stage") == "deleted", meta.get("end_time"), meta.get("start_time")
    return FoundRun(
        str(meta.get("run_id") or meta["run_uuid"]),
        meta.get("run_name") or meta.get("name") or "",
        meta.get("user_id") or "",
        _STATUSES[meta["status"]],
        moment(began),
        moment(ended) if ended else None,
        moment(meta.get("deleted_time") or ended or began) if is_deleted else None,
        meta.get("artifact_uri") or str(folder / "artifacts"),
        _values(folder / "params"),
        _values(folder / "tags"),
        list(_points(folder / "metrics")),
        list(_inputs(folder)),
        [RunOutput(each.name, int(_meta(each).get("step") or 0)) for each in _folders(folder / "outputs")],
    )


def _logged_model(folder: Path) -> FoundLoggedModel | None:
    """Return a model that a run logged; None for one that was deleted."""
    meta = _meta(folder)
    if meta.get("lifecycle_stage", "active") != "active":
        return None
    return FoundLoggedModel(
        str(meta["model_id"]),
        meta.get("source_run_id") or "",
        meta.get("name") or "",
        meta.get("model_type") or "",
        LOGGED_STATUSES.get(meta.get("status", 2), LoggedModelStatus.READY),
        moment(meta.get("creation_timestamp")),
        moment(meta.get("last_updated_timestamp")),
        meta.get("artifact_location") or str(folder / "artifacts"),
        _values(folder / "tags"),
        _values(folder / "params"),
        list(_model_points(folder / "metrics")),
    )


def _model(folder: Path) -> FoundModel:
    meta = _meta(folder)
    return FoundModel(
        meta["name"],
        meta.get("description") or "",
        moment(meta.get("creation_timestamp")),
        moment(meta.get("last_updated_timestamp")),
        _values(folder / "tags"),
        {alias: int(number) for alias, number in _values(folder / "aliases").items()},
        sorted(_versions(folder), key=lambda each: each.number),
    )


def _inputs(folder: Path) -> Iterator[RunInput]:
    for each in _folders(folder / "inputs"):
        meta = _meta(each)
        data = folder.parent / "datasets" / str(meta.get("source_id"))
        if (data / _META).is_file():
            told = _meta(data)
            dataset = {name: told.get(name) for name in ("source_type", "source", "schema", "profile")}
            tags = meta.get("tags") or {}
            yield described_input(str(told["name"]), str(told["digest"]), dataset, tags)


def _versions(folder: Path) -> Iterator[FoundVersion]:
    for each in _folders(folder):
        if not each.name.startswith("version-"):
            continue
        meta = _meta(each)
        if meta.get("current_stage") != DELETED_STAGE:
            yield FoundVersion(
                int(meta["version"]),
                moment(meta.get("creation_timestamp")),
                moment(meta.get("last_updated_timestamp")),
                meta.get("description") or "",
                meta.get("user_id") or "",
                meta.get("current_stage") or "",
                meta.get("source") or "",
                meta.get("storage_location") or meta.get("source") or "",
                meta.get("run_id") or "",
                meta.get("run_link") or "",
                _values(each / "tags"),
            )


def _points(folder: Path) -> Iterator[Point]:
    """Give what the files of metrics say: a time, a value and a step in each line."""
    for name, line in _lines(folder):
        time, value, *step = line.split()
        yield Point(name, int(step[0]) if step else 0, float(value), moment(time))


def _model_points(folder: Path) -> Iterator[ModelPoint]:
    """Give what the files of a logged model's metrics say: time, value, step, run, and data where there were any."""
    for name, line in _lines(folder):
        time, value, step, run_id, *data = line.split()
        dataset = dict(zip(("dataset_name", "dataset_digest"), data, strict=False))
        yield ModelPoint(Point(name, int(step), float(value), moment(time)), run_id, dataset or None)


def _lines(folder: Path) -> Iterator[tuple[str, str]]:
    for path in _files(folder):
        for line in path.read_text(encoding="utf-8").splitlines():
            if line.strip():
                yield path.relative_to(folder).as_posix(), line


def _values(folder: Path) -> dict[str, str]:
    """Return what files of one value each say, by their names, which may have folders in them."""
    return {path.relative_to(folder).as_posix(): path.read_text(encoding="utf-8") for path in _files(folder)}


def _files(folder: Path) -> Iterator[Path]:
    yield from (path for path in sorted(folder.rglob("*")) if path.is_file() and not path.is_symlink())


def _folders(folder: Path) -> Iterator[Path]:
    """Give the folders in one that hold a description."""
    if folder.is_dir():
        yield from (each for each in sorted(folder.iterdir()) if (each / _META).is_file())


def _meta(folder: Path) -> dict[str, Any]:
    """Return what describes the thing of a folder. Raises OSError, ValueError and TypeError."""
    import yaml

    try:
        found = yaml.safe_load((folder / _META).read_text(encoding="utf-8"))
    except yaml.YAMLError as error:
        raise ValueError(" ".join(str(error).split())) from error
    if not isinstance(found, dict):
        rule = f"{_META} holds no names and values"
        raise TypeError(rule)
    return found
