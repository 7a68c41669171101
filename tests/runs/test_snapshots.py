"""Which code ran: files, commit, and the difference from it."""

import os
import subprocess
from pathlib import Path

import pytest

from modelwright.runs import snapshots
from modelwright.runs.snapshots import git_state, take, without_credentials


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A repository with a commit and a project in a folder of it."""
    folder = tmp_path / "repository"
    (folder / "project").mkdir(parents=True)
    (folder / "project" / "train.py").write_text("alpha = 1\nbeta = 2\n")
    (folder / "project" / "gone.py").write_text("gone\n")
    (folder / "project" / "blob.bin").write_bytes(bytes(range(256)))
    (folder / "other.py").write_text("other\n")
    (folder / ".gitignore").write_text("*.log\n")
    _git(folder, "init", "--quiet", "--initial-branch", "main")
    _git(folder, "add", ".")
    _commit(folder, "first")
    return folder


def _git(folder: Path, *arguments: str) -> str:
    done = subprocess.run(["git", "-C", folder, *arguments], check=True, capture_output=True, text=True)
    return done.stdout.strip()


def _commit(folder: Path, message: str) -> None:
    who = ("-c", "user.name=Ada", "-c", "user.email=ada@example.com", "-c", "commit.gpgsign=false")
    _git(folder, *who, "commit", "--quiet", "--allow-empty", "-am", message)


def _change(project: Path) -> None:
    (project / "train.py").write_text("alpha = 1\nbeta = 3\n")
    (project / "gone.py").unlink()
    (project / "blob.bin").write_bytes(bytes(range(255, -1, -1)))
    (project / "new file.py").write_text("new = 'ü'")
    (project / "deep").mkdir()
    (project / "deep" / "new.bin").write_bytes(b"\0\1\2" * 100)
    (project / "run.log").write_text("ignored")
    (project / ".env").write_text("TOKEN=secret")


def test_a_clean_folder_is_its_commit(repository: Path) -> None:
    found = take(repository / "project")
    assert found.git is not None
    assert found.git.commit == _git(repository, "rev-parse", "HEAD")
    assert (found.git.branch, found.git.is_dirty, found.git.repository) == ("main", False, None)
    assert found.difference == b""
    (repository / "other.py").write_text("changed elsewhere")
    assert not take(repository / "project").difference


def test_a_folder_that_git_ignores_is_no_commits(repository: Path) -> None:
    (repository / ".gitignore").write_text("*.log\nscratch/\n")
    for folder in (repository / "scratch", repository / "scratch" / "deep"):
        folder.mkdir()
        (folder / "train.py").write_text("alpha = 1\n")
        assert take(folder).git is None
    (repository / "project" / "run.log").write_text("ignored")
    assert take(repository / "project").git


def test_the_difference_makes_the_commit_what_ran(repository: Path, tmp_path: Path) -> None:
    project = repository / "project"
    _change(project)
    status = _git(repository, "status", "--porcelain")
    found = take(project)
    assert found.git
    assert found.git.is_dirty
    assert b"secret" not in found.difference
    assert b"ignored" not in found.difference
    assert _git(repository, "status", "--porcelain") == status

    _git(tmp_path, "clone", "--quiet", str(repository), "clone")
    (tmp_path / "git.diff").write_bytes(found.difference)
    _git(tmp_path / "clone", "apply", str(tmp_path / "git.diff"))
    assert take(tmp_path / "clone" / "project").code_digest == found.code_digest


def test_the_users_way_of_showing_differences_changes_nothing(repository: Path, tmp_path: Path) -> None:
    _change(repository / "project")
    before = take(repository / "project").difference
    for name, value in (
        ("color.ui", "always"),
        ("diff.noprefix", "true"),
        ("diff.mnemonicPrefix", "true"),
        ("diff.external", "false"),
        ("core.quotePath", "false"),
    ):
        _git(repository, "config", name, value)
    after = take(repository / "project").difference
    _git(tmp_path, "clone", "--quiet", str(repository), "clone")
    (tmp_path / "git.diff").write_bytes(after)
    _git(tmp_path / "clone", "apply", str(tmp_path / "git.diff"))
    assert len(after) == pytest.approx(len(before), abs=20)


def test_a_file_changed_in_the_second_of_the_commit_is_in_the_difference(repository: Path) -> None:
    _git(repository, "config", "core.trustctime", "false")
    file, index = repository / "project" / "train.py", repository / ".git" / "index"
    long_ago = (1_000_000_000, 1_000_000_000)
    os.utime(file, long_ago)
    _git(repository, "update-index", "--refresh")
    file.write_text("alpha = 1\nbeta = 3\n")
    os.utime(file, long_ago)
    os.utime(index, long_ago)
    assert b"beta = 3" in take(repository / "project").difference


def test_a_snapshot_follows_every_change(repository: Path) -> None:
    project = repository / "project"
    first = take(project)
    assert take(project) is first
    _commit(repository, "second")
    second = take(project)
    assert second.git
    assert first.git
    assert second.git.commit != first.git.commit
    _git(repository, "checkout", "--quiet", "-b", "feature")
    assert take(project).git.branch == "feature"  # type: ignore[union-attr]
    _git(repository, "checkout", "--quiet", "--detach")
    assert take(project).git.branch is None  # type: ignore[union-attr]
    _git(repository, "remote", "add", "origin", "https://ada:token@example.com/team/project.git")
    assert take(project).git.repository == "https://example.com/team/project.git"  # type: ignore[union-attr]
    (project / "train.py").write_text("gamma")
    assert take(project).git.is_dirty  # type: ignore[union-attr]


def test_without_a_commit_or_git_there_is_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "train.py").write_text("")
    assert git_state(tmp_path) is None
    _git(tmp_path, "init", "--quiet")
    assert git_state(tmp_path) is None
    monkeypatch.setenv("PATH", "")
    assert git_state(tmp_path) is None
    assert take(tmp_path).difference == b""


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("https://token@example.com/a.git", "https://example.com/a.git"),
        ("https://ada:token@example.com:8443/a.git?private_token=x", "https://example.com:8443/a.git"),
        ("ssh://git@example.com/a.git", "ssh://git@example.com/a.git"),
        ("ssh://git:word@example.com/a.git", "ssh://git@example.com/a.git"),
        ("git@example.com:team/a.git", "git@example.com:team/a.git"),
        ("/srv/git/a.git", "/srv/git/a.git"),
    ],
)
def test_a_repositorys_url_logs_nobody_in(url: str, shown: str) -> None:
    assert without_credentials(url) == shown


def test_a_project_is_where_its_manifest_is_else_its_repository(repository: Path, tmp_path: Path) -> None:
    deep = repository / "project" / "deep"
    deep.mkdir()
    assert snapshots.project_folder(deep) == repository
    (repository / "project" / "wright.toml").write_text("")
    assert snapshots.project_folder(deep) == repository / "project"
    assert snapshots.project_folder(tmp_path) == tmp_path
