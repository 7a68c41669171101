"""What the gate decides on, by way of training the small project, whose model is a number."""

import re
from pathlib import Path
from typing import Any

import pytest

from modelwright.errors import (
    GateRefused,
    MetricMissing,
    NotBetter,
    ProjectInvalid,
    ReasonMissing,
    RunNotRegistrable,
    RunStopped,
    StepFailed,
)
from modelwright.lifecycle import training
from modelwright.lifecycle.sessions import Session, Stage
from modelwright.projects.manifest import read_manifest
from modelwright.records import BuiltEnvironment, Outcome, Status, Verdict
from modelwright.runs.active import request_cancel
from modelwright.store import audit, gates, rules, runs
from modelwright.store.database import Store

# A hundred rows around 10, and a model that is the number that it predicts for all of them.
TRAIN = """
import pickle
import random
from pathlib import Path


def load():
    draws = random.Random(0)
    return [{"group": draws.choice("aab"), "value": draws.gauss(10, 1)} for _ in range(100)]


def split(rows, size=60):
    return rows[:-size], rows[-size:]


def fit(rows, alpha):
    return alpha


def evaluate(model, rows):
    return {"error": sum((model - row["value"]) ** 2 for row in rows) / len(rows)}


def save(model, output_folder):
    Path(output_folder, "deep").mkdir()
    Path(output_folder, "deep", "model.pkl").write_bytes(pickle.dumps(model))
"""
CHECKS = """
def look(facts):
    assert sorted(facts) == ["candidate", "champion", "goal", "interval", "metric", "model", "rows", "slices"]
    assert facts["champion"] is None or facts["champion"]["reference"] == "small:1"
    return True


def refuse(facts):
    return f"{facts['metric']} of {facts['candidate']['model']} is not liked"


def fail(facts):
    raise ZeroDivisionError("in the check")


def odd(facts):
    return 3
"""
# Two steps lie between the model and its metrics, and the first metrics have nothing to do with it.
CHAIN = """
from small.train import count, evaluate, fit, load, predict, save, split


def pipeline(alpha=0.5, output_folder="outputs"):
    rows = load()
    train, test = split(rows)
    metrics = count(train)
    model = fit(train, alpha)
    predictions, truth = predict(model, test)
    metrics = evaluate(predictions, truth, metrics)
    save(model, output_folder)
    return {"model": model, "metrics": metrics}
"""
CHAINED = """
def count(rows):
    return {"rows": len(rows)}


def predict(model, rows):
    return [model for _ in rows], [row["value"] for row in rows]


def evaluate(predictions, truth, metrics):
    return {**metrics, "error": sum((p - t) ** 2 for p, t in zip(predictions, truth)) / len(truth)}


def save("""


class Trainer:
    """Trains and registers the small project, as it is edited by then."""

    def __init__(self, store: Store, project: Path) -> None:
        self.store = store
        self.project = project
        self.session = Session(store, "ada")

    def edit(self, old: str, new: str, file: str = "src/small/train.py") -> None:
        path = self.project / file
        assert old in path.read_text()
        path.write_text(path.read_text().replace(old, new))

    def ask(self, *lines: str) -> None:
        """Add rules to the gate."""
        self.edit("[gate]", "\n".join(["[gate]", *lines]), "wright.toml")

    def train(self, alpha: float, **options: Any) -> training.Trained:
        manifest = read_manifest(self.project)
        return training.train(self.session, manifest, overrides={"alpha": alpha}, **options)

    def hurry(self) -> None:
        """Leave too few rows to be resampled, where that does not matter."""
        self.edit("size=60", "size=5")

    def register(self, alpha: float) -> str:
        return training.register(self.session, self.train(alpha).run.id).reference

    def verdict(self) -> Verdict:
        found = gates.find_verdict(self.store, runs.list_runs(self.store)[0].id)
        assert found
        return found


@pytest.fixture
def trainer(monkeypatch: pytest.MonkeyPatch, store: Store, project: Path, environment: BuiltEnvironment) -> Trainer:
    monkeypatch.setattr(training.manifests, "read_lock", lambda _manifest: environment.lock)
    monkeypatch.setattr(training, "environment_of", lambda *_arguments, **_options: environment)
    (project / "src" / "small" / "train.py").write_text(TRAIN)
    (project / "src" / "small" / "checks.py").write_text(CHECKS)
    return Trainer(store, project)


def test_a_better_model_passes_with_an_interval_on_the_same_rows(trainer: Trainer) -> None:
    trainer.register(7.0)
    trained = trainer.train(10.0)
    verdict = trained.verdict
    assert verdict
    assert verdict.outcome is Outcome.PASSED
    assert "beats small:1's" in verdict.reason
    assert "on the same 60 rows by" in verdict.reason
    assert "more than chance" in verdict.reason
    resampling = verdict.numbers["resampling"]
    assert resampling["rows"] == 60
    assert 0 < resampling["low"] < verdict.numbers["improvement"] < resampling["high"]
    assert trainer.verdict() == verdict

    training.register(trainer.session, trained.run.id)
    whys = [each["why"] for each in audit.list_audit_records(trainer.store, subject="models/small@champion")]
    assert whys[0].startswith("gate first: the first model, error ")
    assert whys[1] == f"gate passed: {verdict.reason}"


def test_a_refused_model_leaves_its_verdict_and_a_cancelled_run(trainer: Trainer) -> None:
    trainer.session = Session(trainer.store, "ada", why="the first that is any good")
    trainer.register(10.0)
    (moved,) = audit.list_audit_records(trainer.store, subject="models/small@champion")
    assert moved["why"] == "the first that is any good"
    with pytest.raises(NotBetter, match=r"on the same 60 rows where small:1 has .* interval -.*: more than chance"):
        trainer.train(7.0)
    assert runs.list_runs(trainer.store)[0].status is Status.CANCELLED
    verdict = trainer.verdict()
    assert verdict.outcome is Outcome.REFUSED
    assert verdict.numbers["improvement"] < 0
    told = audit.list_events(trainer.store, subject=f"runs/{verdict.run_id}")
    assert [each["type"] for each in told if each["type"].startswith("gate.")] == ["gate.refused"]


def test_a_better_model_is_refused_with_every_rule_that_it_breaks(trainer: Trainer) -> None:
    trainer.register(10.0)
    trainer.ask(
        "minimum_improvement = 1000",
        "confidence = 0.95",
        "max_size_bytes = 10",
        "max_latency_ms = 5",
        'slices = ["group"]',
        "slice_tolerance = 0.0",
        'check = "small.checks:refuse"',
    )
    with pytest.raises(GateRefused) as refused:
        trainer.train(10.02)
    for reason in (
        r"it is better by 0\.0\d+, and must be by more than 1000",
        r"the 95 % interval of its improvement begins at -0\.\d+, not above 1000",
        r"its files have \d+ bytes, and may have 10",
        r"its latency cannot be measured: the evaluation asks the model for no predictions",
        r"group = . \(\d+ rows(, a small group)?\): worse by 0\.0\d+, and may be by 0",
        r"small\.checks:refuse says: error of 10\.02 is not liked",
    ):
        assert re.search(reason, str(refused.value)), (reason, str(refused.value))
    assert trainer.verdict().outcome is Outcome.REFUSED
    assert runs.list_runs(trainer.store)[0].status is Status.CANCELLED
    with pytest.raises(RunNotRegistrable, match="cancelled, not succeeded"):
        training.register(trainer.session, runs.list_runs(trainer.store)[0].id)


def test_a_model_that_keeps_every_rule_passes(trainer: Trainer) -> None:
    trainer.ask(
        "minimum_improvement = 1",
        "confidence = 0.99",
        'slices = ["group"]',
        "slice_tolerance = 0",
        "max_size_bytes = 1000",
        'check = "small.checks:look"',
    )
    trainer.register(7.0)
    verdict = trainer.train(10.0).verdict
    assert verdict
    assert "99 % interval" in verdict.reason
    groups = verdict.numbers["slices"]
    assert [(each["group"], each["is_small"]) for each in groups] == [("a", False), ("b", True)]
    assert sum(each["rows"] for each in groups) == 60
    assert any(note.startswith("slices: of 2 groups the worst is group = ") for note in verdict.numbers["notes"])


def test_the_first_model_passes_only_what_needs_no_champion(trainer: Trainer) -> None:
    trainer.ask("max_size_bytes = 10", "confidence = 0.99", "minimum_improvement = 5")
    with pytest.raises(GateRefused, match=r"its files have .* bytes, and may have 10 \(the first model, error"):
        trainer.train(10.0)
    trainer.edit("max_size_bytes = 10", "max_size_bytes = 1000", "wright.toml")
    assert trainer.train(10.0).verdict
    assert trainer.verdict().outcome is Outcome.FIRST


@pytest.mark.parametrize(
    ("check", "reason"),
    [
        ("fail", "ZeroDivisionError: in the check"),
        ("odd", "returned 3: it returns None or True, or a sentence that refuses"),
    ],
)
def test_a_check_that_fails_fails_the_run_with_its_own_traceback(trainer: Trainer, check: str, reason: str) -> None:
    trainer.hurry()
    trainer.ask(f'check = "small.checks:{check}"')
    with pytest.raises(StepFailed, match=reason) as failed:
        trainer.train(10.0)
    assert runs.list_runs(trainer.store)[0].status is Status.FAILED
    log = Path(str(failed.value.facts["log"])).read_text()
    assert check != "fail" or 'raise ZeroDivisionError("in the check")' in log


def test_a_check_that_there_is_none_of_is_refused_before_anything_runs(trainer: Trainer) -> None:
    trainer.ask('check = "small.checks:nothing"')
    with pytest.raises(ProjectInvalid, match=r'"small\.checks:nothing", and there is no such function'):
        trainer.train(10.0)
    assert runs.list_runs(trainer.store) == []


def test_a_slice_of_a_column_that_is_not_there_says_which_are(trainer: Trainer) -> None:
    trainer.hurry()
    trainer.register(7.0)
    trainer.ask('slices = ["region"]')
    with pytest.raises(StepFailed, match=r'no column "region" in the rows .* they have group, value'):
        trainer.train(10.0)


def test_without_enough_rows_the_value_decides_and_the_verdict_says_so(trainer: Trainer) -> None:
    trainer.hurry()
    trainer.register(7.0)
    verdict = trainer.train(10.0).verdict
    assert verdict
    assert "on the same 5 rows" in verdict.reason
    assert "no interval: 5 rows only" in verdict.reason
    trainer.ask("confidence = 0.9")
    with pytest.raises(GateRefused, match="there is no 90 % interval of its improvement: 5 rows only"):
        trainer.train(10.0)


def test_the_steps_between_model_and_metrics_are_executed_for_the_champion(trainer: Trainer) -> None:
    trainer.edit("def save(", CHAINED.lstrip())
    (trainer.project / "src" / "small" / "pipeline.py").write_text(CHAIN)
    trainer.register(7.0)
    verdict = trainer.train(10.0).verdict
    assert verdict
    assert verdict.numbers["metrics"]["champion"]["rows"] == 40
    assert "on the same 60 rows" in verdict.reason


def test_a_step_that_makes_model_and_metrics_cannot_measure_another_model(trainer: Trainer) -> None:
    trainer.edit("def evaluate(model, rows):\n    return", "def unused(model, rows):\n    return")
    trainer.edit("def fit(rows, alpha):\n    return alpha", "def fit(rows, alpha):\n    return alpha, {'error': alpha}")
    path = trainer.project / "src" / "small" / "pipeline.py"
    text = path.read_text().replace("evaluate, ", "").replace("    metrics = evaluate(model, test)\n", "")
    path.write_text(text.replace("model = fit(", "model, metrics = fit("))
    trainer.register(7.0)
    with pytest.raises(ProjectInvalid, match='step "fit" makes the model and its metrics'):
        trainer.train(5.0)


def test_a_metric_that_is_logged_twice_counts_by_its_last_value(trainer: Trainer) -> None:
    trainer.hurry()
    logged = "    import modelwright\n    for each in (99.0, error):\n        modelwright.log_metric('error', each)\n"
    trainer.edit('    return {"error": sum(', "    error = (sum(")
    trainer.edit("/ len(rows)}", f"/ len(rows))\n{logged}    return {{'rows': len(rows)}}")
    trainer.register(7.0)
    verdict = trainer.train(10.0).verdict
    assert verdict
    assert verdict.new is not None
    assert verdict.old is not None
    assert verdict.new < verdict.old < 99
    points = runs.list_points(trainer.store, verdict.run_id)
    assert len([point for _, point in points if point.name == "error"]) == 2


def test_a_metric_that_is_a_list_is_refused_with_what_there_is(trainer: Trainer) -> None:
    trainer.edit('{"error": sum(', '{"error": [1.0, 2.0], "loss": sum(')
    with pytest.raises(MetricMissing, match=r'compares "error", and run_.* has no such metric; it has none'):
        trainer.train(10.0)


def test_numbers_are_compared_as_numbers(trainer: Trainer) -> None:
    trainer.hurry()
    trainer.edit('sum((model - row["value"]) ** 2 for row in rows) / len(rows)', "model")
    trainer.register(1000.0)
    assert trainer.train(99.0).verdict


def test_what_an_evaluation_writes_and_logs_for_the_champion_stays_out_of_the_run(trainer: Trainer) -> None:
    trainer.hurry()
    trainer.edit("def evaluate(model, rows):", "def evaluate(model, rows, output_folder):\n    rows.reverse()\n"
                 "    Path(output_folder, 'told.txt').write_text(str(model))\n    print('measured')")  # fmt: skip
    trainer.edit("evaluate(model, test)", "evaluate(model, test, output_folder)", "src/small/pipeline.py")
    trainer.register(7.0)
    run = trainer.train(10.0).run
    (told,) = [each for each in run.artifacts if each.path == "outputs/told.txt"]
    assert trainer.store.blobs.path(told.digest).read_text() == "10.0"
    (log,) = (trainer.store.folder / "runs" / run.id / "logs").glob("gate against*.log")
    assert log.read_text() == "measured\n" * 2


def test_resamples_that_fail_are_counted(trainer: Trainer) -> None:
    trainer.edit(
        '    return {"error"', '    if rows[0] == rows[1]:\n        raise ValueError("twice")\n    return {"error"'
    )
    trainer.register(7.0)
    verdict = trainer.train(10.0).verdict
    assert verdict
    assert 0 < verdict.numbers["resampling"]["failed"] < verdict.numbers["resampling"]["resamples"] / 5
    assert "resamples gave no number: ValueError: twice" in verdict.numbers["cautions"][0]


def test_a_champion_that_cannot_take_the_rows_fails_the_run_and_says_so(trainer: Trainer) -> None:
    trainer.hurry()
    trainer.register(7.0)
    trainer.edit("def evaluate(model, rows):", "def evaluate(model, rows):\n    assert model != 7, 'too few columns'")
    with pytest.raises(StepFailed, match="the champion cannot be measured on this run's rows: AssertionError: too few"):
        trainer.train(10.0)


def test_a_gate_that_is_left_out_is_recorded_with_the_reason(trainer: Trainer) -> None:
    trainer.session = Session(trainer.store, "ada", why="the champion is broken")
    trainer.train(10.0, is_gated=False)
    verdict = trainer.verdict()
    assert (verdict.outcome, verdict.reason) == (Outcome.SKIPPED, "the champion is broken")
    told = audit.list_events(trainer.store, subject=f"runs/{verdict.run_id}")
    assert "gate.skipped" in [each["type"] for each in told]


def test_a_run_that_is_cancelled_while_its_gate_measures_ends_at_once(trainer: Trainer) -> None:
    trainer.hurry()
    trainer.register(7.0)
    trainer.edit(
        "def evaluate(model, rows):", "def evaluate(model, rows):\n    import time; time.sleep(600 * (model == 7))"
    )

    def report(stage: Stage) -> None:
        if stage.doing.startswith("gate against"):
            request_cancel(trainer.store, runs.list_runs(trainer.store)[0].id, reason="enough")

    trainer.session = Session(trainer.store, "ada", report)
    with pytest.raises(RunStopped, match="enough"):
        trainer.train(10.0)
    ended = runs.get_run(trainer.store, runs.list_runs(trainer.store)[0].id)
    assert ended.status is Status.CANCELLED
    assert [each.status for each in ended.steps][-2:] == [Status.SUCCEEDED, Status.CANCELLED]


def test_a_workspace_may_want_a_reason_for_leaving_the_gate_out(trainer: Trainer) -> None:
    with trainer.session.change() as opened:
        rules.set_rule(opened, "reasons-required", "promotion")
    with pytest.raises(ReasonMissing, match=r"gate\.skipped"):
        trainer.train(10.0, is_gated=False)
    assert runs.list_runs(trainer.store) == []
