"""Builds: what they register, under which id, in which order, and how they say that they did not."""

import json
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from modelwright.errors import BuildAmbiguous, BuildMissing, BuildUnnamed, ModelNotRegistered, NotBetter
from modelwright.lifecycle import publishing
from modelwright.lifecycle.ci import builds
from modelwright.lifecycle.ci.builds import Build
from modelwright.lifecycle.sessions import Session
from modelwright.projects.ci.automation import Automation
from modelwright.projects.manifest import Manifest
from modelwright.records import Status
from modelwright.store import audit, models, runs

if TYPE_CHECKING:
    from lifecycle.ci.repositories import Repository


def _train(session: Session, automation: Automation, manifest: Manifest, build: Build) -> str:
    pipeline = publishing.publish(session, manifest)
    return builds.train(session, automation, build, pipeline=pipeline, model=manifest.name).reference


def test_a_build_registers_one_version_and_says_so(
    session: Session, automation: Automation, small: Manifest, tmp_path: Path
) -> None:
    store = session.store
    with pytest.raises(BuildMissing, match='no build has registered a version of model "small"'):
        builds.find(store, "latest", model="small")
    assert _train(session, automation, small, Build("17", "http://ci/17")) == "small:1"
    version = models.find_version(store, "small:1")
    assert {name: version.tags[name] for name in ("area", "BuildId", "BuildUri")} == {
        "area": "small",
        "BuildId": "17",
        "BuildUri": "http://ci/17",
    }
    assert runs.get_run(store, str(version.run_id)).tags == {"BuildId": "17", "BuildUri": "http://ci/17"}
    assert builds.is_released(version, automation)
    told = json.loads(builds.write_model(builds.published(store, "17", model="small"), tmp_path / "model").read_text())
    assert list(told) == ["createdTime", "framework", "frameworkVersion", "id", "name", "version"]
    assert (told["id"], told["name"], told["version"]) == ("small:1", "small", 1)
    assert told["createdTime"].endswith("+00:00")
    # Asked again, the build has done its work; another one with the same code is not better.
    assert _train(session, automation, small, Build("17")) == "small:1"
    with pytest.raises(NotBetter):
        _train(session, automation, small, Build("18"))
    assert [each.status for each in runs.list_runs(store, tags={"BuildId": "18"})] == [Status.CANCELLED]
    with pytest.raises(ModelNotRegistered) as raised:
        builds.published(store, "18", model="small")
    assert str(raised.value) == "Model was not registered for this run."
    assert builds.find(store, "latest", model="small").reference == "small:1"
    (small.folder / "parameters.toml").write_text("alpha = 0.8\n")
    assert _train(session, automation, small, Build("19")) == "small:2"
    with session.change() as opened:
        models.change_tags(opened, version, added={"area": "elsewhere", "BuildId": "19"})
    with pytest.raises(BuildAmbiguous, match='build "19" has 2 versions, and there must be one: small:2, small:1'):
        builds.find(store, "19", model="small")
    assert not builds.is_released(models.find_version(store, "small:1"), automation)


def test_two_pushes_at_once_register_one_after_the_other(
    session: Session, automation: Automation, small: Manifest
) -> None:
    pipelines = []
    for alpha in (0.7, 0.9):
        (small.folder / "parameters.toml").write_text(f"alpha = {alpha}\n")
        pipelines.append(publishing.publish(session, small))
    begin = threading.Barrier(2)
    failures: list[BaseException] = []

    def build(number: int) -> None:
        begin.wait(120)
        try:
            builds.train(session, automation, Build(str(number)), pipeline=pipelines[number], model="small")
        except NotBetter:
            pass  # the better one came first
        except BaseException as error:  # noqa: BLE001 - told below
            failures.append(error)

    workers = [threading.Thread(target=build, args=(number,)) for number in range(2)]
    for each in workers:
        each.start()
    for each in workers:
        each.join(300)
    assert not failures
    wanted = ("run.started", "run.succeeded", "run.cancelled", "model.registered")
    told = [each["action"] for each in audit.list_audit_records(session.store) if each["action"] in wanted]
    assert told in (
        ["run.started", "run.succeeded", "model.registered", "run.started", "run.succeeded", "model.registered"],
        ["run.started", "run.succeeded", "model.registered", "run.started", "run.cancelled"],
    )


def test_a_build_is_called_as_its_system_or_its_commit_says(small: Manifest, request: pytest.FixtureRequest) -> None:
    with pytest.raises(BuildUnnamed, match="the build has no id"):
        builds.named(small, None)
    repository: Repository = request.getfixturevalue("repository")
    assert builds.named(small, None) == Build(repository.git("rev-parse", "HEAD"))
    assert builds.named(small, "88", "http://ci/88") == Build("88", "http://ci/88")
