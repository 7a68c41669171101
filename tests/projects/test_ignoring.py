"""Ignore files mean what git says they mean."""

import subprocess
from pathlib import Path

import pytest

from modelwright.projects import ignoring
from modelwright.projects.code import code_digest, code_files, copy_code

PATHS = (
    "a.py", "b.txt", "data/a.csv", "data/deep/a.csv", "data/deep/b.txt", "src/data/a.py", "src/x/y/z.py",
    "docs/a b.md", "#name", "!name", "build/x", "src/build/x", "a[1].py", "ab.py", "naïve.py", "x-1.log", "x-2.log",
)  # fmt: skip
IGNORE_FILES = (
    "*.csv", "data/", "/data", "data/*", "data/**", "**/data", "src/**/z.py", "*.py\n!a.py", "data/*\n!data/deep/",
    r"\#name", r"\!name", "# a comment\n\n", "build", "/build/", "src/build", "a?.py", "[ab].py", "[!a].py", "a b.md",
    "docs/a b.md  ", "**/deep/**", "*", "*\n!*/\n!*.py", "x-[12].log", r"a\[1].py", "x-[0-1]*", "**", "dat*/", "?.py",
    "src/*/y", "src/**", "/*\n!/src", "a.py/", "[[:digit:]]*", "[^b]*.py", "**/*.csv", "data/**/a.csv",
)  # fmt: skip


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tree")
    subprocess.run(["git", "init", "--quiet", folder], check=True)
    for path in PATHS:
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(path)
    return folder


@pytest.mark.parametrize("text", IGNORE_FILES)
def test_an_ignore_file_leaves_out_what_git_leaves_out(tree: Path, text: str) -> None:
    (tree / ".gitignore").write_text(text)
    command = ["git", "-C", tree, "ls-files", "-z", "--others", "--exclude-standard"]
    seen = subprocess.run(command, check=True, capture_output=True, text=True).stdout.split("\0")
    assert set(code_files(tree)) == set(seen) - {"", ".gitignore"}


def test_the_own_ignore_file_replaces_that_of_git_and_may_take_hidden_files_in(tmp_path: Path) -> None:
    for name in ("a.py", "data.csv", "model.bin", ".streamlit/config.toml", ".env", "outputs/x", ".git/HEAD"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(name)
    (tmp_path / ignoring.GIT_FILE).write_text("*.csv\n")
    assert list(code_files(tmp_path)) == ["a.py", "model.bin"]
    (tmp_path / ignoring.OWN_FILE).write_text("*.bin\n!.streamlit/\n!.git/\n")
    assert list(code_files(tmp_path)) == [".streamlit/config.toml", ".wrightignore", "a.py", "data.csv"]


def test_ignore_files_below_count_for_their_folder(tmp_path: Path) -> None:
    for name in ("a.csv", "data/a.csv", "data/deep/a.csv", "data/deep/b.csv"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(name)
    (tmp_path / "data" / ".gitignore").write_text("/a.csv\n")
    (tmp_path / "data" / "deep" / ".gitignore").write_text("*.csv\n!b.csv\n")
    assert list(code_files(tmp_path)) == ["a.csv", "data/deep/b.csv"]


def test_a_copy_has_the_digest_of_its_source(tmp_path: Path) -> None:
    folder = tmp_path / "source"
    for name in ("a.py", "outputs/kept.py", "left.csv", ".hidden/x"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(name)
    (folder / ignoring.OWN_FILE).write_text("*.csv\n!outputs\n")
    assert copy_code(folder, tmp_path / "copy") == code_digest(folder) == code_digest(tmp_path / "copy")
    assert list(code_files(folder)) == [".wrightignore", "a.py", "outputs/kept.py"]


def test_the_repository_above_leaves_out_too_and_a_run_s_copy_does_not_ask_it(tmp_path: Path) -> None:
    project = tmp_path / "models" / "churn"
    for name in ("a.py", "b.log", "c.tmp", "kept.log"):
        (project / name).parent.mkdir(parents=True, exist_ok=True)
        (project / name).write_text(name)
    (tmp_path / ".gitignore").write_text("*.log\n/models/*/c.tmp\n")
    (tmp_path / "models" / ".gitignore").write_text("!churn/kept.log\n")
    assert list(code_files(project)) == ["a.py", "b.log", "c.tmp", "kept.log"]
    (tmp_path / ".git").mkdir()
    assert list(code_files(project)) == ["a.py", "kept.log"]
    workspace = project / ".wright"
    workspace.mkdir()
    (workspace / "modelwright.db").write_text("")
    (workspace / ".gitignore").write_text("*\n")
    assert copy_code(project, workspace / "runs" / "1" / "code") == code_digest(project)
    assert list(code_files(workspace / "runs" / "1" / "code")) == ["a.py", "kept.log"]
