"""Builds: a project is published, trained and registered under the id of the build that does it.

Two builds of one project at a time wait for each other, so that what one registers is never judged by half of another.
"""

import contextlib
import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from modelwright.errors import BuildAmbiguous, BuildMissing, BuildUnnamed, Busy, ModelNotRegistered
from modelwright.lifecycle import publishing, training
from modelwright.lifecycle.sessions import Session
from modelwright.models.registry import Labels
from modelwright.projects.ci.automation import Automation
from modelwright.projects.manifest import Manifest
from modelwright.records import ModelVersion, PipelineVersion, VersionFilter
from modelwright.runs import snapshots
from modelwright.store import claims, models
from modelwright.store.database import Store

BUILD_ID = "BuildId"
BUILD_URI = "BuildUri"
LATEST = "latest"
_MODEL_FILE = "model.json"
_POLL_SECONDS = 0.5


@dataclass(frozen=True)
class Build:
    """A build of a CI system, or of one machine: its id, and where it is looked at."""

    id: str
    url: str = ""

    @property
    def tags(self) -> dict[str, str]:
        """What its runs and versions are tagged with."""
        return {BUILD_ID: self.id} | ({BUILD_URI: self.url} if self.url else {})


def named(manifest: Manifest, identifier: str | None, url: str = "") -> Build:
    """Return the build of that id, else that of the project's commit. Raises BuildUnnamed."""
    if not identifier:
        git = snapshots.git_state(manifest.folder)
        if git is None:
            raise BuildUnnamed(project=manifest.folder)
        identifier = git.commit
    return Build(identifier, url)


def train(
    session: Session, automation: Automation, build: Build, *, pipeline: PipelineVersion, model: str
) -> ModelVersion:
    """Run the published pipeline, let the gate decide, and register what passed, under the build's id.

    A build that has registered a version already gives that. Raises what running and registering raise; after
    NotBetter and after a failed step nothing is registered.
    """
    with turn(session, f"build-{model}"):
        known = versions_of(session.store, build.id, model=model)
        if known:
            return _only(known, build.id)
        trained = publishing.run_published(session, pipeline.reference, tags=build.tags)
        with session.stage("register", "packaging the model") as stage:
            labels = Labels(tags={**automation.tags, **build.tags}, once_per=BUILD_ID)
            version = training.register(session, trained.run.id, model=model, labels=labels)
            stage.decided = f"{version.reference} for build {build.id}"
            stage.recorded = version.reference
        return version


def published(store: Store, build: str, *, model: str) -> ModelVersion:
    """Return the version that a build registered. Raises ModelNotRegistered and BuildAmbiguous."""
    found = versions_of(store, build, model=model)
    if not found:
        raise ModelNotRegistered(build=build)
    return _only(found, build)


def find(store: Store, build: str, *, model: str) -> ModelVersion:
    """Return the version that a build registered, or the last one that did. Raises BuildMissing too."""
    if build != LATEST:
        return published(store, build, model=model)
    found = models.list_versions(store, VersionFilter(model=model, tags={BUILD_ID: None}), limit=1)
    if not found:
        raise BuildMissing(model=model)
    return found[0]


def versions_of(store: Store, build: str, *, model: str) -> list[ModelVersion]:
    """Return the versions that say that they are of a build."""
    return models.list_versions(store, VersionFilter(model=model, tags={BUILD_ID: build}))


def is_released(version: ModelVersion, automation: Automation) -> bool:
    """Whether a version has the tags that start a release."""
    return all(version.tags.get(name) == value for name, value in automation.release.items())


def write_model(version: ModelVersion, into: Path) -> Path:
    """Write `model.json` to the folder `into`, with the fields that scripts of pipelines read; return its path."""
    into.mkdir(parents=True, exist_ok=True)
    path = into / _MODEL_FILE
    path.write_text(json.dumps(told(version), indent=2) + "\n", encoding="utf-8")
    return path


def told(version: ModelVersion) -> dict[str, Any]:
    """Return what `model.json` says of a version."""
    return {
        "createdTime": version.created_at.isoformat(timespec="microseconds"),
        "framework": version.framework,
        "frameworkVersion": version.framework_version or None,
        "id": version.reference,
        "name": version.model,
        "version": version.version,
    }


@contextlib.contextmanager
def turn(session: Session, subject: str) -> Iterator[None]:
    """Hold the claim on `subject` for as long as the block runs, after those who came before."""
    with contextlib.ExitStack() as held:
        is_waiting = False
        while True:
            try:
                held.enter_context(claims.claim(session.store, subject))
                break
            except Busy as error:
                if not is_waiting:
                    is_waiting = True
                    with session.stage("wait", "") as stage:
                        stage.decided = str(error)
                time.sleep(_POLL_SECONDS)
        yield


def _only(found: list[ModelVersion], build: str) -> ModelVersion:
    if len(found) > 1:
        raise BuildAmbiguous(build=build, count=len(found), versions=", ".join(each.reference for each in found))
    return found[0]
