"""Project folders appear when they are whole, or not at all."""

from pathlib import Path

import pytest

from modelwright.errors import FolderNotEmpty, FolderNotWritable
from modelwright.projects import folders


def _interrupted(into: Path) -> None:
    with folders.unfinished(into) as unfinished:
        folders.write(unfinished, {"src/train.py": "", "wright.toml": ""})
        raise KeyboardInterrupt


@pytest.mark.parametrize("is_there", [True, False])
def test_an_interruption_leaves_the_folder_as_it_was(tmp_path: Path, *, is_there: bool) -> None:
    into = tmp_path / "project"
    if is_there:
        folders.write(into, {"mine.txt": "mine"})
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(KeyboardInterrupt):
        _interrupted(into)
    assert sorted(tmp_path.rglob("*")) == before


def test_what_a_killed_one_left_is_not_taken_over(tmp_path: Path) -> None:
    folders.write(tmp_path / ".project.partial", {"half.py": ""})
    with folders.unfinished(tmp_path / "project") as unfinished:
        folders.write(unfinished, {"whole.py": ""})
    assert [each.name for each in (tmp_path / "project").iterdir()] == ["whole.py"]
    assert [each.name for each in tmp_path.iterdir()] == ["project"]


def test_other_files_of_the_folder_stay(tmp_path: Path) -> None:
    folders.write(tmp_path, {"src/mine.py": "mine", "train.py": "old"})
    with folders.unfinished(tmp_path) as unfinished:
        folders.write(unfinished, {"src/new.py": "new", "train.py": "new"})
    found = {path.name: path.read_text() for path in tmp_path.rglob("*.py")}
    assert found == {"mine.py": "mine", "new.py": "new", "train.py": "new"}


def test_a_repository_and_a_workspace_are_no_files_to_be_lost(tmp_path: Path) -> None:
    folders.check_empty(tmp_path / "absent")
    folders.check_empty(tmp_path)
    folders.write(tmp_path, {".git/config": "", ".wright/workspace.db": ""})
    folders.check_empty(tmp_path)


def test_what_a_folder_holds_is_named(tmp_path: Path) -> None:
    folders.write(tmp_path, {"a.txt": "", "b.txt": "", "c.txt": "", "d.txt": ""})
    with pytest.raises(FolderNotEmpty, match=r'"a\.txt", "b\.txt", "c\.txt", …'):
        folders.check_empty(tmp_path)


def test_a_file_is_no_folder(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(FolderNotWritable, match="Not a directory"):
        folders.check_empty(tmp_path / "file")
