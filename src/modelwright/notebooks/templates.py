"""The texts that generated tests are put together from."""

CONFTEST = '''"""Puts what the notebook gave within the tests' reach."""

import json
from pathlib import Path

import pytest

HERE = Path(__file__).parent


@pytest.fixture(scope="session")
def golden():
    """Return what was seen when the notebook ran."""
    return json.loads((HERE / "golden.json").read_text(encoding="utf-8"))
'''

STEPS = '''SOURCE = pathlib.Path(__file__).resolve().parents[1] / "src"
TOLERANCE = 1e-9


@pytest.fixture(scope="module")
def steps(tmp_path_factory):
    """Run every step once, with the notebook's parameters; return what each gave."""
    output_folder = str(tmp_path_factory.mktemp("outputs"))
    parts_seen = {{}}
{steps}
    return types.SimpleNamespace(**locals())
'''

PART = """

def test_{function}_gives_{name}_as_in_the_notebook(steps, golden):
    part = "{function}.{name}"
    assert difference(steps.parts_seen[part], golden["parts"][part]) <= TOLERANCE
"""

OVERLAP = """

def test_{function}_keeps_test_rows_apart(steps, golden):
    assert steps.overlaps_seen == golden["overlaps"]["{function}"]
"""

METRICS = """

def test_metrics_are_those_of_the_notebook(steps, golden):
    assert difference(steps.{measured}, golden["metrics"]) <= TOLERANCE
"""

REACHES = """

def test_{parameter}_reaches_the_model(steps):
{call}
    assert model.get_params()["{keyword}"] == {other}
"""

MAIN = """

def test_main_prints_the_metrics_and_saves_the_model(monkeypatch, capsys, tmp_path, golden):
    monkeypatch.setattr(sys, "argv", ["train.py", "--output-folder", str(tmp_path / "outputs")])
    main()
    lines = capsys.readouterr().out.splitlines()
    printed = dict(line.split(": ", 1) for line in lines if ": " in line)
    metrics = {{name: float(printed[name]) for name in golden["metrics"]}}
    assert difference(metrics, golden["metrics"]) <= TOLERANCE
{predictions}"""

MAIN_PREDICTIONS = """    model = {load}
    table = golden["rows"]
    rows = {rows}
    assert difference(plain(model.predict(rows)), golden["predictions"]) <= TOLERANCE
"""

MAIN_CERTAINTY = """    assert difference(certainty(model, rows), golden["certainty"]) <= TOLERANCE
"""

MAIN_SAVES = """    assert (tmp_path / "outputs" / "{model_file}").stat().st_size > 0
"""

IMPORT = """

def test_import_of_{name}_does_nothing_else(tmp_path):
    environment = {{**os.environ, "PYTHONPATH": str(SOURCE)}}
    command = [sys.executable, "-B", "-c", "import {module}"]
    done = subprocess.run(
        command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=True
    )
    assert done.stdout == ""
    assert list(tmp_path.iterdir()) == []
"""

SCORE = '''PROJECT = pathlib.Path(__file__).resolve().parents[1]
SOURCE = PROJECT / "src"
TOLERANCE = 1e-9


@pytest.fixture(scope="module")
def model_folder(tmp_path_factory):
    """Train the model once; return the folder that it is in."""
    folder = tmp_path_factory.mktemp("model") / "1"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["train.py", "--output-folder", str(folder)])
        main()
    return folder


@pytest.fixture
def fresh_score(monkeypatch, model_folder):
    """Return score.py as a server sees it: just imported, with the model's folder in AZUREML_MODEL_DIR."""
    monkeypatch.setenv("AZUREML_MODEL_DIR", str(model_folder))
    monkeypatch.delitem(sys.modules, "{module}", raising=False)
    return importlib.import_module("{module}")


def test_answer_is_that_of_the_notebook(fresh_score, golden):
    fresh_score.init()
    answer = fresh_score.run(golden["request"], {{}})
    assert difference(json.loads(json.dumps(answer)), golden["answer"]) <= TOLERANCE


def test_second_answer_is_the_same(fresh_score, golden):
    fresh_score.init()
    first = fresh_score.run(golden["request"], {{}})
    assert fresh_score.run(golden["request"], {{}}) == first


def test_model_is_loaded_by_init_and_not_before(fresh_score, golden):
    with pytest.raises(NameError):
        fresh_score.run(golden["request"], {{}})


def test_missing_model_is_found_by_init(fresh_score, monkeypatch, tmp_path):
    monkeypatch.setenv("AZUREML_MODEL_DIR", str(tmp_path))
    with pytest.raises(FileNotFoundError):
        fresh_score.init()


def test_model_is_looked_for_in_the_project_when_nothing_is_served(fresh_score, monkeypatch):
    monkeypatch.delenv("AZUREML_MODEL_DIR")
    assert pathlib.Path(fresh_score.model_folder()) == PROJECT / "outputs"
'''
