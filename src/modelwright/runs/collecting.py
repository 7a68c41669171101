"""Takes over what steps record while they run: lines of JSON in files that grow, into the run's rows."""

import json
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from modelwright.records import Artifact, Point
from modelwright.store import runs
from modelwright.store.changes import change
from modelwright.store.database import Store


class Records:
    """What the steps of one run have recorded, read as far as it was written, and kept with each `flush`."""

    def __init__(self, store: Store, run_id: str, *, actor: str) -> None:
        """Take the run."""
        self._store = store
        self._run_id = run_id
        self._actor = actor
        self._places: dict[Path, int] = {}
        self._waiting: list[dict[str, Any]] = []

    def read(self, file: Path) -> list[str]:
        """Return the whole lines that have been written to a file since it was read last."""
        try:
            with file.open("rb") as handle:
                handle.seek(self._places.get(file, 0))
                new = handle.read()
        except FileNotFoundError:
            self._places.pop(file, None)
            return []
        whole, newline, _ = new.rpartition(b"\n")
        self._places[file] = self._places.get(file, 0) + len(whole) + len(newline)
        return whole.decode(errors="replace").splitlines()

    def take(self, lines: Iterable[str]) -> str | None:
        """Take what the lines say; return why the run is to be cancelled, if one of them says so."""
        reason = None
        for line in lines:
            told = json.loads(line)
            if told["kind"] == "cancel":
                reason = str(told["value"])
            else:
                self._waiting.append(told)
        return reason

    def flush(self) -> None:
        """Commit what was taken."""
        waiting, self._waiting = self._waiting, []
        by_kind: dict[str, list[dict[str, Any]]] = {}
        for each in waiting:
            by_kind.setdefault(each["kind"], []).append(each)
        if not by_kind:
            return
        with self._store.blobs.batch() as batch, change(self._store, actor=self._actor) as opened:
            runs.log_points(opened, self._run_id, list(map(_point, by_kind.get("metric", []))))
            runs.set_tags(opened, self._run_id, {each["name"]: each["value"] for each in by_kind.get("tag", [])})
            runs.add_parameters(
                opened, self._run_id, {each["name"]: each["value"] for each in by_kind.get("parameter", [])}
            )
            for each in by_kind.get("note", []):
                runs.set_note(opened, self._run_id, each["value"])
            artifacts = []
            for each in by_kind.get("artifact", []):
                path = Path(each["path"])
                if path.exists():
                    artifacts.append(Artifact(each["name"], batch.add(path), path.stat().st_size))
            if artifacts:
                runs.add_artifacts(opened, self._run_id, artifacts=artifacts)


def _point(told: dict[str, Any]) -> Point:
    return Point(told["name"], told["step"], float(told["value"]), datetime.fromtimestamp(told["at"], UTC))
