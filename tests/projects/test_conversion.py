"""Laying out a project folder: what is ours is replaced, what is the user's is kept."""

from dataclasses import replace
from pathlib import Path

import nbformat
import pytest
from blake3 import blake3
from nbformat import v4

from modelwright.errors import EditsCollide, FolderNotWritable, ProjectEdited
from modelwright.notebooks import layouts, planning, reading
from modelwright.notebooks.proof import ProjectRun
from modelwright.projects import conversion, digesting
from modelwright.projects.code import code_digest
from modelwright.projects.conversion import Locked, Study
from modelwright.projects.manifest import PAGE_FILE, read_manifest
from modelwright.records import BuiltEnvironment, Comparison, NotebookRun, Proof, Requirement
from modelwright.store.blobs import digest_of

CODE = """
import joblib
import pandas as pd
from sklearn.linear_model import Ridge
from sklearn.metrics import mean_squared_error
table = pd.read_csv("data/rows.csv")
model = Ridge(alpha=0.5)
model.fit(table[["a"]], table["b"])
print("mse", mean_squared_error(table["b"], model.predict(table[["a"]])))
joblib.dump(model, "model.pkl")
"""


@pytest.fixture
def studied(tmp_path: Path) -> Study:
    """A notebook that was read and planned; its run is made up, since only files are looked at here."""
    folder = tmp_path / "notebooks"
    (folder / "data").mkdir(parents=True)
    (folder / "data" / "rows.csv").write_text("a,b\n1,2\n2,4\n")
    (folder / "n.ipynb").write_text(nbformat.writes(v4.new_notebook(cells=[v4.new_code_cell(CODE)])))
    notebook = reading.read(folder / "n.ipynb")
    run = NotebookRun(
        notebook="n.ipynb",
        python_version="3",
        outputs=(),
        metrics={"mse": 0.1},
        parts={},
        overlaps={},
        rows_file=None,
        rows={"columns": ["a"], "rows": [[1.0], [2.0]]},
        predictions=[2.0, 4.0],
        certainty=None,
        answer=None,
        unseen={},
        folder=folder,
        elapsed_seconds=0.0,
    )
    draft = Proof((), 1e-9, "", "", "3")
    draft_run = ProjectRun({"modules": [], "rows": {}, "seconds": {}}, folder, folder)
    return Study(notebook, None, planning.plan(notebook), run, None, folder, draft_run, draft)


@pytest.fixture
def locked(environment: BuiltEnvironment) -> Locked:
    return Locked((Requirement("pandas", "3"),), environment)


def _lay_out(studied: Study, locked: Locked, into: Path, *, is_overwritten: bool = False) -> None:
    layout = layouts.layout("small")
    conversion.lay_out(studied, locked, name="small", layout=layout, into=into, is_overwritten=is_overwritten)


def test_a_second_conversion_replaces_what_the_first_wrote(studied: Study, locked: Locked, tmp_path: Path) -> None:
    _lay_out(studied, locked, tmp_path / "small")
    first = {path: path.read_bytes() for path in (tmp_path / "small").rglob("*") if path.is_file()}
    _lay_out(studied, locked, tmp_path / "small")
    assert {path: path.read_bytes() for path in (tmp_path / "small").rglob("*") if path.is_file()} == first
    assert (tmp_path / "small" / "data" / "rows.csv").read_text() == "a,b\n1,2\n2,4\n"
    assert read_manifest(tmp_path / "small").gate_metric == "mse"


def test_the_rules_of_the_gate_outlive_a_second_conversion(studied: Study, locked: Locked, tmp_path: Path) -> None:
    _lay_out(studied, locked, tmp_path / "small")
    path = tmp_path / "small" / "wright.toml"
    path.write_text(path.read_text().replace("[gate]", "[gate]\nconfidence = 0.9"))
    _lay_out(studied, locked, tmp_path / "small")
    assert read_manifest(tmp_path / "small").gate_rules.confidence == 0.9


@pytest.mark.parametrize("has_texts", [True, False])
@pytest.mark.parametrize(
    "edited", ["src/small/train.py", "tests/test_train.py", "README.md", "data/rows.csv", "parameters.toml"]
)
def test_an_edited_file_is_never_overwritten_unasked(
    studied: Study, locked: Locked, tmp_path: Path, edited: str, has_texts: bool
) -> None:
    into = tmp_path / "small"
    _lay_out(studied, locked, into)
    (into / edited).write_text("mine")
    if has_texts and edited != "data/rows.csv":
        conversion.check_place(into, is_overwritten=False)
        _lay_out(studied, locked, into)
    else:
        # Without the texts of the last conversion nobody knows what was edited.
        (into / ".wright-base.json").unlink()
        with pytest.raises(ProjectEdited, match=f'"{edited}"'):
            conversion.check_place(into, is_overwritten=False)
        with pytest.raises(ProjectEdited, match=f'"{edited}"'):
            _lay_out(studied, locked, into)
    assert (into / edited).read_text() == "mine"
    _lay_out(studied, locked, into, is_overwritten=True)
    assert (into / edited).read_text() != "mine"


def _with_alpha(studied: Study, value: float) -> Study:
    (alpha,) = studied.plan.parameters
    functions = tuple(
        replace(each, code=each.code.replace("alpha: float = 0.5", f"alpha: float = {value}"))
        for each in studied.plan.functions
    )
    return replace(studied, plan=replace(studied.plan, parameters=(replace(alpha, value=value),), functions=functions))


def test_edits_and_a_new_conversion_are_put_together(studied: Study, locked: Locked, tmp_path: Path) -> None:
    into = tmp_path / "small"
    train = into / "src" / "small" / "train.py"
    _lay_out(studied, locked, into)
    train.write_text(train.read_text().replace("def load_data(", "# from the field\ndef load_data("))
    for value in (0.7, 0.9):
        _lay_out(_with_alpha(studied, value), locked, into)
        assert "# from the field\ndef load_data(" in train.read_text()
        assert f"alpha: float = {value}" in train.read_text()
        assert "alpha: float = 0.5" not in train.read_text()


def test_edits_that_collide_with_a_new_conversion_stop_it(studied: Study, locked: Locked, tmp_path: Path) -> None:
    into = tmp_path / "small"
    train = into / "src" / "small" / "train.py"
    _lay_out(studied, locked, into)
    train.write_text(train.read_text().replace("alpha: float = 0.5", "alpha: float = 0.6"))
    before = {path: path.read_bytes() for path in into.rglob("*") if path.is_file()}
    with pytest.raises(EditsCollide, match=r'"src/small/train\.py"'):
        _lay_out(_with_alpha(studied, 0.7), locked, into)
    assert {path: path.read_bytes() for path in into.rglob("*") if path.is_file()} == before


def test_files_of_the_users_own_are_left_alone(studied: Study, locked: Locked, tmp_path: Path) -> None:
    into = tmp_path / "small"
    into.mkdir()
    (into / "notes.md").write_text("mine")
    _lay_out(studied, locked, into)
    _lay_out(studied, locked, into)
    assert (into / "notes.md").read_text() == "mine"


def test_a_folder_with_a_train_py_of_another_origin_is_refused(studied: Study, locked: Locked, tmp_path: Path) -> None:
    into = tmp_path / "small"
    (into / "src" / "small").mkdir(parents=True)
    (into / "src" / "small" / "train.py").write_text("mine")
    with pytest.raises(ProjectEdited, match=r'"src/small/train\.py"'):
        _lay_out(studied, locked, into)


def test_what_the_new_conversion_no_longer_has_is_removed(studied: Study, locked: Locked, tmp_path: Path) -> None:
    into = tmp_path / "small"
    _lay_out(studied, locked, into)
    (into / "tests" / "test_mine.py").write_text("mine")
    _lay_out(replace(studied, plan=replace(studied.plan, data_files=())), locked, into)
    assert not (into / "data" / "rows.csv").exists()
    assert (into / "tests" / "test_mine.py").exists()


def test_a_place_that_cannot_hold_a_folder_is_refused_before_anything_runs(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(FolderNotWritable, match="file/small"):
        conversion.check_place(tmp_path / "file" / "small", is_overwritten=False)


def test_the_page_of_a_conversion_is_neither_code_nor_an_edit(studied: Study, locked: Locked, tmp_path: Path) -> None:
    into = tmp_path / "small"
    _lay_out(studied, locked, into)
    digest = code_digest(into)
    assert "Not proven" in (into / PAGE_FILE).read_text()
    proof = Proof((Comparison("mse", "metric", 0.1, 0.1, is_equal=True, difference=0.0),), 1e-9, "", "", "3")
    conversion.write_page(studied, read_manifest(into), proof=proof, tests="3 passed")
    text = (into / PAGE_FILE).read_text()
    assert "Proven equal" in text
    assert "3 passed" in text
    assert str(tmp_path) not in text
    assert code_digest(into) == digest
    assert PAGE_FILE not in read_manifest(into).generated
    _lay_out(studied, locked, into)
    assert "Not proven" in (into / PAGE_FILE).read_text()


def test_the_page_shows_the_project_as_the_user_edited_it(studied: Study, locked: Locked, tmp_path: Path) -> None:
    _lay_out(studied, locked, tmp_path / "small")
    train = tmp_path / "small" / "src" / "small" / "train.py"
    train.write_text(f"{train.read_text()}# of my own\n")
    _lay_out(studied, locked, tmp_path / "small")
    assert "# of my own" in (tmp_path / "small" / PAGE_FILE).read_text()


def test_a_page_of_the_users_own_is_not_overwritten(studied: Study, locked: Locked, tmp_path: Path) -> None:
    (tmp_path / "small").mkdir()
    (tmp_path / "small" / PAGE_FILE).write_text("<p>mine</p>")
    with pytest.raises(ProjectEdited, match=PAGE_FILE):
        _lay_out(studied, locked, tmp_path / "small")
    assert (tmp_path / "small" / PAGE_FILE).read_text() == "<p>mine</p>"
    _lay_out(studied, locked, tmp_path / "small", is_overwritten=True)
    assert "mine" not in (tmp_path / "small" / PAGE_FILE).read_text()


def test_each_function_knows_its_cells_and_what_was_written(studied: Study, locked: Locked, tmp_path: Path) -> None:
    _lay_out(studied, locked, tmp_path / "small")
    manifest = read_manifest(tmp_path / "small")
    found = conversion.origins_of(studied, manifest)
    assert {each.name for each in studied.plan.functions} <= {each.name for each in found}
    lines = CODE.splitlines()
    for each in found:
        assert manifest.generated[each.path] == each.file == digest_of(tmp_path / "small" / each.path)
        (cell,) = each.cells
        assert (cell.notebook, cell.cell, cell.digest) == ("n.ipynb", 1, blake3(CODE.encode()).hexdigest())
        assert all(lines[number - 1].strip() for number in cell.lines)
    texts = {each.path: (tmp_path / "small" / each.path).read_text() for each in found}
    for path, text in texts.items():
        commented = text.replace("\n\n\n", "\n\n# A comment.\n\n").replace('"""', '"""Other. ', 1)
        digests = {each.name: digesting.code_digest(each) for each in digesting.definitions(commented)}
        assert all(digests[each.name] == each.digest for each in found if each.path == path)
