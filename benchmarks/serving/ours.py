"""Our own server, as its users start it: by `wright`, in a workspace of its own, with all that it does switched on."""

import contextlib
import functools
import hashlib
import json
import resource
import secrets
import subprocess
import sys
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import psutil
from ground import APPS, HERE, SCIENCE, SERVER_CORE, VARIABLES, Ground
from servers import Running, Server, as_data

from modelwright.environments import placing
from modelwright.models import packages
from modelwright.records import Access, AccessKey, CaptureMode, CaptureSettings, FrontSettings, WorkerSpec
from modelwright.serving import control
from modelwright.settings import runtime_folder
from modelwright.store import environments, models
from modelwright.store.database import open_store

_WRIGHT = Path(sys.executable).with_name("wright")
_REPOSITORY = HERE.parents[1]
_WHY = "benchmark"


@dataclass(frozen=True)
class Way:
    """One way to serve: with a script or without, always in a process of its own or not, and what is recorded."""

    has_script: bool = False
    is_isolated: bool = False
    capture: CaptureMode = CaptureMode.FAST


class Workspace:
    """A workspace with the models registered."""

    def __init__(self, folder: Path) -> None:
        """Work in `folder`."""
        self.folder = folder
        self.place = folder / ".wright"

    def wright(self, *arguments: str | Path) -> dict[str, Any]:
        """Run a command on the servers' core and return its JSON."""
        command = ["taskset", "-c", str(SERVER_CORE), str(_WRIGHT), *map(str, arguments), "--json"]
        variables = {**VARIABLES, "WRIGHT_WORKSPACE": str(self.place), "WRIGHT_ACTOR": "benchmark"}
        done = subprocess.run(command, capture_output=True, text=True, check=False, env=variables)  # noqa: S603 - ours
        if done.returncode:
            raise RuntimeError(f"wright {' '.join(map(str, arguments))}\n{done.stdout}{done.stderr}"[:4000])
        said: dict[str, Any] = json.loads(done.stdout)
        return said

    def reference(self, ground: Ground, model: str, *, has_script: bool) -> str:
        """Return the version to deploy, registered now unless it was."""
        name = model if has_script else f"{model}-plain"
        with contextlib.suppress(RuntimeError):
            self.wright("model", "show", f"{name}:1")
            return f"{name}:1"
        self.folder.mkdir(parents=True, exist_ok=True)
        requirements, sample = self.folder / "requirements.txt", self.folder / "sample.json"
        if not requirements.exists():
            requirements.write_text("\n".join(SCIENCE))
            self.wright("environment", "add", "science", requirements)
            self.wright("environment", "build", "science:1")
        folder = ground.model(model)
        sample.write_text(json.dumps(as_data(json.loads((folder / "rows-1.json").read_text()))))
        script: list[str | Path] = ["--score", APPS / "score.py"] if has_script else []
        options = ["--name", name, "--framework", "sklearn", *script, "--sample", sample, "--environment", "science:1"]
        self.wright("model", "register", folder / "model.pkl", *options)
        return f"{name}:1"

    def isolate(self, reference: str, *, endpoint: str) -> None:
        """Have the endpoint serve a version by a process of its own, though the front could do it."""
        store = open_store(self.place)
        try:
            version = models.find_version(store, reference)
            environment = placing.build_in(store, environments.get_environment(store, str(version.environment_digest)))
            package = packages.restore(store, version)
        finally:
            store.close()
        worker = WorkerSpec(
            version=version.reference,
            python=environment.python,
            script=packages.scoring_script(package),
            framework=version.framework,
            package=package,
            model_folder=packages.model_folder(package, version),
            bytecode=environment.bytecode,
        )
        control.deploy(endpoint, runtime_folder=runtime_folder(self.place), worker=worker)


def _start(way: Way, name: str, ground: Ground, model: str) -> Running:
    workspace = Workspace(ground.folder / "workspace")
    reference = workspace.reference(ground, model, has_script=way.has_script)
    endpoint = f"{name}-{model}"
    began, before = time.monotonic(), _children_cpu()
    workspace.wright("endpoint", "deploy", reference, "--name", endpoint, "--why", _WHY)
    spent = _children_cpu() - before
    if way.is_isolated:
        workspace.isolate(reference, endpoint=endpoint)
    told = workspace.wright("endpoint", "show", endpoint)["running"]
    key = secrets.token_urlsafe(32)
    keys = (AccessKey("primary", hashlib.sha256(key.encode()).hexdigest()),)
    settings = FrontSettings(capture=CaptureSettings(mode=way.capture), access=Access(is_required=True, keys=keys))
    control.configure(endpoint, settings, runtime_folder=runtime_folder(workspace.place))
    headers = {"Authorization": f"Bearer {key}"}

    def stop() -> None:
        workspace.wright("endpoint", "stop", endpoint, "--why", _WHY)

    # What it took to serve it in the other way first is not to be counted.
    since = None if way.is_isolated else began
    return Running(told["port"], [psutil.Process(told["pid"])], stop, began=since, spent=spent, headers=headers)


def _children_cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def installed(ground: Ground) -> Path:
    """Return an environment with the package as users install it, and what the models need."""
    return ground.environment("modelwright", SCIENCE, f"modelwright @ {_REPOSITORY.as_uri()}")


def _ours(name: str, title: str, way: Way, **facts: Any) -> Server:
    return Server(name, title, functools.partial(_start, way, name), installed, is_ours=True, **facts)


def _ways(name: str, title: str, way: Way) -> tuple[Server, ...]:
    """Return a way to serve, and the same with other ways to record."""
    return (
        _ours(name, f"**ours**, {title}", way),
        *(
            _ours(f"{name}-{mode}", f"ours, {title}, capture {mode}", replace(way, capture=mode), models=("m1",))
            for mode in (CaptureMode.DURABLE, CaptureMode.OFF)
        ),
    )


OURS = (
    *_ways("fused", "fused", Way()),
    *_ways("isolated", "isolated", Way(is_isolated=True)),
    *_ways("script", "the opaque script", Way(has_script=True)),
)
