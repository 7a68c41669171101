"""Training a project, by what its steps say of themselves."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from modelwright.environments import registration
from modelwright.errors import EnvironmentMissing, InUse
from modelwright.lifecycle import deletion, training
from modelwright.lifecycle.sessions import Session
from modelwright.projects.manifest import Manifest
from modelwright.settings import child_environment
from modelwright.store import runs


def _mark(manifest: Manifest, options: str, body: str) -> None:
    path = manifest.folder / "src" / "small" / "train.py"
    text = path.read_text().replace("import pickle\n", "import pickle\nfrom modelwright import step\n")
    text = text.replace("def fit(", f"@step({options})\ndef fit(").replace("return sum(rows) * alpha", body)
    path.write_text(text)


def test_a_step_runs_in_the_environment_that_it_names(session: Session, manifest: Manifest, tmp_path: Path) -> None:
    wanted = tmp_path / "requirements.txt"
    wanted.write_text("iniconfig\n")
    registration.add(session.store, "other", wanted, changing=session.change)
    _mark(manifest, 'environment="other:1"', "import iniconfig\n    return sum(rows) * alpha")
    trained = training.train(session, manifest, is_gated=False)
    assert [each.status for each in trained.run.steps] == ["succeeded"] * 5
    with pytest.raises(InUse, match=trained.run.id):
        deletion.delete_environment(session, "other:1")

    (fit,) = [each for each in runs.get_run(session.store, trained.run.id).steps if each.name == "fit"]
    wanted.write_text("iniconfig\npluggy\n")
    registration.add(session.store, "other", wanted, changing=session.change)
    assert training.train(session, manifest, is_gated=False).run.steps[2].reused_from == trained.run.id
    _mark(manifest, 'environment="other:2"', "return sum(rows) * alpha")
    again = training.train(session, manifest, is_gated=False).run.steps[2]
    assert (again.reused_from, again.key == fit.key) == (None, False)


SCRIPT = """
import time
import modelwright
with modelwright.start_run("long") as run:
    print(run.id, flush=True)
    time.sleep(600)
"""


def test_a_tracked_script_is_cancelled_as_by_ctrl_c(session: Session, tmp_path: Path) -> None:
    environment = child_environment({"WRIGHT_WORKSPACE": str(session.store.folder)})
    with subprocess.Popen(
        [sys.executable, "-c", SCRIPT], cwd=tmp_path, env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    ) as script:
        assert script.stdout
        run_id = script.stdout.readline().decode().strip()
        training.cancel(replace(session, why="enough"), run_id)
        assert script.wait(120) != 0
    assert runs.get_run(session.store, run_id).status == "cancelled"


def test_an_environment_that_there_is_none_of_is_refused_before_anything_runs(
    session: Session, manifest: Manifest
) -> None:
    _mark(manifest, 'environment="nothing"', "return 1")
    with pytest.raises(EnvironmentMissing, match='"nothing"'):
        training.train(session, manifest, is_gated=False)
