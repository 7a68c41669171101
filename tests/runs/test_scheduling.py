"""The order of steps: side by side, again after a failure, no longer than allowed, and no further when cancelled."""

import subprocess
import threading
from pathlib import Path

import psutil
import pytest
from journeys.terminal import until
from runs.runner import Runner

from modelwright.errors import ProjectInvalid, RunStopped, StepFailed
from modelwright.records import Run, Status
from modelwright.runs import active
from modelwright.runs.states import Rules
from modelwright.store import runs

BRANCHES = """
from small.train import left, right, both


def pipeline(output_folder="outputs"):
    a = left()
    b = right()
    c = both(a, b)
    return {"model": c}
"""
MEETING = """
import time
from pathlib import Path

HERE = Path({folder!r})


def meet(mine, other):
    (HERE / mine).touch()
    for _ in range(2000):
        if (HERE / other).exists():
            return mine
        time.sleep(0.05)
    raise TimeoutError(other)


def left():
    return meet("left", "right")


def right():
    return meet("right", "left")


def both(a, b):
    return a + b
"""


LATE = """

def left():
    meet("left", "right")
    raise ValueError("no")


def right():
    meet("right", "left")
    time.sleep(600)
"""


def _write(runner: Runner, train: str, pipeline: str = BRANCHES) -> None:
    runner.train.write_text(train)
    runner.train.with_name("pipeline.py").write_text(pipeline)


def _last(runner: Runner) -> Run:
    return runs.get_run(runner.store, runs.list_runs(runner.store)[0].id)


def test_independent_branches_run_at_the_same_time(runner: Runner, tmp_path: Path) -> None:
    _write(runner, MEETING.format(folder=str(tmp_path)))
    run = runner.run(Rules(cpus=2))
    assert [each.status for each in run.steps] == [Status.SUCCEEDED] * 3


def test_a_step_waits_for_the_processors_that_it_needs(runner: Runner, tmp_path: Path) -> None:
    train = MEETING.format(folder=str(tmp_path)).replace("range(2000)", "range(2)")
    train = train.replace("def right", "@step(cpus=2)\ndef right").replace(
        "import time", "import time\nfrom modelwright import step"
    )
    _write(runner, train)
    with pytest.raises(StepFailed, match=r'"left".*right'):
        runner.run(Rules(cpus=2))


def test_branches_that_draw_give_what_they_would_give_in_order(runner: Runner, tmp_path: Path) -> None:
    drawing = (
        "import random\n\n\ndef left():\n    return random.random()\n\n\ndef right():\n    return random.random()\n"
    )
    _write(runner, drawing + "\n\ndef both(a, b):\n    return [a, b]\n")
    side_by_side = runner.run(Rules(cpus=2, is_fresh=True))
    in_order = runner.run(Rules(cpus=1, is_fresh=True))
    assert [each.outputs for each in side_by_side.steps] == [each.outputs for each in in_order.steps]
    assert len({digest for each in in_order.steps for digest in each.outputs.values()}) == 3


def test_a_failing_step_stops_its_dependants_and_with_thorough_rules_nothing_else(runner: Runner) -> None:
    train = (
        "def left():\n    raise ValueError('no')\n\n\ndef right():\n    return 1\n\n\ndef both(a, b):\n    return a\n"
    )
    _write(runner, train)
    with pytest.raises(StepFailed, match=r'"left".*no'):
        runner.run(Rules(cpus=1, is_thorough=True))
    assert [(each.name, each.status) for each in _last(runner).steps] == [
        ("left", Status.FAILED),
        ("right", Status.SUCCEEDED),
    ]


def test_a_failing_step_ends_the_steps_beside_it(runner: Runner, tmp_path: Path) -> None:
    train = MEETING.format(folder=str(tmp_path)) + LATE
    _write(runner, train)
    with pytest.raises(StepFailed, match=r'"left".*no'):
        runner.run(Rules(cpus=2))
    assert [(each.name, each.status) for each in _last(runner).steps] == [
        ("left", Status.FAILED),
        ("right", Status.CANCELLED),
    ]


def _marked(runner: Runner, options: str, body: str) -> None:
    runner.edit("import pickle\n", "import pickle\nfrom modelwright import step\n")
    runner.edit("def fit(", f"@step({options})\ndef fit(")
    runner.edit("    return sum(rows) * alpha", f"    {body}\n    return sum(rows) * alpha")


def test_a_step_is_tried_again_as_often_as_it_says(runner: Runner, tmp_path: Path) -> None:
    count = (
        f"open({str(tmp_path / 'tries')!r}, 'a').write('x')\n    if len(open({str(tmp_path / 'tries')!r}).read()) < 3:"
    )
    _marked(runner, "retries=2, retry_seconds=0.01", f"{count}\n        raise OSError('not yet')")
    run = runner.run()
    assert run.steps[2].attempts == 3
    assert [each.reason for each in runner.progress if each.step == "fit" and each.reason] == [
        "OSError: not yet; attempt 1 of 3, the next in 0.01 s",
        "OSError: not yet; attempt 2 of 3, the next in 0.02 s",
    ]


def test_a_worker_that_was_ended_is_given_no_other_attempt(
    runner: Runner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried = f"import os, pathlib\n    tried = pathlib.Path({str(tmp_path / 'tried')!r})"
    _marked(
        runner,
        "retries=1, retry_seconds=0.01",
        f"{tried}\n    if not tried.exists():\n        tried.touch()\n        os.kill(os.getppid(), 9)",
    )
    # What it has open is closed before the system tells of its end.
    monkeypatch.setattr(subprocess.Popen, "poll", lambda _process: None)
    assert runner.run().steps[2].attempts == 2


def test_what_each_attempt_records_is_kept(runner: Runner, tmp_path: Path) -> None:
    tries = f"tries = open({str(tmp_path / 'tries')!r}, 'a+')\n    tries.write('x')\n    tries.seek(0)"
    log = "import modelwright\n    modelwright.log_metric('tries', len(tries.read()))"
    _marked(
        runner, "retries=2, retry_seconds=0.01", f"{tries}\n    {log}\n    assert modelwright and tries.tell() == 3"
    )
    points = [point.value for _, point in runs.list_points(runner.store, runner.run().id) if point.name == "tries"]
    assert points == [1.0, 2.0, 3.0]


def test_a_step_that_takes_too_long_ends_with_all_that_it_started(runner: Runner, tmp_path: Path) -> None:
    start = (
        f"child = subprocess.Popen(['sleep', '600'])\n    open({str(tmp_path / 'pid')!r}, 'w').write(str(child.pid))"
    )
    _marked(runner, "timeout_seconds=3", f"import subprocess, time\n    {start}\n    time.sleep(600)")
    with pytest.raises(StepFailed, match=r'"fit".*longer than 3 s'):
        runner.run()
    child = int((tmp_path / "pid").read_text())
    until(lambda: not psutil.pid_exists(child) or psutil.Process(child).status() == psutil.STATUS_ZOMBIE, "its end")


def test_a_run_is_cancelled_from_outside(runner: Runner, tmp_path: Path) -> None:
    _marked(runner, "", f"import time\n    open({str(tmp_path / 'on')!r}, 'w').close()\n    time.sleep(600)")

    def cancel() -> None:
        until((tmp_path / "on").exists, "the step to begin")
        active.request_cancel(runner.store, runs.list_runs(runner.store)[0].id, reason="bob wants the machine")

    thread = threading.Thread(target=cancel)
    thread.start()
    with pytest.raises(RunStopped, match="bob wants the machine"):
        runner.run()
    thread.join(120)
    run = _last(runner)
    assert run.status is Status.CANCELLED
    assert [each.status for each in run.steps] == [Status.SUCCEEDED, Status.SUCCEEDED, Status.CANCELLED]


def test_a_step_cancels_its_run(runner: Runner) -> None:
    _marked(runner, "", "import modelwright\n    modelwright.cancel_run('the data is too old')")
    with pytest.raises(RunStopped, match="the data is too old"):
        runner.run()
    assert _last(runner).status is Status.CANCELLED


@pytest.mark.parametrize(
    ("old", "new", "rule"),
    [
        ("fit(train, alpha)", "fit(train, alfa=1)", 'line 8: "fit" has no parameter "alfa"'),
        ("fit(train, alpha)", "fit(train)", 'line 8: "fit" is not given its "alpha"'),
        ("fit(train, alpha)", "fit(train, alpha, 1)", 'line 8: "fit" takes 2 arguments and is given 3'),
        ("fit(train, alpha)", "fit(metrics, alpha)", 'line 8: "metrics" is made only in line 9'),
        ("fit(train, alpha)", "fit(nothing, alpha)", 'line 8: "nothing" is neither a parameter nor the output'),
        ("import evaluate, fit", "import evaluate, fat as fit", 'line 8: "small.train" has no "fat"'),
    ],
)
def test_what_cannot_run_is_refused_with_its_line_before_anything_runs(
    runner: Runner, old: str, new: str, rule: str
) -> None:
    runner.edit(old, new, file="pipeline.py")
    with pytest.raises(ProjectInvalid) as refused:
        runner.run()
    assert rule in str(refused.value)
    assert _last(runner).steps == ()


def test_a_value_of_another_type_than_the_step_takes_is_refused(runner: Runner) -> None:
    runner.edit("def split(rows, size=1):", "def split(rows, size=1) -> tuple[list, dict]:")
    runner.edit("def evaluate(model, rows):", "def evaluate(model, rows: list):")
    with pytest.raises(ProjectInvalid, match='"evaluate" takes a list as "rows", and "test" is a dict'):
        runner.run()


def test_an_option_that_step_does_not_have_is_refused(runner: Runner) -> None:
    _marked(runner, "retry=2", "pass")
    with pytest.raises(ProjectInvalid, match='@step has no "retry"; it has cache, retries'):
        runner.run()


def test_braces_in_a_line_are_its_own_and_a_value_that_nothing_takes_is_refused(runner: Runner) -> None:
    runner.edit("import pickle\n", "import pickle\nfrom modelwright import command\n")
    line = """sh -c \"echo 3 | awk '{print $1 * {times}}' > out.txt\""""
    runner.edit("def split(", f"three = command({line!r}, outputs=['out.txt'])\n\n\ndef split(")
    runner.edit("import evaluate,", "import three, evaluate,", file="pipeline.py")
    runner.edit("    rows = load()\n", "    rows = load()\n    raw = three(times=2)\n", file="pipeline.py")
    run = runner.run()
    assert b"6" in runner.store.blobs.path(run.steps[1].outputs["raw"]).read_bytes()
    runner.edit("three(times=2)", "three(times=2, depth=1)", file="pipeline.py")
    with pytest.raises(StepFailed, match='"depth" is neither'):
        runner.run()


def test_any_executable_is_a_step(runner: Runner) -> None:
    runner.edit("import pickle\n", "import pickle\nfrom modelwright import command\n")
    (runner.project / "double.sh").write_text("awk '{print $1 * 2}' rows.csv > out.txt\n")
    made = 'doubled = command("sh double.sh", inputs={"rows": "rows.csv"}, outputs=["out.txt"])'
    runner.edit(
        "def split(",
        f"{made}\n\n\ndef text(rows):\n    return chr(10).join(map(str, rows))\n\n\n"
        "def numbers(raw):\n    return [float(each) for each in raw.split()]\n\n\ndef split(",
    )
    runner.edit("import evaluate,", "import doubled, numbers, text, evaluate,", file="pipeline.py")
    runner.edit(
        "    rows = load()\n",
        "    rows = load()\n    words = text(rows)\n    raw = doubled(rows=words)\n    rows = numbers(raw)\n",
        file="pipeline.py",
    )
    assert runner.run().metrics == {"error": 3.0}
    runner.run()
    assert runner.ran() == []
    (runner.project / "double.sh").write_text("awk '{print $1 * 3}' rows.csv > out.txt\n")
    assert runner.run().metrics == {"error": 4.5}
    runner.edit("sh double.sh", "Rscripty double.sh")
    with pytest.raises(StepFailed, match='"Rscripty" is not installed here'):
        runner.run()
