"""Every generated file is run, job by job, with a `wright` that only writes down how it was called.

That what is called does its work is tested in the other files, and with the real one in `test_journey`.
"""

from dataclasses import dataclass
from pathlib import Path

import pytest
from lifecycle.ci.repositories import Repository

from modelwright.errors import WorkflowUnknown
from modelwright.lifecycle.ci import commits
from modelwright.lifecycle.ci.local import files, running
from modelwright.lifecycle.ci.local.workflow import Event, Place, Report, Result, Situation
from modelwright.projects.ci import workflows
from modelwright.projects.manifest import Manifest
from modelwright.records import Goal, LockSource

# It fails at the words that the file `fails` beside it has, and gives the outputs that the real one gives.
WRIGHT = """#!/bin/bash
here="$(dirname "$0")"
echo "$* [$WRIGHT_WORKSPACE]" >>"$here/calls"
words="$*"
while [ $# -gt 0 ]; do
  case "$1" in
    --outputs) outputs="$2" ;;
    --into) mkdir -p "$2"; echo '<testsuite><testcase/></testsuite>' >"$2/unit-testresults.xml"
      echo '<coverage line-rate="0.5">' >"$2/coverage.xml"; echo '{}' >"$2/model.json" ;;
  esac
  shift
done
[ -z "$outputs" ] || printf 'pipeline=small:4\\nversion=small:5\\nis_released=%s\\ndataset=data:6\\n' \\
  "$(cat "$here/is_released")" >"$outputs"
while read -r part; do [[ "$words" != *"$part"* ]] || exit 1; done <"$here/fails"
"""

QUALITY = {
    ".github/workflows/quality.yml": ["quality"],
    ".pipelines/quality.yml": ["Quality.quality"],
    ".gitlab-ci.yml": ["quality"],
}
TRAIN = {
    ".github/workflows/train.yml": ["quality", "publish", "train", "report"],
    ".pipelines/train.yml": ["Model_CI.quality", "Model_CI.publish", "Training.train", "Training.report"],
    ".gitlab-ci.yml": ["quality", "publish", "train", "report"],
}
RELEASE = {
    ".github/workflows/release.yml": ["find", "test", "production", "rollback"],
    ".pipelines/release.yml": ["Find.find", "Test.deploy", "Production.deploy", "Rollback.rollback"],
    ".gitlab-ci.yml": ["find", "test", "production", "rollback"],
}
INGEST = {
    ".github/workflows/ingest.yml": ["ingest", "check"],
    ".pipelines/ingest.yml": ["Ingest.ingest", "Ingest.check"],
    ".gitlab-ci.yml": ["ingest", "check"],
}
SUCCEEDED, FAILED, SKIPPED, WAITS = Result.SUCCEEDED, Result.FAILED, Result.SKIPPED, Result.WAITS


@dataclass
class Machine:
    """Runs files of the repository."""

    repository: Repository
    folder: Path

    @property
    def calls(self) -> list[str]:
        """How `wright` was called, without what it was told of its surroundings."""
        return [each.partition(" [")[0] for each in self.told]

    @property
    def told(self) -> list[str]:
        path = self.folder / "programs" / "calls"
        return path.read_text().splitlines() if path.exists() else []

    def run(
        self,
        name: str,
        event: Event = Event.PUSH,
        *,
        fails: str = "",
        only: str | None = None,
        is_released: bool = True,
        variables: dict[str, str] | None = None,
        inputs: dict[str, str] | None = None,
        approved: tuple[str, ...] = ("production", "approve"),
    ) -> Report:
        programs = self.folder / "programs"
        programs.mkdir(parents=True)
        (programs / "wright").write_text(WRIGHT)
        (programs / "wright").chmod(0o755)
        (programs / "fails").write_text(f"{fails}\n" if fails else "")
        (programs / "is_released").write_text(str(is_released).lower())
        commit = commits.head(self.repository.folder)
        changed = commits.changed(self.repository.folder, commits.parent_of(self.repository.folder, commit), commit)
        kept = {"WRIGHT_WORKSPACE": "http://there", "WRIGHT_TOKEN": "secret"} | (variables or {})
        situation = Situation(event, "main", commit, changed, "77", kept, inputs or {})
        workflow = files.read(self.repository.folder / name, situation)
        if workflow.reason:
            return Report()
        place = Place(self.repository.folder, self.folder / "run", programs)
        return running.run(workflow, situation, place, tell=lambda _: None, only=only, approved=approved)


@pytest.fixture(scope="module")
def repositories(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Repository]:
    """A repository whose last commit changes what trains, and one whose last commit does not."""
    made = {}
    for name, changed in (("code", "parameters.toml"), ("docs", "README.md")):
        folder = tmp_path_factory.mktemp(name)
        manifest = Manifest(
            folder=folder,
            name="small",
            training=None,
            scoring=None,
            gate_metric="error",
            gate_goal=Goal.MINIMIZE,
            python_version="3.12.1",
            platform="here",
            lock_source=LockSource.INDEX,
            generated={},
        )
        workflows.write(manifest, workflows.Wish(list(workflows.System), data="data/*.csv"))
        made[name] = Repository(folder)
        made[name].commit("second", **{changed: "changed\n"})
    return made


@pytest.fixture
def machine(repositories: dict[str, Repository], tmp_path: Path) -> Machine:
    return Machine(repositories["code"], tmp_path / "machine")


def _of(report: Report, jobs: list[str]) -> list[Result]:
    return [report.results[each] for each in jobs]


@pytest.mark.parametrize(("name", "jobs"), QUALITY.items())
def test_every_change_is_checked_and_its_reports_are_kept_when_it_fails(
    machine: Machine, name: str, jobs: list[str]
) -> None:
    report = machine.run(name, Event.PULL_REQUEST, fails="ci quality", only=jobs[0].rpartition(".")[0] or jobs[0])
    assert _of(report, jobs) == [FAILED]
    assert machine.calls == ["ci quality . --into reports"]
    kept = {each.name for each in (machine.folder / "run" / "artifacts").rglob("*.xml")}
    assert kept == {"unit-testresults.xml", "coverage.xml"}


@pytest.mark.parametrize(("name", "jobs"), TRAIN.items())
def test_a_change_of_what_trains_trains(machine: Machine, name: str, jobs: list[str]) -> None:
    report = machine.run(name, only=jobs[-1])
    assert _of(report, jobs) == [SUCCEEDED] * 4
    assert machine.calls[0].startswith("ci quality")
    assert [each.partition(" --outputs")[0].partition(" --build-uri")[0] for each in machine.calls[1:]] == [
        "ci publish .",
        "ci train . --pipeline small:4 --build 77",
        "ci published . --build 77 --into model",
    ]
    assert "--build-uri http://localhost" in machine.calls[2]
    assert all(each.endswith("[http://there]") for each in machine.told[1:])
    assert [each.parent.name for each in (machine.folder / "run" / "artifacts").rglob("model.json")].count("model") == 1


@pytest.mark.parametrize(("name", "jobs"), TRAIN.items())
def test_docs_do_not_train(repositories: dict[str, Repository], tmp_path: Path, name: str, jobs: list[str]) -> None:
    machine = Machine(repositories["docs"], tmp_path / "machine")
    report = machine.run(name)
    assert not set(jobs[1:]) & set(report.results)
    assert not [each for each in machine.calls if "train" in each]


@pytest.mark.parametrize(("name", "jobs"), TRAIN.items())
def test_a_run_that_registers_nothing_fails_and_is_reported(machine: Machine, name: str, jobs: list[str]) -> None:
    report = machine.run(name, fails="ci train", only=jobs[-1])
    assert _of(report, jobs) == [SUCCEEDED, SUCCEEDED, FAILED, SUCCEEDED]  # the real one says what is missing
    assert machine.calls[-1] == "ci published . --build 77 --into model"


@pytest.mark.parametrize(("name", "jobs"), TRAIN.items())
def test_what_fails_its_tests_is_not_trained(machine: Machine, name: str, jobs: list[str]) -> None:
    report = machine.run(name, fails="ci quality", only=jobs[-1])
    assert _of(report, jobs) == [FAILED, SKIPPED, SKIPPED, SKIPPED]


def test_training_can_be_switched_off(machine: Machine) -> None:
    name = ".pipelines/train.yml"
    report = machine.run(name, variables={"AUTO_TRIGGER_TRAINING": "false"})
    assert _of(report, TRAIN[name]) == [SUCCEEDED, SUCCEEDED, SKIPPED, SKIPPED]


def _release(machine: Machine, name: str, **options: object) -> Report:
    is_gitlab = name.startswith(".gitlab")
    given = {"inputs": {"BUILD" if is_gitlab else "build": "41"}} if "build" not in options else {}
    options.pop("build", None)
    return machine.run(name, Event.MANUAL, **given, **options)  # type: ignore[arg-type]


@pytest.mark.parametrize(("name", "jobs"), RELEASE.items())
def test_a_release_goes_to_test_and_once_approved_to_production(machine: Machine, name: str, jobs: list[str]) -> None:
    report = _release(machine, name)
    assert _of(report, jobs) == [SUCCEEDED, SUCCEEDED, SUCCEEDED, SKIPPED]
    calls = [each.partition(" --outputs")[0].partition(" --why")[0] for each in machine.calls]
    assert calls == [
        "ci find . --build 41",
        "ci deploy . --target test --version small:5",
        "ci smoke . --target test",
        "approve small:5 --stage production",
        "ci deploy . --target production --version small:5",
        "ci smoke . --target production",
    ]
    assert any("approved in" in each for each in machine.calls)


@pytest.mark.parametrize(("name", "jobs"), RELEASE.items())
def test_without_a_word_production_waits(machine: Machine, name: str, jobs: list[str]) -> None:
    report = _release(machine, name, approved=())
    assert _of(report, jobs[:2]) == [SUCCEEDED, SUCCEEDED]
    assert (report.waiting, report.failed) == ("approve" if name.startswith(".gitlab") else "production", [])
    assert report.results[jobs[2]] in {WAITS, SKIPPED}
    assert report.results[jobs[3]] is SKIPPED
    assert not [each for each in machine.calls if each.startswith("approve") or "--target production" in each]


@pytest.mark.parametrize(("name", "jobs"), RELEASE.items())
@pytest.mark.parametrize("target", ["test", "production"])
def test_a_smoke_test_that_fails_rolls_back(machine: Machine, name: str, jobs: list[str], target: str) -> None:
    report = _release(machine, name, fails=f"ci smoke . --target {target}")
    after = FAILED if target == "production" else SKIPPED
    before = SUCCEEDED if target == "production" else FAILED
    assert _of(report, jobs) == [SUCCEEDED, before, after, SUCCEEDED]
    assert machine.calls[-1] == "ci rollback . --version small:5"


@pytest.mark.parametrize("name", RELEASE)
def test_a_version_without_the_tags_stays(machine: Machine, name: str) -> None:
    _release(machine, name, is_released=False)
    assert [each.partition(" --outputs")[0] for each in machine.calls] == ["ci find . --build 41"]


@pytest.mark.parametrize("name", RELEASE)
def test_what_is_not_found_is_not_rolled_back(machine: Machine, name: str) -> None:
    report = _release(machine, name, fails="ci find")
    assert len(report.failed) == 1
    assert not [each for each in machine.calls if "rollback" in each]


def test_the_end_of_training_starts_a_release(machine: Machine) -> None:
    machine.run(".github/workflows/release.yml", Event.COMPLETED)
    assert machine.calls[0].startswith("ci find . --build 77")


def test_the_latest_build_goes_out_unless_one_is_named(machine: Machine) -> None:
    _release(machine, ".pipelines/release.yml", build=None)
    assert machine.calls[0].startswith("ci find . --build latest")


@pytest.mark.parametrize(("name", "jobs"), INGEST.items())
def test_data_is_brought_in_and_that_very_version_is_checked(machine: Machine, name: str, jobs: list[str]) -> None:
    report = machine.run(name, Event.SCHEDULE, inputs={"INGEST": "yes"}, fails="ci ingested")
    assert _of(report, jobs) == [SUCCEEDED, FAILED]
    assert machine.calls[-1] == "ci ingested . --dataset data:6"


def test_only_what_a_stage_needs_is_run(machine: Machine) -> None:
    report = machine.run(".pipelines/train.yml", only="Model_CI")
    assert list(report.results) == ["Model_CI.quality", "Model_CI.publish"]
    with pytest.raises(WorkflowUnknown, match='no job or stage "Moon"'):
        Machine(machine.repository, machine.folder / "again").run(".pipelines/train.yml", only="Moon")
