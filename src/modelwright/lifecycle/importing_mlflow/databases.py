"""Reads the database of an MLflow server, of the second release and of the third, where it is a file of SQLite."""

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from modelwright.lifecycle.importing_mlflow.artifacts import local_files
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
from modelwright.records import LoggedModelStatus, ModelPoint, Point, RunInput, RunOutput
from modelwright.store.foreign import ForeignDatabase

_Row = Mapping[str, Any]
_HERE = "default"  # the only workspace that servers have which do not know of any
_LEFT_OUT = {"traces": "trace_info", "scorers": "scorers", "evaluation datasets": "evaluation_datasets"}
_INPUTS = (
    "SELECT d.name, d.digest, d.dataset_source_type, d.dataset_source, d.dataset_schema, d.dataset_profile, "
    "i.input_uuid FROM inputs AS i JOIN datasets AS d ON d.dataset_uuid = i.source_id "
    "WHERE i.source_type = 'DATASET' AND i.destination_type = 'RUN' AND i.destination_id = ?"
)
_OUTPUTS = "SELECT destination_id, {step} AS step FROM inputs WHERE source_type = 'RUN_OUTPUT' AND source_id = ?"


@dataclass(frozen=True)
class DatabaseSource:
    """The records in `database`, whose files lie below `roots`."""

    database: ForeignDatabase
    roots: Sequence[Path]

    def experiments(self) -> Sequence[FoundExperiment | Unreadable]:
        """Return the experiments, deleted ones too."""
        tags = self._tags("experiment_tags", "experiment_id")

        def experiment(row: _Row) -> FoundExperiment:
            return FoundExperiment(
                str(row["experiment_id"]),
                row["name"],
                moment(row.get("creation_time")),
                moment(row.get("last_update_time") or row.get("creation_time")),
                row["lifecycle_stage"] == "deleted",
                tags.get(str(row["experiment_id"]), {}),
            )

        here = self._here("SELECT * FROM experiments ORDER BY experiment_id")
        return list(each_read("experiments", here, experiment, lambda row: row["experiment_id"]))

    def count_runs(self) -> int:
        """Return how many runs there are."""
        return int(self.database.rows("SELECT COUNT(*) AS count FROM runs")[0]["count"])

    def runs(self, experiment: FoundExperiment) -> Iterator[FoundRun | Unreadable]:
        """Give the runs of an experiment, deleted ones too, those that began first at first."""
        query = "SELECT * FROM runs WHERE experiment_id = ? ORDER BY start_time"
        yield from each_read("runs", self._of(experiment, query), self._run, lambda row: row["run_uuid"])

    def logged_models(self, experiment: FoundExperiment) -> Iterator[FoundLoggedModel | Unreadable]:
        """Give the models that runs of an experiment logged."""
        if not self.database.columns("logged_models"):
            return
        query = "SELECT * FROM logged_models WHERE experiment_id = ? AND lifecycle_stage = 'active'"
        found = self._of(experiment, query)
        yield from each_read("logged models", found, self._logged_model, lambda row: row["model_id"])

    def models(self) -> Iterator[FoundModel | Unreadable]:
        """Give the registered models."""
        if not self.database.columns("registered_models"):
            return
        here = self._here("SELECT * FROM registered_models ORDER BY name")
        yield from each_read("registered models", here, self._model, lambda row: row["name"])

    @contextlib.contextmanager
    def files(self, uri: str, owner: str) -> Iterator[FoundFiles]:
        """Give the files at an address."""
        yield local_files(uri, owner, roots=self.roots)

    def left_out(self) -> Mapping[str, int]:
        """Return what there is besides, which is not taken over, and how much of it."""
        counts = {
            what: int(self.database.rows(f"SELECT COUNT(*) AS count FROM {table}")[0]["count"])  # noqa: S608 - ours
            for what, table in _LEFT_OUT.items()
            if self.database.columns(table)
        }
        if "workspace" in self.database.columns("experiments"):
            other = "SELECT COUNT(*) AS count FROM experiments WHERE workspace != ?"
            counts["experiments of other workspaces"] = int(self.database.rows(other, (_HERE,))[0]["count"])
        return {what: count for what, count in counts.items() if count}

    def _here(self, query: str) -> Sequence[_Row]:
        return [row for row in self.database.rows(query) if row.get("workspace", _HERE) == _HERE]

    def _of(self, experiment: FoundExperiment, query: str) -> Sequence[_Row]:
        return self.database.rows(query, (int(experiment.id),))

    def _logged_model(self, row: _Row) -> FoundLoggedModel:
        model_id = row["model_id"]
        points = self.database.rows("SELECT * FROM logged_model_metrics WHERE model_id = ?", (model_id,))
        return FoundLoggedModel(
            model_id,
            row["source_run_id"] or "",
            row["name"],
            row["model_type"] or "",
            LOGGED_STATUSES.get(row["status"], LoggedModelStatus.READY),
            moment(row["creation_timestamp_ms"]),
            moment(row["last_updated_timestamp_ms"]),
            row["artifact_location"],
            self._named("logged_model_tags", "tag_key", "tag_value", model_id=model_id),
            self._named("logged_model_params", "param_key", "param_value", model_id=model_id),
            [_model_point(each) for each in points],
        )

    def _model(self, row: _Row) -> FoundModel:
        name, has_aliases = row["name"], bool(self.database.columns("registered_model_aliases"))
        aliases = self._named("registered_model_aliases", "alias", "version", name=name) if has_aliases else {}
        return FoundModel(
            name,
            row["description"] or "",
            moment(row["creation_time"]),
            moment(row["last_updated_time"] or row["creation_time"]),
            self._named("registered_model_tags", "key", "value", name=name),
            {alias: int(number) for alias, number in aliases.items()},
            list(self._versions(name)),
        )

    def _run(self, row: _Row) -> FoundRun:
        run_id, is_deleted = row["run_uuid"], row["lifecycle_stage"] == "deleted"
        points = self.database.rows("SELECT * FROM metrics WHERE run_uuid = ? ORDER BY timestamp, step", (run_id,))
        ended = row["end_time"]
        return FoundRun(
            run_id,
            row["name"] or "",
            row["user_id"] or "",
            STATUSES[row["status"]],
            moment(row["start_time"]),
            moment(ended) if ended else None,
            moment(row.get("deleted_time") or ended or row["start_time"]) if is_deleted else None,
            row["artifact_uri"] or "",
            self._named("params", "key", "value", run_uuid=run_id),
            self._named("tags", "key", "value", run_uuid=run_id),
            [_point(each) for each in points],
            self._inputs(run_id),
            self._outputs(run_id),
        )

    def _inputs(self, run_id: str) -> list[RunInput]:
        if not self.database.columns("inputs"):
            return []
        found = []
        for row in self.database.rows(_INPUTS, (run_id,)):
            tags = self._named("input_tags", "name", "value", input_uuid=row["input_uuid"])
            dataset = {
                "source_type": row["dataset_source_type"],
                "source": row["dataset_source"],
                "schema": row["dataset_schema"],
                "profile": row["dataset_profile"],
            }
            found.append(described_input(row["name"], row["digest"], dataset, tags))
        return found

    def _outputs(self, run_id: str) -> list[RunOutput]:
        columns = self.database.columns("inputs")
        query = _OUTPUTS.format(step="step" if "step" in columns else "0")
        return (
            [RunOutput(row["destination_id"], row["step"]) for row in self.database.rows(query, (run_id,))]
            if columns
            else []
        )

    def _versions(self, name: str) -> Iterator[FoundVersion]:
        for row in self.database.rows("SELECT * FROM model_versions WHERE name = ? ORDER BY version", (name,)):
            if row["current_stage"] != DELETED_STAGE:
                tags = self._named("model_version_tags", "key", "value", name=name, version=row["version"])
                yield FoundVersion(
                    int(row["version"]),
                    moment(row["creation_time"]),
                    moment(row["last_updated_time"] or row["creation_time"]),
                    row["description"] or "",
                    row["user_id"] or "",
                    row["current_stage"] or "",
                    row["source"] or "",
                    row.get("storage_location") or row["source"] or "",
                    row["run_id"] or "",
                    row["run_link"] or "",
                    tags,
                )

    def _named(self, table: str, key: str, value: str, **owner: object) -> dict[str, Any]:
        where = " AND ".join(f"{column} = ?" for column in owner)
        query = f'SELECT "{key}" AS name, "{value}" AS value FROM {table} WHERE {where}'  # noqa: S608 - ours
        return {
            row["name"]: "" if row["value"] is None else row["value"]
            for row in self.database.rows(query, list(owner.values()))
        }

    def _tags(self, table: str, owner: str) -> dict[str, dict[str, str]]:
        found: dict[str, dict[str, str]] = {}
        for row in self.database.rows(f"SELECT * FROM {table}"):  # noqa: S608 - ours
            found.setdefault(str(row[owner]), {})[row["key"]] = row["value"] or ""
        return found


def described_input(name: str, digest: str, dataset: Mapping[str, Any], tags: Mapping[str, str]) -> RunInput:
    """Return data that a run read as clients describe it to a server."""
    told = {key: value for key, value in dataset.items() if value is not None}
    return RunInput(
        name, digest, {"dataset": told, "tags": [{"key": key, "value": value} for key, value in tags.items()]}
    )


def _point(row: Mapping[str, Any]) -> Point:
    return Point(row["key"], row["step"], float("nan") if row["is_nan"] else row["value"], moment(row["timestamp"]))


def _model_point(row: Mapping[str, Any]) -> ModelPoint:
    names = ("dataset_name", "dataset_digest")
    dataset = {name: row[name] for name in names if row[name]}
    point = Point(
        row["metric_name"],
        row["metric_step"],
        float("nan") if row["metric_value"] is None else row["metric_value"],
        moment(row["metric_timestamp_ms"]),
    )
    return ModelPoint(point, row["run_id"], dataset or None)
