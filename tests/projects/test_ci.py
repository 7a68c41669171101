"""`ci.toml` and the workflow files: what is written, and that their systems' public schemas know all of it."""

import json
from collections.abc import Callable
from dataclasses import replace
from importlib import resources
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from modelwright.errors import AutomationInvalid, AutomationKept, AutomationMissing, TargetMissing, WorkflowsKept
from modelwright.projects.ci import workflows
from modelwright.projects.ci.automation import Ingestion, Target, read_automation
from modelwright.projects.ci.workflows import System, Wish
from modelwright.projects.manifest import Manifest, read_manifest

ALL = list(System)
SCHEMAS = {
    System.GITHUB: "github-workflows.json",
    System.AZURE: "azure-pipelines.json",
    System.GITLAB: "gitlab-ci.json",
}


@pytest.fixture
def manifest(project: Path) -> Manifest:
    return replace(read_manifest(project), python_version="3.12.4")


def _read(path: Path) -> Any:
    """Return what a file says; `on` is a key, which YAML 1.1 reads as true."""
    return {("on" if key is True else key): value for key, value in yaml.safe_load(path.read_text()).items()}


def _schema(system: System) -> Any:
    folder = resources.files("check_jsonschema") / "builtin_schemas" / "vendor"
    return json.loads((folder / SCHEMAS[system]).read_text())


@pytest.fixture(scope="module")
def validate() -> Callable[[System, Any], None]:
    """What checks a file's content against the public schema of its system."""
    validators = {}
    for system in ALL:
        schema = _schema(system)
        validators[system] = jsonschema.validators.validator_for(schema)(schema)
    return lambda system, content: validators[system].validate(content)


@pytest.mark.parametrize("system", ALL)
@pytest.mark.parametrize("place", [".", "models/small"])
def test_every_file_answers_to_its_public_schema(
    manifest: Manifest, validate: Callable[[System, Any], None], system: System, place: str
) -> None:
    root = manifest.folder
    moved = replace(manifest, folder=root / place)
    moved.folder.mkdir(parents=True, exist_ok=True)
    (root / ".git").mkdir()
    written = workflows.write(moved, Wish([system], data="data/*.csv"))
    assert len(written) == {System.GITHUB: 5, System.AZURE: 5, System.GITLAB: 2}[system]
    for path in written[1:]:
        text = path.read_text()
        assert "@" not in text.replace("@v4", "").replace("@v5", "").replace("@0", "").replace("@1", "").replace(
            "@2", ""
        )
        assert "3.12" in text
        validate(system, _read(path))


def test_a_schema_refuses_what_is_wrong(validate: Callable[[System, Any], None]) -> None:
    for system, wrong in (
        (System.GITHUB, {"on": "push", "jobs": {"one": {"stepz": []}}}),
        (System.AZURE, {"stages": [{"stage": "one", "jobz": []}]}),
        (System.GITLAB, {"one": {"script": ["true"], "scripts": 1}}),
    ):
        with pytest.raises(jsonschema.ValidationError):
            validate(system, wrong)


def test_files_lie_in_the_repository_and_name_the_project_s_place_in_it(manifest: Manifest, tmp_path: Path) -> None:
    (tmp_path / ".git").mkdir()
    written = workflows.write(manifest, Wish([System.GITHUB]))
    assert [str(each.relative_to(tmp_path)) for each in written] == [
        "small/ci.toml",
        ".github/workflows/small-quality.yml",
        ".github/workflows/small-train.yml",
        ".github/workflows/small-release.yml",
    ]
    train = _read(written[2])
    assert "small/src/**" in train["on"]["push"]["paths"]
    assert train["jobs"]["train"]["steps"][-1]["run"].startswith("wright ci train small --pipeline")


def test_files_that_were_changed_are_replaced_only_when_asked(manifest: Manifest) -> None:
    workflows.write(manifest, Wish(ALL))
    workflows.write(manifest, Wish(ALL))  # nothing differs
    edited = manifest.folder / ".gitlab-ci.yml"
    edited.write_text("mine: {script: [true]}\n")
    (manifest.folder / "ci.toml").write_text((manifest.folder / "ci.toml").read_text() + "# mine\n")
    with pytest.raises(WorkflowsKept, match=r'".gitlab-ci.yml" would be replaced'):
        workflows.write(manifest, Wish(ALL))
    workflows.write(manifest, Wish(ALL, is_overwritten=True))
    assert "mine" not in edited.read_text()
    assert "# mine" in (manifest.folder / "ci.toml").read_text()


def test_what_ci_toml_says_is_in_the_files(manifest: Manifest) -> None:
    workflows.write(manifest, Wish([System.AZURE], branch="trunk"))
    path = manifest.folder / "ci.toml"
    path.write_text(path.read_text().replace('"src/**"', '"code/**"'))
    workflows.write(manifest, Wish([System.AZURE], is_overwritten=True))
    trigger = _read(manifest.folder / ".pipelines" / "train.yml")["trigger"]
    assert trigger["branches"]["include"] == ["trunk"]
    assert "code/**" in trigger["paths"]["include"]


def test_ci_toml_is_read(manifest: Manifest) -> None:
    with pytest.raises(AutomationMissing, match=r"has no ci\.toml"):
        read_automation(manifest.folder)
    workflows.write(manifest, Wish([], data="in/*.csv"))
    found = read_automation(manifest.folder)
    assert found.targets == (Target("test", "small-test"), Target("production", "small", needs_approval=True))
    assert found.ingestion == Ingestion("small-data", "in/*.csv")
    assert found.release == {"area": "small"}
    with pytest.raises(TargetMissing, match=r'no target "moon"'):
        found.target("moon")


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("format_version = 1", "format_version = 9", "its format is 9"),
        ('branch = "main"', "", "it has no 'branch'"),
        (
            'endpoint = "small-test"',
            'endpoint = "small-test"\nports = 1',
            r'"ports" is nothing that \[targets.test\] can say',
        ),
        ("[tags]", "[tag]", '"tag" is nothing that it can say'),
        ("[tags]", "[tags", "Expected"),
        ('train_on = ["data/**", ', 'train_on = "data/**" # [', '"train_on" of it is to be a list of texts'),
        ("approval = true", 'approval = "yes"', r'"approval" of \[targets.production\] is to be true or false'),
        ("approval = true", "port = true", r'"port" of \[targets.production\] is to be a whole number'),
    ],
)
def test_a_ci_toml_that_says_something_else_is_refused(manifest: Manifest, old: str, new: str, told: str) -> None:
    workflows.write(manifest, Wish([]))
    path = manifest.folder / "ci.toml"
    path.write_text(path.read_text().replace(old, new))
    with pytest.raises(AutomationInvalid, match=told):
        read_automation(manifest.folder)


def test_a_ci_toml_without_a_target_is_refused(manifest: Manifest) -> None:
    workflows.write(manifest, Wish([]))
    path = manifest.folder / "ci.toml"
    path.write_text(path.read_text().partition("[targets.test]")[0] + "[targets]\n")
    with pytest.raises(AutomationInvalid, match="it has no target"):
        read_automation(manifest.folder)


@pytest.mark.parametrize("wish", [Wish(ALL, branch='a"; rm'), Wish(ALL, data="$(rm)"), Wish(ALL, branch="a\nb: c")])
def test_what_would_mean_something_else_in_a_file_is_refused_and_nothing_is_written(
    manifest: Manifest, wish: Wish
) -> None:
    before = sorted(manifest.folder.rglob("*"))
    with pytest.raises(AutomationInvalid, match="characters with a meaning of their own"):
        workflows.write(manifest, wish)
    assert sorted(manifest.folder.rglob("*")) == before


def test_a_folder_whose_name_a_workflow_file_cannot_carry_is_refused(manifest: Manifest) -> None:
    (manifest.folder / ".git").mkdir()
    for name in ("my models", "$(rm)", "a'b", "-x"):
        with pytest.raises(AutomationInvalid, match="characters with a meaning of their own"):
            workflows.write(replace(manifest, folder=manifest.folder / name), Wish(ALL))


def test_a_wish_that_ci_toml_does_not_have_is_not_left_out_in_silence(manifest: Manifest) -> None:
    workflows.write(manifest, Wish([], branch="trunk"))
    workflows.write(manifest, Wish([], branch="trunk", is_overwritten=True))
    with pytest.raises(AutomationKept, match=r'ci\.toml" is there and stays as it is: as data it has "nothing"'):
        workflows.write(manifest, Wish([], data="data/*.csv", is_overwritten=True))
    with pytest.raises(AutomationKept, match='as branch it has "trunk"'):
        workflows.write(manifest, Wish([], branch="main"))


def test_what_is_taken_back_of_what_trains_is_so_from_the_repository_on(manifest: Manifest) -> None:
    workflows.write(manifest, Wish([]))
    found = replace(read_automation(manifest.folder), train_on=("src/**", "!src/notes/**", "../shared/**"))
    assert found.trains("models/small") == ["models/small/src/**", "!models/small/src/notes/**", "models/shared/**"]
