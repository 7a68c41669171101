"""Which files are a project's code."""

import os
from pathlib import Path

import pytest

from modelwright.errors import SnapshotTooLarge
from modelwright.projects.code import code_digest, code_files, code_state, digest_files


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


def test_virtual_environments_and_workspaces_are_no_code_whatever_they_are_called(tmp_path: Path) -> None:
    for name in ("train.py", "env/pyvenv.cfg", "env/lib/x.py", "records/modelwright.db", "records/blobs/ab/c"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(name)
    assert list(code_files(tmp_path)) == ["train.py"]


def test_a_folder_that_is_too_large_is_refused_and_its_weight_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "data").mkdir()
    for number in range(2_001):
        (tmp_path / "data" / f"{number}.txt").write_text("x")
    with pytest.raises(SnapshotTooLarge, match=r'more than 2,000 files.*"data/" 2,001 bytes'):
        code_files(tmp_path)
    (tmp_path / ".wrightignore").write_text("data/1*\n")
    assert len(code_files(tmp_path)) < 2_000
    (tmp_path / ".wrightignore").unlink()
    monkeypatch.setenv("WRIGHT_SNAPSHOT_NO_LIMIT", "1")
    assert len(code_files(tmp_path)) == 2_001
    monkeypatch.delenv("WRIGHT_SNAPSHOT_NO_LIMIT")
    with (tmp_path / "large.bin").open("wb") as handle:
        handle.truncate(301 * 1024 * 1024)
    (tmp_path / ".wrightignore").write_text("data/\n")
    with pytest.raises(SnapshotTooLarge, match=r'more than 300 MB.*"large.bin"'):
        code_files(tmp_path)


def test_the_state_of_the_code_is_what_its_digest_says_after_every_kind_of_edit(tmp_path: Path) -> None:
    train = _project(tmp_path) / "train.py"
    assert digest_files(code_state(tmp_path)) == code_digest(tmp_path)
    for text in ("same", "size", "and more"):  # within one tick of the clock, the first two of one size
        train.write_text(text)
        assert digest_files(code_state(tmp_path)) == code_digest(tmp_path)
    (tmp_path / "new.py").write_text("")
    assert digest_files(code_state(tmp_path)) == code_digest(tmp_path)
    train.unlink()
    assert [each.path for each in code_state(tmp_path)] == ["new.py", "tests/test_train.py"]
