"""Takes over what steps record while they run: lines of JSON in files that grow, into the run's rows."""

import contextlib
import json
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from modelwright.datasets import reading
from modelwright.errors import ModelwrightError
from modelwright.records import Artifact, DatasetVersion, Point
from modelwright.store import datasets, runs
from modelwright.store.blobs import Batch
from modelwright.store.changes import Changing
from modelwright.store.database import Store


class Records:
    """What the steps of one run have recorded, read as far as it was written, and kept with each `flush`."""

    def __init__(self, store: Store, run_id: str, *, changing: Changing) -> None:
        """Take the run."""
        self._store = store
        self._run_id = run_id
        self._changing = changing
        self._places: dict[Path, int] = {}
        self._waiting: list[dict[str, Any]] = []
        self._next_steps: dict[str, int] = {}
        self._open = contextlib.ExitStack()
        self._batch: Batch | None = None

    def read(self, file: Path) -> list[dict[str, Any]]:
        """Return what was written to a file since it was read last; artifacts are blobs by then."""
        try:
            with file.open("rb") as handle:
                handle.seek(self._places.get(file, 0))
                new = handle.read()
        except FileNotFoundError:
            return []
        whole, newline, _ = new.rpartition(b"\n")
        self._places[file] = self._places.get(file, 0) + len(whole) + len(newline)
        told = [json.loads(line) for line in whole.decode(errors="replace").splitlines()]
        for each in told:
            if each["kind"] == "artifact":
                path = Path(each.pop("path"))
                each.update({"digest": self._adding().add(path), "size_bytes": path.stat().st_size})
            elif each["kind"] == "dataset":
                each.update(self._given(each["reference"], Path(each.pop("answer"))))
        return [each for each in told if each.get("version", True)]

    def _adding(self) -> Batch:
        """Return the batch of what was read and is not committed yet."""
        if self._batch is None:
            self._batch = self._open.enter_context(self._store.blobs.batch())
        return self._batch

    def _given(self, reference: str, answer: Path) -> dict[str, Any]:
        """Answer a step that asks for a dataset; return the version that it got, and None when it got none."""
        found: DatasetVersion | None = None
        try:
            data = reading.read(self._store, reference)
            found = data.version
            told = {"path": str(data.path)}
        except ModelwrightError as error:
            told = {"error": f"{error}; next: {error.next_command}"}
        partial = answer.with_suffix(".partial")
        partial.write_text(json.dumps(told), encoding="utf-8")
        partial.replace(answer)
        return {"version": found.reference if found else None, "digest": found.digest if found else None}

    def forget(self, file: Path) -> None:
        """Read the file from its beginning, for it is another one: a step begins again."""
        self._places.pop(file, None)

    def take(self, told: Iterable[dict[str, Any]]) -> str | None:
        """Take what was read for the run; return why the run is to be cancelled, if that was said."""
        reason = None
        for each in told:
            if each["kind"] == "cancel":
                reason = str(each["value"])
                continue
            if each["kind"] == "metric":
                step = self._next_steps.get(each["name"], 0) if each["step"] is None else each["step"]
                self._next_steps[each["name"]] = step + 1
                each = each | {"step": step}  # noqa: PLW2901 - what was told stays as it was told
            self._waiting.append(each)
        return reason

    def flush(self) -> None:
        """Commit what was taken."""
        waiting, self._waiting = self._waiting, []
        by_kind: dict[str, list[dict[str, Any]]] = {}
        for each in waiting:
            by_kind.setdefault(each["kind"], []).append(each)
        if not by_kind:
            return
        with self._changing() as opened:
            runs.log_points(opened, self._run_id, list(map(_point, by_kind.get("metric", []))))
            runs.set_tags(opened, self._run_id, {each["name"]: each["value"] for each in by_kind.get("tag", [])})
            runs.add_parameters(
                opened, self._run_id, {each["name"]: each["value"] for each in by_kind.get("parameter", [])}
            )
            for each in by_kind.get("note", []):
                runs.set_note(opened, self._run_id, each["value"])
            for each in by_kind.get("dataset", []):
                version = datasets.find_dataset_version(self._store, each["version"])
                runs.link_dataset(opened, self._run_id, dataset=version, role="input")
            artifacts = {
                each["name"]: Artifact(each["name"], each["digest"], each["size_bytes"])
                for each in by_kind.get("artifact", [])
            }
            if artifacts:
                runs.add_artifacts(opened, self._run_id, artifacts=list(artifacts.values()))
        self._open.close()
        self._batch = None


def _point(told: dict[str, Any]) -> Point:
    return Point(told["name"], told["step"], float(told["value"]), datetime.fromtimestamp(told["at"], UTC))
