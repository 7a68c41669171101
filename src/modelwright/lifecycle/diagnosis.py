"""What is wrong here, and the command that mends it."""

import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

from modelwright import settings
from modelwright.environments import inspection
from modelwright.errors import ModelwrightError
from modelwright.lifecycle import background
from modelwright.native import native
from modelwright.records import DeploymentStatus
from modelwright.serving import deployments
from modelwright.store import api_place, endpoints, references, runs, schedules
from modelwright.store.database import Store, open_store

# An environment with scikit-learn and pandas takes about a third of this.
_ROOM_BYTES = 1_000_000_000


@dataclass(frozen=True)
class Check:
    """One thing that was looked at."""

    name: str
    is_well: bool
    told: str
    next_command: str = ""


def examine(workspace: str | None) -> list[Check]:
    """Look at everything that `wright` needs on this machine and at the workspace; change nothing.

    `workspace` names it, as `--workspace` does.
    """
    checks = [_tools(), _notebooks(), _serving()]
    try:
        folder = settings.find_workspace(Path.cwd(), named=workspace)
    except ModelwrightError as missing:
        return [*checks, Check("workspace", is_well=True, told=f"none yet ({missing})")]
    checks.append(_room(folder))
    try:
        store = open_store(folder)
    except ModelwrightError as error:
        return [*checks, _failed("workspace", error)]
    try:
        return [*checks, Check("workspace", is_well=True, told=str(folder)), *_contents(store)]
    finally:
        store.close()


def _tools() -> Check:
    try:
        return Check("uv", is_well=True, told=str(settings.uv_command()))
    except ModelwrightError as error:
        return _failed("uv", error)


def _notebooks() -> Check:
    python = settings.interpreter()
    try:
        inspection.requirements_for(["ipykernel"], python=python)
    except ModelwrightError:
        return Check(
            "notebooks",
            is_well=False,
            told=f'"{python}" cannot run notebooks: it has no ipykernel',
            next_command=f"{python} -m pip install ipykernel",
        )
    return Check("notebooks", is_well=True, told=f"run in {python} ({sys.version.split()[0]} runs wright)")


def _serving() -> Check:
    how = (
        "compiled" if native else "in Python alone: no C compiler was at hand when it was installed, and none is needed"
    )
    return Check("serving", is_well=True, told=f"fused models are evaluated {how}")


def _room(folder: Path) -> Check:
    free_bytes = shutil.disk_usage(folder if folder.exists() else folder.parent).free
    return Check(
        "disk",
        is_well=free_bytes > _ROOM_BYTES,
        told=f"{free_bytes / 1e9:,.1f} GB free at {folder}",
        next_command="free at least 1 GB, or choose another disk with --workspace",
    )


def _contents(store: Store) -> list[Check]:
    killed = [run.id for run in runs.list_killed(store)]
    healthy = {each.endpoint for each in endpoints.list_deployments(store, status=DeploymentStatus.HEALTHY)}
    down = [each for each in sorted(healthy) if deployments.status(store, each) is None]
    enabled = [each.name for each in schedules.list_schedules(store) if each.is_enabled]
    unserved = [] if background.is_running(store) else enabled
    with store.reader.connect() as connection:
        missing = references.kept_digests(connection) - store.blobs.digests()
    return [
        Check(
            "runs",
            is_well=not killed,
            told=f"killed while running: {', '.join(killed)}"
            if killed
            else "none was left running by a killed process",
            next_command="wright up",
        ),
        Check(
            "endpoints",
            is_well=not down,
            told=f"healthy on record but not running: {', '.join(down)}" if down else "all that should run do",
            next_command="wright up",
        ),
        _background(store),
        Check(
            "schedules",
            is_well=not unserved,
            told=f"nothing runs {', '.join(unserved)}" if unserved else "all that are enabled are run",
            next_command="wright up",
        ),
        Check(
            "blobs",
            is_well=not missing,
            told=f"{len(missing)} files are missing, first {min(missing)}"
            if missing
            else "every file on record is there",
            next_command="restore the workspace's blobs folder from a backup",
        ),
    ]


def _background(store: Store) -> Check:
    if background.was_killed(store):
        return Check(
            "background", is_well=False, told="its process was killed: it does nothing", next_command="wright up"
        )
    if not background.is_running(store):
        return Check("background", is_well=True, told="it was not started, or stopped; wright up starts it")
    url = api_place.url(store)
    return Check("background", is_well=True, told=f"it works at {url}" if url else "it works, without the HTTP API")


def _failed(name: str, error: ModelwrightError) -> Check:
    return Check(name, is_well=False, told=str(error), next_command=error.next_command)
