"""Our own server, as its users start it: by `wright`, in a workspace of its own, with all that it does switched on."""

import functools
import hashlib
import os
import resource
import secrets
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import psutil
from ground import HERE, SCIENCE, SERVER_CORE, Ground
from servers import Running, Server
from workspaces import WHY, Workspace

from modelwright.records import Access, AccessKey, CaptureMode, CaptureSettings, FrontSettings
from modelwright.serving import control, specs
from modelwright.settings import runtime_folder
from modelwright.store import models
from modelwright.store.database import open_store

_REPOSITORY = HERE.parents[1]


@dataclass(frozen=True)
class Way:
    """One way to serve: with a script or without, always in a process of its own or not, and what is recorded."""

    has_script: bool = False
    is_isolated: bool = False
    capture: CaptureMode = CaptureMode.FAST


def _deploy(workspace: Workspace, reference: str, *, endpoint: str) -> tuple[int, int]:
    """Have an endpoint serve a version as its users do; return the port and the process of its front."""
    workspace.wright("endpoint", "deploy", reference, "--name", endpoint, "--why", WHY)
    told = workspace.wright("endpoint", "show", endpoint)["running"]
    return told["port"], told["pid"]


def _isolate(workspace: Workspace, reference: str, *, endpoint: str) -> tuple[int, int]:
    """Have an endpoint serve a version by a process of its own, by a front that never evaluated the model's arrays."""
    store = open_store(workspace.place)
    try:
        worker = specs.worker(store, models.find_version(store, reference))
    finally:
        store.close()
    runtime, log = runtime_folder(workspace.place), workspace.folder / f"{endpoint}.log"
    front = control.start(endpoint, runtime_folder=runtime, log=log, capture_folder=workspace.place / "capture")
    os.sched_setaffinity(front.pid, {SERVER_CORE})
    control.deploy(endpoint, runtime_folder=runtime, worker=replace(worker, fused=None))
    return front.port, front.pid


def _start(way: Way, name: str, ground: Ground, model: str) -> Running:
    workspace = Workspace(ground.folder / "workspace", core=SERVER_CORE)
    reference = workspace.reference(ground, model, has_script=way.has_script)
    endpoint = f"{name}-{model}"
    began, before = time.monotonic(), _children_cpu()
    port, pid = (_isolate if way.is_isolated else _deploy)(workspace, reference, endpoint=endpoint)
    spent = _children_cpu() - before
    key = secrets.token_urlsafe(32)
    keys = (AccessKey("primary", hashlib.sha256(key.encode()).hexdigest()),)
    settings = FrontSettings(capture=CaptureSettings(mode=way.capture), access=Access(is_required=True, keys=keys))
    control.configure(endpoint, settings, runtime_folder=runtime_folder(workspace.place))
    headers = {"Authorization": f"Bearer {key}"}

    def stop() -> None:
        if way.is_isolated:
            control.stop(endpoint, runtime_folder=runtime_folder(workspace.place))
        else:
            workspace.wright("endpoint", "stop", endpoint, "--why", WHY)

    # How long it takes by hand is not what it takes its users.
    since = None if way.is_isolated else began
    return Running(port, [psutil.Process(pid)], stop, began=since, spent=spent, headers=headers)


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
    _ours("script", "**ours**, the opaque script", Way(has_script=True)),
)
