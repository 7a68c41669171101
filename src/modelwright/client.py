"""A client of a workspace's HTTP API, for programs: `modelwright.connect(url, token)`.

It needs the standard library alone. What the API refuses is raised as `Refused`, with the code, message and next
command that the command line tells. Answers are what JSON holds; `docs/reference/api.md` names all routes, and
`client.get`, `client.post` and the others reach those that have no method here.
"""

import json
import tarfile
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, Any
from urllib.parse import quote, urlencode

from modelwright.errors import Refused, RunNotEnded, WorkspaceNotReached

_ENDED = frozenset({"succeeded", "failed", "cancelled"})
_POLL_SECONDS = 0.5
_PIECE_BYTES = 1 << 20
# What a project that travels leaves behind: what is made again, and histories and workspaces of their own.
LEFT_BEHIND = frozenset({".git", ".wright", ".venv", "__pycache__", ".ipynb_checkpoints"})
Json = dict[str, Any]


def connect(url: str, token: str | None = None, *, timeout_seconds: float = 700.0) -> "Client":
    """Return a client of the workspace that is served at `url`.

    On the same machine the workspace's user needs no token. `timeout_seconds` is how long an answer may take.
    """
    return Client(url, token, timeout_seconds=timeout_seconds)


class Client:
    """Sends requests to a workspace's API, a noun at a time: `client.models.list()`."""

    def __init__(self, url: str, token: str | None = None, *, timeout_seconds: float = 700.0) -> None:
        """Take where the workspace is served; nothing is sent yet."""
        self._url = url.rstrip("/")
        self._headers = {"Authorization": f"Bearer {token}"} if token else {}
        self._timeout_seconds = timeout_seconds
        self.models = Models(self, "models")
        self.runs = Runs(self, "runs")
        self.experiments = Resource(self, "experiments")
        self.pipelines = Pipelines(self, "pipelines")
        self.schedules = Schedules(self, "schedules")
        self.sweeps = Resource(self, "sweeps")
        self.datasets = Datasets(self, "datasets")
        self.environments = Resource(self, "environments")
        self.endpoints = Endpoints(self, "endpoints")
        self.rollouts = Rollouts(self, "rollouts")
        self.captures = Resource(self, "captures")
        self.audit = Resource(self, "audit")
        self.events = Resource(self, "events")
        self.subscriptions = Resource(self, "subscriptions")
        self.deliveries = Resource(self, "deliveries")
        self.tokens = Resource(self, "tokens")
        self.settings = Resource(self, "settings")

    def get(self, path: str, **query: Any) -> Any:
        """Return what `GET path` answers. Raises Refused and WorkspaceNotReached, as all of these do."""
        return self.ask("GET", path, query=query)

    def post(self, path: str, body: Any = None, **query: Any) -> Any:
        """Return what `POST path` answers to the body, what JSON can hold."""
        return self.ask("POST", path, body=body, query=query)

    def put(self, path: str, body: Any = None, **query: Any) -> Any:
        """Return what `PUT path` answers to the body."""
        return self.ask("PUT", path, body=body, query=query)

    def patch(self, path: str, body: Any = None, **query: Any) -> Any:
        """Return what `PATCH path` answers to the body."""
        return self.ask("PATCH", path, body=body, query=query)

    def delete(self, path: str, **query: Any) -> Any:
        """Return what `DELETE path` answers."""
        return self.ask("DELETE", path, query=query)

    def ask(
        self,
        method: str,
        path: str,
        *,
        body: Any = None,
        query: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Any:
        """Send a request, and return what JSON its answer holds."""
        data = None if body is None else json.dumps(body).encode()
        with self.open(method, path, data=data, query=query, headers=headers) as answer:
            return json.load(answer)

    def pages(self, path: str, **query: Any) -> Iterator[Any]:
        """Give the items of a list, page by page, for as long as there are more."""
        following = f"{path}{_asked(query)}"
        while following:
            with self.open("GET", following) as answer:
                yield from json.load(answer)
                link = answer.headers.get("Link") or ""
            following = link.partition("<")[2].partition(">")[0]

    def open(
        self,
        method: str,
        path: str,
        *,
        data: bytes | IO[bytes] | None = None,
        query: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Any:
        """Send a request, and return its answer to be read and closed."""
        told = self._headers | ({"Content-Type": "application/json"} if data is not None else {}) | dict(headers or {})
        request = urllib.request.Request(  # noqa: S310 - the user's own URL
            f"{self._url}{path}{_asked(query or {})}", data=data, method=method, headers=told
        )
        try:
            return urllib.request.urlopen(request, timeout=self._timeout_seconds)  # noqa: S310 - as above
        except urllib.error.HTTPError as error:
            with error:
                raise _refused(error) from error
        except (urllib.error.URLError, OSError) as error:
            raise WorkspaceNotReached(url=self._url, reason=getattr(error, "reason", error)) from error

    def download(self, path: str, into: Path | str) -> Path:
        """Write the file that `GET path` answers with to the new file `into`, and return where."""
        target = Path(into)
        with self.open("GET", path) as answer, target.open("xb") as file:
            while piece := answer.read(_PIECE_BYTES):
                file.write(piece)
        return target

    def download_all(self, path: str, names: Sequence[str], folder: Path) -> Path:
        """Write the files that `path` has under these names into the new `folder`, and return it."""
        folder.mkdir(parents=True)
        for name in names:
            target = folder / name
            if not target.resolve().is_relative_to(folder.resolve()):  # never elsewhere, whatever a server says
                raise Refused(message=f'"{name}" would lie outside "{folder}"', command="do not trust that server")
            target.parent.mkdir(parents=True, exist_ok=True)
            self.download(f"{path}/{quote(name)}", target)
        return folder

    def upload(self, path: str, files: Sequence[Path | str], **query: Any) -> Json:
        """Send files and folders as an archive to `path`, each under its own name, and return the answer."""
        with tempfile.TemporaryFile() as archive:
            with tarfile.open(fileobj=archive, mode="w") as opened:
                for each in map(Path, files):
                    opened.add(each, arcname=each.resolve().name)
            archive.seek(0)
            length = {"Content-Type": "application/x-tar", "Content-Length": str(archive.seek(0, 2))}
            archive.seek(0)
            with self.open("POST", path, data=archive, query=query, headers=length) as answer:
                made: Json = json.load(answer)
                return made


class Resource:
    """The things of a noun: `list`, `get` and `delete`, which all of them have that can be listed, shown, deleted."""

    def __init__(self, client: Client, noun: str) -> None:
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
        files = [each for each in sorted(Path(project).iterdir()) if each.name not in LEFT_BEHIND]
        return self._client.upload("/pipelines", files, name=name, description=description, why=why)

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


def _asked(query: Mapping[str, Any]) -> str:
    """Return a query as it stands in a URL: lists are repeated, and what is None or empty is left out."""
    pairs = {name: each for name, each in query.items() if each not in (None, "")}
    told = {name: str(each).lower() if isinstance(each, bool) else each for name, each in pairs.items()}
    return f"?{urlencode(told, doseq=True)}" if told else ""


def _refused(error: urllib.error.HTTPError) -> Refused:
    try:
        told = json.load(error)["error"]
    except (ValueError, KeyError, TypeError):
        told = {"message": f"{error.code} {error.reason}", "next_command": "see whether that is a workspace's address"}
    return Refused(told=told, http_status=error.code)
