"""Reads a running MLflow server by its REST interface."""

import contextlib
import json
import tempfile
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import quote, urlencode, urlparse

from modelwright.client.sending import credentials, staying
from modelwright.errors import ImportSourceInvalid
from modelwright.lifecycle.importing_mlflow.artifacts import local_files
from modelwright.lifecycle.importing_mlflow.databases import described_input
from modelwright.lifecycle.importing_mlflow.found import (
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

_API = "/api/2.0/mlflow/"
_FILES = "/api/2.0/mlflow-artifacts/artifacts"
_TIMEOUT_SECONDS = 60
_A_PAGE = 1000
_PIECE_BYTES = 1 << 20
_LOGGED = {
    "LOGGED_MODEL_PENDING": LoggedModelStatus.PENDING,
    "LOGGED_MODEL_READY": LoggedModelStatus.READY,
    "LOGGED_MODEL_UPLOAD_FAILED": LoggedModelStatus.FAILED,
}


@dataclass(frozen=True)
class ServerSource:
    """The records of the server at `url`; files that it does not hand out itself may lie below `roots`."""

    url: str
    token: str
    roots: Sequence[Path]

    def experiments(self) -> Sequence[FoundExperiment | Unreadable]:
        """Return the experiments, deleted ones too."""
        body = {"view_type": "ALL", "max_results": _A_PAGE}
        found = self._pages("experiments/search", "experiments", body)
        return list(each_read("experiments", found, _experiment, lambda told: told.get("experiment_id")))

    def count_runs(self) -> int:
        """Return how many runs there are, as far as that is known: servers do not tell."""
        return 0

    def runs(self, experiment: FoundExperiment) -> Iterator[FoundRun | Unreadable]:
        """Give the runs of an experiment, deleted ones too, those that began first at first."""
        body = {
            "experiment_ids": [experiment.id],
            "run_view_type": "ALL",
            "max_results": _A_PAGE,
            "order_by": ["attributes.start_time ASC"],
        }
        found = self._pages("runs/search", "runs", body)
        yield from each_read("runs", found, self._run, lambda told: told.get("info", {}).get("run_id"))

    def logged_models(self, experiment: FoundExperiment) -> Iterator[FoundLoggedModel | Unreadable]:
        """Give the models that runs of an experiment logged; servers of the second release know of none."""
        body = {"experiment_ids": [experiment.id], "max_results": 50}
        found = self._pages("logged-models/search", "models", body, is_optional=True)
        yield from each_read("logged models", found, _logged_model, lambda told: told.get("info", {}).get("model_id"))

    def models(self) -> Iterator[FoundModel | Unreadable]:
        """Give the registered models."""
        found = self._pages("registered-models/search", "registered_models", {"max_results": 100}, method="GET")
        yield from each_read("registered models", found, self._model, lambda told: told.get("name"))

    @contextlib.contextmanager
    def files(self, uri: str, owner: str) -> Iterator[FoundFiles]:
        """Give the files at an address, fetched to a passing folder where the server hands them out."""
        parsed = urlparse(uri)
        if parsed.scheme != "mlflow-artifacts":
            yield local_files(uri, owner, roots=self.roots)
            return
        with tempfile.TemporaryDirectory() as folder:
            paths: dict[str, Path] = {}
            missing: dict[str, str] = {}
            for path, size in self._listed(parsed.path.strip("/"), ""):
                if ".." in PurePosixPath(path).parts:
                    missing[path] = "it would lie outside"
                    continue
                target = Path(folder, str(len(paths)))
                reason = self._fetch(f"{parsed.path.strip('/')}/{path}", target, size)
                if reason:
                    missing[path] = reason
                else:
                    paths[path] = target
            yield FoundFiles(paths, missing)

    def left_out(self) -> Mapping[str, int]:
        """Return nothing: what else there is no server tells."""
        return {}

    def _model(self, told: Mapping[str, Any]) -> FoundModel:
        name = told["name"]
        quote_sign = '"' if "'" in name else "'"
        wanted = {"filter": f"name={quote_sign}{name}{quote_sign}", "max_results": _A_PAGE}
        versions = self._pages("model-versions/search", "model_versions", wanted, method="GET")
        return FoundModel(
            name,
            told.get("description", ""),
            moment(told.get("creation_timestamp")),
            moment(told.get("last_updated_timestamp")),
            _pairs(told.get("tags")),
            {alias["alias"]: int(alias["version"]) for alias in told.get("aliases", [])},
            sorted((self._version(version) for version in versions), key=lambda version: version.number),
        )

    def _run(self, told: Mapping[str, Any]) -> FoundRun:
        info, data = told["info"], told.get("data", {})
        run_id, ended = info["run_id"], info.get("end_time")
        is_deleted = info.get("lifecycle_stage") == "deleted"
        keys = [each["key"] for each in data.get("metrics", [])]
        return FoundRun(
            run_id,
            info.get("run_name", ""),
            info.get("user_id", ""),
            STATUSES[info["status"]],
            moment(info.get("start_time")),
            moment(ended) if ended else None,
            moment(ended or info.get("start_time")) if is_deleted else None,
            info.get("artifact_uri", ""),
            _pairs(data.get("params")),
            _pairs(data.get("tags")),
            [point for key in keys for point in self._history(run_id, key)],
            [_input(each) for each in told.get("inputs", {}).get("dataset_inputs", [])],
            [
                RunOutput(each["model_id"], int(each.get("step", 0)))
                for each in told.get("outputs", {}).get("model_outputs", [])
            ],
        )

    def _history(self, run_id: str, key: str) -> Iterator[Point]:
        wanted = {"run_id": run_id, "metric_key": key, "max_results": 25_000}
        for each in self._pages("metrics/get-history", "metrics", wanted, method="GET"):
            yield _point(each)

    def _version(self, told: Mapping[str, Any]) -> FoundVersion:
        named = urlencode({"name": told["name"], "version": told["version"]})
        place = self._asked("GET", f"{_API}model-versions/get-download-uri?{named}").get("artifact_uri", "")
        return FoundVersion(
            int(told["version"]),
            moment(told.get("creation_timestamp")),
            moment(told.get("last_updated_timestamp")),
            told.get("description", ""),
            told.get("user_id", ""),
            told.get("current_stage", ""),
            told.get("source", ""),
            place,
            told.get("run_id", ""),
            told.get("run_link", ""),
            _pairs(told.get("tags")),
        )

    def _pages(
        self, path: str, name: str, wanted: Mapping[str, Any], *, method: str = "POST", is_optional: bool = False
    ) -> Iterator[dict[str, Any]]:
        """Give what all pages of an answer have under `name`."""
        token = ""
        while True:
            given = dict(wanted) | ({"page_token": token} if token else {})
            if method == "GET":
                answer = self._asked(method, f"{_API}{path}?{urlencode(given)}")
            else:
                answer = self._asked(method, _API + path, given, is_optional=is_optional)
            yield from answer.get(name, [])
            token = answer.get("next_page_token", "")
            if not token:
                return

    def _asked(
        self, method: str, path: str, body: Mapping[str, Any] | None = None, *, is_optional: bool = False
    ) -> dict[str, Any]:
        try:
            with self._open(method, path, body) as answer:
                found = json.loads(answer.read())
        except urllib.error.HTTPError as error:
            with error:
                if is_optional and error.code == 404:  # noqa: PLR2004 - HTTP's word for what is not there
                    return {}
                elsewhere = f": {error.headers['Location']}" if "Location" in error.headers else ""
                reason = f"{path} answered {error.code} {error.reason}{elsewhere}"
                raise ImportSourceInvalid(source=self.url, reason=reason) from error
        except (OSError, HTTPException, ValueError) as error:
            raise ImportSourceInvalid(source=self.url, reason=str(error) or type(error).__name__) from error
        if not isinstance(found, dict):
            raise ImportSourceInvalid(source=self.url, reason=f"{path} answered with no names and values")
        return found

    def _open(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> Any:
        headers = {"Content-Type": "application/json"} | credentials(self.token)
        data = json.dumps(body).encode() if body is not None else None
        request = urllib.request.Request(self.url.rstrip("/") + path, data, headers, method=method)  # noqa: S310 - http(s), as `importing` saw
        return staying().open(request, timeout=_TIMEOUT_SECONDS)

    def _listed(self, place: str, folder: str) -> Iterator[tuple[str, int]]:
        """Give path and size of every file below a place."""
        query = urlencode({"path": f"{place}/{folder}".rstrip("/")})
        for each in self._asked("GET", f"{_FILES}?{query}").get("files", []):
            path = str(PurePosixPath(folder, PurePosixPath(each["path"]).name))
            if each.get("is_dir"):
                yield from self._listed(place, path)
            else:
                yield path, int(each.get("file_size", 0))

    def _fetch(self, path: str, target: Path, size: int) -> str:
        """Write a file of the server's to `target`; return why not, if it could not be had whole."""
        try:
            with self._open("GET", f"{_FILES}/{quote(path)}") as answer, target.open("wb") as file:
                while piece := answer.read(_PIECE_BYTES):
                    file.write(piece)
        except (OSError, HTTPException) as error:
            return str(error)
        found = target.stat().st_size
        return "" if found == size else f"{found} of its {size} bytes came"


def _experiment(told: Mapping[str, Any]) -> FoundExperiment:
    return FoundExperiment(
        told["experiment_id"],
        told["name"],
        moment(told.get("creation_time")),
        moment(told.get("last_update_time")),
        told.get("lifecycle_stage") == "deleted",
        _pairs(told.get("tags")),
    )


def _logged_model(told: Mapping[str, Any]) -> FoundLoggedModel:
    info, data = told["info"], told.get("data", {})
    return FoundLoggedModel(
        info["model_id"],
        info.get("source_run_id", ""),
        info.get("name", ""),
        info.get("model_type", ""),
        _LOGGED.get(info.get("status"), LoggedModelStatus.READY),
        moment(info.get("creation_timestamp_ms")),
        moment(info.get("last_updated_timestamp_ms")),
        info.get("artifact_uri", ""),
        _pairs(info.get("tags")),
        _pairs(data.get("params")),
        [_model_point(point) for point in data.get("metrics", [])],
    )


def _pairs(told: Sequence[Mapping[str, Any]] | None) -> dict[str, str]:
    return {each["key"]: str(each.get("value", "")) for each in told or ()}


def _point(told: Mapping[str, Any]) -> Point:
    return Point(told["key"], int(told.get("step", 0)), float(told.get("value", 0)), moment(told.get("timestamp")))


def _model_point(told: Mapping[str, Any]) -> ModelPoint:
    dataset = {name: told[name] for name in ("dataset_name", "dataset_digest") if told.get(name)}
    return ModelPoint(_point(told), told.get("run_id"), dataset or None)


def _input(told: Mapping[str, Any]) -> RunInput:
    data = told["dataset"]
    dataset = {name: data.get(name) for name in ("source_type", "source", "schema", "profile")}
    return described_input(data["name"], data["digest"], dataset, _pairs(told.get("tags")))
