"""The nouns of the API, as a client has them: `client.models`, `client.runs` and the others."""

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

from modelwright.client.sending import Json, Sender
from modelwright.errors import RunNotEnded

_ENDED = frozenset({"succeeded", "failed", "cancelled"})
_POLL_SECONDS = 0.5
# What a project that travels leaves behind: what is made again, and histories and workspaces of their own.
LEFT_BEHIND = frozenset({".git", ".wright", ".venv", "__pycache__", ".ipynb_checkpoints"})


class Resource:
    """The things of a noun: `list`, `get` and `delete`, which all of them have that can be listed, shown, deleted."""

    def __init__(self, client: Sender, noun: str) -> None:
        """Take the client that asks, and the noun as the paths have it."""
        self._client = client
        self._noun = noun

    def list(self, **filters: Any) -> list[Json]:
        """Return all that answer to the filters, which are those of the route's query."""
        return list(self._client.pages(f"/{self._noun}", **filters))

    def get(self, name: str) -> Json:
        """Return the one of that name, with all that is known of it."""
        found: Json = self._client.get(self._path(name))
        return found

    def delete(self, name: str, *, why: str = "") -> Json:
        """Delete the one of that name. Raises Refused, whose code is `in-use`, while something uses it."""
        found: Json = self._client.delete(self._path(name), why=why)
        return found

    def _path(self, name: str, *below: str) -> str:
        return "/".join(["", self._noun, quote(name, safe="@:"), *(quote(each) for each in below)])


class Models(Resource):
    """Model versions, named as `churn:3`, `churn@champion`, or `churn` for the newest."""

    def get(self, name: str) -> Json:
        """Return a version with all that is known of it: run, data, proof, gate, environment, deployments."""
        found: Json = self._client.get(self._version(name))
        return found

    def register(self, run: str, *, model: str, why: str = "", **said: Any) -> Json:
        """Register what a run made as the model's next version; `said` is tags, description and the like."""
        made: Json = self._client.post(self._path(model, "versions"), {"run": run, **said}, why=why)
        return made

    def upload(self, model: str, *files: Path | str, why: str = "", **said: Any) -> Json:
        """Register files and folders of this machine as the model's next version; `said` is the route's query."""
        return self._client.upload(self._path(model, "uploads"), files, why=why, **said)

    def tag(self, name: str, tags: Mapping[str, str | None], *, why: str = "") -> Json:
        """Set tags of a version, and remove those that are None; return the version."""
        changed: Json = self._client.patch(f"{self._numbered(name)}/tags", dict(tags), why=why)
        return changed

    def describe(self, name: str, text: str, *, why: str = "") -> Json:
        """Say what a version is; return it."""
        changed: Json = self._client.put(f"{self._numbered(name)}/description", {"text": text}, why=why)
        return changed

    def alias(self, name: str, alias: str, *, why: str = "") -> Json:
        """Let an alias of the model point at a version; return that."""
        found = self.get(name)
        moved: Json = self._client.put(
            self._path(found["model"], "aliases", alias), {"version": found["version"]}, why=why
        )
        return moved

    def unalias(self, name: str, *, why: str = "") -> Json:
        """Take the alias `churn@champion` away; return the version that it pointed at."""
        model, _, alias = name.partition("@")
        found: Json = self._client.delete(self._path(model, "aliases", alias), why=why)
        return found

    def delete(self, name: str, *, why: str = "") -> Json:
        """Delete a version. Raises Refused, whose code is `in-use`, while something uses it."""
        found: Json = self._client.delete(self._numbered(name), why=why)
        return found

    def download(self, name: str, folder: Path | str) -> Path:
        """Write the files of a version's package into the new `folder`, and return it."""
        found = self.get(name)
        place = self._path(found["model"], "versions", str(found["version"]))
        return self._client.download_all(f"{place}/files", [each["path"] for each in found["files"]], Path(folder))

    def _version(self, name: str) -> str:
        model, at, alias = name.partition("@")
        if at:
            return self._path(model, "aliases", alias)
        model, colon, number = name.partition(":")
        return self._path(model, "versions", number) if colon else self._path(model)

    def _numbered(self, name: str) -> str:
        if ":" in name and "@" not in name:
            return self._version(name)
        found = self.get(name)
        return self._path(found["model"], "versions", str(found["version"]))


class Runs(Resource):
    """Runs: what was executed, with which parameters and metrics."""

    def wait(self, run_id: str, *, seconds: float = 3600.0) -> Json:
        """Return a run once it has ended, however it ended. Raises RunNotEnded when that takes longer."""
        deadline = time.monotonic() + seconds
        while (found := self.get(run_id))["status"] not in _ENDED:
            if time.monotonic() > deadline:
                raise RunNotEnded(run=run_id, run_status=found["status"], seconds=seconds)
            time.sleep(_POLL_SECONDS)
        return found

    def metrics(self, run_id: str, name: str | None = None) -> "list[Json]":
        """Return all values of a run's metrics, or of one, as they were logged."""
        return [*self._client.pages(self._path(run_id, "metrics"), name=name)]

    def tag(self, run_id: str, tags: Mapping[str, str], *, why: str = "") -> Json:
        """Set tags of a run; return it."""
        changed: Json = self._client.patch(self._path(run_id, "tags"), dict(tags), why=why)
        return changed

    def note(self, run_id: str, text: str, *, why: str = "") -> Json:
        """Say something of a run; return it."""
        changed: Json = self._client.put(self._path(run_id, "note"), {"text": text}, why=why)
        return changed

    def cancel(self, run_id: str, *, why: str = "") -> Json:
        """End a running run; return it."""
        ended: Json = self._client.post(self._path(run_id, "cancel"), why=why)
        return ended

    def download(self, run_id: str, path: str, into: Path | str) -> Path:
        """Write a file that a run wrote to the new file `into`, and return where."""
        return self._client.download(f"{self._path(run_id, 'artifacts')}/{quote(path)}", into)


class Pipelines(Resource):
    """Published pipelines, named as `churn:3`, or `churn` for the newest that is enabled."""

    def publish(self, project: Path | str, *, name: str | None = None, description: str = "", why: str = "") -> Json:
        """Freeze a project of this machine as the pipeline's next version; return that."""
        files, told = sorted(Path(project).iterdir()), {"name": name, "description": description, "why": why}
        return self._client.upload("/pipelines", files, left_behind=LEFT_BEHIND, **told)

    def run(self, name: str, parameters: Mapping[str, Any] | None = None, *, why: str = "", **said: Any) -> Json:
        """Start a run of a published pipeline and return it, once it is on record; `said` is tags and experiment."""
        started: Json = self._client.post(
            self._path(name, "runs"), {"parameters": dict(parameters or {}), **said}, why=why
        )
        return started

    def enable(self, name: str, *, why: str = "") -> "list[Json]":
        """Let a pipeline, or one version of it, run again; return all its versions."""
        return [*self._client.post(self._path(name, "enable"), why=why)]

    def disable(self, name: str, *, why: str = "") -> "list[Json]":
        """Let a pipeline, or one version of it, not run; return all its versions."""
        return [*self._client.post(self._path(name, "disable"), why=why)]


class Schedules(Resource):
    """Pipelines that run by themselves."""

    def add(self, name: str, *, pipeline: str, when: Mapping[str, str], why: str = "", **said: Any) -> Json:
        """Let a pipeline run by itself; `when` is as `{"kind": "cron", "value": "0 3 * * *"}`."""
        body = {"name": name, "pipeline": pipeline, "when": dict(when), **said}
        made: Json = self._client.post("/schedules", body, why=why)
        return made


class Datasets(Resource):
    """Datasets, named as `sales`; their versions as `sales:3`."""

    def upload(self, name: str, *files: Path | str, why: str = "", **said: Any) -> Json:
        """Register files and folders of this machine as the dataset's next version; return that."""
        return self._client.upload(self._path(name, "uploads"), files, why=why, **said)

    def get(self, name: str) -> Json:
        """Return a dataset with its versions, or, of `sales:3`, the version with its files."""
        dataset, _, number = name.partition(":")
        found: Json = self._client.get(self._path(dataset, "versions", number) if number else self._path(dataset))
        return found

    def download(self, name: str, folder: Path | str) -> Path:
        """Write the files of the version `sales:3` into the new `folder`, and return it."""
        found = self.get(name)
        place = self._path(found["dataset"], "versions", str(found["version"]))
        return self._client.download_all(f"{place}/files", [each["path"] for each in found["files"]], Path(folder))


class Endpoints(Resource):
    """Endpoints: what they serve, and how requests are shared out."""

    def deploy(self, name: str, version: str, *, wait: float = 600.0, why: str = "", **placed: Any) -> Json:
        """Put a version behind an endpoint; `placed` is share, shadow, workers and the like.

        What takes longer than `wait` seconds goes on, and the answer says where to look.
        """
        place = self._path(name, "deployments")
        done: Json = self._client.post(place, {"version": version, **placed}, why=why, wait=wait)
        return done

    def traffic(self, name: str, shares: Mapping[str, float] | None = None, *, why: str = "", **more: Any) -> Json:
        """Return how requests are shared out, after changing it when anything is given."""
        place = self._path(name, "traffic")
        changed = {"shares": dict(shares)} if shares is not None else {}
        wanted = changed | more
        told: Json = self._client.put(place, wanted, why=why) if wanted else self._client.get(place)
        return told

    def rollback(self, name: str, *, why: str = "") -> Json:
        """Bring back what served before the last change of the traffic."""
        done: Json = self._client.post(self._path(name, "rollback"), why=why)
        return done

    def stop(self, name: str, *, why: str = "") -> Json:
        """Stop an endpoint; requests in flight are answered first."""
        done: Json = self._client.post(self._path(name, "stop"), why=why)
        return done

    def score(self, name: str, request: Any, *, key: str | None = None) -> Json:
        """Send a request, what JSON can hold, to an endpoint, and return its answer."""
        answer: Json = self._client.ask(
            "POST", self._path(name, "score"), body=request, headers={"X-Endpoint-Key": key} if key else {}
        )
        return answer


class Rollouts(Resource):
    """Rollouts, named by their endpoints: the newest of each."""

    def start(self, endpoint: str, version: str, *, why: str = "", **plan: Any) -> Json:
        """Let a version take over an endpoint step by step; `plan` is steps, hold_seconds, limits and the like."""
        body = {"endpoint": endpoint, "version": version, "plan": plan}
        begun: Json = self._client.post("/rollouts", body, why=why)
        return begun

    def act(self, endpoint: str, action: str, *, why: str = "") -> Json:
        """Have a rollout `pause`, `resume`, `promote` or `abort`; return it."""
        changed: Json = self._client.post(self._path(endpoint, action), why=why)
        return changed
