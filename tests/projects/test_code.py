"""Which files are a project's code."""

import os
from pathlib import Path

from modelwright.projects.code import code_digest, code_files


def _project(folder: Path) -> Path:
    for name in (
        "train.py",
        "tests/test_train.py",
        "outputs/model.pkl",
        "__pycache__/train.pyc",
        ".git/HEAD",
        "a/.b/c",
    ):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
    return folder


def test_outputs_caches_and_hidden_files_are_no_code(tmp_path: Path) -> None:
    assert list(code_files(_project(tmp_path))) == ["tests/test_train.py", "train.py"]


def test_the_digest_follows_content_and_names_and_nothing_else(tmp_path: Path) -> None:
    first = code_digest(_project(tmp_path))
    os.utime(tmp_path / "train.py", (1, 1))
    (tmp_path / "outputs" / "more.txt").write_text("")
    assert code_digest(tmp_path) == first
    (tmp_path / "train.py").write_text("changed")
    changed = code_digest(tmp_path)
    assert changed != first
    (tmp_path / "train.py").rename(tmp_path / "fit.py")
    assert code_digest(tmp_path) not in {first, changed}
