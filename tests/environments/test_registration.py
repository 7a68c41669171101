"""An environment is its lock: names and numbers only point at it."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from environments.small import write_wheel

from modelwright import records
from modelwright.environments import comparing, exporting, placing, registration
from modelwright.environments.locking import pins
from modelwright.environments.registration import Added, environment_lock, lock_of
from modelwright.errors import (
    EnvironmentAmbiguous,
    EnvironmentInUse,
    EnvironmentMissing,
    EnvironmentNotResolved,
    FileInTheWay,
    NameInvalid,
    RunMissing,
)
from modelwright.records import DeploymentStatus, Lock, ModelVersion, Run, Status
from modelwright.store import endpoints, models, runs
from modelwright.store.changes import change
from modelwright.store.database import Store

if TYPE_CHECKING:
    from conftest import Index


@pytest.fixture
def wishes(tmp_path: Path) -> Path:
    """A requirements file that leaves the choice of versions open."""
    path = tmp_path / "requirements.txt"
    path.write_text("alpha\nbeta\n", encoding="utf-8")
    return path


def add(store: Store, name: str, path: Path, text: str | None = None, *, is_upgrade: bool = False) -> Added:
    """Add the file, with this text if one is given."""
    if text is not None:
        path.write_text(text, encoding="utf-8")
    return registration.add(store, name, path, changing=lambda: change(store, actor="me"), is_upgrade=is_upgrade)


def serve(store: Store, lock: Lock, *, model: str = "churn", status: Status = Status.SUCCEEDED) -> tuple[Run, str]:
    """Record a run in the environment and a version made of it; return both."""
    run = Run(records.new_id("run"), "", status, "", lock.digest, "c" * 64, None, records.now())
    with change(store, actor="me") as opened:
        runs.add_run(opened, run, project_id=None)
        version = models.add_version(
            opened,
            ModelVersion(
                records.new_id("version"), model, 0, "d" * 64, "sklearn", {}, run.id, None, lock.digest, opened.at
            ),
        )
    return run, version.reference


def test_the_same_lock_under_the_same_name_is_the_same_version(shelf: "Index", store: Store, wishes: Path) -> None:
    first = add(store, "churn", wishes)
    again = add(store, "churn", wishes, is_upgrade=True)
    assert (first.version.reference, first.is_new, first.is_resolved) == ("churn:1", True, True)
    assert again.version == first.version
    assert (again.is_new, again.is_resolved) == (False, True)


def test_what_was_asked_for_before_keeps_its_versions_until_it_is_upgraded(
    shelf: "Index", store: Store, wishes: Path
) -> None:
    first = add(store, "churn", wishes)
    write_wheel(shelf.folder, "beta", "3.0")
    same = add(store, "churn", wishes, "# in other words\nbeta\nalpha  # the same\n")
    assert (same.version, same.is_resolved) == (first.version, False)
    newer = add(store, "churn", wishes, is_upgrade=True)
    assert newer.version.reference == "churn:2"
    assert pins(environment_lock(store, "churn"))["beta"] == "3.0"
    assert pins(environment_lock(store, "churn:1"))["beta"] == "2.0"


def test_another_pin_is_another_version_and_digest(shelf: "Index", store: Store, wishes: Path) -> None:
    first = add(store, "churn", wishes)
    second = add(store, "churn", wishes, "alpha==1.0\nbeta\n")
    assert second.version.reference == "churn:2"
    assert second.version.digest != first.version.digest
    back = add(store, "churn", wishes, "alpha==1.1\nbeta==2.0\n")
    assert back.version == first.version


def test_another_name_is_no_other_environment_and_needs_no_build(shelf: "Index", store: Store, wishes: Path) -> None:
    first = add(store, "churn", wishes)
    built = placing.build_in(store, environment_lock(store, "churn"))
    shelf.close()
    renamed = add(store, "attrition", wishes)
    assert (renamed.version.digest, renamed.is_new) == (first.version.digest, True)
    assert placing.find_in(store, environment_lock(store, "attrition:1")) == built


def test_the_built_environment_runs_what_was_asked_for(shelf: "Index", store: Store, wishes: Path) -> None:
    add(store, "churn", wishes, "alpha==1.0\n")
    built = placing.build_in(store, environment_lock(store, "churn"))
    code = "import alpha, beta; print(alpha.version, beta.version)"
    told = subprocess.run([built.python, "-I", "-c", code], check=True, capture_output=True, text=True)
    assert told.stdout == "1.0 2.0\n"
    size = placing.size_of(built)
    assert 0 < size.own_bytes <= size.size_bytes


def test_findings_and_their_source_stay_with_the_version(shelf: "Index", store: Store, tmp_path: Path) -> None:
    path = tmp_path / "environment.yml"
    added = add(store, "churn", path, "dependencies:\n- alpha=1.0\n- cudatoolkit=11.8=h6_1\n- graphviz\n")
    (known,) = registration.environments.list_environment_versions(store, name="churn")
    assert known == added.version
    assert known.source.path == str(path)
    codes = {each.line: each.code for each in known.findings}
    assert codes == {1: "conda-unused", 2: "conda-assumed", 3: "conda-absent", 4: "conda-package"}
    assert len(known.findings) == len(codes), "nothing is said of the build of what is left out"
    shelf.close()  # what the index said is remembered with what was locked
    renamed = add(store, "other", path)
    assert set(renamed.findings) == set(added.findings)


@pytest.mark.parametrize("name", ["", "a b", "../up", "churn:1", "-x"])
def test_a_bad_name_is_refused(store: Store, wishes: Path, name: str) -> None:
    with pytest.raises(NameInvalid, match="is no valid environment name: letters"):
        add(store, name, wishes)


def test_nothing_is_recorded_when_nothing_could_be_locked(shelf: "Index", store: Store, wishes: Path) -> None:
    with pytest.raises(EnvironmentNotResolved):
        add(store, "churn", wishes, "alpha==9\n")
    assert registration.environments.list_environment_versions(store) == []


def test_references_name_versions_digests_runs_and_model_versions(shelf: "Index", store: Store, wishes: Path) -> None:
    digest = add(store, "trees", wishes).version.digest
    lock = environment_lock(store, "trees")
    run, version = serve(store, lock)
    for reference in ("trees", "trees:1", "environments:/trees/1", digest[:8], run.id, version, "models:/churn/1"):
        assert lock_of(store, reference) == lock, reference
    for reference in ("trees:2", "trees:x", "trees:12345678901234567890", "tree", "f" * 8, "churn:1", run.id):
        with pytest.raises(EnvironmentMissing, match=f'"{reference}"'):
            environment_lock(store, reference)
    with pytest.raises(EnvironmentMissing):
        lock_of(store, "nothing")
    with pytest.raises(RunMissing):
        lock_of(store, "run_nothing")


def test_a_name_of_an_environment_and_a_model_is_told_apart(shelf: "Index", store: Store, wishes: Path) -> None:
    add(store, "churn", wishes)
    serve(store, environment_lock(store, "churn:1"))
    assert lock_of(store, "churn:1") == environment_lock(store, "churn:1")
    add(store, "churn", wishes, "gamma\n")
    serve(store, environment_lock(store, "churn:1"))
    with pytest.raises(EnvironmentAmbiguous) as raised:
        lock_of(store, "churn:2")
    assert raised.value.next_command == "write environments:/churn/2 or models:/churn/2"


def test_a_difference_says_what_was_added_removed_and_changed(shelf: "Index", store: Store, wishes: Path) -> None:
    add(store, "churn", wishes, "alpha==1.0\nbeta==1.0\n")
    add(store, "churn", wishes, "beta==2.0\ngamma\n")
    before, after = environment_lock(store, "churn:1"), environment_lock(store, "churn:2")
    found = comparing.difference(before, after)
    assert [str(each) for each in found.added] == ["gamma==1.0"]
    assert [str(each) for each in found.removed] == ["alpha==1.0"]
    assert [(each.name, each.before, each.after) for each in found.changed] == [("beta", "1.0", "2.0")]
    assert not found.other_files
    assert not found.is_same
    assert comparing.difference(before, before).is_same
    other = replace(before, text=before.text.replace("sha256:", "sha256:0"), digest="0")
    assert comparing.difference(before, other).other_files == ("alpha", "beta")


def test_an_exported_lock_comes_back_as_the_same_environment(
    shelf: "Index", store: Store, wishes: Path, tmp_path: Path
) -> None:
    digest = add(store, "churn", wishes).version.digest
    written = exporting.export(environment_lock(store, "churn"), tmp_path / "out")
    assert [each.name for each in written] == ["requirements.txt", "pylock.toml"]
    for path in written:
        assert add(store, "back", path).version.digest == digest
    with pytest.raises(FileInTheWay, match=r"out/requirements\.txt"):
        exporting.export(environment_lock(store, "churn"), tmp_path / "out")
    uv = Path(sys.executable).with_name("uv")
    checked = [uv, "pip", "install", "--dry-run", "--require-hashes", "--target", tmp_path / "t", "-r", written[0]]
    subprocess.run(checked, check=True, capture_output=True)


def test_what_was_built_is_removed_and_built_again(shelf: "Index", store: Store, wishes: Path) -> None:
    add(store, "churn", wishes)
    lock = environment_lock(store, "churn")
    built = placing.build_in(store, lock)
    assert placing.remove_from(store, lock, reference="churn") == built
    assert not built.folder.exists()
    assert placing.remove_from(store, lock, reference="churn") is None
    assert environment_lock(store, "churn:1") == lock
    assert placing.build_in(store, lock) == built


def test_an_environment_that_something_runs_in_is_not_removed(shelf: "Index", store: Store, wishes: Path) -> None:
    add(store, "trees", wishes)
    lock = environment_lock(store, "trees")
    built = placing.build_in(store, lock)
    run, reference = serve(store, lock, status=Status.RUNNING)
    with pytest.raises(EnvironmentInUse, match=f'"trees" is in use by run {run.id}'):
        placing.remove_from(store, lock, reference="trees")
    with change(store, actor="me") as opened:
        endpoint = endpoints.ensure_endpoint(opened, "live", host="127.0.0.1")
        deployment = endpoints.add_deployment(opened, endpoint, version=models.find_version(store, reference))
        endpoints.set_deployment_status(opened, deployment, status=DeploymentStatus.HEALTHY)
    with pytest.raises(EnvironmentInUse, match=r"in use by endpoint live \(churn:1\), run"):
        placing.remove_from(store, lock, reference="trees")
    assert placing.find_in(store, lock) == built
