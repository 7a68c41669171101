"""What runs again and what is reused: the key and the evidence, by what a user does."""

import os
from pathlib import Path

import pytest
from runs.runner import Runner

from modelwright.datasets import adding
from modelwright.errors import StepFailed
from modelwright.records import BuiltEnvironment, Status
from modelwright.runs.states import Rules
from modelwright.store import database, runs
from modelwright.store.blobs import digest_of

ALL = ["load", "split", "fit", "evaluate", "save"]


def _with_helpers(runner: Runner) -> None:
    """Let `fit` reach `scaled` in a module two imports away."""
    package = runner.train.parent
    (package / "far.py").write_text("FACTOR = 1.0\n\n\ndef scaled(value):\n    return value * FACTOR\n")
    (package / "near.py").write_text("from small import far\n\n\ndef near(value):\n    return far.scaled(value)\n")
    runner.edit("import pickle\n", "import pickle\nfrom small.near import near\n")
    runner.edit("return sum(rows) * alpha", "return near(sum(rows)) * alpha")


def test_nothing_changed_and_every_step_is_reused_with_what_it_recorded(runner: Runner) -> None:
    first = runner.run()
    assert runner.ran() == ALL
    second = runner.run()

    assert runner.reused() == ALL
    assert second.metrics == first.metrics == {"error": 1.5}
    assert {each.reused_from for each in second.steps} == {first.id}
    assert [each.path for each in second.artifacts] == [each.path for each in first.artifacts]
    assert [each.digest for each in second.artifacts] == [each.digest for each in first.artifacts]
    assert [each.reference for each in second.datasets] == [each.reference for each in first.datasets]


def test_a_reused_step_names_the_run_that_really_ran(runner: Runner) -> None:
    first = runner.run()
    runner.run()
    assert {each.reused_from for each in runner.run().steps} == {first.id}


def test_fresh_runs_everything(runner: Runner) -> None:
    runner.run()
    runner.run(Rules(is_fresh=True))
    assert runner.ran() == ALL


@pytest.mark.parametrize(
    ("file", "old", "new"),
    [("far.py", "FACTOR = 1.0", "FACTOR = 2.0"), ("far.py", "value * FACTOR", "value * FACTOR + 0.0")],
)
def test_a_helper_two_imports_away_changed_and_what_reaches_it_runs_again(
    runner: Runner, file: str, old: str, new: str
) -> None:
    _with_helpers(runner)
    runner.run()
    runner.edit(old, new, file=file)
    runner.run()
    assert "fit" in runner.ran()
    assert runner.reused() == ["load", "split"] + [each for each in ALL[3:] if each not in runner.ran()]


def test_the_same_value_from_other_code_is_reused_below(runner: Runner) -> None:
    _with_helpers(runner)
    runner.run()
    runner.edit("value * FACTOR", "FACTOR * value", file="far.py")
    runner.run()
    assert runner.ran() == ["fit"]


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("return sum(rows) * alpha", "# why\n    return sum( rows )*alpha"),
        ("def fit(rows, alpha):\n", 'def fit(rows, alpha):\n    """Fit."""\n'),
        ("def save(", "def unused():\n    return 1\n\n\ndef save("),
    ],
)
def test_a_comment_a_docstring_a_line_break_or_another_function_changes_nothing(
    runner: Runner, old: str, new: str
) -> None:
    runner.run()
    runner.edit(old, new)
    runner.run()
    assert runner.reused() == ALL


def test_a_new_module_that_nothing_imports_changes_nothing(runner: Runner) -> None:
    runner.run()
    runner.train.with_name("other.py").write_text("VALUE = 1\n")
    runner.run()
    assert runner.reused() == ALL


def test_a_newer_time_of_a_file_changes_nothing(runner: Runner) -> None:
    runner.run()
    os.utime(runner.train, (2_000_000_000, 2_000_000_000))
    runner.run()
    assert runner.reused() == ALL


def test_a_parameter_changed_and_what_takes_it_runs_again(runner: Runner) -> None:
    runner.run()
    runner.run(alpha=0.25)
    assert runner.ran() == ["fit", "evaluate", "save"]


def test_a_parameter_that_no_step_takes_changes_nothing(runner: Runner) -> None:
    runner.edit('output_folder="outputs")', 'output_folder="outputs", depth=3)', file="pipeline.py")
    runner.run(depth=3)
    runner.run(depth=4)
    assert runner.reused() == ALL


def test_an_upstream_value_changed_and_everything_below_runs_again(runner: Runner) -> None:
    runner.run()
    runner.edit("return [1.0, 2.0, 3.0]", "return [1.5, 2.5, 4.0]")
    runner.run()
    assert runner.ran() == ALL


def test_a_pin_of_the_environment_changed_and_everything_runs_again(runner: Runner) -> None:
    from dataclasses import replace

    runner.run()
    lock = replace(runner.environment.lock, digest="1" * 64)
    runner.environment = replace(runner.environment, lock=lock)
    runner.run()
    assert runner.ran() == ALL


@pytest.mark.parametrize(
    "reading",
    [
        'open("data/rows.txt").read()',
        'Path("data", "rows.txt").read_text()',
        '[each.read_text() for each in sorted(Path("data").glob("*.txt"))][0]',
    ],
)
def test_a_file_that_a_step_read_changed_and_it_runs_again(runner: Runner, reading: str) -> None:
    data = runner.project / "data" / "rows.txt"
    data.parent.mkdir()
    data.write_text("1 2 3")
    runner.edit("return [1.0, 2.0, 3.0]", f"return [float(each) for each in {reading}.split()]")
    runner.run()
    os.utime(data, (2_000_000_000, 2_000_000_000))
    runner.run()
    assert runner.reused() == ALL
    data.write_text("9 2 3")
    runner.run()
    assert runner.ran() == ALL


def test_data_that_git_ignores_is_there_and_counts(runner: Runner) -> None:
    (runner.project / ".gitignore").write_text("data/\n")
    data = runner.project / "data" / "deep" / "rows.txt"
    data.parent.mkdir(parents=True)
    data.write_text("1 2 3")
    body = 'return [float(each) for each in Path("data", "deep", "rows.txt").read_text().split()]'
    runner.edit("return [1.0, 2.0, 3.0]", body)
    first = runner.run()
    assert not [each.path for each in first.artifacts if "rows" in each.path]
    runner.run()
    assert runner.reused() == ALL
    data.write_text("9 2 3")
    runner.run()
    assert runner.ran() == ALL


def test_a_workspace_behind_a_link_reuses_too(tmp_path: Path, project: Path, environment: BuiltEnvironment) -> None:
    (project / "rows.txt").write_text("1 2 3")
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    opened = database.open_store(tmp_path / "link" / ".wright")
    runner = Runner(opened, project, environment)
    runner.edit("return [1.0, 2.0, 3.0]", 'return [float(each) for each in open("rows.txt").read().split()]')
    runner.run()
    runner.run()
    opened.close()
    assert runner.reused() == ALL


def test_a_file_outside_of_the_project_counts_too(runner: Runner, tmp_path: Path) -> None:
    (tmp_path / "rows.txt").write_text("1 2 3")
    runner.edit("return [1.0, 2.0, 3.0]", f'return [float(x) for x in open("{tmp_path}/rows.txt").read().split()]')
    runner.run()
    (tmp_path / "rows.txt").write_text("9 2 3")
    runner.run()
    assert runner.ran() == ALL


def test_a_new_file_in_a_folder_that_a_step_listed_counts(runner: Runner) -> None:
    (runner.project / "data").mkdir()
    (runner.project / "data" / "a.txt").write_text("")
    runner.edit("return [1.0, 2.0, 3.0]", 'return [float(len(list(Path("data").iterdir()))), 2.0, 3.0]')
    runner.run()
    (runner.project / "data" / "b.txt").write_text("")
    runner.run()
    assert runner.ran() == ALL


def test_a_file_that_was_looked_for_in_vain_and_came_counts(runner: Runner) -> None:
    body = 'try:\n        open("rows.txt")\n    except OSError:\n        pass\n    return [1.0, 2.0, 3.0]'
    runner.edit("return [1.0, 2.0, 3.0]", body)
    runner.run()
    (runner.project / "rows.txt").write_text("")
    runner.run()
    assert "load" in runner.ran()


@pytest.mark.parametrize(
    "changing",
    [
        'rows = path.read_text(); path.write_text(rows + " 1")',
        'open(path, "a").write(" 1")',
        'open(path, "r+").write("1")',
    ],
)
def test_a_step_that_changes_a_file_that_was_there_runs_every_time(
    runner: Runner, tmp_path: Path, changing: str
) -> None:
    (tmp_path / "count.txt").write_text("1 1")
    body = f"path = Path({str(tmp_path / 'count.txt')!r}); {changing}\n    return [1.0, 2.0, 3.0]"
    runner.edit("return [1.0, 2.0, 3.0]", body)
    runner.run()
    runner.run()
    assert runner.ran() == ["load"]


@pytest.mark.parametrize(
    "making",
    [
        'path = Path("scratch.txt"); path.write_text("x"); path.read_text()',
        "import tempfile; made = tempfile.TemporaryDirectory(); Path(made.name, 'x').write_text('x'); made.cleanup()",
    ],
)
def test_a_step_that_makes_files_of_its_own_is_reused(runner: Runner, making: str) -> None:
    runner.edit("return [1.0, 2.0, 3.0]", f"{making}\n    return [1.0, 2.0, 3.0]")
    runner.run()
    runner.run()
    assert runner.reused() == ALL


def test_a_file_read_while_the_project_is_imported_counts_for_every_step(runner: Runner) -> None:
    (runner.project / "names.txt").write_text("a")
    runner.edit("import pickle\n", 'import pickle\nNAMES = open("names.txt").read()\n')
    runner.run()
    (runner.project / "names.txt").write_text("b")
    runner.run()
    assert runner.ran() == ALL


def test_a_declared_variable_counts_and_others_do_not(runner: Runner, monkeypatch: pytest.MonkeyPatch) -> None:
    runner.edit("import pickle\n", "import pickle\nfrom modelwright import step\n")
    runner.edit("def load():", '@step(variables=["REGION"])\ndef load():')
    runner.edit("return [1.0, 2.0, 3.0]", 'import os\n    return [float(len(os.environ.get("REGION", ""))), 2.0, 3.0]')
    runner.run()
    monkeypatch.setenv("OTHER", "north")
    runner.run()
    assert runner.reused() == ALL
    monkeypatch.setenv("REGION", "north")
    runner.run()
    assert runner.ran() == ALL


def test_a_step_without_cache_runs_every_time(runner: Runner) -> None:
    runner.edit("import pickle\n", "import pickle\nfrom modelwright import step\n")
    runner.edit("def fit(", "@step(cache=False)\ndef fit(")
    runner.run()
    runner.run()
    assert runner.ran() == ["fit"]


def test_a_step_that_used_the_network_is_not_reused(runner: Runner) -> None:
    runner.edit("import pickle\n", "import pickle\nimport socket\n")
    connect = "with socket.socket() as s:\n        s.settimeout(0.01)\n        s.connect_ex(('192.0.2.1', 9))"
    runner.edit("    return [1.0, 2.0, 3.0]", f"    {connect}\n    return [1.0, 2.0, 3.0]")
    runner.run()
    runner.run()
    assert runner.ran() == ["load"]


@pytest.mark.parametrize("harm", ["lost", "damaged"])
def test_an_output_that_is_lost_or_damaged_is_made_again(runner: Runner, harm: str) -> None:
    first = runner.run()
    output = runner.store.blobs.path(first.steps[1].outputs["train"])
    if harm == "lost":
        output.unlink()
    else:
        output.chmod(0o644)
        output.write_bytes(output.read_bytes()[:-1] + b"?")
    second = runner.run()
    assert runner.ran() == ["split"]
    assert second.steps[1].outputs == first.steps[1].outputs
    assert digest_of(output) == first.steps[1].outputs["train"]


def test_a_failed_step_is_never_reused(runner: Runner) -> None:
    runner.edit("return sum(rows) * alpha", 'raise ValueError("no")')
    for _ in range(2):
        with pytest.raises(StepFailed):
            runner.run()
    assert [each.status for each in runs.get_run(runner.store, runs.list_runs(runner.store)[0].id).steps] == [
        Status.SUCCEEDED,
        Status.SUCCEEDED,
        Status.FAILED,
    ]


# --- random draws of the whole process ---

DRAWING = "import random\n    return sum(rows) * alpha + random.random()"


def test_draws_go_on_from_step_to_step_and_a_run_repeats_itself(runner: Runner) -> None:
    runner.edit("return sum(rows) * alpha", DRAWING)
    first = runner.run()
    again = runner.run(Rules(is_fresh=True))
    assert [each.outputs for each in again.steps] == [each.outputs for each in first.steps]
    runner.run()
    assert runner.reused() == ALL


def test_a_step_that_draws_runs_again_when_one_above_it_draws_otherwise(runner: Runner) -> None:
    runner.edit("return sum(rows) * alpha", DRAWING)
    runner.run()
    runner.edit("return [1.0, 2.0, 3.0]", "import random\n    random.random()\n    return [1.0, 2.0, 3.0]")
    runner.run()
    assert runner.ran() == ["load", "fit", "evaluate", "save"]


# --- what steps record ---


def test_a_reused_step_records_again_what_it_recorded(runner: Runner, tmp_path: Path) -> None:
    body = (
        "import modelwright\n    for epoch in range(3):\n"
        '        modelwright.log_metric("loss", 1.0 / (epoch + 1))\n'
        '    modelwright.set_tag("kind", "mean")\n    modelwright.note("quick")\n'
        '    Path("curve.txt").write_text("x")\n    modelwright.log_artifact("curve.txt")\n'
        "    return sum(rows) * alpha"
    )
    runner.edit("return sum(rows) * alpha", body)
    first, second = runner.run(), runner.run()
    assert runner.reused() == ALL
    for run in (first, second):
        assert run.metrics == {"error": 1.5, "loss": 1.0 / 3}
        assert run.tags == {"kind": "mean"}
        assert run.note == "quick"
        assert "outputs/curve.txt" in [each.path for each in run.artifacts]
        points = [point for _, point in runs.list_points(runner.store, run.id)]
        assert [(each.step, each.value) for each in points if each.name == "loss"] == [(0, 1.0), (1, 0.5), (2, 1.0 / 3)]


def test_the_metrics_that_a_pipeline_returns_are_the_last_word(runner: Runner) -> None:
    """What a step logged under the same name came before them, however quickly the steps follow each other."""
    runner.edit(
        "return sum(rows) * alpha",
        "import modelwright\n    modelwright.log_metric('error', 9.0, step=1)\n    return sum(rows) * alpha",
    )
    for _ in range(2):
        run = runner.run()
        assert run.metrics == {"error": 1.5}
        points = [point for _, point in runs.list_points(runner.store, run.id)]
        assert [(each.step, each.value) for each in points] == [(1, 9.0), (0, 1.5)]


def test_a_step_reads_a_dataset_and_the_run_says_so(runner: Runner, tmp_path: Path) -> None:
    raw = tmp_path / "raw.txt"
    body = 'import modelwright\n    return [float(each) for each in modelwright.dataset("raw").read_text().split()]'
    runner.edit("return [1.0, 2.0, 3.0]", body)
    with pytest.raises(StepFailed, match=r'no dataset version "raw".*wright dataset'):
        runner.run()
    for content, expected in (("1 2 3", ALL), ("1 2 3", []), ("9 2 3", ALL)):
        raw.write_text(content)
        adding.add_files(runner.store, "raw", path=raw, actor="ada")
        run = runner.run()
        assert runner.ran() == expected
        assert [each.reference for each in run.datasets if each.dataset == "raw"] == [f"raw:{1 + (content[0] == '9')}"]
