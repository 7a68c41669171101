"""Making a version again: identical, or the cause that was injected."""

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from modelwright.lifecycle import reproduction, training
from modelwright.lifecycle.sessions import Session
from modelwright.projects.manifest import read_manifest
from modelwright.records import Kind, Reproduction, Sameness
from modelwright.store import datasets, environments, runs
from modelwright.store.blobs import digest_of
from modelwright.store.changes import change
from modelwright.store.database import Store

FIT = "return sum(rows) * alpha"
LOAD = "return [1.0, 2.0, 3.0]"


@pytest.fixture
def registered(store: Store, locked: Path) -> Callable[..., str]:
    """Train the small project after edits of its training, and register it; give its reference."""

    def make(*edits: tuple[str, str]) -> str:
        path = locked / "src" / "small" / "train.py"
        for old, new in edits:
            assert old in path.read_text()
            path.write_text(path.read_text().replace(old, new))
        session = Session(store, "ada")
        trained = training.train(session, read_manifest(locked), is_gated=False)
        return training.register(session, trained.run.id).reference

    return make


def _reproduce(store: Store, reference: str) -> Reproduction:
    return reproduction.reproduce(Session(store, "ada"), reference)


def test_a_version_is_made_again_from_the_record_alone(
    store: Store, locked: Path, registered: Callable[..., str]
) -> None:
    reference = registered()
    for path in sorted(locked.rglob("*"), reverse=True):
        path.unlink() if path.is_file() else path.rmdir()
    found = _reproduce(store, reference)

    assert (found.sameness, found.cause) == (Sameness.IDENTICAL, "")
    assert {each["kind"] for each in found.comparisons} == {"value", "file", "metric", "answer"}
    assert found.run_id
    run = runs.get_run(store, found.run_id)
    assert (run.kind, run.tags) == (Kind.REPRODUCTION, {"reproduces": reference})
    assert run.code_digest == runs.get_run(store, str(run.parent_id)).code_digest


def test_data_that_the_workspace_lost_is_named(store: Store, registered: Callable[..., str]) -> None:
    reference = registered()
    run = runs.list_runs(store)[0]
    (dataset,) = runs.get_run(store, run.id).datasets
    (file,) = datasets.find_dataset_version(store, dataset.reference).files
    store.blobs.path(file.digest).unlink()
    found = _reproduce(store, reference)
    assert (found.sameness, found.kind) == (Sameness.DIFFERS, "data")
    assert found.cause.startswith('"rows" of dataset small:1 is gone: ')


def test_the_champion_that_a_version_had_to_beat_is_no_data_of_it(
    store: Store, locked: Path, registered: Callable[..., str]
) -> None:
    registered()
    session, manifest = Session(store, "ada"), replace(read_manifest(locked), gate_metric="error")
    trained = training.train(session, manifest, overrides={"alpha": 0.9})
    assert trained.verdict
    assert trained.verdict.champion == "small:1"
    reference = training.register(session, trained.run.id).reference
    shutil.rmtree(store.folder / "packages")
    assert _reproduce(store, reference).sameness is Sameness.IDENTICAL


@pytest.mark.parametrize(("then", "told"), [("changed", "has changed"), ("gone", "is gone")])
def test_a_file_that_a_step_read_is_named(
    store: Store, tmp_path: Path, registered: Callable[..., str], then: str, told: str
) -> None:
    raw = tmp_path / "raw.txt"
    raw.write_text("1 2 3")
    reference = registered((LOAD, f"return [float(each) for each in open({str(raw)!r}).read().split()]"))
    raw.unlink() if then == "gone" else raw.write_text("1 2 4")
    found = _reproduce(store, reference)
    assert (found.sameness, found.kind) == (Sameness.DIFFERS, "data")
    assert found.cause == f'"{raw}", which step "load" read, {told}'


@pytest.mark.parametrize("is_gone", [False, True])
def test_data_in_the_project_that_git_ignores_is_used_again_or_named(
    store: Store, locked: Path, registered: Callable[..., str], *, is_gone: bool
) -> None:
    (locked / ".gitignore").write_text("raw.csv\n")
    (locked / "raw.csv").write_text("1 2 3")
    reference = registered((LOAD, 'return [float(each) for each in open("raw.csv").read().split()]'))
    if is_gone:
        (locked / "raw.csv").unlink()
    found = _reproduce(store, reference)
    assert found.sameness is (Sameness.DIFFERS if is_gone else Sameness.IDENTICAL)
    assert found.cause == (f'"{locked}/raw.csv", which step "load" read, is gone' if is_gone else "")


def test_a_dependency_that_cannot_be_had_is_named(store: Store, registered: Callable[..., str]) -> None:
    reference = registered()
    lock = environments.get_environment(store, runs.list_runs(store)[0].environment_digest)
    impossible = replace(lock, text=f"no-such-package-anywhere==9.9 --hash=sha256:{'0' * 64}\n", digest="9" * 64)
    with change(store, actor="eve") as opened:
        environments.ensure_environment(opened, impossible)
        from modelwright.store import schema

        opened.update(schema.runs, schema.runs.c.id.is_not(None), environment_digest=impossible.digest)
        opened.record("run.tagged", "runs/all")
    found = _reproduce(store, reference)
    assert (found.sameness, found.kind) == (Sameness.DIFFERS, "environment")
    assert "no-such-package-anywhere" in found.cause


def test_randomness_without_a_seed_is_found(store: Store, registered: Callable[..., str]) -> None:
    found = _reproduce(store, registered((FIT, "import os\n    return sum(rows) * alpha + os.urandom(1)[0]")))
    assert (found.sameness, found.kind) == (Sameness.DIFFERS, "randomness")
    assert found.cause.startswith('step "fit": it is another one each time it runs')


def test_results_that_depend_on_the_number_of_threads_are_found(store: Store, registered: Callable[..., str]) -> None:
    body = 'import os\n    n = os.urandom(1)[0] if os.environ.get("OMP_NUM_THREADS") != "1" else 0\n    '
    found = _reproduce(store, registered((FIT, f"{body}return sum(rows) * alpha + n")))
    assert (found.sameness, found.kind) == (Sameness.DIFFERS, "threads")


def test_a_file_that_differs_with_the_same_predictions_is_told_so(store: Store, registered: Callable[..., str]) -> None:
    make = 'Path(output_folder, "deep").mkdir()'
    stamp = f'import os\n    Path(output_folder, "stamp").write_bytes(os.urandom(8))\n    {make}'
    found = _reproduce(store, registered((make, stamp)))
    assert (found.sameness, found.kind) == (Sameness.SAME_PREDICTIONS, "randomness")
    assert found.cause.startswith('step "save"')
    assert [each["name"] for each in found.comparisons if not each["is_equal"]] == ["outputs/stamp"]


def test_the_project_may_be_another_by_now(store: Store, locked: Path, registered: Callable[..., str]) -> None:
    reference = registered()
    train = locked / "src" / "small" / "train.py"
    train.write_text(train.read_text().replace(FIT, "return 7"))
    before = digest_of(train)
    assert _reproduce(store, reference).sameness is Sameness.IDENTICAL
    assert digest_of(train) == before
