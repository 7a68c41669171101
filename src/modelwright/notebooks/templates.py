"""The texts that generated tests are put together from."""

CONFTEST = '''"""What the functions are given, and what they gave in the notebook, within the tests' reach."""

import json
import os
from pathlib import Path

import pytest

os.environ.setdefault("MPLBACKEND", "Agg")

from stepping import Steps  # noqa: E402 - figures are drawn for no screen

HERE = Path(__file__).parent


@pytest.fixture(scope="session")
def golden():
    """Return what was noted at conversion; its `not tested` says what was not, and why."""
    return json.loads((HERE / "golden.json").read_text(encoding="utf-8"))


@pytest.fixture(scope="session")
def steps(golden, tmp_path_factory):
    """Return the project's functions in the order of their calls."""
    folder = str(tmp_path_factory.mktemp("outputs"))
    return Steps(golden["steps"], folder, golden["most rows"])


@pytest.fixture
def given(steps):
    """Return a function that gives copies of what one of the project's functions is given.

    It also sets the shared random states to what they are when that function is called.
    """
    return steps.given


@pytest.fixture(autouse=True)
def elsewhere(monkeypatch, tmp_path):
    """Run each test in a folder of its own: what is written, is written there."""
    monkeypatch.chdir(tmp_path)
'''

TOLERANCE = "TOLERANCE = 1e-9\n"

GIVES = """

{header}
{arrange}

{act}

{check}
"""

MAIN = """

def test_main_prints_what_the_notebook_did_and_saves_the_model(
    monkeypatch, capsys, tmp_path, steps, golden
):
    monkeypatch.setattr(sys, "argv", ["train.py", "--output-folder", str(tmp_path / "outputs")])
    steps.restart()

    with steps.fewer_rows():
        main()

    text = capsys.readouterr().out
{check}"""

MAIN_METRICS = """
    printed = dict(line.split(": ", 1) for line in text.splitlines() if ": " in line)
    metrics = {name: float(printed[name]) for name in golden["metrics"]}
    assert difference(metrics, golden["metrics"]) <= TOLERANCE
"""

MAIN_CONTENTS = """
    saved = tmp_path / "outputs"
{check}
"""

MAIN_PREDICTIONS = """
{load}
    table = golden["rows"]
    rows = {rows}
    assert difference(plain(model.predict(rows)), golden["predictions"]) <= TOLERANCE
"""

MAIN_CERTAINTY = """    assert difference(certainty(model, rows), golden["certainty"]) <= TOLERANCE
"""

MAIN_SAVES = """
    saved = tmp_path / "outputs"
    assert (saved / "{model_file}").stat().st_size > 0
"""

PIPELINE = """

def test_pipeline_gives_and_saves_the_same_as_its_steps(capsys, tmp_path, steps, golden):
    steps.restart()

    with steps.fewer_rows():
        result = pipeline(output_folder=str(tmp_path / "outputs"))

    noted = golden["pipeline"]
{check}
"""

IMPORTS = """SOURCE = {source}
MODULES = [
{modules}
]


def test_imports_do_nothing_else(tmp_path):
    command = [sys.executable, "-B", "-c", f"import {{', '.join(MODULES)}}"]
    environment = {{**os.environ, "PYTHONPATH": str(SOURCE)}}

    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, check=True)

    assert done.stdout == b""
    assert list(tmp_path.iterdir()) == []
"""

REPORT = """TOLERANCE = 1e-9


def test_main_draws_what_it_drew_at_conversion(monkeypatch, capsys, tmp_path, steps, golden):
    monkeypatch.setattr(sys, "argv", ["report.py", "--output-folder", str(tmp_path)])
    pyplot.plot([0, 1])  # a figure that something else left open is none of the report's
    steps.restart()

    with steps.fewer_rows(), depicted() as figures:
        main()

    noted = golden["report"]
    found = {name: describe(figures[name]) for name in noted["figures"]}
    others = [name for name in found if difference(found[name], noted["figures"][name]) > TOLERANCE]
    assert list(figures) == noted["pictures"]
    assert others == []
    printed = capsys.readouterr().out.splitlines()
    assert all(str(tmp_path / "report" / name) in printed for name in figures)
    assert pyplot.get_fignums() == []
"""

CALLS = '''{constants}


@pytest.fixture
def mocked(monkeypatch, golden):
    """Return a function that puts a mock in the place of each step that a module calls.

    It gives the mocks, each with the call that is to come.
    """

    def mocked_in(module):
        values, found = {{"output_folder": "elsewhere"}}, []
        for step in golden["calls"]:
            inputs = [values[name] for name in step["inputs"]]
            outputs = [
                {{"metric": 1.0}} if name == MEASURED else f"{{step['name']}} {{name}}"
                for name in step["outputs"]
            ]
            result = outputs[0] if len(outputs) == 1 else tuple(outputs)
            function = mock.Mock(return_value=result)
            monkeypatch.setattr(module, step["name"], function)
            found.append((function, mock.call(*inputs, **step["parameters"])))
            values.update(zip(step["outputs"], outputs))
        return found

    return mocked_in


def test_main_calls_each_step_with_what_it_needs(mocked, monkeypatch):
    module = importlib.import_module(TRAIN)
    steps = mocked(module)
    monkeypatch.setattr(sys, "argv", ["train.py", "--output-folder", "elsewhere"])

    module.main()

    assert [each.call_args_list for each, _ in steps] == [[call] for _, call in steps]


def test_pipeline_calls_each_step_with_what_it_needs(mocked):
    module = importlib.import_module(PIPELINE)
    steps = mocked(module)

    module.pipeline(output_folder="elsewhere")

    assert [each.call_args_list for each, _ in steps] == [[call] for _, call in steps]
'''

SCORE = '''PROJECT = pathlib.Path(__file__).resolve().parents[1]
{module}
TOLERANCE = 1e-9


@pytest.fixture(scope="module")
def model_folder(steps, tmp_path_factory):
    """Train the model once; return the folder that it is in."""
    folder = tmp_path_factory.mktemp("model") / "1"
    steps.restart()
    with pytest.MonkeyPatch.context() as patch, steps.fewer_rows():
        patch.setattr(sys, "argv", ["train.py", "--output-folder", str(folder)])
        patch.chdir(folder.parent)
        main()
    return folder


@pytest.fixture
def fresh_score(monkeypatch, model_folder):
    """Return score.py as a server has it: just imported, AZUREML_MODEL_DIR set."""
    monkeypatch.setenv("AZUREML_MODEL_DIR", str(model_folder))
    monkeypatch.delitem(sys.modules, MODULE, raising=False)
    return importlib.import_module(MODULE)


def test_answer_is_that_of_the_notebook(fresh_score, golden):
    fresh_score.init()

    answer = fresh_score.run(golden["request"], {{}})

{check}


def test_model_is_looked_for_in_the_project_when_nothing_is_served(fresh_score, monkeypatch):
    monkeypatch.delenv("AZUREML_MODEL_DIR")

    assert pathlib.Path(fresh_score.model_folder()) == PROJECT / "outputs"
'''

SCORE_REPEATS = """

def test_second_answer_is_the_same(fresh_score, golden):
    fresh_score.init()

    first = fresh_score.run(golden["request"], {})
    second = fresh_score.run(golden["request"], {})

    assert second == first
"""

SCORE_EARLY = """

def test_model_is_loaded_by_init_and_not_before(fresh_score, golden):
    with pytest.raises(NameError):
        fresh_score.run(golden["request"], {})
"""

SCORE_MISSING = """

def test_missing_model_is_found_by_init(fresh_score, monkeypatch, tmp_path):
    monkeypatch.setenv("AZUREML_MODEL_DIR", str(tmp_path))

    with pytest.raises(FileNotFoundError):
        fresh_score.init()
"""
