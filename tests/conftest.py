"""What tests of several rooms share."""

import multiprocessing
import signal
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

from modelwright.environments.inspection import inspect
from modelwright.notebooks import layouts
from modelwright.projects.manifest import Manifest, manifest_text, read_manifest
from modelwright.records import BuiltEnvironment, Goal, Lock, LockSource
from modelwright.settings import interpreter
from modelwright.store import database
from modelwright.store.database import Store

# A project whose model is a number, so that its steps take milliseconds.
TRAIN = """
import pickle
from pathlib import Path


def load():
    return [1.0, 2.0, 3.0]


def split(rows, size=1):
    return rows[:-size], rows[-size:]


def fit(rows, alpha):
    print("fitting")
    return sum(rows) * alpha


def evaluate(model, rows):
    return {"error": abs(model - rows[0])}


def save(model, output_folder):
    Path(output_folder, "deep").mkdir()
    Path(output_folder, "deep", "model.pkl").write_bytes(pickle.dumps(model))
"""
PIPELINE = """
from small.train import evaluate, fit, load, save, split


def pipeline(alpha=0.5, output_folder="outputs"):
    rows = load()
    train, test = split(rows)
    model = fit(train, alpha)
    metrics = evaluate(model, test)
    save(model, output_folder)
    return {"model": model, "metrics": metrics}
"""
SCORE = """
import json
import os
import pickle
from pathlib import Path


def init():
    global model
    model = pickle.loads(Path(os.environ["AZUREML_MODEL_DIR"], "deep", "model.pkl").read_bytes())


def run(raw_data, request_headers):
    return {"result": [model * each for each in json.loads(raw_data)["data"]]}
"""
_PACKAGE = {
    "src/small/__init__.py": "",
    "src/small/train.py": TRAIN,
    "src/small/pipeline.py": PIPELINE,
    "src/small/score.py": SCORE,
}


def pytest_configure() -> None:
    """Let every run of the tests be like every other, on slow machines and in the background too."""
    # A shell that starts us in the background has us ignore Ctrl-C, and so all that tests start.
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    # The same examples every time, however long one takes.
    settings.register_profile(
        "suite", derandomize=True, deadline=None, suppress_health_check=[HealthCheck.too_slow], print_blob=True
    )
    settings.load_profile("suite")


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    """An empty workspace."""
    opened = database.open_store(tmp_path / ".wright")
    yield opened
    opened.close()


@pytest.fixture
def environment(tmp_path: Path) -> BuiltEnvironment:
    """The Python that runs the tests, as if it had been built from a lock."""
    folder = tmp_path / "environment"
    folder.symlink_to(sys.prefix)
    lock = Lock(text="", python_version="3", platform="here", digest="0" * 64, source=LockSource.INDEX)
    return BuiltEnvironment(lock, folder)


@pytest.fixture
def processes() -> Any:
    """Where processes come from that have loaded what they need, but share no connection and no lock with this one."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["modelwright.lifecycle.registering", "modelwright.cli.program"])
    return context


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A small project with a manifest, whose gate wants the lowest error."""
    return _project(tmp_path, _PACKAGE, package="small")


@pytest.fixture
def locked(project: Path) -> Path:
    """The small project with a real lock: of this Python, and no packages."""
    return _locked(project)


def write_project(folder: Path) -> Path:
    """Write the small project with a real lock into a folder, where no fixture does, and return where."""
    return _locked(_project(folder, _PACKAGE, package="small"))


def _locked(project: Path) -> Path:
    found = inspect(interpreter())
    manifest = replace(
        read_manifest(project), python_version=found.python_version, platform=found.platform, gate_metric=None
    )
    (project / "wright.toml").write_text(manifest_text(manifest))
    (project / "requirements.lock").write_text("")
    return project


@pytest.fixture
def flat_project(tmp_path: Path) -> Path:
    """The small project as version 0.1 laid it out: its modules in its folder, and no word of a package."""
    modules = {"train": TRAIN, "pipeline": PIPELINE.replace("small.", ""), "score": SCORE}
    files = {f"{name}.py": text for name, text in modules.items()}
    folder = _project(tmp_path / "of-old", files, package="")
    assert "package" not in (folder / "wright.toml").read_text()
    return folder


def _project(tmp_path: Path, files: dict[str, str], *, package: str) -> Path:
    folder = tmp_path / "small"
    for name, text in {**files, "sample.json": '{"data": [1, 2]}'}.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    manifest = Manifest(
        folder=folder,
        name="small",
        training=tmp_path / "training.ipynb",
        scoring=None,
        gate_metric="error",
        gate_goal=Goal.MINIMIZE,
        python_version="3",
        platform="here",
        lock_source=LockSource.INDEX,
        generated={},
        layout=layouts.layout(package),
    )
    (folder / "wright.toml").write_text(manifest_text(manifest))
    return folder
